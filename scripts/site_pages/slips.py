"""The page of slips: for each notebook its catalogue, and which check noticed each entry."""

from __future__ import annotations

from scripts import slip_catalogue
from scripts.slip_catalogue import Slip

from .contents import Notebook, notebooks
from .times import link


def slips_text() -> str:
    """A section for each notebook with a catalogue in tests/slips."""
    return "\n\n".join(
        _section(notebook)
        for notebook in notebooks()
        if slip_catalogue.path_of(notebook.path).exists()
    )


def _section(notebook: Notebook) -> str:
    noticed = slip_catalogue.read_noticed(notebook.name)
    slips = slip_catalogue.read(slip_catalogue.path_of(notebook.path))
    entries = [_entry(slip, noticed.get(slip.name)) for slip in slips]
    return "\n\n".join([f"## {notebook.title()}", f"In {link(notebook)}:", *entries])


def _entry(slip: Slip, noticed: dict[str, str] | None) -> str:
    """One slip: its name, the lines that change, what it does, what one sees, and the check."""
    change = [f"- {line}" for line in slip.found.splitlines()]
    change += [f"+ {line}" for line in slip.planted.splitlines()]
    by = f"{_code(noticed['check'])}, in “{noticed['heading']}”" if noticed else "not measured yet"
    return "\n".join(
        [
            f"**{slip.name[0].upper()}{slip.name[1:]}** ({slip.kind}). {slip.wrong}",
            "",
            "```diff",
            *change,
            "```",
            "",
            f"What one sees: {slip.sees}",
            "",
            f"Noticed by: {by}.",
        ]
    )


def _code(text: str) -> str:
    """A check as inline code; what a helper says, a sentence, as it is."""
    return text.rstrip(".") if text.endswith(".") else f"``{text}``"
