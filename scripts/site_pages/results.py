"""The results page: everything that the full runs measured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .contents import link, notebooks
from .formats import measured, minutes, number, table, words
from .metric_words import metric_words

GAP = "not measured yet"


def per_metric(entry: Any, metric: str) -> Any:
    """A record's entry for a metric: the entry may be one number or a table by metric."""
    return entry.get(metric) if isinstance(entry, dict) else entry


def grouped(runs: Iterable[dict[str, Any]]) -> dict[tuple[str, ...], list[dict[str, Any]]]:
    """Runs that differ by seed only, together."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for run in runs:
        key = (run["dataset"], run["budget"], run.get("backend", ""), run.get("hardware", ""))
        groups.setdefault(key, []).append(run)
    return groups


def results_text() -> str:
    """The results page's body: for each notebook what was measured, and by which runs."""
    parts = []
    for notebook in notebooks():
        parts.append(f"## {notebook.title()}\n\nNotebook: {link(notebook)}.\n")
        runs = notebook.runs()
        parts.append(_results_tables(runs) if runs else f"**{GAP.capitalize()}.**\n")
    return "\n".join(parts)


def _results_tables(runs: list[dict[str, Any]]) -> str:
    metrics, costs = [], []
    for (dataset, budget, backend, machine), group in grouped(runs).items():
        for metric in dict.fromkeys(name for run in group for name in run["metrics"]):
            having = [run for run in group if metric in run["metrics"]]
            n = per_metric(having[0].get("n"), metric)
            sd = per_metric(having[0].get("sd"), metric)
            value = measured([run["metrics"][metric] for run in having], sd)
            seeds = f"{len(having)} seeds" if len(having) > 1 else "1 run"
            metrics.append(
                [metric_words(metric), value, number(n) if n else "–", seeds, dataset, budget]
            )
        seconds = sum(run["seconds"] for run in group) / len(group)
        costs.append(
            [
                dataset,
                minutes(seconds),
                words(group[0].get("updates")),
                words(group[0].get("parameters")),
                budget,
                f"{machine}; {backend}",
                group[-1]["date"],
            ]
        )
    measured_table = table(["measure", "value", "items", "from", "data", "budget"], metrics)
    cost_table = table(["data", "minutes", "updates", "parameters", "budget", "on", "date"], costs)
    sources = dict.fromkeys(f"{run['dataset']}: {run['source']}" for run in runs)
    return f"{measured_table}\n{cost_table}\nData: {'; '.join(sources)}.\n"
