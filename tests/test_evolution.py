"""helpers.evolution: CMA-ES finds, repeats, resumes, and refuses what is not a number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cma")

from helpers import evolution
from helpers.files import BookError

TARGET = np.array([0.5, -1.0, 2.0])
SETTINGS: dict[str, Any] = {"spread": 0.5, "population": 8, "seed": 3}


def closeness(candidates: np.ndarray, generation: int) -> np.ndarray:
    return -((candidates - TARGET) ** 2).sum(axis=1)


def equal(one: evolution.Evolution, other: evolution.Evolution) -> bool:
    pairs = [(getattr(one, name), getattr(other, name)) for name in vars(one)]
    return all(np.array_equal(*pair) for pair in pairs)


def test_it_looks_for_high_scores() -> None:
    found = evolution.evolve(closeness, np.zeros(3), generations=60, **SETTINGS)
    assert np.abs(found.mean - TARGET).max() < 0.01
    assert found.candidates.shape == (60, 8, 3) and found.scores.shape == (60, 8)
    assert found.spreads[-1] < found.spreads[0]
    assert found.scores[-1].max() > found.scores[0].max()


def test_a_seed_is_a_search_and_nothing_else_is() -> None:
    first = evolution.evolve(closeness, np.zeros(3), generations=5, **SETTINGS)
    np.random.seed(7)
    np.random.normal(size=9)
    assert equal(first, evolution.evolve(closeness, np.zeros(3), generations=5, **SETTINGS))
    other = evolution.evolve(closeness, np.zeros(3), generations=5, **(SETTINGS | {"seed": 4}))
    assert not np.array_equal(first.candidates, other.candidates)


def test_a_search_leaves_numpys_own_generator_alone() -> None:
    np.random.seed(1)
    expected = np.random.normal(size=3)
    np.random.seed(1)
    evolution.evolve(closeness, np.zeros(3), generations=2, **SETTINGS)
    assert np.array_equal(np.random.normal(size=3), expected)


@pytest.mark.parametrize("options", [{}, {"CMA_diagonal": True}])
def test_a_killed_search_goes_on_with_the_next_generation(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("GENBOOK_BUDGET", "cpu")
    arguments = SETTINGS | {"options": options}
    whole = evolution.evolve(closeness, np.zeros(3), generations=12, **arguments)
    asked = []

    def dying(candidates: np.ndarray, generation: int) -> np.ndarray:
        asked.append(generation)
        if len(asked) == 6:
            raise KeyboardInterrupt
        return closeness(candidates, generation)

    with pytest.raises(KeyboardInterrupt):
        evolution.evolve(dying, np.zeros(3), generations=12, checkpoint="search", **arguments)
    resumed = evolution.evolve(dying, np.zeros(3), generations=12, checkpoint="search", **arguments)
    assert asked == [0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 11]
    assert "5 of 12 generations are done already" in capsys.readouterr().out
    assert equal(whole, resumed)
    longer = evolution.evolve(dying, np.zeros(3), generations=14, checkpoint="search", **arguments)
    assert asked[13:] == [12, 13] and np.array_equal(longer.scores[:12], whole.scores)


def test_another_setting_is_another_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENBOOK_BUDGET", "cpu")
    asked = []

    def counting(candidates: np.ndarray, generation: int) -> np.ndarray:
        asked.append(generation)
        return closeness(candidates, generation)

    changes: list[dict[str, Any]] = [
        {}, {"seed": 4}, {"spread": 0.6}, {"settings": {"tracks": 2}},
        {"options": {"CMA_diagonal": True}},
    ]  # fmt: skip
    for change in changes:
        evolution.evolve(
            counting, np.zeros(3), generations=1, checkpoint="one", **(SETTINGS | change)
        )
    evolution.evolve(counting, np.ones(3), generations=1, checkpoint="one", **SETTINGS)
    assert len(asked) == 6
    evolution.evolve(counting, np.zeros(3), generations=1, checkpoint="one", **SETTINGS)
    assert len(asked) == 6


def test_a_score_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(BookError, match="not finite"):
        evolution.evolve(
            lambda candidates, generation: np.array([np.nan] + [0.0] * 7), np.zeros(3),
            generations=2, **SETTINGS,
        )  # fmt: skip
    with pytest.raises(BookError, match="8 candidates"):
        evolution.evolve(
            lambda candidates, generation: np.zeros(7), np.zeros(3), generations=2, **SETTINGS
        )


@pytest.mark.parametrize(
    "change", [{"spread": 0.0}, {"spread": np.nan}, {"population": 1}, {"generations": 0}]
)
def test_sizes_must_make_sense(change: dict[str, Any]) -> None:
    with pytest.raises(BookError):
        evolution.evolve(closeness, np.zeros(3), **({"generations": 1} | SETTINGS | change))
    with pytest.raises(BookError):
        evolution.evolve(closeness, np.array([np.nan]), generations=1, **SETTINGS)


def test_a_damaged_or_foreign_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENBOOK_BUDGET", "cpu")
    arguments = SETTINGS | {"generations": 2, "checkpoint": "one"}
    evolution.evolve(closeness, np.zeros(3), **arguments)
    path = next((tmp_path / "cache" / "searches").glob("*.npz"))
    with np.load(path) as file:
        arrays = dict(file)
    for change, words in [
        ({"candidates": arrays["candidates"] + 1e-6}, "another version"),
        ({"scores": arrays["scores"] * np.nan}, "damaged"),
        ({"scores": arrays["scores"][:, :3]}, "damaged"),
    ]:
        np.savez(path, **(arrays | change))
        with pytest.raises(BookError, match=words):
            evolution.evolve(closeness, np.zeros(3), **arguments)
    path.write_bytes(b"nothing")
    with pytest.raises(BookError, match="damaged"):
        evolution.evolve(closeness, np.zeros(3), **arguments)
