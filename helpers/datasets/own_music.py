"""The reader's own music: a MIDI file, or a folder of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from helpers.datasets import midi
from helpers.datasets.families import TEST_SHARE, families, held_out
from helpers.datasets.sources import DatasetUnavailable
from helpers.files import BookError, own_path

SHARED_RUN = 20  # intervals in a row that make two pieces relatives, as in the embedded tunes
STEPS_PER_QUARTER = 4
FILE_LIMIT = 5_000  # files that are read from one folder

Piece = TypeVar("Piece")


def midi_files(path: str) -> list[Path]:
    """The MIDI files of a reader's folder, sub-folders included, or the one file that it names."""
    place = own_path(path)
    if not place.exists():
        raise DatasetUnavailable(f"There is no folder or MIDI file {place}: check the path.")
    if place.is_file():
        return [place]
    found = [file for file in sorted(place.rglob("*")) if is_midi(file)]
    if not found:
        raise BookError(f"{place} has no MIDI files: put files that end in .mid or .midi there.")
    if len(found) > FILE_LIMIT:
        raise BookError(
            f"{place} has {len(found):,} MIDI files: name a folder of {FILE_LIMIT:,} at most."
        )
    return found


def is_midi(path: Path) -> bool:
    """True for MIDI files; not for the hidden ones that some systems put beside a file."""
    return path.suffix.lower() in (".mid", ".midi") and not path.name.startswith(".")


def read_all(
    paths: Sequence[Path], read: Callable[[Path], Piece]
) -> tuple[list[tuple[Path, Piece]], str]:
    """What `read` makes of each file, and a note that counts those that it refuses.

    A single file that is refused, and a folder in which all are, raise BookError.
    """
    found: list[tuple[Path, Piece]] = []
    refused: list[BookError] = []
    for path in paths:
        try:
            found.append((path, read(path)))
        except BookError as error:
            refused.append(error)
    if not found:
        if len(paths) == 1:
            raise refused[0]
        raise BookError(
            f"None of the {len(paths):,} MIDI files in {paths[0].parent} can be used; of the "
            f"first: {refused[0]}"
        )
    note = f"{len(found):,} MIDI files of the reader's own"
    if refused:
        note = f"{len(found):,} of {len(paths):,} MIDI files of the reader's own, "
        note += f"{len(refused):,} skipped (first: {str(refused[0]).rstrip('.')})"
    return found, note


def split(
    titles: Sequence[str], melodies: Sequence[Sequence[int]], contents: Sequence[Hashable]
) -> tuple[list[int], list[int], int]:
    """The numbers of the pieces for training and for testing, and of the repeats left out.

    melodies: the pitches of each piece without rests. contents: the whole piece without its key; of
    pieces with equal contents the first is kept. Pieces with one title, or with 20 intervals in a
    row in common, are on one side; every tenth family of such pieces is for testing, or the last
    of fewer.
    """
    kept: list[int] = []
    seen: set[Hashable] = set()
    marks: list[set[object]] = []
    for number, (title, melody, content) in enumerate(zip(titles, melodies, contents, strict=True)):
        if content in seen:
            continue
        seen.add(content)
        kept.append(number)
        steps = tuple(after - before for before, after in itertools.pairwise(melody))
        runs = {steps[at : at + SHARED_RUN] for at in range(len(steps) - SHARED_RUN + 1)}
        marks.append(runs | {" ".join(title.lower().split()), steps})
    family_of = families(marks)
    count = len(set(family_of))
    if count < 2:
        raise BookError(
            f"All of the {len(titles):,} pieces are versions of one, so that none can be held out "
            "for testing: add other pieces."
        )
    few = [family == max(family_of) for family in family_of]  # with fewer than ten, the last one
    held = few if count < TEST_SHARE else held_out(family_of)
    train = [number for number, is_test in zip(kept, held, strict=True) if not is_test]
    test = [number for number, is_test in zip(kept, held, strict=True) if is_test]
    return train, test, len(titles) - len(kept)


def without_key(pitches: np.ndarray) -> bytes:
    """Pitches, of which 0 is a rest, as far from the first note: the same in every key."""
    sounding = pitches[pitches > 0]
    first = int(sounding[0]) if len(sounding) else 0
    return np.where(pitches > 0, pitches.astype(np.int16) - first, -999).tobytes()


def read_grid(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pitches uint8 and onsets bool [steps, 4] of a MIDI file with four tracks of notes.

    Times are rounded to sixteenths from the first note on. The tracks are sorted from high to low
    by their mean pitch; of several notes at once in a track the highest counts. A note shorter than
    half a sixteenth lasts one. BookError for another number of tracks, and for very long files.
    """
    division, tracks = midi.read_tracks(path)
    sounding = [track for track in tracks if track]
    if len(sounding) != 4:
        raise BookError(
            f"{path.name} in {path.parent} has {len(sounding)} tracks with notes instead of four, "
            "one a voice: leave it out."
        )
    sounding.sort(key=lambda track: -float(np.mean([pitch for _, _, pitch in track])))
    first = min(start for track in sounding for start, _, _ in track)
    scale = STEPS_PER_QUARTER / division
    steps = max(
        max(round((end - first) * scale), round((start - first) * scale) + 1)
        for track in sounding for start, end, _ in track
    )  # fmt: skip
    if steps > midi.LONGEST:
        raise BookError(
            f"{path.name} in {path.parent} has {steps:,} sixteenths: leave it out, or cut a "
            "silence."
        )
    pitches, onsets = np.zeros((steps, 4), np.uint8), np.zeros((steps, 4), bool)
    for voice, track in enumerate(sounding):
        moved = [(start - first, end - first, pitch) for start, end, pitch in track]
        place = round(moved[0][0] * scale)
        for pitch, length in midi.top_line(moved, scale).tolist():
            pitches[place : place + length, voice] = pitch
            onsets[place, voice] = pitch > 0
            place += length
    return pitches, onsets
