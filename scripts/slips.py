"""Plant the slips of tests/slips in copies of the notebooks, and say which check notices each.

usage: slips.py [--only NAME ...] [--write] [NOTEBOOK ...]

For each slip only those cells are run that lead from it to the checks (scripts/cell_graph.py), in
a namespace of its own, until a check fails. Then the same cells are run without the slip: they
must pass. An AssertionError or a BookError counts as noticed; any other error is a crash, which is
no check. --write keeps which check noticed each slip in tests/slips/<notebook>.noticed.json.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from helpers.files import BookError  # noqa: E402
from scripts import cell_graph, notebook_files, slip_catalogue  # noqa: E402
from scripts.slip_catalogue import Slip  # noqa: E402


@dataclass(frozen=True)
class Outcome:
    """What became of a slip.

    verdict: "noticed", "missed", "crashed", or "control failed" (the notebook itself fails);
    check: the text of the failing check, or the error; heading: the section in which it stands.
    """

    slip: str
    verdict: str
    check: str
    heading: str
    seconds: float


@dataclass(frozen=True)
class Failure:
    """The first error of a run of cells: where, which, and the text of the statement."""

    cell: int
    error: BaseException
    statement: str

    @property
    def is_check(self) -> bool:
        return isinstance(self.error, AssertionError | BookError)


def run_cells(cells: Sequence[cell_graph.Cell], name: str) -> Failure | None:
    """Run cells one after the other in a fresh namespace until one fails."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    _forget_models()
    for cell in cells:
        file = f"<{name}, cell {cell.index}>"
        try:
            exec(compile(cell.code, file, "exec"), namespace)
        except Exception as error:
            return Failure(cell.index, error, _failing_statement(cell.code, file, error))
        finally:
            _close_figures()
    return None


def _forget_models() -> None:
    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session()


def _close_figures() -> None:
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def _failing_statement(code: str, file: str, error: BaseException) -> str:
    """The statement of the cell that raised, the condition alone if it is an assert."""
    trace, line = error.__traceback__, 0
    while trace:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    covering = [
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    if not covering:
        return ""
    found = max(covering, key=lambda node: (node.lineno, -(node.end_lineno or 0)))
    return ast.unparse(found.test if isinstance(found, ast.Assert) else found).split("\n")[0]


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


def try_slip(notebook: Any, slip: Slip, name: str) -> Outcome:
    """Plant a slip, run the cells that lead to the checks, then the same without the slip."""
    started = time.monotonic()
    planted, index = slip_catalogue.plant(notebook, slip)
    also = {slip_catalogue.cell_with(notebook, text) for text in slip.needs}
    cells = cell_graph.cells_for(cell_graph.code_cells(planted), index, also)

    def outcome(verdict: str, failure: Failure | None = None) -> Outcome:
        check = heading = ""
        if failure:
            heading = heading_above(notebook, failure.cell)
            check = failure.statement
            if verdict != "noticed":
                kind = type(failure.error).__name__
                check = f"{kind} in cell {failure.cell}, {check}: {failure.error}".split("\n")[0]
        return Outcome(slip.name, verdict, check, heading, time.monotonic() - started)

    failure = run_cells(cells, name)
    last = failure.cell if failure else len(notebook.cells)
    codes = {cell.index: cell for cell in cell_graph.code_cells(notebook)}
    control = run_cells([codes[cell.index] for cell in cells if cell.index <= last], name)
    if control:
        return outcome("control failed", control)
    if failure is None:
        return outcome("missed")
    return outcome("noticed" if failure.is_check or slip.crash else "crashed", failure)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Send what cells and libraries print to the null device, past Python's own streams too."""
    saved = [os.dup(1), os.dup(2)]
    null = os.open(os.devnull, os.O_WRONLY)
    sys.stdout.flush()
    for number in (1, 2):
        os.dup2(null, number)
    try:
        yield
    finally:
        sys.stdout.flush()
        for number, descriptor in zip((1, 2), saved, strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(null)


def try_slips(path: Path, slips: Sequence[Slip], budget: str) -> list[Outcome]:
    """All slips of one notebook under one budget; to be called in a process of its own."""
    with tempfile.TemporaryDirectory() as cache, silence():
        os.environ |= {
            "GENBOOK_BUDGET": budget,
            "GENBOOK_CACHE": cache,
            "GENBOOK_LOG": "plain",
            "GENBOOK_RELEASE": "0",
            "MPLBACKEND": "agg",
        }
        os.chdir(path.parent)
        notebook = notebook_files.read(path)
        return [try_slip(notebook, slip, path.stem) for slip in slips]


def table(name: str, outcomes: Sequence[Outcome]) -> str:
    """The outcomes as text: slip, verdict, seconds, check and its section."""
    width = max(len(outcome.slip) for outcome in outcomes)
    lines = [f"{name}"]
    for outcome in outcomes:
        where = f"  [{outcome.heading}]" if outcome.heading else ""
        lines.append(
            f"  {outcome.slip:{width}}  {outcome.verdict:8} {outcome.seconds:5.1f} s  "
            f"{outcome.check}{where}"
        )
    return "\n".join(lines)


def chosen(path: Path, only: Sequence[str]) -> list[Slip]:
    """The slips of a notebook's catalogue, or those of these names."""
    slips = slip_catalogue.read(slip_catalogue.path_of(path))
    return [slip for slip in slips if not only or slip.name in only]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    paths = [path.resolve() for path in options.notebooks]
    jobs = {path: chosen(path, options.only) for path in paths or slip_catalogue.notebooks_with_slips()}
    failed = 0
    # Two side by side with one thread each take less time than one after the other
    os.environ |= {f"TF_NUM_{kind}_THREADS": "1" for kind in ("INTRAOP", "INTEROP")}
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(
        max_workers=min(len(jobs), os.cpu_count() or 1),
        mp_context=multiprocessing.get_context("spawn"),
        max_tasks_per_child=1,
    ) as pool:
        running = {
            path: [
                pool.submit(try_slips, path, [slip for slip in slips if slip.budget == budget], budget)
                for budget in slip_catalogue.BUDGETS
                if any(slip.budget == budget for slip in slips)
            ]
            for path, slips in jobs.items()
        }
        for path, futures in running.items():
            outcomes = [outcome for future in futures for outcome in future.result()]
            print(table(path.stem, outcomes), flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
