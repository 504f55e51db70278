"""Open JupyterLab on the reader's own copies of the notebooks: `make lab`.

The copies are in my_notebooks/, which git ignores. What a reader has changed there is never
overwritten; a copy that was not touched follows the book. `make lab EDIT=1` opens the sources.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from helpers.files import file_sha256, read_json, write_json  # noqa: E402

OWN = ROOT / "my_notebooks"
MADE = ".made.json"
"""In the folder of copies: the checksum of each copy as it was made."""

QUIET_LAB = (
    f"--LabApp.app_settings_dir={ROOT / 'scripts' / 'jupyterlab'}",  # no news, no pop-up about them
    "--LabApp.extension_manager=readonly",  # it would ask another host for its list
)


def refresh(source: Path, target: Path) -> list[str]:
    """Copy notebooks and their pictures to `target`; returns those kept as the reader left them.

    Only copies of notebooks of which the book has a newer version are named.
    """
    made = read_json(target / MADE) if (target / MADE).exists() else {}
    kept = []
    for path in sorted(source.rglob("*")):
        if path.suffix not in (".ipynb", ".png") or ".ipynb_checkpoints" in path.parts:
            continue
        name, copy = path.relative_to(source).as_posix(), target / path.relative_to(source)
        newest = file_sha256(path)
        if copy.exists() and file_sha256(copy) not in (newest, made.get(name)):
            if made.get(name) != newest:
                kept.append(name)
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        made[name] = newest
    write_json(target / MADE, made)
    return kept


def main() -> int:
    folder = ROOT / "notebooks"
    if os.environ.get("EDIT") == "1":
        print("Opening the book's own notebooks: what you save changes the book.")
    else:
        kept, folder = refresh(folder, OWN), OWN
        print(
            f"Opening your own copies in {OWN.name}/: they are kept, and git ignores them.\n"
            "To change the book itself, call make lab EDIT=1."
        )
        if kept:
            print(
                f"The book has a newer version of {', '.join(kept)}; yours is kept. "
                "Rename yours to get the new one beside it."
            )
    command = [sys.executable, "-m", "jupyterlab", *QUIET_LAB, str(folder), *sys.argv[1:]]
    return os.spawnv(os.P_WAIT, sys.executable, command)


if __name__ == "__main__":
    sys.exit(main())
