"""The files under data/: listed, licensed, small, and what scripts/rebuild_data.py makes."""

from __future__ import annotations

import importlib.util
import itertools
import re
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import datasets
from helpers.files import DATA, ROOT, BookError, file_sha256

EMBEDDED = [entry for entry in datasets.REGISTRY.values() if entry.embedded and entry.files]
FILES = [(entry, file) for entry in EMBEDDED for file in entry.files]
NAMES = [f"{entry.name}/{file.name}" for entry, file in FILES]
README = (DATA / "README.md").read_text(encoding="utf-8")
LARGEST = 8 * 2**20  # bytes; Fashion-MNIST's training pictures are the one exception


def load_script() -> ModuleType:
    """scripts/rebuild_data.py as a module."""
    path = ROOT / "scripts" / "rebuild_data.py"
    spec = importlib.util.spec_from_file_location("rebuild_data", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REBUILD = load_script()


@pytest.fixture
def rebuild() -> ModuleType:
    return REBUILD


# ---------------------------------------------------------------- the files


@pytest.mark.parametrize(("entry", "file"), FILES, ids=NAMES)
def test_each_file_is_the_registrys_and_in_the_readme(
    entry: datasets.DataSet, file: datasets.SourceFile
) -> None:
    path = entry.folder / file.name
    assert file.checksum == f"sha256:{file_sha256(path)}"
    row = re.search(rf"^\| `{entry.name}/{re.escape(file.name)}` \| ([\d,]+) \| `(\w+)` \|$",
                    README, re.MULTILINE)  # fmt: skip
    assert row, f"{entry.name}/{file.name} is not in the table of data/README.md"
    assert int(row[1].replace(",", "")) == path.stat().st_size
    assert f"sha256:{row[2]}" == file.checksum
    assert path.stat().st_size <= LARGEST or file.name == "train-images-idx3-ubyte.gz"


def test_no_other_files_lie_in_the_folders_of_the_sets() -> None:
    found = {
        path.relative_to(DATA).as_posix() for entry in EMBEDDED for path in entry.folder.rglob("*")
    }
    assert found == set(NAMES)


@pytest.mark.parametrize("entry", EMBEDDED, ids=lambda entry: entry.name)
def test_each_set_has_its_licence_and_its_line(entry: datasets.DataSet) -> None:
    text = (DATA / "licences" / f"{entry.name}.txt").read_text(encoding="utf-8")
    assert len(text) > 400
    assert f"| `{entry.name}/` |" in README
    assert f"licences/{entry.name}.txt" in README
    assert entry.publishable and entry.licence and entry.url.startswith("https://")


def test_the_licences_are_the_right_ones() -> None:
    def licence(name: str) -> str:
        return (DATA / "licences" / f"{name}.txt").read_text(encoding="utf-8")

    assert "Zalando SE" in licence("fashion_mnist") and "free of charge" in licence("fashion_mnist")
    assert "Johan Melin" in licence("portraits")
    assert "creativecommons.org/licenses/by/4.0" in licence("portraits")
    assert "CC0 1.0 Universal" in licence("sprouts")
    assert "licenses/by-sa/3.0" in licence("mnist") and "Sebastian Raschka" in licence("mnist")
    assert "Jack Campin" in licence("tunes") and "Margaret Greentree" in licence("chorales")


def test_no_checkout_changes_line_endings() -> None:
    """Checksums are of bytes, and Windows would otherwise rewrite the CSV files."""
    assert "* -text" in (DATA / ".gitattributes").read_text().splitlines()


def test_every_entry_of_the_registry_says_what_a_reader_needs() -> None:
    for name, entry in datasets.REGISTRY.items():
        assert name == entry.name
        assert entry.about and entry.licence and entry.publisher and entry.url.startswith("http")
        assert (entry.kind == "images") == bool(entry.shape)
        for file in entry.files:
            assert re.fullmatch(r"(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}|)", file.checksum)
            assert not file.url or file.checksum, "what is fetched is checked"
            assert not (entry.embedded and file.url)


# ---------------------------------------------------------------- music


def test_tunes() -> None:
    tunes = datasets.load_tunes(verbose=False)
    both = tunes.train + tunes.test
    assert (len(tunes.train), len(tunes.test)) == datasets.REGISTRY["tunes"].items
    assert len(both) >= 4000
    assert 0.05 < len(tunes.test) / len(both) < 0.15
    for tune in both:
        pitches, lengths = tune.notes.T
        assert tune.notes.dtype == np.int16
        assert lengths.min() > 0
        sounding = pitches[pitches > 0]
        assert len(sounding) >= 16 and sounding.min() >= 48 and sounding.max() <= 96
        assert re.fullmatch(r"\d+/\d+", tune.meter) and tune.title and tune.book
    assert {tune.book for tune in tunes.test} == {tune.book for tune in tunes.train}


def transposed(notes: np.ndarray) -> bytes:
    """What is left of a tune if the key is forgotten."""
    pitches, lengths = notes.T
    return np.diff(pitches[pitches > 0]).tobytes() + lengths.tobytes()


def test_no_test_tune_is_a_training_tune_in_another_key() -> None:
    tunes = datasets.load_tunes(verbose=False)
    train = {transposed(tune.notes) for tune in tunes.train}
    assert not any(transposed(tune.notes) in train for tune in tunes.test)
    titles = {tune.title.lower() for tune in tunes.train}
    assert not any(tune.title.lower() in titles for tune in tunes.test)
    runs = {run for tune in tunes.train for run in runs_of(tune.notes)}
    assert not any(runs & runs_of(tune.notes) for tune in tunes.test)


def runs_of(notes: np.ndarray, length: int = 20) -> set[bytes]:
    """All runs of 20 intervals in a tune."""
    steps = np.diff(notes[notes[:, 0] > 0, 0]).astype(np.int8)
    return {steps[at : at + length].tobytes() for at in range(len(steps) - length + 1)}


def test_a_tune_that_everybody_can_check() -> None:
    """O'Neill 1903, number 2: the upbeat and the first two bars."""
    tunes = datasets.load_tunes(verbose=False)
    (found,) = [tune for tune in tunes.train + tunes.test if tune.title == "Fare You Well"]
    assert (found.meter, found.key, tunes.ticks_per_quarter) == ("2/4", "D major", 24)
    # in ABC, with sixteenths as the unit, of 6 ticks: f-g | a3-b g3-a | f4 e3-d
    assert found.notes[:9].tolist() == [
        [78, 6], [79, 6],
        [81, 18], [83, 6], [79, 18], [81, 6],
        [78, 24], [76, 18], [74, 6],
    ]  # fmt: skip


def test_chorales() -> None:
    chorales = datasets.load_chorales(verbose=False)
    both = chorales.train + chorales.test
    assert (len(chorales.train), len(chorales.test)) == datasets.REGISTRY["chorales"].items
    assert len(both) == 359
    assert 0.05 < len(chorales.test) / len(both) < 0.15
    for piece in both:
        pitches, onsets = piece.pitches, piece.onsets
        assert pitches.dtype == np.uint8 and onsets.dtype == bool
        assert pitches.shape == onsets.shape == (len(pitches), 4)
        assert pitches[pitches > 0].min() >= 33 and pitches.max() <= 84
        assert (pitches[onsets] > 0).all()  # no rest begins a note
        changed = pitches[1:] != pitches[:-1]
        sounding = pitches[1:] > 0
        assert onsets[1:][changed & sounding].all()  # every new pitch begins a note
        assert (onsets[1:] & ~changed).any() or len(pitches) < 200  # and notes are repeated
        means = np.where(pitches > 0, pitches, np.nan)
        assert (np.diff(np.nanmean(means, axis=0)) < 0).all()  # soprano to bass
        assert 0 <= piece.pickup < 48 and piece.key.split()[1] in ("major", "minor")
    assert len({piece.title for piece in both}) == len(both)


def test_a_chorale_that_everybody_can_check() -> None:
    """BWV 269, the first of Riemenschneider's numbers: G major, 3/4, one beat of pickup."""
    chorales = datasets.load_chorales(verbose=False)
    (first,) = [piece for piece in chorales.train + chorales.test if piece.title == "BWV 269"]
    assert (first.key, first.meter, first.pickup) == ("G major", "3/4", 4)
    assert first.pitches[0].tolist() == [67, 62, 59, 43]  # g' d' b G
    assert first.pitches[4].tolist() == [67, 62, 59, 55]  # the bass leaps up an octave
    assert first.onsets[:5].tolist() == [[True] * 4, *[[False] * 4] * 3, [True] * 4]


# ---------------------------------------------------------------- rebuilding

FASHION_SOURCE = Path("/usr/share/datasets/fashion-mnist")


def test_every_embedded_set_has_a_builder(rebuild: ModuleType) -> None:
    assert set(rebuild.BUILDERS) == {entry.name for entry in EMBEDDED} == set(rebuild.PACKAGES)


@pytest.mark.skipif(not FASHION_SOURCE.exists(), reason="needs Debian's dataset-fashion-mnist")
def test_fashion_mnist_can_be_rebuilt(
    rebuild: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rebuild.main(["fashion_mnist", "--check"]) == 0
    assert capsys.readouterr().out == "fashion_mnist: as in the registry\n"


def test_a_rebuild_that_differs_is_reported(
    rebuild: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The set stands for all: its builder writes other pictures, or the same ones packed anew."""
    images = np.concatenate([datasets.load("mnist", verbose=False).x_train,
                             datasets.load("mnist", verbose=False).x_test])  # fmt: skip

    def build(folder: Path, value: int) -> None:
        rebuild.write_packed_array(folder / "images.npy.xz", images + np.uint8(value))
        for name in ("labels.csv", "names.json"):
            (folder / name).write_bytes((DATA / "mnist" / name).read_bytes())

    monkeypatch.setattr(rebuild, "check_packages", lambda name: None)
    monkeypatch.setitem(rebuild.BUILDERS, "mnist", lambda folder: build(folder, 1))
    assert rebuild.main(["mnist", "--check"]) == 1
    assert capsys.readouterr().out == "mnist/images.npy.xz: different content\n"
    monkeypatch.setitem(rebuild.BUILDERS, "mnist", lambda folder: build(folder, 0))
    assert rebuild.main(["mnist", "--check"]) == 0
    import lzma

    monkeypatch.setattr(rebuild, "pack", lambda content: lzma.compress(content, preset=0))
    assert rebuild.main(["mnist", "--check"]) == 1
    assert "the same content, compressed differently" in capsys.readouterr().out


def test_rebuilding_needs_the_recorded_versions(
    rebuild: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(rebuild.PACKAGES, "mnist", {"numpy": "0.1", "pillow": "0.2"})
    assert rebuild.main(["mnist", "--check"]) == 1
    assert "mnist is built with numpy 0.1" in capsys.readouterr().out
    monkeypatch.setitem(rebuild.PACKAGES, "mnist", {"no-such-package": "1"})
    with pytest.raises(BookError, match="here is none"):
        rebuild.check_packages("mnist")
    with pytest.raises(SystemExit):
        rebuild.main(["mnits"])


def test_play_text(rebuild: ModuleType) -> None:
    markdown = (
        "# Title\n\n## ACT I\n\n### SCENE I. A heath.\n\n_Enter A, with\nothers_\n\n"
        "**First A**  \nGo — go, & c.  \n_\\[Aside]_ Stay.\n\n\n\n_\\[Sings]\n\n*Exit*\n"
    )
    assert rebuild.play_text(markdown) == (
        "ACT I\n\nSCENE I. A heath.\n\n[Enter A, with\nothers]\n\n"
        "First A:\nGo -- go, &c.\n[Aside] Stay.\n\n[Sings]\n\n[Exit]\n"
    )


def test_label_columns_come_from_the_options(rebuild: ModuleType) -> None:
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
    column = rebuild.label_column
    assert column(definition, drawn, "mouthVariant", None) == ([1, 0], ["sad", "smile"])
    assert column(definition, drawn, "beardVariant", None) == ([0, 2], ["none", "chin", "full"])
    colours = {"red": "#f00", "blue": "#00f"}
    assert column(definition, drawn, "hairColor", colours) == ([1, 0], ["red", "blue"])


@given(st.lists(st.sets(st.integers(0, 12), max_size=3), min_size=1, max_size=12))
def test_families_are_the_connected_parts(marks: list[set[int]]) -> None:
    found = REBUILD.families(marks)
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
    held_out = REBUILD.held_out(family_of)
    for one, two in itertools.combinations(range(len(family_of)), 2):
        if family_of[one] == family_of[two]:
            assert held_out[one] == held_out[two]
    assert (
        len({family for family, test in zip(family_of, held_out, strict=True) if test})
        == len(set(family_of)) // 10
    )


def test_grid_by_hand(rebuild: ModuleType) -> None:
    """A quarter, a repeated eighth, a rest, and two thirty-seconds of which one is lost."""
    quarter, eighth, short = Fraction(1), Fraction(1, 2), Fraction(1, 8)
    voice = [
        (60, Fraction(0), quarter),
        (60, quarter, eighth),
        (0, quarter + eighth, Fraction(1, 4)),
        (62, Fraction(7, 4), short),
        (64, Fraction(7, 4) + short, short),
    ]
    pitches, onsets = rebuild.grid([voice] * 4)
    assert pitches.shape == (8, 4) and pitches.dtype == np.uint8
    assert pitches[:, 2].tolist() == [60, 60, 60, 60, 60, 60, 0, 62]
    assert onsets[:, 2].tolist() == [True, False, False, False, True, False, False, True]


def tune(title: str, pitches: list[int], length: Fraction = Fraction(1, 2)) -> dict[str, Any]:
    return {"title": title, "book": "B", "meter": "6/8", "key": "",
            "notes": [(pitch, length) for pitch in pitches]}  # fmt: skip


def test_arrange_tunes(rebuild: ModuleType) -> None:
    generator = np.random.default_rng(0)
    melodies = [generator.integers(60, 80, 40).tolist() for _ in range(40)]
    tunes = [
        tune(f"Tune {chr(65 + number % 26)}{number}x", melody)
        for number, melody in enumerate(melodies)
    ]
    for number, one in enumerate(tunes):
        one["title"] = "abcdefghijklmnopqrstuvwxyz"[number % 26] * (1 + number // 26)
    rows = rebuild.arrange_tunes(tunes)
    assert len(rows) == 40 and sum(row[4] for row in rows) == 4
    assert rows[0] == ["a", "B", "6/8", "", rows[0][4], melodies[0], [12] * 40]
    # left out: a transposed repeat, too short, too low, lengths off the grid, no title
    off = Fraction(1, 7)
    bad = [
        tune("again", [pitch + 2 for pitch in melodies[3]]),
        tune("short", [60] * 15 + [0] * 9),
        tune("low", [40] * 20),
        tune("off", [60, 61] * 10, off),
        tune("", [60, 61, 62, 63] * 10),
    ]
    assert len(rebuild.arrange_tunes(tunes + bad)) == 40
    # relatives are on one side: a shared title, a shared middle in another key
    held = next(number for number, row in enumerate(rows) if row[4])
    relatives = [
        tune(f"The {tunes[held]['title'].upper()}!", generator.integers(60, 80, 40).tolist()),
        tune("zzzz", [60] * 9 + [pitch + 1 for pitch in melodies[held][5:30]]),
    ]
    again = rebuild.arrange_tunes(tunes + relatives)
    assert [row[4] for row in again] == [*(row[4] for row in rows), 1, 1]


@pytest.mark.parametrize("name", ["portraits", "sprouts"])
def test_colours_of_a_set_can_be_told_apart(rebuild: ModuleType, name: str) -> None:
    """Two names for nearly one colour would make labels that no picture shows."""
    attributes = rebuild.PORTRAIT_ATTRIBUTES if name == "portraits" else rebuild.SPROUT_ATTRIBUTES
    for _, colours in attributes.values():
        for one, two in itertools.combinations((colours or {}).values(), 2):
            values = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in (one, two)]
            assert np.linalg.norm(np.subtract(*values)) > 20, (one, two)


def test_music_is_parsed_as_written(rebuild: ModuleType, tmp_path: Path) -> None:
    """One small ABC file: a triplet, a grace note, a chord, a rest, ties, and a tie for a slur."""
    (tmp_path / "airdsAirs").mkdir()
    path = tmp_path / "airdsAirs" / "a.abc"
    path.write_text(
        "X:1\nT:Test.\nM:3/4\nL:1/8\nK:G\nG2 (3ABc {d}f2 | [Gd]2 z2 f-f- | f4 A-B |=f4 A2 |]\n"
    )
    (found,) = rebuild.read_tunes([path])
    assert (found["title"], found["meter"], found["key"]) == ("Test.", "3/4", "G major")
    third, half = Fraction(1, 3), Fraction(1, 2)
    assert found["notes"] == [
        (67, 1), (69, third), (71, third), (72, third), (78, 1),
        (74, 1), (0, 1), (78, 3),
        (69, half), (71, half),
        (77, 2), (69, 1),
    ]  # fmt: skip
