"""One notebook, three budgets: quick, cpu and gpu, chosen by the variable GENBOOK_BUDGET.

A fourth, tiny, serves the tests alone: it takes every branch of a full run on a few items.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from helpers.files import BookError, choose

Value = TypeVar("Value")

BUDGETS = ("quick", "cpu", "gpu", "tiny")

SEED_DIGITS = 9
"""NumPy and Keras take seeds below 2 ** 32; this leaves room for seed + 1, seed + 2, ..."""


def current_budget() -> str:
    """The budget of this run: "quick" unless GENBOOK_BUDGET says "cpu", "gpu" or "tiny".

    Raises BookError for any other word, and for tiny without a cache folder of its own: weights
    of a few items must not take the place of a reader's.
    """
    name = choose("budget", os.environ.get("GENBOOK_BUDGET", "") or "quick", BUDGETS)
    if name == "tiny" and not os.environ.get("GENBOOK_CACHE"):
        raise BookError(
            "The budget tiny is for tests: set GENBOOK_CACHE to an empty folder for its weights "
            "and results."
        )
    return name


def budget(
    *, quick: Value, cpu: Value, gpu: Value | None = None, tiny: Value | None = None
) -> Value:
    """Pick the value for this run's budget, e.g. ``EPOCHS = budget(quick=1, cpu=10, gpu=50)``.

    Without `gpu` the `cpu` value serves there too, and without `tiny` the `quick` value.
    """
    name = current_budget()
    if name == "tiny" and tiny is not None:
        return tiny
    if name in ("quick", "tiny"):
        return quick
    return gpu if name == "gpu" and gpu is not None else cpu


def is_full_run() -> bool:
    """True under cpu and gpu, when training is complete and its weights are worth keeping.

    True under tiny as well, so that a test of seconds takes every branch that hangs on it.
    """
    return current_budget() != "quick"


def is_tiny() -> bool:
    """True in a test's run on a few items, whose numbers mean nothing."""
    return current_budget() == "tiny"


def is_release() -> bool:
    """True inside `make train`, which writes weights and results into the repository.

    A reader's own full run keeps them in the cache instead, so that the repository stays as it is;
    so does a tiny run, always.
    """
    return is_full_run() and not is_tiny() and os.environ.get("GENBOOK_RELEASE") == "1"


def current_seed() -> int:
    """The seed of this run: GENBOOK_SEED, or 0. The quick budget always uses 0."""
    if not is_full_run():
        return 0
    text = os.environ.get("GENBOOK_SEED") or "0"
    if not text.isdecimal() or len(text) > SEED_DIGITS:
        raise BookError(
            f"GENBOOK_SEED must be a whole number from 0 up of at most {SEED_DIGITS} digits, not "
            f"{text!r}."
        )
    return int(text)


def goes_into_book() -> bool:
    """Whether what this run releases becomes part of the book: inside `make train`, with seed 0."""
    return is_release() and current_seed() == 0


def own_or_released(own: Path, released: Path) -> Path | None:
    """Which of two files a run takes: under quick the book's, otherwise this run's own first."""
    if is_full_run() and not goes_into_book() and own.exists():
        return own
    if released.exists():
        return released
    return own if is_full_run() and own.exists() else None
