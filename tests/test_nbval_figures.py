"""scripts/nbval_figures.py: figures that nbval takes for others, and those that it does not."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import numpy as np
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from scripts import check_notebooks, nbval_figures
from scripts.execute import small_png

X = np.linspace(0, 6, 50)
PICTURE = np.add.outer(np.arange(10), 3 * np.arange(10) ** 1.5)


def drawn(draw: Callable[[Any], Any], size: tuple[float, float] = (5, 3)) -> bytes:
    """What a figure's PNG file holds."""
    figure, axes = plt.subplots(figsize=size)
    draw(axes)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    plt.close(figure)
    return file.getvalue()


def lines(axes: Any) -> None:
    axes.plot(X, np.sin(X), label="real")
    axes.plot(X, np.cos(X), label="fake")
    axes.legend()


def test_the_same_figure_does_not_differ() -> None:
    assert nbval_figures.difference(drawn(lines), drawn(lines)) == 0


def test_rounding_is_no_difference() -> None:
    def rounded(axes: Any) -> None:
        axes.plot(X, np.sin(X) + 1e-3, label="real")
        axes.plot(X, np.cos(X) - 1e-3, label="fake")
        axes.legend()

    assert nbval_figures.difference(drawn(lines), drawn(rounded)) < nbval_figures.TOLERANCE


def test_a_palette_is_no_difference() -> None:
    noise = np.random.default_rng(0).uniform(size=(300, 300, 3))
    large = drawn(lambda axes: axes.imshow(noise))
    small = base64.b64decode(small_png(base64.b64encode(large).decode()))
    assert Image.open(io.BytesIO(small)).mode == "P"
    assert nbval_figures.difference(large, small) < nbval_figures.TOLERANCE


def exchanged_lines(axes: Any) -> None:
    axes.plot(X, np.cos(X), label="real")
    axes.plot(X, np.sin(X), label="fake")
    axes.legend()


def test_exchanged_lines_are_seen() -> None:
    assert nbval_figures.difference(drawn(lines), drawn(exchanged_lines)) > nbval_figures.TOLERANCE


def test_a_transposed_picture_is_seen() -> None:
    first, second = (drawn(lambda axes, p=p: axes.imshow(p)) for p in (PICTURE, PICTURE.T))
    assert nbval_figures.difference(first, second) > nbval_figures.TOLERANCE


def test_another_size_is_another_figure() -> None:
    assert nbval_figures.difference(drawn(lines), drawn(lines, (5, 6))) == 255


def shown(content: bytes) -> Any:
    return new_output("display_data", data={"image/png": base64.b64encode(content).decode()})


def test_a_missing_figure_is_seen() -> None:
    assert nbval_figures.moved([], [shown(drawn(lines))]) == [255]
    assert nbval_figures.moved([], []) == []


def test_nbval_fails_on_another_figure(tmp_path: Path) -> None:
    """Cell 1 draws what was committed, 2 and 3 something else, of which 3 may."""
    draw = (
        "import matplotlib.pyplot as plt\nplt.subplots(figsize=(2, 2))\nplt.imshow({})\nplt.show()"
    )
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    inline = new_code_cell("%matplotlib inline\nx = 1", execution_count=1)
    cells = [inline] + [new_code_cell(draw.format("[[0, 1], [2, 3]]")) for _ in range(3)]
    notebook = new_notebook(cells=cells, metadata={"kernelspec": kernel})
    from nbclient import NotebookClient

    NotebookClient(notebook).execute()
    for cell in notebook.cells[2:]:
        cell.source = draw.format("[[0, 2], [1, 3]]")
    notebook.cells[3].metadata["tags"] = ["nbval-ignore-figure"]
    path = tmp_path / "made_up.ipynb"
    nbformat.write(notebook, path)
    status, failing = check_notebooks.run("committed", [path])
    assert status != 0 and [name.split(": ")[1] for name in failing] == ["2"]
