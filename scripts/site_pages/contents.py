"""What the repository holds: the pages of _toc.yml, the notebooks, and their records."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from helpers import datasets
from helpers.files import DATA, ROOT, read_json

QUICK = DATA / "results" / "quick_seconds.json"

WORDS_PER_MINUTE = 200
"""Reading speed for technical prose, for the reading minutes of a notebook."""


@dataclass(frozen=True)
class Notebook:
    """A notebook of the book: its page name, e.g. "notebooks/03_autoencoders/vae"."""

    page: str

    @property
    def name(self) -> str:
        return self.page.rsplit("/", 1)[1]

    @property
    def path(self) -> Path:
        return ROOT / f"{self.page}.ipynb"

    @property
    def record(self) -> Path:
        return DATA / "results" / f"{self.name}.json"

    def runs(self) -> list[dict[str, Any]]:
        """Its recorded runs; [] before the first."""
        return list(read_json(self.record)["runs"]) if self.record.exists() else []

    def markdown(self) -> list[str]:
        """The text of its Markdown cells; [] while the notebook does not exist."""
        if not self.path.exists():
            return []
        cells = json.loads(self.path.read_text(encoding="utf-8"))["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]

    def title(self) -> str:
        """Its first heading."""
        for text in self.markdown():
            if found := re.search(r"^# +(.+)$", text, re.MULTILINE):
                return found.group(1).strip()
        return self.name

    def reading_minutes(self) -> int | None:
        """Minutes to read its prose, code not counted."""
        words = sum(len(text.split()) for text in self.markdown())
        return max(1, round(words / WORDS_PER_MINUTE)) if words else None


def toc_pages(toc: Any) -> list[str]:
    """Every page that _toc.yml names, in order."""
    if isinstance(toc, list):
        return [page for part in toc for page in toc_pages(part)]
    own = [toc[key] for key in ("root", "file") if key in toc]
    return own + [
        page for key in ("parts", "chapters", "sections") for page in toc_pages(toc.get(key, []))
    ]


def pages() -> list[str]:
    """Every page of the book, in order: "book/introduction", ..."""
    return toc_pages(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))


def notebooks() -> list[Notebook]:
    """The book's notebooks in the order of _toc.yml."""
    of_chapters = [page for page in pages() if page.startswith("notebooks/")]
    return [Notebook(page) for page in of_chapters if not page.endswith("/index")]


def quick_seconds() -> dict[str, float]:
    """Seconds of each notebook under quick, as `make execute` measured them; {} before that."""
    return read_json(QUICK)["seconds"] if QUICK.exists() else {}


def comes_with_the_book(dataset: str) -> bool:
    """True for data that every reader has: embedded in the repository or made in a notebook."""
    known = datasets.REGISTRY.get(dataset)
    return not dataset.startswith("folder:") and (known is None or known.embedded)


def link(notebook: Notebook) -> str:
    """A link to the notebook's page, or its bare name while there is none."""
    return f"{{doc}}`/{notebook.page}`" if notebook.path.exists() else f"`{notebook.name}`"
