"""Pictures in the book's style: opaque background, colour-blind-safe colours, plain labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.files import BookError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = (
    "#0072B2",  # blue
    "#D55E00",  # vermilion
    "#009E73",  # green
    "#CC79A7",  # pink
    "#E69F00",  # orange
    "#56B4E9",  # sky
    "#000000",  # black
    "#8C6D31",  # brown
    "#7F7F7F",  # grey
    "#B8B000",  # olive, a darker form of the palette's yellow
)
"""Ten colours, the first seven by Okabe and Ito (2008), told apart with any colour vision."""


def use_style() -> None:
    """Set matplotlib's defaults for this notebook; call it once, after the imports."""
    import matplotlib as mpl
    from cycler import cycler

    mpl.rcParams.update(
        {
            "figure.facecolor": "white",  # opaque: readable on the dark page too
            "savefig.facecolor": "white",
            "figure.dpi": 96,
            "figure.figsize": (6.4, 3.6),
            "figure.constrained_layout.use": True,
            "axes.prop_cycle": cycler(color=COLOURS),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": False,
            "image.cmap": "gray",
            "font.size": 10,
            "legend.frameon": False,
        }
    )


def image_grid(
    images: Any,
    *,
    columns: int = 10,
    titles: Sequence[str] | None = None,
    row_labels: Sequence[str] | None = None,
    size: float = 0.8,
    limits: tuple[float, float] | None = (0.0, 1.0),
) -> Figure:
    """Draw images [n, height, width, channels] (channels 1 or 3) row by row; returns the figure.

    Values are in [0, 1] as floats or uint8; grey pictures use `limits` as black and white (None:
    the range of the pictures). titles: one per picture; row_labels: one per row; size: inches per
    picture. Floats outside [0, 1] are clipped. Raises BookError on NaN, on wrong shapes, and when
    the titles or labels do not go with the pictures.
    """
    import matplotlib.pyplot as plt

    images = _as_pictures(images)
    rows = -(-len(images) // columns)
    if titles is not None and len(titles) != len(images):
        raise BookError(f"{len(images)} pictures do not go with {len(titles)} titles.")
    if row_labels is not None and len(row_labels) != rows:
        raise BookError(f"{rows} rows do not go with {len(row_labels)} row labels.")
    height = size * (1.3 if titles is not None else 1.0)
    left = 1.1 if row_labels else 0.0
    figure, axes = plt.subplots(
        rows, columns, figsize=(columns * size + left, rows * height), squeeze=False
    )
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_visible(False)
    for index, image in enumerate(images):
        axis = axes.flat[index]
        if image.shape[-1] == 1:
            low, high = limits or (None, None)
            axis.imshow(image[..., 0], cmap="gray", vmin=low, vmax=high)
        else:
            axis.imshow(np.clip(image, 0, 1))
        if titles is not None:
            axis.set_title(titles[index], fontsize=8, pad=2)
    for row, label in enumerate(row_labels or []):
        axes[row, 0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    return figure


def _as_pictures(images: Any) -> np.ndarray:
    images = np.asarray(images)
    if images.dtype == np.uint8:
        images = images.astype("float32") / 255
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or len(images) == 0:
        raise BookError(f"Pictures have the shape [n, height, width, 1 or 3], not {images.shape}.")
    if not np.isfinite(images).all():
        raise BookError("Some pictures hold values that are not finite (NaN): nothing was drawn.")
    return images


def loss_curves(history: Mapping[str, Sequence[float]], *, labels: Mapping[str, str]) -> Figure:
    """Draw recorded values by epoch, one line for each key of labels (key -> words).

    Keys that the history lacks are an error, so that a curve is never missing unseen.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    missing = [key for key in labels if key not in history]
    if missing:
        raise BookError(f"The history has no {missing[0]!r}; it has {', '.join(sorted(history))}.")
    figure, axis = plt.subplots()
    for index, (key, label) in enumerate(labels.items()):
        values = history[key]
        style = "--" if key.startswith("val_") else "-"
        axis.plot(range(1, len(values) + 1), values, style, label=label, color=COLOURS[index])
    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend()
    return figure


def diagram(
    boxes: Mapping[str, tuple[float, float, str]],
    arrows: Sequence[tuple[str, ...]],
    *,
    colours: Mapping[str, int] | None = None,
    box_size: tuple[float, float] = (1.5, 0.7),
) -> Figure:
    """Draw a network or a flow of data as boxes and arrows; returns the figure.

    boxes: name -> (x, y, text), the middle of each box in inches, y upwards; a text may have
    several lines. arrows: (from, to) or (from, to, words beside it), by names. colours: name -> the
    number of a colour in COLOURS, for boxes that belong together; the others are grey.
    Raises BookError for an arrow from or to a box that is not there.
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import FancyBboxPatch

    named = {name for arrow in arrows for name in arrow[:2]} | set(colours or {})
    if unknown := sorted(named - set(boxes)):
        raise BookError(f"The diagram has no box {unknown[0]!r}; it has {', '.join(boxes)}.")
    width, height = box_size
    places = np.array([(x, y) for x, y, _ in boxes.values()])
    (left, low), (right, high) = places.min(axis=0), places.max(axis=0)
    size = (right - left + width + 0.3, high - low + height + 0.3)
    figure, axis = plt.subplots(figsize=size)
    axis.set_xlim(left - width / 2 - 0.15, right + width / 2 + 0.15)
    axis.set_ylim(low - height / 2 - 0.15, high + height / 2 + 0.15)
    axis.set_axis_off()
    patches = {}
    for name, (x, y, text) in boxes.items():
        colour = COLOURS[colours[name]] if colours and name in colours else "#7F7F7F"
        patches[name] = axis.add_patch(
            FancyBboxPatch(
                (x - width / 2, y - height / 2), width, height,
                boxstyle="round,pad=0,rounding_size=0.08",
                edgecolor=colour, facecolor=(*_rgb(colour), 0.13), linewidth=1.6,
            )
        )  # fmt: skip
        axis.text(x, y, text, ha="center", va="center", fontsize=9)
    for source, target, *words in arrows:
        start, end = boxes[source][:2], boxes[target][:2]
        axis.annotate(
            "", xy=end, xytext=start,
            arrowprops={"arrowstyle": "-|>", "color": "black", "shrinkA": 2, "shrinkB": 2,
                        "patchA": patches[source], "patchB": patches[target]},
        )  # fmt: skip
        if words:
            x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
            beside = abs(end[0] - start[0]) < abs(end[1] - start[1])  # a steep arrow: to its right
            across, up = ("left", "center") if beside else ("center", "bottom")
            x, y = x + 0.06 * beside, y + 0.04 * (not beside)
            axis.text(x, y, words[0], fontsize=8, ha=across, va=up)
    return figure


def piano_roll(
    axes: Any,
    voices: Sequence[Sequence[tuple[int, int, int]]],
    *,
    labels: Sequence[str] = (),
    bar: int = 0,
    pickup: int = 0,
    ticks_per_quarter: int = 1,
) -> None:
    """Draw notes as bars: time in quarters to the right, pitch upwards, a colour for each voice.

    voices: for each voice its notes (start, end, MIDI pitch) in ticks, as `Score.notes` gives them.
    A gap at the end of each bar keeps repeated notes apart from held ones. labels: names of voices
    for a legend. bar, pickup: ticks of a bar and of the upbeat, for lines at the bar lines.
    """
    if labels and len(labels) != len(voices):
        raise BookError(f"{len(voices)} voices do not go with {len(labels)} labels.")
    if not any(len(voice) for voice in voices) or ticks_per_quarter < 1:
        raise BookError("A piano roll needs a note, and one tick to a quarter or more.")
    last = max(end for voice in voices for _, end, _ in voice)
    gap = 0.08 * ticks_per_quarter  # of time that a bar leaves free, at most half of a short note
    for number, voice in enumerate(voices):
        starts, ends, pitches = np.array(voice, float).reshape(-1, 3).T
        widths = np.maximum(ends - starts - gap, (ends - starts) / 2)
        axes.barh(
            pitches, widths / ticks_per_quarter, left=starts / ticks_per_quarter, height=0.8,
            color=COLOURS[number % len(COLOURS)], label=labels[number] if labels else None,
        )  # fmt: skip
    if bar:
        for line in range(pickup or bar, last, bar):
            axes.axvline(line / ticks_per_quarter, color="#BBBBBB", linewidth=0.8, zorder=0)
    axes.set(xlabel="quarters", ylabel="pitch (60 is middle C)", xlim=(0, last / ticks_per_quarter))
    if labels:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _rgb(colour: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    return to_rgb(colour)
