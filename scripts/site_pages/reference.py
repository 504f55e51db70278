"""The tables of data sets and the sections of the package's page."""

from __future__ import annotations

from pathlib import Path

from helpers import datasets
from helpers.files import ROOT

from .formats import table


def data_text(embedded: bool) -> str:
    """The registry's data sets: those that come with the book, or the others."""
    rows = [
        [
            f"`{entry.name}`",
            entry.about,
            f"{entry.items[0]:,} + {entry.items[1]:,}" if entry.items else "–",
            f"[{entry.publisher}]({entry.url})",
            entry.licence,
        ]
        for entry in datasets.REGISTRY.values()
        if entry.embedded == embedded
    ]
    return table(["name", "what", "train + test", "from", "licence"], rows)


def public_modules(folder: Path) -> list[str]:
    """The modules and packages in a folder, e.g. "helpers.files"; none that begins with _.

    A package shows its own names only; its modules are no reader's business.
    """
    found = [*folder.glob("*.py"), *(path.parent for path in folder.glob("*/__init__.py"))]
    return sorted(f"{folder.name}.{path.stem}" for path in found if not path.stem.startswith("_"))


def api_text() -> str:
    """A section for each public module of helpers, filled by autodoc."""
    return "\n".join(
        f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```\n"
        for name in public_modules(ROOT / "helpers")
    )
