"""The book's data sets: a registry, and loaders that say in one line what they loaded.

Embedded sets come with the book and load anywhere. The others are alternatives behind the variable
GENBOOK_DATASET: they are downloaded and checked, or read from a folder that the reader names.
Nothing is ever unpickled, and no set is ever swapped for another.

Each kind of data has a module (images, text, music, points) with its type and its loader. A loader
asks `registry` what the set is, `sources` for its files, and a reader of formats for their content.
Data of a new kind, such as drives in a car, gets a module, an entry in registry.LOADERS, and a name
here.
"""

from helpers.datasets.images import Attribute, ImageSet, load, scale
from helpers.datasets.music import Chorale, ChoraleSet, Tune, TuneSet, load_chorales, load_tunes
from helpers.datasets.points import PointSet, load_moons
from helpers.datasets.registry import REGISTRY, DataSet, SourceFile, choose_dataset, is_publishable
from helpers.datasets.sources import DatasetUnavailable
from helpers.datasets.splits import require_disjoint
from helpers.datasets.text import TextSet, load_text

__all__ = [
    "REGISTRY", "Attribute", "Chorale", "ChoraleSet", "DataSet", "DatasetUnavailable", "ImageSet",
    "PointSet", "SourceFile", "TextSet", "Tune", "TuneSet", "choose_dataset", "is_publishable",
    "load", "load_chorales", "load_moons", "load_text", "load_tunes", "require_disjoint", "scale",
]  # fmt: skip
