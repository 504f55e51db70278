"""Read the general file formats that data sets come in; nothing here runs code from a file.

Every reader raises BookError, in one sentence, for a file that is not what it should be.
"""

from __future__ import annotations

import gzip
import io
import json
import lzma
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from helpers.files import BookError

Arrays = dict[str, np.ndarray]

IDX_TYPES = {0x08: np.dtype(np.uint8)}


def damaged(path: Path, problem: object) -> BookError:
    """The error for a file whose content is wrong."""
    return BookError(f"{path.name} in {path.parent} is damaged ({problem}): replace it.")


def read_idx(path: Path) -> np.ndarray:
    """Read a gzipped idx file of unsigned bytes, the format of MNIST; any shape.

    Format: two zero bytes, the type (8), the number of dimensions, each length as a big-endian
    32-bit number, then the values. http://yann.lecun.com/exdb/mnist/
    """
    packed = path.read_bytes()
    try:
        content = gzip.decompress(packed)
        zero, kind, dimensions = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{dimensions}I", content, 4)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise damaged(path, error) from error
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions)
    if zero != 0 or kind not in IDX_TYPES or values.size != np.prod(shape, dtype=np.int64):
        raise damaged(path, "its header and length do not agree")
    return values.reshape(shape).copy()  # a copy, because bytes cannot be written to


def read_packed(path: Path) -> bytes:
    """The content of an .xz file."""
    try:
        packed = path.read_bytes()
    except FileNotFoundError as error:
        raise BookError(f"{path.name} is missing from {path.parent}: restore it.") from error
    try:
        return lzma.decompress(packed, format=lzma.FORMAT_XZ)
    except (lzma.LZMAError, EOFError) as error:
        raise damaged(path, error) from error


def read_packed_array(path: Path) -> np.ndarray:
    """The array in an .npy.xz file."""
    try:
        return np.load(io.BytesIO(read_packed(path)), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise damaged(path, error) from error


def read_packed_json(path: Path) -> Any:
    """The content of a .json.xz file."""
    try:
        return json.loads(read_packed(path))
    except ValueError as error:
        raise damaged(path, error) from error


def read_arrays(path: Path) -> Arrays:
    """All arrays of an .npz file, none of them pickled."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, KeyError, AttributeError, zipfile.BadZipFile,
            zlib.error, NotImplementedError, RuntimeError, MemoryError) as error:  # fmt: skip
        if getattr(error, "errno", None):  # the disk or the permissions, not the content
            raise
        raise BookError(
            f"{path.name} in {path.parent} cannot be read ({error or type(error).__name__}): "
            "delete it, and run this again."
        ) from error


def read_label_columns(folder: Path) -> tuple[int, dict[str, tuple[np.ndarray, list[str]]]]:
    """The number of training items, and attribute -> (label numbers, class names).

    Reads labels.csv (a header, then one row of integers per picture) and names.json.
    """
    path = folder / "labels.csv"
    texts = [(folder / name).read_bytes() for name in ("names.json", path.name)]
    try:
        names = json.loads(texts[0])
        header, _, body = texts[1].decode("utf-8").partition("\n")
        columns = header.split(",")
        numbers = map(int, body.rstrip("\n").replace("\n", ",").split(","))
        labels = np.array(list(numbers), np.int64).reshape(-1, len(columns))
        return names["train"], {
            column: (labels[:, number].copy(), list(names["names"][column]))
            for number, column in enumerate(columns)
        }
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path, error) from error


def read_matlab(path: Path, key: str) -> np.ndarray:
    """One array of whole numbers, flattened, from a Matlab 5 file."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    stream = io.BytesIO(path.read_bytes())
    try:
        return np.asarray(loadmat(stream, variable_names=[key])[key]).ravel().astype(np.int64)
    except (OSError, ValueError, KeyError, IndexError, TypeError, NotImplementedError,
            MatReadError, zlib.error) as error:  # fmt: skip
        raise damaged(path, error) from error
