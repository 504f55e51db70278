"""Every exercise: its check fails on the unfilled gap and passes on the solution."""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from notebooks_under_test import IDS, NOTEBOOKS, read

from scripts import notebook_files, student

UNANSWERED = (AssertionError, TypeError, AttributeError)
"""How a check may fail when the function to be filled in returns None."""


@dataclass
class Exercise:
    label: str
    solutions: list[str] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)


def exercises(notebook: Any) -> list[Exercise]:
    """The exercises of a notebook with their code, in order."""
    found: list[Exercise] = []
    for cell in notebook.cells:
        tags = notebook_files.tags(cell)
        if cell.cell_type == "markdown":
            for match in re.finditer(
                r"^:::\{exercise\}.*\n(?:.*\n)*?:label: (\S+)", cell.source, re.M
            ):
                found.append(Exercise(match[1]))
        elif "solution" in tags:
            found[-1].solutions.append(cell.source)
        elif "exercise-check" in tags:
            found[-1].checks.append(cell.source)
    return found


def run(code: str, names: dict[str, Any], what: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(code, f"<{what}>", "exec"), names)


@pytest.fixture(params=NOTEBOOKS, ids=IDS, scope="module")
def path(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_there_are_three_to_five_with_solutions(path: Path) -> None:
    notebook = read(path)
    found = exercises(notebook)
    assert 3 <= len(found) <= 5
    assert len({exercise.label for exercise in found}) == len(found)
    assert all(exercise.label.startswith(path.stem.replace("_", "-")) for exercise in found)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for exercise in found:
        assert f":::{{solution-start}} {exercise.label}\n:class: dropdown" in text, exercise.label
        assert exercise.solutions and exercise.checks, exercise.label


def test_checks_fail_on_the_gap_and_pass_on_the_solution(path: Path) -> None:
    notebook = read(path)
    context = notebook_files.code_tagged(notebook, "imports", "settings", "exercise-context")
    assert context
    with contextlib.redirect_stdout(io.StringIO()):
        names = notebook_files.run_cells(context, path.name)
    for exercise in exercises(notebook):
        what = f"{path.stem}: {exercise.label}"
        for solution in exercise.solutions:
            run(student.with_gaps(solution), names, what)
        with pytest.raises(UNANSWERED):
            for check in exercise.checks:
                run(check, names, what)
        for code in exercise.solutions + exercise.checks:
            run(code, names, what)


def test_the_student_copy_keeps_the_checks(path: Path) -> None:
    copy = student.student_copy(notebook_files.read(path))
    code = "\n".join(cell.source for cell in copy.cells if cell.cell_type == "code")
    found = exercises(read(path))
    assert code.count(student.GAP) >= len(found)
    assert all(check in code for exercise in found for check in exercise.checks)
    assert "BEGIN SOLUTION" not in code
