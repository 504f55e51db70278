"""What the extension changes in pages that Sphinx and the theme make."""

from __future__ import annotations

import re
import textwrap
from html import escape, unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from docutils import nodes

from .facts import facts


def hub_link(repository: str, branch: str, page: str) -> str:
    """The query that the JupyterHub page turns into a link to the reader's own hub.

    page: a notebook's page name; "" opens the folder of all notebooks.
    """
    folder = repository.rstrip("/").rsplit("/", 1)[1]
    path = f"lab/tree/{folder}/{page}.ipynb" if page else f"lab/tree/{folder}/notebooks"
    return urlencode({"repo": repository, "branch": branch, "urlpath": path}, safe="/:")


def number_chapters_by_folder(app: Any, env: Any) -> list[str]:
    """Give each chapter, its sections and figures the number of its folder.

    Sphinx counts the chapters in the table of contents, in which some may still be missing.
    """
    for page in env.found_docs:
        folder = re.match(r"notebooks/(\d\d)_", page)
        if folder is None:
            continue
        chapter = int(folder[1])
        # headings of a notebook have no numbers of their own, its figures do
        figures = env.toc_fignumbers.get(page, {}).values()
        for table in [env.toc_secnumbers.get(page, {}), *figures]:
            table.update({name: (chapter, *number[1:]) for name, number in table.items() if number})
        titles = [env.titles[page], *env.tocs[page].findall(nodes.reference)]
        for title in titles:
            if title.get("secnumber"):
                title["secnumber"] = [chapter, *title["secnumber"][1:]]
    return []


def load_mathjax_where_needed(app: Any, config: Any) -> None:
    """Jupyter-book links every script below _static from every page; MathJax is not for all.

    Sphinx itself links it, through mathjax_path, from the pages that have formulas.
    """
    config.html_js_files = [
        name for name in config.html_js_files if not str(name).startswith("mathjax/")
    ]


def leave_thebe_out(app: Any, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Drop the scripts for running cells inside the page: they would come from another host."""
    for kind in ("script_files", "css_files"):
        context[kind] = [
            asset
            for asset in context[kind]
            if "thebe" not in f"{asset.filename} {asset.attributes.get('body', '')}".lower()
        ]


# Code in a docstring with what it touches, or a character that Sphinx would take for markup
MARKUP = re.compile(
    r"(?P<before>[\w})\]]?)(?P<ticks>`{1,2})(?P<code>[^`]+)(?P=ticks)(?=(?P<after>\w?))|[|*]|_\b"
)


def plain_docstring(
    app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Docstrings here are plain text with `code` in it: keep Sphinx from reading more into them."""

    def escaped(found: re.Match[str]) -> str:
        if not found["ticks"]:
            return "\\" + found[0]
        # "\\ " is a space that is not shown; Sphinx wants one where code touches a word or a brace
        before = found["before"] and found["before"] + "\\ "
        return f"{before}``{found['code']}``" + ("\\ " if found["after"] else "")

    lines[:] = [MARKUP.sub(escaped, line) for line in lines]


def make_static_folder(app: Any) -> None:
    """Make _static first: the theme copies the logo there even when a build fails early.

    Without the folder the logo would become a file of that name, and every later build would fail.
    """
    (Path(app.outdir) / "_static").mkdir(parents=True, exist_ok=True)


def fill_in_facts(app: Any, page: str, source: list[str]) -> None:
    """Replace {{repository}}, {{hub_query}} and the book's facts in the pages."""
    if page.startswith("book/"):
        options = app.config.html_theme_options
        repository, branch = options["repository_url"], options["repository_branch"]
        query = hub_link(repository, branch, "").replace("&", "&amp;")
        known = facts() | {
            "repository": repository,
            "hub_query": query,
            "binder": repository.replace("https://github.com/", "https://mybinder.org/v2/gh/")
            + f"/{branch}?urlpath=lab/tree/notebooks",
        }
        for name, text in known.items():
            source[0] = source[0].replace("{{" + name + "}}", text)
    if page == "book/glossary":
        source[0] = source[0].replace("{{letters}}", letters(source[0]))


def letters(glossary: str) -> str:
    """Links to the first term of each letter, for the glossary's page."""
    first: dict[str, str] = {}
    for term in re.findall(r"^([^\W_].*)\n+(?=  \S|[^\W_].*\n  \S)", glossary, re.MULTILINE):
        first.setdefault(term[0].upper(), re.sub(r"[^A-Za-z0-9]+", "-", term).strip("-"))
    links = " ".join(f'<a href="#term-{name}">{letter}</a>' for letter, name in first.items())
    return f'```{{raw}} html\n<p class="glossary-letters">{links}</p>\n```'


def link_terms(app: Any, tree: Any, page: str) -> None:
    """In chapters, lead the first mention of each term, set in italics, to the glossary."""
    if not page.startswith("notebooks/"):
        return
    objects = app.env.get_domain("std").objects
    places = {name.lower(): place for (kind, name), place in objects.items() if kind == "term"}
    for mention in list(tree.findall(nodes.emphasis)):
        words = " ".join(mention.astext().lower().split())
        # Each term once a page, in the singular or the plural
        for name in (words, words.removesuffix("s"), words + "s"):
            if name in places and not isinstance(mention.parent, nodes.reference):
                target, label = places.pop(name)
                address = app.builder.get_relative_uri(page, target) + f"#{label}"
                link = nodes.reference("", "", internal=True, refuri=address, classes=["term"])
                mention.replace_self(link)
                link += mention
                break


def add_hub_button(app: Any, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Add a JupyterHub button to notebooks: hubs differ, so it opens the page that asks for yours.

    With `jupyterhub_url` in _config.yml the theme makes the button itself.
    """
    options = app.config.html_theme_options
    buttons = next(
        (b for b in context.get("header_buttons", []) if b.get("label") == "launch-buttons"), None
    )
    if buttons is None or options["launch_buttons"].get("jupyterhub_url"):
        return
    query = hub_link(options["repository_url"], options["repository_branch"], page)
    buttons["buttons"].append(
        {
            "type": "link",
            "text": "JupyterHub",
            "tooltip": "Open on a JupyterHub of your choice",
            "icon": "_static/images/logo_jupyterhub.svg",
            "url": f"{context['pathto']('book/jupyterhub')}?{query}",
        }
    )


DESCRIPTION = 200
"""Characters of a page's first paragraph that search engines and shared links show."""


def describe(app: Any, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Say in the page's head what it is about, with a picture for links that are shared."""
    if tree is None:
        return
    title = escape(unescape(re.sub(r"<[^>]+>", "", context["title"])))
    paragraphs = (node.astext() for node in tree.findall(nodes.paragraph))
    first = next((text for text in paragraphs if len(text) > 60), context["title"])
    text = escape(textwrap.shorten(first, DESCRIPTION, placeholder=" ..."))
    address = app.config.html_baseurl.rstrip("/") + "/"
    context["metatags"] += f"""
<meta name="description" content="{text}">
<meta property="og:type" content="article">
<meta property="og:title" content="{title}">
<meta property="og:description" content="{text}">
<meta property="og:url" content="{address}{page}.html">
<meta property="og:image" content="{address}_static/social.png">
<meta property="og:image:alt" content="A cloud of noise becomes two half moons">
<meta name="twitter:card" content="summary_large_image">
"""
