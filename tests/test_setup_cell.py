"""The setup cell: a notebook alone in an empty folder, and everything that can go wrong there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

CELL = ROOT / "scripts" / "setup_cell.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder of a reader, beside programs `git` and `pip` that fetch nothing."""
    programs = tmp_path / "programs"
    programs.mkdir()
    # "Cloning" makes the files that the cell looks for; `fail` holds what goes wrong
    program(
        programs / "git",
        f"""\
test -e {tmp_path}/no_network && {{ echo 'fatal: Could not resolve host' >&2; exit 128; }}
for target; do :; done
test -e "$target" && {{ echo 'fatal: destination path already exists' >&2; exit 128; }}
mkdir -p "$target/helpers"
test -e {tmp_path}/kill && {{ rm {tmp_path}/kill; kill -9 $PPID; }}
touch "$target/helpers/budget.py"
printf '[project]\\ndependencies = ["keras"]\\n' > "$target/pyproject.toml"
echo "$@" >> {tmp_path}/git_calls
""",
    )
    (programs / "pip").mkdir()
    (programs / "pip" / "__init__.py").write_text("")
    (programs / "pip" / "__main__.py").write_text(f"""\
import sys
from pathlib import Path
base = Path({str(tmp_path)!r})
with (base / "pip_calls").open("a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
if (base / "pip_fails").exists():
    (base / "pip_fails").unlink()
    sys.exit("WARNING: Retrying\\nERROR: No matching distribution found for keras")
""")
    empty = tmp_path / "empty"
    empty.mkdir()
    return empty


def program(path: Path, code: str) -> None:
    path.write_text(f"#!/bin/sh\n{code}")
    path.chmod(0o755)


def run(folder: Path, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """The cell in a new Python; prints where the book was found."""
    programs = folder.parent / "programs"
    code = f"{before}\nexec(compile(open({str(CELL)!r}).read(), 'cell', 'exec'))\nprint(ROOT)"
    known = {k: v for k, v in os.environ.items() if k != "GENBOOK_REPOSITORY"}
    paths = {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(programs)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=known | paths | environment,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def sentence(done: Any) -> str:
    """The last line of an error, which is what Jupyter shows of it."""
    assert done.returncode == 1 and done.stdout == ""
    return str(done.stderr.strip().splitlines()[-1].split("SetupError: ")[1])


def calls(folder: Path, name: str) -> list[str]:
    path = folder.parent / f"{name}_calls"
    return path.read_text().splitlines() if path.exists() else []


def test_the_book_is_fetched_once(folder: Path) -> None:
    for _ in range(2):
        done = run(folder)
        assert done.stdout.strip() == str(folder / "generative-models"), done.stderr
    assert len(calls(folder, "git")) == len(calls(folder, "pip")) == 1
    assert "keras" in calls(folder, "pip")[0]


def test_inside_the_book_nothing_is_fetched(folder: Path) -> None:
    (folder / "helpers").mkdir()
    (folder / "helpers" / "budget.py").touch()
    deeper = folder / "notebooks" / "01"
    deeper.mkdir(parents=True)
    code = f"import os; os.chdir({str(deeper)!r})"
    assert run(folder, code).stdout.strip() == str(folder)
    assert calls(folder, "git") == calls(folder, "pip") == []


def test_packages_that_failed_are_tried_again(folder: Path) -> None:
    (folder.parent / "pip_fails").touch()
    assert sentence(run(folder)) == (
        "Installing packages failed (ERROR: No matching distribution found for keras): check the "
        "network and run this cell again."
    )
    assert run(folder).returncode == 0
    assert len(calls(folder, "git")) == 1 and len(calls(folder, "pip")) == 2
    run(folder, "import sys; sys.prefix = '/another'")  # another Python has its own packages
    assert len(calls(folder, "pip")) == 3


def test_a_killed_clone_does_not_block(folder: Path) -> None:
    (folder.parent / "kill").touch()
    assert run(folder).returncode == -9
    assert not (folder / "generative-models").exists()
    done = run(folder)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in folder.iterdir()] == ["generative-models"]


def test_half_a_book_is_not_used(folder: Path) -> None:
    (folder / "generative-models" / "mine").mkdir(parents=True)
    assert "does not hold the whole book: move it away" in sentence(run(folder))
    assert (folder / "generative-models" / "mine").exists()


def test_without_git(folder: Path) -> None:
    done = run(folder, PATH=str(folder))
    assert sentence(done) == "Fetching the book needs git: install it and run this cell again."


def test_without_a_network(folder: Path) -> None:
    (folder.parent / "no_network").touch()
    assert sentence(run(folder)) == (
        "Fetching the book failed (fatal: Could not resolve host): check the network and run this "
        "cell again."
    )


def test_on_an_old_python(folder: Path) -> None:
    old = "import sys; sys.modules['tomllib'] = None"
    message = "The book needs Python 3.11 or later: choose another kernel."
    assert sentence(run(folder, old)) == message
    assert calls(folder, "git") == []


def test_another_copy_of_the_book(folder: Path) -> None:
    run(folder, GENBOOK_REPOSITORY="https://example.org/fork")
    assert "https://example.org/fork" in calls(folder, "git")[0]
    assert "GENBOOK_REPOSITORY" in CELL.read_text().split("import")[0]  # the cell says so
    page = (ROOT / "book" / "how_to_use.md").read_text(encoding="utf-8")
    assert "`GENBOOK_REPOSITORY`" in page


def test_jupyter_shows_the_sentence_alone(folder: Path) -> None:
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "import sys; sys.modules['tomllib'] = None\n"
        f"shell.run_cell(open({str(CELL)!r}).read())\n"
        "raise SystemExit"
    )
    done = run(folder, code)
    assert done.stdout.strip() == (
        "Setup: The book needs Python 3.11 or later: choose another kernel."
    )
