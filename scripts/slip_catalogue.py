"""The catalogues of slips: tests/slips/<notebook>.toml, and which check noticed each slip.

A slip is a plausible mistake in the code of a notebook. The catalogue says which text is found in
a code cell and which is planted in its place; tests/slips/<notebook>.noticed.json, written by
`make slips`, says which check noticed it.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime
import random
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.files import BookError, choose, read_json, write_json
from scripts.notebook_files import ROOT, all_notebooks

FOLDER = ROOT / "tests" / "slips"

KINDS = ("loss", "draws", "input", "constructor", "sampler", "evaluation", "split", "figure")
BUDGETS = ("quick", "tiny")


@dataclass(frozen=True)
class Slip:
    """One entry of a catalogue.

    name: a few words, unlike the others'; found: text that stands exactly once in the notebook's
    code cells; planted: the text in its place; wrong: one sentence on what goes wrong; sees: one
    sentence on what a reader sees of it; kind: one of KINDS; budget: "tiny" for slips in branches
    that only full runs take; needs: texts of cells that must run although the names do not show
    it; crash: whether a plain error (TypeError, say) counts as noticed, too.
    """

    name: str
    found: str
    planted: str
    wrong: str
    sees: str
    kind: str
    budget: str = "quick"
    needs: tuple[str, ...] = ()
    crash: bool = False


def path_of(notebook: Path) -> Path:
    """The catalogue of a notebook."""
    return FOLDER / f"{notebook.stem}.toml"


def read(path: Path) -> list[Slip]:
    """The slips of a catalogue; raises BookError when an entry is not as it should be."""
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("slip", [])
    except (FileNotFoundError, tomllib.TOMLDecodeError) as error:
        raise BookError(f"{path.name} in tests/slips cannot be read: {error}.") from error
    slips = [_slip(entry, f"{path.name}, entry {i + 1}") for i, entry in enumerate(entries)]
    names = [slip.name for slip in slips]
    double = {name for name in names if names.count(name) > 1}
    if double:
        raise BookError(f"{path.name}: two slips are named {double.pop()!r}.")
    return slips


def _slip(entry: dict[str, Any], where: str) -> Slip:
    fields = {field.name: field for field in dataclasses.fields(Slip)}
    for key in entry:
        choose(f"key of a slip ({where})", key, fields)
    missing = [
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and not str(entry.get(name, "")).strip()
    ]
    if missing and missing != ["planted"]:  # planting nothing takes the found text out
        raise BookError(f"{where}: {', '.join(missing)} missing.")
    choose(f"kind of slip ({where})", entry["kind"], KINDS)
    choose(f"budget of a slip ({where})", entry.get("budget", "quick"), BUDGETS)
    if entry["found"] == entry.get("planted"):
        raise BookError(f"{where}: what is planted is what was found.")
    return Slip(**{"planted": "", **entry, "needs": tuple(entry.get("needs", ()))})


def cell_with(notebook: Any, text: str) -> int:
    """The index of the code cell with `text`; BookError unless it stands exactly once in all."""
    counts = {
        index: cell.source.count(text)
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and text in cell.source
    }
    total = sum(counts.values())
    if total != 1:
        raise BookError(f"This text stands {total} times in the code cells, not once: {text!r}.")
    return next(iter(counts))


def plant(notebook: Any, slip: Slip) -> tuple[Any, int]:
    """A copy of the notebook with the slip in it, and the index of the changed cell."""
    index = cell_with(notebook, slip.found)
    planted = copy.deepcopy(notebook)
    planted.cells[index].source = planted.cells[index].source.replace(slip.found, slip.planted)
    return planted, index


def notebooks_with_slips() -> list[Path]:
    """The notebooks that have a catalogue, in the order of the book."""
    return [path for path in all_notebooks() if path_of(path).exists()]


def drawn(items: Sequence[Any], count: int, name: str, day: str | None = None) -> list[Any]:
    """`count` of the items, drawn by the date (day: YYYY-MM-DD, today by default) and `name`."""
    day = day or datetime.date.today().isoformat()
    return random.Random(f"{day} {name}").sample(list(items), min(count, len(items)))


def _noticed_path(notebook: str) -> Path:
    return FOLDER / f"{notebook}.noticed.json"


def read_noticed(notebook: str) -> dict[str, dict[str, str]]:
    """Which check noticed each slip, by name: {"check": its text, "heading": where it stands}."""
    path = _noticed_path(notebook)
    return read_json(path) if path.exists() else {}


def write_noticed(notebook: str, noticed: dict[str, dict[str, str]], slips: Sequence[Slip]) -> None:
    """Keep what noticed these slips, in the order of the catalogue, beside what is known."""
    known = read_noticed(notebook) | noticed
    ordered = {slip.name: known[slip.name] for slip in slips if slip.name in known}
    if ordered != read_noticed(notebook):
        write_json(_noticed_path(notebook), ordered)
