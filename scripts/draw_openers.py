"""Draw the pictures that open the book and its chapters, as SVG below _static and notebooks.

They explain ideas and show no results; the notebooks draw what is measured. Seeds are fixed and
text becomes outlines, so that the files are the same wherever they are drawn.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from scipy.ndimage import gaussian_filter
from sklearn.datasets import make_moons

ROOT = Path(__file__).resolve().parent.parent
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#6b7680"


def noise_to_moons() -> Any:
    """Dots carried along straight lines from noise to the two half moons."""
    rng = np.random.default_rng(3)
    moons, label = make_moons(180, noise=0.05, random_state=3)
    moons = (moons - moons.mean(axis=0)) / moons.std(axis=0)
    noise = rng.normal(size=moons.shape)
    # carry each dot to a moon point on its own side, so that the lines cross little
    order = np.lexsort((moons[:, 1], moons[:, 0]))
    start = noise[np.argsort(noise[:, 0])]
    moons, label = moons[order], label[order]
    figure, axes = plt.subplots(1, 6, figsize=(10.2, 1.95), layout="constrained")
    for axis, t in zip(axes, np.linspace(0, 1, 6), strict=True):
        points = (1 - t) * start + t * moons
        axis.scatter(*points.T, s=7, c=np.where(label, ORANGE, BLUE), alpha=0.8, linewidths=0)
        axis.set(xlim=(-2.9, 2.9), ylim=(-2.9, 2.9), xticks=[], yticks=[], aspect="equal")
        for side in axis.spines.values():
            side.set_color("#c4ccd2")
    return figure


def three_models() -> Any:
    """The same points under a box, a Gaussian and a mixture of three, and new points from each."""
    rng = np.random.default_rng(8)
    means = np.array([[-1.6, -0.9], [0.4, 1.3], [1.9, -0.8]])
    spreads = np.array([[[0.30, 0.10], [0.10, 0.16]], [[0.24, -0.12], [-0.12, 0.20]],
                        [[0.12, 0.02], [0.02, 0.30]]])  # fmt: skip
    part = rng.integers(3, size=240)
    draw = np.array([rng.multivariate_normal(means[k], spreads[k]) for k in part])
    low, high = draw.min(axis=0), draw.max(axis=0)
    mean, spread = draw.mean(axis=0), np.cov(draw.T)
    again = rng.integers(3, size=240)
    samples = {
        "a box": rng.uniform(low, high, size=(240, 2)),
        "one Gaussian": rng.multivariate_normal(mean, spread, size=240),
        "a mixture of three": np.array(
            [rng.multivariate_normal(means[k], spreads[k]) for k in again]
        ),
    }
    figure, axes = plt.subplots(1, 4, figsize=(10.2, 2.9), layout="constrained")
    axes[0].scatter(*draw.T, s=7, color=BLUE, linewidths=0)
    axes[0].set_title("data", fontsize=11)
    for axis, (name, points) in zip(axes[1:], samples.items(), strict=True):
        axis.scatter(*points.T, s=7, color=ORANGE, linewidths=0)
        axis.set_title(f"from {name}", fontsize=11)
    angle = np.linspace(0, 2 * np.pi, 100)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    axes[1].add_patch(Rectangle(low, *(high - low), fill=False, color=GREY, linewidth=1.2))
    for centre, cov, axis in [(mean, spread, axes[2])] + [
        (m, s, axes[3]) for m, s in zip(means, spreads, strict=True)
    ]:
        for radius in (1, 2):
            ring = centre[:, None] + radius * np.linalg.cholesky(cov) @ circle
            axis.plot(*ring, color=GREY, linewidth=1.1)
    for axis in axes:
        axis.set(xlim=(-4.2, 4.2), ylim=(-3.4, 3.8), xticks=[], yticks=[], aspect="equal")
    return figure


def arrow(axis: Any, start: float, end: float, text: str = "") -> None:
    """An arrow along the middle line, with words above it."""
    axis.add_patch(
        FancyArrowPatch((start, 0), (end, 0), arrowstyle="-|>", mutation_scale=13, color=GREY)
    )
    axis.text((start + end) / 2, 0.22, text, ha="center", fontsize=9.5, color=GREY)


def shirt() -> np.ndarray:
    """A 28x28 drawing of a T-shirt, by rules: a body, two sleeves, a neck."""
    picture = np.zeros((14, 14))
    picture[2:13, 4:10] = 0.75
    for row in range(2, 7):
        reach = min(4, row)
        picture[row, max(0, 4 - reach) : 4] = 0.55
        picture[row, 10 : min(14, 10 + reach)] = 0.55
    picture[2:4, 6:8] = 0
    picture[8, 4:10] = 0.95
    return np.kron(picture, np.ones((2, 2)))


def trousers() -> np.ndarray:
    """A 28x28 drawing of trousers, by rules: a waist and two legs."""
    picture = np.zeros((14, 14))
    picture[1:5, 4:10] = 0.75
    picture[5:13, 4:6] = picture[5:13, 8:10] = 0.75
    return np.kron(picture, np.ones((2, 2)))


def stage(width: float) -> tuple[Any, Any]:
    """An empty drawing plane, `width` units wide."""
    figure, axis = plt.subplots(figsize=(10.2, 3.1), layout="constrained")
    axis.set(xlim=(0, width), ylim=(-3.1, 2.7), aspect="equal")
    axis.axis("off")
    return figure, axis


def network() -> Any:
    """A picture becomes maps that shrink and multiply, then ten probabilities."""
    figure, axis = stage(21)
    axis.imshow(shirt(), cmap="gray_r", extent=(0.3, 4.3, -2, 2), zorder=2)
    axis.text(2.3, -2.35, "picture\n28 × 28 × 1", ha="center", va="top", fontsize=10)
    arrow(axis, 4.5, 6.0, "filters")
    for i in range(4):
        axis.add_patch(Rectangle((6.2 + 0.28 * i, -1.4 - 0.18 + 0.12 * i), 2.6, 2.8,
                                 facecolor="#d9ebf6", edgecolor=BLUE, zorder=2 + i))  # fmt: skip
    axis.text(7.9, -2.35, "edges and corners\n14 × 14 × 32", ha="center", va="top", fontsize=10)
    arrow(axis, 9.9, 11.3, "filters")
    for i in range(7):
        axis.add_patch(Rectangle((11.5 + 0.22 * i, -0.75 - 0.25 + 0.1 * i), 1.4, 1.5,
                                 facecolor="#d5efe6", edgecolor=GREEN, zorder=2 + i))  # fmt: skip
    axis.text(12.9, -2.35, "collars and sleeves\n7 × 7 × 64", ha="center", va="top", fontsize=10)
    arrow(axis, 14.6, 16.0, "sums")
    chances = np.array([0.72, 0.01, 0.04, 0.03, 0.02, 0.01, 0.14, 0.01, 0.01, 0.01])
    for i, chance in enumerate(chances):
        axis.add_patch(Rectangle((16.4, 1.7 - 0.38 * i), 0.08 + 3.2 * chance, 0.27, color=ORANGE))
    axis.text(17.8, -2.35, "ten probabilities\nT-shirt, trouser, ...", ha="center", va="top",
              fontsize=10)  # fmt: skip
    return figure


def autoencoder() -> Any:
    """A picture squeezed into two numbers, a point on a plane, and drawn again from them."""
    figure, axis = stage(21)
    axis.imshow(shirt(), cmap="gray_r", extent=(0.2, 3.8, -1.8, 1.8), zorder=2)
    axis.text(2.0, -2.35, "784 numbers", ha="center", va="top", fontsize=10)
    encoder = np.array([[4.3, -1.8], [7.4, -0.45], [7.4, 0.45], [4.3, 1.8]])
    axis.fill(*encoder.T, facecolor="#d9ebf6", edgecolor=BLUE)
    axis.text(5.75, 0, "encoder", ha="center", va="center", fontsize=11, color=BLUE)
    rng = np.random.default_rng(1)
    axis.add_patch(Rectangle((8.4, -1.8), 4.2, 3.6, facecolor="white", edgecolor="#c4ccd2"))
    for centre, colour in [((9.5, 0.8), BLUE), ((11.4, 0.9), GREEN), ((10.9, -0.9), ORANGE)]:
        axis.scatter(*(rng.normal(size=(45, 2)) * 0.3 + centre).T, s=6, color=colour, linewidths=0)
    axis.scatter([9.5], [0.8], s=90, marker="o", facecolor="white", edgecolor="black", zorder=4)
    axis.text(10.5, -2.35, "the code: a point on a plane", ha="center", va="top", fontsize=10)
    decoder = np.array([[13.6, -0.45], [16.7, -1.8], [16.7, 1.8], [13.6, 0.45]])
    axis.fill(*decoder.T, facecolor="#fbe3d5", edgecolor=ORANGE)
    axis.text(15.2, 0, "decoder", ha="center", va="center", fontsize=11, color=ORANGE)
    soft = gaussian_filter(shirt(), 1.2)
    axis.imshow(soft, cmap="gray_r", vmin=0, vmax=0.95, extent=(17.2, 20.8, -1.8, 1.8), zorder=2)
    axis.text(19.0, -2.35, "784 numbers again", ha="center", va="top", fontsize=10)
    return figure


def sheet(width: float, height: float) -> tuple[Any, Any]:
    """An empty drawing plane with its origin at the lower left, on narrower paper: larger words."""
    figure, axis = plt.subplots(figsize=(7.6, 7.6 * height / width), layout="constrained")
    axis.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    axis.axis("off")
    return figure, axis


def framed(axis: Any, values: np.ndarray, place: tuple[float, float, float], colour: str) -> None:
    """A picture of values from 0, white, to 1, black, at (left, low, side)."""
    left, low, side = place
    extent = (left, left + side, low, low + side)
    axis.imshow(values, cmap="gray_r", vmin=0, vmax=1, extent=extent, zorder=2)
    axis.add_patch(Rectangle((left, low), side, side, fill=False, color=colour, zorder=2))


def pointer(axis: Any, start: Any, end: Any, colour: str = GREY, **style: Any) -> None:
    """An arrow from one place to another."""
    style = {"arrowstyle": "-|>", "mutation_scale": 14, "linewidth": 1.4} | style
    axis.add_patch(FancyArrowPatch(start, end, color=colour, **style))


def pieces() -> Any:
    """A word and a picture, each half finished, and the chances of the piece that comes next."""
    figure, axis = sheet(15.2, 9.3)
    text, side = "a white shi", 0.82
    for i, letter in enumerate(text + "?"):
        left, last = 0.1 + side * i, i == len(text)
        box = {"facecolor": "#fbe3d5", "edgecolor": ORANGE} if last else {
            "facecolor": "#d9ebf6", "edgecolor": BLUE}  # fmt: skip
        axis.add_patch(Rectangle((left, 7.1), side, 1.0, zorder=3 if last else 2, **box))
        axis.text(left + side / 2, 7.57, letter, ha="center", va="center", fontsize=14,
                  color=ORANGE if last else "black", zorder=4)  # fmt: skip
    axis.text(5.0, 6.85, "letters so far", ha="center", va="top", fontsize=12, color=BLUE)
    pointer(axis, (10.1, 7.6), (11.2, 7.6))
    for i, (letter, chance) in enumerate([("r", 0.5), ("p", 0.25), ("n", 0.2), ("e", 0.04)]):
        low = 8.4 - 0.62 * i
        axis.text(11.75, low + 0.2, letter, ha="center", va="center", fontsize=12)
        axis.add_patch(Rectangle((12.15, low), 4.8 * chance, 0.4, color=ORANGE))
    axis.text(13.3, 6.3, "next letter", ha="center", va="top", fontsize=12, color=ORANGE)

    drawn, row, column, cell = shirt()[::2, ::2], 6, 9, 0.37
    left, low = 2.4, 0.1
    levels = np.where(np.arange(14 * 14).reshape(14, 14) < 14 * row + column, drawn, np.nan)
    extent = (left, left + 14 * cell, low, low + 14 * cell)
    axis.add_patch(Rectangle((left, low), 14 * cell, 14 * cell, facecolor="#f1f3f5", zorder=1))
    axis.imshow(levels, cmap="gray_r", vmin=0, vmax=1, extent=extent, zorder=2)
    grid = {"color": "#c4ccd2", "linewidth": 0.5, "zorder": 3}
    for i in range(15):
        axis.plot([left, left + 14 * cell], [low + i * cell] * 2, **grid)
        axis.plot([left + i * cell] * 2, [low, low + 14 * cell], **grid)
    top = low + (14 - row) * cell
    here = (left + column * cell, top - cell)
    edge_x = [0, 14, 14, column, column, 0, 0]
    edge_y = [14, 14, 14 - row, 14 - row, 13 - row, 13 - row, 14]
    axis.plot(left + cell * np.array(edge_x), low + cell * np.array(edge_y), color=BLUE,
              linewidth=1.6, zorder=4)  # fmt: skip
    axis.add_patch(Rectangle(here, cell, cell, facecolor="#fbe3d5", edgecolor=ORANGE, zorder=5,
                             linewidth=1.6))  # fmt: skip
    axis.text(2.2, 4.2, "pixels\nso far", ha="right", va="center", fontsize=12, color=BLUE)
    axis.text(left + 7 * cell, 1.3, "not drawn yet", ha="center", va="center", fontsize=12,
              color=GREY, zorder=4)  # fmt: skip
    pointer(axis, (here[0] + cell, here[1] + cell / 2), (11.2, here[1] + cell / 2), ORANGE,
            zorder=6)  # fmt: skip
    for i, (level, chance) in enumerate([(0.0, 0.04), (0.55, 0.1), (0.75, 0.6), (0.95, 0.26)]):
        below = 3.65 - 0.62 * i
        axis.add_patch(Rectangle((11.55, below), 0.4, 0.4, facecolor=str(1 - level),
                                 edgecolor=GREY))  # fmt: skip
        axis.add_patch(Rectangle((12.15, below), 4.8 * chance, 0.4, color=ORANGE))
    axis.text(13.3, 1.55, "next pixel", ha="center", va="top", fontsize=12, color=ORANGE)
    return figure


def botched_shirt() -> np.ndarray:
    """What a beginner makes of the T-shirt: a sleeve too short, a hole and smears."""
    drawn = shirt()
    drawn[8:14, 24:] = 0
    drawn[20:24, 10:14] = 0.2
    smears = gaussian_filter(np.random.default_rng(5).normal(size=(28, 28)), 1.5)
    return np.clip(gaussian_filter(drawn, 0.9) + 0.9 * np.maximum(smears - 0.05, 0), 0, 1)


def game() -> Any:
    """A generator draws, a discriminator compares with real pictures, its answer goes back."""
    figure, axis = sheet(15.2, 7.6)
    framed(axis, np.random.default_rng(2).random((7, 7)), (0.1, 4.3, 1.9), GREY)
    axis.text(1.05, 4.1, "noise", ha="center", va="top", fontsize=12)
    generator = np.array([[2.6, 4.7], [5.6, 3.95], [5.6, 6.55], [2.6, 5.8]])
    axis.fill(*generator.T, facecolor="#fbe3d5", edgecolor=ORANGE)
    axis.text(4.2, 5.25, "generator", ha="center", va="center", fontsize=13, color=ORANGE)
    framed(axis, botched_shirt(), (6.2, 4.05, 2.4), ORANGE)
    axis.text(7.4, 3.9, "drawn", ha="center", va="top", fontsize=12, color=ORANGE)
    for shift in (0.5, 0.25, 0.0):
        framed(axis, shirt(), (6.0 + shift, 0.6 + shift, 2.4), BLUE)
    axis.text(7.4, 0.45, "real", ha="center", va="top", fontsize=12, color=BLUE)
    judge = np.array([[9.7, 1.4], [9.7, 5.4], [13.2, 4.1], [13.2, 2.7]])
    axis.fill(*judge.T, facecolor="#d5efe6", edgecolor=GREEN)
    axis.text(11.4, 3.4, "discriminator", ha="center", va="center", fontsize=13, color=GREEN)
    pointer(axis, (1.95, 5.25), (2.65, 5.25))
    pointer(axis, (5.55, 5.25), (6.25, 5.25), ORANGE)
    pointer(axis, (8.7, 5.1), (9.65, 4.7), ORANGE)
    pointer(axis, (8.95, 2.0), (9.65, 2.3), BLUE)
    pointer(axis, (13.2, 3.4), (14.2, 3.4))
    axis.plot([14.5, 14.5], [2.5, 4.3], color=GREY, linewidth=2)
    axis.scatter([14.5, 14.5], [3.9, 2.9], s=60, color=[BLUE, ORANGE], zorder=4)
    axis.text(14.5, 4.5, "real", ha="center", va="bottom", fontsize=12)
    axis.text(14.5, 2.3, "drawn", ha="center", va="top", fontsize=12)
    axis.plot([11.4, 11.4, 4.1, 4.1], [5.0, 6.9, 6.9, 6.5], "--", color=ORANGE, linewidth=1.4)
    pointer(axis, (4.1, 6.6), (4.1, 6.1), ORANGE)
    axis.text(7.75, 7.0, "what would look more real?", ha="center", va="bottom", fontsize=12,
              color=ORANGE)  # fmt: skip
    return figure


def rubber_sheet() -> Any:
    """A cloud on a rubber sheet that is bent twice: up and down, then to and fro."""
    figure, axis = sheet(15.2, 8.1)

    def upright(points: np.ndarray) -> np.ndarray:
        """The first coordinate stays and says how the second one is scaled and shifted."""
        x, y = points
        return np.stack([x, y * np.exp(-0.2 + 0.35 * x) + 0.3 * x**2 - 0.5])

    def sideways(points: np.ndarray) -> np.ndarray:
        """The second coordinate stays and says how the first one is scaled and shifted."""
        x, y = points
        return np.stack([x * np.exp(0.1 * y) + 0.7 * np.sin(1.3 * y), y])

    cloud = np.random.default_rng(6).normal(size=(2, 230))
    cloud = cloud[:, np.hypot(*cloud) < 2.4]
    angle, corner = np.linspace(0, 2 * np.pi, 100), np.array([[0, 1, 1, 0, 0], [0, 0, 1, 1, 0]])
    lines = [2.5 * np.stack([np.cos(angle), np.sin(angle)])]
    for value in np.arange(-2.4, 2.5, 0.6):
        reach = np.linspace(-1, 1, 30) * np.sqrt(2.5**2 - value**2)
        lines += [np.stack([np.full(30, value), reach]), np.stack([reach, np.full(30, value)])]
    sides = [np.linspace(start, end, 12) for start, end in pairwise(corner.T)]
    square = 0.6 * np.concatenate(sides).T
    steps = (np.asarray, upright, lambda points: sideways(upright(points)))
    names = ("noise", "after one layer", "after two layers")
    for middle, step, name in zip((2.3, 7.2, 12.3), steps, names, strict=True):

        def place(points: np.ndarray, step: Any = step, middle: float = middle) -> np.ndarray:
            return np.array([[middle], [4.1]]) + 0.78 * step(points)

        for line in lines:
            axis.plot(*place(line), color="#c4ccd2", linewidth=0.8, zorder=1)
        axis.scatter(*place(cloud), s=6, color=BLUE, linewidths=0, alpha=0.75, zorder=3)
        for left, low, colour in [(-1.2, -0.6, ORANGE), (1.2, -0.6, GREEN)]:
            around = place(square + np.array([[left], [low]]))
            axis.fill(*around, facecolor=colour, alpha=0.35, zorder=2)
            axis.plot(*around, color=colour, linewidth=1.5, zorder=4)
        axis.text(middle, 1.65, name, ha="center", va="top", fontsize=12)
    pointer(axis, (0.3, 7.05), (14.9, 7.05), ORANGE)
    axis.text(7.6, 7.2, "drawing: noise is bent into data", ha="center", va="bottom", fontsize=12,
              color=ORANGE)  # fmt: skip
    pointer(axis, (14.9, 0.85), (0.3, 0.85), BLUE)
    axis.text(7.6, 0.7, "measuring: data is bent back", ha="center", va="top", fontsize=12,
              color=BLUE)  # fmt: skip
    return figure


def landscape() -> Any:
    """An energy pushed down at data and up at samples, and a speck that is shaken downhill."""
    figure, axes = plt.subplots(1, 2, figsize=(7.6, 3.4), layout="constrained", sharey=True)
    place = np.linspace(0, 10, 400)

    def ground(left: float, right: float) -> np.ndarray:
        """Hills with two valleys of the given depths."""
        hills = 4.2 + 0.3 * np.cos(2.1 * place) + 0.2 * np.cos(4.3 * place + 1)
        depths = left * np.exp(-((place - 2.6) ** 2)) + right * np.exp(-((place - 7.2) ** 2))
        return hills - depths

    def on(line: np.ndarray, where: Any) -> Any:
        return np.interp(where, place, line)

    before, after = ground(1.5, 2.2), ground(3.0, 0.3)
    axes[0].plot(place, before, "--", color=GREY, linewidth=1.5)
    axes[0].plot(place, after, color="black", linewidth=1.8)
    for centre, colour, name in [(2.6, BLUE, "data"), (7.2, ORANGE, "samples")]:
        spots = centre + np.array([-0.8, -0.45, -0.15, 0.2, 0.45, 0.75])
        axes[0].scatter(spots, on(before, spots), s=26, color=colour, zorder=3)
        start, end = on(before, centre), on(after, centre)
        pointer(axes[0], (centre, start), (centre, end), colour, linewidth=2, shrinkA=6, shrinkB=3)
        axes[0].text(centre, 5.1, name, ha="center", fontsize=12, color=colour)
    axes[0].set_title("learning", fontsize=13)

    valleys = ground(3.0, 2.4)
    axes[1].plot(place, valleys, color="black", linewidth=1.8)
    speck = np.array([5.0, 5.5, 4.75, 5.05, 4.35, 4.0, 4.2, 3.5, 3.05, 3.3, 2.45])
    for i, (start, end) in enumerate(pairwise(speck)):
        ends = [(x, on(valleys, x) + 0.12) for x in (start, end)]
        bend = 0.7 if end < start else -0.7
        pointer(axes[1], *ends, ORANGE, linewidth=1.1, mutation_scale=8, shrinkA=3, shrinkB=3,
                connectionstyle=f"arc3,rad={bend}", alpha=0.35 + 0.06 * i)  # fmt: skip
    axes[1].scatter(speck, on(valleys, speck) + 0.12, s=22, color=ORANGE, zorder=3,
                    alpha=np.linspace(0.3, 1, len(speck)))  # fmt: skip
    axes[1].set_title("drawing", fontsize=13)
    noise = np.random.default_rng(3).random((14, 14))
    for axis, line, centre, values in [
        (axes[0], after, 2.6, shirt()),
        (axes[0], before, 7.2, botched_shirt()),
        (axes[1], valleys, 2.6, shirt()),
        (axes[1], valleys, 5.1, noise),
        (axes[1], valleys, 7.4, trousers()),
    ]:
        extent = (centre - 0.85, centre + 0.85, -0.9, 0.6)
        axis.imshow(values, cmap="gray_r", vmin=0, vmax=1, extent=extent, aspect="auto", zorder=2)
        axis.add_patch(Rectangle(extent[::2], 1.7, 1.5, fill=False, color="#c4ccd2", zorder=2))
        axis.plot([centre] * 2, [0.7, on(line, centre) - 0.15], ":", color=GREY, linewidth=1)
    for axis in axes:
        axis.set(xlim=(0, 10), ylim=(-1.1, 5.8), xticks=[], yticks=[])
        axis.set_xlabel("all possible pictures", fontsize=12)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    axes[0].set_ylabel("energy", fontsize=12)
    return figure


def noising() -> Any:
    """A picture drowns in noise and is found again; the network is asked which part is noise."""
    figure, axis = sheet(15.2, 9.0)
    noise = np.random.default_rng(4).normal(size=(28, 28))
    clean = (shirt() - shirt().mean()) / shirt().std()

    def mixture(signal: float, rate: float) -> np.ndarray:
        return 0.43 + (signal * clean + rate * noise) / 3.5  # from -1.5, white, to 2, black

    for i, rate in enumerate((0.0, 0.4, 0.7, 0.92, 1.0)):
        values = mixture(np.sqrt(1 - rate**2), rate)
        framed(axis, values, (0.1 + 3.1 * i, 4.95, 2.6), "#c4ccd2")
    pointer(axis, (0.3, 7.95), (14.9, 7.95))
    axis.text(7.6, 8.1, "adding noise is easy", ha="center", va="bottom", fontsize=12, color=GREY)
    pointer(axis, (14.9, 4.55), (0.3, 4.55), BLUE)
    axis.text(7.6, 4.35, "taking it away is learnt", ha="center", va="top", fontsize=12, color=BLUE)
    framed(axis, mixture(0.6, 0.8), (0.9, 0.7, 2.6), GREY)
    axis.text(2.2, 0.55, "a noisy picture", ha="center", va="top", fontsize=12)
    axis.add_patch(Rectangle((5.4, 1.1), 4.4, 1.8, facecolor="#d9ebf6", edgecolor=BLUE))
    axis.text(7.6, 2.0, "network", ha="center", va="center", fontsize=13, color=BLUE)
    pointer(axis, (3.7, 2.0), (5.3, 2.0))
    pointer(axis, (9.9, 2.0), (11.5, 2.0))
    framed(axis, mixture(0, 1), (11.7, 0.7, 2.6), GREY)
    axis.text(13.0, 0.55, "which part is noise?", ha="center", va="top", fontsize=12)
    return figure


def looking_back() -> Any:
    """A line of text whose next letter looks back at earlier ones, and who may look where."""
    figure, axis = sheet(15.2, 9.2)
    text, side, low = "the cat sat. the c", 0.76, 5.9
    weights = {4: 0.55, 5: 1.0, 6: 0.7, 8: 0.15, 12: 0.2, 15: 0.25, 17: 0.85}
    middle = [0.3 + side * (i + 0.5) for i in range(len(text) + 1)]
    for i, letter in enumerate(text + "?"):
        last = i == len(text)
        tint = 0.12 + 0.5 * weights.get(i, 0)
        face = "#fbe3d5" if last else (0.0, 0.447, 0.698, tint)
        edge = ORANGE if last else BLUE
        box = {"facecolor": face, "edgecolor": edge, "zorder": 3}
        axis.add_patch(Rectangle((middle[i] - side / 2, low), side, 1.0, **box))
        axis.text(middle[i], low + 0.47, letter, ha="center", va="center", fontsize=14, zorder=4,
                  color=ORANGE if last else "black")  # fmt: skip
    for i, weight in weights.items():
        bend = {"connectionstyle": f"arc3,rad={0.30 if i < 16 else 0.9}", "zorder": 2}
        pointer(axis, (middle[-1], low + 1.05), (middle[i], low + 1.05), BLUE,
                linewidth=0.6 + 3 * weight, mutation_scale=10, **bend)  # fmt: skip
    axis.text(7.4, 5.7, "all letters so far, each with a key and a value", ha="center", va="top",
              fontsize=12, color=BLUE)  # fmt: skip
    axis.text(14.8, 5.7, "asks", ha="right", va="top", fontsize=12, color=ORANGE)

    cell, count, left, top = 0.52, 8, 1.2, 4.4
    for row in range(count):
        for column in range(count):
            seen = column <= row
            axis.add_patch(Rectangle((left + cell * column, top - cell * (row + 1)), cell, cell,
                                     facecolor="#d9ebf6" if seen else "white",
                                     edgecolor="#c4ccd2"))  # fmt: skip
    axis.add_patch(Rectangle((left, top - cell * count), cell * count, cell, fill=False,
                             edgecolor=ORANGE, linewidth=1.8))  # fmt: skip
    axis.text(left - 0.15, top - cell * count / 2, "asks", rotation=90, ha="right", va="center",
              fontsize=12, color=ORANGE)  # fmt: skip
    axis.text(left + cell * count / 2, top + 0.1, "is seen", ha="center", va="bottom", fontsize=12,
              color=BLUE)  # fmt: skip
    axis.text(left + cell * count + 0.25, top - 0.9, "what comes later\nis masked", ha="left",
              va="center", fontsize=12, color=GREY)  # fmt: skip
    for low, words, colour in [(0.9, "look back", BLUE), (2.3, "think", GREEN)]:
        axis.add_patch(Rectangle((8.7, low), 3.2, 1.0, facecolor="white", edgecolor=colour))
        axis.text(10.3, low + 0.47, words, ha="center", va="center", fontsize=13, color=colour)
    pointer(axis, (10.3, 0.2), (10.3, 0.88))
    pointer(axis, (10.3, 1.9), (10.3, 2.28))
    pointer(axis, (10.3, 3.3), (10.3, 3.98))
    axis.text(10.3, 4.0, "next letter", ha="center", va="bottom", fontsize=12, color=ORANGE)
    axis.text(12.2, 2.1, "repeated,\nblock on block", ha="left", va="center", fontsize=12,
              color=GREY)  # fmt: skip
    return figure


def melody() -> Any:
    """A melody as bars and as two rows of codes; what comes next is guessed in two steps."""
    figure, axis = sheet(15.2, 9.6)
    notes = [(67, 2), (69, 1), (71, 2), (74, 1), (67, 2), (69, 1), (71, 2)]  # pitch, eighths
    left, time, unit = 1.9, 0.0, 0.98
    ends = []
    for number, (pitch, length) in enumerate(notes):
        start, height = left + unit * time, 5.1 + 0.3 * (pitch - 67)
        face = BLUE if number < 3 else "#9cc7e2"  # the figure that comes back
        axis.add_patch(Rectangle((start + 0.05, height), unit * length - 0.1, 0.42, zorder=3,
                                 facecolor=face, edgecolor=BLUE))  # fmt: skip
        for low, word in ((2.6, str(pitch)), (1.3, str(length))):
            axis.add_patch(Rectangle((start + 0.05, low), unit * length - 0.1, 0.9, zorder=3,
                                     facecolor="#d9ebf6", edgecolor=BLUE))  # fmt: skip
            axis.text(start + unit * length / 2, low + 0.43, word, ha="center", va="center",
                      fontsize=13, zorder=4)  # fmt: skip
        time += length
        ends.append((start + unit * length / 2, height))
    start = left + unit * time
    for low, colour in ((2.6, ORANGE), (1.3, GREEN)):
        axis.add_patch(Rectangle((start + 0.15, low), 1.0, 0.9, zorder=3, facecolor="white",
                                 edgecolor=colour, linewidth=1.6))  # fmt: skip
        axis.text(start + 0.65, low + 0.43, "?", ha="center", va="center", fontsize=14,
                  color=colour, zorder=4)  # fmt: skip
    axis.add_patch(Rectangle((start + 0.15, 7.2), 1.0, 0.42, fill=False, edgecolor=ORANGE,
                             linestyle="--"))  # fmt: skip
    pointer(axis, (start + 0.65, 2.6), (start + 0.65, 2.22), GREEN)
    for place, weight in ((3, 2.6), (2, 1.2), (1, 0.8)):
        pointer(axis, (start + 0.3, 7.7), (ends[place][0], ends[place][1] + 0.5), ORANGE,
                linewidth=weight, connectionstyle="arc3,rad=0.25", zorder=2)  # fmt: skip
    for low, word in ((5.7, "melody"), (2.9, "pitch"), (1.6, "length")):
        axis.text(1.6, low + 0.1, word, ha="right", va="center", fontsize=13, color=GREY)
    axis.text(start + 0.65, 4.3, "guessed\nfirst", ha="center", va="center", fontsize=12,
              color=ORANGE)  # fmt: skip
    axis.text(start + 0.65, 0.75, "guessed second,\nknowing the pitch", ha="center", va="center",
              fontsize=12, color=GREEN)  # fmt: skip
    axis.text(left + 1.2 * unit, 9.2, "the same three notes came before, and then this one",
              ha="left", va="center", fontsize=12, color=ORANGE)  # fmt: skip
    return figure


def top_view(axis: Any, place: tuple[float, float, float], colour: str, dreamt: bool) -> None:
    """A car on a bent road, seen from above, at (left, low, side); a dreamt one has no edge."""
    left, low, side = place
    row, column = np.mgrid[0:60, 0:60] / 60
    middle = 0.5 + 0.3 * np.sin(3.0 * (1 - row)) * (1 - row)  # the road bends to the right ahead
    away = np.abs(column - middle)
    road = 1 / (1 + np.exp((away - 0.16) * (25 if dreamt else 200)))
    picture = np.stack([0.55 + 0.1 * road, 0.82 - 0.17 * road, 0.55 + 0.1 * road], axis=-1)
    extent = (left, left + side, low, low + side)
    axis.imshow(picture, extent=extent, zorder=2)
    car = Rectangle((left + 0.44 * side, low + 0.1 * side), 0.12 * side, 0.2 * side, zorder=3,
                    facecolor=ORANGE, alpha=0.6 if dreamt else 1)  # fmt: skip
    axis.add_patch(car)
    axis.add_patch(Rectangle((left, low), side, side, fill=False, edgecolor=colour, zorder=4,
                             linestyle="--" if dreamt else "-", linewidth=1.5))  # fmt: skip


def labelled(axis: Any, x: float, y: float, words: str, colour: str) -> None:
    """A box of 3.2 by 1.3 around (x, y)."""
    axis.add_patch(
        Rectangle((x - 1.6, y - 0.65), 3.2, 1.3, facecolor="white", edgecolor=colour, zorder=3)
    )
    axis.text(x, y, words, ha="center", va="center", fontsize=12, color=colour, zorder=4)


def awake_and_asleep() -> Any:
    """The loop of a driver through the game, and through its own memory."""
    figure, axis = sheet(19.0, 8.0)
    for left, dreamt in [(0.2, False), (10.3, True)]:
        top_view(axis, (left, 4.1, 3.0), GREY if dreamt else "black", dreamt)
        labelled(axis, left + 6.4, 5.6, "memory" if dreamt else "eye", GREEN if dreamt else BLUE)
        labelled(axis, left + 6.4, 2.5, "controller", ORANGE)
        start, end = (left + 3.1, 5.6), (left + 4.75, 5.6)
        pointer(axis, *((end, start) if dreamt else (start, end)))
        pointer(axis, (left + 6.4, 4.9), (left + 6.4, 3.2))
        words = "next code,\nas it might be" if dreamt else "code"
        axis.text(left + 6.6, 4.05, words, ha="left", va="center", fontsize=11, color=GREY)
        bend = {"connectionstyle": "arc3,rad=-0.35"}
        if dreamt:
            pointer(axis, (left + 4.75, 2.5), (left + 4.75, 5.2), **bend)
            axis.text(left + 2.9, 3.4, "action", ha="center", va="center", fontsize=11, color=GREY)
        else:
            pointer(axis, (left + 4.75, 2.5), (left + 1.5, 4.0), **bend)
            axis.text(left + 1.3, 2.6, "action", ha="center", va="center", fontsize=11, color=GREY)
        axis.text(left, 7.25, "asleep: the dream" if dreamt else "awake: the game",
                  ha="left", va="bottom", fontsize=13)  # fmt: skip
    axis.axvline(9.75, 0.05, 0.95, color="#c4ccd2", linewidth=1)
    axis.text(0.3, 0.75, "the memory reads along\nand learns what comes next", fontsize=11,
              color=GREEN, va="center")  # fmt: skip
    axis.text(10.4, 0.75, "the eye's other half\ncan draw the dream", fontsize=11, color=BLUE,
              va="center")  # fmt: skip
    axis.set(xlim=(0, 19.0), ylim=(0, 8.0))
    return figure


CHAPTERS = {  # number: (name, column, row, the chapters that it builds on)
    1: ("Generative\nmodelling", 1.0, 0, ()),
    2: ("Deep\nlearning", 3.0, 0, (1,)),
    3: ("Autoencoders", 0.0, 1, (2,)),
    4: ("GANs", 2.0, 1, (2,)),
    5: ("Autoregressive\nmodels", 1.0, 1, (2,)),
    6: ("Normalising\nflows", 3.0, 1, (2,)),
    7: ("Energy-based\nmodels", 4.0, 1, (2,)),
    8: ("Diffusion", 5.0, 1, (2,)),
    9: ("Transformers", 1.3, 2, (5,)),
    10: ("Advanced\nGANs", 2.7, 2, (4,)),
    11: ("Music", 2.0, 3, (9, 4)),
    12: ("World\nModels", 0.2, 3, (3, 5)),
    13: ("Several\nmedia", 4.4, 3, (9, 8)),
}
PARTS = {1: range(1, 4), 2: range(4, 9), 3: range(9, 14)}


def chapter_map(part: int) -> Any:
    """Which chapter builds on which; the chapters of one part are tinted."""
    figure, axis = plt.subplots(figsize=(10.2, 4.75), layout="constrained")
    place = {n: (2.0 * column, -1.55 * row) for n, (_, column, row, _) in CHAPTERS.items()}
    for number, (name, _, _, before) in CHAPTERS.items():
        x, y = place[number]
        tint = "#d9ebf6" if number in PARTS[part] else "#f1f3f5"
        colours = {"facecolor": tint, "edgecolor": BLUE}
        corners = "round,pad=0,rounding_size=.1"
        axis.add_patch(
            FancyBboxPatch((x - 0.78, y - 0.36), 1.56, 0.72, corners, zorder=3, **colours)
        )
        axis.text(x - 0.68, y, str(number), va="center", fontsize=12, color=BLUE, zorder=4,
                  fontweight="bold")  # fmt: skip
        axis.text(x + 0.14, y, name, ha="center", va="center", fontsize=9, zorder=4)
        for other in before:
            ox, oy = place[other]
            same_row = oy == y
            start = (ox + 0.78, oy) if same_row else (ox, oy - 0.36)
            end = (x - 0.78, y) if same_row else (x, y + 0.36)
            axis.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=11,
                                           color=GREY, linewidth=1, zorder=1))  # fmt: skip
    axis.set(xlim=(-1, 11), ylim=(-5.1, 0.45), aspect="equal")
    axis.axis("off")
    return figure


PICTURES: dict[str, Callable[[], Any]] = {
    "_static/cells.svg": noise_to_moons,
    "_static/chapters.svg": partial(chapter_map, 1),
    "_static/chapters_2.svg": partial(chapter_map, 2),
    "_static/chapters_3.svg": partial(chapter_map, 3),
    "notebooks/01_generative_modeling/opener.svg": three_models,
    "notebooks/02_deep_learning/opener.svg": network,
    "notebooks/03_autoencoders/opener.svg": autoencoder,
    "notebooks/04_gans/opener.svg": game,
    "notebooks/05_autoregressive/opener.svg": pieces,
    "notebooks/06_flows/opener.svg": rubber_sheet,
    "notebooks/07_energy/opener.svg": landscape,
    "notebooks/08_diffusion/opener.svg": noising,
    "notebooks/09_transformers/opener.svg": looking_back,
    "notebooks/11_music/opener.svg": melody,
    "notebooks/12_world_models/opener.svg": awake_and_asleep,
}


def main() -> int:
    plt.rcParams.update({"svg.hashsalt": "book", "svg.fonttype": "path", "font.size": 10})
    for name, draw in PICTURES.items():
        figure = draw()
        figure.savefig(ROOT / name, facecolor="white", metadata={"Date": None})
        plt.close(figure)
        print(f"{name}: {(ROOT / name).stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
