"""What is done when all pages are written: names for screen readers, less to load, a site map."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

from helpers.files import ROOT, file_sha256

from .contents import pages

FONTAWESOME = re.compile(r"\s*<script[^>]*scripts/fontawesome\.js[^>]*></script>")
MATHJAX = re.compile(
    r"\s*<script[^>]*mathjax/startup\.js[^>]*></script>|\s*<script>window\.MathJax[^<]*</script>"
)
# For a search while typing, which this site does not have: its results are a page of their own
SEARCH = re.compile(
    r'\s*<script src="[^"]*(?:_static/searchtools|_static/language_data|searchindex)\.js"></script>'
)
DESIGN = re.compile(  # cards and tabs
    r"\s*<link[^>]*sphinx-design\.min\.css[^>]*>|\s*<script[^>]*design-tabs\.js[^>]*></script>"
)
# A number that prose quotes shows nothing itself, and must not leave an empty box
QUOTED = re.compile(r'<div class="output text_html"><!--[a-z0-9-]+: [^>]*--></div>\s*')
EMPTY = re.compile(r'<div class="cell_output docutils container">\s*</div>')
FOLD = re.compile(
    r'(<a class="[^"]*reference internal" href="[^"]*">)([^<]+)(</a><details[^>]*><summary)>'
)
SOLUTION = re.compile(r'<div class="cell[^"]*\btag_solution\b.*?</summary>', re.DOTALL)

# One name for a control, not one for the eye and another for the ear
NAMES = (
    (' title="Search" aria-label="Search" data', " data"),
    (' title="Light"></i>', "></i>"),
    (' title="Dark"></i>', "></i>"),
    (' title="System Settings"></i>', "></i>"),
    ('<summary aria-label="Toggle hidden content">', "<summary>"),
    ('<div class="sidebar-primary-items__start', '<div role="region" aria-label="Book" '
     'class="sidebar-primary-items__start'),
    (' role="doc-biblioentry"', ""),
    ('<div role="list" class="citation-list">', '<div class="citation-list">'),
)  # fmt: skip


def finish(app: Any, exception: Exception | None) -> None:
    """Mend every page, cut the icons' fonts to what is used, write the site map and 404.html."""
    if exception or app.builder.format != "html":
        return
    site = Path(app.outdir)
    twins = equal_pictures(site / "_images")
    written = [*site.glob("book/*.html"), *site.glob("notebooks/*/*.html"), site / "search.html"]
    text = "".join(mend(path, twins) for path in written)
    icons = set(re.findall(r"\bfa-([a-z0-9-]+)", text)) | {"xmark"}  # the theme's script adds it
    keep_icons(site / "_static", icons)
    address = app.config.html_baseurl.rstrip("/") + "/"
    (site / "sitemap.xml").write_text(site_map(address, pages()), encoding="utf-8")
    missing = (ROOT / "scripts" / "site_pages" / "404.html").read_text(encoding="utf-8")
    (site / "404.html").write_text(missing.replace("{{address}}", address), encoding="utf-8")


def equal_pictures(folder: Path) -> dict[str, str]:
    """Names of pictures with the bytes of another, and the other's name: a page loads it once."""
    first: dict[str, str] = {}
    twins = {}
    for path in sorted(folder.iterdir()):
        kept = first.setdefault(file_sha256(path), path.name)
        if kept != path.name:
            twins[path.name] = kept
    return twins


def mend(path: Path, twins: dict[str, str]) -> str:
    """Mend a page's file; returns its text."""
    before = path.read_text(encoding="utf-8")
    after = mended(before)
    for name, kept in twins.items():
        after = after.replace(f"_images/{name}", f"_images/{kept}")
    if after != before:
        path.write_text(after, encoding="utf-8")
    return after


def mended(page: str) -> str:
    """A page as the theme wrote it, with a name for each control and without unused scripts.

    Mending twice changes nothing: pages that a second build leaves alone are mended again.
    """
    page = FONTAWESOME.sub("", page)  # the theme's fonts hold the same icons
    if 'class="math' not in page:
        page = MATHJAX.sub("", page)
    if 'class="sd-' not in page:
        page = DESIGN.sub("", page)
    if 'id="search-results"' not in page:
        page = SEARCH.sub("", page)
    page = EMPTY.sub("", QUOTED.sub("", page))
    page = FOLD.sub(r'\1\2\3 aria-label="Pages of \2">', page)
    page = SOLUTION.sub(lambda found: found[0].replace(" the code", " the solution"), page)
    for theirs, ours in NAMES:
        page = page.replace(theirs, ours)
    return page


def site_map(address: str, names: list[str]) -> str:
    """The pages for search engines."""
    places = "\n".join(f"<url><loc>{escape(address)}{name}.html</loc></url>" for name in names)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{places}\n</urlset>\n'
    )


ICON_RULES = re.compile(r'((?:\.fa-[a-z0-9-]+:before,?)+)\{content:"\\([0-9a-f]+)"\}')


def keep_icons(static: Path, used: set[str]) -> None:
    """Leave only the used icons in the theme's style sheet and fonts: 400 kB less to load."""
    from fontTools import subset

    sheet = static / "styles" / "pydata-sphinx-theme.css"
    css = sheet.read_text(encoding="utf-8")

    def is_used(rule: re.Match[str]) -> bool:
        return bool(set(re.findall(r"\.fa-([a-z0-9-]+):before", rule[1])) & used)

    css = ICON_RULES.sub(lambda rule: rule[0] if is_used(rule) else "", css)
    # the fonts below are written in one form; a second would be asked for in vain
    css = re.sub(r'url\([^)]*\.woff2\) format\("woff2"\),(?=url\([^)]*fa-)', "", css)
    sheet.write_text(css, encoding="utf-8")
    book_theme = (static / "styles" / "sphinx-book-theme.css").read_text(encoding="utf-8")
    # icons by number, and as characters that the theme keeps in variables
    numbers = {
        int(number, 16) for number in re.findall(r'content:"\\([0-9a-f]+)"', css + book_theme)
    }
    numbers |= {ord(character) for character in css if ord(character) >= 0xE000}
    for path in (static / "vendor" / "fontawesome" / "webfonts").glob("*.ttf"):
        font = subset.load_font(path, subset.Options())
        cutter = subset.Subsetter(subset.Options())
        cutter.populate(unicodes=numbers)
        cutter.subset(font)
        subset.save_font(font, path, subset.Options())
        path.with_suffix(".woff2").unlink(missing_ok=True)
