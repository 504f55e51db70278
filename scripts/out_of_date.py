"""What a full run depends on, and which recorded runs are out of date.

usage: out_of_date.py              a line for each run that has to be repeated, and why
       out_of_date.py --accept     takes every recorded run to be of today's state; for changes that
                                   cannot alter a result, such as another name for a variable
       out_of_date.py --json NAME  what a run of this notebook depends on, as JSON

A run depends on four things, and each has a fingerprint in its record: *code*, the cells tagged
imports, model and training; *settings*, those tagged settings; *data*, the embedded data sets that
the code names; *weights*, the released weights of other notebooks that it loads. Comments, layout
and prose may change. `helpers` and installed packages are not looked at, and neither are cells that
only measure or draw: nbval notices when these disagree with the record.
"""

from __future__ import annotations

import ast
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from helpers.datasets.registry import REGISTRY  # noqa: E402
from helpers.files import DATA, file_sha256, read_json, write_json  # noqa: E402
from helpers.fingerprints import of_text  # noqa: E402
from scripts import notebook_files  # noqa: E402


@dataclass(frozen=True)
class Run:
    """One full run: of which notebook, on which data ("" for its own choice), with which seed."""

    notebook: str
    dataset: str
    seed: int
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.notebook}, {self.dataset or 'its own data'}, seed {self.seed}"


def depends_on(path: Path) -> dict[str, Any]:
    """The fingerprints of what a full run of this notebook depends on, by kind."""
    notebook = notebook_files.read(path)
    code = notebook_files.code_tagged(notebook, "imports", "model", "training")
    settings = notebook_files.code_tagged(notebook, "settings")
    words = _texts([*code, *settings])
    return {
        "code": _fingerprint(code),
        "settings": _fingerprint(settings),
        "data": {
            entry.name: _of_folder(DATA / entry.name)
            for entry in REGISTRY.values()
            if entry.embedded and entry.name in words and (DATA / entry.name).is_dir()
        },
        "weights": {name: _of_weights(name) for name in uses_weights_of(path)},
    }


def uses_weights_of(path: Path) -> list[str]:
    """The other notebooks whose released weights this one loads, by their names."""
    known = {each.stem for each in notebook_files.all_notebooks()} - {path.stem}
    code = [cell.source for cell in notebook_files.read(path).cells if cell.cell_type == "code"]
    return sorted({word.partition("/")[0] for word in _texts(code) if "/" in word} & known)


def runs_to_repeat(path: Path, budget: str = "cpu") -> list[Run]:
    """The recorded runs of a notebook that are out of date, with the reasons."""
    now, found = depends_on(path), []
    runs = [run for run in recorded(path.stem) if run["budget"] == budget]
    if not runs and now["code"] != _fingerprint([]):
        return [Run(path.stem, "", 0, ("never run",))]
    for run in runs:
        reasons = differences(run.get("depends_on"), now)
        if reasons:
            found.append(Run(path.stem, run["dataset"], run["seed"], tuple(reasons)))
    return found


def differences(before: dict[str, Any] | None, now: dict[str, Any]) -> list[str]:
    """What has changed since a run, in words; nothing if the run is up to date."""
    if before is None:
        return ["not known what it was made from"]
    changed = [kind for kind in ("code", "settings") if before[kind] != now[kind]]
    for kind in ("data", "weights"):
        names = sorted(before[kind].keys() | now[kind].keys())
        changed += [f"{kind} of {n}" for n in names if before[kind].get(n) != now[kind].get(n)]
    return changed


def recorded(name: str) -> list[dict[str, Any]]:
    """The recorded runs of a notebook."""
    path = DATA / "results" / f"{name}.json"
    return read_json(path)["runs"] if path.exists() else []


def accept(path: Path) -> None:
    """Write today's fingerprints into every recorded run of a notebook."""
    runs = recorded(path.stem)
    if runs:
        now = depends_on(path)
        runs = [run | {"depends_on": now} for run in runs]
        write_json(DATA / "results" / f"{path.stem}.json", {"notebook": path.stem, "runs": runs})


def _fingerprint(cells: list[str]) -> str:
    """Twelve digits for what cells do: comments and layout do not count."""
    return of_text("\n".join(_structure(ast.parse(cell)) for cell in cells))


def _structure(node: Any) -> str:
    """The syntax tree without empty fields, of which newer versions of Python have more."""
    if isinstance(node, list):
        return "[" + ", ".join(map(_structure, node)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [(name, value) for name, value in ast.iter_fields(node) if value not in (None, [])]
    inner = ", ".join(f"{name}={_structure(value)}" for name, value in fields)
    return f"{type(node).__name__}({inner})"


def _texts(cells: list[str]) -> set[str]:
    """All texts in the code, also the fixed beginnings of f-strings."""
    nodes = (node for cell in cells for node in ast.walk(ast.parse(cell)))
    return {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def _of_folder(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return of_text("\n".join(f"{path.name} {file_sha256(path)}" for path in files))


def _of_weights(name: str) -> str:
    """Twelve digits for all released weights of a notebook, by the checksums on their cards."""
    cards = sorted((DATA / "weights" / name).glob("*.json"))
    return of_text("\n".join(f"{card.stem} {read_json(card)['sha256']}" for card in cards))


def main() -> int:
    options = sys.argv[1:]
    paths = notebook_files.all_notebooks()
    if options[:1] == ["--json"]:
        (path,) = (path for path in paths if path.stem == options[1])
        print(json.dumps(depends_on(path)))
        return 0
    if options == ["--accept"]:
        for path in paths:
            accept(path)
        return 0
    for path in paths:
        for run in runs_to_repeat(path):
            print(f"{run}: {', '.join(run.reasons)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
