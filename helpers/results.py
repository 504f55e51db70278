"""The record of measured results: written by full runs, read by notebooks, pages and tests."""

from __future__ import annotations

import datetime
import math
import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers import weights
from helpers.budget import current_budget, current_seed, is_full_run, is_release
from helpers.files import DATA, BookError, cache_folder, read_json, write_json

NAME_OF_NUMBER = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")

TOLERANCE = 4.0
"""A quick re-measurement may lie this many standard deviations from the recorded one."""


def load_runs(notebook: str) -> list[dict[str, Any]]:
    """All recorded runs of a notebook (its file name without .ipynb); [] before the first."""
    path = DATA / "results" / f"{notebook}.json"
    return read_json(path)["runs"] if path.exists() else []


@dataclass(frozen=True)
class Headline:
    """One recorded metric: mean and standard deviation over the seeds that were run.

    own_sd: the standard deviation of the measurement itself, where the first run recorded one.
    """

    mean: float
    sd: float | None
    seeds: int
    n: int | None
    seconds: float
    own_sd: float | None = None

    def text(self, digits: int = 3) -> str:
        """e.g. "0.884" or "0.884 ± 0.002" when there is more than one seed."""
        spread = "" if self.sd is None else f" ± {self.sd:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread}"


def headline(
    notebook: str, metric: str, dataset: str, budget: str | None = None
) -> Headline | None:
    """The recorded value of a metric, or None when no run has measured it.

    budget: "cpu" or "gpu"; by default the one of the released weights, else the larger.
    """
    runs = [
        run
        for run in load_runs(notebook)
        if run["dataset"] == dataset
        and metric in run["metrics"]
        and run["budget"] == (budget or run["budget"])
    ]
    if not runs:
        return None
    if budget is None:
        best = next((run for run in runs if _is_released(run)), runs[-1])
        same = ("budget", "backend")
        runs = [run for run in runs if all(run[key] == best[key] for key in same)]
    values = [run["metrics"][metric] for run in runs]
    mean = sum(values) / len(values)
    sd = None
    if len(values) > 1:
        sd = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
    first = min(runs, key=lambda run: run["seed"])
    return Headline(
        mean=mean,
        sd=sd,
        seeds=len(values),
        n=first["n"].get(metric),
        seconds=sum(run["seconds"] for run in runs) / len(runs),
        own_sd=first["sd"].get(metric),
    )


@dataclass
class Record:
    """Collects what a notebook measures, and saves it at the end of a full run.

    notebook: file name without .ipynb; dataset and source: as the loader printed them.
    Under quick nothing is saved: `check` compares with what the full run recorded.
    """

    notebook: str
    dataset: str
    source: str
    metrics: dict[str, float] = field(default_factory=dict)
    n: dict[str, int] = field(default_factory=dict)
    sd: dict[str, float] = field(default_factory=dict)
    quick_checks: dict[str, dict[str, float]] = field(default_factory=dict)

    def metric(
        self, name: str, value: float, *, n: int | None = None, sd: float | None = None
    ) -> None:
        """Keep a value measured on the full sample of size n; sd is that of the value, if known."""
        _require_finite(name, value, sd)
        self.metrics[name] = float(value)
        if n is not None:
            self.n[name] = int(n)
        if sd is not None:
            self.sd[name] = float(sd)

    def check(self, name: str, value: float, *, n: int, sd: float) -> None:
        """Measure again on a small sample: recorded in a full run, compared under quick.

        sd is the standard deviation of `value` as a measurement on n items; a value further than
        four of them from the recorded one raises AssertionError.
        """
        _require_finite(name, value, sd)
        if is_full_run():
            self.quick_checks[name] = {"value": float(value), "n": int(n), "sd": float(sd)}
            return
        recorded = self._released_run()
        if recorded is None or name not in recorded["quick_check"]:
            print(f"{name}: {_three_digits(value)} on {n:,} (not recorded yet)")
            return
        then = recorded["quick_check"][name]
        if then["n"] != n:
            raise BookError(f"{name} was recorded on {then['n']:,} items, not on {n:,}.")
        # A value without spread (an exact error, say) still moves in its last digits
        allowed = max(TOLERANCE * then["sd"], 1e-4 * abs(then["value"]))
        assert abs(value - then["value"]) <= allowed, (
            f"{name} is {value:.4f}, but {then['value']:.4f} was recorded: more than "
            f"{TOLERANCE:g} standard deviations of {then['sd']:.4f} away"
        )
        recorded_text = f"{_three_digits(then['value'])} ± {_three_digits(then['sd'])}"
        print(f"{name}: {_three_digits(value)} on {n:,}, as recorded ({recorded_text})")

    def save(
        self,
        *,
        parameters: Mapping[str, int] | None = None,
        updates: Mapping[str, int] | int = 0,
        seconds: float,
        weight_names: Sequence[str] = (),
    ) -> None:
        """Write this run into the record; does nothing under quick.

        parameters and updates: per model, {name: number}; seconds: training time of all models of
        the notebook together. A run with the same data set, budget, backend and seed is replaced.
        """
        if not is_full_run():
            return
        run = {
            "dataset": self.dataset,
            "source": self.source,
            "budget": current_budget(),
            "backend": _backend(),
            "seed": current_seed(),
            "metrics": {k: _round(v) for k, v in self.metrics.items()},
            "n": self.n,
            "sd": {k: _round(v) for k, v in self.sd.items()},
            "quick_check": {
                k: {**check, "value": _round(check["value"]), "sd": _round(check["sd"])}
                for k, check in self.quick_checks.items()
            },
            "parameters": dict(parameters or {}),
            "updates": dict(updates) if isinstance(updates, Mapping) else updates,
            "seconds": round(seconds, 1),
            "hardware": hardware(),
            "versions": versions(),
            "weights_sha256": weights.checksums(list(weight_names)),
            "date": datetime.date.today().isoformat(),
        }
        path = (DATA if is_release() else cache_folder()) / "results" / f"{self.notebook}.json"
        runs = read_json(path)["runs"] if path.exists() else []
        runs = [other for other in runs if _key(other) != _key(run)] + [run]
        runs.sort(key=_key)
        write_json(path, {"notebook": self.notebook, "runs": runs})

    def _released_run(self) -> dict[str, Any] | None:
        runs = [r for r in load_runs(self.notebook) if r["dataset"] == self.dataset]
        return next((run for run in runs if _is_released(run)), None)


def quote(name: str, text: str) -> None:
    """Make `text` the value of <!--name-->...<!--/--> in the prose, and show nothing.

    `make execute` writes it there. The output is an HTML comment, which no reader sees and nbval
    compares.
    """
    from IPython.display import display

    if not NAME_OF_NUMBER.fullmatch(name) or "--" in text or ">" in text:
        raise BookError(f"A quoted number needs a name like vae-floor, and a plain text: {name!r}.")
    display({"text/html": f"<!--{name}: {text}-->", "text/plain": ""}, raw=True)


def show_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Display a table (Markdown, so that it reads in the book, in JupyterLab and in Colab)."""
    from IPython.display import Markdown, display

    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(str(cell) for cell in cells) + " |"

    lines = [line(header), line(["---"] * len(header)), *(line(row) for row in rows)]
    display(Markdown("\n".join(lines)))


def expectation(notebook: str, rows: Sequence[dict[str, Any]], dataset: str) -> None:
    """Display the table "what to expect" of a notebook, from the record.

    Each row: {"metric": key in the record, "label": words and unit, "baseline": text or key of a
    recorded metric, "reference": text with its source, "optimum": text or key, "digits": int}.
    What has not been measured shows as "not measured yet". `dataset` may be overridden per row.
    """
    table = []
    for row in rows:
        where = row.get("dataset", dataset)
        digits = row.get("digits", 3)

        def text(key: str | None, where: str = where, digits: int = digits) -> str:
            if not key:
                return "–"
            found = headline(notebook, key, where)
            return found.text(digits) if found else str(key)

        measured = headline(notebook, row["metric"], where)
        ours = f"**{measured.text(digits)}**" if measured else "not measured yet"
        table.append(
            [row["label"], text(row.get("baseline")), ours, row.get("reference", "–"),
             text(row.get("optimum"))]
        )  # fmt: skip
    show_table(["what", "trivial baseline", "ours (± over runs)", "reference", "optimum"], table)
    cost = _cost(notebook)
    if cost:
        show_table(
            ["data set", "budget", "parameters", "runs", "minutes per run", "hardware"], cost
        )


def _cost(notebook: str) -> list[list[str]]:
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for run in load_runs(notebook):
        groups.setdefault((run["dataset"], run["budget"], run["hardware"]), []).append(run)
    return [
        [
            dataset,
            budget,
            _counts(runs[0]["parameters"]),
            str(len(runs)),
            f"{sum(run['seconds'] for run in runs) / len(runs) / 60:.1f}",
            machine,
        ]
        for (dataset, budget, machine), runs in groups.items()
    ]


def _counts(parameters: Mapping[str, int]) -> str:
    """e.g. "593,500", or "vae_2d 350,000, vae_16d 410,000" for several models."""
    if len(parameters) == 1:
        return f"{next(iter(parameters.values())):,}"
    return ", ".join(f"{model} {count:,}" for model, count in parameters.items()) or "–"


def hardware() -> str:
    """The processor (or GPU) and the number of cores, in words."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        name = models[0].split(":", 1)[1].strip() if models else name
    gpu = _gpu_name()
    return gpu if gpu else f"{os.cpu_count()} cores, {name}"


def _gpu_name() -> str | None:
    if _backend() == "torch":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else None
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    if not devices:
        return None
    return str(tf.config.experimental.get_device_details(devices[0]).get("device_name", "GPU"))


def _backend() -> str:
    import keras

    return str(keras.backend.backend())


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that a measured number depends on."""
    from importlib.metadata import version

    backend = {"torch": "torch"}.get(_backend(), "tensorflow")
    return {"python": platform.python_version()} | {
        name: version(name) for name in ("keras", backend, "numpy")
    }


def _is_released(run: dict[str, Any]) -> bool:
    """True when the book's weights are the ones that this run made."""
    sums = run["weights_sha256"]
    if run["seed"] != 0:
        return False
    try:
        return all(
            read_json(weights.card_path(DATA, name))["sha256"] == value
            for name, value in sums.items()
        )
    except BookError:
        return False


def _three_digits(value: float) -> str:
    """Three decimals; what would show as zero, and differs between machines, by its bound."""
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.0005 else "less than 0.001"


def _require_finite(name: str, value: float, sd: float | None) -> None:
    if not math.isfinite(value):
        raise BookError(f"The metric {name} is {value}: nothing was recorded.")
    if sd is not None and not (math.isfinite(sd) and sd >= 0):
        raise BookError(f"The standard deviation of {name} is {sd}: nothing was recorded.")


def _key(run: dict[str, Any]) -> tuple[Any, ...]:
    return run["dataset"], run["budget"], run["backend"], run["seed"]


def _round(value: float) -> float:
    """Six significant digits: more than any of these measurements is good for."""
    return float(f"{value:.6g}")
