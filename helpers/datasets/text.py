"""Texts: plays, recipes, reviews."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.datasets import sources
from helpers.datasets.formats import damaged, read_packed_json
from helpers.datasets.registry import find
from helpers.datasets.splits import TINY, TINY_NOTE, counts, hold_out, is_tiny
from helpers.files import reading

MISSING = ("", "nan", "none", "null", "n/a", "na")
"""How tables write that a value is not known, in small letters."""


TINY_LENGTH = 20_000  # characters of each text under the budget tiny


@dataclass(frozen=True, eq=False, repr=False)
class TextSet:
    """Texts: plays, recipes, reviews. `train` and `test` hold whole documents, in a fixed order."""

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    titles_train: tuple[str, ...]
    titles_test: tuple[str, ...]
    source: str

    def __repr__(self) -> str:
        characters = sum(map(len, self.train + self.test))
        size = f"{counts(self.train, self.test)} texts, {characters:,} characters"
        return f"{self.name}: {size}, {self.source}"


@reading()
def load_text(name: str, *, verbose: bool = True) -> TextSet:
    """Load shakespeare, tiny_shakespeare, recipes or wine_reviews, and print one line about it.

    tiny_shakespeare is one text, of which the last tenth is for testing. Of recipes and
    wine_reviews every tenth is for testing. Raises DatasetUnavailable for a set that is neither
    here nor reachable, and BookError for damaged files.
    """
    entry = find(name, "text")
    if name == "shakespeare":
        plays = read_packed_json(sources.embedded_file(entry, entry.files[0]))
        train = [(play["title"], play["text"]) for play in plays if not play["test"]]
        test = [(play["title"], play["text"]) for play in plays if play["test"]]
        source = sources.embedded_source(entry)
    elif name == "tiny_shakespeare":
        path = sources.fetch(entry.files[0], name)
        text = _decode(path, path.read_bytes())
        border = len(text) * 9 // 10
        train, test = [("first nine tenths", text[:border])], [("last tenth", text[border:])]
        source = f"{entry.publisher}, {entry.licence}; {sources.VERIFIED}"
    else:
        path = sources.named_file(entry)
        texts, note = (read_recipes if name == "recipes" else read_wine_reviews)(path)
        train, test = hold_out(texts)
        source = f"{path.name}, {entry.publisher}, {entry.licence}; {note}"
    if is_tiny():
        train, test = _few(train, TINY[0]), _few(test, TINY[1])
        source += TINY_NOTE
    titles_train, texts_train = zip(*train, strict=True)
    titles_test, texts_test = zip(*test, strict=True)
    loaded = TextSet(name, texts_train, texts_test, titles_train, titles_test, source)
    if verbose:
        print(loaded)
    return loaded


def _few(texts: list[tuple[str, str]], limit: int) -> list[tuple[str, str]]:
    """The beginnings of the first texts."""
    return [(title, text[:TINY_LENGTH]) for title, text in texts[:limit]]


def _decode(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except ValueError as error:
        raise damaged(path, f"it is not text in UTF-8: {error}") from error


def _kept(texts: dict[str, str], rows: int, missing: int, lacking: str) -> str:
    """The note that accounts for every row of a table: kept, incomplete or repeated."""
    left_out = [f"{missing:,} without {lacking}"] if missing else []
    repeated = rows - missing - len(texts)
    left_out += [f"{repeated:,} repeated"] if repeated else []
    note = f"{len(texts):,} of {rows:,} kept" + "".join(f", {part}" for part in left_out)
    return f"{note}; {sources.UNKNOWN}"


def read_recipes(path: Path) -> tuple[list[tuple[str, str]], str]:
    """The (title, text) of each whole recipe in epirecipes' full_format_recipes.json, and a note.

    The text is the title, then one line per step. Recipes without a title or without steps, and
    repeated ones, are left out; the note counts them. A file with one JSON object per line is read
    too, gzipped or not.
    """
    found: dict[str, str] = {}  # text -> title; a dict keeps the order and drops repeats
    rows, missing = 0, 0
    for rows, row in enumerate(_json_rows(path), start=1):
        title, steps = _recipe(path, rows, row)
        if title and steps:
            found["\n".join([title, *steps])] = title
        else:
            missing += 1
    note = _kept(found, rows, missing, "title or steps")
    return [(title, text) for text, title in found.items()], note


def _json_rows(path: Path) -> Iterator[Any]:
    """The rows of a JSON file: those of one list, or one on each line."""
    content = path.read_bytes()
    try:
        text = _decode(path, gzip.decompress(content) if path.suffix == ".gz" else content)
        if text.lstrip().startswith("["):
            yield from json.loads(text)
        else:
            yield from map(json.loads, filter(str.strip, text.split("\n")))
    except (OSError, ValueError, EOFError, RecursionError, zlib.error) as error:
        raise damaged(path, error) from error


def _recipe(path: Path, number: int, row: Any) -> tuple[str, list[str]]:
    """The title and the steps of one row, which may be empty; `number` is for the message."""
    if not isinstance(row, dict):
        raise damaged(path, f"recipe {number:,} is {str(row)[:40]!r}, not an object")
    title, steps = row.get("title"), row.get("directions")
    if isinstance(steps, str):  # a text where a list is meant
        steps = steps.splitlines()
    steps = [] if _is_missing(steps) else steps
    if not isinstance(steps, list):
        raise damaged(path, f"recipe {number:,} has the directions {str(steps)[:40]!r}")
    words = []
    for value in [title, *steps]:
        if not isinstance(value, str) and not _is_missing(value):
            raise damaged(path, f"recipe {number:,} has {str(value)[:40]!r} where a text is meant")
        words.append("" if _is_missing(value) else " ".join(value.split()))
    return words[0], [step for step in words[1:] if step]


def _is_missing(value: Any) -> bool:
    """True for None, NaN and the words that stand for them."""
    if isinstance(value, str):
        return value.strip().lower() in MISSING
    return value is None or value != value  # only NaN differs from itself


def read_wine_reviews(path: Path) -> tuple[list[tuple[str, str]], str]:
    """The (title, text) of each review in winemag-data-130k-v2.csv, and a note.

    The text is "country, province, variety: description". Reviews that lack one of the four, and
    repeated ones, are left out; the note counts them. Raises BookError for a row with too many or
    too few values, and for a quote that does not end, which would swallow the rows after it.
    """
    wanted = ("country", "province", "variety", "description")
    found: dict[str, str] = {}  # text -> title
    rows, missing = 0, 0
    for rows, row in enumerate(_csv_rows(path, wanted), start=1):  # noqa: B007
        values = [" ".join(row[key].split()) for key in wanted]
        if any(map(_is_missing, values)):
            missing += 1
            continue
        country, province, variety, review = values
        found.setdefault(f"{country}, {province}, {variety}: {review}", row.get("title", ""))
    note = _kept(found, rows, missing, "country, province, variety or description")
    return [(title, text) for text, title in found.items()], note


def _csv_rows(path: Path, wanted: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """The rows of a CSV file by the names of its columns, which are compared in small letters."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as stream:
            table = csv.reader(stream, strict=True)
            header = [name.strip().lower() for name in next(table, [])]
            lacking = [name for name in sorted(wanted) if header.count(name) != 1]
            if lacking:
                raise damaged(path, f"no column {', '.join(lacking)}, or two of them")
            for row in table:
                if row and len(row) != len(header):
                    problem = f"{len(row)} values instead of {len(header)} up to line "
                    raise damaged(path, f"{problem}{table.line_num:,}: is a quote missing there?")
                if row:
                    yield dict(zip(header, row, strict=True))
    except (ValueError, EOFError, zlib.error, csv.Error, gzip.BadGzipFile) as error:
        raise damaged(path, f"up to line {table.line_num:,}: {error}") from error
