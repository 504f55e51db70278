"""Tests that take turns: of many costly cases that are alike, a few run each day.

@pytest.mark.in_turn(6) lets six of a test's cases run, another six tomorrow, so that all have had
their day after cases / 6 days. All run when GENBOOK_DAY is "every": by `make test-all`, and once a
week. GENBOOK_DAY=2026-11-30 takes those of another day. Where no more than six are chosen, by name
or by -k, all of them run. At the end of the run it is said which cases had their turn.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from scripts.check_notebooks import of_the_day

EVERY = "every"
taken: dict[str, list[str]] = {}
"""For each test, in this process: "6 of 22" and the names of the cases of the day."""


def day() -> str:
    """The day whose turn it is, YYYY-MM-DD, or "every"."""
    return os.environ.get("GENBOOK_DAY") or datetime.date.today().isoformat()


def date() -> str:
    """The day by which is drawn at random; on the day "every" it is today's."""
    return datetime.date.today().isoformat() if day() == EVERY else day()


def of_today(cases: Sequence[Any], count: int, test: str) -> list[Any]:
    """Those of a test's cases whose turn it is, in their order; all of them on the day "every"."""
    chosen = list(cases)
    if day() != EVERY:
        number = datetime.date.fromisoformat(day()).toordinal()
        chosen = [cases[index] for index in of_the_day(range(len(cases)), count, number)]
    taken[test] = [f"{len(chosen)} of {len(cases)}", *map(short, chosen)]
    return chosen


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the cases whose turn it is not; to be called with all other choices made."""
    tests: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("in_turn"):
            tests.setdefault(item.nodeid.partition("[")[0], []).append(item)
    left_out: set[str] = set()
    for name, cases in tests.items():
        mark = cases[0].get_closest_marker("in_turn")
        assert mark is not None
        chosen = of_today(cases, mark.args[0], name)
        left_out |= {case.nodeid for case in cases} - {case.nodeid for case in chosen}
    if left_out:
        config.hook.pytest_deselected(items=[i for i in items if i.nodeid in left_out])
        items[:] = [item for item in items if item.nodeid not in left_out]


def short(case: Any) -> str:
    """How a case is called at the end: vae for a notebook's path, or for the test test_it[vae]."""
    if isinstance(case, Path):
        return case.stem
    return getattr(case, "nodeid", f"[{case}").partition("[")[2].removesuffix("]")


def report(found: dict[str, list[str]]) -> list[str]:
    """What is said at the end of a run."""
    if not found:
        return []
    lines = [f"taking turns, day {day()} (all: make test-all)"]
    for name, (count, *cases) in sorted(found.items()):
        lines.append(f"  {name}: {count}: {', '.join(cases)}")
    return lines
