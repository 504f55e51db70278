"""Music that is not embedded: chorales as arrays, melodies as MIDI."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import (
    Server,
    Trap,
    reusing_the_folder,
    serve,
)

from helpers import datasets
from helpers.datasets import (
    DatasetUnavailable,
    midi,
    music,
)
from helpers.files import BookError, cache_folder


def jsb_file(parts: dict[str, list[np.ndarray]]) -> bytes:
    """A file like Jsb16thSeparated.npz: object arrays of half-precision grids, pickled."""
    buffer = io.BytesIO()
    arrays = {}
    for name, grids in parts.items():
        arrays[name] = np.empty(len(grids), object)
        arrays[name][:] = [np.asarray(grid, np.float16) for grid in grids]
    np.savez(buffer, **arrays)
    return buffer.getvalue()


STEP = [72.0, 67.0, 64.0, 48.0]


def test_jsb_chorales(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    held = [STEP, STEP, [72, 69, 64, np.nan], [72, 69, np.nan, 48]]
    parts = {"train": [[STEP] * 40, held], "valid": [[STEP]], "test": [[STEP] * 300]}
    serve(monkeypatch, server, "jsb_chorales", jsb_file(parts))  # type: ignore[arg-type]
    chorales = datasets.load_chorales("jsb_chorales", verbose=False)
    assert [len(piece.pitches) for piece in chorales.train] == [40, 4, 1]
    assert [len(piece.pitches) for piece in chorales.test] == [300]
    piece = chorales.train[1]
    assert piece.pitches[2:].tolist() == [[72, 69, 64, 0], [72, 69, 0, 48]]
    assert piece.onsets.tolist() == [
        [True] * 4, [False] * 4, [False, True, False, False], [False, False, False, True],
    ]  # fmt: skip


def test_the_pickle_in_jsb_chorales_is_not_executed(tmp_path: Path) -> None:
    parts = {
        name: np.array([Trap(tmp_path / "sprung")], object) for name in ("train", "valid", "test")
    }
    path = tmp_path / "trap.npz"
    np.savez(path, **parts)
    with pytest.raises(BookError, match="damaged"):
        music.read_jsb_chorales(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "grids",
    [[[[200.0] * 4]], [[[60.5] * 4]], [[[60.0] * 3] * 3], [[[np.inf] * 4]]],
)
def test_jsb_chorales_that_are_not(tmp_path: Path, grids: list[Any]) -> None:
    parts = {"train": grids, "valid": [[STEP]], "test": [[STEP]]}
    (tmp_path / "a.npz").write_bytes(jsb_file(parts))  # type: ignore[arg-type]
    with pytest.raises(BookError, match="damaged"):
        music.read_jsb_chorales(tmp_path / "a.npz")


def midi_number(value: int) -> bytes:
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.insert(0, value & 0x7F | 0x80)
    return bytes(digits)


def midi_file(path: Path, notes: list[tuple[int, int, int]], division: int = 96) -> Path:
    """A MIDI file of notes (start, end, pitch), using running status, and ends as silent starts."""
    events = sorted(
        [(end, 0, pitch) for _, end, pitch in notes]
        + [(start, 64, pitch) for start, _, pitch in notes]
    )
    track, time = bytearray(b"\x00\xff\x03\x04cell\x00\xc0\x2a"), 0
    for number, (when, loudness, pitch) in enumerate(events):
        track += midi_number(when - time) + (b"\x90" if number == 0 else b"")
        track += bytes([pitch, loudness])
        time = when
    track += b"\x00\xff\x2f\x00"
    header = struct.pack(">4sIHHH", b"MThd", 6, 1, 1, division)
    path.write_bytes(header + struct.pack(">4sI", b"MTrk", len(track)) + track)
    return path


MELODY = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 200), st.integers(1, 127)), min_size=1, max_size=30
)


@reusing_the_folder
@given(steps=MELODY)
def test_midi_round_trip(tmp_path: Path, steps: list[tuple[int, int, int]]) -> None:
    """Steps are (gap, length, pitch) of one voice."""
    notes, time = [], 0
    for gap, length, pitch in steps:
        notes.append((time + gap, time + gap + length, pitch))
        time += gap + length
    assert midi.read_midi(midi_file(tmp_path / "a.mid", notes)) == (96, notes)
    line = midi.one_voice(notes, 1.0)
    assert (line[:, 1] > 0).all()
    assert line[:, 1].sum() == notes[-1][1] - notes[0][0]  # time is neither lost nor made
    assert [pitch for pitch, _ in line.tolist() if pitch] == [pitch for _, _, pitch in notes]


@reusing_the_folder
@given(data=st.data())
def test_damaged_midi_is_one_sentence_or_read(tmp_path: Path, data: st.DataObject) -> None:
    path = midi_file(tmp_path / "a.mid", [(0, 90, 60), (90, 200, 64), (300, 400, 67)])
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        division, notes = midi.read_midi(path)
    except BookError as error:
        assert "damaged" in str(error)
    else:
        assert division > 0 and all(start < end for start, end, _ in notes)


def test_one_voice_takes_the_top_note_and_keeps_rests() -> None:
    notes = sorted([(0, 96, 50), (0, 48, 62), (96, 192, 64), (288, 300, 65)])
    line = midi.one_voice(notes, 24 / 96)
    assert line.tolist() == [[62, 12], [0, 12], [64, 24], [0, 24], [65, 3]]


def test_cello_suites() -> None:
    folder = cache_folder() / "cello_suites"
    folder.mkdir()
    with pytest.raises(DatasetUnavailable, match="fewer than two"):
        datasets.load_tunes("cello_suites")
    for number in range(12):
        midi_file(folder / f"cs{number:02d}.mid", [(0, 96, 40 + number), (96, 144, 50)])
    suites = datasets.load_tunes("cello_suites", verbose=False)
    assert (len(suites.train), len(suites.test)) == (11, 1)
    assert suites.test[0].title == "cs09" and suites.ticks_per_quarter == 24
    assert suites.test[0].notes.tolist() == [[49, 24], [50, 12]]
    (folder / "cs00.mid").write_bytes(b"no music")
    with pytest.raises(BookError, match=r"cs00\.mid .* damaged"):
        datasets.load_tunes("cello_suites")
