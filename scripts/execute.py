"""Run notebooks from top to bottom, and write them so that diffs and nbval stay quiet.

usage: execute.py [NOTEBOOK ...]                        under quick, in place (all by default)
       execute.py --budget cpu [--dataset NAME] [--seed N] NOTEBOOK
                                                         in full; weights and results are released

A full run leaves the notebook as it is; the executed copy goes to _build/train.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from helpers.files import DATA, atomic_path, read_json, write_json  # noqa: E402
from scripts import out_of_date, prose_numbers  # noqa: E402
from scripts.notebook_files import ONE_THREAD, all_notebooks, read, tags, write  # noqa: E402

LARGE_PICTURE = 60_000
"""Figures of more bytes than this get a palette."""

QUICK_SECONDS = DATA / "results" / "quick_seconds.json"


class TalkingClient(NotebookClient):
    """A notebook client that also prints what the cells print, as they print it."""

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        if msg["msg_type"] == "stream":
            print(msg["content"]["text"], end="", flush=True)
        return super().process_message(msg, cell, cell_index)


def normalise(notebook: Any) -> None:
    """Drop what changes from run to run without meaning: times, widget state, versions."""
    for name in list(notebook.metadata):
        if name != "kernelspec":
            del notebook.metadata[name]
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    notebook.metadata["language_info"] = {"name": "python"}
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{index:03d}"
        for name in ("execution", "collapsed", "scrolled", "lines_to_next_cell"):
            cell.metadata.pop(name, None)
        if cell.cell_type == "code":
            cell.outputs = merged(cell.outputs)
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    output["data"]["image/png"] = small_png(output["data"]["image/png"])


def merged(outputs: list[Any]) -> list[Any]:
    """Join neighbouring pieces of the same stream: how a stream is cut depends on timing."""
    result: list[Any] = []
    for output in outputs:
        previous = result[-1] if result else None
        if (
            previous is not None
            and output.output_type == previous.output_type == "stream"
            and output.name == previous.name
        ):
            previous.text += output.text
        else:
            result.append(output)
    return result


def small_png(encoded: str) -> str:
    """A large figure with a palette of 256 colours: a third of the size, hardly a difference."""
    from PIL import Image

    content = base64.b64decode(encoded)
    picture = Image.open(io.BytesIO(content))
    if len(content) < LARGE_PICTURE or picture.mode == "P":
        return encoded
    smaller = io.BytesIO()
    flat = Image.alpha_composite(
        Image.new("RGBA", picture.size, "white"), picture.convert("RGBA")
    ).convert("RGB")
    flat.quantize(256, dither=Image.Dither.NONE).save(smaller, "PNG", optimize=True)
    return base64.b64encode(smaller.getvalue()).decode()


def execute(path: Path, target: Path) -> float:
    """Run one notebook in its own folder, write the result to target; returns seconds."""
    notebook = read(path)
    client = TalkingClient(
        notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    )
    started = time.monotonic()
    try:
        client.execute()
    finally:
        normalise(notebook)
        if target != path:  # a failed full run can be looked at; a failed quick one changes nothing
            write(notebook, target)
    values = prose_numbers.quoted(notebook)
    prose_numbers.fill_notebook(notebook, values)
    write(notebook, target)
    if target == path:
        write_cover(notebook, path)
        prose_numbers.main()  # pages and other notebooks may quote the same numbers
    return time.monotonic() - started


def write_cover(notebook: Any, path: Path) -> None:
    """Keep the figure of the cell tagged `cover` as images/<name>.png beside the notebook."""
    picture = cover(notebook)
    target = path.parent / "images" / f"{path.stem}.png"
    if picture is None or (target.exists() and target.read_bytes() == picture):
        return
    with atomic_path(target) as temporary:
        temporary.write_bytes(picture)


def cover(notebook: Any) -> bytes | None:
    """The PNG file that the cell tagged `cover` shows; None without such a cell."""
    for cell in notebook.cells:
        if "cover" not in tags(cell):
            continue
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                return base64.b64decode(output.data["image/png"])
    return None


def record_seconds(name: str, seconds: float) -> None:
    """Keep how long a notebook took under quick, unless it is about what is known already."""
    known = read_json(QUICK_SECONDS)["seconds"] if QUICK_SECONDS.exists() else {}
    if name in known and abs(seconds - known[name]) < 0.25 * known[name]:
        return
    write_json(QUICK_SECONDS, {"seconds": dict(sorted({**known, name: round(seconds)}.items()))})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--budget", default="quick", choices=["quick", "cpu", "gpu"])
    parser.add_argument("--dataset", default="")
    parser.add_argument("--seed", default="0")
    options = parser.parse_args()
    full = options.budget != "quick"
    if full and not options.notebooks:
        parser.error("name the notebook to train, e.g. notebooks/03_autoencoders/vae.ipynb")
    os.environ |= {
        "GENBOOK_BUDGET": options.budget,
        "GENBOOK_LOG": "plain",
        "GENBOOK_RELEASE": "1" if full else "0",
        "GENBOOK_DATASET": options.dataset,
        "GENBOOK_SEED": options.seed,
    }
    if not full:
        os.environ |= ONE_THREAD
    for path in options.notebooks or all_notebooks():
        copy = ROOT / "_build/train" / f"{path.stem}-{options.dataset}-{options.seed}.ipynb"
        print(f"== {path} ({options.budget})", flush=True)
        if full:  # goes into the record, so that it is known when the run is out of date
            os.environ["GENBOOK_DEPENDS_ON"] = json.dumps(out_of_date.depends_on(path))
        try:
            seconds = execute(path, copy if full else path)
        except CellExecutionError as error:
            print(f"{path} failed:\n{error}")
            return 1
        print(f"== {path}: {seconds:.0f} s", flush=True)
        if not full:
            record_seconds(path.stem, seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
