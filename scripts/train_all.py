"""Repeat all full runs that are out of date, on this machine or on a Dask cluster.

usage: train_all.py [--engine local] [NOTEBOOK ...]     as many at a time as this machine carries
       train_all.py --engine tcp://HOST:8786            on the workers of this Dask scheduler
       train_all.py --dry-run                           says what would run, and why

Each worker has a copy of the book of the same state, and is started in its folder. A notebook is
one task, whose runs (data sets, seeds) follow each other; a notebook that loads the weights of
others waits for them. What a notebook has released comes back as soon as it is finished and is
written into this copy of the book. When a worker dies, its notebook begins again on another one;
when this script is stopped, what is finished stays, and the next call does the rest.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from helpers.files import atomic_path  # noqa: E402
from scripts import notebook_files, out_of_date  # noqa: E402

if TYPE_CHECKING:
    from distributed import Client

CORES_OF_A_RUN = 2
"""The budget cpu is meant for two cores."""

TABLE = ROOT / "_build/train/table.md"


@dataclass(frozen=True)
class Task:
    """The runs of one notebook that have to be repeated, and the notebooks that come before it."""

    path: str  # from the book's folder, with /
    budget: str
    runs: tuple[out_of_date.Run, ...]
    after: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return Path(self.path).stem

    def order(self) -> dict[str, Any]:
        """What a worker is told, in plain words that need no module of the book."""
        runs = [(run.dataset, run.seed) for run in self.runs]
        return {"name": self.name, "path": self.path, "budget": self.budget, "runs": runs}


def tasks(paths: list[Path], budget: str) -> list[Task]:
    """What is out of date among these notebooks, in an order in which it can run.

    A notebook that loads weights which are trained again here is out of date as well.
    """
    found: dict[str, Task] = {}
    waiting = {path.stem: path for path in paths}
    while waiting:
        ready = [
            name
            for name, path in waiting.items()
            if not set(out_of_date.uses_weights_of(path)) & (waiting.keys() - {name})
        ]
        if not ready:
            raise SystemExit(f"These notebooks load each other's weights: {', '.join(waiting)}.")
        for name in ready:
            path = waiting.pop(name)
            after = tuple(set(out_of_date.uses_weights_of(path)) & found.keys())
            runs = out_of_date.runs_to_repeat(path, budget)
            if after:
                runs = _all_runs(path, budget, runs, tuple(f"weights of {each}" for each in after))
            if runs:
                place = path.relative_to(ROOT).as_posix()
                found[name] = Task(place, budget, tuple(runs), after)
    return list(found.values())


def _all_runs(
    path: Path, budget: str, known: list[out_of_date.Run], reasons: tuple[str, ...]
) -> list[out_of_date.Run]:
    """All recorded runs: those that are known to be out of date, and the others for new reasons."""
    named = {(run.dataset, run.seed) for run in known}
    others = [
        out_of_date.Run(path.stem, run["dataset"], run["seed"], reasons)
        for run in out_of_date.recorded(path.stem)
        if run["budget"] == budget and (run["dataset"], run["seed"]) not in named
    ]
    return [*known, *others]


def carry_out(
    order: dict[str, Any], state: dict[str, Any], *before: dict[str, Any]
) -> dict[str, Any]:
    """Run a task in the copy of the book in the working folder; this is what a worker does.

    state: what the notebook depends on in the caller's copy. before: what came of the notebooks
    whose weights it loads; their files are put in place first. Returns where it ran, the seconds,
    and the files that it released. Imports are inside, since Dask sends the function to machines
    that may not have this module on their path.
    """
    import ctypes
    import json
    import os
    import signal
    import socket
    import subprocess
    import sys
    import time
    from pathlib import Path

    def die_with_the_worker() -> None:  # or a killed worker would leave its training running
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(1, signal.SIGTERM)

    here = socket.gethostname()
    if not Path("scripts/execute.py").exists():
        raise RuntimeError(f"The worker on {here} was not started in the folder of the book.")
    for earlier in before:
        for name, content in earlier["files"].items():
            target = Path(name)
            if not target.exists() or target.read_bytes() != content:
                target.parent.mkdir(parents=True, exist_ok=True)
                partial = target.with_name(f".partial-{os.getpid()}-{target.name}")
                partial.write_bytes(content)
                partial.replace(target)
    asked = [sys.executable, "scripts/out_of_date.py", "--json", order["name"]]
    answer = subprocess.run(asked, capture_output=True, text=True)
    own = json.loads(answer.stdout) if answer.returncode == 0 else {}
    different = [kind for kind in ("code", "settings", "data") if own.get(kind) != state[kind]]
    if different:
        raise RuntimeError(
            f"The book on {here} is of another state ({', '.join(different)} of {order['name']}): "
            "bring it up to date."
        )
    started, log = time.time(), Path("_build/train", order["name"] + ".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    # Dask gives its workers one thread, and an allocator that hands memory back: not for a training
    threads = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    environment = dict(os.environ) | dict.fromkeys(threads, "2")
    environment.pop("MALLOC_TRIM_THRESHOLD_", None)
    with log.open("w") as lines:
        for dataset, seed in order["runs"]:
            command = [sys.executable, "scripts/execute.py", "--budget", order["budget"]]
            command += ["--dataset", dataset, "--seed", str(seed), order["path"]]
            done = subprocess.run(
                command,
                stdout=lines,
                stderr=subprocess.STDOUT,
                env=environment,
                preexec_fn=die_with_the_worker,
            )
            if done.returncode:
                last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                raise RuntimeError(f"It failed on {here}; the end of its log:\n{last}")
    released = [
        *Path("data/weights", order["name"]).rglob("*"),
        Path("data/results", order["name"] + ".json"),
    ]
    files = {path.as_posix(): path.read_bytes() for path in released if path.is_file()}
    where = f"{here}, process {os.getpid()}"
    return {"where": where, "seconds": time.time() - started, "files": files}


def run_all(client: Client, planned: list[Task]) -> list[list[str]]:
    """Give the tasks to the workers and write what comes back; returns what ran where."""
    from distributed import as_completed

    futures: dict[str, Any] = {}
    for task in planned:
        state = out_of_date.depends_on(ROOT / task.path)
        before = [futures[name] for name in task.after]
        futures[task.name] = client.submit(carry_out, task.order(), state, *before, pure=False)
    names, rows = {future.key: name for name, future in futures.items()}, []
    reasons = {task.name: ", ".join(dict.fromkeys(_reasons(task))) for task in planned}
    for future in as_completed(futures.values()):
        name = names[future.key]
        if future.status == "finished":
            finished = future.result()
            for place, content in finished["files"].items():
                put(ROOT / place, content)
            minutes = f"{finished['seconds'] / 60:.1f}"
            row = [name, reasons[name], finished["where"], minutes, "released"]
        else:
            row = [name, reasons[name], "–", "–", f"failed: {future.exception()}"]
        print(": ".join([row[0], row[-1]]), flush=True)
        rows.append(row)
    return rows


def _reasons(task: Task) -> list[str]:
    return [reason for run in task.runs for reason in run.reasons]


def put(target: Path, content: bytes) -> None:
    """Write a file atomically, unless it is there already (workers may share this folder)."""
    if not target.exists() or target.read_bytes() != content:
        with atomic_path(target) as temporary:
            temporary.write_bytes(content)


def table(rows: list[list[str]]) -> str:
    """What ran where, as Markdown."""
    head = ["notebook", "why", "where", "minutes", "result"]
    cells = [[cell.split("\n")[0].replace("|", "/") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def connect(engine: str) -> Client:
    """A client of a new cluster on this machine, or of a scheduler that runs already."""
    try:
        from distributed import Client, LocalCluster
    except ModuleNotFoundError:
        raise SystemExit("This needs Dask: pip install distributed.") from None
    if engine != "local":
        try:
            return Client(engine, timeout=20)
        except (OSError, ValueError) as error:
            raise SystemExit(f"No scheduler answers at {engine}: {error}") from None
    workers = max(1, (os.cpu_count() or 1) // CORES_OF_A_RUN)
    cluster = LocalCluster(
        n_workers=workers, threads_per_worker=1, memory_limit=0, dashboard_address=":0"
    )
    return Client(cluster)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--engine", default="local", help="local, or the address of a scheduler")
    parser.add_argument("--budget", default="cpu", choices=["cpu", "gpu"])
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    os.chdir(ROOT)  # where workers on this machine start
    paths = [path.resolve() for path in options.notebooks] or notebook_files.all_notebooks()
    planned = tasks(paths, options.budget)
    for task in planned:
        for run in task.runs:
            print(f"{run}: {', '.join(run.reasons)}")
    if not planned:
        print("Nothing is out of date.")
    if options.dry_run or not planned:
        return 0
    with connect(options.engine) as client:
        rows = run_all(client, planned)
    with atomic_path(TABLE) as temporary:
        temporary.write_text(table(rows), encoding="utf-8")
    print(table(rows))
    released = {row[0] for row in rows if row[-1] == "released"}
    if released:
        paths_of_them = " ".join(task.path for task in planned if task.name in released)
        print(f'Now write the outputs anew: make execute NB="{paths_of_them}"')
    return int(len(released) < len(planned))


if __name__ == "__main__":
    sys.exit(main())
