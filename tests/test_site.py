"""The built site: pages, links, outputs, and that it needs no other host.

Needs _build/html, which `make book` makes.
"""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup, NavigableString, Tag

from helpers.files import ROOT
from scripts import copies, prose_numbers
from scripts.site_pages.contents import notebooks, toc_pages

SITE = ROOT / "_build" / "html"
SPECIAL = {"index", "search", "404"}
"""Pages that are not in the contents."""

# What stays visible in a page when a directive, a role, a formula or a quoted number went wrong
LEFTOVERS = re.compile(
    r"\{[\w:+-]+\}`|^:{3,}|```|\$\$|\{\{|<no title>|<module '|<IPython|\| ?-{3,} ?\|"
    r"|\bWARNING\b|\bSystem Message\b",
    re.MULTILINE,
)

pytestmark = [
    pytest.mark.site,
    pytest.mark.skipif(not SITE.exists(), reason="no site in _build/html: call make book"),
]


def expected_pages() -> list[str]:
    """The pages that _toc.yml promises."""
    return toc_pages(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))


PAGES = expected_pages()
NOTEBOOKS = [notebook for notebook in notebooks() if notebook.path.exists()]


@functools.cache
def soup(page: str) -> BeautifulSoup:
    """A built page, parsed once."""
    return BeautifulSoup((SITE / f"{page}.html").read_text(encoding="utf-8"), "html.parser")


def article(page: str) -> Any:
    """The page's own content, without contents list and header."""
    found = soup(page).find("article")
    assert found is not None, f"{page} has no article"
    return found


@functools.cache
def anchors(path: Path) -> frozenset[str]:
    """Every place in a file that a link can point to."""
    page = soup(path.relative_to(SITE).with_suffix("").as_posix())
    return frozenset(str(tag["id"]) for tag in page.find_all(id=True))


def is_local(address: str) -> bool:
    """True for an address within the site."""
    parts = urlsplit(address)
    return not parts.scheme and not parts.netloc


def references(page: str) -> Iterator[str]:
    """Every address that a page links to, shows or loads."""
    for tag in soup(page).find_all(True):
        for name in ("href", "src", "poster", "data-src"):
            if tag.get(name):
                yield str(tag[name])
        for candidate in str(tag.get("srcset", "")).split(","):
            if candidate.strip():
                yield candidate.split()[0]


def test_every_page_of_the_contents_is_built_and_no_other() -> None:
    built = {path.relative_to(SITE).with_suffix("").as_posix() for path in SITE.rglob("*.html")}
    built = {page for page in built if not page.startswith("_")}
    assert built - SPECIAL == set(PAGES)
    assert len(PAGES) == len(set(PAGES))


def test_every_notebook_of_the_repository_is_in_the_contents() -> None:
    found = {
        path.relative_to(ROOT).with_suffix("").as_posix()
        for path in (ROOT / "notebooks").rglob("*.ipynb")
        if ".ipynb_checkpoints" not in path.parts
    }
    assert found == {notebook.page for notebook in notebooks()}


def test_root_leads_to_the_introduction() -> None:
    assert "url=book/introduction.html" in (SITE / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("notebooks/")])
def test_chapters_and_figures_have_the_number_of_the_folder(page: str) -> None:
    chapter = str(int(page.split("/")[1][:2]))
    figures = [each.get_text() for each in article(page).select(".caption-number")]
    assert figures, "no figure has a number"
    assert {re.findall(r"\d+", number)[0] for number in figures} == {chapter}
    if page.endswith("/index"):
        assert article(page).h1.select_one(".section-number").get_text().strip() == f"{chapter}."
        contents = soup("book/introduction").select(f"nav a[href$='{page}.html']")
        assert contents and all(link.get_text().strip().startswith(chapter) for link in contents)


def test_titles_differ() -> None:
    titles = Counter(soup(page).title.get_text() for page in PAGES)  # type: ignore[union-attr]
    assert not [title for title, count in titles.items() if count > 1]


@pytest.mark.parametrize("page", PAGES)
def test_page_has_title_one_first_heading_and_language(page: str) -> None:
    assert soup(page).html["lang"] == "en"  # type: ignore[index]
    assert soup(page).title.get_text(strip=True)  # type: ignore[union-attr]
    assert len(article(page).find_all("h1")) == 1


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    folder = (SITE / f"{page}.html").parent
    broken = []
    for address in references(page):
        if not is_local(address) or address.startswith("data:"):
            continue
        parts = urlsplit(address)
        own = SITE / f"{page}.html"
        target = (folder / unquote(parts.path)).resolve() if parts.path else own
        if not target.is_file():
            broken.append(f"{address}: no such file")
        elif target.suffix == ".html" and unquote(parts.fragment) not in {"", *anchors(target)}:
            broken.append(f"{address}: no such place in the page")
    assert not broken


@pytest.mark.parametrize("page", PAGES)
def test_ids_are_unique(page: str) -> None:
    counted = Counter(str(tag["id"]) for tag in article(page).find_all(id=True))
    # sphinx-exercise gives these two to every exercise and solution; nothing links to them
    repeated = {name for name, count in counted.items() if count > 1}
    assert repeated <= {"exercise-content", "solution-content"}


@pytest.mark.parametrize("page", [*PAGES, "search"])
def test_nothing_is_loaded_from_another_host(page: str) -> None:
    foreign = []
    for tag in soup(page).find_all(
        ["script", "img", "iframe", "audio", "video", "source", "embed"]
    ):
        foreign += [str(tag[n]) for n in ("src", "poster") if tag.get(n) and not is_local(tag[n])]
    for tag in soup(page).find_all("link"):
        if tag.get("href") and not is_local(tag["href"]) and "canonical" not in tag.get("rel", []):
            foreign.append(str(tag["href"]))
    foreign = [address for address in foreign if not address.startswith("data:")]
    inline = " ".join(tag.get_text() for tag in soup(page).find_all(["script", "style"]))
    foreign += re.findall(r"https?://[^\s\"')]+", inline)
    assert not foreign


def test_style_sheets_load_nothing_from_another_host() -> None:
    foreign = []
    for path in SITE.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        foreign += [
            f"{path.name}: {address}"
            for address in re.findall(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)", text)
        ]
    assert not foreign


@pytest.mark.parametrize("page", PAGES)
def test_no_markup_is_left_unexpanded(page: str) -> None:
    text = "\n".join(prose(article(page)))
    found = LEFTOVERS.search(text)
    assert found is None, f"{found.group(0)!r} in {text[:80]!r}"  # type: ignore[union-attr]
    assert not article(page).select(".problematic, .system-message")


def prose(tag: Any) -> Iterator[str]:
    """The pieces of text in a tag, without code and formulas."""
    for part in tag.children:
        if type(part) is NavigableString:
            yield str(part)
        # of formulas, TeX stands between its delimiters, which MathJax sets
        elif isinstance(part, Tag) and not (
            part.name in ("pre", "code", "script", "style") or "math" in part.get("class", [])
        ):
            yield from prose(part)


@pytest.mark.parametrize("page", PAGES)
def test_pictures_have_alternative_text(page: str) -> None:
    pictures = soup(page).find_all("img")
    assert not [str(tag.get("src")) for tag in pictures if not str(tag.get("alt", "")).strip()]
    # a file name or a path says nothing to a reader who cannot see the picture
    assert not [
        tag["alt"]
        for tag in pictures
        if re.search(r"\.(png|svg|jpe?g|webp)\b|[0-9a-f]{32}", tag["alt"])
    ]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.name)
def test_outputs_are_shown_and_not_empty(notebook: Any) -> None:
    cells = json.loads(notebook.path.read_text(encoding="utf-8"))["cells"]
    visible = [cell for cell in cells if shows_something(cell)]
    shown = article(notebook.page).select("div.cell_output")
    assert visible, "the notebook has no outputs: call make execute"
    assert len(shown) >= len(visible)
    for output in shown:
        media = output.find(["img", "audio", "video", "svg", "canvas", "table"])
        assert media or output.get_text(strip=True), f"an empty output: {str(output)[:200]}"


def shows_something(cell: dict[str, Any]) -> bool:
    """True for a code cell with an output that is not just a quoted number."""
    hidden = {"remove-output", "remove-cell"} & set(cell.get("metadata", {}).get("tags", []))
    return not hidden and any(
        "text" in output or ("data" in output and not is_quoted(output))
        for output in cell.get("outputs", [])
    )


def is_quoted(output: dict[str, Any]) -> bool:
    """True for a number that prose quotes, of which the cell itself shows nothing."""
    html = "".join(output["data"].get("text/html", ""))
    return bool(prose_numbers.QUOTED.fullmatch(html.strip()))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.name)
def test_launch_buttons_name_the_repository_of_the_settings(notebook: Any) -> None:
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    repository = settings["repository"]["url"]
    links = [str(tag["href"]) for tag in soup(notebook.page).find_all("a", href=True)]
    owner_and_name = repository.removeprefix("https://github.com/")
    colab = copies.addresses().colab(notebook.page)
    assert colab.startswith(f"https://colab.research.google.com/github/{owner_and_name}/")
    assert colab in links
    hubs = [link for link in links if f"lab/tree/{owner_and_name.split('/')[1]}" in unquote(link)]
    assert hubs and all(f"repo={repository}" in unquote(link) for link in hubs)
    assert all(f"{notebook.page}.ipynb" in unquote(link) for link in hubs)


def mathjax_of(page: str) -> list[str]:
    """The MathJax scripts that a page loads."""
    sources = [str(tag["src"]) for tag in soup(page).find_all("script", src=True)]
    return [source for source in sources if "mathjax" in source.lower()]


@pytest.mark.parametrize("page", PAGES)
def test_formulas_are_set_by_one_local_mathjax(page: str) -> None:
    if article(page).select(".math"):
        assert [urlsplit(source).path.rsplit("_static/")[-1] for source in mathjax_of(page)] == [
            "mathjax/startup.js"
        ]


def test_pages_without_formulas_load_no_mathjax() -> None:
    # Sphinx gives it also to pages that have a page with formulas below them in the contents
    without = [page for page in PAGES if not article(page).select(".math")]
    assert "book/introduction" in without
    assert not [page for page in without if mathjax_of(page)]


MATHJAX_PARTS = 850_000
"""Bytes of MathJax's parts and of the fonts that a page with many formulas asks for."""


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_light(page: str) -> None:
    """Below 2.5 MB with all that they load, uncompressed; films, explorers and sounds need more."""
    folder = (SITE / f"{page}.html").parent
    loaded = {f"{page}.html": (SITE / f"{page}.html").stat().st_size}
    for tag in soup(page).select("script[src], img[src], link[rel=stylesheet]"):
        address = str(tag.get("src") or tag.get("href"))
        if is_local(address) and not address.startswith("data:"):
            path = (folder / unquote(urlsplit(address).path)).resolve()
            loaded[str(path)] = path.stat().st_size
    assert not [name for name in loaded if "fontawesome.js" in name]
    weight = sum(loaded.values()) + (MATHJAX_PARTS if mathjax_of(page) else 0)
    moving = article(page).select("[id^=film-], [id^=explorer-]")
    most = 2_500_000 + 600_000 * len(moving) + 150_000 * len(article(page).select("audio"))
    assert weight < most, sorted(loaded.items(), key=lambda x: -x[1])


def test_icons_are_those_that_are_used() -> None:
    fonts = list((SITE / "_static/vendor/fontawesome/webfonts").iterdir())
    assert {path.suffix for path in fonts} == {".ttf"}
    assert sum(path.stat().st_size for path in fonts) < 30_000
    css = (SITE / "_static/styles/pydata-sphinx-theme.css").read_text(encoding="utf-8")
    used = {name for page in PAGES for name in re.findall(r"fa-([a-z-]+)", str(soup(page)))}
    shown = set(re.findall(r"\.fa-([a-z-]+):before", css))
    assert {"chevron-down", "rocket", "github", "download"} <= used & shown
    assert "fa-zhihu" not in css


@pytest.mark.parametrize("page", PAGES)
def test_page_says_what_it_is_about(page: str) -> None:
    """A description and a picture for search engines and shared links, and one true address."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    address = settings["html"]["baseurl"]
    head = {
        str(tag.get("name") or tag.get("property")): str(tag.get("content"))
        for tag in soup(page).find_all("meta")
    }
    assert 40 <= len(head["description"]) <= 200
    assert head["og:url"] == f"{address}{page}.html"
    picture = head["og:image"].removeprefix(address)
    assert (SITE / picture).is_file() and head["og:image:alt"]
    assert soup(page).select_one("link[rel=canonical]")["href"] == f"{address}{page}.html"  # type: ignore[index]
    assert f"<loc>{address}{page}.html</loc>" in (SITE / "sitemap.xml").read_text("utf-8")


def test_the_glossary_has_an_index_of_letters() -> None:
    links = article("book/glossary").select(".glossary-letters a")
    first = {
        term.get_text()[0].upper() for term in article("book/glossary").select("dl.glossary dt")
    }
    assert {link.get_text() for link in links} == first  # where each leads is tested above


@pytest.mark.parametrize("page", [notebook.page for notebook in NOTEBOOKS])
def test_terms_lead_to_the_glossary_once(page: str) -> None:
    links = article(page).select('a[href*="glossary.html#term-"]')
    assert links and all(link.get_text(strip=True) for link in links)
    assert max(Counter(link["href"] for link in links).values()) == 1


def test_an_address_without_a_page_leads_to_the_contents() -> None:
    text = (SITE / "404.html").read_text(encoding="utf-8")
    address = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["html"]["baseurl"]
    assert f'href="{address}book/introduction.html"' in text and "{{" not in text


@pytest.mark.parametrize("page", PAGES)
def test_one_header_and_one_search_field(page: str) -> None:
    header = soup(page).select_one("header.bd-header")
    assert header is None or not header.find(True)
    assert len(soup(page).select(".bd-sidebar-primary .search-button-field")) == 1


def test_search_knows_every_page() -> None:
    text = (SITE / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text[text.index("(") + 1 : text.rindex(")")])
    assert set(PAGES) <= set(index["docnames"])
    assert "autoencod" in index["terms"]
    assert soup("search").select_one("form input[type=search], form input[name=q]")


def test_results_and_timings_show_every_notebook() -> None:
    for page in ("book/results", "book/timings"):
        links = {str(tag["href"]) for tag in article(page).find_all("a", href=True)}
        for notebook in NOTEBOOKS:
            assert any(link.endswith(f"{notebook.name}.html") for link in links), notebook.name


def test_results_page_shows_the_recorded_values() -> None:
    text = article("book/results").get_text(" ")
    gaps = text.lower().count("not measured yet")
    assert gaps == sum(not notebook.runs() for notebook in notebooks())
    for notebook in notebooks():
        for run in notebook.runs():
            assert run["date"] in text
            assert run["dataset"] in text
