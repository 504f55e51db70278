"""scripts/rebuild_data.py makes the files under data/."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import datasets
from helpers.datasets import families
from helpers.files import DATA, BookError
from scripts import rebuild_data
from scripts.rebuild import chorales, drawings, packing, portraits, shakespeare, sprouts
from scripts.rebuild.tunes import arrange_tunes, read_tunes

FASHION_SOURCE = Path("/usr/share/datasets/fashion-mnist")


def test_every_embedded_set_has_a_builder() -> None:
    wanted = {entry.name for entry in datasets.REGISTRY.values() if entry.embedded and entry.files}
    assert set(rebuild_data.BUILDERS) == wanted == set(rebuild_data.PACKAGES)


@pytest.mark.skipif(not FASHION_SOURCE.exists(), reason="needs Debian's dataset-fashion-mnist")
def test_fashion_mnist_can_be_rebuilt(capsys: pytest.CaptureFixture[str]) -> None:
    assert rebuild_data.main(["fashion_mnist", "--check"]) == 0
    assert capsys.readouterr().out == "fashion_mnist: as in the registry\n"


def test_a_rebuild_that_differs_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The set stands for all: its builder writes other pictures, or the same ones packed anew."""
    images = np.concatenate([datasets.load("mnist", verbose=False).x_train,
                             datasets.load("mnist", verbose=False).x_test])  # fmt: skip

    def build(folder: Path, value: int) -> None:
        packing.write_packed_array(folder / "images.npy.xz", images + np.uint8(value))
        for name in ("labels.csv", "names.json"):
            (folder / name).write_bytes((DATA / "mnist" / name).read_bytes())

    monkeypatch.setattr(rebuild_data, "check_packages", lambda name: None)
    monkeypatch.setitem(rebuild_data.BUILDERS, "mnist", lambda folder: build(folder, 1))
    assert rebuild_data.main(["mnist", "--check"]) == 1
    assert capsys.readouterr().out == "mnist/images.npy.xz: different content\n"
    monkeypatch.setitem(rebuild_data.BUILDERS, "mnist", lambda folder: build(folder, 0))
    assert rebuild_data.main(["mnist", "--check"]) == 0
    import lzma

    monkeypatch.setattr(packing, "pack", lambda content: lzma.compress(content, preset=0))
    assert rebuild_data.main(["mnist", "--check"]) == 1
    assert "the same content, compressed differently" in capsys.readouterr().out


def test_rebuilding_needs_the_recorded_versions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(rebuild_data.PACKAGES, "mnist", {"numpy": "0.1", "pillow": "0.2"})
    assert rebuild_data.main(["mnist", "--check"]) == 1
    assert "mnist is built with numpy 0.1" in capsys.readouterr().out
    monkeypatch.setitem(rebuild_data.PACKAGES, "mnist", {"no-such-package": "1"})
    with pytest.raises(BookError, match="here is none"):
        rebuild_data.check_packages("mnist")
    with pytest.raises(SystemExit):
        rebuild_data.main(["mnits"])


def test_play_text() -> None:
    markdown = (
        "# Title\n\n## ACT I\n\n### SCENE I. A heath.\n\n_Enter A, with\nothers_\n\n"
        "**First A**  \nGo — go, & c.  \n_\\[Aside]_ Stay.\n\n\n\n_\\[Sings]\n\n*Exit*\n"
    )
    assert shakespeare.play_text(markdown) == (
        "ACT I\n\nSCENE I. A heath.\n\n[Enter A, with\nothers]\n\n"
        "First A:\nGo -- go, &c.\n[Aside] Stay.\n\n[Sings]\n\n[Exit]\n"
    )


def test_label_columns_come_from_the_options() -> None:
    definition = {
        "components": {
            "beard": {"probability": 50, "variants": {"chin": 1, "full": 1}},
            "mouth": {"variants": {"sad": 1, "smile": 1}},
        }
    }
    drawn = [
        {"mouthVariant": "smile", "hairColor": ["#00f"]},
        {"mouthVariant": "sad", "hairColor": ["#f00"], "beardVariant": "full"},
    ]
    column = drawings.label_column
    assert column(definition, drawn, "mouthVariant", None) == ([1, 0], ["sad", "smile"])
    assert column(definition, drawn, "beardVariant", None) == ([0, 2], ["none", "chin", "full"])
    colours = {"red": "#f00", "blue": "#00f"}
    assert column(definition, drawn, "hairColor", colours) == ([1, 0], ["red", "blue"])


@given(st.lists(st.sets(st.integers(0, 12), max_size=3), min_size=1, max_size=12))
def test_families_are_the_connected_parts(marks: list[set[int]]) -> None:
    found = families.families(marks)
    # by hand: flood from each item over items that share a mark
    for item in range(len(marks)):
        reached, border = {item}, [item]
        while border:
            own = marks[border.pop()]
            new = {other for other in range(len(marks)) if own & marks[other]} - reached
            reached |= new
            border += new
        assert {other for other, family in enumerate(found) if family == found[item]} == reached


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60))
def test_families_are_never_split(family_of: list[int]) -> None:
    held = families.held_out(family_of)
    for one, two in itertools.combinations(range(len(family_of)), 2):
        if family_of[one] == family_of[two]:
            assert held[one] == held[two]
    assert (
        len({family for family, test in zip(family_of, held, strict=True) if test})
        == len(set(family_of)) // 10
    )


def test_grid_by_hand() -> None:
    """A quarter, a repeated eighth, a rest, and two thirty-seconds of which one is lost."""
    quarter, eighth, short = Fraction(1), Fraction(1, 2), Fraction(1, 8)
    voice = [
        (60, Fraction(0), quarter),
        (60, quarter, eighth),
        (0, quarter + eighth, Fraction(1, 4)),
        (62, Fraction(7, 4), short),
        (64, Fraction(7, 4) + short, short),
    ]
    pitches, onsets = chorales.grid([voice] * 4)
    assert pitches.shape == (8, 4) and pitches.dtype == np.uint8
    assert pitches[:, 2].tolist() == [60, 60, 60, 60, 60, 60, 0, 62]
    assert onsets[:, 2].tolist() == [True, False, False, False, True, False, False, True]


def tune(title: str, pitches: list[int], length: Fraction = Fraction(1, 2)) -> dict[str, Any]:
    return {"title": title, "book": "B", "meter": "6/8", "key": "", "pickup": Fraction(1, 2),
            "notes": [(pitch, length) for pitch in pitches]}  # fmt: skip


def test_arrange_tunes() -> None:
    generator = np.random.default_rng(0)
    melodies = [generator.integers(60, 80, 40).tolist() for _ in range(40)]
    tunes = [
        tune(f"Tune {chr(65 + number % 26)}{number}x", melody)
        for number, melody in enumerate(melodies)
    ]
    for number, one in enumerate(tunes):
        one["title"] = "abcdefghijklmnopqrstuvwxyz"[number % 26] * (1 + number // 26)
    rows = arrange_tunes(tunes)
    assert len(rows) == 40 and sum(row[4] for row in rows) == 4
    assert rows[0] == ["a", "B", "6/8", "", rows[0][4], 12, melodies[0], [12] * 40]
    # left out: a transposed repeat, too short, too low, lengths off the grid, no title
    off = Fraction(1, 7)
    bad = [
        tune("again", [pitch + 2 for pitch in melodies[3]]),
        tune("short", [60] * 15 + [0] * 9),
        tune("low", [40] * 20),
        tune("off", [60, 61] * 10, off),
        tune("", [60, 61, 62, 63] * 10),
    ]
    assert len(arrange_tunes(tunes + bad)) == 40
    # relatives are on one side: a shared title, a shared middle in another key
    held = next(number for number, row in enumerate(rows) if row[4])
    relatives = [
        tune(f"The {tunes[held]['title'].upper()}!", generator.integers(60, 80, 40).tolist()),
        tune("zzzz", [60] * 9 + [pitch + 1 for pitch in melodies[held][5:30]]),
    ]
    again = arrange_tunes(tunes + relatives)
    assert [row[4] for row in again] == [*(row[4] for row in rows), 1, 1]


@pytest.mark.parametrize("name", ["portraits", "sprouts"])
def test_colours_of_a_set_can_be_told_apart(name: str) -> None:
    """Two names for nearly one colour would make labels that no picture shows."""
    attributes = portraits.ATTRIBUTES if name == "portraits" else sprouts.ATTRIBUTES
    for _, colours in attributes.values():
        for one, two in itertools.combinations((colours or {}).values(), 2):
            values = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in (one, two)]
            assert np.linalg.norm(np.subtract(*values)) > 20, (one, two)


def test_music_is_parsed_as_written(tmp_path: Path) -> None:
    """One small ABC file: a triplet, a grace note, a chord, a rest, ties, and a tie for a slur."""
    (tmp_path / "airdsAirs").mkdir()
    path = tmp_path / "airdsAirs" / "a.abc"
    path.write_text(
        "X:1\nT:Test.\nM:3/4\nL:1/8\nK:G\nG2 (3ABc {d}f2 | [Gd]2 z2 f-f- | f4 A-B |=f4 A2 |]\n"
    )
    (found,) = read_tunes([path])
    assert (found["title"], found["meter"], found["key"]) == ("Test.", "3/4", "G major")
    third, half = Fraction(1, 3), Fraction(1, 2)
    assert found["notes"] == [
        (67, 1), (69, third), (71, third), (72, third), (78, 1),
        (74, 1), (0, 1), (78, 3),
        (69, half), (71, half),
        (77, 2), (69, 1),
    ]  # fmt: skip


def test_upbeats_and_repeats_are_parsed_as_written(tmp_path: Path) -> None:
    """Two parts with an upbeat each, a rest among the notes, a first and a second ending."""
    (tmp_path / "airdsAirs").mkdir()
    path = tmp_path / "airdsAirs" / "a.abc"
    path.write_text(
        "X:1\nT:Up.\nM:6/8\nL:1/8\nK:G\n"
        "d | g2z fed | B3 A2 :|: G | A3 B3 |1 c3 c2 :|2 d3 d3 |]\n"
        "\nX:2\nT:Whole.\nM:3/4\nL:1/8\nK:G\nG2 A2 B2 | c4 z2 |]\n"
    )
    up, whole = read_tunes([path])
    half = Fraction(1, 2)
    assert (up["pickup"], whole["pickup"]) == (half, 0)
    assert up["notes"] == [
        (74, half), (79, 1), (0, half), (78, half), (76, half), (74, half),
        (71, Fraction(3, 2)), (69, 1),
        (67, half), (69, Fraction(3, 2)), (71, Fraction(3, 2)),
        (72, Fraction(3, 2)), (72, 1), (74, Fraction(3, 2)), (74, Fraction(3, 2)),
    ]  # fmt: skip
    assert sum(length for _, length in up["notes"][:9]) == half + 6, "two bars and the next upbeat"
    assert whole["notes"][-1] == (0, 1), "the rest at the end has its length"


MEASURE = """<measure number="{number}"{implicit}>{attributes}{notes}{sign}</measure>"""


def musicxml_part(soprano: bool) -> str:
    """An upbeat, then a half note tied over the bar line; the alto crosses above the soprano."""

    def note(step: str, octave: int, quarters: int, tie: str = "") -> str:
        kinds = {1: "quarter", 2: "half", 3: "half"}
        sign = f'<tie type="{tie}"/>' if tie else ""
        dot = "<dot/>" if quarters == 3 else ""
        pitch = f"<pitch><step>{step}</step><octave>{octave}</octave></pitch>"
        length = f"<duration>{quarters}</duration>{sign}<type>{kinds[quarters]}</type>{dot}"
        return f"<note>{pitch}{length}</note>"

    rest = "<note><rest/><duration>1</duration><type>quarter</type></note>"
    first = note("G", 4, 1) if soprano else note("D", 4, 1)
    second = (note("A", 4, 2) + note("B", 4, 1, "start") if soprano
              else note("E", 5, 2) + rest)  # fmt: skip
    third = (note("B", 4, 2, "stop") + note("B", 4, 1) if soprano
             else note("G", 4, 3))  # fmt: skip
    attributes = (
        "<attributes><divisions>1</divisions><key><fifths>1</fifths><mode>major</mode>"
        "</key><time><beats>3</beats><beat-type>4</beat-type></time></attributes>"
    )
    repeat = '<barline location="right"><repeat direction="backward"/></barline>'
    return "".join([
        MEASURE.format(number=0, implicit=' implicit="yes"', attributes=attributes, notes=first,
                       sign=""),
        MEASURE.format(number=1, implicit="", attributes="", notes=second, sign=""),
        MEASURE.format(number=2, implicit="", attributes="", notes=third, sign=repeat),
    ])  # fmt: skip


def test_a_chorale_is_parsed_as_written(tmp_path: Path) -> None:
    """A tie makes no new note, a rest has its length, voices that cross are not exchanged."""
    parts = "".join(f'<part id="P{number}">{musicxml_part(number != 2)}</part>'
                    for number in (1, 2, 3, 4))  # fmt: skip
    names = "".join(f'<score-part id="P{number}"><part-name>{number}</part-name></score-part>'
                    for number in (1, 2, 3, 4))  # fmt: skip
    path = tmp_path / "bwv1.xml"
    path.write_text(f'<score-partwise version="3.0"><part-list>{names}</part-list>{parts}'
                    "</score-partwise>")  # fmt: skip
    (found,) = chorales.read_chorales([path])
    assert (found["title"], found["key"], found["meter"], found["pickup"]) == (
        "BWV 1", "G major", "3/4", 1,
    )  # fmt: skip
    assert found["voices"][0] == [(67, 0, 1), (69, 1, 2), (71, 3, 3), (71, 6, 1)]
    assert found["voices"][1] == [(62, 0, 1), (76, 1, 2), (0, 3, 1), (67, 4, 3)]
    pitches, onsets = chorales.grid(found["voices"])
    assert pitches.shape == (28, 4), "the repeat is not played out"
    assert onsets[:, 0].sum() == 4 and pitches[4:12, 1].tolist() == [76] * 8
    assert (pitches[4:12, 1] > pitches[4:12, 0]).all()
    assert pitches[12:16, 1].tolist() == [0] * 4


def test_settings_of_a_melody_with_ornaments_are_relatives() -> None:
    """Passing notes, another key and an upbeat hide a melody from its notes, not from its beats."""
    generator = np.random.default_rng(0)
    beats = (70 + generator.integers(-6, 7, 20)).tolist()

    def marks(melody: list[int], ornament: bool, upbeat: int) -> set[tuple[int, ...]]:
        pitches = np.repeat(np.array([melody]).T, 4, axis=0).astype(np.uint8)
        onsets = np.zeros(pitches.shape, bool)
        onsets[::4] = True
        if ornament:  # the second eighth of each beat is another note
            pitches[2::4] += 1
            pitches[3::4] += 1
            onsets[2::4] = True
        return chorales.melody_marks(pitches, onsets, Fraction(upbeat))

    plain = marks(beats, False, 0)
    assert plain & marks([pitch + 3 for pitch in beats], True, 0)
    assert plain & marks([60, *beats], True, 1)
    assert not plain & marks((70 + generator.integers(-6, 7, 20)).tolist(), False, 0)
