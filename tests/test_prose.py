"""Citations and numbers in prose: made by scripts, and right."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest

from scripts import citations, prose_numbers

KINGMA = "https://arxiv.org/abs/1312.6114"


def test_citations_become_links() -> None:
    assert citations.with_links("a VAE {cite}`kingma2014vae`.") == (
        f"a VAE ([Kingma and Welling, 2014]({KINGMA}))."
    )
    assert citations.with_links("{cite:t}`kingma2014vae` say") == (
        f"[Kingma and Welling (2014)]({KINGMA}) say"
    )
    two = citations.with_links("{cite}`kingma2014vae,rezende2014stochastic`")
    assert two.startswith("([Kingma and Welling, 2014](") and "; [Rezende et al., 2014](" in two


@pytest.mark.parametrize(
    ("key", "problem"), [("nobody1900", "is not in"), ("hastie2009elements", "no url")]
)
def test_unknown_works_are_refused(key: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        citations.with_links(f"{{cite}}`{key}`")


def test_wrong_links_are_found() -> None:
    right = citations.with_links("{cite}`kingma2014vae` {cite:t}`hornik1989multilayer`")
    assert citations.wrong_links(right) == []
    for wrong in ("[Kingma, 2014]", "[Kingma and Welling, 2013]", "[Kingma and Welling (2013)]"):
        assert citations.wrong_links(f"{wrong}({KINGMA})") == [f"{wrong}({KINGMA})"]
    assert citations.wrong_links("[the licence](https://creativecommons.org/licenses)") == []
    assert citations.wrong_links("[Somebody, 1999](https://example.org)") != []


def test_cited_works_are_known_by_their_address() -> None:
    text = citations.with_links("{cite}`kingma2014vae`")
    assert citations.cited_keys([text, "{cite:t}`xiao2017fashion`"]) == {
        "kingma2014vae",
        "xiao2017fashion",
    }


def notebook(prose: str, html: str) -> Any:
    output = {"data": {"text/html": html, "text/plain": ""}}
    code = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", **output)])
    return nbformat.v4.new_notebook(cells=[code, nbformat.v4.new_markdown_cell(prose)])


def test_numbers_are_filled_and_compared() -> None:
    book = notebook("the floor is <!--vae-floor-->about 1<!--/--> nats", "<!--vae-floor: 190-->")
    values = prose_numbers.quoted(book)
    assert values == {"vae-floor": "190"}
    before = book.cells[1].source
    assert prose_numbers.problems(before, values) == [
        "vae-floor stands as 'about 1', measured is '190'"
    ]
    after = prose_numbers.filled(before, values)
    assert after == "the floor is <!--vae-floor-->190<!--/--> nats"
    assert prose_numbers.problems(after, values) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x <!--vae-other-->1<!--/-->", "nothing quotes"),
        ("<!--vae-floor-->190<!--/--> nats", "begins with a marker"),
        ("x <!--vae-floor-->190 nats", "without its partner"),
        ("x 190<!--/--> nats", "without its partner"),
    ],
)
def test_problems_with_marks_are_named(text: str, problem: str) -> None:
    (found,) = prose_numbers.problems(text, {"vae-floor": "190"})
    assert problem in found
