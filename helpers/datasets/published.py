"""Make the arrays of an image set from the files that its publisher offers.

Each from_... function takes the paths of files that are there already, and gives the arrays that
cache.read_cached describes.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

import numpy as np

from helpers.datasets import folders, formats
from helpers.datasets.archives import archive_members
from helpers.datasets.formats import Arrays, damaged
from helpers.datasets.pictures import (
    PICTURE_SHAPE,
    decode_picture,
    decode_pictures,
    picture_files,
    picture_names,
)  # fmt: skip
from helpers.datasets.registry import DataSet
from helpers.datasets.sources import fetch, named_folder
from helpers.datasets.splits import HELD_OUT
from helpers.files import BookError

# CelebA's own split is by picture number, and no person is in two parts: training up to 162,770,
# testing from 182,638. The first 45,000 and the first 5,000 of these take 0.6 GB.
CELEBA_TRAIN = range(1, 45_001)
CELEBA_TEST = range(182_638, 187_638)

YES_AND_NO = {"1": 1, "-1": 0, "0": 0, "true": 1, "false": 0, "yes": 1, "no": 0}
"""How lists of attributes spell their values; capitals and "1.0" count as well."""


def convert(entry: DataSet) -> tuple[Arrays, bool]:
    """The arrays of a set from its published files, and whether all of them were verified.

    The files are downloaded, or lie in a folder that the reader names.
    """
    fetched: dict[str, Callable[..., Arrays]] = {
        "cifar10": from_cifar10, "mnist_full": from_mnist, "flowers": from_flowers,
    }  # fmt: skip
    if entry.name in fetched:
        paths = [fetch(file, entry.name) for file in entry.files]
        return fetched[entry.name](*paths), all(file.checksum for file in entry.files)
    if entry.name == "celeba":
        return _convert_celeba(entry)
    return from_bricks(named_folder(entry, "the unpacked pictures")), False


def _convert_celeba(entry: DataSet) -> tuple[Arrays, bool]:
    """CelebA from the reader's folder, with the pictures unpacked or still in their archive."""
    folder = named_folder(entry, "img_align_celeba.zip and list_attr_celeba.txt")
    lists = [*folder.rglob("list_attr_celeba.txt"), *folder.rglob("list_attr_celeba.csv")]
    if not lists:
        raise BookError(f"{folder} has no list_attr_celeba.txt: get it from {entry.url}.")
    archive = folder / "img_align_celeba.zip"
    if not archive.exists():
        return from_celeba(folder, lists[0]), False
    verified = entry.files[0].matches(archive) and entry.files[1].matches(lists[0])
    return from_celeba(archive, lists[0]), verified


def from_cifar10(path: Path) -> Arrays:
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
        raise damaged(path, "it has no data_batch_*.bin or no test_batch.bin")
    arrays: Arrays = {}
    for split, names in (("train", train_names), ("test", ["test_batch.bin"])):
        content = b"".join(by_name[name] for name in names)
        if not content or len(content) % 3073:
            raise damaged(path, "a batch does not hold whole pictures")
        records = np.frombuffer(content, np.uint8).reshape(-1, 3073)
        arrays[f"x_{split}"] = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy()
        arrays[f"y_{split}"] = records[:, 0].copy()
    return arrays


def from_mnist(path: Path) -> Arrays:
    """All of MNIST from the file that Keras publishes, mnist.npz."""
    arrays = formats.read_arrays(path)
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
    labels = formats.read_matlab(labels_file, "labels") - 1  # of picture 1, 2, ...
    test_ids = formats.read_matlab(split_file, "tstid")
    parts = {
        "train": np.concatenate([test_ids, formats.read_matlab(split_file, "valid")]),
        "test": formats.read_matlab(split_file, "trnid"),
    }
    found = {
        int(number.group(1)): decode_picture(name, file, PICTURE_SHAPE)
        for name, file in picture_files(archive)
        if (number := re.search(r"image_(\d+)\.jpg$", name))
    }
    arrays: Arrays = {}
    try:
        for part, unsorted in parts.items():
            chosen = np.sort(unsorted)
            arrays[f"x_{part}"] = np.stack([found[number] for number in chosen.tolist()])
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
    a small sample), every tenth picture is for testing. Of pictures with the same name in two
    folders, the one in img_align_celeba counts.
    """
    attribute_names, values = read_attributes(attributes_file)
    names = [name.lower() for name in attribute_names]
    if "blond_hair" not in names:
        raise BookError(f"{attributes_file.name} has no column Blond_Hair: get it again.")
    numbered = _celeba_numbers(picture_names(pictures), pictures)
    without_row = [key for key, name in numbered.items() if _last(name) not in values]
    numbers = sorted(set(numbered) - set(without_row))
    folders.require_pictures(len(numbers), pictures)
    test = [key for key in numbers if key in CELEBA_TEST] or numbers[HELD_OUT - 1 :: HELD_OUT]
    train = sorted(set(numbers) - set(test))
    if not train:
        raise BookError(f"{pictures} has no training pictures of CelebA: add 000001.jpg and on.")
    arrays: Arrays = {
        "class_names": np.array(["not blond", "blond"]),
        "attribute_names": np.array(names),
    }
    for part, keys in {"train": train, "test": test}.items():
        chosen = [numbered[key] for key in keys]
        arrays[f"x_{part}"] = _all_pictures(pictures, chosen, PICTURE_SHAPE)
        arrays[f"attributes_{part}"] = np.stack([values[_last(name)] for name in chosen])
        arrays[f"y_{part}"] = arrays[f"attributes_{part}"][:, names.index("blond_hair")]
    if without_row:
        arrays["note"] = np.array(
            f"{len(without_row):,} pictures left out that {attributes_file.name} does not name"
        )
    return arrays


def _last(name: str) -> str:
    return PurePosixPath(name).name


def _celeba_numbers(names: Iterable[str], source: Path) -> dict[int, str]:
    """CelebA's number -> the name of its picture, for the numbers that the book uses."""
    found: dict[int, list[str]] = defaultdict(list)
    for name in names:
        stem = PurePosixPath(name).stem
        if stem.isdecimal() and (int(stem) in CELEBA_TRAIN or int(stem) in CELEBA_TEST):
            found[int(stem)].append(name)
    for number, same in found.items():
        aligned = [name for name in same if "img_align_celeba" in PurePosixPath(name).parts]
        chosen = aligned if len(same) > 1 else same
        if len(chosen) != 1:
            raise BookError(
                f"{source} has {' and '.join(same)}: keep the aligned pictures only, or put them "
                "into a folder named img_align_celeba."
            )
        found[number] = chosen
    return {number: same[0] for number, same in found.items()}


def _all_pictures(source: Path, names: list[str], shape: tuple[int, int, int]) -> np.ndarray:
    """The named pictures, all of them whole."""
    pixels, broken = decode_pictures(source, names, shape)
    if broken:
        raise broken[0]
    return pixels


def from_bricks(folder: Path) -> Arrays:
    """The LEGO brick renders from Kaggle in grey, named like "3001 brick 2x4 012L.png".

    The class is the part, and every tenth view is for testing. L and R are two cameras on one
    view, so they stay together.
    """
    labels, held_out = [], []
    names = picture_names(folder)
    folders.require_pictures(len(names), folder)
    for name in names:
        stem = PurePosixPath(name).stem
        view = re.search(r"[ _]?(\d+)[LR]?$", stem)
        labels.append(stem[: view.start()] if view else stem)
        held_out.append(view is not None and int(view.group(1)) % HELD_OUT == HELD_OUT - 1)
    pixels = _all_pictures(folder, names, (*PICTURE_SHAPE[:2], 1))
    return folders.parts(pixels, labels, held_out, folder)


def read_attributes(path: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """The attribute names, and picture name -> uint8 [attributes] of zeros and ones.

    Reads the authors' list_attr_celeba.txt (a count, the names, then rows of a file name and -1/1)
    and Kaggle's list_attr_celeba.csv (the same with commas and without the count).
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".csv":
            table = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if row]
        else:
            table = [line.split() for line in text.splitlines() if line.strip()]
    except (ValueError, csv.Error) as error:
        raise damaged(path, error) from error
    has_count = bool(table) and len(table[0]) == 1 and table[0][0].isdecimal()
    promised = int(table.pop(0)[0]) if has_count else len(table) - 1
    if len(table) < 2:
        raise damaged(path, "it has no rows")
    header, *rows = table
    names = header[1:] if header[0] == "image_id" else header
    if len(set(names)) < len(names):
        raise damaged(path, "two columns have the same name")
    if promised != len(rows):
        raise damaged(path, f"it announces {promised:,} rows and has {len(rows):,}")
    cells = {cell for row in rows for cell in row[1:]}
    values: dict[str, np.ndarray] = {}
    for name, *row in rows:
        if len(row) != len(names):
            raise damaged(path, f"the row of {name} has {len(row)} values for {len(names)} names")
        if name in values:
            raise damaged(path, f"it has two rows for {name}")
        values[name] = np.array([_yes_or_no(path, name, cell, cells) for cell in row], np.uint8)
    return names, values


def _yes_or_no(path: Path, row: str, cell: str, cells: set[str]) -> int:
    """1 or 0 for a cell; refuses what is neither, and 0 where -1 is the word for no."""
    value = YES_AND_NO.get(cell.lower().removesuffix(".0"))
    if value is None or (cell == "0" and "-1" in cells):
        raise damaged(path, f"the row of {row} has the value {cell!r}, which is neither yes nor no")
    return value
