"""Find picture files in folders and archives, and decode them to one size."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from helpers.datasets.archives import archive_members
from helpers.files import BookError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
PICTURE_SHAPE = (64, 64, 3)  # of photographs, where nothing else is wanted
PIXEL_LIMIT = 50_000_000  # of one picture; decoding this many takes half a gigabyte of memory
BIG = 4_000_000  # pixels; what is larger is made smaller in whole steps first, to save memory


class UnreadablePicture(BookError):
    """A file that is not a picture of a known kind; `reason` says why in a few words."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"{name} cannot be read as a picture ({reason}): replace it, or leave it out."
        )
        self.name, self.reason = name, reason


def is_picture(name: str) -> bool:
    """True for the names of picture files that are neither hidden nor in a hidden folder."""
    *folders, last = name.replace("\\", "/").split("/")
    hidden = last.startswith(".") or any(
        folder == "__MACOSX" or (folder.startswith(".") and folder != ".") for folder in folders
    )
    return not hidden and last.lower().endswith(PICTURE_SUFFIXES)


def picture_files(
    source: Path, wanted: Callable[[str], bool] = is_picture
) -> Iterator[tuple[str, Path | io.BytesIO]]:
    """The relative name of each wanted picture in a folder, zip or tar archive, and its file.

    Names have forward slashes; in a folder they come sorted, in an archive as they lie.
    """
    if not source.is_dir():
        for name, content in archive_members(source, wanted):
            yield name, io.BytesIO(content)
        return
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source).as_posix()
        if wanted(name) and path.is_file():
            yield name, path


def picture_names(source: Path, wanted: Callable[[str], bool] = is_picture) -> list[str]:
    """The sorted names of all wanted pictures in a folder or archive; none of them is decoded."""
    if source.is_dir():
        return [name for name, _ in picture_files(source, wanted)]
    names: set[str] = set()

    def note(name: str) -> bool:
        if wanted(name):
            names.add(name)
        return False  # so that its content is not read

    for _ in archive_members(source, note):
        pass
    return sorted(names)


def decode_pictures(
    source: Path, names: Collection[str], shape: tuple[int, int, int]
) -> tuple[np.ndarray, list[UnreadablePicture]]:
    """The named pictures of a folder or archive, and what is wrong with those that are damaged.

    Gives uint8 [len(names), *shape] in the order of `names`; damaged ones are black.
    """
    place = {name: number for number, name in enumerate(names)}
    pictures = np.zeros((len(place), *shape), np.uint8)
    damaged = []
    for name, file in picture_files(source, place.__contains__):
        try:
            pictures[place[name]] = decode_picture(name, file, shape)
        except UnreadablePicture as error:
            damaged.append(error)
    return pictures, damaged


def decode_picture(name: str, file: Path | io.BytesIO, shape: tuple[int, int, int]) -> np.ndarray:
    """Decode a picture to uint8 of this shape: the largest middle part that has its proportions.

    shape: (height, width, channels), with 3 channels or with 1 for grey. Transparent parts become
    white, a photograph's stored turn is applied, and 16 bits become 8. Raises UnreadablePicture,
    also for numbers of 32 bits, whose range no file states, and above PIXEL_LIMIT.
    """
    from PIL import Image, ImageOps

    height, width, channels = shape
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about sizes, for which we have a limit, and tags
            with Image.open(file) as opened:
                picture = ImageOps.exif_transpose(_smaller(name, opened, shape)).convert("RGBA")
    except Image.UnidentifiedImageError as error:
        raise UnreadablePicture(name, "no known kind of picture") from error
    except Image.DecompressionBombError as error:
        raise UnreadablePicture(name, f"more than {PIXEL_LIMIT:,} pixels") from error
    except (
        OSError, ValueError, SyntaxError, struct.error, zlib.error, EOFError, IndexError, KeyError,
        TypeError, OverflowError, MemoryError,
    ) as error:  # fmt: skip
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnreadablePicture(name, reason) from error
    white = Image.new("RGBA", picture.size, "white")
    flat = Image.alpha_composite(white, picture).convert("RGB" if channels == 3 else "L")
    small = ImageOps.fit(flat, (width, height), Image.Resampling.LANCZOS)
    return np.asarray(small, np.uint8).reshape(shape)


def _smaller(name: str, opened: Any, shape: tuple[int, int, int]) -> Any:
    """A Pillow image with 8 bits; a big one is made smaller by a whole factor."""
    enough = 4 * max(shape[:2])  # pixels at a side, so that the last step still smooths
    if opened.width * opened.height <= BIG:
        return _eight_bits(name, opened)
    opened.draft(None, (enough, enough))  # a JPEG can be decoded at an eighth of its size
    if opened.width * opened.height > PIXEL_LIMIT:
        size = f"{opened.width:,} x {opened.height:,}"
        raise UnreadablePicture(name, f"{size} pixels, more than {PIXEL_LIMIT:,}")
    picture = _eight_bits(name, opened)
    if picture.mode in ("1", "P", "PA"):  # numbers of colours have no mean
        picture = picture.convert("RGBA")
    return picture.reduce(max(1, min(picture.width, picture.height) // enough))


def _eight_bits(name: str, picture: Any) -> Any:
    """A Pillow image whose numbers have 8 bits: of 16 the upper ones, so that the range stays."""
    from PIL import Image

    if picture.mode in ("I", "F"):
        raise UnreadablePicture(
            name, "numbers of 32 bits, whose range is not stated: save it with 8 or 16 bits"
        )
    if not picture.mode.startswith("I;16"):
        return picture
    upper = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    upper.info = picture.info  # the stored turn
    return upper
