"""The reader's own pictures: a folder or an archive, with a sub-folder for each class."""

from __future__ import annotations

import math
import tarfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from helpers.datasets import pictures
from helpers.datasets.formats import Arrays
from helpers.datasets.pictures import PICTURE_SHAPE, PICTURE_SUFFIXES
from helpers.datasets.sources import DatasetUnavailable
from helpers.datasets.splits import HELD_OUT
from helpers.files import BookError, own_path

FOLDER_LIMIT = 50_000  # pictures that are read from one folder or archive
FOLDER_BYTES = FOLDER_LIMIT * math.prod(PICTURE_SHAPE)  # of memory that they may take
DAMAGED_SHARE = 0.1  # if more pictures than this cannot be read, something else is wrong
SPLITS = {
    "train": "train", "training": "train", "test": "test", "testing": "test",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
}  # fmt: skip
"""Names of folders that are parts of a set rather than classes."""


class Place(NamedTuple):
    """Where one picture lies: its name, the part of the set ("" for none) and its class."""

    name: str
    split: str
    label: str


def read_folder(path: str, shape: tuple[int, int, int] = PICTURE_SHAPE) -> Arrays:
    """A reader's own pictures from a folder, or from a zip or tar archive.

    The class of a picture is the folder that it lies in, e.g. "cats/black". Folders named train,
    test and val are the parts of the set; val is for testing if there is no test, and else for
    training. Without such folders every tenth picture of each class is for testing. Of more than
    FOLDER_LIMIT pictures a random sample is read, each class by its share; damaged ones are left
    out and counted.
    """
    if len(shape) != 3 or min(shape) < 1 or shape[2] not in (1, 3):
        raise BookError(f"A picture's shape is height, width and 1 or 3 channels, not {shape}.")
    folder = own_path(path)
    _require_pictures_in(folder)
    names = pictures.picture_names(folder)
    require_pictures(len(names), folder)
    places = _places(names, folder)
    limit = min(FOLDER_LIMIT, max(2, FOLDER_BYTES // math.prod(shape)))
    chosen = sample(places, limit)
    pixels, damaged = pictures.decode_pictures(folder, [place.name for place in chosen], shape)
    notes = ["the reader's own pictures"]
    if len(chosen) < len(names):
        notes.append(f"{len(chosen):,} of {len(names):,} read")
    if damaged:
        share, first = f"{len(damaged):,} of {len(chosen):,}", damaged[0]
        if len(damaged) > DAMAGED_SHARE * len(chosen):
            raise BookError(
                f"{share} pictures in {folder} cannot be read (first {first.name}: "
                f"{first.reason}): replace them, or leave them out."
            )
        notes.append(f"{share} left out as damaged (first {first.name}: {first.reason})")
        bad = {error.name for error in damaged}
        whole = [number for number, place in enumerate(chosen) if place.name not in bad]
        chosen, pixels = [chosen[number] for number in whole], pixels[whole]
    arrays = parts(pixels, [place.label for place in chosen], _held_out(chosen), folder)
    arrays["source"] = np.array("; ".join(notes))
    return arrays


def _require_pictures_in(folder: Path) -> None:
    """Raise BookError for a path that is neither a folder nor an archive."""
    if not folder.exists():
        raise DatasetUnavailable(f"There is no folder or archive {folder}: check the path.")
    if folder.is_dir() or zipfile.is_zipfile(folder) or tarfile.is_tarfile(folder):
        return
    if pictures.is_picture(folder.name):
        raise BookError(f"{folder} is a single picture: name the folder that it lies in.")
    raise BookError(
        f"{folder} is neither a folder nor a whole zip or tar archive: unpack it, and name the "
        "folder."
    )


def require_pictures(count: int, folder: Path) -> None:
    """Raise BookError if there are fewer than two pictures, one for each part."""
    if count < 2:
        raise BookError(
            f"{folder} holds {count} of the wanted pictures, and at least two are needed: put "
            f"{', '.join(PICTURE_SUFFIXES)} files there."
        )


def _places(names: Sequence[str], folder: Path) -> list[Place]:
    """The part and the class of each picture by the folders above it."""
    above = [PurePosixPath(name.replace("\\", "/")).parts[:-1] for name in names]
    splits = [next((part for part in parts if part.lower() in SPLITS), "") for parts in above]
    if "" in splits and len(set(splits)) == 2:  # one folder "train" beside "car" holds locomotives
        splits = [""] * len(splits)
    kinds = {SPLITS[split.lower()] for split in splits if split}
    if "" in splits and kinds:
        outside = names[splits.index("")]
        raise BookError(
            f"{folder} has folders for {' and '.join(sorted(kinds))}, but {outside} lies outside: "
            "move it into one of them."
        )
    if kinds == {"test", "validation"}:
        raise BookError(f"{folder} has folders for test and validation, but none named train.")
    roles = dict(SPLITS)
    if "test" not in kinds:
        roles |= {split: "test" for split, kind in SPLITS.items() if kind == "validation"}
    if len(kinds) < 2:  # all of the set is in "train", say: no split yet
        roles = dict.fromkeys(SPLITS, "")
    classes = [_without(parts, split) for parts, split in zip(above, splits, strict=True)]
    shared = _shared_start(classes)
    return [
        Place(name, roles.get(split.lower(), ""), "/".join(parts[shared:]))
        for name, split, parts in zip(names, splits, classes, strict=True)
    ]


def _without(parts: tuple[str, ...], split: str) -> tuple[str, ...]:
    """The folders above a picture without the first one of this name."""
    at = parts.index(split) if split else len(parts)
    return parts[:at] + parts[at + 1 :]


def _shared_start(classes: Sequence[tuple[str, ...]]) -> int:
    """How many folders all pictures lie in; of a single class the last folder does not count."""
    different = set(classes)
    if len(different) == 1:
        return max(0, len(classes[0]) - 1)
    levels = zip(*different, strict=False)
    return next(
        (number for number, level in enumerate(levels) if len(set(level)) > 1),
        min(map(len, different)),
    )


def sample(places: Sequence[Place], limit: int) -> list[Place]:
    """At most `limit` of the places, at random but in order, each part and class by its share."""
    if len(places) <= limit:
        return list(places)
    sizes = Counter(place[1:] for place in places)
    seen: Counter[tuple[str, str]] = Counter()
    ranks = np.empty(len(places))  # the k-th picture drawn of a class of n has the rank k / n
    for number in np.random.default_rng(0).permutation(len(places)):
        group = places[number][1:]
        ranks[number] = seen[group] / sizes[group]
        seen[group] += 1
    return [places[number] for number in np.sort(np.argsort(ranks, kind="stable")[:limit])]


def _held_out(places: Sequence[Place]) -> list[bool]:
    """Which pictures are for testing: the part "test", or every tenth of each class."""
    if any(place.split for place in places):
        return [place.split == "test" for place in places]
    seen: Counter[str] = Counter()
    held = []
    for place in places:
        seen[place.label] += 1
        held.append(seen[place.label] % HELD_OUT == 0)
    return held


def parts(
    pixels: np.ndarray, labels: Sequence[str], held_out: Sequence[bool], folder: Path
) -> Arrays:
    """The arrays of an image set; if none is held out, the last picture is."""
    classes = sorted(set(labels))
    numbers = np.array([classes.index(label) for label in labels])
    test = np.array(held_out)
    if not test.any():
        test[-1] = True
    if test.all():
        raise BookError(f"{folder} has test pictures only: add some for training.")
    return {
        "class_names": np.array(classes),
        "x_train": pixels[~test], "y_train": numbers[~test],
        "x_test": pixels[test], "y_test": numbers[test],
    }  # fmt: skip
