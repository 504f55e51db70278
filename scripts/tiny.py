"""Run notebooks from top to bottom under the budget tiny, and check what a full run must keep.

usage: tiny.py [NOTEBOOK ...]

Every branch of a full run is taken on a few items, so the numbers mean nothing and asserts are
left out, as `python -O` does; functions that raise BookError still count. Exercises are not run.
Weights, record and checkpoints go to a temporary folder. Then these must hold:

- each call of training.fit did epochs x batches updates, and its history has all epochs;
- the weights written have names that the book has, too, and finite values;
- training, validation and test data have no item in common;
- the record was written, its metrics are finite, and the book's record has each of them;
- no file of the checkout has changed.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from helpers.files import DATA, BookError, read_json  # noqa: E402
from scripts import notebook_files  # noqa: E402
from scripts.in_process import Failure, own_processes, run_cell, silence  # noqa: E402

EXERCISES = {"gap", "solution", "exercise-check"}


def run(notebook: Any, name: str, cache: Path) -> Failure | None:
    """Run a notebook under tiny with this cache; returns the first failure, of a cell or after.

    Sets the environment of this process, which should be one of its own.
    """
    os.environ |= {
        "GENBOOK_BUDGET": "tiny",
        "GENBOOK_CACHE": str(cache),
        "GENBOOK_LOG": "plain",
        "GENBOOK_RELEASE": "0",
        "GENBOOK_DATASET": "",
        "MPLBACKEND": "agg",
    }
    before = checkout()
    namespace: dict[str, Any] = {"__name__": "__main__"}
    with counted_updates():
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type != "code" or notebook_files.tags(cell) & EXERCISES:
                continue
            failure = run_cell(cell.source, index, name, namespace, without_asserts=True)
            if failure:
                return failure
    try:
        check_splits(namespace)
        check_weights(name, cache)
        check_record(name, cache)
        check_checkout(before)
    except BookError as error:
        return Failure(len(notebook.cells) - 1, error, "")
    return None


@contextlib.contextmanager
def counted_updates() -> Iterator[None]:
    """While this lasts, training.fit raises BookError unless it did epochs x batches updates."""
    from helpers import training

    fit = training.fit

    @functools.wraps(fit)
    def counting(model: Any, data: Any, *, epochs: int, **others: Any) -> Any:
        finished = fit(model, data, epochs=epochs, **others)
        lengths = {len(values) for values in finished.history.values()}
        if finished.updates != epochs * len(data) or lengths != {epochs}:
            raise BookError(
                f"{epochs} epochs of {len(data)} batches were asked for; {finished.updates} "
                f"updates and {sorted(lengths)} epochs came out."
            )
        return finished

    training.fit = counting
    try:
        yield
    finally:
        training.fit = fit


def check_splits(namespace: dict[str, Any]) -> None:
    """The notebook's arrays of these names, bytes and scaled ones alike, share no item."""
    from helpers import datasets

    parts = ("train", "validation", "test")
    arrays = {part: namespace.get(f"x_{part}", namespace.get(part)) for part in parts}
    splits = {
        part: datasets.scale(array) if array.dtype == np.uint8 else array
        for part, array in arrays.items()
        if isinstance(array, np.ndarray)
    }
    repeats = getattr(namespace.get("data"), "repeats", 0)
    for one, two in itertools.combinations(splits, 2):
        if splits[one].shape[1:] == splits[two].shape[1:]:
            pair = {name: splits[name].astype("float32") for name in (one, two)}
            datasets.require_disjoint(repeats=repeats, **pair)


def check_weights(name: str, cache: Path) -> None:
    """Weights written by the run: names as in the book, values finite."""
    import h5py

    def require_finite(where: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not np.isfinite(item[()]).all():
            raise BookError(f"{path.name}: the values of {where} are not finite.")

    folder, released = cache / "weights" / name, DATA / "weights" / name
    for path in sorted(folder.glob("*.h5")):
        if released.exists() and not (released / path.name).exists():
            raise BookError(f"The book has no weights {name}/{path.name}.")
        with h5py.File(path) as file:
            file.visititems(require_finite)


def check_record(name: str, cache: Path) -> None:
    """The record written by the run: finite metrics that the book's record has, too."""
    written = read_json(cache / "results" / f"{name}.json")["runs"]
    released = DATA / "results" / f"{name}.json"
    known = read_json(released)["runs"] if released.exists() else written
    metrics = {key for run in known for key in run["metrics"]}
    for run in written:
        for key, value in run["metrics"].items():
            if not np.isfinite(value):
                raise BookError(f"The metric {key} of {name} is {value}.")
            if key not in metrics:
                raise BookError(f"The book's record of {name} has no metric {key}.")


def checkout() -> dict[Path, tuple[int, int]]:
    """Size and time of the files that a run could overwrite: notebooks are an author's."""
    files = [*DATA.rglob("*"), *(ROOT / "notebooks").rglob("*")]
    sizes = {path: path.stat() for path in files if path.is_file() and path.suffix != ".ipynb"}
    return {path: (size.st_size, size.st_mtime_ns) for path, size in sizes.items()}


def check_checkout(before: dict[Path, tuple[int, int]]) -> None:
    """No file has changed since `before`."""
    now = checkout()
    changed = sorted(
        path.name for path in before.keys() | now.keys() if before.get(path) != now.get(path)
    )
    if changed:
        raise BookError(f"The run changed files of the book: {', '.join(changed)}.")


def try_notebook(path: Path) -> tuple[Failure | None, float]:
    """Run one notebook under tiny; to be called in a process of its own. Returns seconds, too."""
    started = time.monotonic()
    notebook = notebook_files.read(path)
    with tempfile.TemporaryDirectory() as cache, silence():
        os.chdir(path.parent)
        failure = run(notebook, path.stem, Path(cache))
    return failure, time.monotonic() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    paths = [path.resolve() for path in parser.parse_args().notebooks]
    failed = False
    with own_processes() as pool:
        running = {
            path: pool.submit(try_notebook, path)
            for path in paths or notebook_files.all_notebooks()
        }
        for path, future in running.items():
            failure, seconds = future.result()
            print(
                f"{path.stem}: {failure.text() if failure else 'ran under tiny'}, {seconds:.0f} s",
                flush=True,
            )
            failed |= failure is not None
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
