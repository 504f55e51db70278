"""Write files of data, packed so that they are small and open quickly."""

from __future__ import annotations

import importlib.util
import io
import json
import lzma
from pathlib import Path
from typing import Any

import numpy as np

from helpers.files import BookError, atomic_path


def pack(content: bytes) -> bytes:
    """Compress with xz; the dictionary spans the whole file, since drawn pictures repeat parts."""
    span = 1 << max(20, (len(content) - 1).bit_length())
    settings = {"id": lzma.FILTER_LZMA2, "preset": 6, "pb": 0, "dict_size": span}
    return lzma.compress(content, format=lzma.FORMAT_XZ, filters=[settings])


def write_packed_array(path: Path, array: np.ndarray) -> None:
    """Write an array as .npy.xz."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    with atomic_path(path) as temporary:
        temporary.write_bytes(pack(buffer.getvalue()))


def write_packed_json(path: Path, content: Any) -> None:
    """Write JSON on one line as .json.xz."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    with atomic_path(path) as temporary:
        temporary.write_bytes(pack(text.encode("utf-8")))


def write_pictures(
    folder: Path, images: np.ndarray, train: int, columns: dict[str, tuple[list[int], list[str]]]
) -> None:
    """Write images.npy.xz, labels.csv (one integer column per attribute) and names.json.

    images: uint8 [n, height, width, channels], the first `train` of them for training.
    columns: attribute -> (n label numbers, the class names); the first one is the set's class.
    """
    write_packed_array(folder / "images.npy.xz", images)
    rows = zip(*(labels for labels, _ in columns.values()), strict=True)
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    with atomic_path(folder / "labels.csv") as temporary:
        temporary.write_bytes(("\n".join(lines) + "\n").encode())
    names = {"train": train, "names": {key: names for key, (_, names) in columns.items()}}
    with atomic_path(folder / "names.json") as temporary:
        temporary.write_bytes((json.dumps(names, indent=1, ensure_ascii=False) + "\n").encode())


def package_folder(module: str) -> Path:
    """The folder of an installed module, without importing it."""
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise BookError(f"The module {module} is not installed.")
    return Path(next(iter(found.submodule_search_locations)))
