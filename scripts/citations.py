"""Citations in notebooks: plain Markdown links that read the same everywhere.

Authors write {cite}`kingma2014vae` or {cite:t}`kingma2014vae`; `make lint` turns the first into
([Kingma and Welling, 2014](address)) and the second into [Kingma and Welling (2014)](address),
from book/references.bib, and checks every link that leads to one of its works.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
REFERENCES = ROOT / "book" / "references.bib"

ROLE = re.compile(r"\{cite(?P<textual>:t)?\}`(?P<keys>[^`]+)`")
LINK = re.compile(r"\[(?P<text>[^\[\]]*)\]\((?P<address>https?://[^)\s]+)\)")


@dataclass(frozen=True)
class Work:
    """One entry of references.bib."""

    key: str
    authors: str
    year: str
    address: str

    @property
    def in_brackets(self) -> str:
        """As it stands within round brackets: a link "Kingma and Welling, 2014"."""
        return f"[{self.authors}, {self.year}]({self.address})"

    @property
    def textual(self) -> str:
        """As a part of the sentence: a link "Kingma and Welling (2014)"."""
        return f"[{self.authors} ({self.year})]({self.address})"


@functools.cache
def works() -> dict[str, Work]:
    """All works of references.bib by key. An entry without an address has address ""."""
    from pybtex.database import parse_file

    entries = parse_file(str(REFERENCES)).entries
    return {
        key: Work(key, _authors(entry), entry.fields["year"], _address(entry))
        for key, entry in entries.items()
    }


def _authors(entry: Any) -> str:
    """Family names: one, two, or the first with "et al."."""
    people = entry.persons.get("author") or entry.persons.get("editor") or []
    names = [
        " ".join([*person.prelast_names, *person.last_names]).replace("{", "").replace("}", "")
        for person in people
    ]
    if len(names) > 2 or names[-1] == "others":
        return f"{names[0]} et al."
    return " and ".join(names)


def _address(entry: Any) -> str:
    """Where the work can be read: its own address, else its DOI, else its page on arXiv."""
    fields = entry.fields
    if "url" in fields:
        return str(fields["url"])
    if "doi" in fields:  # round brackets would end a Markdown link
        return f"https://doi.org/{fields['doi']}".replace("(", "%28").replace(")", "%29")
    return f"https://arxiv.org/abs/{fields['eprint']}" if "eprint" in fields else ""


def with_links(text: str) -> str:
    """`text` with every {cite} role made a link. Raises ValueError for an unknown key."""

    def link(found: re.Match[str]) -> str:
        cited = [_work(key.strip()) for key in found["keys"].split(",")]
        if found["textual"]:
            return " and ".join(work.textual for work in cited)
        return f"({'; '.join(work.in_brackets for work in cited)})"

    return ROLE.sub(link, text)


def _work(key: str) -> Work:
    work = works().get(key)
    if work is None or not work.address:
        problem = "is not in" if work is None else "has no url, doi or eprint in"
        raise ValueError(f"{key} {problem} {REFERENCES.name}")
    return work


def wrong_links(text: str) -> list[str]:
    """Links to works of references.bib whose words are not authors and year; [] if all are right.

    A link with other words, such as the title of a book's page, is left alone unless it looks like
    a citation, that is, ends in a year.
    """
    by_address: dict[str, set[str]] = {}
    for work in works().values():
        if work.address:
            right = by_address.setdefault(work.address, set())
            right |= {f"{work.authors}, {work.year}", f"{work.authors} ({work.year})"}
    problems = []
    for found in LINK.finditer(text):
        looks_like_one = re.search(r"\b(19|20)\d\d\)?$", found["text"])
        if looks_like_one and found["text"] not in by_address.get(found["address"], ()):
            problems.append(f"[{found['text']}]({found['address']})")
    return problems


def cited_keys(texts: list[str]) -> set[str]:
    """The keys of the works that these texts link to, or name in a {cite} role."""
    keys = {key.strip() for text in texts for m in ROLE.finditer(text) for key in m[2].split(",")}
    addresses = {found["address"] for text in texts for found in LINK.finditer(text)}
    return keys | {work.key for work in works().values() if work.address in addresses}
