"""A draft as text -> a notebook: build.py TEXT OUT NOTEBOOK (whose setup cell is copied).

Cells begin with a line "%% md", "%% setup" or "%% code TAG ...". The first line of a figure's cell
may be "#| name | caption | alternative text".
"""

import copy
import json
import sys
from pathlib import Path
from typing import Any

HIDDEN = {
    "jupyter": {"source_hidden": True},
    "mystnb": {"code_prompt_hide": "Hide the solution", "code_prompt_show": "Show the solution"},
}


def cell(block: str, number: int, setup: dict[str, Any]) -> dict[str, Any]:
    """The notebook cell of one block."""
    head, _, body = block.partition("\n")
    kind, *tags = head.split()
    body = body.strip("\n")
    names = {"id": f"cell-{number:03d}"}
    if kind == "setup":
        return copy.deepcopy(setup) | names | {"outputs": [], "execution_count": None}
    if kind == "md":
        source = body.splitlines(keepends=True)
        return {"cell_type": "markdown"} | names | {"metadata": {}, "source": source}
    metadata: dict[str, Any] = {"tags": tags} if tags else {}
    if body.startswith("#| "):
        first, _, body = body.partition("\n")
        name, caption, alt = (part.strip() for part in first[3:].split("|"))
        figure = {"caption": caption, "name": name}
        metadata["mystnb"] = {"figure": figure, "image": {"alt": alt}}
    if "solution" in tags:
        metadata = HIDDEN | {"tags": tags}
    return {
        "cell_type": "code",
        "execution_count": None,
        **names,
        "metadata": metadata,
        "outputs": [],
        "source": body.strip("\n").splitlines(keepends=True),
    }


def main() -> None:
    text, out, source = map(Path, sys.argv[1:])
    base = json.loads(source.read_text("utf-8"))
    setup = next(c for c in base["cells"] if "setup" in c["metadata"].get("tags", []))
    blocks = ("\n" + text.read_text("utf-8")).split("\n%% ")[1:]
    base["cells"] = [cell(block, number, setup) for number, block in enumerate(blocks)]
    out.write_text(json.dumps(base, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"{len(blocks)} cells")


if __name__ == "__main__":
    main()
