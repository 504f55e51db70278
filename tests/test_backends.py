"""Every model takes a training and a sampling step on PyTorch; the largest, on TensorFlow."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import turns
from conftest import RunPython
from notebooks_under_test import IDS, NOTEBOOKS

from scripts import models, notebook_files

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None,
    reason="PyTorch is not installed (pip install torch==2.13.0)",
)
WITH_MODELS = [path for path in NOTEBOOKS if path.stem not in models.WITHOUT_STEPS]


def has_gpu_settings(path: Path) -> bool:
    """Whether this notebook's settings differ under the gpu budget."""
    codes = notebook_files.code_tagged(notebook_files.read(path), "settings")
    return any("gpu=" in code for code in codes)


# On TensorFlow, nbval trains the models of quick; here the larger ones of the gpu budget, of some
# notebooks in turn (`make steps` takes all)
LARGER = turns.of_today(
    [path.stem for path in WITH_MODELS if has_gpu_settings(path)],
    3, "tests/test_backends.py::test_one_step_of_every_model, budget gpu",
)  # fmt: skip
RUNS = [("torch", "quick", path.stem) for path in WITH_MODELS]
RUNS += [("tensorflow", "gpu", name) for name in LARGER]


def case(backend: str, budget: str, notebook: str) -> Any:
    """A run as a parameter."""
    marks = [pytest.mark.torch, needs_torch] if backend == "torch" else []
    return pytest.param(backend, budget, notebook, marks=marks, id=f"{notebook}-{budget}-{backend}")


def test_every_notebook_names_its_models() -> None:
    named, without = set(models.MODELS), set(models.WITHOUT_STEPS)
    assert set(IDS) == named | without and not named & without
    assert all(len(reason.split()) > 3 for reason in models.WITHOUT_STEPS.values())


@pytest.fixture(scope="module")
def printed_by_steps(
    run_python: RunPython, request: pytest.FixtureRequest
) -> Callable[[str, str], dict[str, str]]:
    """What each notebook's models print on a backend under a budget; one process for all.

    Only the notebooks of the tests that were chosen are run.
    """
    own = [item for item in request.session.items if item.path == Path(__file__)]
    chosen = [tuple(item.callspec.params.values()) for item in own if hasattr(item, "callspec")]

    @functools.cache
    def run(backend: str, budget: str) -> dict[str, str]:
        names = [run[2] for run in RUNS if run[:2] == (backend, budget) and run in chosen]
        environment = {"KERAS_BACKEND": backend, "GENBOOK_BUDGET": budget}
        done = run_python("scripts/models.py", *names, timeout=900, **environment)
        parts = done.stdout.split(models.HEADING)[1:]
        printed = dict.fromkeys(names, done.stderr[-3000:])
        printed |= dict(part.split("\n", maxsplit=1) for part in parts)
        if done.returncode not in (0, 1):  # the process died in the notebook that it came to last
            printed[names[max(0, len(parts) - 1)]] += f"\nexit status {done.returncode}"
        return printed

    return run


@pytest.mark.parametrize(("backend", "budget", "notebook"), [case(*run) for run in RUNS])
def test_one_step_of_every_model(
    backend: str, budget: str, notebook: str, printed_by_steps: Callable[[str, str], dict[str, str]]
) -> None:
    """Where the gpu budget has larger networks or pictures, they too must be built and trained."""
    steps = printed_by_steps(backend, budget)[notebook].splitlines()
    assert steps and all("samples [" in line for line in steps), "\n".join(steps)


@pytest.mark.torch
@needs_torch
def test_gradients_on_pytorch(run_python: RunPython) -> None:
    done = run_python("tests/gradients.py", KERAS_BACKEND="torch")
    assert "gradients are right on torch" in done.stdout, done.stderr[-3000:]


@pytest.mark.torch
@needs_torch
def test_a_killed_run_ends_bit_equal_on_pytorch(run_python: RunPython, tmp_path: Path) -> None:
    """As in test_training; here dropout draws from PyTorch's own generator."""
    for cache, result, *death in [("one", "whole"), ("two", "resumed", "2"), ("two", "resumed")]:
        done = run_python(
            "tests/resumable.py", "everything,players", str(tmp_path / f"{result}.npz"), *death,
            GENBOOK_BUDGET="cpu", GENBOOK_CACHE=str(tmp_path / cache), KERAS_BACKEND="torch",
        )  # fmt: skip
        assert done.returncode == (9 if death else 0), done.stderr[-3000:]
    with np.load(tmp_path / "whole.npz") as a, np.load(tmp_path / "resumed.npz") as b:
        assert a.files == b.files
        assert [key for key in a.files if not np.array_equal(a[key], b[key])] == []
