"""helpers.artefacts: what one notebook hands to the next arrives, or says why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers import artefacts
from helpers.files import BookError

ARRAYS = {"codes": np.arange(6, dtype=np.float16).reshape(2, 3), "ended": np.array([True, False])}


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(artefacts, "DATA", tmp_path / "data")
    return tmp_path / "data"


def test_arrays_come_back_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENBOOK_BUDGET", "cpu")
    artefacts.release("rollouts/codes", ARRAYS)
    found = artefacts.restore("rollouts/codes")
    assert found.keys() == ARRAYS.keys()
    for key, array in ARRAYS.items():
        assert found[key].dtype == array.dtype and np.array_equal(found[key], array)
    assert len(artefacts.checksum("rollouts/codes")) == 64


def test_the_books_come_first_under_quick_and_the_readers_own_in_a_full_run(
    own_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENBOOK_BUDGET", "cpu")
    monkeypatch.setenv("GENBOOK_RELEASE", "1")
    artefacts.release("rollouts/codes", ARRAYS)
    assert (own_data / "artefacts" / "rollouts" / "codes.npz").exists()
    monkeypatch.delenv("GENBOOK_RELEASE")
    artefacts.release("rollouts/codes", {"codes": np.zeros(1)})
    assert artefacts.restore("rollouts/codes")["codes"].shape == (1,)
    monkeypatch.setenv("GENBOOK_BUDGET", "quick")
    assert artefacts.restore("rollouts/codes")["codes"].shape == (2, 3)


def test_what_is_missing_damaged_large_or_not_a_number_is_named(
    own_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BookError, match="run the notebook rollouts first"):
        artefacts.restore("rollouts/codes")
    monkeypatch.setenv("GENBOOK_BUDGET", "cpu")
    monkeypatch.setenv("GENBOOK_RELEASE", "1")
    with pytest.raises(BookError, match="NaN"):
        artefacts.release("rollouts/codes", {"codes": np.array([np.nan])})
    with pytest.raises(BookError, match="NaN"):
        artefacts.release("rollouts/codes", {"codes": np.array([None])})
    noise = np.random.default_rng(0).integers(0, 256, 4_000_000, np.uint8)
    with pytest.raises(BookError, match="at most 3,000,000"):
        artefacts.release("rollouts/codes", {"codes": noise})
    assert not (own_data / "artefacts" / "rollouts" / "codes.npz").exists()
    artefacts.release("rollouts/codes", ARRAYS)
    path = artefacts.find("rollouts/codes")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(BookError, match="damaged"):
        artefacts.restore("rollouts/codes")


@pytest.mark.parametrize("name", ["codes", "../x", "a/b/c", "A/b", ""])
def test_names_have_a_form(name: str) -> None:
    with pytest.raises(BookError, match="notebook/artefact"):
        artefacts.find(name)


def test_rounded_numbers_come_back_within_half_a_step() -> None:
    values = 3 * np.random.default_rng(0).standard_normal((50, 4)).cumsum(axis=0)
    steps = artefacts.to_steps(values, 0.125)
    assert steps.dtype == np.int16
    found = artefacts.from_steps(steps, 0.125)
    assert found.dtype == np.float32 and np.abs(found - values).max() <= 0.0625 + 1e-6
    assert np.array_equal(artefacts.to_steps(found, 0.125), steps)
    assert len(artefacts.from_steps(artefacts.to_steps(values[:0], 0.125), 0.125)) == 0


@pytest.mark.parametrize(
    ("values", "step", "words"),
    [([np.nan], 0.1, "finite"), ([1.0], 0.0, "finite"), ([1e6], 0.1, "too fine")],
)
def test_what_cannot_be_rounded_is_named(values: list[float], step: float, words: str) -> None:
    with pytest.raises(BookError, match=words):
        artefacts.to_steps(np.array(values)[:, None], step)
