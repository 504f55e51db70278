"""Tests that take turns: of many costly cases that are alike, a few run each day.

@pytest.mark.in_turn(6) lets at most six of a test's cases run in a day: of 18 cases, each runs on
every third day. With by="page", the cases of one page have the same day. All run when GENBOOK_DAY
is "every": by `make test-all`, and once a week. GENBOOK_DAY=2026-11-30 takes those of another day.
Where no more than six are chosen, by name or by -k, all of them run. At the end of the run it is
said which had their turn.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

EVERY = "every"
taken: dict[str, list[str]] = {}
"""For each test, in this process: "6 of 18" and the names of the cases of the day."""


def day() -> str:
    """The day whose turn it is, YYYY-MM-DD, or "every"."""
    return os.environ.get("GENBOOK_DAY") or datetime.date.today().isoformat()


def date() -> str:
    """The day by which is drawn at random; on the day "every" it is today's."""
    return datetime.date.today().isoformat() if day() == EVERY else day()


def of_today(cases: Sequence[Any], count: int, test: str) -> list[Any]:
    """Those of a test's cases whose turn it is, in their order; all of them on the day "every"."""
    period = -(-len(cases) // count) or 1  # days, rounded up
    number = datetime.date.fromisoformat(date()).toordinal()
    chosen = list(cases) if day() == EVERY else list(cases[number % period :: period])
    taken[test] = [f"{len(chosen)} of {len(cases)}", *map(short, chosen)]
    return chosen


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the cases whose turn it is not; to be called with all other choices made."""
    tests: dict[str, dict[str, list[pytest.Item]]] = {}
    for item in items:
        if mark := item.get_closest_marker("in_turn"):
            by = mark.kwargs.get("by")
            what = str(item.callspec.params[by]) if by else short(item)  # type: ignore[attr-defined]
            tests.setdefault(item.nodeid.partition("[")[0], {}).setdefault(what, []).append(item)
    left_out: set[str] = set()
    for name, cases in tests.items():
        (first, *_), *_ = cases.values()
        mark = first.get_closest_marker("in_turn")
        chosen = of_today(list(cases), mark.args[0], name)  # type: ignore[union-attr]
        left_out |= {item.nodeid for what in cases.keys() - chosen for item in cases[what]}
    if left_out:
        config.hook.pytest_deselected(items=[i for i in items if i.nodeid in left_out])
        items[:] = [item for item in items if item.nodeid not in left_out]


def short(case: Any) -> str:
    """How a case is called at the end: vae for a notebook's path, or for the test test_it[vae]."""
    if hasattr(case, "nodeid"):
        return str(case.nodeid).partition("[")[2].removesuffix("]")
    return case.stem if isinstance(case, Path) else str(case)


def report(found: dict[str, list[str]]) -> list[str]:
    """What is said at the end of a run."""
    if not found:
        return []
    lines = [f"taking turns, day {day()} (all: make test-all)"]
    for name, (count, *cases) in sorted(found.items()):
        lines.append(f"  {name}: {count}: {', '.join(cases)}")
    return lines
