"""helpers.sound: what can be measured of a sound that nobody listens to."""

from __future__ import annotations

import base64
import re

import numpy as np
import pytest
from made_up import is_one_sentence

from helpers import sound
from helpers.files import BookError
from helpers.music import Score


def one_voice(*notes: tuple[int, int]) -> Score:
    return Score((np.array(notes),), 4)


def loudest_frequency(samples: np.ndarray, start: float, end: float) -> float:
    piece = samples[round(start * sound.RATE) : round(end * sound.RATE)].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), 1 << 17))
    return float(np.argmax(spectrum) * sound.RATE / (1 << 17))


def test_length_peak_and_pitch() -> None:
    """At 120 quarters a minute: A for a second, a rest of a second, the A an octave lower."""
    samples = sound.synthesise(one_voice((69, 8), (0, 8), (57, 8)), tempo=120)
    found = sound.measure(samples)
    assert samples.dtype == np.float32
    assert found.seconds == pytest.approx(3 + sound.RELEASE, abs=1e-3)
    assert found.peak == pytest.approx(sound.PEAK, abs=1e-6)
    assert loudest_frequency(samples, 0.1, 0.9) == pytest.approx(440, abs=1)
    assert loudest_frequency(samples, 2.1, 2.9) == pytest.approx(220, abs=1)
    rest = sound.measure(samples[round(1.1 * sound.RATE) : round(1.9 * sound.RATE)])
    assert rest.silence == 1.0 and rest.peak == 0.0, "a rest is silent"
    assert found.silence == pytest.approx((1 - sound.RELEASE) / 3.06, abs=0.03)
    slow = sound.measure(sound.synthesise(one_voice((69, 8)), tempo=60))
    assert slow.seconds == pytest.approx(2 + sound.RELEASE, abs=1e-3)


def test_a_repeated_note_is_heard_as_two_and_a_held_one_as_one() -> None:
    def beginnings(samples: np.ndarray) -> int:
        """How often the loudness rises by half within 30 ms."""
        size = round(0.03 * sound.RATE)
        level = np.abs(samples[: len(samples) // size * size]).reshape(-1, size).max(axis=1)
        return int((level[1:] > 1.2 * level[:-1]).sum() + 1)

    held = sound.synthesise(one_voice((60, 16)))
    repeated = sound.synthesise(one_voice((60, 8), (60, 8)))
    assert (beginnings(held), beginnings(repeated)) == (1, 2)


def test_voices_sound_together() -> None:
    score = Score((np.array([[69, 8]]), np.array([[57, 8]])), 4)
    samples = sound.synthesise(score, tempo=120).astype(np.float64)
    spectrum = np.abs(np.fft.rfft(samples[2000:20000] * np.hanning(18000), sound.RATE))
    assert spectrum[220] > 0.2 * spectrum.max() and spectrum[440] > 0.2 * spectrum.max()


def test_no_click_and_no_wrong_low_notes() -> None:
    samples = sound.synthesise(one_voice((60, 2), (0, 2), (62, 2)))
    assert abs(samples[0]) == 0.0 and abs(samples[-1]) < 0.01
    high = sound.synthesise(one_voice((120, 8)), tempo=120).astype(np.float64)
    spectrum = np.abs(np.fft.rfft(high * np.hanning(len(high)), 1 << 17))
    below = spectrum[: int(8_000 / sound.RATE * (1 << 17))]
    assert below.max() < 1e-3 * spectrum.max(), "overtones above the limit would fold down"


def test_silence_is_silent() -> None:
    found = sound.measure(sound.synthesise(one_voice((0, 8))))
    assert (found.peak, found.loudness, found.silence) == (0.0, 0.0, 1.0)


def test_wav_is_read_back() -> None:
    samples = sound.synthesise(one_voice((69, 4)))
    content = sound.wav_bytes(samples)
    assert content[:4] == b"RIFF" and len(content) == 44 + 2 * len(samples)
    back, rate = sound.read_wav(content)
    assert rate == sound.RATE and np.abs(back - samples).max() < 1 / 32767
    for bad in (b"", b"no sound", content[:30]):
        with pytest.raises(BookError, match="no WAV file") as error:
            sound.read_wav(bad)
        assert is_one_sentence(error)
    with pytest.raises(BookError, match=r"here up to 1\.50"):
        sound.wav_bytes(np.array([0.0, 1.5]))
    for odd in (np.zeros((2, 2)), np.array([np.nan]), np.zeros(0)):
        with pytest.raises(BookError, match="Sound is finite"):
            sound.measure(odd)


def test_a_player_plays_the_sound_and_says_what_it_is() -> None:
    samples = sound.synthesise(one_voice((69, 8)), tempo=120)
    page = sound.player_html(samples, 'An "A", held <softly>.')
    (found,) = re.findall(r'src="data:audio/wav;base64,([^"]+)"', page)
    assert base64.b64decode(found) == sound.wav_bytes(samples)
    assert "<audio controls" in page and "(1.1 seconds)" in page
    assert "&lt;softly&gt;" in page and "<softly>" not in page and "http" not in page
    with pytest.raises(BookError, match="Say in `words`"):
        sound.player_html(samples, " ")
    with pytest.raises(BookError, match="too long"):
        sound.player_html(np.zeros(40 * sound.RATE), "silence")
    for options in ({"tempo": 0}, {"rate": 100}):
        with pytest.raises(BookError):
            sound.synthesise(one_voice((69, 8)), **options)  # type: ignore[arg-type]
