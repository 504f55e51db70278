"""What the portraits look like. Weights and colours are ours; shapes are the style's."""

from __future__ import annotations

from pathlib import Path

from scripts.rebuild.drawings import draw

# Half of the mouths smile ("laugh" openly, "smile" with closed lips). Hair also colours eyebrows
# and beard.
HAIR_COLOURS = {
    "black": "#2c1b18", "brown": "#724133", "red": "#c4501b", "blond": "#e3bb62", "grey": "#b9bcc4",
}  # fmt: skip
SKIN_COLOURS = {
    "deep": "#7b4b36", "brown": "#a36b4f", "tan": "#b98e6a", "rosy": "#c68e7a", "light": "#f1c3a5",
}  # fmt: skip
CLOTHES_COLOURS = {
    "black": "#151613", "navy": "#0b3286", "grey": "#545454", "green": "#147f3c",
    "orange": "#f97316", "pink": "#ec4899", "purple": "#731ac3", "red": "#b11f1f",
    "white": "#e8e9e6", "yellow": "#eab308",
}  # fmt: skip
BACKGROUNDS = {
    "sky": "#9ecbe8", "sage": "#a9d6b2", "lavender": "#cbb8e6", "rose": "#f3b9c7",
    "slate": "#56688c", "teal": "#3a8c8a",
}  # fmt: skip
OPTIONS = {
    "scale": 1.4,  # the head fills the picture, as in aligned photographs of faces
    "translateY": 2,
    "beardProbability": 15,
    "mouthVariant": {"laugh": 3, "smile": 2, "sad": 2, "agape": 1.5, "angry": 1.5},
    "hairColor": list(HAIR_COLOURS.values()),
    "skinColor": list(SKIN_COLOURS.values()),
    "clothesColor": list(CLOTHES_COLOURS.values()),
    "backgroundColor": list(BACKGROUNDS.values()),
}
ATTRIBUTES = {  # attribute -> (the generator's option, colour names or None)
    "hair_colour": ("hairColor", HAIR_COLOURS),
    "hair": ("hairVariant", None),
    "rear_hair": ("rearHairVariant", None),
    "mouth": ("mouthVariant", None),
    "eyes": ("eyesVariant", None),
    "eyebrows": ("eyebrowsVariant", None),
    "beard": ("beardVariant", None),
    "clothes": ("clothesVariant", None),
    "clothes_colour": ("clothesColor", CLOTHES_COLOURS),
    "skin": ("skinColor", SKIN_COLOURS),
    "background": ("backgroundColor", BACKGROUNDS),
}


def build(folder: Path) -> None:
    """Draw 10,000 faces in the style toon-head; the last 2,000 are for testing."""
    draw(folder, "toon-head", 10_000, 8_000, OPTIONS, ATTRIBUTES)
