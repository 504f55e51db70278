"""`import helpers` is cheap: 0.3 s of processor time, and nothing heavy along with it."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest
from conftest import ROOT, RunPython

import helpers

HEAVY = (
    "tensorflow", "keras", "torch", "matplotlib", "scipy", "sklearn", "PIL", "music21",
    "gymnasium", "IPython", "h5py",
)  # fmt: skip
SUBMODULES = [module.name for module in pkgutil.iter_modules(helpers.__path__)]


def processor_seconds(code: str) -> float:
    """The least processor time of five runs; other programs on the machine disturb it little."""
    measured = f"import time\n{code}\nprint(time.process_time() - start)"
    seconds = []
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", measured], cwd=ROOT, check=True, capture_output=True, text=True
        )
        seconds.append(float(done.stdout))
    return min(seconds)


def test_import_takes_less_than_three_tenths_of_a_second() -> None:
    """The interpreter's own start included."""
    assert processor_seconds("start = 0\nimport helpers") < 0.3


def test_submodules_add_little_to_numpy() -> None:
    names = ", ".join(f"helpers.{name}" for name in SUBMODULES)
    code = f"import numpy\nstart = time.process_time()\nimport {names}"
    assert processor_seconds(code) < 0.3


@pytest.mark.parametrize("name", ["helpers", *(f"helpers.{name}" for name in SUBMODULES)])
def test_nothing_heavy_comes_along(name: str, run_python: RunPython) -> None:
    code = f"import sys, {name}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
