"""Arrays that one notebook hands to the next: drives, codes, the numbers of a controller.

They are released and found like weights: inside `make train` with seed 0 they become part of the
book (data/artefacts), in every other run they go to the reader's cache.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from helpers.budget import goes_into_book, own_or_released
from helpers.checkpoints import UNREADABLE
from helpers.files import DATA, BookError, atomic_path, cache_folder, file_sha256

LARGEST_FILE = 3_000_000
"""Bytes that a released file may have."""


def release(name: str, arrays: dict[str, np.ndarray], *, publish: bool = True) -> None:
    """Keep arrays under the name "<notebook>/<artefact>", compressed, without pickles.

    Raises BookError for values that are not finite, and for a file that is too large for the book.
    """
    into_book = publish and goes_into_book()
    path = _path(name, DATA if into_book else cache_folder())
    for key, array in arrays.items():
        if array.dtype == object or (array.dtype.kind == "f" and not np.isfinite(array).all()):
            raise BookError(
                f"{key} of {name} holds NaN, or what is not a number: nothing was kept."
            )
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
        size = temporary.stat().st_size
        if into_book and size > LARGEST_FILE:
            raise BookError(f"{name} takes {size:,} bytes; at most {LARGEST_FILE:,} are released.")


def restore(name: str) -> dict[str, np.ndarray]:
    """The arrays that were released under this name; BookError when missing or damaged."""
    path = find(name)
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except UNREADABLE as error:
        raise BookError(
            f"The file {path} of {name} is damaged: restore it, or run {name.split('/')[0]} again."
        ) from error


def find(name: str) -> Path:
    """Where these arrays are: under quick the book's, otherwise this run's own come first."""
    found = own_or_released(_path(name, cache_folder()), _path(name, DATA))
    if found:
        return found
    raise BookError(
        f"There is nothing named {name!r} yet: run the notebook {name.split('/')[0]} first, with "
        "GENBOOK_BUDGET=cpu."
    )


def checksum(name: str) -> str:
    """The SHA-256 of the file, for the record."""
    return file_sha256(find(name))


def to_steps(values: np.ndarray, step: float) -> np.ndarray:
    """Numbers [n, ...] as multiples of `step`, each row as its difference from the one before.

    What changes slowly from row to row has small differences, which compress well. Nothing moves
    by more than half a step. Raises BookError for NaN, and for a step that is too fine for 16 bits.
    """
    if not (step > 0 and np.isfinite(values).all()):
        raise BookError("Only finite numbers can be rounded, to a step above zero.")
    whole = np.round(np.asarray(values, np.float64) / step).astype(np.int64)
    differences = np.diff(whole, axis=0, prepend=np.zeros_like(whole[:1]))
    if len(differences) and np.abs(differences).max() > np.iinfo(np.int16).max:
        raise BookError(
            f"A step of {step:g} is too fine for values up to {np.abs(values).max():g}."
        )
    return differences.astype(np.int16)


def from_steps(differences: np.ndarray, step: float) -> np.ndarray:
    """The numbers of `to_steps`, float32."""
    return (np.cumsum(differences, axis=0, dtype=np.int64) * step).astype(np.float32)


def _path(name: str, base: Path) -> Path:
    if not re.fullmatch(r"[0-9a-z_]+/[0-9a-z_]+", name):
        raise BookError(
            f"Name what is handed on 'notebook/artefact', with a-z, 0-9, _; not {name!r}."
        )
    return base / "artefacts" / f"{name}.npz"
