"""Cells of a notebook run in this process, without a kernel: for slips and for the budget tiny."""

from __future__ import annotations

import ast
import contextlib
import multiprocessing
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, TextIO

from helpers.files import BookError


@dataclass(frozen=True)
class Failure:
    """The first error of a run of cells: in which cell, which, and the text of the statement."""

    cell: int
    error: Exception
    statement: str = ""

    @property
    def is_check(self) -> bool:
        """Whether a check raised it; anything else is an accident."""
        return isinstance(self.error, AssertionError | BookError)

    def text(self) -> str:
        """One line, e.g. "TypeError in cell 12, f(x): missing argument"."""
        where = f"{type(self.error).__name__} in cell {self.cell}, {self.statement}: {self.error}"
        return where.split("\n")[0]


def run_cell(
    code: str, index: int, name: str, namespace: dict[str, Any], *, without_asserts: bool = False
) -> Failure | None:
    """Run one cell in a namespace; returns its failure, if it has one."""
    file = f"<{name}, cell {index}>"
    try:
        exec(compile(code, file, "exec", optimize=1 if without_asserts else 0), namespace)
    except Exception as error:
        return Failure(index, error, _failing_statement(code, file, error))
    finally:
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close("all")
    return None


def forget_models() -> None:
    """Let Keras begin anew, as in a fresh process: names of layers, and memory."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session()


def _failing_statement(code: str, file: str, error: Exception) -> str:
    """The statement of the cell that raised; of an assert its condition."""
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


@contextlib.contextmanager
def silence() -> Iterator[TextIO]:
    """Send all that is printed to the null device, past Python's own streams too.

    Yields a stream on which what is written still shows.
    """
    sys.stdout.flush()
    saved, null = [os.dup(1), os.dup(2)], os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    try:
        with os.fdopen(os.dup(saved[0]), "w", buffering=1) as shown:
            yield shown
    finally:
        sys.stdout.flush()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in [*saved, null]:
            os.close(descriptor)


def own_processes() -> ProcessPoolExecutor:
    """Runs each task in a fresh process, as many side by side as there are cores.

    With one thread each, two notebooks side by side take less time than one after the other.
    """
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    os.environ |= dict.fromkeys(names, "1")
    return ProcessPoolExecutor(
        max_workers=os.cpu_count(),
        mp_context=multiprocessing.get_context("spawn"),
        max_tasks_per_child=1,
    )
