"""Training and test parts: how they are held out, counted and told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from helpers.files import BookError

HELD_OUT = 10  # where a set has no test part of its own, every tenth item is one


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
