"""Keep true what stands in more than one place: addresses, setup cells, citations, numbers.

_config.yml is the one place where the repository's address is edited. It goes into
scripts/setup_cell.py, pyproject.toml and CITATION.cff; scripts/setup_cell.py goes into every
notebook's setup cell. Citations become links (scripts/citations.py), and numbers in prose get
their measured values (scripts/prose_numbers.py).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import citations, notebook_files, prose_numbers  # noqa: E402
from scripts.site_pages import facts  # noqa: E402

# Files and the text around the address in each
PLACES = {
    "scripts/setup_cell.py": r'("GENBOOK_REPOSITORY", ")[^"]*(")',
    "pyproject.toml": r'(\nHomepage = ")[^"]*(")',
    "CITATION.cff": r'(\nrepository-code: ")[^"]*(")',
}


def repository_address() -> str:
    """The address that _config.yml names."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    return str(settings["repository"]["url"])


def with_address(text: str, pattern: str, address: str) -> str:
    """`text` with the address in its one place; an error if there is not exactly one."""
    result, count = re.subn(pattern, rf"\g<1>{address}\g<2>", text)
    if count != 1:
        raise SystemExit(f"{count} places for the repository's address instead of one: {pattern}")
    return result


def setup_code() -> str:
    """What every notebook's setup cell holds."""
    return (ROOT / "scripts" / "setup_cell.py").read_text(encoding="utf-8").rstrip("\n")


def copy_address() -> list[Path]:
    """Write the address into the files of PLACES; returns those that changed."""
    address, changed = repository_address(), []
    for name, pattern in PLACES.items():
        path = ROOT / name
        before = path.read_text(encoding="utf-8")
        after = with_address(before, pattern, address)
        if after != before:
            path.write_text(after, encoding="utf-8")
            changed.append(path)
    return changed


def copy_setup_cell() -> list[Path]:
    """Write the setup cell into every notebook; returns those that changed."""
    code, changed = setup_code(), []
    for path in notebook_files.all_notebooks():
        notebook = notebook_files.read(path)
        cells = [cell for cell in notebook.cells if "setup" in notebook_files.tags(cell)]
        if len(cells) != 1:
            raise SystemExit(f"{path.name} has {len(cells)} cells with the tag setup, not one.")
        if cells[0].source != code:
            cells[0].source = code
            notebook_files.write(notebook, path)
            changed.append(path)
    return changed


def link_citations() -> list[Path]:
    """Turn the {cite} roles in notebooks into links; returns the notebooks that changed."""
    changed = []
    for path in notebook_files.all_notebooks():
        notebook = notebook_files.read(path)
        cells = [cell for cell in notebook.cells if citations.ROLE.search(cell.source)]
        for cell in cells:
            if cell.cell_type == "markdown":
                cell.source = citations.with_links(cell.source)
        if cells:
            notebook_files.write(notebook, path)
            changed.append(path)
    return changed


def wrong_citations() -> list[str]:
    """Links in notebooks that look like a citation, but are not one of references.bib."""
    return [
        f"{path.name}: {problem} is not a work of references.bib, written as {{cite}} would"
        for path in notebook_files.all_notebooks()
        for cell in notebook_files.read(path).cells
        if cell.cell_type == "markdown"
        for problem in citations.wrong_links(cell.source)
    ]


def main() -> int:
    for path in [*copy_address(), *copy_setup_cell(), *link_citations()]:
        print(f"mended {path.relative_to(ROOT)}")
    prose_numbers.main()
    if facts.mend_readme():
        print("mended README.md")
    problems = wrong_citations()
    print(*problems, sep="\n", end="\n" if problems else "")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
