"""Chorales by J. S. Bach from music21's corpus, on a grid of sixteenths."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from helpers.datasets.families import families, held_out
from helpers.files import atomic_path
from scripts.rebuild.packing import package_folder
from scripts.rebuild.scores import intervals, key_name, meter_of, notes_of, pickup_of, scores_in

STEPS_PER_QUARTER = 4
SHARED_STEPS = 12  # in a row, that make two chorales relatives


def read_chorales(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Parse the files that have four voices."""
    chorales = []
    for path in paths:
        (score,) = scores_in(path)
        parts = list(score.parts)
        if len(parts) != 4:
            continue
        chorales.append(
            {
                "title": path.stem.replace("bwv", "BWV "),
                "key": key_name(parts[0]) or key_name_by_ear(score),
                "meter": meter_of(parts[0]),
                "pickup": pickup_of(parts[0]),
                "voices": [notes_of(part) for part in parts],
            }
        )
    return chorales


def key_name_by_ear(score: Any) -> str:
    """The key by music21's analysis of the pitches that sound, where the file names none."""
    key = score.analyze("key")
    return f"{key.tonic.name.replace('-', 'b')} {key.mode}"


def grid(voices: list[list[tuple[int, Fraction, Fraction]]]) -> tuple[np.ndarray, np.ndarray]:
    """Pitches uint8 [steps, 4] and onsets bool [steps, 4] of four voices on sixteenths.

    A step holds the note that sounds at its beginning, so shorter notes between steps are lost.
    """
    end = max(start + length for voice in voices for _, start, length in voice)
    steps = math.ceil(end * STEPS_PER_QUARTER)
    pitches, onsets = np.zeros((steps, 4), np.uint8), np.zeros((steps, 4), bool)
    for number, voice in enumerate(voices):
        for pitch, start, length in voice:
            first = math.ceil(start * STEPS_PER_QUARTER)
            last = math.ceil((start + length) * STEPS_PER_QUARTER)
            pitches[first:last, number] = pitch
            onsets[first : min(first + 1, last), number] = pitch > 0
    return pitches, onsets


def melody_marks(pitches: np.ndarray, onsets: np.ndarray, pickup: Fraction) -> set[tuple[int, ...]]:
    """What settings of one melody share, in any key: the steps of the soprano.

    Its first twelve steps from note to note; and every twelve steps in a row between the notes that
    sound on the beats. The beats see through ornaments: with the beginnings alone, 5 of 33 test
    chorales had most of their melody in a training chorale too.
    """
    soprano = pitches[:, 0].tolist()
    beginning = intervals(itertools.compress(soprano, onsets[:, 0]))[:SHARED_STEPS]
    first_beat = math.ceil(pickup * STEPS_PER_QUARTER) % STEPS_PER_QUARTER
    on_beats = intervals(soprano[first_beat::STEPS_PER_QUARTER])
    moves = tuple(step for step in on_beats if step)
    runs = (moves[at : at + SHARED_STEPS] for at in range(len(moves) - SHARED_STEPS + 1))
    return {beginning, *runs}


def arrange_chorales(chorales: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """The arrays of the chorales' file: grids one after the other, and a row for each chorale.

    Left out are repeats and pieces that are not chorales: a voice silent for a tenth of the time.
    Settings of one melody are on one side of the split.
    """
    kept, grids, seen, marks = [], [], set(), []
    for chorale in chorales:
        pitches, onsets = grid(chorale["voices"])
        content = pitches.tobytes()
        if content in seen or (pitches == 0).mean(axis=0).max() > 0.1:
            continue
        seen.add(content)
        kept.append(chorale)
        grids.append((pitches, onsets))
        marks.append(melody_marks(pitches, onsets, chorale["pickup"]))
    lengths = [len(pitches) for pitches, _ in grids]
    return {
        "titles": np.array([chorale["title"] for chorale in kept]),
        "keys": np.array([chorale["key"] for chorale in kept]),
        "meters": np.array([chorale["meter"] for chorale in kept]),
        "pickups": np.array(
            [math.ceil(chorale["pickup"] * STEPS_PER_QUARTER) for chorale in kept], np.uint8
        ),
        "test": np.array(held_out(families(marks))),
        "borders": np.cumsum([0, *lengths], dtype=np.int32),
        "pitches": np.concatenate([pitches for pitches, _ in grids]),
        "onsets": np.concatenate([onsets for _, onsets in grids]),
    }


def build(folder: Path) -> None:
    """Four-part chorales by J. S. Bach from music21's corpus.

    Its three Humdrum files (.krn) are left out, because they reserve all rights.
    """
    source = package_folder("music21") / "corpus" / "bach"
    paths = sorted(path for path in source.glob("bwv*") if path.suffix in (".mxl", ".xml"))
    with atomic_path(folder / "chorales.npz") as temporary:
        np.savez_compressed(temporary, **arrange_chorales(read_chorales(paths)))
