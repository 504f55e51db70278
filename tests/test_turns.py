"""turns.py: every case has its day, on the day "every" all have, and it is said whose it was."""

from __future__ import annotations

import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import turns


@pytest.fixture(autouse=True)
def nothing_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "taken", {})


def case(name: str, count: int = 0) -> Any:
    """A test's case; of those with a count, so many run each day."""
    mark = SimpleNamespace(args=(count,)) if count else None
    return SimpleNamespace(nodeid=f"test_it.py::{name}", get_closest_marker=lambda _: mark)


def run_on(day: str, names: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], list[str]]:
    """The cases a, b, ... that run on a day, two of them in turn, and those that are left out."""
    left_out: list[Any] = []
    hook = SimpleNamespace(pytest_deselected=lambda items: left_out.extend(items))
    items = [case("first"), *(case(f"test_each[{name}]", 2) for name in names), case("last[x]")]
    monkeypatch.setenv("GENBOOK_DAY", day)
    turns.select(SimpleNamespace(hook=hook), items)  # type: ignore[arg-type]
    assert (items[0].nodeid, items[-1].nodeid) == ("test_it.py::first", "test_it.py::last[x]")
    return [turns.short(item) for item in items[1:-1]], [turns.short(item) for item in left_out]


def test_every_case_has_its_day(monkeypatch: pytest.MonkeyPatch) -> None:
    days = [f"2026-11-{day}" for day in (28, 29, 30)]
    ran = [run_on(day, "abcde", monkeypatch) for day in days]
    assert all(len(own) == 2 and sorted(own + others) == [*"abcde"] for own, others in ran)
    assert {name for own, _ in ran for name in own} == {*"abcde"}
    assert run_on(days[0], "abcde", monkeypatch) == ran[0]


def test_all_run_on_the_day_every_and_where_few_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_on("every", "abcde", monkeypatch) == ([*"abcde"], [])
    assert run_on("2026-11-28", "de", monkeypatch) == ([*"de"], [])
    monkeypatch.setenv("GENBOOK_DAY", "every")
    assert turns.date() == datetime.date.today().isoformat()


def test_it_is_said_whose_turn_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    assert turns.report({}) == []
    own, _ = run_on("2026-11-28", "abcde", monkeypatch)
    turns.of_today([Path("some/vae.ipynb")], 1, "test_other")
    assert turns.report(turns.taken) == [
        "taking turns, day 2026-11-28 (all: make test-all)",
        f"  test_it.py::test_each: 2 of 5: {', '.join(own)}",
        "  test_other: 1 of 1: vae",
    ]
