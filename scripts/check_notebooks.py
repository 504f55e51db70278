"""Run every cell of notebooks and compare what it prints, or only see that nothing fails.

usage: check_notebooks.py [--on KIND ...] [--of-the-day N] [NOTEBOOK ...]

Two notebooks run side by side with one thread each, which is faster than one after the other with
two. KIND says on what they run; the first three compare outputs, `torch` lets asserts decide:
  committed   this processor's arithmetic (the default)
  no_onednn   TensorFlow without oneDNN, as on processors where it leaves that off by itself
  avx2        as a processor without AVX-512 computes, where this one can do both
  torch       Keras on PyTorch
All notebooks by default, in each KIND; with --of-the-day, N of them in turn, another N tomorrow.
"""

from __future__ import annotations

import argparse
import datetime
import math
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from helpers.files import read_json  # noqa: E402
from scripts.execute import QUICK_SECONDS  # noqa: E402
from scripts.notebook_files import ONE_THREAD, all_notebooks  # noqa: E402

KINDS: dict[str, dict[str, str]] = {
    "committed": {},
    "no_onednn": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "avx2": {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",  # NumPy's and SciPy's matrix products
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    },
    "torch": {"KERAS_BACKEND": "torch"},
}
CELL_SECONDS = 600
SIDE_BY_SIDE = 2


def of_the_day(notebooks: list[Path], count: int, day: int) -> list[Path]:
    """`count` notebooks for a day, in turn: after len / count days every one has had its day."""
    start = day * count
    return sorted({notebooks[(start + step) % len(notebooks)] for step in range(count)})


def longest_first(notebooks: list[Path]) -> list[Path]:
    """In the order in which two that run side by side end at the same time; new ones first."""
    known = read_json(QUICK_SECONDS)["seconds"] if QUICK_SECONDS.exists() else {}
    return sorted(notebooks, key=lambda path: -known.get(path.stem, math.inf))


def command(kind: str, notebooks: list[Path], report: Path) -> list[str]:
    """The call of pytest for some notebooks; its results go to `report` as XML."""
    workers = SIDE_BY_SIDE if len(notebooks) > 1 else 0  # one alone needs no process of its own
    return [
        sys.executable, "-m", "pytest", "--nbval-lax" if kind == "torch" else "--nbval",
        "--nbval-current-env", f"--nbval-cell-timeout={CELL_SECONDS}", "-p", "no:cacheprovider",
        *([] if kind == "torch" else ["-p", "scripts.nbval_figures"]),
        f"--numprocesses={workers}", "--dist=loadfile", "--no-loadscope-reorder",
        f"--junitxml={report}",
        *map(str, longest_first(notebooks)),
    ]  # fmt: skip


def environment(kind: str) -> dict[str, str]:
    """The variables under which a KIND runs."""
    own = {"GENBOOK_BUDGET": "quick", "GENBOOK_LOG": "plain"}
    return os.environ | ONE_THREAD | own | KINDS[kind]


def failing_cells(report: Path) -> list[str]:
    """The failing cells of a report, as "04_gans/dcgan: 40"."""
    found = []
    for case in ElementTree.parse(report).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            notebook = case.get("classname", "").removeprefix("notebooks.").removesuffix(".ipynb")
            number = re.sub(r"\D", "", case.get("name", ""))
            found.append(f"{notebook.replace('.', '/')}: {number}")
    return found


def run(kind: str, notebooks: list[Path]) -> tuple[int, list[str]]:
    """Run notebooks on a KIND; returns pytest's exit status and the failing cells."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        done = subprocess.run(
            command(kind, notebooks, report), cwd=ROOT, env=environment(kind), check=False
        )
        return done.returncode, failing_cells(report) if report.exists() else []


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--on", nargs="+", default=["committed"], choices=KINDS, metavar="KIND")
    parser.add_argument("--of-the-day", type=int, default=0, metavar="N")
    options = parser.parse_args()
    notebooks = [path.resolve() for path in options.notebooks] or all_notebooks()
    if options.of_the_day and not options.notebooks:
        notebooks = of_the_day(notebooks, options.of_the_day, datetime.date.today().toordinal())
    names, results = ", ".join(path.stem for path in notebooks), {}
    for kind in options.on:
        print(f"== on {kind}: {names}", flush=True)
        results[kind] = run(kind, notebooks)
    for kind, (status, cells) in results.items():
        print(f"on {kind}: {'every cell as it should be' if status == 0 else 'FAILED'}")
        for cell in cells:
            print(f"  cell {cell}")
    return int(any(status for status, _ in results.values()))


if __name__ == "__main__":
    sys.exit(main())
