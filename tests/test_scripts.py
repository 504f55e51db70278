"""scripts/: student copies, the repository's address, executed notebooks and their covers."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from conftest import ROOT, RunPython
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from scripts import execute, lint, student

GAP = """\
def square(x):
    # the square of x
    raise NotImplementedError  # your code here"""

SOLUTION = """\
@exercises.solution
def square(x):
    return x * x"""


# ------------------------------------------------------------------------------- student copies


def exercise_notebook() -> Any:
    words = "<details>\n<summary>Solution in words</summary>\n\nMultiply it.\n\n</details>"
    return new_notebook(
        cells=[
            new_markdown_cell("### Exercise: Squares\n\nSquare a number."),
            new_code_cell(GAP, metadata={"tags": ["gap"]}, execution_count=1),
            new_markdown_cell(words),
            new_code_cell(SOLUTION, metadata={"tags": ["solution"]}, execution_count=2),
            new_code_cell("assert square(3) == 9", metadata={"tags": ["exercise-check"]},
                          outputs=[new_output("stream", text="correct\n")]),
            new_markdown_cell("<details>\n<summary>More</summary>\n\nA book.\n\n</details>"),
        ]
    )  # fmt: skip


def test_student_copies_hold_no_solution() -> None:
    copy = student.student_copy(exercise_notebook())
    text = json.dumps(copy)
    for secret in ("Multiply", "x * x", "exercises.solution"):
        assert secret not in text
    assert [cell.cell_type for cell in copy.cells] == ["markdown", "code", "code", "markdown"]
    assert copy.cells[1].source == GAP
    assert copy.cells[2].outputs == [] and copy.cells[1].execution_count is None
    assert copy.cells[2].source == "assert square(3) == 9"
    assert "A book." in copy.cells[3].source  # folded, but no solution
    nbformat.validate(copy)


def test_student_copies_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chapter = tmp_path / "notebooks" / "01"
    (chapter / "images").mkdir(parents=True)
    nbformat.write(exercise_notebook(), chapter / "toy.ipynb")
    (chapter / "images" / "toy.png").write_bytes(b"picture")
    monkeypatch.setattr(student, "ROOT", tmp_path)
    monkeypatch.setattr(student.notebook_files, "ROOT", tmp_path)
    assert student.main() == 0
    copy = (tmp_path / "student" / "01" / "toy.ipynb").read_text()
    assert "your code here" in copy and "x * x" not in copy
    assert (tmp_path / "student" / "01" / "images" / "toy.png").read_bytes() == b"picture"


# ------------------------------------------------------------------------ the repository's address


def test_the_address_is_the_same_everywhere() -> None:
    address = lint.repository_address()
    assert address.startswith("https://") and not address.endswith("/")
    for name, pattern in lint.PLACES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        assert lint.with_address(text, pattern, address) == text, f"call make lint: {name}"


def test_lint_copies_the_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = ["_config.yml", *lint.PLACES]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    cells = [new_code_cell("old", metadata={"tags": ["setup"]}), new_code_cell("x = 1")]
    (tmp_path / "notebooks").mkdir()
    nbformat.write(new_notebook(cells=cells), tmp_path / "notebooks" / "toy.ipynb")
    settings = (tmp_path / "_config.yml").read_text()
    old, new = lint.repository_address(), "https://example.org/fork"
    (tmp_path / "_config.yml").write_text(settings.replace(old, new))
    monkeypatch.setattr(lint, "ROOT", tmp_path)
    monkeypatch.setattr(lint.notebook_files, "ROOT", tmp_path)
    assert lint.main() == 0
    for name in lint.PLACES:
        text = (tmp_path / name).read_text()
        assert new in text and old not in text
    found = nbformat.read(tmp_path / "notebooks" / "toy.ipynb", as_version=4)
    assert found.cells[0].source == lint.setup_code() and new in found.cells[0].source
    assert found.cells[1].source == "x = 1"
    assert lint.copy_address() == [] and lint.copy_setup_cell() == []  # nothing left to do


def test_an_address_without_a_place_is_an_error() -> None:
    with pytest.raises(SystemExit, match="0 places"):
        lint.with_address("nothing here", lint.PLACES["pyproject.toml"], "https://example.org")


# ----------------------------------------------------------------------------- executed notebooks

PNG = b"\x89PNG rest"


def covered_notebook(*tags: str) -> Any:
    figure = new_output("display_data", data={"image/png": base64.b64encode(PNG).decode() + "\n"})
    return new_notebook(cells=[new_code_cell("", metadata={"tags": list(tags)}, outputs=[figure])])


def test_the_cover_is_written_when_it_changed(tmp_path: Path) -> None:
    target = tmp_path / "images" / "toy.png"
    execute.write_cover(covered_notebook("other"), tmp_path / "toy.ipynb")
    assert not target.exists()
    execute.write_cover(covered_notebook("cover"), tmp_path / "toy.ipynb")
    assert target.read_bytes() == PNG
    written = target.stat().st_mtime_ns
    execute.write_cover(covered_notebook("cover"), tmp_path / "toy.ipynb")
    assert target.stat().st_mtime_ns == written
    target.write_bytes(b"older picture")
    execute.write_cover(covered_notebook("cover"), tmp_path / "toy.ipynb")
    assert target.read_bytes() == PNG


def test_seconds_are_kept_when_they_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "results" / "quick_seconds.json"
    monkeypatch.setattr(execute, "QUICK_SECONDS", path)

    def kept() -> dict[str, float]:
        return dict(json.loads(path.read_text())["seconds"])

    execute.record_seconds("vae", 40.3)
    execute.record_seconds("cnn", 20.0)
    assert kept() == {"cnn": 20, "vae": 40}
    execute.record_seconds("vae", 45)  # the machine's own unrest
    assert kept()["vae"] == 40
    execute.record_seconds("vae", 55)
    assert kept() == {"cnn": 20, "vae": 55}


def test_normalise_drops_what_changes_without_meaning() -> None:
    cell = new_code_cell(
        "x",
        metadata={"execution": {"iopub.status.busy": "2026"}, "collapsed": True, "tags": ["a"]},
        outputs=[new_output("stream", text="a\n"), new_output("stream", text="b\n")],
    )
    cell["id"] = "random"
    notebook = new_notebook(
        cells=[cell], metadata={"widgets": {}, "language_info": {"name": "python", "version": "3"}}
    )
    execute.normalise(notebook)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.language_info == {"name": "python"}
    assert cell.metadata == {"tags": ["a"]} and cell["id"] == "cell-000"
    assert [output.text for output in cell.outputs] == ["a\nb\n"]
    again = json.dumps(notebook)
    execute.normalise(notebook)
    assert json.dumps(notebook) == again


def write_toy(path: Path, *codes: str) -> None:
    cells = [new_code_cell(code) for code in codes]
    nbformat.write(new_notebook(cells=cells), path)


def test_execute_runs_in_the_notebooks_folder(tmp_path: Path) -> None:
    path = tmp_path / "toy.ipynb"
    write_toy(path, "from pathlib import Path; print(Path.cwd().name)", "1 + 1")
    execute.execute(path, path)
    cells = nbformat.read(path, as_version=4).cells
    assert cells[0].outputs[0].text.strip() == tmp_path.name
    assert cells[1].outputs[0].data["text/plain"] == "2" and cells[1].execution_count == 2


def test_a_failing_notebook_is_left_as_it_is(run_python: RunPython, tmp_path: Path) -> None:
    path = tmp_path / "toy.ipynb"
    write_toy(path, "print('before')", "1 / 0")
    before = path.read_bytes()
    done = run_python("scripts/execute.py", str(path))
    assert done.returncode == 1 and "ZeroDivisionError" in done.stdout
    assert path.read_bytes() == before


def test_a_full_run_names_its_notebook(run_python: RunPython) -> None:
    done = run_python("scripts/execute.py", "--budget", "cpu")
    assert done.returncode == 2 and "name the notebook to train" in done.stderr


def test_a_full_run_sees_its_settings_and_leaves_the_notebook(
    run_python: RunPython, tmp_path: Path
) -> None:
    path = tmp_path / "toy_of_test_scripts.ipynb"
    names = ["BUDGET", "DATASET", "SEED", "RELEASE"]
    write_toy(path, f"import os; print([os.environ['GENBOOK_' + name] for name in {names}])")
    before = path.read_bytes()
    copy = ROOT / "_build" / "train" / "toy_of_test_scripts-cifar10-2.ipynb"
    try:
        done = run_python(
            "scripts/execute.py",
            "--budget",
            "cpu",
            "--dataset",
            "cifar10",
            "--seed",
            "2",
            str(path),
        )
        assert "['cpu', 'cifar10', '2', '1']" in done.stdout, done.stderr
        assert copy.exists() and path.read_bytes() == before
    finally:
        copy.unlink(missing_ok=True)


def test_a_large_figure_gets_a_palette_and_looks_the_same() -> None:
    ramp = np.linspace(0, 255, 400 * 300).reshape(300, 400)
    noise = np.random.default_rng(0).integers(0, 4, size=(300, 400, 3))
    pixels = np.clip(np.stack([ramp, ramp, ramp], axis=2) + noise, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    large = base64.b64encode(buffer.getvalue()).decode()
    small = execute.small_png(large)
    assert len(small) < 0.6 * len(large)
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(small))).convert("RGB"))
    assert np.abs(shown.astype(int) - pixels).mean() < 4
    assert execute.small_png(small) == small  # a second time changes nothing
    buffer = io.BytesIO()
    Image.fromarray(pixels[:5, :5]).save(buffer, "PNG")
    tiny = base64.b64encode(buffer.getvalue()).decode()
    assert execute.small_png(tiny) == tiny
