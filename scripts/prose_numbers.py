"""Numbers in prose: literal text between markers that no renderer shows, kept true by a script.

A notebook measures a number and says results.quote("vae-floor", "190"); its prose, or a page of the
book, has <!--vae-floor-->190<!--/-->. `make execute` writes the value there, a test compares.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import notebook_files  # noqa: E402

QUOTED = re.compile(r"<!--(?P<name>[a-z0-9-]+): (?P<text>.*?)-->")
MARKED = re.compile(r"<!--(?P<name>[a-z0-9-]+)-->(?P<text>.*?)<!--/-->", re.DOTALL)


def quoted(notebook: Any) -> dict[str, str]:
    """What the outputs of a notebook quote, by name."""
    found = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            html = output.get("data", {}).get("text/html", "")
            text = html if isinstance(html, str) else "".join(html)
            if match := QUOTED.fullmatch(text.strip()):
                found[match["name"]] = match["text"]
    return found


def all_quoted() -> dict[str, str]:
    """What all notebooks quote; a name that two of them use is an error."""
    values: dict[str, str] = {}
    for path in notebook_files.all_notebooks():
        new = quoted(notebook_files.read(path))
        if twice := values.keys() & new.keys():
            raise ValueError(f"{path.name} quotes {sorted(twice)}, which another notebook quotes")
        values |= new
    return values


def filled(text: str, values: dict[str, str]) -> str:
    """`text` with the value of each known name between its markers."""

    def value(found: re.Match[str]) -> str:
        return f"<!--{found['name']}-->{values.get(found['name'], found['text'])}<!--/-->"

    return MARKED.sub(value, text)


def problems(text: str, values: dict[str, str]) -> list[str]:
    """What is wrong with the marked numbers of a text; [] if nothing is."""
    found = []
    for match in MARKED.finditer(text):
        name, shown = match["name"], match["text"]
        if name not in values:
            found.append(f"nothing quotes {name}")
        elif shown != values[name]:
            found.append(f"{name} stands as {shown!r}, measured is {values[name]!r}")
    for line in text.splitlines():
        if re.match(r" {0,3}<!--[a-z0-9-]+-->", line):  # Markdown would take the line for HTML
            found.append(f"a line begins with a marker: {line[:60]!r}")
    left = MARKED.sub("", text)
    found += [f"a marker without its partner: {mark}" for mark in re.findall(r"<!--\S*?-->", left)]
    return found


def pages() -> list[Path]:
    """The book's Markdown pages."""
    return [*sorted((ROOT / "book").glob("*.md")), *sorted((ROOT / "notebooks").rglob("index.md"))]


def fill_notebook(notebook: Any, values: dict[str, str]) -> None:
    """Write the values into the Markdown cells of a notebook, in place."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = filled(cell.source, values)


def fill_pages(paths: Iterable[Path], values: dict[str, str]) -> list[Path]:
    """Write the values into pages; returns those that changed."""
    changed = []
    for path in paths:
        before = path.read_text(encoding="utf-8")
        after = filled(before, values)
        if after != before:
            path.write_text(after, encoding="utf-8")
            changed.append(path)
    return changed


def main() -> int:
    """Write all values everywhere."""
    values = all_quoted()
    for path in notebook_files.all_notebooks():
        notebook = notebook_files.read(path)
        before = json.dumps(notebook)
        fill_notebook(notebook, values)
        if json.dumps(notebook) != before:
            notebook_files.write(notebook, path)
            print(f"filled {path.relative_to(ROOT)}")
    for path in fill_pages(pages(), values):
        print(f"filled {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
