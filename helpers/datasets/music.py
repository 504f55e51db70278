"""Music: melodies, and chorales for four voices."""

from __future__ import annotations

import io
import pickletools
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from helpers.datasets import midi, own_music, sources
from helpers.datasets.formats import Arrays, damaged, read_arrays, read_packed_json
from helpers.datasets.registry import find
from helpers.datasets.splits import TINY, TINY_NOTE, counts, hold_out, is_tiny
from helpers.files import BookError, reading


class Tune(NamedTuple):
    """A melody. `notes` is int16 [notes, 2]: MIDI pitch (0 is a rest) and length in ticks.

    `meter` is e.g. "6/8", `key` e.g. "G major"; both are "" where the source does not say.
    `pickup` is the number of ticks before the first bar line, 0 if that is not known.
    """

    title: str
    book: str
    meter: str
    key: str
    notes: np.ndarray
    pickup: int = 0


@dataclass(frozen=True, eq=False, repr=False)
class TuneSet:
    """Melodies of one voice; `ticks_per_quarter` is the unit of their notes' lengths."""

    name: str
    train: tuple[Tune, ...]
    test: tuple[Tune, ...]
    ticks_per_quarter: int
    source: str

    def __repr__(self) -> str:
        notes = sum(len(tune.notes) for tune in self.train + self.test)
        size = f"{counts(self.train, self.test)} tunes, {notes:,} notes"
        return f"{self.name}: {size}, {self.source}"


class Chorale(NamedTuple):
    """Four voices (soprano, alto, tenor, bass) on a grid of sixteenths.

    pitches: uint8 [steps, 4], MIDI pitch, 0 for a rest.
    onsets: bool [steps, 4], True where a note begins, so that a held note differs from a repeat.
    pickup: the number of steps before the first bar line.
    """

    title: str
    key: str
    meter: str
    pickup: int
    pitches: np.ndarray
    onsets: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class ChoraleSet:
    """Chorales for four voices."""

    name: str
    train: tuple[Chorale, ...]
    test: tuple[Chorale, ...]
    source: str

    def __repr__(self) -> str:
        steps = sum(len(chorale.pitches) for chorale in self.train + self.test)
        size = f"{counts(self.train, self.test)} chorales, {steps:,} sixteenths x 4 voices"
        return f"{self.name}: {size}, {self.source}"


@reading()
def load_tunes(name: str = "tunes", *, verbose: bool = True) -> TuneSet:
    """Load tunes, cello_suites or "folder:PATH", and print one line about it.

    PATH is the reader's own MIDI file or folder: the top line of each file. Files that cannot be
    read are skipped and counted; of one file the last tenth of its notes is for testing. Pieces
    that share a title or 20 intervals in a row, in any key, are on one side of the split.
    """
    if name.startswith("folder:"):
        train, test_tunes, source = _own_tunes(name.removeprefix("folder:"))
        return _tune_set(name, train, test_tunes, midi.TICKS_PER_QUARTER, source, verbose)
    entry = find(name, "tunes")
    if name == "tunes":
        content = read_packed_json(sources.embedded_file(entry, entry.files[0]))
        ticks = content["ticks_per_quarter"]
        parts: dict[bool, list[Tune]] = {False: [], True: []}
        for title, book, meter, key, test, pickup, pitches, lengths in content["tunes"]:
            notes = np.array([pitches, lengths], np.int16).T.copy()
            parts[bool(test)].append(Tune(title, book, meter, key, notes, pickup))
        train, test_tunes = parts[False], parts[True]
        source = sources.embedded_source(entry)
    else:
        ticks = midi.TICKS_PER_QUARTER
        folder = sources.named_folder(entry, "the MIDI files cs1-1pre.mid to cs6-6gig.mid")
        paths = [path for path in sorted(folder.rglob("*")) if own_music.is_midi(path)]
        if len(paths) < 2:
            raise sources.DatasetUnavailable(
                f"{folder} has fewer than two MIDI files: see {entry.url}."
            )
        train, test_tunes = hold_out(
            [Tune(path.stem, "", "", "", midi.read_melody(path)) for path in paths]
        )
        source = f"{len(paths)} MIDI files, {entry.publisher}; {sources.UNKNOWN}"
    return _tune_set(name, train, test_tunes, ticks, source, verbose)


def _tune_set(
    name: str, train: list[Tune], test: list[Tune], ticks: int, source: str, verbose: bool
) -> TuneSet:
    """The set of these tunes, cut under the budget tiny; prints its line."""
    if is_tiny():
        train, test, source = train[: TINY[0]], test[: TINY[1]], source + TINY_NOTE
    tunes = TuneSet(name, tuple(train), tuple(test), ticks, source)
    if verbose:
        print(tunes)
    return tunes


def _own_tunes(path: str) -> tuple[list[Tune], list[Tune], str]:
    """The reader's own melodies: for training, for testing, and what the printed line says."""
    found, note = own_music.read_all(own_music.midi_files(path), midi.read_melody)
    if len(found) == 1:
        (file, notes), border = found[0], len(found[0][1]) * 9 // 10
        if border < 1:
            raise BookError(f"{file.name} in {file.parent} has one note: choose a longer piece.")
        parts = (notes[:border], notes[border:])
        train, test = ([Tune(file.stem, "", "", "", part)] for part in parts)
        return train, test, note.replace("files", "file") + ", its last tenth for testing"
    tunes = [Tune(file.stem, "", "", "", notes) for file, notes in found]
    numbers, held, repeats = own_music.split(
        [tune.title for tune in tunes],
        [[pitch for pitch in tune.notes[:, 0].tolist() if pitch] for tune in tunes],
        [own_music.without_key(tune.notes[:, 0]) + tune.notes[:, 1].tobytes() for tune in tunes],
    )
    if repeats:
        note += f", {repeats:,} repeated"
    return [tunes[number] for number in numbers], [tunes[number] for number in held], note


@reading()
def load_chorales(name: str = "chorales", *, verbose: bool = True) -> ChoraleSet:
    """Load chorales, jsb_chorales or "folder:PATH", and print one line about it.

    PATH is a folder of the reader's own MIDI files of four tracks, one a voice; other files are
    skipped and counted, and pieces with one melody in the top voice are on one side of the split.
    jsb_chorales does not tell a held note from a repeated one: its onsets mark changes of pitch. It
    also has no keys, meters or pickups; its validation part is in `train`.
    """
    if name.startswith("folder:"):
        train, test, source = _own_chorales(name.removeprefix("folder:"))
        return _chorale_set(name, train, test, source, verbose)
    entry = find(name, "chorales")
    if name == "chorales":
        arrays = read_arrays(sources.embedded_file(entry, entry.files[0]))
        pieces = [_chorale(arrays, number) for number in range(len(arrays["titles"]))]
        train = [piece for piece, test in zip(pieces, arrays["test"], strict=True) if not test]
        test = [piece for piece, test in zip(pieces, arrays["test"], strict=True) if test]
        source = sources.embedded_source(entry)
    else:
        found = read_jsb_chorales(sources.fetch(entry.files[0], name))
        numbered = {
            part: [_changes(f"{part} {number}", grid) for number, grid in enumerate(grids, start=1)]
            for part, grids in found.items()
        }
        train, test = numbered["train"] + numbered["valid"], numbered["test"]
        source = f"{entry.publisher}, {entry.licence}; {sources.VERIFIED}"
    return _chorale_set(name, train, test, source, verbose)


def _chorale_set(
    name: str, train: list[Chorale], test: list[Chorale], source: str, verbose: bool
) -> ChoraleSet:
    """The set of these chorales, cut under the budget tiny; prints its line."""
    if is_tiny():
        train, test, source = train[: TINY[0]], test[: TINY[1]], source + TINY_NOTE
    chorales = ChoraleSet(name, tuple(train), tuple(test), source)
    if verbose:
        print(chorales)
    return chorales


def _own_chorales(path: str) -> tuple[list[Chorale], list[Chorale], str]:
    """The reader's own pieces for four voices, and what the printed line says."""
    found, note = own_music.read_all(own_music.midi_files(path), own_music.read_grid)
    if len(found) < 2:
        raise BookError(
            f"Only {found[0][0].name} can be used, and two pieces are needed: name a folder with "
            "more MIDI files of four tracks."
        )
    pieces = [Chorale(file.stem, "", "", 0, *grid) for file, grid in found]
    numbers, held, repeats = own_music.split(
        [piece.title for piece in pieces],
        [piece.pitches[piece.onsets[:, 0], 0].tolist() for piece in pieces],
        [own_music.without_key(piece.pitches) + piece.onsets.tobytes() for piece in pieces],
    )
    if repeats:
        note += f", {repeats:,} repeated"
    return [pieces[number] for number in numbers], [pieces[number] for number in held], note


def _chorale(arrays: Arrays, number: int) -> Chorale:
    """One chorale of the embedded file, where all grids lie one after the other."""
    steps = slice(*arrays["borders"][number : number + 2])
    return Chorale(
        str(arrays["titles"][number]), str(arrays["keys"][number]), str(arrays["meters"][number]),
        int(arrays["pickups"][number]), arrays["pitches"][steps], arrays["onsets"][steps],
    )  # fmt: skip


def _changes(title: str, pitches: np.ndarray) -> Chorale:
    """A chorale whose onsets are the changes of pitch."""
    onsets = np.ones(pitches.shape, bool)
    onsets[1:] = pitches[1:] != pitches[:-1]
    return Chorale(title, "", "", 0, pitches, onsets & (pitches > 0))


def read_jsb_chorales(path: Path) -> dict[str, list[np.ndarray]]:
    """JSB chorales from Jsb16thSeparated.npz: split -> pitches uint8 [sixteenths, 4], 0 a rest.

    The arrays in that file are pickled. They are not unpickled here: the pickle's operations are
    read as data, and only the byte strings that hold the half-precision pitches are used.
    """
    found: dict[str, list[np.ndarray]] = {"train": [], "valid": [], "test": []}
    try:
        with zipfile.ZipFile(path) as archive:
            for split, pieces in found.items():
                stream = io.BytesIO(archive.read(f"{split}.npy"))
                version = np.lib.format.read_magic(stream)
                (count,), _, _ = getattr(np.lib.format, f"read_array_header_{version[0]}_0")(stream)
                pieces += map(_voices, _pickled_byte_strings(stream.read()))
                if len(pieces) != count:
                    raise ValueError(f"{len(pieces)} chorales instead of {count}")
    except (OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile, zlib.error,
            EOFError) as error:  # fmt: skip
        raise damaged(path, error) from error
    return found


def _pickled_byte_strings(pickled: bytes) -> Iterator[bytes]:
    """The byte strings in a pickle that are long enough for a step: four voices, two bytes each."""
    for operation, argument, _ in pickletools.genops(pickled):
        if operation.name in ("BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES"):
            content: Any = argument.encode("latin-1") if isinstance(argument, str) else argument
            if len(content) >= 8:
                yield content


def _voices(content: bytes) -> np.ndarray:
    if len(content) % 8:
        raise ValueError("a chorale does not have four voices")
    pitches = np.nan_to_num(np.frombuffer(content, "<f2").astype(np.float64), nan=0.0)
    pitches = np.where(pitches < 0, 0, pitches)
    if np.any((pitches > 127) | (pitches != np.round(pitches))):
        raise ValueError("a pitch is not a MIDI number")
    return pitches.astype(np.uint8).reshape(-1, 4)
