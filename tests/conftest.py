"""What all tests share: the repository's settings, an own cache, and a way to run a new Python."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

# Before anything imports TensorFlow: the same threads as in the Makefile, no pop-up windows
for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "2")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["MPLBACKEND"] = "agg"
os.environ["GENBOOK_LOG"] = "plain"

import pytest  # noqa: E402

from helpers import files  # noqa: E402

ROOT = files.ROOT

RunPython = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every test starts under quick, with an empty cache of its own."""
    for name in ("BUDGET", "DATASET", "SEED", "RELEASE", "REPOSITORY"):
        monkeypatch.delenv(f"GENBOOK_{name}", raising=False)
    monkeypatch.setenv("GENBOOK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def full_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader's own full run."""
    monkeypatch.setenv("GENBOOK_BUDGET", "cpu")


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty data folder in place of the book's, for weights and results."""
    from helpers import results, weights

    folder = tmp_path / "data"
    monkeypatch.setattr(weights, "DATA", folder)
    monkeypatch.setattr(results, "DATA", folder)
    return folder


@pytest.fixture
def run_python() -> RunPython:
    """Run a script or -c code in a new interpreter at the repository's root."""

    def run(
        *arguments: str, timeout: float = 300, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run
