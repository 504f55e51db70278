"""Write the notebooks as assignments for nbgrader to _build/nbgrader/source/.

usage: nbgrader.py [NOTEBOOK ...]   names without .ipynb; all of them by default

An exercise's cells become nbgrader's: the cell tagged `gap` is the answer (what the student edits),
the cell tagged `exercise-check` a locked test worth POINTS. The solution goes into the answer
between nbgrader's marks, so that `nbgrader generate_assignment` takes it out. nbgrader itself is
not a requirement of the book: `pip install nbgrader` where you grade.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import notebook_files, student  # noqa: E402

TARGET = ROOT / "_build" / "nbgrader" / "source"
POINTS = 2
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
CONFIG = """# Settings for nbgrader: the gap itself, above the mark, is what students fill in
c = get_config()
c.CourseDirectory.course_id = "cell-by-cell"
c.ClearSolutions.code_stub = {"python": "# fill in the function above"}
"""
# In grading an open gap must fail: the check's own "not solved yet" would count as passed
STRICT = "assert not exercises.is_open({name}), 'not solved yet: fill in {name}'\n"


def metadata(name: str, **changes: Any) -> Any:
    """nbgrader's metadata of a cell."""
    own = {"schema_version": 3, "grade_id": name, "grade": False, "solution": False}
    return nbformat.from_dict(own | {"locked": False, "task": False} | changes)


def checked_names(check: str) -> list[str]:
    """The functions that a check cell names: exercises.check(area, perimeter)."""
    inside = check.split("exercises.check(", 1)[1].split(")", 1)[0]
    return [name.strip() for name in inside.split(",") if name.strip()]


def assignment(notebook: Any) -> Any:
    """A notebook as an assignment: answers with marked solutions, tests with points; no outputs."""
    cells: list[Any] = []
    answers = tests = 0
    gap = None
    for cell in copy.deepcopy(notebook.cells):
        tags = notebook_files.tags(cell)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if "gap" in tags:
            answers += 1
            gap = cell
            cell.metadata["nbgrader"] = metadata(f"answer-{answers}", solution=True)
        elif "solution" in tags and gap is not None:
            gap.source = f"{gap.source}\n\n{BEGIN}\n{cell.source}\n{END}"
            gap = None
            continue
        elif "exercise-check" in tags:
            tests += 1
            names = checked_names(cell.source)
            cell.source = "".join(STRICT.format(name=name) for name in names) + cell.source
            cell.metadata["nbgrader"] = metadata(
                f"check-{tests}", grade=True, locked=True, points=POINTS
            )
        elif student.is_solution(cell):
            continue
        cells.append(cell)
    notebook = copy.deepcopy(notebook)
    notebook.cells = cells
    return notebook


def main() -> int:
    wanted = set(sys.argv[1:])
    TARGET.mkdir(parents=True, exist_ok=True)
    (TARGET.parent / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
    for path in notebook_files.all_notebooks():
        if wanted and path.stem not in wanted:
            continue
        target = TARGET / path.stem / path.name
        notebook_files.write(assignment(notebook_files.read(path)), target)
        print(target.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
