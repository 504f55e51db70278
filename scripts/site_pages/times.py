"""What notebooks and models cost: minutes to read and run, speed, memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from helpers.files import DATA, read_json

from .contents import Notebook, comes_with_the_book, link, notebooks, quick_seconds
from .formats import minutes, number, table
from .results import GAP, grouped

BENCH = DATA / "results" / "bench.json"

BUDGETS = ("quick", "cpu", "gpu")


def budget_minutes(runs: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Mean minutes of these runs under each budget; "–" for a gap."""
    result = dict.fromkeys(BUDGETS, "–")
    for (_, budget, _, _), group in grouped(runs).items():
        if result.get(budget) == "–":
            result[budget] = minutes(sum(run["seconds"] for run in group) / len(group))
    return result


def default_minutes(notebook: Notebook) -> dict[str, str]:
    """Minutes under each budget with the notebook's default data, which comes with the book."""
    runs = [run for run in notebook.runs() if comes_with_the_book(run["dataset"])]
    result = budget_minutes(runs)
    seconds = quick_seconds().get(notebook.name)
    if seconds is not None:
        result["quick"] = minutes(seconds)
    return result


def minutes_text() -> str:
    """The timings page's table: a row for each notebook and data set."""
    rows = []
    for notebook in notebooks():
        times = default_minutes(notebook)
        rows.append([link(notebook), "default", *(times[budget] for budget in BUDGETS)])
        others = [run for run in notebook.runs() if not comes_with_the_book(run["dataset"])]
        for dataset in dict.fromkeys(run["dataset"] for run in others):
            times = budget_minutes(run for run in others if run["dataset"] == dataset)
            rows.append(["", f"`{dataset}`", "–", times["cpu"], times["gpu"]])
    machines = dict.fromkeys(run["hardware"] for notebook in notebooks() for run in notebook.runs())
    measured_on = f"Machines: {'; '.join(machines)}.\n" if machines else ""
    return table(["notebook", "data", *BUDGETS], rows) + "\n" + measured_on


def map_text(descriptions: dict[str, str]) -> str:
    """A table of the named notebooks: what each is about, minutes to read and to run.

    A notebook that _toc.yml does not have yet shows as a gap, which it fills without an edit here.
    """
    known = {notebook.name: notebook for notebook in notebooks()}
    rows = []
    for name, description in descriptions.items():
        if name not in known:
            rows.append([f"`{name}` (in preparation)", description, *["–"] * (1 + len(BUDGETS))])
            continue
        notebook = known[name]
        reading = notebook.reading_minutes()
        times = default_minutes(notebook)
        read = str(reading) if reading else "–"
        rows.append([link(notebook), description, read, *(times[budget] for budget in BUDGETS)])
    return table(["notebook", "what you do there", "read", *BUDGETS], rows)


def bench_text() -> str:
    """What `make bench` measured: speed and memory of each model."""
    if not BENCH.exists():
        return f"**{GAP.capitalize()}.**\n"
    bench = read_json(BENCH)
    rows = [
        [
            row["notebook"],
            f"`{row['model']}`",
            number(row["parameters"]),
            number(row["train_items_per_second"]),
            f"{row['sample_ms']:.3g}",
            number(row["peak_mb"]),
        ]
        for row in bench["rows"]
    ]
    header = ["notebook", "model", "trained parameters", "training, items/s"]
    header += ["one call, ms", "memory, MB"]
    versions = ", ".join(f"{name} {version}" for name, version in bench["versions"].items())
    return f"{table(header, rows)}\n{bench['hardware']}; {versions}; {bench['date']}.\n"
