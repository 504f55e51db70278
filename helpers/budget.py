"""One notebook, three budgets: quick, cpu and gpu, chosen by the variable GENBOOK_BUDGET."""

from __future__ import annotations

import os
from typing import TypeVar

from helpers.files import BookError, choose

Value = TypeVar("Value")

BUDGETS = ("quick", "cpu", "gpu")


def current_budget() -> str:
    """The budget of this run: "quick" unless GENBOOK_BUDGET says "cpu" or "gpu".

    Raises BookError for any other word.
    """
    return choose("budget", os.environ.get("GENBOOK_BUDGET", "") or "quick", BUDGETS)


def budget(*, quick: Value, cpu: Value, gpu: Value | None = None) -> Value:
    """Pick the value for this run's budget, e.g. ``EPOCHS = budget(quick=1, cpu=10, gpu=50)``.

    Without `gpu`, the `cpu` value serves there too.
    """
    name = current_budget()
    if name == "quick":
        return quick
    return gpu if name == "gpu" and gpu is not None else cpu


def is_full_run() -> bool:
    """True under cpu and gpu, when training is complete and its weights are worth keeping."""
    return current_budget() != "quick"


def is_release() -> bool:
    """True inside `make train`, which writes weights and results into the repository.

    A reader's own full run keeps them in the cache instead, so that the repository stays as it is.
    """
    return is_full_run() and os.environ.get("GENBOOK_RELEASE") == "1"


def current_seed() -> int:
    """The seed of this run: GENBOOK_SEED, or 0. The quick budget always uses 0."""
    if not is_full_run():
        return 0
    text = os.environ.get("GENBOOK_SEED") or "0"
    if not text.isdecimal():
        raise BookError(f"GENBOOK_SEED must be a whole number from 0 up, not {text!r}.")
    return int(text)
