"""Every exercise: its gap is open, its check says so, and it passes on the solution."""

from __future__ import annotations

import ast
import contextlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from notebooks_under_test import IDS, NOTEBOOKS, read

from helpers import exercises
from scripts import cell_graph, notebook_files, student


@dataclass
class Exercise:
    """The code cells of an exercise, under the task's title."""

    title: str
    gaps: list[str] = field(default_factory=list)
    solutions: list[Any] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)


def found_in(notebook: Any) -> list[Exercise]:
    """The exercises of a notebook, in order."""
    found: list[Exercise] = []
    for cell in notebook.cells:
        tags = notebook_files.tags(cell)
        if cell.cell_type == "markdown":
            titles = [x for x in cell.source.splitlines() if x.startswith("### Exercise: ")]
            found += [Exercise(title.removeprefix("### Exercise: ")) for title in titles]
        elif "gap" in tags:
            found[-1].gaps.append(cell.source)
        elif "solution" in tags:
            found[-1].solutions.append(cell)
        elif "exercise-check" in tags:
            found[-1].checks.append(cell.source)
    return found


def output_of(code: str, names: dict[str, Any], what: str) -> str:
    """What a piece of code prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, f"<{what}>", "exec"), names)
    return printed.getvalue()


def functions(code: str) -> dict[str, tuple[str, str | None]]:
    """The top-level functions of a piece of code: arguments and docstring by name."""
    return {
        node.name: (ast.unparse(node.args), ast.get_docstring(node))
        for node in ast.parse(code).body
        if isinstance(node, ast.FunctionDef)
    }


@pytest.fixture(params=NOTEBOOKS, ids=IDS, scope="module")
def path(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_there_are_three_to_five_with_gaps_and_solutions(path: Path) -> None:
    found = found_in(read(path))
    assert 3 <= len(found) <= 5
    assert len({exercise.title for exercise in found}) == len(found)
    for exercise in found:
        assert exercise.gaps and exercise.solutions and exercise.checks, exercise.title


def test_the_gap_says_what_to_write(path: Path) -> None:
    """Signature and docstring stand in the open gap, and the solution has the same arguments."""
    for exercise in found_in(read(path)):
        asked = functions("\n\n\n".join(exercise.gaps))
        given = functions("\n\n\n".join(cell.source for cell in exercise.solutions))
        assert asked and asked.keys() <= given.keys(), exercise.title
        for name, (arguments, docstring) in asked.items():
            assert docstring, f"{name} has no docstring"
            assert arguments == given[name][0], name


def test_solutions_are_folded_everywhere(path: Path) -> None:
    for exercise in found_in(read(path)):
        for cell in exercise.solutions:
            assert cell.source.startswith("@exercises.solution\ndef "), cell.source
            assert cell.metadata["jupyter"]["source_hidden"] is True
            assert "hide-input" in notebook_files.tags(cell)
            assert cell.metadata["mystnb"]["code_prompt_show"] == "Show the solution"


def called_in(tree: ast.AST) -> set[str]:
    """The names of all functions called, or handed on, in a piece of code."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def test_the_check_asks_for_every_function_of_the_gap(path: Path) -> None:
    for exercise in found_in(read(path)):
        (check,) = exercise.checks
        block = ast.parse(check).body[-1]
        assert isinstance(block, ast.With), exercise.title
        opening = block.items[0].context_expr
        assert isinstance(opening, ast.Call) and ast.unparse(opening.func) == "exercises.check"
        named = {ast.unparse(argument) for argument in opening.args}
        assert named == functions("\n\n\n".join(exercise.gaps)).keys(), exercise.title
        assert named <= set.union(*map(called_in, block.body)), exercise.title
        assert any(isinstance(node, ast.Assert) for node in ast.walk(block)), exercise.title


def test_the_check_tells_an_open_gap_and_passes_on_the_solution(path: Path) -> None:
    """The gap is tried here. The solution ran for the output, and runs again under nbval."""
    notebook = read(path)
    cells = cell_graph.code_cells(notebook)
    gaps = [cell for cell in cells if "gap" in cell.tags]
    wanted = set.union(*(cell_graph.needed(cells, gap) for gap in gaps))
    context = [cell.code for cell in cells if cell.index in wanted and "gap" not in cell.tags]
    with contextlib.redirect_stdout(io.StringIO()):
        names = notebook_files.run_cells(context, path.name)
    for exercise in found_in(notebook):
        what = f"{path.stem}: {exercise.title}"
        for gap in exercise.gaps:
            assert output_of(gap, names, what) == "", what
        for check in exercise.checks:
            block = ast.unparse(ast.parse(check).body[-1])  # what stands above it may be missing
            said = output_of(block, names, what).splitlines()
            assert len(said) == 1 and said[0].startswith("not solved yet: fill in "), what
    for cell in notebook.cells:
        if "exercise-check" in notebook_files.tags(cell):
            printed = [output.text for output in cell.outputs if output.output_type == "stream"]
            assert printed and printed[-1].splitlines()[-1] == "correct", cell.source


def test_the_student_copy_keeps_gaps_and_checks_only(path: Path) -> None:
    copy = student.student_copy(notebook_files.read(path))
    text = "\n".join(cell.source for cell in copy.cells)
    for exercise in found_in(read(path)):
        assert all(piece in text for piece in exercise.gaps + exercise.checks)
        assert not any(cell.source in text for cell in exercise.solutions)
    assert "exercises.solution" not in text and "<summary>Solution" not in text
    assert not any(cell.outputs for cell in copy.cells if cell.cell_type == "code")


# ------------------------------------------------------------------------- the helpers themselves


GAP = """
def double(x):
    \"""Twice x.\"""
    raise NotImplementedError  # your code here
"""
SOLUTION = """
@exercises.solution
def double(x):
    return 2 * x
"""
CHECK = """
with exercises.check(double):
    assert double(3) == 6, "twice three"
"""


def session(*cells: str) -> str:
    """What the last of these cells prints, run one after the other."""
    names: dict[str, Any] = {"exercises": exercises, "__name__": "notebook"}
    return [output_of(cell, names, "cell") for cell in cells][-1]


def test_an_open_gap_is_not_solved_yet() -> None:
    assert session(GAP, CHECK) == ("not solved yet: fill in double, run its cell, then this one\n")
    half_open = GAP.replace("raise", "None.upper()\n    raise")
    assert session(half_open, CHECK).startswith("not solved yet")


def test_an_open_gap_is_never_correct() -> None:
    assert session(GAP, "with exercises.check(double):\n    pass").startswith("not solved yet")


def test_the_solution_fills_an_open_gap_only() -> None:
    assert session(GAP, SOLUTION, CHECK) == "correct\n"
    assert session(GAP, SOLUTION, SOLUTION, CHECK) == "correct\n"  # run twice
    own = "def double(x):\n    return x * x"
    with pytest.raises(AssertionError, match="twice three"):
        session(own, SOLUTION, CHECK)  # Run All does not hide a wrong answer
    assert session(own.replace("x * x", "x + x"), SOLUTION).startswith("Your own double is kept")


@pytest.mark.parametrize("answer", ["pass", "return None", "return 'six'", "return [1][3]"])
def test_a_wrong_answer_is_never_a_riddle(answer: str) -> None:
    check = CHECK.replace("double(3) ==", "double(3) + 0 ==")
    with pytest.raises(AssertionError):
        session(f"def double(x):\n    {answer}", SOLUTION, check)


def test_the_solution_of_another_function_is_not_the_readers() -> None:
    assert session(SOLUTION, CHECK) == "correct\n"
