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

from helpers.datasets import midi, sources
from helpers.datasets.formats import Arrays, damaged, read_arrays, read_packed_json
from helpers.datasets.registry import find
from helpers.datasets.splits import TINY, TINY_NOTE, counts, hold_out, is_tiny
from helpers.files import reading


class Tune(NamedTuple):
    """A melody. `notes` is int16 [notes, 2]: MIDI pitch (0 is a rest) and length in ticks.

    `meter` is e.g. "6/8", `key` e.g. "G major"; both are "" where the source does not say.
    """

    title: str
    book: str
    meter: str
    key: str
    notes: np.ndarray


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
    """Load tunes or cello_suites, and print one line about it."""
    entry = find(name, "tunes")
    if name == "tunes":
        content = read_packed_json(sources.embedded_file(entry, entry.files[0]))
        ticks = content["ticks_per_quarter"]
        parts: dict[bool, list[Tune]] = {False: [], True: []}
        for title, book, meter, key, test, pitches, lengths in content["tunes"]:
            notes = np.array([pitches, lengths], np.int16).T.copy()
            parts[bool(test)].append(Tune(title, book, meter, key, notes))
        train, test_tunes = parts[False], parts[True]
        source = sources.embedded_source(entry)
    else:
        ticks = midi.TICKS_PER_QUARTER
        folder = sources.named_folder(entry, "the MIDI files cs1-1pre.mid to cs6-6gig.mid")
        paths = [path for path in sorted(folder.rglob("*")) if _is_midi(path)]
        if len(paths) < 2:
            raise sources.DatasetUnavailable(
                f"{folder} has fewer than two MIDI files: see {entry.url}."
            )
        train, test_tunes = hold_out(
            [Tune(path.stem, "", "", "", midi.read_melody(path)) for path in paths]
        )
        source = f"{len(paths)} MIDI files, {entry.publisher}; {sources.UNKNOWN}"
    if is_tiny():
        train, test_tunes, source = train[: TINY[0]], test_tunes[: TINY[1]], source + TINY_NOTE
    tunes = TuneSet(name, tuple(train), tuple(test_tunes), ticks, source)
    if verbose:
        print(tunes)
    return tunes


def _is_midi(path: Path) -> bool:
    """True for MIDI files; not for the hidden ones that some systems put beside a file."""
    return path.suffix.lower() in (".mid", ".midi") and not path.name.startswith(".")


@reading()
def load_chorales(name: str = "chorales", *, verbose: bool = True) -> ChoraleSet:
    """Load chorales or jsb_chorales, and print one line about it.

    jsb_chorales does not tell a held note from a repeated one: its onsets mark changes of pitch. It
    also has no keys, meters or pickups; its validation part is in `train`.
    """
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
    if is_tiny():
        train, test, source = train[: TINY[0]], test[: TINY[1]], source + TINY_NOTE
    chorales = ChoraleSet(name, tuple(train), tuple(test), source)
    if verbose:
        print(chorales)
    return chorales


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
