"""`import helpers` is cheap: 0.3 s, and nothing heavy along with it."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
import time

import pytest
from conftest import ROOT, RunPython

import helpers

HEAVY = (
    "tensorflow", "keras", "torch", "matplotlib", "scipy", "sklearn", "PIL", "music21",
    "gymnasium", "IPython", "h5py",
)  # fmt: skip
SUBMODULES = [module.name for module in pkgutil.iter_modules(helpers.__path__)]


def best_seconds(code: str) -> float:
    """The shortest of five runs of a new interpreter."""
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def test_import_takes_less_than_three_tenths_of_a_second() -> None:
    """The whole command, the interpreter's own start included."""
    assert best_seconds("import helpers") < 0.3


def test_submodules_add_little_to_numpy() -> None:
    """In processor time, which other programs on the machine disturb less."""
    names = ", ".join(f"helpers.{name}" for name in SUBMODULES)
    clock = "time.process_time()"
    code = f"import time, numpy; t = {clock}; import {names}; print({clock} - t)"
    run = [sys.executable, "-c", code]
    seconds = [float(subprocess.check_output(run, cwd=ROOT)) for _ in range(5)]
    assert min(seconds) < 0.3


@pytest.mark.parametrize("name", ["helpers", *(f"helpers.{name}" for name in SUBMODULES)])
def test_nothing_heavy_comes_along(name: str, run_python: RunPython) -> None:
    code = f"import sys, {name}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
