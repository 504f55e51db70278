"""The record of measured results: written by full runs, read by notebooks, pages and tests."""

from __future__ import annotations

import datetime
import json
import math
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers import checkpoints, weights
from helpers.budget import current_budget, current_seed, is_full_run, is_release
from helpers.files import DATA, BookError, cache_folder, read_json, write_json

NAME_OF_NUMBER = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")

TOLERANCE = 2e-4
"""How far, relatively, a value measured again may lie from the recorded one.

The same pictures, weights and seeds give the same number up to rounding: oneDNN on and off, AVX2
in the place of AVX-512, and one thread in the place of two moved likelihoods and Fréchet distances
by less than a millionth.
"""

CPUINFO = Path("/proc/cpuinfo")

INSTRUCTION_SETS = {"avx2": "AVX2", "avx512f": "AVX-512", "amx_tile": "AMX"}
"""Those that decide how fast a training is: the system's name for each, and ours."""

KEY = re.compile(r"[a-z][a-z0-9_.]*")
"""How the name of a metric is written in the record."""

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


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
    seeds: tuple[int, ...]
    n: int | None
    seconds: float
    own_sd: float | None = None

    def text(self, digits: int = 3) -> str:
        """e.g. "0.884", or "0.884 ± 0.002" with the sd over seeds, or that of the one run."""
        return number_text(self.mean, self.own_sd if self.sd is None else self.sd, digits)

    def runs(self) -> str:
        """How many runs are behind the value, and their seeds: "3 (seeds 0, 1, 2)"."""
        return _runs(self.seeds)


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
        seeds=tuple(sorted(run["seed"] for run in runs)),
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

    def check(
        self,
        name: str,
        value: float,
        *,
        n: int,
        sd: float | None = None,
        label: str | None = None,
        tolerance: float = TOLERANCE,
        absolute: float = 0.0,
        flips: int = 0,
    ) -> None:
        """Measure again on a small sample: recorded in a full run, compared under quick.

        It compares the same n items, weights and seeds, so that the values must be equal up to
        rounding: within `tolerance` of the recorded value, relatively, or within `absolute` for a
        value near zero. For a share of the n items (accuracy, precision) `flips` items may fall on
        the other side. Anything further away raises AssertionError.
        Prints the recorded value, which is the same on every machine, under the name `label`, and
        with ± sd, the standard deviation of the value as a measurement on n items, where known.
        On another backend than the recorded one random draws differ: there, four sd are allowed.
        """
        _require_finite(name, value, sd)
        if is_full_run():
            check = {"value": float(value), "n": int(n)}
            self.quick_checks[name] = check | ({} if sd is None else {"sd": float(sd)})
            return
        label = label or name.replace("_", " ")
        recorded = self._released_run()
        if recorded is None or name not in recorded["quick_check"]:
            print(f"{label}: {number_text(value, sd)} on {n:,} (not recorded yet)")
            return
        then = recorded["quick_check"][name]
        if then["n"] != n:
            raise BookError(f"{name} was recorded on {then['n']:,} items, not on {n:,}.")
        allowed = max(tolerance * abs(then["value"]), absolute, (flips + 1e-3) / n if flips else 0)
        if recorded["backend"] != _backend():
            allowed = max(allowed, 4 * then.get("sd", 0.0))
        if abs(value - then["value"]) > allowed:  # a mistake, so not left to -O's mercy
            raise AssertionError(
                f"{name} is {value:.6g}, but {then['value']:.6g} was recorded from the same {n:,} "
                f"items and weights: {allowed:.2g} apart is the most that rounding explains"
            )
        print(f"{label}: {number_text(then['value'], then.get('sd'))} on {n:,}, as recorded")

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
        When the record is written, the session's checkpoints are removed.
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
                name: check | {k: _round(check[k]) for k in ("value", "sd") if k in check}
                for name, check in self.quick_checks.items()
            },
            "parameters": dict(parameters or {}),
            "updates": dict(updates) if isinstance(updates, Mapping) else updates,
            "seconds": round(seconds, 1),
            "hardware": hardware(),
            "versions": versions(),
            "weights_sha256": weights.checksums(list(weight_names)),
            "date": datetime.date.today().isoformat(),
            # What scripts/out_of_date.py compares; known only when a script starts the run
            "depends_on": json.loads(os.environ.get("GENBOOK_DEPENDS_ON", "null")),
        }
        path = (DATA if is_release() else cache_folder()) / "results" / f"{self.notebook}.json"
        runs = read_json(path)["runs"] if path.exists() else []
        runs = [other for other in runs if _key(other) != _key(run)] + [run]
        runs.sort(key=_key)
        write_json(path, {"notebook": self.notebook, "runs": runs})
        checkpoints.forget()  # not earlier: until now they are all there is of this run

    def _released_run(self) -> dict[str, Any] | None:
        runs = [r for r in load_runs(self.notebook) if r["dataset"] == self.dataset]
        return next((run for run in runs if _is_released(run)), None)


def number_text(value: float, sd: float | None = None, digits: int = 3) -> str:
    """A number for a reader, e.g. "0.884", "0.884 ± 0.002" or "1.1 × 10⁻⁶".

    digits: decimals; there are up to two more where the sd would show as zero otherwise.
    A value that would show as zero is written with a power of ten, and so is its sd.
    """
    smallest = max(0.5 * 10.0**-digits, 1e-4)
    if 0 < abs(value) < smallest and (sd or 0.0) < smallest:
        power = math.floor(math.log10(abs(value)))
        scaled = f"{value / 10.0**power:.1f}"
        if sd:
            scaled = f"({scaled} ± {sd / 10.0**power:.1f})"
        return f"{scaled} × 10{str(power).translate(SUPERSCRIPTS)}"
    if sd is None:
        return f"{value:.{digits}f}"
    visible = (more for more in range(digits, digits + 3) if sd >= 0.5 * 10.0**-more)
    digits = next(visible, digits)
    value = round(value, digits) + 0.0  # no minus before a zero
    return f"{value:.{digits}f} ± {sd:.{digits}f}"


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

    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(str(cell) for cell in cells) + " |"

    lines = [line(header), line(["---"] * len(header)), *(line(row) for row in rows)]
    _show_markdown("\n".join(lines))


def _show_markdown(text: str) -> None:
    from IPython.display import Markdown, display

    display(Markdown(text))


def expectation(notebook: str, rows: Sequence[dict[str, Any]], dataset: str) -> None:
    """Display the table "what to expect" of a notebook, from the record.

    Each row: {"metric": key in the record, "label": words and unit, "baseline": text or key of a
    recorded metric, "reference": text with its source, "optimum": text or key, "digits": int}.
    A key is one lower-case word, such as floor_fid. `dataset` may be overridden per row.
    Each measured number comes with its ± where one is known, and the row says how many items and
    which runs are behind it. What has not been measured shows as "not measured yet".
    """
    table, spreads = [], set()
    for row in rows:
        where, digits = row.get("dataset", dataset), row.get("digits", 3)
        ours = headline(notebook, row["metric"], where)

        def cell(
            text: str, where: str = where, digits: int = digits, ours: Headline | None = ours
        ) -> str:
            if not KEY.fullmatch(text):
                return text
            found = headline(notebook, text, where)
            if found is None:
                return "not measured yet"
            other_n = found.n and ours and found.n != ours.n
            return found.text(digits) + (f" (n = {found.n:,})" if other_n else "")

        table.append(
            [
                row["label"],
                cell(row.get("baseline", "–")),
                f"**{ours.text(digits)}**" if ours else "not measured yet",
                f"{ours.n:,}" if ours and ours.n else "–",
                ours.runs() if ours else "–",
                row.get("reference", "–"),
                cell(row.get("optimum", "–")),
            ]
        )
        if ours and ours.sd is not None:
            spreads.add("over the runs")
        elif ours and ours.own_sd is not None:
            spreads.add("where there is one run, that of the measurement on n items")
    header = ["what", "trivial baseline", "ours", "n", "runs", "reference", "optimum"]
    if spreads:
        header[2] = "ours ± sd"
    show_table(header, table)
    if spreads:
        _show_markdown(f"± is the standard deviation: {'; '.join(sorted(spreads))}.")
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
            f"`{dataset}`",
            budget,
            _counts(runs[0]["parameters"]),
            _runs([run["seed"] for run in runs]),
            f"{sum(run['seconds'] for run in runs) / len(runs) / 60:.1f}",
            machine,
        ]
        for (dataset, budget, machine), runs in groups.items()
    ]


def _runs(seeds: Sequence[int]) -> str:
    """e.g. "1 (seed 0)", "3 (seeds 0, 1, 2)"."""
    listed = ", ".join(str(seed) for seed in sorted(seeds))
    return f"{len(seeds)} (seed{'s' if len(seeds) > 1 else ''} {listed})"


def _counts(parameters: Mapping[str, int]) -> str:
    """e.g. "593,500", or "vae 2d: 350,000, vae 16d: 410,000" for several models."""
    if len(parameters) == 1:
        return f"{next(iter(parameters.values())):,}"
    counts = (f"{model.replace('_', ' ')}: {count:,}" for model, count in parameters.items())
    return ", ".join(counts) or "–"


def hardware() -> str:
    """The GPU, or the processor with its instruction sets: "2 cores, AMD EPYC, AVX2, oneDNN on".

    The instruction sets of vectors and matrices (as `lscpu` lists them) and TensorFlow's oneDNN
    kernels decide how fast a training is; they move results in the last digits only.
    """
    gpu = _gpu_name()
    if gpu:
        return gpu
    lines = CPUINFO.read_text(encoding="utf-8").splitlines() if CPUINFO.exists() else []
    facts = dict(re.split(r"\s*:\s*", line, maxsplit=1) for line in lines if ":" in line)
    name = facts.get("model name") or platform.processor() or platform.machine()
    flags = facts.get("flags", "").split()
    sets = [word for flag, word in INSTRUCTION_SETS.items() if flag in flags]
    return ", ".join([f"{os.cpu_count()} cores", name, *sets, *_onednn()])


def _onednn() -> list[str]:
    """Whether TensorFlow uses oneDNN; it decides by the processor and TF_ENABLE_ONEDNN_OPTS."""
    if _backend() != "tensorflow":
        return []
    try:  # the one place that knows is not part of TensorFlow's public interface
        from tensorflow.python.util._pywrap_util_port import IsMklEnabled
    except ImportError:
        return []
    return ["oneDNN on" if IsMklEnabled() else "oneDNN off"]


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
    """The Keras backend of this run; a notebook without Keras is not made to import it."""
    if "keras" not in sys.modules:
        return os.environ.get("KERAS_BACKEND") or "tensorflow"
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
        return all(weights.read_card(DATA, name)["sha256"] == value for name, value in sums.items())
    except BookError:
        return False


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
