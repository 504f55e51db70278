"""What is done when all pages are written: names for screen readers, less to load, a site map."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

from helpers.files import ROOT

from .contents import toc_pages_of_the_book

FONTAWESOME = re.compile(r"\s*<script[^>]*scripts/fontawesome\.js[^>]*></script>")
MATHJAX = re.compile(r"\s*<script[^>]*mathjax/startup\.js[^>]*></script>|<script>window\.MathJax[^<]*</script>")
FOLD = re.compile(r'(<a class="reference internal" href="[^"]*">\s*)([^<]+)(</a><details[^>]*><summary)>')
SOLUTION = re.compile(r'<div class="cell[^"]*\btag_solution\b.*?</summary>', re.DOTALL)
PAGE_LABELS = (  # what a screen reader would be told beside what the eye sees: one name is enough
    (' title="Search" aria-label="Search"', ""),
    ('title="Light"></i>', "></i>"),
    ('title="Dark"></i>', "></i>"),
    ('title="System Settings"></i>', "></i>"),
    ('<div class="sidebar-primary-items__start', '<div role="region" aria-label="Book" class="sidebar-primary-items__start'),
    (' role="doc-biblioentry"', ""),
    ('<div role="list" class="citation-list">', '<div class="citation-list">'),
)  # fmt: skip


def mended(page: str) -> str:
    """A page as the theme wrote it, with a name for each control and without unused scripts.

    Mending twice changes nothing: pages that a second build leaves alone are read again.
    """
    page = FONTAWESOME.sub("", page)  # the same icons are in the theme's fonts
    if 'class="math' not in page:
        page = MATHJAX.sub("", page)
    page = FOLD.sub(r'\1\2\3 aria-label="Pages of \2">', page)
    page = SOLUTION.sub(lambda found: found[0].replace(" the code", " the solution"), page)
    for theirs, ours in PAGE_LABELS:
        page = page if ours and ours in page else page.replace(theirs, ours)
    return page
