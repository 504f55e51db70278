"""Plant the slips of tests/slips in copies of the notebooks, and say which check notices each.

usage: slips.py [--only NAME ...] [--write] [--no-control] [NOTEBOOK ...]

For each slip only those cells are run that lead from it to the checks (scripts/cell_graph.py), in
a namespace of its own, until a check fails. Then the same cells are run without the slip: they
must pass (--no-control leaves this out, which halves the time). A slip of the budget tiny is
looked for by a whole run of scripts/tiny.py. An AssertionError or a BookError counts as noticed;
any other error is a crash, which is no check.
--write keeps which check noticed each slip in tests/slips/<notebook>.noticed.json.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from helpers.files import BookError  # noqa: E402
from scripts import cell_graph, notebook_files, slip_catalogue, tiny  # noqa: E402
from scripts.in_process import (  # noqa: E402
    Failure,
    forget_models,
    own_processes,
    run_cell,
    silence,
)
from scripts.slip_catalogue import Slip  # noqa: E402


@dataclass(frozen=True)
class Outcome:
    """What became of a slip.

    verdict: "noticed", "missed", "crashed", or "control failed" (the notebook itself fails);
    check: the text of the failing check, or the error; heading: the section in which it stands;
    seconds: of the processor.
    """

    slip: str
    verdict: str
    check: str
    heading: str
    seconds: float


def run_checks(
    codes: dict[int, str], checks: Sequence[set[int]], name: str
) -> tuple[Failure | None, list[int]]:
    """Run one check after the other, each with the cells that it needs, until a cell fails.

    codes: the notebook's code by index of the cell; checks: the cells that each check needs.
    Returns the failure and the cells that were run. Cells run in the notebook's order: a check
    that needs one from above the last starts in a fresh namespace.
    """
    namespace: dict[str, Any] = {}
    done: list[int] = []
    for indices in checks:
        wanted = sorted(indices.union(done))
        if not done or wanted[: len(done)] != done:
            namespace, done = {"__name__": "__main__"}, []
            forget_models()
        for index in wanted[len(done) :]:
            done.append(index)
            failure = run_cell(codes[index], index, name, namespace)
            if failure:
                return failure, done
    return None, done


def try_quick(
    notebook: Any,
    slip: Slip,
    name: str,
    passed: set[tuple[int, ...]] | None = None,
    control: bool = True,
) -> Outcome:
    """Plant a slip, run the cells that lead to the checks, then the same without the slip.

    passed: cells that have been run together without a failure; these are not run again. control:
    whether to run the cells without the slip at all.
    """
    started = time.process_time()
    passed = set() if passed is None else passed
    planted, index = slip_catalogue.plant(notebook, slip)
    also = {slip_catalogue.cell_with(notebook, text) for text in slip.needs}
    cells = cell_graph.code_cells(planted)
    checks = cell_graph.checks_of(cells, index, also)
    failure, done = run_checks({cell.index: cell.code for cell in cells}, checks, name)
    failed_before = None
    if control and tuple(done) not in passed:
        sound = {i: notebook.cells[i].source for i in done}
        failed_before, _ = run_checks(sound, [set(done)], name)
        if failed_before is None:
            passed.add(tuple(done))
    return judged(notebook, slip, failure, failed_before, time.process_time() - started)


def try_tiny(notebook: Any, slip: Slip, name: str, control: Failure | None) -> Outcome:
    """Plant a slip and run the whole notebook under tiny; control: what failed without the slip."""
    started = time.process_time()
    planted, _ = slip_catalogue.plant(notebook, slip)
    failure = run_tiny(planted, name)
    return judged(notebook, slip, failure, control, time.process_time() - started)


def run_tiny(notebook: Any, name: str) -> Failure | None:
    """A run under tiny with a cache of its own."""
    forget_models()
    with tempfile.TemporaryDirectory() as cache:
        return tiny.run(notebook, name, Path(cache))


def judged(
    notebook: Any, slip: Slip, failure: Failure | None, control: Failure | None, seconds: float
) -> Outcome:
    """What the failures of a notebook with and without the slip say."""
    if control:
        return Outcome(slip.name, "control failed", control.text(), "", seconds)
    if failure is None:
        return Outcome(slip.name, "missed", "", "", seconds)
    heading = heading_above(notebook, failure.cell)
    if failure.is_check or slip.crash:
        said = isinstance(failure.error, BookError)
        check = str(failure.error) if said else failure.statement
        return Outcome(slip.name, "noticed", check, heading, seconds)
    return Outcome(slip.name, "crashed", failure.text(), heading, seconds)


def heading_above(notebook: Any, index: int) -> str:
    """The last heading before a cell."""
    lines = [
        line.lstrip("# ")
        for cell in notebook.cells[:index]
        if cell.cell_type == "markdown"
        for line in cell.source.split("\n")
        if line.startswith("#")
    ]
    return lines[-1] if lines else ""


def try_slips(path: Path, slips: Sequence[Slip], control: bool = True) -> list[Outcome]:
    """All these slips of one notebook; to be called in a process of its own."""
    notebook = notebook_files.read(path)
    outcomes, passed = [], set[tuple[int, ...]]()
    with tempfile.TemporaryDirectory() as cache, silence() as shown:
        os.environ |= {
            "GENBOOK_BUDGET": "quick",
            "GENBOOK_CACHE": cache,
            "GENBOOK_LOG": "plain",
            "GENBOOK_RELEASE": "0",
            "MPLBACKEND": "agg",
        }
        os.chdir(path.parent)
        for slip in slips:
            if slip.budget == "quick":
                outcomes.append(try_quick(notebook, slip, path.stem, passed, control))
                print(row(path.stem, outcomes[-1]), file=shown)
        full = [slip for slip in slips if slip.budget == "tiny"]
        failed_before = run_tiny(notebook, path.stem) if full and control else None
        for slip in full:
            outcomes.append(try_tiny(notebook, slip, path.stem, failed_before))
            print(row(path.stem, outcomes[-1]), file=shown)
    return outcomes


def row(notebook: str, outcome: Outcome) -> str:
    """One line about a slip: which check noticed it, in which section, and CPU seconds."""
    where = f" in “{outcome.heading}”" if outcome.heading else ""
    return (
        f"{notebook}: {outcome.slip}: {outcome.verdict} after {outcome.seconds:.1f} s"
        f"{where}{': ' if outcome.check else ''}{outcome.check}"
    )


def report(done: dict[Path, list[Outcome]], write: bool) -> int:
    """Print what is not as it should be, and keep what noticed the slips; returns the exit code."""
    wrong = []
    for path, outcomes in done.items():
        noticed = {
            outcome.slip: {"check": outcome.check, "heading": outcome.heading}
            for outcome in outcomes
            if outcome.verdict == "noticed"
        }
        if write:
            slips = slip_catalogue.read(slip_catalogue.path_of(path))
            slip_catalogue.write_noticed(path.stem, noticed, slips)
        known = slip_catalogue.read_noticed(path.stem)
        wrong += [row(path.stem, outcome) for outcome in outcomes if outcome.slip not in noticed]
        wrong += [
            f"{path.stem}: {name}: noticed by another check than tests/slips says: call make slips"
            for name, found in noticed.items()
            if known.get(name) != found
        ]
    total = sum(len(outcomes) for outcomes in done.values())
    print(f"{total} slips, {len(wrong)} not as they should be", *wrong, sep="\n  ")
    return 1 if wrong else 0


def chosen(path: Path, only: Sequence[str]) -> list[Slip]:
    """The slips of a notebook's catalogue, or those of these names."""
    slips = slip_catalogue.read(slip_catalogue.path_of(path))
    return [slip for slip in slips if not only or slip.name in only]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--no-control", action="store_true")
    options = parser.parse_args()
    try:
        paths = [path.resolve() for path in options.notebooks]
        jobs = {
            path: chosen(path, options.only)
            for path in paths or slip_catalogue.notebooks_with_slips()
        }
        if not any(jobs.values()):
            raise BookError("No catalogue in tests/slips has a slip of this name.")
        with own_processes() as pool:
            running = {
                path: pool.submit(try_slips, path, slips, not options.no_control)
                for path, slips in jobs.items()
            }
            done = {path: outcomes.result() for path, outcomes in running.items()}
    except BookError as error:
        print(error)
        return 1
    return report(done, options.write)


if __name__ == "__main__":
    sys.exit(main())
