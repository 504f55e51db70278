"""Facts that README and pages state about the book itself, computed from its files.

Pages write {{full-minutes}}, which is replaced when the site is built. The README has the values
between the markers of scripts/prose_numbers.py; `make lint` writes them there, a test compares.
"""

from __future__ import annotations

import math

import yaml

from helpers.files import ROOT
from scripts import prose_numbers

from .contents import Notebook, comes_with_the_book, notebooks, quick_seconds


def full_seconds() -> dict[str, float]:
    """Seconds of each notebook's longest full run on a processor, with data of the book."""
    return {
        notebook.name: max(seconds)
        for notebook in notebooks()
        if (
            seconds := [
                run["seconds"]
                for run in notebook.runs()
                if run["budget"] == "cpu" and comes_with_the_book(run["dataset"])
            ]
        )
    }


def listed(numbers: list[int]) -> str:
    """Numbers in words: "1 to 4, 7 and 8"."""
    groups: list[list[int]] = []
    for number in sorted(numbers):
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    parts = []
    for group in groups:
        many = len(group) > 2
        parts += [f"{group[0]} to {group[-1]}"] if many else [str(number) for number in group]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def facts() -> dict[str, str]:
    """Each fact's text, by name."""
    quick, full = quick_seconds(), full_seconds()
    names = {notebook.name for notebook in notebooks()}
    quick = {name: seconds for name, seconds in quick.items() if name in names}
    slow = sorted((s, name) for name, s in full.items() if s > 30 * 60)
    longer = ", ".join(f"{name} {round(seconds / 60)}" for seconds, name in reversed(slow))
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    return {
        "version": citation["version"],
        "date": citation["date-released"].isoformat(),
        "chapters": listed([int(n.page.split("/")[1][:2]) for n in _first_of_chapters()]),
        "notebooks": str(len(names)),
        "quick-seconds": str(math.ceil(max(quick.values()) / 10) * 10),
        "quick-mean-seconds": str(round(sum(quick.values()) / len(quick))),
        "full-minutes": str(round(max(full.values()) / 60)),
        "full-hours": f"{sum(full.values()) / 3600:.1f}",
        "full-longer": f"({longer} minutes)" if longer else "(none longer)",
    }


def _first_of_chapters() -> list[Notebook]:
    chapters = {notebook.page.split("/")[1]: notebook for notebook in notebooks()}
    return list(chapters.values())


def mend_readme() -> bool:
    """Write the facts into the README; True if it changed."""
    readme = ROOT / "README.md"
    before = readme.read_text(encoding="utf-8")
    after = prose_numbers.filled(before, facts())
    if after != before:
        readme.write_text(after, encoding="utf-8")
    return after != before
