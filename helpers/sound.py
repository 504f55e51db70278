"""Sound: a short synthesiser, WAV files, what can be measured of them, and the browser's player."""

from __future__ import annotations

import base64
import html
import io
import wave
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from helpers.files import BookError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from helpers.music import Score

    Samples = NDArray[np.float32]

RATE = 22_050
"""Samples a second: enough for the book's music, and 44 kB of WAV for each second."""

PEAK = 0.8
"""The loudest sample of what `synthesise` makes; 1 is the most that a WAV file holds."""

OVERTONES = (1.0, 0.45, 0.2, 0.08)
"""How loud a note's own frequency is, then twice, three and four times that."""

ATTACK, RELEASE = 0.012, 0.06
"""Seconds in which a note swells and dies away; without them it clicks."""

FADE = 1.6
"""Seconds in which a held note falls to a third, as a plucked string does."""

LONGEST = 30.0
"""Seconds of one player: a page with several should stay light."""


def synthesise(score: Score, *, tempo: float = 100.0, rate: int = RATE) -> Samples:
    """A score as float32 samples [n]: each note a sine with three overtones and an envelope.

    tempo: quarters a minute. n is the time of the longest voice, plus RELEASE, times `rate`. A note
    dies away after its end, by at most RELEASE, so that a repeated note is heard as two. A score
    with a note has its loudest sample at PEAK; one without is silent.
    """
    if not 4 <= tempo <= 1000:
        raise BookError(f"A tempo is from 4 to 1000 quarters a minute, not {tempo:g}.")
    if rate < 4_000:
        raise BookError(f"Fewer than 4,000 samples a second are no music: {rate}.")
    tick = 60.0 / tempo / score.ticks_per_quarter  # seconds
    samples = np.zeros(round((score.ticks * tick + RELEASE) * rate), np.float64)
    for notes in score.notes():
        for start, end, pitch in notes:
            note = _note(pitch, (end - start) * tick, rate)
            first = round(start * tick * rate)
            samples[first : first + len(note)] += note[: len(samples) - first]
    loudest = np.abs(samples).max(initial=0.0)
    return (samples * (PEAK / loudest if loudest else 0.0)).astype(np.float32)


def frequency(pitch: float) -> float:
    """The frequency in hertz of a MIDI pitch: 440 for 69, twice as much an octave higher."""
    return 440.0 * 2.0 ** ((pitch - 69) / 12)


def _note(pitch: int, seconds: float, rate: int) -> NDArray[np.float64]:
    """One note that sounds for `seconds` and dies away in RELEASE more."""
    times = np.arange(round((seconds + RELEASE) * rate)) / rate
    base = frequency(pitch)
    wave_ = sum(
        loudness * np.sin(2 * np.pi * base * number * times)
        for number, loudness in enumerate(OVERTONES, start=1)
        if base * number < rate / 2  # what is higher would come out as a wrong, low note
    )
    swell = np.minimum(times / ATTACK, 1.0)
    release = np.clip((seconds + RELEASE - times) / RELEASE, 0.0, 1.0)
    return wave_ * swell * release * np.exp(-times / FADE)


class Measured(NamedTuple):
    """What can be said of a sound without hearing it.

    seconds: its length. peak: the loudest sample, 1 is the most. loudness: the root of the mean
    square. silence: the share of its windows of 20 ms whose root mean square is below 0.002.
    """

    seconds: float
    peak: float
    loudness: float
    silence: float


def measure(samples: ArrayLike, rate: int = RATE) -> Measured:
    """Length, peak, loudness and silence of samples [n]."""
    sound = _samples(samples)
    size = max(1, round(0.02 * rate))
    whole = sound[: len(sound) // size * size].reshape(-1, size)
    quiet = np.sqrt((whole**2).mean(axis=1)) < 0.002 if len(whole) else np.array([True])
    return Measured(
        len(sound) / rate, float(np.abs(sound).max()), float(np.sqrt((sound**2).mean())),
        float(quiet.mean()),
    )  # fmt: skip


def _samples(samples: ArrayLike) -> NDArray[np.float64]:
    sound = np.asarray(samples, np.float64)
    if sound.ndim != 1 or not sound.size or not np.isfinite(sound).all():
        raise BookError(f"Sound is finite numbers [n], n at least 1, not {list(sound.shape)}.")
    return sound


def wav_bytes(samples: ArrayLike, rate: int = RATE) -> bytes:
    """A WAV file of samples [n] in -1 to 1: one channel, 16 bits; BookError if they are louder."""
    sound = _samples(samples)
    if np.abs(sound).max() > 1:
        raise BookError(f"Samples are from -1 to 1, and here up to {np.abs(sound).max():.2f}.")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.round(sound * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def read_wav(content: bytes) -> tuple[Samples, int]:
    """The samples [n] and the rate of a WAV file with one channel of 16 bits."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            if (file.getnchannels(), file.getsampwidth()) != (1, 2):
                raise BookError("Only WAV files with one channel of 16 bits are read.")
            sound = np.frombuffer(file.readframes(file.getnframes()), "<i2")
            return (sound / 32767).astype(np.float32), file.getframerate()
    except (wave.Error, EOFError, ValueError) as error:
        raise BookError(f"This is no WAV file ({error or 'it ends too early'}).") from error


def player_html(samples: ArrayLike, words: str, rate: int = RATE) -> str:
    """The browser's own player for a sound, with what is heard in words below it.

    The sound is inside the page: no other host is asked, and it plays in JupyterLab as on the site.
    words: what a listener would hear, for all who cannot. Its length is added.
    """
    if not words.strip():
        raise BookError("Say in `words` what is heard, for readers who cannot hear it.")
    found = measure(samples, rate)
    if found.seconds > LONGEST:
        raise BookError(
            f"{found.seconds:.0f} seconds are too long for a page: play {LONGEST:.0f} at most."
        )
    source = base64.b64encode(wav_bytes(samples, rate)).decode()
    text = html.escape(words.strip())
    return (
        f'<figure><audio controls preload="metadata" aria-label="{text}" '
        f'src="data:audio/wav;base64,{source}"></audio>'
        f"<figcaption>{text} ({found.seconds:.1f} seconds)</figcaption></figure>"
    )
