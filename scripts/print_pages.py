"""Print the notebooks' pages of the built site as PDF, twice: a handout and a key.

usage: print_pages.py [NOTEBOOK ...]   names without .ipynb; all of them by default

A handout leaves solutions out, a key shows them open. Headless Chromium prints into _build/pdf.
"""

from __future__ import annotations

import base64
import functools
import http.server
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.site_pages.contents import notebooks  # noqa: E402

SITE, TARGET = ROOT / "_build" / "html", ROOT / "_build" / "pdf"
SECONDS_TO_SETTLE = 60.0

SETTLED = """
document.querySelectorAll('img').forEach(picture => { picture.loading = 'eager'; });
const formulas = !document.querySelector('.math') || document.querySelector('mjx-container');
return document.readyState === 'complete' && !!formulas
    && [...document.images].every(picture => picture.complete);
"""
SOLUTIONS = """[...document.querySelectorAll('div.cell.tag_solution'),
    ...[...document.querySelectorAll('article details')].filter(
        each => each.querySelector('summary')?.textContent.trim().startsWith('Solution'))]"""
HANDOUT = f"{SOLUTIONS}.forEach(each => each.remove())"
KEY = f"{SOLUTIONS}.flatMap(each => [each, ...each.querySelectorAll('details')])" \
    ".forEach(each => {{ each.open = true; }})"  # fmt: skip


def browser() -> Any:
    """A headless Chromium; one sentence if there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not (program and driver):
        raise SystemExit("make pdf needs Chromium: install chromium and chromium-driver.")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tempfile.mkdtemp()}")
    return webdriver.Chrome(options=options, service=Service(executable_path=driver))


def print_page(driver: Any, address: str, script: str, target: Path) -> None:
    """Open a page, change it by a script, and print it."""
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    driver.get(address)
    ends = time.monotonic() + SECONDS_TO_SETTLE
    while not driver.execute_script(SETTLED):
        if time.monotonic() > ends:
            raise SystemExit(f"{address}: formulas or pictures did not settle")
        time.sleep(0.1)
    driver.execute_script(script)
    printed = driver.execute_cdp_cmd(
        "Page.printToPDF", {"preferCSSPageSize": True, "printBackground": True}
    )
    target.write_bytes(base64.b64decode(printed["data"]))


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves the site without a line for each file."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


def main() -> int:
    known = {notebook.name: notebook.page for notebook in notebooks()}
    wanted = sys.argv[1:] or list(known)
    if unknown := [name for name in wanted if name not in known]:
        raise SystemExit(f"No notebook is called {', '.join(unknown)}.")
    TARGET.mkdir(parents=True, exist_ok=True)
    handler = functools.partial(Quiet, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        driver = browser()
        try:
            for name in wanted:
                page = f"http://127.0.0.1:{server.server_port}/{known[name]}.html"
                for kind, script in (("handout", HANDOUT), ("key", KEY)):
                    target = TARGET / f"{name}-{kind}.pdf"
                    print_page(driver, page, script, target)
                    print(target.relative_to(ROOT), flush=True)
        finally:
            driver.quit()
            server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
