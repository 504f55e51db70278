"""Numbers and tables as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows)]
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    """Four significant digits, with thousands separated: 0.8874, 241.3, 592,554, 2e-07."""
    if value == int(value) or abs(value) >= 1e4:
        return f"{value:,.0f}"
    if abs(value) < 1e-3:
        return f"{value:.2g}"
    return f"{value:.{3 - math.floor(math.log10(abs(value)))}f}"


def measured(values: Sequence[float], own_sd: float | None) -> str:
    """One value, or the mean of several, with ± sd in the same decimals as the value."""
    mean = sum(values) / len(values)
    sd = own_sd
    if len(values) > 1:
        sd = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    text = number(mean)
    if sd is None:
        return text
    decimals = len(text.partition(".")[2]) if "e" not in text else 0
    return f"{text} ± {sd:.{decimals}f}" if round(sd, decimals) else f"{text} ± {sd:.1g}"


def per_metric(entry: Any, metric: str) -> Any:
    """A record's entry for a metric: the entry may be one number or a table by metric."""
    return entry.get(metric) if isinstance(entry, dict) else entry


def words(entry: Any) -> str:
    """A number, or several by model: "vae_2d 350,000, vae_16d 410,000"."""
    if isinstance(entry, dict):
        return ", ".join(f"{name} {number(value)}" for name, value in entry.items()) or "–"
    return number(entry) if entry else "–"


def minutes(seconds: float) -> str:
    """Seconds as minutes, with one decimal below ten."""
    return f"{seconds / 60:.1f}" if seconds < 600 else f"{seconds / 60:.0f}"
