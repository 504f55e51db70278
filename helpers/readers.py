"""Read the file formats that data sets come in; nothing here runs code from a file.

Every reader raises BookError, in one sentence, for a file that is not what it should be.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from helpers.downloads import archive_members
from helpers.files import BookError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
IDX_TYPES = {0x08: np.dtype(np.uint8)}


def _damaged(path: Path, problem: object) -> BookError:
    return BookError(f"{path.name} in {path.parent} is damaged ({problem}): replace it.")


def read_idx(path: Path) -> np.ndarray:
    """Read a gzipped idx file of unsigned bytes, the format of MNIST; any shape.

    Format: two zero bytes, the type (8), the number of dimensions, each length as a big-endian
    32-bit number, then the values. http://yann.lecun.com/exdb/mnist/
    """
    try:
        content = gzip.decompress(path.read_bytes())
        zero, kind, dimensions = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{dimensions}I", content, 4)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise _damaged(path, error) from error
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions)
    if zero != 0 or kind not in IDX_TYPES or values.size != np.prod(shape, dtype=np.int64):
        raise _damaged(path, "its header and length do not agree")
    return values.reshape(shape).copy()  # a copy, because bytes cannot be written to


def read_packed(path: Path) -> bytes:
    """The content of an .xz file."""
    try:
        return lzma.decompress(path.read_bytes(), format=lzma.FORMAT_XZ)
    except FileNotFoundError as error:
        raise BookError(f"{path.name} is missing from {path.parent}: restore it.") from error
    except (OSError, lzma.LZMAError, EOFError) as error:
        raise _damaged(path, error) from error


def read_packed_array(path: Path) -> np.ndarray:
    """The array in an .npy.xz file."""
    try:
        return np.load(io.BytesIO(read_packed(path)), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise _damaged(path, error) from error


def read_packed_json(path: Path) -> Any:
    """The content of a .json.xz file."""
    try:
        return json.loads(read_packed(path))
    except ValueError as error:
        raise _damaged(path, error) from error


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file, none of them pickled."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, KeyError, AttributeError, zipfile.BadZipFile,
            zlib.error, NotImplementedError, RuntimeError, MemoryError) as error:  # fmt: skip
        raise BookError(
            f"{path.name} in {path.parent} cannot be read ({error or type(error).__name__}): "
            "delete it, and run this again."
        ) from error


def read_label_columns(folder: Path) -> tuple[int, dict[str, tuple[np.ndarray, list[str]]]]:
    """The number of training items, and attribute -> (label numbers, class names).

    Reads labels.csv (a header, then one row of integers per picture) and names.json.
    """
    path = folder / "labels.csv"
    try:
        names = json.loads((folder / "names.json").read_text(encoding="utf-8"))
        header, _, body = path.read_text(encoding="utf-8").partition("\n")
        columns = header.split(",")
        numbers = map(int, body.rstrip("\n").replace("\n", ",").split(","))
        labels = np.array(list(numbers), np.int64).reshape(-1, len(columns))
        return names["train"], {
            column: (labels[:, number].copy(), list(names["names"][column]))
            for number, column in enumerate(columns)
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error


# ---------------------------------------------------------------- pictures


def read_cifar_binary(path: Path) -> dict[str, np.ndarray]:
    """CIFAR-10 from cifar-10-binary.tar.gz: x_train, y_train, x_test, y_test.

    Each record is a label byte and 3,072 pixel bytes: 32 rows of red, then green, then blue.
    https://www.cs.toronto.edu/~kriz/cifar.html (the Python archive is pickled, so not used)
    """
    batches = dict(
        archive_members(path, lambda name: name.endswith("_batch.bin") or "data_batch_" in name)
    )
    by_name = {name.rsplit("/", 1)[-1]: content for name, content in sorted(batches.items())}
    train_names = [name for name in by_name if name.startswith("data_batch_")]
    if not train_names or "test_batch.bin" not in by_name:
        raise _damaged(path, "it has no data_batch_*.bin or no test_batch.bin")
    arrays: dict[str, np.ndarray] = {}
    for split, names in (("train", train_names), ("test", ["test_batch.bin"])):
        content = b"".join(by_name[name] for name in names)
        if not content or len(content) % 3073:
            raise _damaged(path, "a batch does not hold whole pictures")
        records = np.frombuffer(content, np.uint8).reshape(-1, 3073)
        arrays[f"x_{split}"] = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy()
        arrays[f"y_{split}"] = records[:, 0].copy()
    return arrays


def is_picture(name: str) -> bool:
    """True for the names of picture files that are not hidden."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    hidden = last.startswith(".") or "__MACOSX" in name
    return not hidden and last.lower().endswith(PICTURE_SUFFIXES)


def picture_files(
    source: Path, wanted: Callable[[str], bool] = is_picture
) -> Iterator[tuple[str, bytes]]:
    """The (relative name, content) of each wanted picture in a folder or a zip or tar archive.

    Names have forward slashes; in a folder they come sorted, in an archive as they lie.
    """
    if not source.is_dir():
        yield from archive_members(source, wanted)
        return
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source).as_posix()
        if wanted(name) and path.is_file():
            yield name, path.read_bytes()


def decode_picture(name: str, content: bytes, size: int, channels: int = 3) -> np.ndarray:
    """Decode a picture: the middle square, resized to uint8 [size, size, channels].

    Transparent parts become white, and a photograph's stored turn is applied.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(content)) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGBA")
    except (
        OSError,
        ValueError,
        SyntaxError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
    ) as error:
        raise BookError(f"{name} cannot be read as a picture ({error}): remove it.") from error
    white = Image.new("RGBA", picture.size, "white")
    flat = Image.alpha_composite(white, picture).convert("RGB" if channels == 3 else "L")
    small = ImageOps.fit(flat, (size, size), Image.Resampling.LANCZOS)
    return np.asarray(small, np.uint8).reshape(size, size, channels)


def read_matlab(path: Path, key: str) -> np.ndarray:
    """One array of whole numbers, flattened, from a Matlab 5 file."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        return np.asarray(loadmat(path, variable_names=[key])[key]).ravel().astype(np.int64)
    except (
        OSError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        NotImplementedError,
        MatReadError,
        zlib.error,
    ) as error:
        raise _damaged(path, error) from error


def read_celeba_attributes(path: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """The attribute names, and picture name -> uint8 [attributes] of zeros and ones.

    Reads the authors' list_attr_celeba.txt (a count, the names, then rows of a file name and -1/1)
    and Kaggle's list_attr_celeba.csv (the same with commas and without the count).
    """
    try:
        lines = path.read_text(encoding="utf-8").replace(",", " ").splitlines()
        if len(lines[0].split()) == 1:  # the count
            lines = lines[1:]
        names = [name for name in lines[0].split() if name != "image_id"]
        rows = (line.split() for line in lines[1:] if line.strip())
        values = {row[0]: np.array([number == "1" for number in row[1:]], np.uint8) for row in rows}
    except (OSError, ValueError, IndexError) as error:
        raise _damaged(path, error) from error
    if not names or not values or any(len(row) != len(names) for row in values.values()):
        raise _damaged(path, "its rows and its header do not agree")
    return names, values


# ---------------------------------------------------------------- text


def read_recipes(path: Path) -> list[tuple[str, str]]:
    """The (title, text) of each whole recipe in epirecipes' full_format_recipes.json.

    The text is the title, then one line per step. Recipes without a title or without steps, and
    repeated ones, are left out. A file with one JSON object per line is read too, gzipped or not.
    """
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
        rows = (
            json.loads(text)
            if text.lstrip().startswith("[")
            else map(json.loads, filter(str.strip, text.split("\n")))
        )
        found: dict[tuple[str, str], None] = {}  # a dict keeps the order and drops repeats
        for row in rows:
            title = " ".join(str(row.get("title") or "").split())
            steps = [" ".join(str(step).split()) for step in row.get("directions") or []]
            if title and any(steps):
                found[title, "\n".join([title, *filter(None, steps)])] = None
    except (OSError, ValueError, AttributeError, EOFError, zlib.error) as error:
        raise _damaged(path, error) from error
    return list(found)


def read_wine_reviews(path: Path) -> list[tuple[str, str]]:
    """The (title, text) of each review in winemag-data-130k-v2.csv.

    The text is "country, province, variety: description". Reviews that lack one of the four, and
    repeated ones, are left out.
    """
    wanted = ("country", "province", "variety", "description")
    found: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            table = csv.DictReader(stream)
            missing = set(wanted) - set(table.fieldnames or ())
            if missing:
                raise _damaged(path, f"no column {', '.join(sorted(missing))}")
            for row in table:
                country, province, variety, review = (
                    " ".join((row[key] or "").split()) for key in wanted
                )
                if country and province and variety and review:
                    text = f"{country}, {province}, {variety}: {review}"
                    found.setdefault(text, row.get("title") or "")
    except (OSError, ValueError, csv.Error) as error:
        raise _damaged(path, error) from error
    return [(title, text) for text, title in found.items()]


# ---------------------------------------------------------------- music


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
        raise _damaged(path, error) from error
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


class _MidiTrack:
    """The bytes of one MIDI track, read from the front."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def take(self, count: int) -> bytes:
        piece = self.content[self.place : self.place + count]
        if len(piece) < count:
            raise ValueError("a track ends too early")
        self.place += count
        return piece

    def number(self) -> int:
        """A number of variable length: seven bits a byte, the top bit set on all but the last."""
        value = 0
        for _ in range(4):
            (byte,) = self.take(1)
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value
        raise ValueError("a number is too long")


def read_midi(path: Path) -> tuple[int, list[tuple[int, int, int]]]:
    """The ticks per quarter note, and the notes as (start, end, pitch), sorted, in ticks.

    All tracks and channels are merged, and percussion (channel 10) is left out. Tempo, loudness and
    pedals are ignored. Format: Standard MIDI File 1.0.
    """
    notes: list[tuple[int, int, int]] = []
    try:
        content = path.read_bytes()
        if content[:4] != b"MThd":
            raise ValueError("it is not a MIDI file")
        length, _, _, division = struct.unpack_from(">IHHH", content, 4)
        if not 0 < division < 0x8000:
            raise ValueError("its time is not counted in notes")
        place = 8 + length
        while place + 8 <= len(content):
            kind, size = (
                content[place : place + 4],
                int.from_bytes(content[place + 4 : place + 8], "big"),
            )
            if kind == b"MTrk":
                notes += _track_notes(_MidiTrack(content[place + 8 : place + 8 + size]))
            place += 8 + size
    except (OSError, ValueError, struct.error) as error:
        raise _damaged(path, error) from error
    return division, sorted(notes)


def _track_notes(track: _MidiTrack) -> Iterator[tuple[int, int, int]]:
    """The notes (start, end, pitch) of one track."""
    sounding: dict[tuple[int, int], int] = {}  # (channel, pitch) -> start
    time, status = 0, 0
    while track.place < len(track.content):
        time += track.number()
        if track.content[track.place : track.place + 1] >= b"\x80":
            (status,) = track.take(1)
        if status in (0xF0, 0xF7, 0xFF):  # a message with its own length
            if status == 0xFF:
                track.take(1)
            track.take(track.number())
            continue
        if status < 0x80 or status > 0xF0:
            raise ValueError("an event has no kind")
        event, channel = status & 0xF0, status & 0x0F
        values = track.take(1 if event in (0xC0, 0xD0) else 2)
        if event not in (0x80, 0x90) or channel == 9:
            continue
        key = (channel, values[0])
        if key in sounding:  # released, or struck again while it sounds
            start = sounding.pop(key)
            if time > start:
                yield start, time, values[0]
        if event == 0x90 and values[1]:
            sounding[key] = time


def one_voice(notes: Iterable[tuple[int, int, int]], scale: float) -> np.ndarray:
    """The highest note at each start, as int16 [notes, 2]: (pitch, length in ticks).

    notes: (start, end, pitch), sorted; times are multiplied by `scale` and rounded. A note lasts
    until the next one starts; a gap becomes a rest (pitch 0).
    """
    highest: dict[int, tuple[int, int]] = {}  # start -> (pitch, end)
    for start, end, pitch in notes:
        begin, finish = round(start * scale), round(end * scale)
        highest[begin] = max(highest.get(begin, (0, 0)), (pitch, max(finish, begin + 1)))
    starts = sorted(highest)
    line: list[tuple[int, int]] = []
    for number, start in enumerate(starts):
        pitch, end = highest[start]
        following = starts[number + 1] if number + 1 < len(starts) else end
        line.append((pitch, min(end, following) - start))
        if following > end:
            line.append((0, following - end))
    return np.array(line, np.int16).reshape(-1, 2)
