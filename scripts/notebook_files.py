"""Notebooks as files: where they are, their cells, and how they are written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from helpers.files import atomic_path  # noqa: E402

ONE_THREAD = dict.fromkeys(
    ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1"
)
"""Variables under which committed outputs are made and compared, several notebooks at a time."""


def all_notebooks() -> list[Path]:
    """The book's notebooks, in order."""
    found = (ROOT / "notebooks").rglob("*.ipynb")
    return sorted(path for path in found if ".ipynb_checkpoints" not in path.parts)


def read(path: Path) -> Any:
    """A notebook, as nbformat's object."""
    return nbformat.read(path, as_version=4)


def write(notebook: Any, target: Path) -> None:
    """Write a notebook atomically."""
    with atomic_path(target) as temporary:
        nbformat.write(notebook, temporary)


def tags(cell: Any) -> set[str]:
    """The tags of a cell."""
    return set(cell.metadata.get("tags", []))


def code_tagged(notebook: Any, *wanted: str) -> list[str]:
    """The code of the cells that have one of these tags, in the notebook's order."""
    return [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "code" and tags(cell) & set(wanted)
    ]


def run_cells(codes: list[str], name: str) -> dict[str, Any]:
    """Run pieces of code one after the other in a fresh namespace, and return the namespace."""
    namespace: dict[str, Any] = {"__name__": "notebook"}
    for number, code in enumerate(codes):
        exec(compile(code, f"<{name}, cell {number}>", "exec"), namespace)
    return namespace
