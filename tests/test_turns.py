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


def case(name: str, count: int = 0, page: str = "") -> Any:
    """A test's case; of those with a count, so many run each day."""
    mark = SimpleNamespace(args=(count,), kwargs={"by": "page"} if page else {})
    return SimpleNamespace(
        nodeid=f"test_it.py::{name}",
        callspec=SimpleNamespace(params={"page": page}),
        get_closest_marker=lambda _: mark if count else None,
    )


def run(*items: Any) -> tuple[list[str], list[str]]:
    """Which of these run, and which are left out."""
    left_out: list[Any] = []
    hook = SimpleNamespace(pytest_deselected=lambda items: left_out.extend(items))
    kept = list(items)
    turns.select(SimpleNamespace(hook=hook), kept)  # type: ignore[arg-type]
    assert kept == [item for item in items if item not in left_out]
    return [turns.short(item) for item in kept], [turns.short(item) for item in left_out]


@pytest.mark.parametrize(("count", "days"), [(1, 5), (2, 3), (3, 2), (4, 2), (5, 1)])
def test_every_case_has_its_day(count: int, days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [case(f"test_each[{name}]", count) for name in "abcde"]
    ran = []
    for day in range(27, 27 + days):
        monkeypatch.setenv("GENBOOK_DAY", f"2026-11-{day}" if day < 31 else f"2026-12-0{day - 30}")
        own, others = run(*cases)
        assert 0 < len(own) <= count and sorted(own + others) == [*"abcde"]
        ran += own
    assert sorted(ran) == [*"abcde"]


def test_other_tests_always_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENBOOK_DAY", "2026-11-28")
    own, _ = run(case("test_one[x]"), case("test_each[a]", 1), case("test_each[b]", 1))
    assert own[0] == "x" and len(own) == 2


def test_the_cases_of_a_page_have_the_same_day(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [case(f"test_page[{page}-{view}]", 1, page) for page in "ab" for view in "xy"]
    seen = set()
    for day in ("2026-11-28", "2026-11-29"):
        monkeypatch.setenv("GENBOOK_DAY", day)
        seen.add(tuple(run(*cases)[0]))
    assert seen == {("a-x", "a-y"), ("b-x", "b-y")}


def test_all_run_on_the_day_every_and_where_few_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [case(f"test_each[{name}]", 2) for name in "abcde"]
    monkeypatch.setenv("GENBOOK_DAY", "2026-11-28")
    assert run(*cases[3:]) == ([*"de"], [])
    monkeypatch.setenv("GENBOOK_DAY", "every")
    assert run(*cases) == ([*"abcde"], [])
    assert turns.date() == datetime.date.today().isoformat()


def test_it_is_said_whose_turn_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    assert turns.report({}) == []
    monkeypatch.setenv("GENBOOK_DAY", "2026-11-28")
    own, _ = run(*(case(f"test_each[{name}]", 2) for name in "abcdef"))
    turns.of_today([Path("some/vae.ipynb")], 1, "test_other")
    assert turns.report(turns.taken) == [
        "taking turns, day 2026-11-28 (all: make test-all)",
        f"  test_it.py::test_each: 2 of 6: {', '.join(own)}",
        "  test_other: 1 of 1: vae",
    ]
