"""A notebook in a real JupyterLab: opened, run to its end, and read as a reader sees it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import ROOT
from test_reading import RAW

from scripts import lab

NOTEBOOK = "02_deep_learning/resampling.ipynb"  # the quickest
TOKEN = "reader"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """JupyterLab as `make lab` starts it, on copies in a folder of its own; gives its address."""
    home = tmp_path_factory.mktemp("lab")
    # Copies below the repository, as the reader's own are: the setup cell finds the book above it
    folder = ROOT / "_build" / "jupyterlab-test"
    shutil.rmtree(folder, ignore_errors=True)  # else what an earlier run saved would be kept
    lab.refresh(ROOT / "notebooks", folder)
    settings = home / "settings/@jupyterlab/notebook-extension"
    settings.mkdir(parents=True)
    shown_whole = json.dumps({"windowingMode": "none"})  # else only what is on the screen exists
    (settings / "tracker.jupyterlab-settings").write_text(shown_whole, encoding="utf-8")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    environment = os.environ | {
        "HOME": str(home),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
    }
    command = [
        sys.executable, "-m", "jupyterlab", *lab.QUIET_LAB, "--no-browser", "--allow-root",
        f"--ServerApp.port={port}", f"--IdentityProvider.token={TOKEN}",
        "--LabApp.expose_app_in_browser=True", str(folder),
    ]  # fmt: skip
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{address}/api?token={TOKEN}", timeout=5).close()
                break
            except OSError:
                time.sleep(1)
        else:
            pytest.fail((home / "log").read_text(encoding="utf-8"))
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def state(driver: Any, code: str) -> Any:
    return driver.execute_script(f"const app = window.jupyterapp; {code}")


def wait_until(driver: Any, code: str, what: str, seconds: float) -> None:
    ends = time.monotonic() + seconds
    while not state(driver, f"return Boolean({code});"):
        assert time.monotonic() < ends, f"{what} did not happen within {seconds} s"
        time.sleep(1)


def hosts_asked(driver: Any) -> set[str]:
    """The hosts that the page itself asked for something."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    return {url.split("/")[2] for url in urls if url.startswith(("http:", "https:", "ws"))}


@pytest.mark.browser
def test_a_notebook_runs_and_reads_well_in_jupyterlab(server: str, driver: Any) -> None:
    driver.get_log("performance")
    driver.get(f"{server}/lab/tree/{NOTEBOOK}?token={TOKEN}")
    wait_until(driver, "app && app.shell.currentWidget?.content?.widgets?.length", "opening", 120)
    wait_until(
        driver, "app.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'",
        "the kernel's start", 120,
    )  # fmt: skip
    time.sleep(3)
    pop_ups = "[...document.querySelectorAll('.jp-Dialog, .Toastify__toast')]"
    assert state(driver, f"return {pop_ups}.map(pop_up => pop_up.innerText)") == []
    state(
        driver,
        "window.ran = null; app.commands.execute('notebook:run-all-cells')"
        ".then(result => { window.ran = Boolean(result); });",
    )
    wait_until(driver, "window.ran !== null", "running all cells", 280)
    assert state(driver, "return window.ran"), "a cell raised an error"

    cells = state(
        driver,
        "return app.shell.currentWidget.content.widgets.map(cell => ({"
        "kind: cell.model.type, text: cell.node.innerText, folded: cell.inputHidden === true,"
        "tags: cell.model.getMetadata('tags') || []}));",
    )
    assert len(cells) > 50
    for cell in cells:
        if cell["kind"] == "markdown":
            for what, pattern in RAW.items():
                assert not pattern.search(cell["text"]), f"{what} in {cell['text']}"
        else:
            assert "No renderer could be found" not in cell["text"]
            assert "Traceback" not in cell["text"]
    solutions = [cell for cell in cells if "solution" in cell["tags"]]
    assert solutions and all(cell["folded"] for cell in solutions)
    checks = [cell["text"] for cell in cells if "exercise-check" in cell["tags"]]
    assert checks and all(re.search(r"^correct$", text, re.MULTILINE) for text in checks)
    folds = state(driver, "return [...document.querySelectorAll('details')].map(d => d.open)")
    assert folds and not any(folds), "solutions in words begin folded"
    assert hosts_asked(driver) <= {server.removeprefix("http://")}
