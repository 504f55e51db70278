"""Every page of the built site in a real browser: wide and narrow, light and dark, and on paper.

The pages take turns (turns.py). A page is loaded once for these views; in which of them changes by
the week, and on the day "every" each view is loaded anew.

Needs _build/html (`make book`) and the Debian packages chromium and chromium-driver; without them
the tests are skipped and say so.
"""

from __future__ import annotations

import datetime
import functools
import http.server
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import turns

from helpers.files import ROOT

SITE = ROOT / "_build" / "html"
VIEWS = {
    "wide-light": {"width": 1280, "theme": "light", "media": ""},
    "narrow-dark": {"width": 390, "theme": "dark", "media": ""},
    "paper": {"width": 672, "theme": "light", "media": "print"},  # 178 mm at 96 dots an inch
}
SECONDS_TO_SETTLE = 20.0
PAGES_A_DAY, AXE_PAGES_A_DAY = 30, 10

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not SITE.exists(), reason="no site in _build/html: call make book"),
]

PAGES = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.rglob("*.html")
    if not path.relative_to(SITE).as_posix().startswith(("_", "index.html", "404.html"))
)

# True once formulas are set and pictures have either loaded or failed
SETTLED = """
const pictures = [...document.images];
pictures.forEach(picture => { picture.loading = 'eager'; });
const formulas = !window.MathJax || !window.MathJax.startup
    || document.querySelectorAll('.math').length === 0
    || document.querySelectorAll('mjx-container').length > 0;
return document.readyState === 'complete' && formulas && pictures.every(p => p.complete);
"""

PICTURES = """
return [...document.images].map(p => ({
    source: p.getAttribute('src'), alt: (p.getAttribute('alt') || '').trim(),
    broken: p.naturalWidth === 0}));
"""

# Formulas that MathJax could not set, which it shows in red or as source
FORMULAS = """
return [...document.querySelectorAll('mjx-merror, [data-mjx-error]')].map(e => e.textContent);
"""

# What a reader cannot see: elements of the article that reach beyond the right edge, or that cut
# off their own text, without a container that scrolls.
HIDDEN = """
const width = document.documentElement.clientWidth;
const article = document.querySelector('article') || document.body;
const scrolls = style => ['auto', 'scroll'].includes(style.overflowX);
const found = [];
for (const element of article.querySelectorAll('*')) {
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    if (box.width < 2 || box.height < 2 || style.visibility === 'hidden') continue;
    if (element.closest('mjx-assistive-mml, .visually-hidden, .sr-only, svg')) continue;
    let scroller = false;
    for (let e = element; e && e !== article.parentElement; e = e.parentElement) {
        if (scrolls(getComputedStyle(e))) { scroller = true; break; }
    }
    const name = element.tagName.toLowerCase() + '.' + element.className;
    const words = (element.innerText || '').trim().slice(0, 50);
    if (box.right > width + 1 && !scroller) found.push(`beyond the edge: ${name} ${words}`);
    if (['hidden', 'clip'].includes(style.overflowX) && style.display !== 'inline' && words
        && element.scrollWidth > element.clientWidth + 1) found.push(`cut off: ${name} ${words}`);
}
const whole = document.documentElement.scrollWidth;
if (whole > width + 1) found.push(`the page is ${whole} pixels wide in a window of ${width}`);
return found.slice(0, 8);
"""

# The least contrast of running text and headings with what is painted behind them (WCAG's ratio)
CONTRAST = """
const parse = c => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
const behind = element => {
    for (let e = element; e; e = e.parentElement) {
        const colour = parse(getComputedStyle(e).backgroundColor);
        if (colour.length < 4 || colour[3] > .9) return colour;
    }
    return [255, 255, 255];
};
let worst = {ratio: 21, text: ''};
for (const e of document.querySelectorAll(
        'article p, article li, article h1, article h2, article td, article th, article dt, ' +
        'article figcaption span, article pre, article pre span, article a')) {
    if (!e.innerText || !e.innerText.trim() || e.closest('.toggle-hidden')) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < worst.ratio) worst = {ratio, text: e.tagName + ' ' + e.innerText.slice(0, 60)};
}
return worst;
"""

# Of each table that is mostly numbers: whether one of them is in sight unscrolled
NUMBERS_IN_SIGHT = """
const found = [];
for (const table of document.querySelectorAll('article table')) {
    let box = table;
    while (box && !['auto', 'scroll'].includes(getComputedStyle(box).overflowX))
        box = box.parentElement;
    const edge = box ? box.getBoundingClientRect().right : innerWidth;
    const cells = [...table.querySelectorAll('td:not(:first-child)')];
    const numbers = cells.filter(cell => /^[^a-zA-Z]*\\d/.test(cell.textContent.trim()));
    const inSight = cell => cell.getBoundingClientRect().right <= edge + 1;
    if (3 * numbers.length > cells.length && !numbers.some(inSight))
        found.push(table.innerText.slice(0, 80));
}
return found;
"""

# Numbers in tables that stand on more than one line, as "20,0" above "00"
BROKEN_NUMBERS = """
const found = [], range = document.createRange();
for (const cell of document.querySelectorAll('article td')) {
    if (!/^-?[\\d.,]+$/.test(cell.textContent.trim())) continue;
    const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        if (!texts.currentNode.data.trim()) continue;
        range.selectNodeContents(texts.currentNode);
        if (range.getClientRects().length > 1) found.push(texts.currentNode.data);
    }
}
return found;
"""


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line for each, and does not mind a browser that turns away."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def copyfile(self, source: Any, outputfile: Any) -> None:
        try:
            super().copyfile(source, outputfile)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """The site's address on this machine."""
    handler = functools.partial(QuietHandler, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def resize(driver: Any, width: int) -> None:
    """Give the window a width; below 600 pixels it is that of a telephone."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )


def open_page(driver: Any, url: str, *, width: int, theme: str) -> list[str]:
    """Open a page at a width and in a theme; returns the addresses that the page asked for."""
    resize(driver, width)
    keep = f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}');"
    script = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": keep})
    driver.get_log("performance")  # empties both logs
    driver.get_log("browser")
    driver.get(url)
    ends = time.monotonic() + SECONDS_TO_SETTLE
    while not driver.execute_script(SETTLED):
        assert time.monotonic() < ends, "formulas or pictures did not settle"
        time.sleep(0.02)
    driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    return page_requests(driver.get_log("performance"))


# Another theme in the open page, without the colours fading, and the next frame
TO_THEME = """
const [theme, done] = arguments, root = document.documentElement;
if (!document.getElementById('unfaded')) document.head.insertAdjacentHTML('beforeend',
    '<style id="unfaded">* { transition: none !important }</style>');
root.dataset.theme = root.dataset.mode = theme;
requestAnimationFrame(() => requestAnimationFrame(done));
"""


def show(driver: Any, url: str, view: str) -> list[str]:
    """Show a page in a view, loaded for it or, where it is open, turned to it.

    Returns the addresses that the page has asked for since it was there, or since the last view.
    """
    width, theme, media = VIEWS[view].values()
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": []})
    if driver.current_url != url or turns.day() == turns.EVERY:
        return open_page(driver, url, width=width, theme=theme)
    resize(driver, width)
    driver.execute_async_script(TO_THEME, theme)
    return page_requests(driver.get_log("performance"))


def page_requests(log: list[dict[str, Any]]) -> list[str]:
    """Addresses from Chromium's performance log that a page asked for, not Chromium itself."""
    messages = [json.loads(entry["message"])["message"] for entry in log]
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
        and message["params"].get("documentURL", "").startswith("http")
    ]


def foreign(requests: list[str], address: str) -> list[str]:
    """Those that go to another host; data: and blob: never leave the page."""
    own = urlsplit(address).netloc
    parts = [(urlsplit(request), request) for request in requests]
    return [r for part, r in parts if part.scheme not in ("data", "blob") and part.netloc != own]


# What would be cut off on paper: anything of the article beyond its right edge
CUT = """
const edge = document.querySelector('article, main').getBoundingClientRect().right + 2;
return [...document.querySelectorAll('article *')]
    .filter(e => !e.closest('mjx-assistive-mml, svg, .visually-hidden, .sr-only, mjx-c'))
    .map(e => [e, e.getBoundingClientRect()])
    .filter(([e, box]) => box.width > 1 && box.right > edge)
    .map(([e, box]) => e)
    .map(e => e.tagName + ' ' + e.className + ': ' + (e.innerText || '').slice(0, 60)).slice(0, 5);
"""


def views_of_the_day() -> list[str]:
    """The view in which a page is loaded this week, then that of the next; paper comes last."""
    first, second, paper = VIEWS
    by_day = datetime.date.fromisoformat(turns.date()).toordinal() // 7 % 2
    return [second, first, paper] if by_day else [first, second, paper]


@pytest.mark.in_turn(PAGES_A_DAY, by="page")
@pytest.mark.parametrize("view", views_of_the_day())
@pytest.mark.parametrize("page", PAGES)
def test_page(page: str, view: str, chromium: Any, address: str) -> None:
    driver = chromium  # as the last view left it: the fixture `driver` would lay the page out anew
    requests = show(driver, f"{address}/{page}", view)

    assert not foreign(requests, address)
    errors = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert not errors
    theme = driver.execute_script("return document.documentElement.dataset.theme")
    assert theme == VIEWS[view]["theme"]

    pictures = driver.execute_script(PICTURES)
    assert not [picture["source"] for picture in pictures if picture["broken"]]
    assert not [picture["source"] for picture in pictures if not picture["alt"]]
    assert not driver.execute_script(FORMULAS)
    if view == "paper":
        assert not driver.execute_script(CUT)
        return
    if view == "narrow-dark":
        assert not driver.execute_script(HIDDEN)
        assert not driver.execute_script(NUMBERS_IN_SIGHT)
        assert not driver.execute_script(BROKEN_NUMBERS)
        # lines of code wrap: the keyboard need not stop at any block of them
        blocks = "return document.querySelector('.highlight pre[tabindex=\"0\"]')"
        assert not driver.execute_script(blocks)

    worst = driver.execute_script(CONTRAST)
    assert worst["ratio"] >= 3, f"{worst['text']!r} is hard to read: contrast {worst['ratio']:.1f}"


def test_the_log_shows_what_a_page_asks_for(driver: Any, address: str) -> None:
    requests = show(driver, f"{address}/{PAGES[0]}", "wide-light")
    assert f"{address}/{PAGES[0]}" in requests
    driver.execute_async_script("fetch('http://another.invalid/x').catch(arguments[0])")
    requests = page_requests(driver.get_log("performance"))
    assert foreign(requests, address) == ["http://another.invalid/x"]


# Thousands of coloured words, cells of code and rows of tables are alike: a few of each kind stay
THINNED = """
const kinds = {};
for (const cell of document.querySelectorAll('article div.cell, article dl.py')) {
    const kind = cell.className + [...cell.children].map(e => e.className);
    kinds[kind] = (kinds[kind] || 0) + 1;
    if (kinds[kind] > 3) cell.remove();
}
const seen = {};
for (const word of document.querySelectorAll('pre span[class]')) {
    seen[word.className] = (seen[word.className] || 0) + 1;
    if (seen[word.className] > 2) word.replaceWith(...word.childNodes);
}
for (const code of document.querySelectorAll('pre')) code.normalize();
for (const row of document.querySelectorAll('article tbody tr:nth-child(n + 5)')) row.remove();
// colours that fade from light to dark would be caught half-way
document.head.insertAdjacentHTML('beforeend', '<style>* { transition: none !important }</style>');
"""
AXE = "const done = arguments[1]; axe.run(document, arguments[0]).then(r => done(r.violations))"


@pytest.fixture(scope="session")
def axe() -> str:
    """The accessibility checker axe-core, from npm into _build/npm when it is first wanted."""
    script = ROOT / "_build/npm/node_modules/axe-core/axe.min.js"
    if not script.exists():
        if not (npm := shutil.which("npm")):
            pytest.skip("no npm: install it, and axe-core is fetched by this test")
        command = [npm, "install", "--silent", "--prefix", str(script.parents[2]), "axe-core@4"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if done.returncode:
            pytest.skip(f"npm could not fetch axe-core: {done.stderr.strip()[-200:]}")
    return script.read_text(encoding="utf-8")


def violations(driver: Any, **options: Any) -> list[str]:
    """What axe-core finds in the open page, a line each."""
    driver.set_script_timeout(120)
    found = driver.execute_async_script(AXE, {"resultTypes": ["violations"]} | options)
    return [f"{each['id']}: {each['nodes'][0]['html'][:120]}" for each in found]


@pytest.mark.in_turn(AXE_PAGES_A_DAY)
@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_nothing(page: str, driver: Any, address: str, axe: str) -> None:
    open_page(driver, f"{address}/{page}", width=1280, theme="light")
    driver.execute_script(THINNED)
    driver.execute_script(axe)
    assert not violations(driver)
    driver.execute_script("document.documentElement.dataset.theme = 'dark'")
    assert not violations(driver, runOnly=["color-contrast"])  # nothing else depends on it


def test_axe_sees_a_flaw(driver: Any, tmp_path: Path, axe: str) -> None:
    page = tmp_path / "page.html"
    flaw = "<img src='data:,'><p style='color: #bbb; background: #fff'>pale</p>"
    page.write_text(f"<!doctype html><html lang='en'><title>t</title><main><h1>h</h1>{flaw}")
    driver.get(page.as_uri())
    driver.execute_script(axe)
    assert {line.split(":")[0] for line in violations(driver)} == {"color-contrast", "image-alt"}


def test_a_wide_table_says_that_it_scrolls(driver: Any, address: str) -> None:
    open_page(driver, f"{address}/book/timings.html", width=390, theme="light")
    seen = "return [...document.querySelectorAll('.pst-scrollable-table-container')].map(box => [" \
        "box.scrollWidth > box.clientWidth + 1, box.classList.contains('scrolls')])"  # fmt: skip
    boxes = driver.execute_script(seen)
    assert boxes and all(wide == says for wide, says in boxes)
    assert any(wide for wide, _ in boxes)


def test_search_finds_a_word(driver: Any, address: str) -> None:
    open_page(driver, f"{address}/search.html?q=autoencoder", width=1280, theme="light")
    ends = time.monotonic() + SECONDS_TO_SETTLE
    while not (found := driver.execute_script(
        "return [...document.querySelectorAll('#search-results a')].map(a => a.href)"
    )):  # fmt: skip
        assert time.monotonic() < ends, "the search page found nothing"
        time.sleep(0.05)
    assert any("03_autoencoders" in link for link in found)


def test_hub_page_builds_a_link_to_the_readers_hub(driver: Any, address: str) -> None:
    hub = "book/jupyterhub.html"
    if hub not in PAGES:
        pytest.skip("the site has its own hub")
    query = "?repo=https://host.test/owner/name&branch=main&urlpath=lab/tree/name/notebooks/a.ipynb"
    open_page(driver, f"{address}/{hub}{query}", width=1280, theme="light")
    driver.execute_script(
        "document.querySelector('.hub-form input').value = arguments[0];"
        "document.querySelector('.hub-form').requestSubmit();",
        f"{address}/hub/",
    )
    # the "hub" is this site's own server, which has no such page: what counts is the address
    ends = time.monotonic() + SECONDS_TO_SETTLE
    while "user-redirect" not in driver.current_url:
        assert time.monotonic() < ends, "the form led nowhere"
        time.sleep(0.05)
    reached = urlsplit(driver.current_url)
    assert reached.path == "/hub/user-redirect/git-pull"
    assert "repo=https%3A%2F%2Fhost.test%2Fowner%2Fname" in reached.query
    assert "urlpath=lab%2Ftree%2Fname%2Fnotebooks%2Fa.ipynb" in reached.query


WITH_FILM = [page for page in PAGES if 'id="film-' in (SITE / page).read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", WITH_FILM)
def test_films_play_on_their_page(page: str, driver: Any, address: str) -> None:
    open_page(driver, f"{address}/{page}", width=390, theme="dark")
    for film in driver.find_elements("css selector", "[id^=film-]"):
        assert not film.find_element("tag name", "img").is_displayed()
        line = film.find_element("tag name", "output")
        first = line.get_attribute("textContent")
        view = film.find_element("css selector", "[role=img]")
        driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", view)
        ends = time.monotonic() + SECONDS_TO_SETTLE
        while line.get_attribute("textContent") == first:
            assert time.monotonic() < ends, "the film stands still"
            time.sleep(0.05)


def test_some_page_has_a_film() -> None:
    assert WITH_FILM


@pytest.mark.parametrize(
    ("flaw", "sign"),
    [
        ("<script>throw new Error('on purpose')</script>", "error"),
        ("<img src='missing.png' alt='a missing picture'>", "broken"),
        ("<img src='_static/favicon.svg'>", "alt"),
        ("<img src='http://another.invalid/x.png' alt='from elsewhere'>", "foreign"),
        ("<p style='white-space: nowrap'>" + "a long line " * 40 + "</p>", "hidden"),
        (
            "<p style='overflow: hidden; white-space: nowrap; width: 9em'>" + "cut " * 40 + "</p>",
            "hidden",
        ),
        ("<p style='color: #bbb; background: #fff'>pale words</p>", "pale"),
    ],
)
def test_the_test_sees_each_flaw(flaw: str, sign: str, driver: Any, tmp_path: Path) -> None:
    """A page made with one flaw, to know that its absence above means something."""
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static/favicon.svg").write_text(
        "<svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'/>", encoding="utf-8"
    )
    (tmp_path / "page.html").write_text(
        "<!doctype html><link rel='icon' href='_static/favicon.svg'>"
        f"<meta name='viewport' content='width=device-width'><article>{flaw}</article>",
        encoding="utf-8",
    )
    handler = functools.partial(QuietHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        own = f"http://127.0.0.1:{server.server_port}"
        requests = open_page(driver, f"{own}/page.html", width=390, theme="light")
        pictures = driver.execute_script(PICTURES)
        errors = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
        seen = {
            "error": any("on purpose" in entry["message"] for entry in errors),
            "broken": any(picture["broken"] for picture in pictures),
            "alt": any(not picture["alt"] for picture in pictures),
            "foreign": foreign(requests, own) == ["http://another.invalid/x.png"],
            "hidden": bool(driver.execute_script(HIDDEN)),
            "pale": driver.execute_script(CONTRAST)["ratio"] < 3,
        }
        server.shutdown()
    assert seen[sign]
    # and it does not cry wolf; a picture from elsewhere is also a broken one
    harmless = {"broken"} if sign == "foreign" else set()
    others = {name for name, value in seen.items() if value} - {sign} - harmless
    assert not others
