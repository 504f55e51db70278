"""Measure every model: training speed, time for a sample, peak memory.

Writes data/results/bench.json, from which the results page makes a table. No test, no threshold:
numbers of one machine, each model in a process of its own.
"""

from __future__ import annotations

import datetime
import json
import math
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from helpers.files import DATA, write_json  # noqa: E402
from scripts import models, notebook_files  # noqa: E402

SECONDS = 5.0
"""How long each measurement runs, after three calls to warm up."""

SAMPLES = 64
"""Samples drawn at a time."""


def calls_per_second(call: Callable[[int], Any]) -> float:
    """How often `call(number)` runs in a second; the first calls compile and are not counted."""
    for number in range(3):
        call(number)
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        call(count)
        count += 1
    return count / (time.perf_counter() - started)


def peak_megabytes() -> float:
    """The most memory that this process has held."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (
        1e6 if platform.system() == "Darwin" else 1e3
    )  # bytes there, kilobytes elsewhere


def measure(notebook: str, name: str) -> dict[str, Any]:
    """One row of the table; to be called in a fresh process."""
    steps = models.load(notebook)[name]  # its first cell imports Keras, quietly
    from keras import ops

    batch_size = len(
        steps.batches[0][0] if isinstance(steps.batches[0], tuple) else steps.batches[0]
    )
    training = calls_per_second(steps.train)
    # Copied to NumPy, so that a device's work is finished when the clock is read
    sampling = calls_per_second(lambda _: ops.convert_to_numpy(steps.sample(SAMPLES)))
    return {
        "notebook": notebook,
        "model": name,
        # What training changes: no running averages, no replay buffer
        "parameters": sum(math.prod(each.shape) for each in steps.model.trainable_variables),
        "batch_size": batch_size,
        "train_items_per_second": round(training * batch_size),
        "sample_ms": float(f"{1000 / (sampling * SAMPLES):.3g}"),
        "peak_mb": round(peak_megabytes()),
    }


def in_fresh_process(*arguments: str) -> Any:
    """What this script prints as JSON when it is called with these arguments."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    if len(sys.argv) == 3:
        print(json.dumps(measure(*sys.argv[1:])))
        return 0
    if len(sys.argv) == 2:  # which models, and on what
        from helpers import results

        names = list(models.load(sys.argv[1]))
        about = {"hardware": results.hardware(), "versions": results.versions()}
        print(json.dumps({"names": names, **about}))
        return 0
    rows, about = [], {}
    for path in notebook_files.all_notebooks():
        if path.stem not in models.MODELS:
            continue
        about = in_fresh_process(path.stem)
        for name in about.pop("names"):
            rows.append(in_fresh_process(path.stem, name))
            print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    content = {"date": datetime.date.today().isoformat(), "samples": SAMPLES, **about, "rows": rows}
    write_json(DATA / "results" / "bench.json", content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
