"""Write copies of the notebooks without solutions to student/.

The open gaps and the checks stay; the solutions, in code and in words, and all outputs go. Never
edit the copies: change the notebooks and call `make student` again.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import notebook_files  # noqa: E402


def is_solution(cell: Any) -> bool:
    """Whether a cell gives an answer away, in code or in words."""
    if cell.cell_type == "markdown":
        return bool(cell.source.startswith("<details>\n<summary>Solution"))
    return "solution" in notebook_files.tags(cell)


def student_copy(notebook: Any) -> Any:
    """Take the solutions and all outputs out of a notebook, in place; returns it."""
    notebook.cells = [cell for cell in notebook.cells if not is_solution(cell)]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
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
