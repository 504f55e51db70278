"""Pictures with labels: the type, and the loader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from helpers.datasets import cache, folders, formats, sources
from helpers.datasets.formats import Arrays
from helpers.datasets.pictures import PICTURE_SHAPE
from helpers.datasets.registry import DataSet, find
from helpers.datasets.splits import TINY, TINY_NOTE, counts, few, is_tiny, item_marks
from helpers.files import BookError, reading

SMILING_MOUTHS = {"portraits": ("laugh", "smile")}
"""The mouths that count as a smile, for the attribute "smiling" (class 1)."""


class Attribute(NamedTuple):
    """Labels of one attribute of a set's pictures."""

    train: np.ndarray  # int64 [n train]
    test: np.ndarray  # int64 [n test]
    names: tuple[str, ...]  # the name of each label number


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Pictures with labels.

    x_train, x_test: uint8 [n, height, width, channels], grey sets with one channel.
    y_train, y_test: int64 [n], numbers of `class_names` (which is empty where there are no names).
    source: where this copy comes from. attributes: further labels by name; empty for most sets.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]
    source: str
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    @property
    def repeats(self) -> int:
        """How many pictures are the same as an earlier one, in both parts together.

        It is 0 for the sets that come with the book; see require_disjoint.
        """
        marks = item_marks(self.x_train) + item_marks(self.x_test)
        return len(marks) - len(set(marks))

    def __repr__(self) -> str:
        size = f"{counts(self.x_train, self.x_test)} images {size_text(self.x_train.shape[1:])}"
        return f"{self.name}: {size}, {self.source}"


def size_text(shape: Iterable[int]) -> str:
    """A picture's shape in words, e.g. "64x64x3"."""
    return "x".join(map(str, shape))


@reading()
def load(name: str, *, shape: tuple[int, int, int] | None = None, verbose: bool = True) -> ImageSet:
    """Load a set of images and print one line that says exactly what was loaded.

    name: of an image set in REGISTRY, or "folder:PATH" for the pictures in a folder (or in a zip or
    tar archive), whose sub-folders are the classes.
    shape: (height, width, channels) of the pictures. A reader's own are cut to it, to (64, 64, 3)
    if nothing is said; all other sets have a shape of their own, and another one is refused.
    Under the budget tiny, of the tests, only a few hundred pictures come back; the line says so.
    Raises DatasetUnavailable for a set that is neither here nor reachable, and BookError for
    damaged files.
    """
    if name.startswith("folder:"):
        arrays = folders.read_folder(name.removeprefix("folder:"), shape or PICTURE_SHAPE)
        images = _from_arrays(name, _mixed(arrays))
    else:
        entry = find(name, "images")
        if shape not in (None, entry.shape):
            raise BookError(
                f"{name} has pictures of {size_text(entry.shape)}, not of {size_text(shape)}."
            )
        if entry.embedded:
            images = _load_embedded(entry)
        else:
            images = _from_arrays(name, _mixed(cache.read_cached(entry)), entry.class_names)
    if is_tiny():
        images = _few(images)
    if verbose:
        print(images)
    return images


def _few(images: ImageSet) -> ImageSet:
    """The first few hundred pictures of each part, every class and attribute among them."""
    attributes = images.attributes.values()
    train = few([images.y_train, *(attribute.train for attribute in attributes)], TINY[0])
    test = few([images.y_test, *(attribute.test for attribute in attributes)], TINY[1])
    return replace(
        images,
        x_train=images.x_train[train], y_train=images.y_train[train],
        x_test=images.x_test[test], y_test=images.y_test[test],
        source=images.source + TINY_NOTE,
        attributes={
            name: Attribute(attribute.train[train], attribute.test[test], attribute.names)
            for name, attribute in images.attributes.items()
        },
    )  # fmt: skip


def _load_embedded(entry: DataSet) -> ImageSet:
    """Read an embedded image set, checking every file against the registry."""
    paths = {file.name: sources.embedded_file(entry, file) for file in entry.files}
    source = sources.embedded_source(entry)
    if entry.name == "fashion_mnist":
        arrays = [formats.read_idx(path) for path in paths.values()]
        return ImageSet(
            entry.name, arrays[0][..., None], arrays[1].astype(np.int64),
            arrays[2][..., None], arrays[3].astype(np.int64), entry.class_names, source,
        )  # fmt: skip
    images = formats.read_packed_array(paths["images.npy.xz"])
    train, columns = formats.read_label_columns(entry.folder)
    attributes = {
        key: Attribute(labels[:train], labels[train:], tuple(names))
        for key, (labels, names) in columns.items()
    }
    main = next(iter(attributes.values()))  # the first column is the set's class
    if entry.name in SMILING_MOUTHS:
        attributes["smiling"] = _smiling(attributes["mouth"], SMILING_MOUTHS[entry.name])
    return ImageSet(
        entry.name, images[:train], main.train, images[train:], main.test, main.names, source,
        attributes if len(attributes) > 1 else {},
    )  # fmt: skip


def _smiling(mouth: Attribute, smiles: Iterable[str]) -> Attribute:
    """The mouths as two classes: 0 for those that do not smile, 1 for those that do."""
    is_smile = np.isin(mouth.names, list(smiles)).astype(np.int64)  # by label number
    return Attribute(is_smile[mouth.train], is_smile[mouth.test], ("not smiling", "smiling"))


def _from_arrays(name: str, arrays: Arrays, class_names: tuple[str, ...] = ()) -> ImageSet:
    """An ImageSet from the arrays of a cached set or of the reader's folder."""
    if "class_names" in arrays:
        class_names = tuple(map(str, arrays["class_names"]))
    attributes = {
        str(key): Attribute(
            arrays["attributes_train"][:, number].astype(np.int64),
            arrays["attributes_test"][:, number].astype(np.int64),
            ("no", "yes"),
        )
        for number, key in enumerate(arrays.get("attribute_names", ()))
    }
    pictures = [
        part[..., None] if part.ndim == 3 else part  # grey sets may come without a channel axis
        for part in (arrays["x_train"], arrays["x_test"])
    ]
    labels = [arrays[key].astype(np.int64) for key in ("y_train", "y_test")]
    return ImageSet(
        name, pictures[0], labels[0], pictures[1], labels[1], class_names,
        str(arrays["source"]), attributes,
    )  # fmt: skip


def _mixed(arrays: Arrays) -> Arrays:
    """The same pictures in a fixed random order: cached sets may be sorted by class.

    A notebook that takes "the first 2,000 test pictures" would otherwise get two classes.
    """
    mixed = dict(arrays)
    for part in ("train", "test"):
        order = np.random.default_rng(0).permutation(len(arrays[f"x_{part}"]))
        for kind in ("x", "y", "attributes"):
            key = f"{kind}_{part}"
            if key in arrays:
                mixed[key] = arrays[key][order]
    return mixed


def scale(images: np.ndarray) -> np.ndarray:
    """uint8 pictures as float32 in [0, 1]."""
    if images.dtype != np.uint8:
        raise BookError(
            f"scale() takes uint8 pictures, not {images.dtype}: it is for raw data only."
        )
    return images.astype(np.float32) / np.float32(255)
