"""Turn the published files of the alternative picture sets into arrays.

Each function takes the paths of files that are there already, and gives the arrays of a cached
image set: x_train, y_train, x_test, y_test, and where they apply class_names, attribute_names,
attributes_train and attributes_test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np

from helpers import readers
from helpers.files import BookError

Arrays = dict[str, np.ndarray]
Item = tuple[np.ndarray, str, bool]
"""A picture, the name of its class, and whether it is for testing."""

PICTURE_SIZE = 64  # pixels; of a picture of any size the middle square is resized to this
FOLDER_LIMIT = 50_000  # pictures that are read from one folder or archive
HELD_OUT = 10  # where a set has no test part of its own, every tenth item is one

# CelebA's own split is by picture number, and no person is in two parts: training up to 162,770,
# testing from 182,638. The first 45,000 and the first 5,000 of these take 0.6 GB.
CELEBA_TRAIN = range(1, 45_001)
CELEBA_TEST = range(182_638, 187_638)


def from_mnist(path: Path) -> Arrays:
    """All of MNIST from the file that Keras publishes, mnist.npz."""
    arrays = readers.read_arrays(path)
    wanted = ("x_train", "y_train", "x_test", "y_test")
    if not set(wanted) <= set(arrays):
        raise BookError(
            f"{path.name} in {path.parent} is not MNIST: delete it, and run this again."
        )
    return {key: arrays[key][..., None] if key[0] == "x" else arrays[key] for key in wanted}


def from_flowers(archive: Path, labels_file: Path, split_file: Path) -> Arrays:
    """Oxford 102 flowers.

    The published split has 2,040 pictures to train and choose a classifier, and 6,149 to test it. A
    generator needs pictures more than labels, so the parts change places: 7,169 for training, and
    for testing the published training part, ten of each class.
    """
    labels = readers.read_matlab(labels_file, "labels") - 1  # of picture 1, 2, ...
    test_ids = readers.read_matlab(split_file, "tstid")
    parts = {
        "train": np.concatenate([test_ids, readers.read_matlab(split_file, "valid")]),
        "test": readers.read_matlab(split_file, "trnid"),
    }
    pictures = {
        int(number.group(1)): readers.decode_picture(name, content, PICTURE_SIZE)
        for name, content in readers.picture_files(archive)
        if (number := re.search(r"image_(\d+)\.jpg$", name))
    }
    arrays: Arrays = {}
    try:
        for part, unsorted in parts.items():
            chosen = np.sort(unsorted)
            arrays[f"x_{part}"] = np.stack([pictures[number] for number in chosen.tolist()])
            arrays[f"y_{part}"] = labels[chosen - 1]
    except (KeyError, IndexError, ValueError) as error:
        raise BookError(
            f"{archive.name}, {labels_file.name} and {split_file.name} do not belong together "
            f"({error}): get all three from the same place."
        ) from error
    return arrays


def from_celeba(pictures: Path, attributes_file: Path) -> Arrays:
    """CelebA from a folder or archive of aligned pictures and the list of 40 attributes.

    The class is blond hair. If there is no picture from the published test part (a reader may have
    a small sample), every tenth picture is for testing.
    """
    attribute_names, values = readers.read_celeba_attributes(attributes_file)

    def number(name: str) -> int:
        stem = PurePosixPath(name).stem
        return int(stem) if stem.isdecimal() and PurePosixPath(name).name in values else 0

    def wanted(name: str) -> bool:
        chosen = number(name) in CELEBA_TRAIN or number(name) in CELEBA_TEST
        return chosen and readers.is_picture(name)

    found = {
        number(name): (
            readers.decode_picture(name, content, PICTURE_SIZE),
            values[PurePosixPath(name).name],
        )
        for name, content in readers.picture_files(pictures, wanted)
    }
    _need_pictures(len(found), pictures)
    numbers = sorted(found)
    test = [key for key in numbers if key in CELEBA_TEST] or numbers[HELD_OUT - 1 :: HELD_OUT]
    parts = {"train": sorted(set(numbers) - set(test)), "test": test}
    if not parts["train"]:
        raise BookError(f"{pictures} has no training pictures of CelebA: add 000001.jpg and on.")
    names = [name.lower() for name in attribute_names]
    if "blond_hair" not in names:
        raise BookError(f"{attributes_file.name} has no column Blond_Hair: get it again.")
    arrays: Arrays = {
        "class_names": np.array(["not blond", "blond"]),
        "attribute_names": np.array(names),
    }
    for part, keys in parts.items():
        arrays[f"x_{part}"] = np.stack([found[key][0] for key in keys])
        arrays[f"attributes_{part}"] = np.stack([found[key][1] for key in keys])
        arrays[f"y_{part}"] = arrays[f"attributes_{part}"][:, names.index("blond_hair")]
    return arrays


def from_bricks(folder: Path) -> Arrays:
    """The LEGO brick renders from Kaggle in grey, named like "3001 brick 2x4 012L.png".

    The class is the part, and every tenth view is for testing. L and R are two cameras on one
    view, so they stay together.
    """

    def item(name: str, content: bytes) -> Item:
        stem = PurePosixPath(name).stem
        view = re.search(r"[ _]?(\d+)[LR]?$", stem)
        part = stem[: view.start()] if view else stem
        held_out = view is not None and int(view.group(1)) % HELD_OUT == HELD_OUT - 1
        return readers.decode_picture(name, content, PICTURE_SIZE, channels=1), part, held_out

    return _arrays([item(*file) for file in _first_pictures(folder)], folder)


def from_folder(folder: Path) -> Arrays:
    """A reader's own pictures: a folder, or a zip or tar archive, with a sub-folder per class.

    If there are folders named "train" and "test", they are the split; otherwise every tenth
    picture of each class is for testing.
    """

    def split_of(name: str) -> str:
        parts = {part.lower() for part in name.split("/")[:-1]}
        return "test" if "test" in parts else "train" if "train" in parts else ""

    def class_of(name: str) -> str:
        folders = [part for part in name.split("/")[:-1] if part.lower() not in ("train", "test")]
        return folders[-1] if folders else ""

    files = [
        (name, readers.decode_picture(name, content, PICTURE_SIZE))
        for name, content in _first_pictures(folder)
    ]
    has_split = {"train", "test"} <= {split_of(name) for name, _ in files}
    seen: dict[str, int] = {}
    items: list[Item] = []
    for name, picture in files:
        label = class_of(name)
        seen[label] = seen.get(label, 0) + 1
        held_out = split_of(name) == "test" if has_split else seen[label] % HELD_OUT == 0
        items.append((picture, label, held_out))
    return _arrays(items, folder)


def _first_pictures(folder: Path) -> Iterable[tuple[str, bytes]]:
    """The first FOLDER_LIMIT pictures of a folder or archive."""
    for count, file in enumerate(readers.picture_files(folder)):
        if count == FOLDER_LIMIT:
            return
        yield file


def _arrays(items: list[Item], folder: Path) -> Arrays:
    """Stack pictures; if none is held out, the last one is, because no set is without a test."""
    _need_pictures(len(items), folder)
    classes = sorted({label for _, label, _ in items})
    test = [number for number, (_, _, held_out) in enumerate(items) if held_out] or [len(items) - 1]
    train = sorted(set(range(len(items))) - set(test))
    if not train:
        raise BookError(f"{folder} has test pictures only: add some for training.")
    arrays: Arrays = {"class_names": np.array(classes)}
    for part, chosen in (("train", train), ("test", test)):
        arrays[f"x_{part}"] = np.stack([items[number][0] for number in chosen])
        arrays[f"y_{part}"] = np.array([classes.index(items[number][1]) for number in chosen])
    return arrays


def _need_pictures(count: int, folder: Path) -> None:
    if count < 2:
        raise BookError(
            f"{folder} holds {count} of the wanted pictures, and at least two are needed: put "
            f"{', '.join(readers.PICTURE_SUFFIXES)} files there."
        )
