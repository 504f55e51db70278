"""helpers.music: scores, tokens, grids, and every way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import is_one_sentence

from helpers import datasets, music
from helpers.datasets import Chorale, Tune
from helpers.files import BookError
from helpers.music import END, HOLD, LOWEST, PAD, REST, Score

quickly = settings(deadline=None, max_examples=60)

JIG = Tune(
    "a jig", "", "6/8", "G major",
    np.array([[67, 12], [71, 24], [0, 12], [71, 12], [71, 24], [78, 36]], np.int16), 12,
)  # fmt: skip


# Keys ----------------------------------------------------------------------------------------


def test_keys_by_hand() -> None:
    assert music.read_key("F# minor") == (6, "minor")
    assert music.read_key("Cb major") == (11, "major")
    assert music.transpose_key("D minor", 2) == "E minor"
    assert music.transpose_key("Bb major", -10) == "C major"
    assert music.transpose_key("", 5) == ""
    assert music.transpose_key("Db minor", 12) == "Db minor"
    assert music.scale("G major") == {7, 9, 11, 0, 2, 4, 6}
    assert music.scale("A dorian") == music.scale("G major")
    for bad in ("H major", "g", "G", "G dur", "G  major", "G major "):
        with pytest.raises(BookError, match="A key is written like"):
            music.read_key(bad)


@given(st.sampled_from(music.TONICS), st.sampled_from(sorted(music.MODES)), st.integers(-24, 24))
def test_a_transposed_key_has_the_transposed_scale(tonic: str, mode: str, steps: int) -> None:
    moved = music.transpose_key(f"{tonic} {mode}", steps)
    assert music.scale(moved) == {(pitch + steps) % 12 for pitch in music.scale(f"{tonic} {mode}")}
    assert music.read_key(music.transpose_key(moved, -steps)) == music.read_key(f"{tonic} {mode}")


def test_notes_outside_the_key() -> None:
    assert music.share_outside([60, 61, 0, 62, 64], "C major") == 0.25
    with pytest.raises(BookError, match="Without a note"):
        music.share_outside([0, 0], "C major")


# Transposition takes the key along ------------------------------------------------------------


def test_a_transposed_tune_is_in_the_transposed_key() -> None:
    """The slip: notes move and the key's name stays, so that a fifth of them seem wrong."""
    moved = music.transpose_tune(JIG, 3)
    assert moved.key == "Bb major" and moved.meter == "6/8" and moved.pickup == 12
    assert moved.notes[:, 0].tolist() == [70, 74, 0, 74, 74, 81]  # the rest stays a rest
    assert moved.notes[:, 1].tolist() == JIG.notes[:, 1].tolist()
    assert JIG.notes[0, 0] == 67, "the original is untouched"
    for tune in datasets.load_tunes(verbose=False).train[:40]:
        outside = music.share_outside(tune.notes[:, 0], tune.key)
        for steps in (-5, 1, 6):
            again = music.transpose_tune(tune, steps)
            assert music.share_outside(again.notes[:, 0], again.key) == outside


def test_a_transposed_chorale_and_score() -> None:
    chorale = datasets.load_chorales(verbose=False).train[1]
    moved = music.transpose_chorale(chorale, -2)
    assert (chorale.key, moved.key) == ("D minor", "C minor")
    assert (moved.pitches == np.where(chorale.pitches, chorale.pitches - 2, 0)).all()
    one, two = music.score_of_chorale(chorale).transposed(-2), music.score_of_chorale(moved)
    assert one.key == two.key and one.notes() == two.notes()
    with pytest.raises(BookError, match="leaves the range of MIDI"):
        music.transpose_chorale(chorale, 60)
    with pytest.raises(BookError, match="leaves the range of MIDI"):
        music.transpose_tune(JIG, -67)  # would make a rest of the lowest note


# Scores ---------------------------------------------------------------------------------------


def test_a_score_by_hand() -> None:
    score = music.score_of_tune(JIG, 24)
    assert (score.ticks, score.bar, score.pickup) == (120, 72, 12)
    assert score.notes() == [[(0, 12, 67), (12, 36, 71), (48, 60, 71), (60, 84, 71), (84, 120, 78)]]
    short = score.part(2.2)  # 53 ticks: the third note is cut
    assert short.notes() == [[(0, 12, 67), (12, 36, 71), (48, 53, 71)]] and short.pickup == 12
    assert music.bar_ticks("6/8", 24) == 72 and music.bar_ticks("2/2", 4) == 16


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"voices": ()}, "needs a voice"),
        ({"voices": (np.zeros((3, 3), int),)}, "whole numbers"),
        ({"voices": (np.array([[60.0, 4.0]]),)}, "whole numbers"),
        ({"voices": (np.array([[200, 4]]),)}, "from 1 to 127"),
        ({"voices": (np.array([[60, 0]]),)}, "one tick or more"),
        ({"key": "H major"}, "A key is written"), ({"meter": "6-8"}, "A meter is written"),
        ({"meter": "3/5"}, "A meter is written"), ({"meter": "1/32"}, "no whole number of ticks"),
        ({"pickup": 16}, "not part of a bar"), ({"pickup": -1}, "not part of a bar"),
    ],
)  # fmt: skip
def test_scores_that_are_none(change: dict[str, object], words: str) -> None:
    good = {"voices": (np.array([[60, 4]]),), "ticks_per_quarter": 4, "meter": "4/4"}
    Score(**good)  # type: ignore[arg-type]
    with pytest.raises(BookError, match=words) as error:
        Score(**(good | change))  # type: ignore[arg-type]
    assert is_one_sentence(error)


# Tunes as tokens ------------------------------------------------------------------------------


def test_tokens_of_a_tune_by_hand() -> None:
    vocabulary = music.tune_vocabulary([JIG], 24)
    assert vocabulary.pitch_tokens == (None, None, "G major", 0, 67, 71, 78)
    assert vocabulary.length_tokens == (None, None, "6/8", 12, 24, 36, 60)
    assert vocabulary.sizes == (7, 7)
    codes = vocabulary.encode(JIG)
    assert codes.tolist() == [
        [2, 2],  # G major, 6/8
        [3, 6],  # a rest of 60 ticks fills the bar of the upbeat
        [4, 3], [5, 4], [3, 3], [5, 3], [5, 4], [6, 5], [END, END],
    ]  # fmt: skip
    back = vocabulary.decode(codes, "a jig")
    assert (back.title, back.meter, back.key, back.pickup) == ("a jig", "6/8", "G major", 12)
    assert back.notes.tolist() == JIG.notes.tolist() and back.notes.dtype == np.int16


def test_every_tune_comes_back_from_its_tokens() -> None:
    """Also its rests: they have lengths, and the music's whole time is in the tokens."""
    tunes = datasets.load_tunes(verbose=False)
    some = [*tunes.train[::40], *[tune for tune in tunes.train if (tune.notes == 0).any()][:40]]
    vocabulary = music.tune_vocabulary(some, tunes.ticks_per_quarter)
    for tune in some:
        back = vocabulary.decode(vocabulary.encode(tune), tune.title)
        kept = tune.notes
        if tune.notes[0, 0] == 0:  # a rest at the beginning and an upbeat sound the same
            kept = kept[1:]
        assert back.notes.tolist() == kept.tolist()
        assert (back.key, back.meter) == (tune.key, tune.meter)
        written = music.aligned(tune, 24)[:, 1].sum()
        bar = music.bar_ticks(tune.meter, 24)
        assert written == tune.notes[:, 1].sum() + (bar - tune.pickup if tune.pickup else 0)
        if tune.notes[0, 0]:
            assert back.pickup == tune.pickup


def test_the_test_tunes_are_written_with_the_training_vocabulary() -> None:
    tunes = datasets.load_tunes(verbose=False)
    vocabulary = music.tune_vocabulary(tunes.train, 24, transpositions=range(-5, 7))
    found, left_out = vocabulary.encode_all(tunes.test)
    assert len(found) + left_out == len(tunes.test) and left_out < 10
    moved = music.transpose_tune(tunes.train[0], 6)
    assert vocabulary.decode(vocabulary.encode(moved)).key == moved.key
    strange = JIG._replace(notes=np.array([[67, 11]], np.int16))
    with pytest.raises(BookError, match="The vocabulary has no 11") as error:
        vocabulary.encode(strange)
    assert is_one_sentence(error)


def test_a_vocabulary_counts_tunes_not_notes() -> None:
    other = JIG._replace(notes=np.array([[67, 12]], np.int16), pickup=0)
    few = music.tune_vocabulary([JIG, other], 24, fewest=2)
    assert few.length_tokens == (None, None, "6/8", 12)
    with pytest.raises(BookError, match="one tune or more"):
        music.tune_vocabulary([], 24)
    with pytest.raises(BookError, match="leaves the range"):
        music.tune_vocabulary([JIG], 24, transpositions=(60,))


def test_what_a_model_may_write() -> None:
    """A model is free to write nonsense; decoding keeps what is music."""
    vocabulary = music.tune_vocabulary([JIG], 24)
    codes = [[2, 2], [4, 3], [2, 3], [5, 2], [5, END], [4, 3]]
    assert vocabulary.decode(np.array(codes)).notes.tolist() == [[67, 12]]
    assert vocabulary.decode(np.array([[4, 3], [PAD, 3], [4, 3]])).notes.tolist() == [[67, 12]]
    assert vocabulary.decode(np.zeros((0, 2), int)).notes.shape == (0, 2)
    for bad in ([[4, 9]], [[-1, 3]], [[4.0, 3.0]], [4, 3]):
        with pytest.raises(BookError):
            vocabulary.decode(np.array(bad))


@quickly
@given(st.lists(st.integers(2, 40), min_size=1, max_size=6), st.integers(1, 12))
def test_in_windows_every_row_is_a_target_once(sizes: list[int], length: int) -> None:
    sequences = [
        np.stack([np.arange(size), np.arange(size)], axis=1) + 1000 * (number + 1)
        for number, size in enumerate(sizes)
    ]
    found = music.windows(sequences, length)
    assert found.shape[1:] == (length + 1, 2)
    targets = found[:, 1:, 0]
    expected = np.concatenate([codes[1:, 0] for codes in sequences])
    assert sorted(targets[targets != PAD].tolist()) == sorted(expected.tolist())
    inputs = found[:, :-1, 0]
    real = targets != PAD
    assert (targets[real] - inputs[real] == 1).all(), "a target follows its input"


# Chorales as states ---------------------------------------------------------------------------

GRIDS = st.integers(1, 24).flatmap(
    lambda steps: st.lists(
        st.lists(st.sampled_from([REST, HOLD, HOLD, 2, 14, 30, 47]), min_size=4, max_size=4),
        min_size=steps,
        max_size=steps,
    )
)


def canonical(grid: list[list[int]]) -> np.ndarray:
    """The same grid with rests where nothing is there to be held."""
    return music.states(*music.pitches_and_onsets(np.array(grid)))


@quickly
@given(GRIDS)
def test_states_come_back_from_both_kinds_of_token(rows: list[list[int]]) -> None:
    grid = canonical(rows)
    grid_codes, events = music.grid_tokens(grid), music.event_tokens(grid)
    assert (music.from_grid_tokens(grid_codes) == grid).all()
    assert (music.from_event_tokens(events) == grid).all()
    assert len(grid_codes) == 4 * len(grid) + 1 and events[-1] == music.EVENT_END
    assert events.max() < music.EVENT_TOKENS and grid_codes.max() < music.GRID_TOKENS
    silences = ((grid[1:] == REST) & (grid[:-1] != REST)).sum()
    assert (events < 188).sum() == (grid >= 2).sum() + silences


@quickly
@given(GRIDS)
def test_a_tie_is_no_new_note_and_a_rest_has_a_length(rows: list[list[int]]) -> None:
    grid = canonical(rows)
    voices = music.voices_of(grid)
    for number, voice in enumerate(voices):
        assert (voice[:, 0] > 0).sum() == (grid[:, number] >= 2).sum(), "as many notes as begin"
        assert voice[:, 1].sum() == len(grid), "notes and rests fill the whole time"
        assert (voice[voice[:, 0] == 0, 1].sum()) == (grid[:, number] == REST).sum()


def test_states_by_hand() -> None:
    """A half note, two repeated quarters and a rest: three notes, not sixteen."""
    pitches = np.array([[60]] * 8 + [[62]] * 8 + [[0]] * 4)
    onsets = np.zeros((20, 1), bool)
    onsets[[0, 8, 12]] = True
    grid = music.states(pitches, onsets)
    note = 2 + 60 - LOWEST
    assert grid[:, 0].tolist() == [note, *[HOLD] * 7, note + 2, *[HOLD] * 3, note + 2,
                                   *[HOLD] * 3, *[REST] * 4]  # fmt: skip
    (voice,) = music.voices_of(grid)
    assert voice.tolist() == [[60, 8], [62, 4], [62, 4], [0, 4]]
    assert music.event_tokens(grid).tolist() == [
        25, 188 + 7, 27, 188 + 3, 27, 188 + 3, 0, 188 + 3, music.EVENT_END,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pitches", "onsets", "words"),
    [
        ([[60], [62]], [[True], [False]], "contradict"), ([[0]], [[True]], "contradict"),
        ([[0], [62]], [[False], [False]], "contradict"), ([[90]], [[True]], "do not fit"),
        ([60], [True], "voices"), ([[60]], [[True, False]], "voices"),
    ],
)  # fmt: skip
def test_grids_that_are_none(pitches: object, onsets: object, words: str) -> None:
    with pytest.raises(BookError, match=words) as error:
        music.states(pitches, onsets)  # type: ignore[arg-type]
    assert is_one_sentence(error)


def test_every_chorale_comes_back() -> None:
    """From a sample, so that the test stays short: all of them were tried once."""
    chorales = datasets.load_chorales(verbose=False)
    for piece in chorales.train[::20] + chorales.test[::7]:
        grid = music.states(piece.pitches, piece.onsets)
        pitches, onsets = music.pitches_and_onsets(grid)
        assert (pitches == piece.pitches).all() and (onsets == piece.onsets).all()
        assert (music.from_event_tokens(music.event_tokens(grid)) == grid).all()
        score = music.score_of_chorale(piece)
        assert sum(map(len, score.notes())) == piece.onsets.sum()
        assert {int(voice[:, 1].sum()) for voice in score.voices} == {len(piece.pitches)}


def test_voices_that_cross_keep_their_notes() -> None:
    """Where the alto is above the soprano, each voice goes on with its own note."""
    chorales = datasets.load_chorales(verbose=False)
    crossing = next(
        piece for piece in chorales.train
        if ((piece.pitches[:, 1] > piece.pitches[:, 0]) & (piece.pitches[:, 0] > 0)).any()
    )  # fmt: skip
    voices = music.score_of_chorale(crossing).voices
    for number, voice in enumerate(voices):
        line = np.repeat(voice[:, 0], voice[:, 1])
        assert (line == crossing.pitches[:, number]).all()


def test_models_tokens_that_are_odd() -> None:
    assert music.from_event_tokens(np.array([25])).shape == (0, 4)  # lasts no time
    grid = music.from_event_tokens(np.array([25, 27, 188, music.EVENT_END, 25, 188]))
    assert grid.tolist() == [[28, REST, REST, REST]]  # the later event of a voice counts
    assert music.from_grid_tokens(np.array([5, 5, 5, 5, 5])).shape == (1, 4)
    for bad in ([204, 205], [-1], [[1]], [0.5]):
        with pytest.raises(BookError):
            music.from_event_tokens(np.array(bad))


# Bars -----------------------------------------------------------------------------------------


def chorale(steps: int, pickup: int, meter: str = "4/4") -> Chorale:
    """Four voices that climb a semitone each quarter, the first ones before the bar line."""
    line = 40 + np.arange(steps) // 4
    pitches = np.stack([line + 12, line + 8, line + 4, line], axis=1).astype(np.uint8)
    onsets = np.zeros(pitches.shape, bool)
    onsets[::4] = True
    return Chorale("a chorale", "C major", meter, pickup, pitches, onsets)


def test_bars_begin_at_bar_lines() -> None:
    """The slip: without the upbeat's length every bar begins a quarter too early."""
    notes, begins = music.bars(chorale(4 + 32 + 8, pickup=4))
    assert notes.shape == begins.shape == (2, 16, 4)
    assert notes[0, 0].tolist() == [53, 49, 45, 41]  # the second quarter of the piece
    whole, _ = music.bars(chorale(48, pickup=0))
    assert whole[0, 0].tolist() == [52, 48, 44, 40] and len(whole) == 3
    with pytest.raises(BookError, match="not in 4/4"):
        music.bars(chorale(48, 0, "3/4"))
    assert len(music.bars(chorale(48, 0, ""), ("4/4", ""))[0]) == 3


def test_stretches_of_bars() -> None:
    pieces = [chorale(64, 0), chorale(48, 0, "3/4"), chorale(20, 0), chorale(68, 4)]
    notes, begins, left_out = music.bar_windows(pieces, 2)
    assert notes.shape == (6, 2, 16, 4) and left_out == 2
    assert notes[0, 1].tolist() == notes[1, 0].tolist(), "stretches overlap by a bar"
    held = chorale(48, 0)._replace(
        pitches=np.full((48, 4), 60, np.uint8), onsets=np.zeros((48, 4), bool)
    )
    _, begins, _ = music.bar_windows([held], 2)
    assert begins.sum() == 2 * 4, "what is held into a stretch begins there, and only there"
    with pytest.raises(BookError, match="No chorale has"):
        music.bar_windows([chorale(20, 0)], 2)


@quickly
@given(GRIDS)
def test_rolls_come_back(rows: list[list[int]]) -> None:
    pitches, onsets = music.pitches_and_onsets(canonical(rows))
    padded = np.zeros((32, 4), np.uint8), np.zeros((32, 4), bool)
    padded[0][: len(pitches)], padded[1][: len(pitches)] = pitches, onsets
    both = [part.reshape(1, 2, 16, 4) for part in padded]
    roll = music.rolls(*both)
    assert roll.shape == (1, 2, 16, 48, 4) and roll.dtype == np.float32
    assert set(np.unique(roll).tolist()) <= {-1.0, 1.0}
    assert ((roll[:, :, :, :47] > 0).sum(axis=3) == 1).all(), "one pitch or a rest"
    back = music.from_rolls(roll)
    assert (back[0] == both[0]).all() and (back[1] == both[1]).all()
    soft = music.from_rolls(roll * 0.3)  # what a generator draws is not quite 1
    assert (soft[0] == both[0]).all() and (soft[1] == both[1]).all()


def test_rolls_that_are_none() -> None:
    for bad in (np.zeros((2, 16, 48, 4)), np.full((1, 2, 16, 48, 4), np.nan),
                np.zeros((1, 2, 16, 84, 4))):  # fmt: skip
        with pytest.raises(BookError, match="Rolls are finite"):
            music.from_rolls(bad)


def test_nats_per_bar_do_not_depend_on_the_tokens() -> None:
    """32 steps of 4/4 are two bars, whether 129 tokens or 20 made them."""
    assert music.nats_per_bar(60.0, 32) == 30.0
    assert music.nats_per_bar(60.0, 32, "3/4") == 22.5
    for nats, steps in ((np.nan, 32), (-1.0, 32), (1.0, 0)):
        with pytest.raises(BookError, match="Nats per bar"):
            music.nats_per_bar(nats, steps)
