"""What the potted plants look like."""

from __future__ import annotations

from pathlib import Path

from scripts.rebuild.drawings import draw

POT_COLOURS = {  # fewer than the style has, so that names can be told apart
    "sky": "#7dd3fc", "lavender": "#c4b5fd", "orchid": "#f0abfc", "coral": "#fca5a5",
    "yellow": "#fcd34d", "lime": "#bef264", "turquoise": "#5eead4", "white": "#e2e8f0",
}  # fmt: skip
BACKGROUNDS = {
    "blue": "#1d4ed8", "violet": "#6d28d9", "magenta": "#a21caf", "crimson": "#be123c",
    "amber": "#b45309", "green": "#047857", "steel": "#0369a1", "night": "#1e293b",
}  # fmt: skip
PLANT_COLOURS = {
    "pale": "#86efac", "lime": "#a3e635", "teal": "#2dd4bf", "leaf": "#22c55e",
}  # fmt: skip
OPTIONS = {
    "animationVariant": "none",
    "potColor": list(POT_COLOURS.values()),
    "backgroundColor": list(BACKGROUNDS.values()),
    "plantColor": list(PLANT_COLOURS.values()),
}
ATTRIBUTES = {
    "plant": ("plantVariant", None),
    "plant_colour": ("plantColor", PLANT_COLOURS),
    "pot": ("potVariant", None),
    "pot_colour": ("potColor", POT_COLOURS),
    "pattern": ("patternVariant", None),
    "cheeks": ("cheeksVariant", None),
    "eyes": ("eyesVariant", None),
    "mouth": ("mouthVariant", None),
    "background": ("backgroundColor", BACKGROUNDS),
}


def build(folder: Path) -> None:
    """Draw 8,000 potted plants in the style sprouts; the last 1,600 are for testing."""
    draw(folder, "sprouts", 8_000, 6_400, OPTIONS, ATTRIBUTES)
