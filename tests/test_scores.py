"""helpers.scores: what is written to MIDI and MusicXML is read back."""

from __future__ import annotations

import base64
import io
import re
import sys
from pathlib import Path
from urllib.parse import unquote

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import is_one_sentence, reusing_the_folder

from helpers import datasets, music, scores
from helpers.datasets import midi
from helpers.files import BookError
from helpers.music import Score

JIG = Score(
    (np.array([[67, 12], [71, 24], [0, 12], [71, 12], [71, 24], [78, 60], [61, 8], [60, 16]]),),
    24, "A jig & more", "6/8", "G major", 12,
)  # fmt: skip

VOICE = st.lists(
    st.tuples(st.sampled_from([0, 50, 60, 60, 61, 78]), st.sampled_from([3, 6, 12, 18, 24, 60])),
    min_size=1, max_size=12,
)  # fmt: skip


def joined(voice: np.ndarray) -> list[list[int]]:
    """Rests in a row as one, and none at the end: what a file can keep."""
    found: list[list[int]] = []
    for pitch, length in voice.tolist():
        if found and pitch == found[-1][0] == 0:
            found[-1][1] += length
        else:
            found.append([pitch, length])
    return found[:-1] if found and found[-1][0] == 0 else found


def without_first_rest(voice: list[list[int]]) -> list[list[int]]:
    return voice[1:] if voice and voice[0][0] == 0 else voice


# MIDI -----------------------------------------------------------------------------------------


@reusing_the_folder
@given(VOICE)
def test_midi_is_read_back(tmp_path: Path, notes: list[tuple[int, int]]) -> None:
    score = Score((np.array(notes),), 24, "", "3/4", "D minor")
    if not score.notes()[0]:
        return
    scores.write_midi(score, tmp_path / "a.mid")
    back = scores.read_midi(tmp_path / "a.mid")
    assert back.ticks_per_quarter == 24
    assert back.voices[0].tolist() == without_first_rest(joined(score.voices[0]))
    line = midi.read_melody(tmp_path / "a.mid")  # as a reader's own file
    assert line.tolist() == without_first_rest(joined(score.voices[0]))


def test_midi_says_tempo_meter_key_and_instrument(tmp_path: Path) -> None:
    scores.write_midi(JIG, tmp_path / "a.mid", tempo=90, instrument="flute")
    file = mido.MidiFile(tmp_path / "a.mid")
    head, track = file.tracks
    said = {message.type: message for message in head}
    assert round(mido.tempo2bpm(said["set_tempo"].tempo)) == 90
    assert (said["time_signature"].numerator, said["time_signature"].denominator) == (6, 8)
    assert said["key_signature"].key == "G"
    assert track[1].program == 73
    first = next(message for message in track if message.type == "note_on")
    assert first.time == 60  # the upbeat of 12 ticks stands at the end of a bar of 72
    assert file.length == pytest.approx((JIG.ticks + 60) / 24 * 60 / 90)


def test_four_voices_of_a_chorale_are_read_back(tmp_path: Path) -> None:
    """Voices that cross and notes that repeat come back, each in its own track."""
    piece = datasets.load_chorales(verbose=False).train[1]
    score = music.score_of_chorale(piece)
    scores.write_midi(score, tmp_path / "a.mid")
    back = scores.read_midi(tmp_path / "a.mid")
    assert [joined(voice) for voice in back.voices] == [joined(voice) for voice in score.voices]
    file = mido.MidiFile(tmp_path / "a.mid")
    assert [track.name for track in file.tracks[1:]] == list(music.VOICES)
    channels = {message.channel for track in file.tracks for message in track
                if message.type == "note_on"}  # fmt: skip
    assert channels == {0, 1, 2, 3}


@pytest.mark.parametrize(
    "key", ["D dorian", "F# minor", "Bb mixolydian", "E phrygian", "B locrian"]
)
def test_keys_that_midi_has_no_name_for(key: str) -> None:
    score = Score((np.array([[60, 4]]),), 4, key=key)
    file = mido.MidiFile(file=io.BytesIO(scores.midi_bytes(score)))
    (said,) = [message.key for message in file.tracks[0] if message.type == "key_signature"]
    named = f"{said[:-1]} minor" if said.endswith("m") else f"{said} major"
    assert music.scale(named) == music.scale(key)


def test_options_that_are_none() -> None:
    for options in ({"tempo": 0}, {"tempo": float("nan")}, {"instrument": "kazoo"}):
        with pytest.raises(BookError) as error:
            scores.midi_bytes(JIG, **options)  # type: ignore[arg-type]
        assert is_one_sentence(error)


def test_midi_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.mid").write_bytes(b"no music")
    with pytest.raises(BookError, match="damaged"):
        scores.read_midi(tmp_path / "a.mid")
    mido.MidiFile(tracks=[mido.MidiTrack()]).save(tmp_path / "a.mid")
    with pytest.raises(BookError, match="has no notes") as error:
        scores.read_midi(tmp_path / "a.mid")
    assert is_one_sentence(error)


# MusicXML -------------------------------------------------------------------------------------


def test_musicxml_is_read_back() -> None:
    """The upbeat, a rest, repeated notes, a note tied over the bar line, a triplet."""
    text = scores.musicxml(JIG)
    back = scores.read_musicxml(text)
    assert back.voices[0].tolist() == JIG.voices[0].tolist()
    assert (back.meter, back.key, back.pickup, back.title) == ("6/8", "G major", 12, "A jig & more")
    assert '<tie type="start"' in text and '<tie type="stop"' in text
    assert text == scores.musicxml(JIG), "no date, no random names"
    assert "<encoding-date>" not in text


@settings(reusing_the_folder, max_examples=10)
@given(VOICE, st.sampled_from(["3/4", "6/8", "2/2"]), st.sampled_from(["Ab major", "E dorian"]))
def test_any_voice_comes_back_from_musicxml(
    notes: list[tuple[int, int]], meter: str, key: str
) -> None:
    score = Score((np.array(notes),), 24, "t", meter, key)
    back = scores.read_musicxml(scores.musicxml(score))
    assert joined(back.voices[0]) == joined(score.voices[0])
    assert (back.meter, back.key) == (meter, key)


def test_a_chorale_comes_back_from_musicxml() -> None:
    piece = datasets.load_chorales(verbose=False).train[1]
    score = music.score_of_chorale(piece)
    back = scores.read_musicxml(scores.musicxml(score))
    for one, two in zip(back.voices, score.voices, strict=True):
        assert joined(one) == [[pitch, 6 * length] for pitch, length in joined(two)]
    assert back.pickup == 6 * score.pickup and back.key == score.key


def test_notes_are_spelt_in_their_key() -> None:
    def names(key: str) -> list[str]:
        text = scores.musicxml(Score((np.array([[61, 4], [66, 4], [70, 4]]),), 4, key=key))
        return [
            step + {"1": "#", "-1": "b", "": ""}[alter or ""]
            for step, alter in re.findall(r"<step>(\w)</step>\s*(?:<alter>(-?\d)</alter>)?", text)
        ]

    assert names("D major") == ["C#", "F#", "A#"]
    assert names("Ab major") == ["Db", "Gb", "Bb"]
    assert names("G minor") == ["C#", "F#", "Bb"], "the leading note of G minor is no G flat"
    assert names("B dorian") == ["C#", "F#", "A#"]


@pytest.mark.parametrize("text", ["", "no music", "<a/>", "<score-partwise/>", "<score-partwise>"])
def test_musicxml_that_is_none(text: str) -> None:
    with pytest.raises(BookError) as error:
        scores.read_musicxml(text)
    assert is_one_sentence(error)


# Pages ----------------------------------------------------------------------------------------


def test_every_spelling_sounds_as_the_pitch() -> None:
    """Twelve pitches in every key that the book can name, B sharp and C flat among them."""
    pitches = np.array([[pitch, 4] for pitch in range(59, 73)])
    for tonic in sorted({*music.TONICS, *music.MINOR_TONICS}):
        for mode in ("major", "minor"):
            stream = scores._stream(Score((pitches,), 4, key=f"{tonic} {mode}"))
            assert [note.pitch.midi for note in stream.flatten().notes] == list(range(59, 73))


def test_what_is_offered_for_download_can_be_opened(tmp_path: Path) -> None:
    page = scores.download_links(JIG, "my-jig", tempo=80)
    found = re.findall(r'download="([\w.-]+)" href="data:([\w/.+-]+);base64,([^"]+)"', page)
    assert [name for name, _, _ in found] == ["my-jig.mid", "my-jig.musicxml"]
    assert [kind for _, kind, _ in found] == ["audio/midi", scores.XML_TYPE]
    (tmp_path / "a.mid").write_bytes(base64.b64decode(found[0][2]))
    assert scores.read_midi(tmp_path / "a.mid").voices[0].tolist() == JIG.voices[0].tolist()
    back = scores.read_musicxml(base64.b64decode(found[1][2]).decode())
    assert back.voices[0].tolist() == JIG.voices[0].tolist()
    with pytest.raises(BookError, match="Name the files"):
        scores.download_links(JIG, "../jig")


def test_an_engraved_score() -> None:
    pytest.importorskip("verovio")
    picture = scores.engrave(JIG)
    assert picture.startswith(("<svg", "<?xml")) and picture == scores.engrave(JIG)
    ties = 2  # two notes cross a bar line
    assert picture.count('class="note"') == len(JIG.notes()[0]) + ties
    assert picture.count('class="tie"') == ties and picture.count('class="rest"') == 1
    outside = [url for url in re.findall(r"https?://[^\"' )]+", picture) if "w3.org" not in url]
    assert not outside, "the picture asks no other host"
    page = scores.picture_html(JIG, 'A jig in "G".')
    assert 'alt="A jig in &quot;G&quot;."' in page and len(page) < 60_000
    source = re.search(r'src="data:image/svg\+xml,([^"]+)"', page)
    assert source and unquote(source[1]) == picture.replace('"', "'")
    with pytest.raises(BookError, match="Describe the score"):
        scores.picture_html(JIG, " ")


def test_without_verovio_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "verovio", None)
    with pytest.raises(BookError, match="install the package verovio") as error:
        scores.engrave(JIG)
    assert is_one_sentence(error)


def test_music21_leaves_figures_alone() -> None:
    scores.leave_figures_alone()
    from music21 import ipython21

    ipython21.load_ipython_extension(None)  # music21's own would ask this shell for retina figures
