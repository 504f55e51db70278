"""Training and test parts: how they are held out, counted and told apart."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from helpers.budget import current_budget
from helpers.files import BookError

HELD_OUT = 10  # where a set has no test part of its own, every tenth item is one
TINY = (400, 200)  # items for training and for testing under the budget tiny
TINY_NOTE = "; cut for the budget tiny"


def counts(train: Sequence[Any] | np.ndarray, test: Sequence[Any] | np.ndarray) -> str:
    """The sizes of both parts, for the line that a loader prints."""
    return f"{len(train):,} + {len(test):,}"


def hold_out(items: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Every tenth item is for testing, and the last one if there are fewer than ten."""
    if len(items) < 2:
        raise BookError("At least two texts or tunes are needed: the file has fewer.")
    step = min(HELD_OUT, len(items))
    test = set(range(step - 1, len(items), step))
    return (
        [item for number, item in enumerate(items) if number not in test],
        [items[number] for number in sorted(test)],
    )


def is_tiny() -> bool:
    """True under the budget of the tests, where a loader gives the first TINY items only."""
    return current_budget() == "tiny"


def few(labels: Sequence[np.ndarray], limit: int) -> np.ndarray:
    """The sorted numbers of `limit` items: the first ones, but so that no label is missing.

    labels: arrays of one number for each item. If there are more labels than `limit`, there are
    more items.
    """
    first_of_each = {
        first for column in labels for first in np.unique(column, return_index=True)[1]
    }
    others = (number for number in range(len(labels[0])) if number not in first_of_each)
    room = max(0, limit - len(first_of_each))
    return np.array(sorted([*first_of_each, *itertools.islice(others, room)]))


def require_disjoint(*, repeats: int = 0, **splits: np.ndarray) -> None:
    """Raise BookError if two of the named splits have an item in common.

    splits: arrays [n, ...] of pictures, or of row numbers, of one shape and dtype; for example
    ``require_disjoint(train=x_train, validation=x_validation, test=x_test)``. Items are compared
    byte by byte, so a picture and its rounded copy differ: compare pictures as they were loaded.
    repeats: how many items the published set has more than once, `ImageSet.repeats`; two splits
    may have as many in common. It is 0 for the sets that come with the book.
    """
    kinds = {(part.dtype, part.shape[1:]) for part in splits.values()}
    if len(kinds) > 1 or not all(map(len, splits.values())):
        sizes = ", ".join(f"{name}: {part.dtype} {part.shape}" for name, part in splits.items())
        raise BookError(f"Only splits with items of the same kind can be compared, not {sizes}.")
    marks = {name: item_marks(part) for name, part in splits.items()}
    for one, two in itertools.combinations(marks, 2):
        shared = set(marks[one]) & set(marks[two])
        if len(shared) > repeats:
            where = next(number for number, mark in enumerate(marks[two]) if mark in shared)
            raise BookError(
                f"The splits {one} and {two} share {len(shared):,} of their items (the first is "
                f"item {where:,} of {two}): cut them from the set without an overlap."
            )


def item_marks(items: np.ndarray) -> list[bytes]:
    """A short mark for each item; equal items have equal marks, and others do not."""
    rows = items.reshape(len(items), -1)
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]
