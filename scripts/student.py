"""Write copies of the notebooks without solutions to student/.

Between {solution-start} and {solution-end} the text is left out, and in code cells tagged
`solution` the lines between ### BEGIN SOLUTION and ### END SOLUTION become a gap to fill. Check
cells stay. Never edit the copies: change the notebooks and call `make student` again.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import notebook_files  # noqa: E402

START, END = "{solution-start}", "{solution-end}"
GAP = "...  # your code here"
SOLUTION = re.compile(
    r"^(?P<indent>[ \t]*)### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION$", re.DOTALL | re.MULTILINE
)


def with_gaps(code: str) -> str:
    """Replace every marked solution by a gap that runs but answers nothing.

    Raises ValueError when nothing is marked, or when a mark has no counterpart.
    """
    result, count = SOLUTION.subn(rf"\g<indent>{GAP}", code)
    if not count or "### BEGIN SOLUTION" in result or "### END SOLUTION" in result:
        raise ValueError(f"the marks BEGIN SOLUTION and END SOLUTION do not pair up in\n{code}")
    return result


def student_copy(notebook: Any) -> Any:
    """Take the solutions and all outputs out of a notebook, in place; returns it."""
    kept, inside = [], False
    for cell in notebook.cells:
        if cell.cell_type == "code":
            if "solution" in notebook_files.tags(cell):
                cell.source = with_gaps(cell.source)
            cell.outputs, cell.execution_count = [], None
            kept.append(cell)
            continue
        starts, ends = START in cell.source, END in cell.source
        out_of_turn = starts if inside else (ends and not starts)
        if out_of_turn:
            raise ValueError(f"{START} and {END} do not take turns at\n{cell.source}")
        if not (inside or starts):
            kept.append(cell)
        inside = (inside or starts) and not ends
    if inside:
        raise ValueError("a solution does not end")
    notebook.cells = kept
    return notebook


def main() -> int:
    for path in notebook_files.all_notebooks():
        target = ROOT / "student" / path.relative_to(ROOT / "notebooks")
        notebook_files.write(student_copy(notebook_files.read(path)), target)
        images = path.parent / "images" / f"{path.stem}.png"
        if images.exists():  # the picture at the top
            (target.parent / "images").mkdir(exist_ok=True)
            shutil.copy(images, target.parent / "images")
        print(target.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
