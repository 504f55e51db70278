"""Music that is not embedded: chorales as arrays, melodies as MIDI."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import (
    Server,
    Trap,
    is_one_sentence,
    reusing_the_folder,
    serve,
)

from helpers import datasets
from helpers.datasets import (
    DatasetUnavailable,
    midi,
    music,
    own_music,
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


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">4sI", kind, len(content)) + content


def midi_bytes(*tracks: bytes, division: int = 96) -> bytes:
    """A MIDI file of tracks as they stand in it."""
    header = struct.pack(">HHh", 1, len(tracks), division)
    return chunk(b"MThd", header) + b"".join(chunk(b"MTrk", track) for track in tracks)


END = b"\x00\xff\x2f\x00"
NOTE = b"\x00\x90\x3c\x40\x60\x80\x3c\x00"  # pitch 60 for 96 ticks


def midi_file(path: Path, notes: list[tuple[int, int, int]], division: int = 96) -> Path:
    """A MIDI file of notes (start, end, pitch), written by mido."""
    events = sorted(
        [(end, 0, pitch) for _, end, pitch in notes]
        + [(start, 64, pitch) for start, _, pitch in notes]
    )
    track, time = mido.MidiTrack([mido.MetaMessage("track_name", name="cell")]), 0
    for when, loudness, pitch in events:
        track.append(mido.Message("note_on", note=pitch, velocity=loudness, time=when - time))
        time = when
    mido.MidiFile(tracks=[track], ticks_per_beat=division).save(path)
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
    assert midi.read_notes(midi_file(tmp_path / "a.mid", notes)) == (96, notes)
    line = midi.top_line(notes, 1.0)
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
        division, notes = midi.read_notes(path)
    except BookError as error:
        assert "damaged" in str(error)
    else:
        assert division > 0 and all(start <= end for start, end, _ in notes)


@pytest.mark.parametrize(
    ("content", "notes"),
    [
        # bytes after the end of a track, of a file, and between tracks
        (midi_bytes(NOTE + END + b"\x00\x90\x3e\x40\x60\x80\x3e\x00"), [(0, 96, 60)]),
        (midi_bytes(NOTE + END + b"\xff\xff\xff"), [(0, 96, 60)]),
        (midi_bytes(NOTE + END) + b"junk", [(0, 96, 60)]),
        (midi_bytes(b"", NOTE + END).replace(b"MTrk\0\0\0\0", chunk(b"XFIH", b"abcd")),
         [(0, 96, 60)]),
        (midi_bytes(NOTE), [(0, 96, 60)]),  # no end at all
        (midi_bytes(b"\x00\xff\x01\x04a" + END[1:] + NOTE + END), [(0, 96, 60)]),  # a text
        # tempo and meter in the middle of a note
        (midi_bytes(b"\x00\xff\x51\x03\x07\xa1\x20" + NOTE[:4]
                    + b"\x30\xff\x51\x03\x03\xd0\x90\x00\xff\x58\x04\x03\x02\x18\x08"
                    + b"\x30\x80\x3c\x00" + END), [(0, 96, 60)]),
        # never released: until the end of the track
        (midi_bytes(NOTE[:4] + b"\x60\x90\x3e\x40\x60\x80\x3e\x00\x60" + END[1:]),
         [(0, 288, 60), (96, 192, 62)]),
        # one pitch twice at a time, on one channel and on two
        (midi_bytes(NOTE[:4] + b"\x30\x90\x3c\x40\x30\x80\x3c\x00\x30\x80\x3c\x00" + END),
         [(0, 96, 60), (48, 144, 60)]),
        (midi_bytes(NOTE[:4] + b"\x30\x91\x3c\x40\x30\x81\x3c\x00\x30\x80\x3c\x00" + END),
         [(0, 144, 60), (48, 96, 60)]),
        # struck again in the tick of its release, in either order
        (midi_bytes(NOTE + NOTE + END), [(0, 96, 60), (96, 192, 60)]),
        (midi_bytes(NOTE[:4] + b"\x60\x90\x3c\x40\x00\x80\x3c\x00\x60\x80\x3c\x00" + END),
         [(0, 96, 60), (96, 192, 60)]),
        (midi_bytes(NOTE[:4] + b"\x00\x80\x3c\x00" + END), [(0, 0, 60)]),  # no length
        (midi_bytes(NOTE.replace(b"\x90", b"\x99").replace(b"\x80", b"\x89") + END), []),  # drums
        (midi_bytes(NOTE.replace(b"\x60\x80", b"\xff\xff\xff\x7f\x80") + END),
         [(0, 2**28 - 1, 60)]),
        (midi_bytes(NOTE + END, b"\x30" + NOTE[1:] + END), [(0, 96, 60), (48, 144, 60)]),
    ],
)  # fmt: skip
def test_odd_midi_files(tmp_path: Path, content: bytes, notes: list[tuple[int, int, int]]) -> None:
    (tmp_path / "a.mid").write_bytes(content)
    assert midi.read_notes(tmp_path / "a.mid") == (96, notes)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a MIDI file"), (b"no music", "not a MIDI file"),
        (midi_bytes(NOTE + END)[:-9], "ends too early"),
        (midi_bytes(NOTE + END, division=-6360), "not counted in notes"),
        (midi_bytes(NOTE + END, division=0), "not counted in notes"),
    ],
)  # fmt: skip
def test_no_midi_files(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.mid").write_bytes(content)
    with pytest.raises(BookError, match=rf"a\.mid .* damaged .*{words}") as error:
        midi.read_notes(tmp_path / "a.mid")
    assert is_one_sentence(error)


def test_a_very_long_rest_is_one_sentence(tmp_path: Path) -> None:
    """Lengths are int16; once this was an OverflowError."""
    path = midi_file(tmp_path / "a.mid", [(0, 96, 60), (200_000, 200_096, 62)])
    with pytest.raises(BookError, match=r"a\.mid .* a rest of 2,082 quarters") as error:
        midi.read_melody(path)
    assert is_one_sentence(error)


@reusing_the_folder
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 8), st.integers(1, 8), st.integers(30, 90)),
        min_size=1,
        max_size=12,
    )
)
def test_files_that_music21_writes(tmp_path: Path, steps: list[tuple[int, int, int]]) -> None:
    """Notes (start, length, pitch) in eighths that may overlap, with a tempo and two meters."""
    from music21 import meter, note, stream, tempo

    voices: dict[int, list[tuple[int, int]]] = {}
    for start, length, pitch in steps:  # music21 itself loses overlapping notes of one pitch
        taken = voices.setdefault(pitch, [])
        if all(start + length <= one or one + other <= start for one, other in taken):
            taken.append((start, length))
    part = stream.Stream([meter.TimeSignature("6/8"), tempo.MetronomeMark(number=90)])
    part.insert(3, meter.TimeSignature("3/4"))
    part.insert(2, tempo.MetronomeMark(number=60))
    for pitch, taken in voices.items():
        for start, length in taken:
            part.insert(start / 2, note.Note(pitch, quarterLength=length / 2))
    part.write("midi", fp=tmp_path / "a.mid")
    division, notes = midi.read_notes(tmp_path / "a.mid")
    written = sorted((s, s + n, pitch) for pitch, taken in voices.items() for s, n in taken)
    shift = notes[0][0] - written[0][0] * division // 2  # music21 puts some silence before
    expected = [(s * division // 2 + shift, e * division // 2 + shift, p) for s, e, p in written]
    assert notes == expected


def test_the_top_line_takes_the_top_note_and_keeps_rests() -> None:
    notes = sorted([(0, 96, 50), (0, 48, 62), (96, 192, 64), (288, 300, 65)])
    line = midi.top_line(notes, 24 / 96)
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
    (folder / "._cs00.mid").write_bytes(b"what macOS writes")
    assert len(datasets.load_tunes("cello_suites", verbose=False).train) == 11
    (folder / "cs00.mid").write_bytes(midi_bytes(END))
    with pytest.raises(BookError, match=r"cs00\.mid .* has no notes"):
        datasets.load_tunes("cello_suites")
    (folder / "cs00.mid").write_bytes(b"no music")
    with pytest.raises(BookError, match=r"cs00\.mid .* damaged"):
        datasets.load_tunes("cello_suites")


# ------------------------------------------------------- the reader's own files


def melody(seed: int, length: int = 40) -> list[tuple[int, int, int]]:
    """Quarters of random pitches."""
    pitches = np.random.default_rng(seed).integers(55, 80, length).tolist()
    return [(96 * place, 96 * (place + 1), pitch) for place, pitch in enumerate(pitches)]


def moved(notes: list[tuple[int, int, int]], semitones: int) -> list[tuple[int, int, int]]:
    return [(start, end, pitch + semitones) for start, end, pitch in notes]


def test_a_folder_of_the_readers_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Damaged files are counted, a transposed repeat goes, a version stays with its original."""
    (tmp_path / "more").mkdir()
    for number in range(30):
        midi_file(tmp_path / "more" / f"tune {number:02d}.mid", melody(number))
    midi_file(tmp_path / "again.mid", moved(melody(9), 3))  # all of it, in another key
    version = melody(9)[:30] + moved(melody(77), 0)[30:]
    midi_file(tmp_path / "version.midi", moved(version, -2))
    (tmp_path / "broken.mid").write_bytes(b"no music")
    (tmp_path / "silent.mid").write_bytes(midi_bytes(END))
    (tmp_path / "notes.txt").write_text("no MIDI file")
    (tmp_path / "._a.mid").write_bytes(b"what macOS writes")
    tunes = datasets.load_tunes(f"folder:{tmp_path}")
    line = capsys.readouterr().out
    assert "32 of 34 MIDI files of the reader's own, 2 skipped (first: broken.mid" in line
    assert "1 repeated" in line and line.count("\n") == 1
    assert len(tunes.train) + len(tunes.test) == 31 and len(tunes.test) in (3, 4)
    sides = {tune.title: side for side, part in enumerate((tunes.train, tunes.test))
             for tune in part}  # fmt: skip
    original = "tune 09" if "tune 09" in sides else "again"
    assert sides["version"] == sides[original], "versions of a tune are on one side"
    assert ("again" in sides) != ("tune 09" in sides)
    assert tunes.ticks_per_quarter == 24 and tunes.train[0].pickup == 0


def test_versions_are_never_split(tmp_path: Path) -> None:
    """Thirty tunes, each in two keys with another ending: no pair is on two sides."""
    for number in range(30):
        one = melody(number)
        midi_file(tmp_path / f"{number:02d}.mid", one)
        midi_file(tmp_path / f"{99 - number}.mid", moved(one[:25], 4) + one[25:])
    tunes = datasets.load_tunes(f"folder:{tmp_path}", verbose=False)
    test = {int(tune.title) for tune in tunes.test}
    assert len(test) == 6 and all((99 - number) in test for number in test)
    (tmp_path / "one").mkdir()
    for number in range(3):
        midi_file(tmp_path / "one" / f"{number}.mid", moved(melody(1)[: 30 + number], number))
    with pytest.raises(BookError, match="versions of one") as error:
        datasets.load_tunes(f"folder:{tmp_path / 'one'}")
    assert is_one_sentence(error)


def test_one_file_of_the_readers_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = midi_file(tmp_path / "a.mid", melody(0, 50))
    tunes = datasets.load_tunes(f"folder:{path}")
    assert [len(part[0].notes) for part in (tunes.train, tunes.test)] == [45, 5]
    assert "1 MIDI file of the reader's own, its last tenth for testing" in capsys.readouterr().out
    midi_file(tmp_path / "b.mid", melody(0, 1))
    for name, words in (("b.mid", "has one note"), ("c.mid", "There is no folder"),
                        ("empty", "has no MIDI files"), ("bad.mid", r"bad\.mid .* damaged"),
                        ("bad", "None of the 2 MIDI files")):  # fmt: skip
        (tmp_path / "empty").mkdir(exist_ok=True)
        (tmp_path / "bad").mkdir(exist_ok=True)
        for wrong in ("bad.mid", "bad/1.mid", "bad/2.mid"):
            (tmp_path / wrong).write_bytes(b"no music")
        with pytest.raises(BookError, match=words) as error:
            datasets.load_tunes(f"folder:{tmp_path / name}")
        assert is_one_sentence(error)


def four_tracks(path: Path, seed: int, semitones: int = 0, tracks: int = 4) -> Path:
    """A MIDI file of voices an octave apart, from low to high, with one repeated note in each."""
    file = mido.MidiFile(ticks_per_beat=96)
    for voice in range(tracks):
        track = mido.MidiTrack()
        notes = [*melody(seed * 10 + voice, 24), (24 * 96, 25 * 96, 60), (25 * 96, 26 * 96, 60)]
        for start, end, pitch in moved(notes, semitones + 12 * voice - 24):
            track.append(mido.Message("note_on", note=pitch, velocity=64, time=0))
            track.append(mido.Message("note_off", note=pitch, time=end - start))
        file.tracks.append(track)
    file.save(path)
    return path


def test_own_pieces_for_four_voices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(12):
        four_tracks(tmp_path / f"{number:02d}.mid", number)
    four_tracks(tmp_path / "again.mid", 3, semitones=2)
    four_tracks(tmp_path / "three.mid", 50, tracks=3)
    chorales = datasets.load_chorales(f"folder:{tmp_path}")
    line = capsys.readouterr().out
    assert "13 of 14 MIDI files of the reader's own, 1 skipped (first: three.mid" in line
    assert "3 tracks with notes instead of four" in line and "1 repeated" in line
    assert (len(chorales.train), len(chorales.test)) == (11, 1)
    piece = chorales.train[0]
    assert piece.pitches.shape == (26 * 4, 4) and piece.onsets.sum() == 4 * 26
    assert (np.diff(piece.pitches.mean(axis=0)) < 0).all(), "from soprano to bass"
    assert piece.onsets[-8:, 0].tolist() == [True, *[False] * 3] * 2, "a repeated note is two"
    (tmp_path / "one").mkdir()
    four_tracks(tmp_path / "one" / "a.mid", 1)
    with pytest.raises(BookError, match="two pieces are needed") as error:
        datasets.load_chorales(f"folder:{tmp_path / 'one'}")
    assert is_one_sentence(error)


def test_a_voice_that_enters_late_keeps_its_place(tmp_path: Path) -> None:
    file = mido.MidiFile(ticks_per_beat=96)
    for voice, wait in enumerate((0, 96, 192, 288)):
        on = mido.Message("note_on", note=80 - 10 * voice, velocity=64, time=96 + wait)
        off = mido.Message("note_off", note=80 - 10 * voice, time=96)
        file.tracks.append(mido.MidiTrack([on, off]))
    file.save(tmp_path / "a.mid")
    pitches, onsets = own_music.read_grid(tmp_path / "a.mid")
    assert pitches.shape == (16, 4) and onsets.sum() == 4
    assert np.argwhere(onsets).tolist() == [[0, 0], [4, 1], [8, 2], [12, 3]]
    assert (pitches > 0).sum(axis=0).tolist() == [4] * 4
