"""What all tests share: settings, an own cache, a way to run a new Python, and a browser."""

from __future__ import annotations

import codecs
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from scripts.notebook_files import ONE_THREAD

# Before anything imports TensorFlow: one thread, as two tests run side by side
os.environ |= ONE_THREAD
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["MPLBACKEND"] = "agg"
os.environ["GENBOOK_LOG"] = "plain"

import pytest
import turns
from made_up import Server
from xdist.scheduler import LoadScopeScheduling

from helpers import files

ROOT = files.ROOT

RunPython = Callable[..., subprocess.CompletedProcess[str]]


LONG = (
    "tests/test_backends.py", "tests/test_browser.py", "_of_the_day", "tests/test_training.py",
    "tests/test_jupyterlab.py", "tests/test_site.py", "tests/test_weights.py",
)  # fmt: skip
"""What takes longest, in this order: begun first, so that both workers end at the same time."""


class FilesAndDraws(LoadScopeScheduling):
    """Tests side by side (pytest-xdist): a file stays together, since it shares its fixtures.

    What is drawn by the date is long and shares nothing: it goes to whoever is free. (The marks of
    `--dist=loadgroup` have no effect under pytest 9.2.)
    """

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if "_of_the_day" in nodeid else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    config.option.loadscopereorder = False  # else what has most tests comes first, not the longest
    return FilesAndDraws(config, log)


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("GENBOOK_DAY", turns.day())  # one for all workers, also at midnight


@pytest.hookimpl(trylast=True)  # after -k and -m have chosen
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    turns.select(config, items)
    ranks = {item: [part in item.nodeid for part in LONG] for item in items}
    items.sort(key=lambda item: (ranks[item] + [True]).index(True))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # one of pytest-xdist's workers: it cannot print
        session.config.workeroutput["turns"] = turns.taken


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: Any) -> None:
    turns.taken.update(getattr(node, "workeroutput", {}).get("turns", {}))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for line in turns.report(turns.taken):
        terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every test starts under quick, with an empty cache of its own."""
    for name in ("BUDGET", "DATASET", "SEED", "RELEASE", "REPOSITORY"):
        monkeypatch.delenv(f"GENBOOK_{name}", raising=False)
    monkeypatch.setenv("GENBOOK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def full_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader's own full run."""
    monkeypatch.setenv("GENBOOK_BUDGET", "cpu")


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty data folder in place of the book's, for weights and results."""
    from helpers import results, weights

    folder = tmp_path / "data"
    monkeypatch.setattr(weights, "DATA", folder)
    monkeypatch.setattr(results, "DATA", folder)
    return folder


@pytest.fixture
def server() -> Iterator[Server]:
    """A web server of the test's own."""
    running = Server()
    yield running
    running.release.set()
    running.httpd.shutdown()
    running.httpd.server_close()


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder of the user nobody, who then runs the test: to root, permissions mean nothing."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() != 0:
            yield Path(name)
            return
        # nobody may not be allowed to read Python itself: import now what is imported late
        import mido  # noqa: F401
        import numpy.random  # noqa: F401
        from PIL import Image, ImageOps  # noqa: F401

        Image.init()
        codecs.lookup("cp437")  # zipfile decodes names with it
        os.chown(name, 65534, 65534)
        os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)


@pytest.fixture
def in_file_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures come in the order of their files, so that a test can follow single ones."""
    from helpers.datasets import images

    monkeypatch.setattr(images, "_mixed", lambda arrays: arrays)


@pytest.fixture(scope="session")
def run_python() -> RunPython:
    """Run a script or -c code in a new interpreter at the repository's root."""

    def run(
        *arguments: str, timeout: float = 300, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One headless Chromium with an empty profile; without one the test is skipped."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("no Chromium: install the packages chromium, chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program
    # Quiet flags: Chromium itself would otherwise call out, and start with a welcome page
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-sync",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(executable_path=driver))
    browser.set_page_load_timeout(60)
    yield browser
    browser.quit()


@pytest.fixture
def driver(chromium: Any) -> Any:
    """The browser with its window and its wishes for motion as they are at first."""
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    return chromium
