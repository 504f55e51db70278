"""Points in the plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from helpers.datasets.registry import find
from helpers.datasets.splits import TINY, TINY_NOTE, is_tiny


@dataclass(frozen=True, eq=False, repr=False)
class PointSet:
    """Points in the plane: x float32 [n, 2], y int64 [n], the moon that each point is on."""

    name: str
    x: np.ndarray
    y: np.ndarray
    source: str

    def __repr__(self) -> str:
        return f"{self.name}: {len(self.x):,} points, {self.source}"


def load_moons(seed: int = 0, items: int = 30_000, *, verbose: bool = True) -> PointSet:
    """Two moons with noise of standard deviation .05, from scikit-learn, as they come.

    Another `seed` gives fresh points from the same density, for testing.
    """
    from sklearn.datasets import make_moons

    entry = find("moons", "points")
    note = ""
    if is_tiny():
        items, note = min(items, TINY[0]), TINY_NOTE
    points, moon = make_moons(items, noise=0.05, random_state=seed)
    source = f"seed {seed}, {entry.publisher}{note}"
    moons = PointSet("moons", points.astype(np.float32), moon.astype(np.int64), source)
    if verbose:
        print(moons)
    return moons
