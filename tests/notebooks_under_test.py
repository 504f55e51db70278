"""The notebooks as the tests see them: in the order of the book, read once."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import yaml
from conftest import ROOT

from scripts import notebook_files


def toc_pages(toc: Any) -> list[str]:
    """Every page that _toc.yml names."""
    if isinstance(toc, list):
        return [page for entry in toc for page in toc_pages(entry)]
    if not isinstance(toc, dict):
        return []
    own = [toc[key] for key in ("root", "file") if key in toc]
    return own + [page for value in toc.values() for page in toc_pages(value)]


PAGES = toc_pages(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
NOTEBOOKS = notebook_files.all_notebooks()
IDS = [path.stem for path in NOTEBOOKS]


@functools.cache
def read(path: Path) -> Any:
    """A notebook; to be looked at, not changed."""
    return notebook_files.read(path)
