"""Exercises as nbgrader assignments: marks, points, and a round trip where it is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from helpers.files import ROOT
from scripts import nbgrader, notebook_files

GAP = 'def area(a, b):\n    """a times b."""\n    raise NotImplementedError  # your code here'
ANSWER = "def area(a, b):\n    return a * b"
CHECK = "with exercises.check(area):\n    assert area(2, 3) == 6"


def a_notebook() -> Any:
    """One exercise, as the book's notebooks have them."""
    code, text = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    setup = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom helpers import exercises"
    return nbformat.v4.new_notebook(
        cells=[
            code(setup),
            text("### Exercise: Area"),
            code(GAP, metadata={"tags": ["gap"]}),
            text("<details>\n<summary>Solution</summary>\n\nMultiply.\n\n</details>"),
            code(f"@exercises.solution\n{ANSWER}", metadata={"tags": ["solution"]}),
            code(CHECK, metadata={"tags": ["exercise-check"]}),
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )


def test_cells_get_ids_points_and_marks() -> None:
    made = nbgrader.assignment(a_notebook())
    assert len(made.cells) == 4  # the solution, in code and in words, stands in no cell of its own
    answer, check = made.cells[2], made.cells[3]
    assert answer.metadata.nbgrader.grade_id == "answer-1" and answer.metadata.nbgrader.solution
    assert answer.source.startswith(GAP) and answer.source.endswith(f"{ANSWER}\n### END SOLUTION")
    assert check.metadata.nbgrader.points == nbgrader.POINTS and check.metadata.nbgrader.locked
    assert "not solved yet: fill in area" in check.source and check.source.endswith(CHECK)


@pytest.mark.parametrize("path", notebook_files.all_notebooks(), ids=lambda path: path.stem)
def test_every_exercise_becomes_a_pair(path: Path) -> None:
    notebook = notebook_files.read(path)
    made = nbgrader.assignment(notebook)
    cells = [cell.metadata.nbgrader for cell in made.cells if "nbgrader" in cell.metadata]
    ids = [cell.grade_id for cell in cells]
    assert len(ids) == len(set(ids))
    gaps = sum("gap" in notebook_files.tags(cell) for cell in notebook.cells)
    assert sum(cell.solution for cell in cells) == gaps
    sources = [cell.source for cell in made.cells if cell.cell_type == "code"]
    assert sum(nbgrader.BEGIN in source for source in sources) == gaps
    assert not any("<summary>Solution" in cell.source for cell in made.cells)


@pytest.mark.parametrize(
    ("answer", "score"), [(ANSWER, 2.0), (None, 0.0), ("def area(a, b):\n    return a + b", 0.0)]
)
def test_a_round_trip(answer: str | None, score: float, tmp_path: Path) -> None:
    """Assignment, release, a student's answer, grading."""
    pytest.importorskip("nbgrader", reason="nbgrader is not installed: pip install nbgrader")
    (tmp_path / "nbgrader_config.py").write_text(nbgrader.CONFIG)
    notebook_files.write(nbgrader.assignment(a_notebook()), tmp_path / "source/ex/ex.ipynb")

    def call(*words: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", *words], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-2000:]

    call("generate_assignment", "ex")
    released = notebook_files.read(tmp_path / "release/ex/ex.ipynb")
    assert "SOLUTION" not in released.cells[2].source and "a * b" not in released.cells[2].source
    if answer:
        released.cells[2].source = answer
    notebook_files.write(released, tmp_path / "submitted/anna/ex/ex.ipynb")
    call("autograde", "ex")
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{tmp_path}/gradebook.db") as book:
        assert book.find_submission("ex", "anna").score == score
