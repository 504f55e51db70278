"""A plugin for pytest: nbval compares figures, too, and not only text.

Figures are never equal bit by bit on two machines, so patches of both are compared: a figure is
another one if the mean colour of any patch has moved by more than TOLERANCE. Lines that lie
elsewhere, exchanged axes, pictures of another model are seen; rounding is not, and two short words
that change places may not be. As for text, the tag `nbval-ignore-output` leaves a cell out, and the
tag `nbval-ignore-figure` its figure only: for figures of what a short training or a long random
chain has become.
"""

from __future__ import annotations

import base64
import io
import os
from typing import Any

import numpy as np
from nbval.plugin import IPyNbCell
from PIL import Image

from scripts.execute import small_png

PATCH = 16
"""Side of a patch, in pixels."""
TOLERANCE = 20.0
"""Grey levels (of 255) by which a patch's mean colour may move. Over three arithmetics 11 was the
most, in a histogram; planted mistakes moved 34 to 116."""


def patches(content: bytes) -> np.ndarray:
    """The mean colours of a picture's patches on a white ground: [rows, columns, 3]."""
    picture = Image.open(io.BytesIO(content)).convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    columns, rows = (max(1, round(side / PATCH)) for side in flat.size)
    return np.asarray(flat.resize((columns, rows), Image.Resampling.BOX), dtype=float)


def difference(one: bytes, other: bytes) -> float:
    """By how much the most different patches of two pictures differ, in grey levels of 255."""
    first, second = patches(one), patches(other)
    if first.shape != second.shape:
        return 255.0
    return float(np.abs(first - second).mean(axis=-1).max())


def figures(outputs: list[Any]) -> list[bytes]:
    """The PNG files among a cell's outputs, with the palette that committed ones have."""
    encoded = [output.get("data", {}).get("image/png") for output in outputs]
    return [base64.b64decode(small_png(text)) for text in encoded if text]


def moved(ran: list[Any], committed: list[Any]) -> list[float]:
    """The difference of each figure from the committed one; of unequal numbers of figures, 255."""
    new, old = figures(ran), figures(committed)
    if len(new) != len(old):
        return [255.0]
    return [difference(one, other) for one, other in zip(new, old, strict=True)]


text_compared = IPyNbCell.compare_outputs


def compare_outputs(self: Any, test: list[Any], ref: list[Any], skip_compare: Any = None) -> bool:
    """As nbval's own, and then the figures."""
    same = bool(text_compared(self, test, ref, skip_compare))
    differences = moved(test, ref)
    if differences and os.environ.get("GENBOOK_FIGURE_LOG"):  # to see how much TOLERANCE leaves
        with open(os.environ["GENBOOK_FIGURE_LOG"], "a", encoding="utf-8") as log:
            log.write(f"{max(differences):.2f} {self.parent.name} {self.cell_num}\n")
    if "nbval-ignore-figure" in self.cell.metadata.get("tags", []):
        return same
    for number, value in enumerate(differences, 1):
        if value > TOLERANCE:
            self.comparison_traceback.append(
                f"figure {number} of the cell is another one: a patch differs by {value:.0f} grey"
                f" levels, {TOLERANCE:.0f} are allowed"
            )
            same = False
    return same


IPyNbCell.compare_outputs = compare_outputs
