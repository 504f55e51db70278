"""Folk tunes of one voice from music21's corpus."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

from helpers.datasets.families import families, held_out
from scripts.rebuild.packing import package_folder, write_packed_json
from scripts.rebuild.scores import intervals, key_name, meter_of, notes_of, pickup_of, scores_in

TICKS_PER_QUARTER = 24
TUNE_BOOKS = {
    "oneills1850": "O'Neill, Music of Ireland, 1903",
    "ryansMammoth": "Ryan's Mammoth Collection, 1883",
    "airdsAirs": "Aird's Airs, 1782-1801",
}
SHARED_RUN = 20  # intervals in a row that make two tunes relatives


def whole(number: Fraction) -> int | None:
    """The number as an int if it is whole."""
    return number.numerator if number.denominator == 1 else None


def read_tunes(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Parse ABC files; tunes of several voices or meters are left out."""
    tunes = []
    for path in paths:
        for score in scores_in(path):
            parts = list(score.parts)
            meter = meter_of(parts[0]) if len(parts) == 1 else ""
            if not meter:
                continue
            tunes.append(
                {
                    "title": " ".join(str(score.metadata.title or "").split()),
                    "book": TUNE_BOOKS[path.parent.name],
                    "meter": meter,
                    "key": key_name(parts[0]),
                    "pickup": pickup_of(parts[0]),
                    "notes": [(pitch, length) for pitch, _, length in notes_of(parts[0])],
                }
            )
    return tunes


def tune_row(tune: dict[str, Any]) -> list[Any] | None:
    """[title, book, meter, key, pickup, pitches, lengths], or None for a tune that is left out.

    The pickup and the lengths are in ticks; of a pickup that is longer than a bar, whole bars are
    taken away. Left out are tunes of fewer than 16 notes, without a
    title, outside of MIDI 48 to 96, and with lengths or a pickup that are not whole ticks.
    """
    pickup = whole(tune["pickup"] * TICKS_PER_QUARTER)
    lengths = [whole(length * TICKS_PER_QUARTER) for _, length in tune["notes"]]
    pitches = [pitch for pitch, _ in tune["notes"]]
    sounding = [pitch for pitch in pitches if pitch]
    title = tune["title"].rstrip(" .,")
    if pickup is None or None in lengths or len(sounding) < 16 or not title:
        return None
    if min(sounding) < 48 or max(sounding) > 96:
        return None
    beats, unit = map(int, tune["meter"].split("/"))
    pickup %= beats * 4 * TICKS_PER_QUARTER // unit
    return [title, tune["book"], tune["meter"], tune["key"], pickup, pitches, lengths]


def arrange_tunes(tunes: list[dict[str, Any]]) -> list[list[Any]]:
    """The rows of the token file, without repeats, with related tunes on one side of the split.

    Two tunes are related if their titles are the same but for case, articles and punctuation, or
    if they share 20 intervals in a row.
    """
    rows, seen = [], set()
    for row in filter(None, map(tune_row, tunes)):
        content = (intervals(row[5]), tuple(row[6]))
        if content not in seen:
            seen.add(content)
            rows.append(row)
    marks = []
    for row in rows:
        steps = intervals(row[5])
        runs = {steps[at : at + SHARED_RUN] for at in range(len(steps) - SHARED_RUN + 1)}
        words = re.sub(r"[^a-z ]", "", row[0].lower()).split()
        marks.append(runs | {" ".join(word for word in words if word not in ("the", "a", "an"))})
    return [[*row[:4], int(test), *row[4:]]
            for row, test in zip(rows, held_out(families(marks)), strict=True)]  # fmt: skip


def build(folder: Path) -> None:
    """Folk tunes of one voice from three books in music21's corpus."""
    corpus = package_folder("music21") / "corpus"
    paths = [path for book in TUNE_BOOKS for path in sorted((corpus / book).glob("*.abc"))]
    rows = arrange_tunes(read_tunes(paths))
    write_packed_json(
        folder / "tunes.json.xz", {"ticks_per_quarter": TICKS_PER_QUARTER, "tunes": rows}
    )
