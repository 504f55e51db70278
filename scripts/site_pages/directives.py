"""The directives, and what Sphinx calls to register them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from helpers.datasets import registry
from scripts import copies
from scripts.slip_catalogue import FOLDER

from . import hooks
from .contents import QUICK, notebooks
from .families import FAMILIES_RECORD, bits_text, families_text
from .finish import finish
from .reference import api_text, data_text
from .results import results_text
from .slips import slips_text
from .times import BENCH, bench_text, map_text, minutes_text


class Generated(SphinxDirective):
    """A directive whose Markdown is made from files, and remade when one of them changes."""

    has_content = True
    optional_arguments = 1

    def descriptions(self) -> dict[str, str]:
        """The lines "name: text" below the directive."""
        lines = (line.partition(":") for line in self.content if line.strip())
        return {name.strip(): text.strip() for name, _, text in lines}

    def run(self) -> list[nodes.Node]:
        read = [path for book in notebooks() for path in (book.record, book.path)]
        for path in [
            *read,
            *FOLDER.glob("*"),
            BENCH,
            QUICK,
            FAMILIES_RECORD,
            Path(registry.__file__),
        ]:
            self.env.note_dependency(str(path))
        container = nodes.Element()
        lines = StringList(TEXTS[self.name](self).splitlines(), source=self.env.docname)
        self.state.nested_parse(lines, self.content_offset, container, match_titles=True)
        return container.children


TEXTS: dict[str, Callable[[Generated], str]] = {
    "recorded-results": lambda _: results_text(),
    "recorded-minutes": lambda _: minutes_text(),
    "recorded-speed": lambda _: bench_text(),
    "recorded-families": lambda _: families_text(),
    "recorded-bits": lambda _: bits_text(),
    "recorded-slips": lambda _: slips_text(),
    "notebook-map": lambda directive: map_text(directive.descriptions()),
    "data-sets": lambda directive: data_text(embedded=directive.arguments == ["embedded"]),
    "api-of-helpers": lambda _: api_text(),
}


def own_checksum() -> str:
    """Changes with any file of this extension."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def setup(app: Any) -> dict[str, Any]:
    """Register the directives and the hooks with Sphinx."""
    app.add_config_value("site_pages_sha256", own_checksum(), "env")  # makes every page anew
    for name in TEXTS:
        app.add_directive(name, Generated)
    app.connect("autodoc-process-docstring", hooks.plain_docstring, priority=900)  # after napoleon
    app.connect("builder-inited", hooks.make_static_folder)
    app.connect("config-inited", hooks.load_mathjax_where_needed)
    app.connect("env-get-updated", hooks.number_chapters_by_folder, priority=900)  # Sphinx counted
    app.connect("source-read", hooks.fill_in_facts)
    app.connect("doctree-resolved", hooks.link_terms)
    app.connect("html-page-context", hooks.add_hub_button, priority=502)  # after the theme's
    app.connect("html-page-context", hooks.leave_thebe_out)
    app.connect("html-page-context", copies.lead_to_copies, priority=503)  # after all buttons
    app.connect("html-page-context", hooks.describe)
    app.connect("build-finished", copies.write_into_site)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
