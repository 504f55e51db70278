"""Copy the repository's address from _config.yml to where it is needed, and the setup cell.

_config.yml is the one place that is edited. The address goes into scripts/setup_cell.py,
pyproject.toml and CITATION.cff; scripts/setup_cell.py goes into every notebook's setup cell.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import notebook_files  # noqa: E402

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


def main() -> int:
    for path in [*copy_address(), *copy_setup_cell()]:
        print(f"mended {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
