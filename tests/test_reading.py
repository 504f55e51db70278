"""Every notebook reads the same everywhere: plain Markdown, without a role, directive or key."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import ROOT
from markdown_it import MarkdownIt
from notebooks_under_test import IDS, NOTEBOOKS, read

from scripts import citations

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)

# What a renderer without MyST would show as it stands
RAW = {
    "a role": re.compile(r"\{[a-z][a-z:_-]*\}`"),
    "a directive": re.compile(r"^\s*(:{3,}|`{3,})\{", re.MULTILINE),
    "a fence": re.compile(r"^\s*:{3,}", re.MULTILINE),
    "a target": re.compile(r"^\s*\([a-z0-9-]+\)=\s*$", re.MULTILINE),
    "a substitution": re.compile(r"\{\{"),
    "a mark of solutions": re.compile(r"### (BEGIN|END) SOLUTION"),
    "an escaped comment": re.compile(r"<!--|-->"),
}


class Text(HTMLParser):
    """The text of a page as a reader sees it, without code and formulas."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self.inside_code = 0

    def handle_starttag(self, tag: str, attributes: object) -> None:
        self.inside_code += tag in ("code", "pre")

    def handle_endtag(self, tag: str) -> None:
        self.inside_code -= tag in ("code", "pre")

    def handle_data(self, data: str) -> None:
        if not self.inside_code:
            self.pieces.append(data)


def visible(markdown: str) -> str:
    """What a plain CommonMark renderer shows of a Markdown cell, formulas left out."""
    page = Text()
    page.feed(MarkdownIt("commonmark").enable("table").render(markdown))
    text = "".join(page.pieces)
    return re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$", "", text, flags=re.DOTALL)


def markdown_cells(path: Path) -> list[str]:
    return [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]


@each
def test_plain_markdown_shows_no_marks_of_ours(path: Path) -> None:
    keys = re.compile(rf"\b({'|'.join(citations.works())})\b")
    for source in markdown_cells(path):
        seen = visible(source)
        for text in (seen, re.sub(r"<!--.*?-->", "", source)):
            for what, pattern in RAW.items():
                assert not pattern.search(text), f"{what} in\n{source}"
        assert not keys.search(seen), source


@each
def test_details_are_closed_and_their_markdown_is_read(path: Path) -> None:
    """A blank line after <summary> lets Markdown inside a fold be read as Markdown."""
    for source in markdown_cells(path):
        opened, closed = source.count("<details>"), source.count("</details>")
        assert opened == closed == len(re.findall(r"</summary>\n\n", source)), source


@each
def test_links_between_notebooks_lead_somewhere(path: Path) -> None:
    for source in markdown_cells(path):
        for target in re.findall(r"\]\((?!https?://|#)([^)\s]+)\)", source):
            file = (path.parent / target.partition("#")[0]).resolve()
            assert file.is_file() and file.is_relative_to(ROOT), f"{target} in\n{source}"


def test_what_the_test_looks_for_is_seen() -> None:
    assert RAW["a role"].search(visible("as in {cite}`key`, {doc}`page`".replace("`", "\\`")))
    assert RAW["a directive"].search(":::{note}\nx\n:::")
    assert "190" in visible("the floor is <!--vae-floor-->190<!--/--> nats")
    assert "vae-floor" not in visible("the floor is <!--vae-floor-->190<!--/--> nats")
