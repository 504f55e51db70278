"""The files under data/: listed, licensed and small."""

from __future__ import annotations

import re

import numpy as np
import pytest

from helpers import datasets
from helpers.files import DATA, file_sha256

EMBEDDED = [entry for entry in datasets.REGISTRY.values() if entry.embedded and entry.files]
FILES = [(entry, file) for entry in EMBEDDED for file in entry.files]
NAMES = [f"{entry.name}/{file.name}" for entry, file in FILES]
README = (DATA / "README.md").read_text(encoding="utf-8")
LARGEST = 8 * 2**20  # bytes; Fashion-MNIST's training pictures are the one exception


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
        beats, unit = map(int, tune.meter.split("/"))
        assert 0 <= tune.pickup < beats * 96 // unit
    assert 0.5 < np.mean([tune.pickup > 0 for tune in both]) < 0.95
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
    assert found.pickup == 12
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


def test_no_test_chorale_has_the_melody_of_a_training_chorale() -> None:
    """By the steps of the soprano from beat to beat, which see through ornaments and keys."""
    chorales = datasets.load_chorales(verbose=False)

    def runs(piece: datasets.Chorale) -> set[tuple[int, ...]]:
        steps = np.diff(piece.pitches[piece.pickup % 4 :: 4, 0].astype(int)).tolist()
        moves = [step for step in steps if step]
        return {tuple(moves[at : at + 14]) for at in range(len(moves) - 13)}

    seen = set().union(*map(runs, chorales.train))
    assert not [piece.title for piece in chorales.test if runs(piece) & seen]


def test_a_chorale_that_everybody_can_check() -> None:
    """BWV 269, the first of Riemenschneider's numbers: G major, 3/4, one beat of pickup."""
    chorales = datasets.load_chorales(verbose=False)
    (first,) = [piece for piece in chorales.train + chorales.test if piece.title == "BWV 269"]
    assert (first.key, first.meter, first.pickup) == ("G major", "3/4", 4)
    assert first.pitches[0].tolist() == [67, 62, 59, 43]  # g' d' b G
    assert first.pitches[4].tolist() == [67, 62, 59, 55]  # the bass leaps up an octave
    assert first.onsets[:5].tolist() == [[True] * 4, *[[False] * 4] * 3, [True] * 4]
