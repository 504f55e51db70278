"""The budget tiny: a notebook takes every branch of a full run, another one tomorrow (turns.py).

All notebooks run with `make tiny`, and once a week.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import turns
from conftest import RunPython
from nbformat.v4 import new_code_cell, new_notebook
from notebooks_under_test import NOTEBOOKS

from helpers import training
from helpers.files import BookError, write_json
from scripts import tiny

DRAWN = turns.of_today(NOTEBOOKS, 1, "tests/test_tiny.py::test_the_notebook_of_the_day")


@pytest.mark.parametrize("path", DRAWN, ids=lambda path: path.stem)
def test_the_notebook_of_the_day_runs_under_tiny(path: Path, run_python: RunPython) -> None:
    ran = run_python("scripts/tiny.py", str(path), timeout=800)
    assert ran.returncode == 0, ran.stdout + ran.stderr


# --------------------------------------------------------------------------- the run of a notebook


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, book: Path) -> Path:
    """An empty cache, beside an empty book."""
    monkeypatch.setattr(tiny, "DATA", book)
    for name in ("BUDGET", "CACHE", "LOG", "RELEASE", "DATASET"):
        monkeypatch.setenv(f"GENBOOK_{name}", "")
    return tmp_path / "own"


RECORD = """
from helpers import results
record = results.Record("some", "points", "made here")
record.metric("test_nll_nats", 1.5, n=10)
record.save(seconds=1.0)
"""


def run(cache: Path, *codes: str, tag: str | None = None) -> Any:
    cells = [new_code_cell(code) for code in codes]
    cells[-1].metadata["tags"] = [tag] if tag else []
    return tiny.run(new_notebook(cells=cells), "some", cache)


def test_a_notebook_runs_through_full_branches_without_asserts(cache: Path) -> None:
    branch = "from helpers.budget import is_full_run\nassert False\nif is_full_run():\n    x = 1"
    assert run(cache, branch, RECORD, "y = x") is None
    assert (cache / "results" / "some.json").exists()
    assert run(cache, RECORD, "raise ValueError", tag="solution") is None


def test_a_crash_in_a_full_branch_is_found(cache: Path) -> None:
    failure = run(cache, "x = 1", "y = x.z", RECORD)
    assert failure is not None and failure.cell == 1 and not failure.is_check
    assert failure.text().startswith("AttributeError in cell 1, y = x.z")


def test_a_run_must_leave_a_record(cache: Path) -> None:
    failure = run(cache, "x = 1")
    assert failure is not None and "some.json is missing" in str(failure.error)


def test_the_splits_must_be_disjoint(cache: Path) -> None:
    arrays = "import numpy as np\nx_train = np.arange(12, dtype='uint8').reshape(6, 2)\n"
    apart = "x_train, x_test = x_train[:4], x_train[4:] / np.float32(255)"
    assert run(cache, arrays + apart, RECORD) is None
    shared = run(cache, arrays + apart.replace("[4:]", "[3:]"), RECORD)
    assert "share 1 of their items" in str(shared.error)


def test_what_the_book_does_not_know_is_named(cache: Path, book: Path) -> None:
    write_json(book / "results" / "some.json", {"runs": [{"metrics": {"other": 1.0}}]})
    assert "no metric test_nll_nats" in str(run(cache, RECORD).error)
    (book / "results" / "some.json").unlink()
    (book / "weights" / "some").mkdir(parents=True)
    weights_file(cache, 1.0)
    assert "no weights some/model" in str(run(cache, RECORD).error)


def weights_file(cache: Path, value: float) -> None:
    path = cache / "weights" / "some" / "model.weights.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/dense/kernel", data=np.array([1.0, value]))


def test_weights_and_metrics_must_be_finite(cache: Path) -> None:
    weights_file(cache, np.nan)
    assert "layers/dense/kernel are not finite" in str(run(cache, RECORD).error)
    weights_file(cache, 1.0)
    assert run(cache, RECORD) is None


def test_files_of_the_book_must_stay_as_they_are(cache: Path, book: Path) -> None:
    book.mkdir()
    writes = f"open({str(book / 'new.txt')!r}, 'w').close()"
    assert "changed files of the book: new.txt" in str(run(cache, writes, RECORD).error)


def test_updates_are_epochs_times_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(model: Any, data: Any, *, epochs: int) -> training.Run:
        return training.Run({"loss": [1.0] * epochs}, updates=model)

    monkeypatch.setattr(training, "fit", fit)
    with tiny.counted_updates():
        assert training.fit(6, [0, 0, 0], epochs=2).updates == 6
        with pytest.raises(BookError, match="2 epochs of 3 batches were asked for; 5 updates"):
            training.fit(5, [0, 0, 0], epochs=2)
    assert training.fit is fit
