"""helpers.budget: what GENBOOK_BUDGET, GENBOOK_SEED and GENBOOK_RELEASE decide."""

from __future__ import annotations

import pytest

from helpers.budget import (
    budget,
    current_budget,
    current_seed,
    is_full_run,
    is_release,
    is_tiny,
)
from helpers.files import BookError


@pytest.mark.parametrize(
    ("value", "expected"), [(None, 1), ("", 1), ("quick", 1), ("cpu", 10), ("gpu", 50)]
)
def test_budget_picks(monkeypatch: pytest.MonkeyPatch, value: str | None, expected: int) -> None:
    if value is not None:
        monkeypatch.setenv("GENBOOK_BUDGET", value)
    assert budget(quick=1, cpu=10, gpu=50) == expected
    assert current_budget() == (value or "quick")
    assert is_full_run() == (value in ("cpu", "gpu"))


def test_gpu_falls_back_to_cpu_but_not_when_the_value_is_false(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GENBOOK_BUDGET", "gpu")
    assert budget(quick=1, cpu=10) == 10
    assert budget(quick=1, cpu=10, gpu=0) == 0


def test_tiny_takes_the_branches_of_a_full_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_tiny()
    monkeypatch.setenv("GENBOOK_BUDGET", "tiny")
    assert is_tiny() and is_full_run()
    assert budget(quick=1, cpu=10, gpu=50) == 1
    assert budget(quick=1, cpu=10, tiny=0) == 0
    monkeypatch.setenv("GENBOOK_RELEASE", "1")
    assert not is_release()  # never into the repository


@pytest.mark.parametrize("folder", ["", None])
def test_tiny_needs_a_folder_of_its_own(
    monkeypatch: pytest.MonkeyPatch, folder: str | None
) -> None:
    monkeypatch.setenv("GENBOOK_BUDGET", "tiny")
    if folder is None:
        monkeypatch.delenv("GENBOOK_CACHE")
    else:
        monkeypatch.setenv("GENBOOK_CACHE", folder)
    for ask in (current_budget, is_full_run, lambda: budget(quick=1, cpu=2)):
        with pytest.raises(BookError, match="tiny is for tests: set GENBOOK_CACHE"):
            ask()


@pytest.mark.parametrize(
    ("word", "hint"), [("cpuu", "'cpu'"), ("CPU", "'cpu'"), ("xyz", "known: cpu, gpu, quick, tiny")]
)
def test_unknown_budget(monkeypatch: pytest.MonkeyPatch, word: str, hint: str) -> None:
    monkeypatch.setenv("GENBOOK_BUDGET", word)
    with pytest.raises(BookError, match=f"no budget named '{word}'.*{hint}"):
        budget(quick=1, cpu=2)


def test_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENBOOK_SEED", "7")
    assert current_seed() == 0  # quick is the same on every machine
    monkeypatch.setenv("GENBOOK_BUDGET", "cpu")
    assert current_seed() == 7
    for empty in ("", None):
        if empty is None:
            monkeypatch.delenv("GENBOOK_SEED")
        else:
            monkeypatch.setenv("GENBOOK_SEED", empty)
        assert current_seed() == 0


@pytest.mark.parametrize("word", ["-1", "1.5", "one", "4294967296", "9" * 5000])
def test_a_seed_that_no_generator_takes(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("GENBOOK_BUDGET", "cpu")
    monkeypatch.setenv("GENBOOK_SEED", word)
    with pytest.raises(BookError, match="whole number from 0 up of at most 9 digits"):
        current_seed()


def test_the_largest_seed_is_one_for_every_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    from helpers import training

    monkeypatch.setenv("GENBOOK_BUDGET", "cpu")
    monkeypatch.setenv("GENBOOK_SEED", "999999999")
    training.set_seed(current_seed() + 1000)  # as notebooks do


def test_only_a_full_run_of_make_train_releases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENBOOK_RELEASE", "1")
    assert not is_release()
    monkeypatch.setenv("GENBOOK_BUDGET", "cpu")
    assert is_release()
    monkeypatch.setenv("GENBOOK_RELEASE", "0")
    assert not is_release()
