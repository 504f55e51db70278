"""scripts/check_notebooks.py: what is run on what, which cells fail, whose day it is."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from helpers.files import file_sha256
from scripts import check_notebooks, notebook_files


def printed(text: str) -> list[nbformat.NotebookNode]:
    return [new_output("stream", name="stdout", text=text)]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cell 0 prints its threads and backend as committed, 1 prints something else, 2 fails."""
    variables = ["OMP_NUM_THREADS", "GENBOOK_BUDGET", "GENBOOK_LOG", "KERAS_BACKEND"]
    cells = [
        new_code_cell(
            f"import os\nprint(*map(os.environ.get, {variables}))",
            execution_count=1,
            outputs=printed("1 quick plain None\n"),
        ),
        new_code_cell("print('computed')", execution_count=2, outputs=printed("committed\n")),
        new_code_cell("assert False", execution_count=3),
        new_code_cell("print('the end')", execution_count=4, outputs=printed("the end\n")),
    ]
    path = tmp_path_factory.mktemp("made_up") / "made_up.ipynb"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


@pytest.mark.parametrize(("kind", "cells"), [("committed", ["1", "2"]), ("torch", ["2"])])
def test_failing_cells_are_named(
    kind: str, cells: list[str], notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs are compared on TensorFlow; on PyTorch only what raises fails."""
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    before = file_sha256(notebook)
    status, failing = check_notebooks.run(kind, [notebook])
    assert status != 0
    assert [name.split(": ")[1] for name in failing] == cells
    assert all("made_up" in name for name in failing)
    assert file_sha256(notebook) == before


def test_a_failure_on_one_kind_is_a_failure(
    notebook: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = {"committed": (0, []), "avx2": (1, ["a: 7"])}
    monkeypatch.setattr(check_notebooks, "run", lambda kind, notebooks: results[kind])
    arguments = ["check_notebooks.py", "--on", "committed", "avx2", "--", str(notebook)]
    monkeypatch.setattr("sys.argv", arguments)
    assert check_notebooks.main() == 1
    said = capsys.readouterr().out
    assert "on committed: every cell as it should be" in said
    assert "on avx2: FAILED\n  cell a: 7" in said
    results["avx2"] = (0, [])
    assert check_notebooks.main() == 0


@pytest.mark.parametrize(("total", "count"), [(16, 2), (13, 2), (3, 2), (1, 2)])
def test_every_notebook_has_its_day(total: int, count: int) -> None:
    notebooks = [Path(f"{index:02d}.ipynb") for index in range(total)]
    period = -(-total // count)  # rounded up
    for start in (739_000, 739_001):
        days = [
            check_notebooks.of_the_day(notebooks, count, start + step) for step in range(period)
        ]
        assert {path for day in days for path in day} == set(notebooks)
        assert all(len(day) == min(count, total) for day in days)


def test_kinds_differ_from_the_committed_arithmetic_where_they_say() -> None:
    assert check_notebooks.environment("no_onednn")["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert check_notebooks.environment("avx2")["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    for kind in check_notebooks.KINDS:
        assert notebook_files.ONE_THREAD.items() <= check_notebooks.environment(kind).items()
        together = check_notebooks.command(kind, [Path("a.ipynb"), Path("b.ipynb")], Path("r.xml"))
        assert "--numprocesses=2" in together
