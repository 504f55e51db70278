"""Every model takes a training step and a sampling step: on TensorFlow here, and on PyTorch."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
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


WITH_GPU_SETTINGS = [path for path in WITH_MODELS if has_gpu_settings(path)]
BACKENDS = ["tensorflow", pytest.param("torch", marks=[pytest.mark.torch, needs_torch])]


def test_every_notebook_names_its_models() -> None:
    named, without = set(models.MODELS), set(models.WITHOUT_STEPS)
    assert set(IDS) == named | without and not named & without
    assert all(len(reason.split()) > 3 for reason in models.WITHOUT_STEPS.values())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("path", WITH_MODELS, ids=lambda path: path.stem)
def test_one_step_of_every_model(path: Path, backend: str, run_python: RunPython) -> None:
    done = run_python("scripts/models.py", path.stem, KERAS_BACKEND=backend)
    assert done.returncode == 0, done.stderr[-3000:]
    steps = done.stdout.splitlines()
    assert steps and all("samples [" in line for line in steps), done.stdout


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("path", WITH_GPU_SETTINGS, ids=lambda path: path.stem)
def test_one_step_of_every_model_of_the_gpu_budget(
    path: Path, backend: str, run_python: RunPython
) -> None:
    """Where the gpu budget has larger networks or pictures, they too must be built and trained."""
    done = run_python("scripts/models.py", path.stem, KERAS_BACKEND=backend, GENBOOK_BUDGET="gpu")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "samples [" in done.stdout


@pytest.mark.torch
@needs_torch
def test_gradients_on_pytorch(run_python: RunPython) -> None:
    done = run_python("tests/gradients.py", KERAS_BACKEND="torch")
    assert "gradients are right on torch" in done.stdout, done.stderr[-3000:]


@pytest.mark.torch
@needs_torch
@pytest.mark.parametrize("name", ["everything", "players"])
def test_a_killed_run_ends_bit_equal_on_pytorch(
    name: str, run_python: RunPython, tmp_path: Path
) -> None:
    """As in test_training; here dropout draws from PyTorch's own generator."""
    for cache, result, *death in [("one", "whole"), ("two", "resumed", "2"), ("two", "resumed")]:
        done = run_python(
            "tests/resumable.py", name, str(tmp_path / f"{result}.npz"), *death,
            GENBOOK_BUDGET="cpu", GENBOOK_CACHE=str(tmp_path / cache), KERAS_BACKEND="torch",
        )  # fmt: skip
        assert done.returncode == (9 if death else 0), done.stderr[-3000:]
    with np.load(tmp_path / "whole.npz") as a, np.load(tmp_path / "resumed.npz") as b:
        assert a.files == b.files
        assert [key for key in a.files if not np.array_equal(a[key], b[key])] == []
