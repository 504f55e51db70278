"""Full runs on many machines: what is out of date, and a worker that dies."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from scripts import out_of_date

ROOT = Path(__file__).resolve().parent.parent

STAND_IN = '''
"""In the place of scripts/execute.py: takes a while, and releases what a training would."""
import json, os, sys, time
from pathlib import Path

name, seed = Path(sys.argv[-1]).stem, int(sys.argv[-2])
print("a line of the log of", name, flush=True)
Path(f"running-{name}").write_text(str(os.getpid()))
if name == "second" and not Path("data/weights/first").exists():
    sys.exit("the weights of the first notebook are not there")
if name == "slow" and not Path("../slow-began").exists():
    Path("../slow-began").touch()
    time.sleep(100)  # the first time only: it is killed before
if name == "first":
    time.sleep(3)
if name == "broken":
    sys.exit("the loss is not a number")
sys.path.insert(0, str(Path.cwd()))
from helpers.files import write_json
from scripts import out_of_date

(path,) = Path("notebooks").rglob(name + ".ipynb")
depends_on = out_of_date.depends_on(path)
Path("data/weights", name).mkdir(parents=True, exist_ok=True)
Path(f"data/weights/{name}/model.weights.h5").write_bytes(name.encode())
write_json(Path(f"data/weights/{name}/model.json"), {"sha256": name + " trained"})
runs = out_of_date.recorded(name)
runs = [run for run in runs if run["seed"] != seed]
run = {"dataset": "made_up", "seed": seed, "budget": "cpu", "depends_on": depends_on}
write_json(Path(f"data/results/{name}.json"), {"notebook": name, "runs": [*runs, run]})
'''


def notebook(cells: dict[str, str]) -> Any:
    """A notebook of one cell for each tag."""
    made = nbformat.v4.new_notebook()
    for tag, code in cells.items():
        cell = nbformat.v4.new_code_cell(code)
        cell.metadata["tags"] = [tag]
        made.cells.append(cell)
    return made


def write_book(folder: Path, notebooks: dict[str, dict[str, str]]) -> Path:
    """A small copy of the book with these notebooks, and with a stand-in for the training."""
    shutil.copytree(ROOT / "helpers", folder / "helpers")
    (folder / "scripts").mkdir()
    for name in ("out_of_date", "train_all", "notebook_files"):
        shutil.copy(ROOT / "scripts" / f"{name}.py", folder / "scripts")
    (folder / "scripts/execute.py").write_text(STAND_IN, encoding="utf-8")
    (folder / "data/results").mkdir(parents=True)
    (folder / "notebooks").mkdir()
    for name, cells in notebooks.items():
        nbformat.write(notebook(cells), folder / "notebooks" / f"{name}.ipynb")
    return folder


NOTEBOOKS = {
    "first": {"settings": "EPOCHS = 1", "model": "size = 3"},
    "second": {"settings": "EPOCHS = 1", "model": 'weights.restore(model, f"first/{name}")'},
    "slow": {"settings": "EPOCHS = 9", "model": "size = 4"},
    "broken": {"settings": "EPOCHS = 2", "model": "size = 5"},
}


def train_all(book: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/train_all.py", *options]
    return subprocess.run(command, cwd=book, capture_output=True, text=True, timeout=120)


def wait_for(condition: Any, seconds: float = 60) -> Any:
    """What `condition` returns as soon as it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("this did not happen in time")


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that a test starts; all are ended after it."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in reversed(started):
        process.kill()
        process.wait()


def test_a_dead_worker_loses_no_finished_notebook(
    tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    books = [write_book(tmp_path / name, NOTEBOOKS) for name in ("own", "one", "two", "three")]
    own, workers = books[0], {}

    def start(*command: str, folder: Path) -> subprocess.Popen[str]:
        log = (folder / "dask.log").open("w")
        dask = [sys.executable, "-m", "dask", *command]
        process = subprocess.Popen(dask, cwd=folder, stdout=log, stderr=log, text=True)
        processes.append(process)
        return process

    start("scheduler", "--port", "0", "--no-dashboard", folder=own)
    found = wait_for(lambda: re.search(r"tcp://\S+:\d+", (own / "dask.log").read_text()))
    address = f"tcp://127.0.0.1:{found[0].rpartition(':')[2]}"
    for folder in books[1:]:
        workers[folder] = start(
            "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", folder=folder
        )
    asked = [sys.executable, "scripts/train_all.py", "--engine", address]
    client = subprocess.Popen(
        asked, cwd=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    processes.append(client)

    def who_is_slow() -> Path | None:
        at_work = [folder for folder in workers if (folder / "running-slow").exists()]
        return at_work[0] if at_work else None

    unlucky = wait_for(who_is_slow)
    training = int(wait_for((unlucky / "running-slow").read_text))
    wait_for(lambda: (own / "data/results/second.json").exists())  # written before the end
    workers[unlucky].send_signal(signal.SIGKILL)
    wait_for(lambda: not is_running(training), 20)  # by itself it would go on for longer
    output = client.communicate(timeout=120)[0]
    assert client.returncode == 1, output
    again_at = [folder for folder in workers if (folder / "running-slow").exists()]
    assert len(again_at) == 2  # it began again on another one
    for name in ("first", "second", "slow"):
        assert f"{name}: released" in output
        assert (own / f"data/weights/{name}/model.weights.h5").read_bytes() == name.encode()
        (run,) = runs_in(own, name)
        assert run["seed"] == 0
    assert "failed: It failed on" in output and "the loss is not a number" in output
    assert not (own / "data/results/broken.json").exists()
    (second,) = runs_in(own, "second")
    assert second["depends_on"]["weights"].keys() == {"first"}
    rows = (own / "_build/train/table.md").read_text().splitlines()
    assert len(rows) == 2 + len(NOTEBOOKS)
    again = train_all(own, "--dry-run")
    assert again.stdout.split("\n")[:-1] == ["broken, its own data, seed 0: never run"]


def is_running(process: int) -> bool:
    """Whether a process is there and at work (a zombie is not)."""
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False


def runs_in(book: Path, name: str) -> list[dict[str, Any]]:
    record = json.loads((book / f"data/results/{name}.json").read_text())
    runs: list[dict[str, Any]] = record["runs"]
    return runs


def test_on_this_machine(tmp_path: Path) -> None:
    book = write_book(tmp_path / "book", {k: NOTEBOOKS[k] for k in ("first", "second")})
    done = train_all(book)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.index("first: released") < done.stdout.index("second: released")
    assert 'make execute NB="notebooks/first.ipynb notebooks/second.ipynb"' in done.stdout
    assert train_all(book).stdout == "Nothing is out of date.\n"


def test_a_worker_takes_what_came_before_and_refuses_another_book(tmp_path: Path) -> None:
    book = write_book(tmp_path / "book", {"first": NOTEBOOKS["first"]})
    code = (
        "from pathlib import Path; from scripts import train_all, out_of_date; "
        "path = Path('notebooks/first.ipynb'); state = out_of_date.depends_on(path); "
        "order = train_all.Task(str(path), 'cpu', ()).order(); "
        "before = {'files': {'data/weights/made_up/model.json': b'{}'}}; "
        "print(train_all.carry_out(order, state, before)['files']); "
        "train_all.carry_out(order, state | {'code': 'another'})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=book, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(book)},
    )  # fmt: skip
    assert done.stdout == "{}\n", done.stderr
    assert (book / "data/weights/made_up/model.json").read_bytes() == b"{}"  # brought along
    assert "is of another state (code of first): bring it up to date" in done.stderr


def test_nobody_answers(tmp_path: Path) -> None:
    book = write_book(tmp_path / "book", {"first": NOTEBOOKS["first"]})
    done = train_all(book, "--engine", "nonsense://here")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("No scheduler answers at nonsense://here:")


# ------------------------------------------------------------------------- what is out of date


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A book with two notebooks whose runs are recorded, in the place of this one."""
    folder = write_book(tmp_path / "book", {k: NOTEBOOKS[k] for k in ("first", "second")})
    monkeypatch.setattr(out_of_date, "DATA", folder / "data")
    found = sorted((folder / "notebooks").glob("*.ipynb"))
    monkeypatch.setattr(out_of_date.notebook_files, "all_notebooks", lambda: found)
    card = folder / "data/weights/first/model.json"
    card.parent.mkdir(parents=True)
    card.write_text('{"sha256": "a"}')
    for path in found:
        runs = [{"dataset": "made_up", "seed": seed, "budget": "cpu"} for seed in (0, 1)]
        record = {"notebook": path.stem, "runs": runs}
        (folder / f"data/results/{path.stem}.json").write_text(json.dumps(record))
    return folder


def reasons(book: Path, name: str) -> list[tuple[int, tuple[str, ...]]]:
    runs = out_of_date.runs_to_repeat(book / f"notebooks/{name}.ipynb")
    return [(run.seed, run.reasons) for run in runs]


def test_records_without_a_state_are_out_of_date_until_they_are_accepted(book: Path) -> None:
    assert [seed for seed, _ in reasons(book, "first")] == [0, 1]
    for name in ("first", "second"):
        out_of_date.accept(book / f"notebooks/{name}.ipynb")
        assert reasons(book, name) == []


@pytest.mark.parametrize(
    ("tag", "before", "after", "kind"),
    [
        ("model", "size = 3", "size = 4", "code"),
        ("settings", "EPOCHS = 1", "EPOCHS = 2", "settings"),
        ("model", "size = 3", "size = 3  # of a side", None),
        ("model", "size = 3", "size   =   3", None),
    ],
)
def test_code_and_settings_count_but_not_comments(
    book: Path, tag: str, before: str, after: str, kind: str | None
) -> None:
    path = book / "notebooks/first.ipynb"
    out_of_date.accept(path)
    cells = NOTEBOOKS["first"] | {tag: NOTEBOOKS["first"][tag].replace(before, after)}
    nbformat.write(notebook(cells), path)
    assert reasons(book, "first") == ([(0, (kind,)), (1, (kind,))] if kind else [])


def test_fingerprints_are_the_same_on_every_python() -> None:
    # ast.dump is not: since Python 3.13 it leaves empty fields out
    code = "def half(x):\n    return f'{x / 2:.1f} {None} {[]}'"
    assert out_of_date._fingerprint([code]) == "a75dd4f0f53c"


def test_weights_of_others_count(book: Path) -> None:
    out_of_date.accept(book / "notebooks/second.ipynb")
    (book / "data/weights/first/model.json").write_text('{"sha256": "b"}')
    assert reasons(book, "second") == [(0, ("weights of first",)), (1, ("weights of first",))]


def test_data_counts(book: Path) -> None:
    path = book / "notebooks/first.ipynb"
    nbformat.write(notebook({"model": 'data = datasets.load("mnist")'}), path)
    (book / "data/mnist").mkdir()
    (book / "data/mnist/digits.npz").write_bytes(b"one")
    out_of_date.accept(path)
    assert reasons(book, "first") == []
    (book / "data/mnist/digits.npz").write_bytes(b"two")
    assert reasons(book, "first") == [(0, ("data of mnist",)), (1, ("data of mnist",))]


def test_the_books_own_dependencies_are_seen() -> None:
    uses = {
        path.stem: out_of_date.uses_weights_of(path)
        for path in out_of_date.notebook_files.all_notebooks()
    }
    assert "cnn" in uses["gan_measures"] and "dcgan" in uses["gan_measures"]
    assert uses["mlp"] == []
    depends_on = out_of_date.depends_on(
        next(p for p in out_of_date.notebook_files.all_notebooks() if p.stem == "vae")
    )
    assert depends_on["data"].keys() == {"fashion_mnist"}
