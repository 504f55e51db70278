"""Read scores with music21: what tunes and chorales share."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any


def scores_in(path: Path) -> Iterable[Any]:
    """The scores of a music file, parsed afresh."""
    from music21 import converter, stream

    parsed = converter.parse(path, forceSource=True, storePickle=False)
    return list(parsed.scores) if isinstance(parsed, stream.Opus) else [parsed]


def notes_of(part: Any) -> list[tuple[int, Fraction, Fraction]]:
    """(MIDI pitch or 0, start, length) in quarters: of a chord the top note, tied notes as one.

    Grace notes and names of chords are left out. Only equal pitches are joined: some transcribers
    write the sign of a tie between different notes, for a slur.
    """
    from music21.harmony import Harmony

    notes: list[tuple[int, Fraction, Fraction]] = []
    tied = False  # does the last note want to go on?
    for element in part.flatten().notesAndRests:
        if isinstance(element, Harmony) or element.quarterLength == 0:
            continue
        pitch = 0 if element.isRest else max(one.midi for one in element.pitches)
        start, length = Fraction(element.offset), Fraction(element.quarterLength)
        if tied and pitch == notes[-1][0] and start == notes[-1][1] + notes[-1][2]:
            notes[-1] = (pitch, notes[-1][1], notes[-1][2] + length)
        else:
            notes.append((pitch, start, length))
        tied = element.tie is not None and element.tie.type in ("start", "continue")
    return notes


def key_name(part: Any) -> str:
    """The first key of a part, e.g. "G major"; "" if only a number of sharps or flats is given."""
    keys = list(part.flatten().getElementsByClass("Key"))
    return f"{keys[0].tonic.name.replace('-', 'b')} {keys[0].mode}" if keys else ""


def meter_of(part: Any) -> str:
    """The meter of a part, e.g. "6/8"; "" if there are several.

    music21 may give an upbeat a meter of its own; what lasts less than a bar does not count.
    """
    flat = part.flatten()
    signs = list(flat.getElementsByClass("TimeSignature"))
    bar = max((sign.barDuration.quarterLength for sign in signs), default=0)
    ends = [*(sign.offset for sign in signs[1:]), flat.highestTime]
    lasting = {
        sign.ratioString for sign, end in zip(signs, ends, strict=True) if end - sign.offset >= bar
    }
    return lasting.pop() if len(lasting) == 1 else ""


def pickup_of(part: Any) -> Fraction:
    """How long a part plays before its first bar line, in quarters; 0 for a whole first bar."""
    first_bar = part.getElementsByClass("Measure").first()
    if first_bar is None or not first_bar.paddingLeft:
        return Fraction(0)
    return Fraction(first_bar.quarterLength)


def intervals(pitches: Iterable[int]) -> tuple[int, ...]:
    """The steps from note to note, rests left out: the same for every transposition."""
    sounding = [pitch for pitch in pitches if pitch]
    return tuple(after - before for before, after in itertools.pairwise(sounding))
