"""Published image sets that are kept in the cache as one checked file each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from helpers.datasets import published
from helpers.datasets.formats import Arrays, read_arrays
from helpers.datasets.registry import DataSet
from helpers.datasets.sources import DIFFERENT, UNKNOWN, VERIFIED
from helpers.files import BookError, atomic_path, cache_folder, file_sha256


def cached_path(entry: DataSet) -> Path:
    """The .npz file in the cache folder that an image set is kept in."""
    name = "mnist" if entry.name == "mnist_full" else entry.name
    return cache_folder() / f"{name}.npz"


def read_cached(entry: DataSet) -> Arrays:
    """The arrays of a set in the cache; it is made from its published files if it is not there.

    They are x_train, y_train, x_test, y_test, and source, a text that says whose copy this is;
    where they apply class_names, attribute_names, attributes_train and attributes_test.
    """
    path = cached_path(entry)
    if not path.exists():
        _fill_cache(entry, path)
    arrays = read_arrays(path)
    problem = _problem(entry, arrays)
    if problem:
        raise BookError(
            f"{path.name} in {path.parent} is not {entry.name} as it should be ({problem}): "
            "delete it, and run this again."
        )
    source = str(arrays.get("source", "no source named"))
    arrays["source"] = np.array(f"{source}; {_checksum_note(entry, path)}")
    return arrays


def _record_path(path: Path) -> Path:
    """Beside a cached set made from verified files: its SHA-256, to recognise it later."""
    return path.with_name(path.name + ".sha256")


def _checksum_note(entry: DataSet, path: Path) -> str:
    """Whether a cached file is, or was made here from, the files with the registry's checksums."""
    if not any(file.checksum for file in entry.files):
        return UNKNOWN
    record = _record_path(path)
    if record.exists() and record.read_text(encoding="utf-8").strip() == file_sha256(path):
        return VERIFIED
    return VERIFIED if any(file.matches(path) for file in entry.files) else DIFFERENT


def _fill_cache(entry: DataSet, path: Path) -> None:
    """Make a cached image set from its published files."""
    arrays, verified = published.convert(entry)
    notes = [str(arrays.pop("note"))] if "note" in arrays else []
    arrays["source"] = np.array("; ".join([f"{entry.publisher}, {entry.licence}", *notes]))
    with atomic_path(path) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]
        if verified:  # before the set itself appears, so that no process sees it without
            with atomic_path(_record_path(path)) as record:
                record.write_text(file_sha256(temporary) + "\n", encoding="utf-8")


def _problem(entry: DataSet, arrays: Arrays) -> str:
    """What is wrong with the arrays of a cached image set; "" if nothing is."""
    missing = {"x_train", "y_train", "x_test", "y_test"} - set(arrays)
    if missing:
        return f"no {', '.join(sorted(missing))}"
    for part in ("train", "test"):
        pictures, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if pictures.dtype.kind == "f" and not np.isfinite(pictures).all():
            return f"x_{part} holds numbers that are not finite"
        if pictures.dtype != np.uint8:
            return f"x_{part} is {pictures.dtype}, not uint8"
        grey = entry.shape[-1] == 1 and pictures.shape[1:] == entry.shape[:-1]
        if not grey and pictures.shape[1:] != entry.shape:
            return f"x_{part} has the shape {pictures.shape}, not n + {entry.shape}"
        if labels.dtype.kind not in "iu" or labels.shape != pictures.shape[:1] or not len(labels):
            return f"y_{part} is not one whole number for each of {len(pictures):,} pictures"
        names = arrays.get("class_names", np.array(entry.class_names))
        if labels.min() < 0 or labels.max() >= max(len(names), 1):
            return f"y_{part} holds {labels.min()} to {labels.max()}, for {len(names)} classes"
        columns = arrays.get(f"attributes_{part}", np.empty((len(pictures), 0)))
        if columns.shape != (len(pictures), len(arrays.get("attribute_names", ()))):
            return f"attributes_{part} does not fit the pictures"
    return ""
