"""Training and test parts: the few items of the tests' budget, and parts that share nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import is_one_sentence, put_in_cache, small_arrays

from helpers import datasets
from helpers.datasets import splits
from helpers.files import BookError


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENBOOK_BUDGET", "tiny")


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("name", ["fashion_mnist", "mnist", "portraits", "sprouts"])
def test_tiny_image_sets_have_every_label(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    few = datasets.load(name)
    assert "400 + 200 images" in capsys.readouterr().out
    for part, labels in (("train", few.y_train), ("test", few.y_test)):
        assert len(labels) == len(getattr(few, f"x_{part}"))
        assert set(labels) == set(range(len(few.class_names)))
        for attribute in few.attributes.values():
            assert len(getattr(attribute, part)) == len(labels)
            assert set(getattr(attribute, part)) == set(range(len(attribute.names)))


def test_tiny_pictures_keep_their_labels(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    portraits = datasets.load("portraits")
    assert "cut" not in capsys.readouterr().out
    monkeypatch.setenv("GENBOOK_BUDGET", "tiny")
    few = datasets.load("portraits")
    assert capsys.readouterr().out.endswith("; cut for the budget tiny\n")
    marks = splits.item_marks(portraits.x_test)
    place = [marks.index(mark) for mark in splits.item_marks(few.x_test)]
    assert place == sorted(place) and place[:100] != list(range(100, 200))
    assert np.array_equal(portraits.y_test[place], few.y_test)
    mouths = portraits.attributes["mouth"].test[place]
    assert np.array_equal(mouths, few.attributes["mouth"].test)


@pytest.mark.usefixtures("tiny")
def test_tiny_sets_of_other_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    plays = datasets.load_text("shakespeare")
    assert max(map(len, plays.train)) == 20_000 and len(plays.test) == 4
    assert len(datasets.load_tunes().train) == 400
    assert len(datasets.load_chorales().test) <= 200
    assert len(datasets.load_moons().x) == 400
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and all(line.endswith("; cut for the budget tiny") for line in lines)


COLUMNS = st.lists(st.lists(st.integers(0, 9), min_size=30, max_size=30), min_size=1, max_size=3)


@given(columns=COLUMNS, limit=st.integers(1, 40))
def test_few_are_the_first_ones_with_every_label(columns: list[list[int]], limit: int) -> None:
    labels = [np.array(column) for column in columns]
    chosen = splits.few(labels, limit)
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    for column in labels:
        assert set(column[chosen]) == set(column)
    needed = sum(len(set(column)) for column in columns)
    assert min(limit, 30) <= len(chosen) <= max(limit, needed)
    # all that are not the first of a label come before those left out
    first = {column.tolist().index(value) for column in labels for value in set(column.tolist())}
    free = [number for number in range(30) if number not in first]
    taken = [number for number in free if number in chosen]
    assert taken == free[: len(taken)]


def test_splits_that_share_nothing() -> None:
    numbers = np.arange(100)
    pictures = numbers.reshape(100, 1, 1, 1).astype(np.uint8)
    datasets.require_disjoint(train=pictures[:80], validation=pictures[80:90], test=pictures[90:])
    datasets.require_disjoint(train=numbers[:50], test=numbers[50:])
    datasets.require_disjoint(train=pictures)  # nothing to compare with
    with pytest.raises(BookError, match="train and validation share 5 of") as error:
        datasets.require_disjoint(
            test=pictures[90:], train=pictures[:85], validation=pictures[80:90]
        )
    assert is_one_sentence(error) and "(the first is item 0 of validation)" in str(error.value)
    with pytest.raises(BookError, match=r"a and b share 1 of .* item 3 of b"):
        datasets.require_disjoint(a=numbers[:10], b=np.array([12, 11, 13, 9]))


def test_splits_that_cannot_be_compared() -> None:
    pictures = np.zeros((4, 2, 2, 1), np.uint8)
    for other in (pictures.astype(np.float32), pictures[:, :1], pictures[:0]):
        with pytest.raises(BookError, match="same kind") as error:
            datasets.require_disjoint(train=pictures, test=other)
        assert is_one_sentence(error)


def test_known_repeats_of_a_set_are_allowed() -> None:
    arrays = small_arrays()
    arrays["x_test"][:2] = arrays["x_train"][:2]
    arrays["x_train"][3] = arrays["x_train"][2]
    put_in_cache("cifar10", **arrays)
    images = datasets.load("cifar10", verbose=False)
    assert images.repeats == 3
    with pytest.raises(BookError, match="share 2 of"):
        datasets.require_disjoint(train=images.x_train, test=images.x_test)
    datasets.require_disjoint(repeats=images.repeats, train=images.x_train, test=images.x_test)
    with pytest.raises(BookError, match="share 4 of"):
        datasets.require_disjoint(
            repeats=images.repeats, test=images.x_test, chosen=images.x_test.copy()
        )


@pytest.mark.parametrize("name", ["fashion_mnist", "mnist", "portraits", "sprouts"])
def test_embedded_sets_repeat_nothing(name: str) -> None:
    assert datasets.load(name, verbose=False).repeats == 0


def test_what_may_be_published() -> None:
    assert datasets.is_publishable("portraits") and not datasets.is_publishable("celeba")
    assert not datasets.is_publishable("folder:~/cats")
    with pytest.raises(BookError, match="did you mean 'portraits'"):
        datasets.is_publishable("portrait")
