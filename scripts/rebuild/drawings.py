"""Pictures that DiceBear composes from the options of a style, with their labels."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

from helpers.files import BookError
from scripts.rebuild.packing import package_folder, write_pictures

SIZE = 64  # pixels


def draw(
    folder: Path, style_name: str, items: int, train: int,
    options: dict[str, Any], attributes: dict[str, tuple[str, dict[str, str] | None]],
) -> None:  # fmt: skip
    """Render `items` different pictures of a DiceBear style, from the seeds s0, s1, ..."""
    import resvg_py
    from dicebear import Avatar, Style
    from PIL import Image

    definition = json.loads((package_folder("dicebear_styles") / f"{style_name}.json").read_text())
    style = Style(definition)
    images = np.empty((items, SIZE, SIZE, 3), np.uint8)
    drawn: list[dict[str, Any]] = []
    seen: set[bytes] = set()
    for number in itertools.count():
        avatar = Avatar(style, {"seed": f"s{number}", **options}).to_json()
        png = resvg_py.svg_to_bytes(svg_string=avatar["svg"], width=SIZE, height=SIZE)
        with Image.open(io.BytesIO(bytes(png))) as picture:
            pixels = np.asarray(picture.convert("RGBA"))
        if pixels[..., 3].min() < 255:
            raise BookError(f"Picture {number} of {style_name} is not opaque.")
        content = pixels[..., :3].tobytes()
        if content in seen:
            continue  # two seeds can give one picture; the test pictures must be new ones
        seen.add(content)
        images[len(drawn)] = pixels[..., :3]
        drawn.append(avatar["options"])
        if len(drawn) == items:
            break
    columns = {
        key: label_column(definition, drawn, option, colours)
        for key, (option, colours) in attributes.items()
    }
    write_pictures(folder, images, train, columns)


def label_column(
    definition: dict[str, Any], drawn: list[dict[str, Any]], option: str,
    colours: dict[str, str] | None,
) -> tuple[list[int], list[str]]:  # fmt: skip
    """The label numbers of one option, and the names that the numbers stand for.

    A component that may be absent (a beard) has the name "none" as its first class.
    """
    if colours is not None:
        names, values = list(colours), list(colours.values())
        return [values.index(options[option][0]) for options in drawn], names
    component = definition["components"][option.removesuffix("Variant")]
    names = list(component["variants"])
    if component.get("probability", 100) < 100:
        names.insert(0, "none")
    return [names.index(options.get(option) or "none") for options in drawn], names
