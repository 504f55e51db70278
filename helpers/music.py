"""Music as numbers: scores, tokens for a Transformer, grids for a GAN, and back again.

Three forms, and what each is for:

- `Score`: voices of (pitch, length), what is heard, engraved and written to files.
- codes of tunes: [notes, 2] whole numbers, pitch beside length, made by a `TuneVocabulary`.
- states of chorales: [steps, 4] whole numbers on sixteenths (REST, HOLD or a pitch). From them come
  bars as +1 and -1 for a GAN (`rolls`), and two kinds of token for a Transformer (`grid_tokens`
  and `event_tokens`), which hold the same music, so that their nats per bar can be compared.

Pitches are MIDI numbers: 60 is the C in the middle of the piano, 12 are an octave, 0 is a rest.
Every way there has a way back that loses nothing: ties, rests, repeated notes and upbeats return.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from helpers.datasets.music import Chorale, Tune
from helpers.files import BookError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Codes = NDArray[np.int64]
    Grid = NDArray[np.int64]

VOICES = ("soprano", "alto", "tenor", "bass")
STEPS_PER_QUARTER = 4
"""Steps of a chorale's grid: sixteenths."""

# Keys -----------------------------------------------------------------------------------------

TONICS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
"""The names that a transposed key gets; of two for one key, the one with fewer signs in major."""

MINOR_TONICS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "Bb", "B")
"""The same for minor and the modes with a minor third; minor decides which name has fewer signs."""

LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}

MODES = {
    "major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10), "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11), "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
}  # fmt: skip
"""Semitones above the tonic that belong to each mode; minor is the natural one."""


def read_key(key: str) -> tuple[int, str]:
    """The tonic as 0 (C) to 11 (B), and the mode, of a key such as "F# minor" or "Bb major"."""
    match = re.fullmatch(r"([A-G])([#b]?) (\w+)", key)
    if not match or match[3] not in MODES:
        raise BookError(f'A key is written like "F# minor" or "Bb major", not {key!r}.')
    return (LETTERS[match[1]] + {"#": 1, "b": -1, "": 0}[match[2]]) % 12, match[3]


def transpose_key(key: str, semitones: int) -> str:
    """The key so many semitones higher: "D minor" becomes "E minor" by 2. "" stays unknown."""
    if not key or semitones % 12 == 0:
        return key
    tonic, mode = read_key(key)
    names = MINOR_TONICS if 3 in MODES[mode] else TONICS
    return f"{names[(tonic + semitones) % 12]} {mode}"


def scale(key: str) -> frozenset[int]:
    """The seven pitch classes (0 is C) of a key."""
    tonic, mode = read_key(key)
    return frozenset((tonic + step) % 12 for step in MODES[mode])


def share_outside(pitches: ArrayLike, key: str) -> float:
    """The share of notes that are not in the scale of `key`; rests do not count.

    Minor pieces often raise their sixth and seventh steps, which then count as outside.
    """
    sounding = [int(pitch) % 12 for pitch in np.ravel(pitches) if pitch > 0]
    if not sounding:
        raise BookError("Without a note nothing is inside a key or outside.")
    inside = scale(key)
    return sum(pitch not in inside for pitch in sounding) / len(sounding)


# Scores ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Score:
    """Music of one or more voices, ready to be heard and written down.

    voices: each int64 [notes, 2]: MIDI pitch (0 is a rest) and length in ticks, from the beginning
    without a gap. ticks_per_quarter: the unit of lengths. meter: e.g. "6/8", or "". key: e.g.
    "G major", or "". pickup: ticks before the first bar line; 0 if the piece begins with a bar.
    """

    voices: tuple[np.ndarray, ...]
    ticks_per_quarter: int
    title: str = ""
    meter: str = ""
    key: str = ""
    pickup: int = 0

    def __post_init__(self) -> None:
        voices = tuple(_voice(voice) for voice in self.voices)
        object.__setattr__(self, "voices", voices)
        if not voices or self.ticks_per_quarter < 1:
            raise BookError("A score needs a voice, and one tick to a quarter or more.")
        if self.key:
            read_key(self.key)
        bar = bar_ticks(self.meter, self.ticks_per_quarter) if self.meter else 0
        if self.pickup < 0 or (bar and self.pickup >= bar):
            raise BookError(f"An upbeat of {self.pickup} ticks is not part of a bar of {bar}.")

    @property
    def ticks(self) -> int:
        """The length of the longest voice."""
        return max(int(voice[:, 1].sum()) for voice in self.voices)

    @property
    def bar(self) -> int:
        """Ticks in a bar; four quarters where the meter is unknown."""
        return bar_ticks(self.meter or "4/4", self.ticks_per_quarter)

    def notes(self) -> list[list[tuple[int, int, int]]]:
        """For each voice its notes (start, end, pitch) in ticks; rests are the gaps between."""
        return [_timed(voice) for voice in self.voices]

    def transposed(self, semitones: int) -> Score:
        """The same music higher by so many semitones: every note, and the name of the key."""
        voices = tuple(_shifted(voice, semitones) for voice in self.voices)
        return replace(self, voices=voices, key=transpose_key(self.key, semitones))

    def part(self, quarters: float) -> Score:
        """The first so many quarters; a note that goes on is cut."""
        end = round(quarters * self.ticks_per_quarter)
        if end < 1:
            raise BookError("The part of a score needs one tick or more.")
        return replace(self, voices=tuple(_cut(voice, end) for voice in self.voices))


def _voice(voice: ArrayLike) -> np.ndarray:
    """Checked and as int64."""
    notes = np.asarray(voice)
    if notes.ndim != 2 or notes.shape[1] != 2 or notes.dtype.kind not in "iu":
        raise BookError(
            f"A voice is [notes, 2] whole numbers, not {list(notes.shape)} {notes.dtype}."
        )
    if len(notes) and (notes[:, 0].min() < 0 or notes[:, 0].max() > 127):
        raise BookError("Pitches are MIDI numbers from 1 to 127, and 0 is a rest.")
    if len(notes) and notes[:, 1].min() < 1:
        raise BookError("Every note and every rest lasts one tick or more.")
    return notes.astype(np.int64)


def _timed(voice: np.ndarray) -> list[tuple[int, int, int]]:
    ends = np.cumsum(voice[:, 1]).tolist()
    return [
        (end - length, end, pitch)
        for end, (pitch, length) in zip(ends, voice.tolist(), strict=True) if pitch
    ]  # fmt: skip


def _shifted(voice: np.ndarray, semitones: int) -> np.ndarray:
    """All notes higher by so many semitones; rests stay rests."""
    moved = voice.copy()
    sounding = moved[:, 0] > 0
    moved[sounding, 0] += semitones
    if ((moved[sounding, 0] < 1) | (moved[sounding, 0] > 127)).any():
        raise BookError(f"By {semitones} semitones a note leaves the range of MIDI, 1 to 127.")
    return moved


def _cut(voice: np.ndarray, end: int) -> np.ndarray:
    starts = np.cumsum(voice[:, 1]) - voice[:, 1]
    kept = voice[starts < end].copy()
    if len(kept):
        kept[-1, 1] = min(kept[-1, 1], end - starts[len(kept) - 1])
    return kept


def bar_ticks(meter: str, ticks_per_quarter: int) -> int:
    """The ticks of a bar: 72 for "6/8" at 24 ticks to a quarter."""
    match = re.fullmatch(r"(\d+)/(\d+)", meter)
    beats, unit = (int(match[1]), int(match[2])) if match else (0, 0)
    if not beats or unit not in (1, 2, 4, 8, 16, 32):
        raise BookError(f'A meter is written like "6/8", not {meter!r}.')
    ticks, rest = divmod(beats * 4 * ticks_per_quarter, unit)
    if rest:
        raise BookError(f"A bar of {meter} is no whole number of ticks at {ticks_per_quarter}.")
    return ticks


def score_of_tune(tune: Tune, ticks_per_quarter: int) -> Score:
    """A tune as a score of one voice."""
    return Score(
        (tune.notes,), ticks_per_quarter, tune.title, tune.meter, tune.key, tune.pickup
    )  # fmt: skip


def score_of_chorale(chorale: Chorale) -> Score:
    """A chorale as a score of four voices, with sixteenths as ticks."""
    voices = voices_of(states(chorale.pitches, chorale.onsets))
    return Score(
        voices, STEPS_PER_QUARTER, chorale.title, chorale.meter, chorale.key,
        chorale.pickup % bar_ticks(chorale.meter or "4/4", STEPS_PER_QUARTER),
    )  # fmt: skip


def transpose_tune(tune: Tune, semitones: int) -> Tune:
    """The same tune higher by so many semitones: every note, and the name of the key."""
    notes = _shifted(tune.notes, semitones)
    return tune._replace(notes=notes, key=transpose_key(tune.key, semitones))


def transpose_chorale(chorale: Chorale, semitones: int) -> Chorale:
    """The same chorale higher by so many semitones: every note, and the name of the key."""
    pitches = chorale.pitches.astype(np.int64)
    moved = np.where(pitches > 0, pitches + semitones, 0)
    if ((moved < 1) | (moved > 127))[pitches > 0].any():
        raise BookError(f"By {semitones} semitones a note leaves the range of MIDI, 1 to 127.")
    key = transpose_key(chorale.key, semitones)
    return chorale._replace(pitches=moved.astype(np.uint8), key=key)


# Tunes as tokens ------------------------------------------------------------------------------

PAD = 0
"""The code that fills up short tunes; it is nothing to learn, so mask it in the loss."""

END = 1
"""The code after the last note, in both columns."""


@dataclass(frozen=True)
class TuneVocabulary:
    """The tokens of tunes: one table for the column of pitches, one for the column of lengths.

    A tune of n notes becomes codes int64 [n + 2 or n + 3, 2]. Its first row is (key, meter), so
    that one can ask for a jig in G; then come the notes as (pitch, length); the last row is
    (END, END). An upbeat is preceded by a rest that fills its bar, so that every tune begins at a
    bar line and the place in the bar is the sum of the lengths before.

    pitch_tokens[code] is None for PAD and END, a key such as "G major" ("" if unknown), or a MIDI
    pitch (0 is a rest). length_tokens[code] is None, a meter such as "6/8", or a length in ticks.
    """

    pitch_tokens: tuple[int | str | None, ...]
    length_tokens: tuple[int | str | None, ...]
    ticks_per_quarter: int

    @property
    def sizes(self) -> tuple[int, int]:
        """The numbers of codes in both columns."""
        return len(self.pitch_tokens), len(self.length_tokens)

    def encode(self, tune: Tune) -> Codes:
        """The codes [rows, 2] of a tune; BookError for a token that the vocabulary lacks."""
        pitch_codes, length_codes = _numbered(self.pitch_tokens), _numbered(self.length_tokens)
        rows = [(tune.key, tune.meter), *aligned(tune, self.ticks_per_quarter).tolist()]
        try:
            codes = [(pitch_codes[pitch], length_codes[length]) for pitch, length in rows]
        except KeyError as error:
            raise BookError(
                f"The vocabulary has no {error.args[0]!r}, which {tune.title!r} needs: build it "
                "from tunes that have it, or leave this tune out."
            ) from error
        return np.array([*codes, (END, END)], np.int64)

    def encode_all(self, tunes: Iterable[Tune]) -> tuple[list[Codes], int]:
        """The codes of all tunes that the vocabulary can write, and the number left out."""
        found, left_out = [], 0
        for tune in tunes:
            try:
                found.append(self.encode(tune))
            except BookError:
                left_out += 1
        return found, left_out

    def decode(self, codes: ArrayLike, title: str = "") -> Tune:
        """The tune of codes [rows, 2], which may come from a model that makes mistakes.

        Reading stops at the first END or PAD in either column. A row that mixes a note with a key
        or a meter is left out; so is a key or a meter that is not in the first row.
        """
        numbers = np.asarray(codes)
        if numbers.ndim != 2 or numbers.shape[1] != 2 or numbers.dtype.kind not in "iu":
            raise BookError(
                f"The codes of a tune are whole numbers [rows, 2], not {list(numbers.shape)}."
            )
        if len(numbers) and (numbers.min() < 0 or (numbers.max(axis=0) >= self.sizes).any()):
            raise BookError("A code is outside the vocabulary of its column.")
        key, meter, notes = "", "", []
        for place, (pitch_code, length_code) in enumerate(numbers.tolist()):
            pitch, length = self.pitch_tokens[pitch_code], self.length_tokens[length_code]
            if pitch is None or length is None:
                break
            if place == 0 and isinstance(pitch, str) and isinstance(length, str):
                key, meter = pitch, length
            elif isinstance(pitch, int) and isinstance(length, int):
                notes.append((pitch, length))
        voice = np.array(notes, np.int16).reshape(-1, 2)
        pickup, voice = _without_leading_rest(voice, meter, self.ticks_per_quarter)
        return Tune(title, "", meter, key, voice, pickup)


def tune_vocabulary(
    tunes: Iterable[Tune],
    ticks_per_quarter: int,
    *,
    transpositions: Sequence[int] = (0,),
    fewest: int = 1,
) -> TuneVocabulary:
    """The tokens that occur in these tunes; build it from training tunes only.

    transpositions: semitones by which the tunes will be moved; keys and pitches of all of them are
    in. fewest: a length that occurs in fewer tunes is left out (and so are its tunes).
    """
    keys, meters, pitches = set(), set(), {0}
    lengths = Counter[int]()
    for tune in tunes:
        rows = aligned(tune, ticks_per_quarter)
        lengths.update(set(rows[:, 1].tolist()))
        meters.add(tune.meter)
        keys |= {transpose_key(tune.key, steps) for steps in transpositions}
        sounding = set(rows[rows[:, 0] > 0, 0].tolist())
        pitches |= {pitch + steps for pitch in sounding for steps in transpositions}
    if not meters:
        raise BookError("A vocabulary is built from one tune or more.")
    if min(pitches - {0}, default=1) < 1 or max(pitches) > 127:
        raise BookError("A transposition leaves the range of MIDI, 1 to 127: use smaller ones.")
    kept = sorted(length for length, count in lengths.items() if count >= fewest)
    return TuneVocabulary(
        (None, None, *sorted(keys), *sorted(pitches)),
        (None, None, *sorted(meters), *kept),
        ticks_per_quarter,
    )


def _numbered(tokens: Sequence[int | str | None]) -> dict[int | str | None, int]:
    return {token: code for code, token in enumerate(tokens) if token is not None}


def aligned(tune: Tune, ticks_per_quarter: int) -> np.ndarray:
    """The notes of a tune from a bar line on: a rest before the upbeat fills its bar."""
    if not tune.pickup:
        return tune.notes
    missing = bar_ticks(tune.meter, ticks_per_quarter) - tune.pickup
    if missing < 1:
        raise BookError(f"The upbeat of {tune.title!r} is no part of a bar of {tune.meter}.")
    if len(tune.notes) and tune.notes[0, 0] == 0:  # one rest, not two
        first = [[0, missing + tune.notes[0, 1]]]
        return np.concatenate([np.array(first, tune.notes.dtype), tune.notes[1:]])
    return np.concatenate([np.array([[0, missing]], tune.notes.dtype), tune.notes])


def _without_leading_rest(
    notes: np.ndarray, meter: str, ticks_per_quarter: int
) -> tuple[int, np.ndarray]:
    """The upbeat in ticks, and the notes without the rest before it."""
    if not meter or not len(notes) or notes[0, 0]:
        return 0, notes
    bar = bar_ticks(meter, ticks_per_quarter)
    return (-int(notes[0, 1])) % bar, notes[1:]


def windows(sequences: Iterable[Codes], length: int) -> Codes:
    """Codes cut and padded to int64 [windows, length + 1, columns]: `length` inputs and targets.

    Inputs are [:, :-1] and targets [:, 1:]. Each row of a sequence but its first is a target once,
    because the next window of a long tune begins with the last row of the one before. PAD fills up.
    """
    if length < 1:
        raise BookError("A window has one input or more.")
    found = []
    for codes in sequences:
        for start in range(0, max(1, len(codes) - 1), length):
            piece = codes[start : start + length + 1]
            found.append(np.pad(piece, ((0, length + 1 - len(piece)), (0, 0))))
    if not found:
        raise BookError("There is no tune to cut into windows.")
    return np.stack(found)


# Chorales as states ---------------------------------------------------------------------------

LOWEST, HIGHEST = 36, 81
"""The range of all chorales of the book, C2 to A5."""

PITCHES = HIGHEST - LOWEST + 1

REST, HOLD = 0, 1
"""Two states of a voice on the grid; state 2 is a beginning note of pitch LOWEST, and so on."""

STATES = 2 + PITCHES


def states(pitches: ArrayLike, onsets: ArrayLike) -> Grid:
    """What each voice does at each step: int64 [..., 4] of REST, HOLD, or 2 + pitch - LOWEST.

    pitches: MIDI numbers, 0 for a rest. onsets: True where a note begins. A note at the first step
    begins there, whatever the onsets say. Without HOLD, a half note would become eight notes.
    """
    notes, begins = np.asarray(pitches).astype(np.int64), np.asarray(onsets).astype(bool).copy()
    if notes.ndim != 2 or notes.shape != begins.shape:
        raise BookError(
            f"Pitches and onsets are [steps, voices], not {notes.shape} and {begins.shape}."
        )
    begins[:1] |= notes[:1] > 0
    changed = notes[1:] != notes[:-1]
    if (begins & (notes == 0)).any() or (changed & (notes[1:] > 0) & ~begins[1:]).any():
        raise BookError("Onsets and pitches contradict each other: a rest begins a note, or a new "
                        "pitch begins none.")  # fmt: skip
    _require_range(notes)
    return np.where(notes == 0, REST, np.where(begins, 2 + notes - LOWEST, HOLD))


def _require_range(pitches: np.ndarray) -> None:
    sounding = pitches[pitches > 0]
    if len(sounding) and (sounding.min() < LOWEST or sounding.max() > HIGHEST):
        raise BookError(
            f"Pitches from {sounding.min()} to {sounding.max()} do not fit into the grid's range, "
            f"{LOWEST} to {HIGHEST}: transpose the piece, or leave it out."
        )


def pitches_and_onsets(grid: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Pitches uint8 and onsets bool [steps, voices] of states; HOLD after a rest is a rest."""
    codes = _states(grid)
    pitches = np.zeros(codes.shape, np.uint8)
    sounding = np.zeros(codes.shape[1:], np.uint8)
    for step, row in enumerate(codes):
        sounding = np.where(row == HOLD, sounding, np.where(row == REST, 0, row - 2 + LOWEST))
        pitches[step] = sounding
    return pitches, codes >= 2


def _states(grid: ArrayLike) -> Grid:
    return _whole_numbers(grid, STATES, "States", "[steps, voices]")


def _whole_numbers(values: ArrayLike, size: int, words: str, shape: str) -> np.ndarray:
    """int64 from 0 to size - 1, with as many axes as `shape` names; BookError otherwise."""
    codes = np.asarray(values)
    if codes.ndim != len(shape.split(",")) or codes.dtype.kind not in "iu":
        raise BookError(f"{words} are whole numbers {shape}, not {list(codes.shape)}.")
    if codes.size and (codes.min() < 0 or codes.max() >= size):
        raise BookError(f"{words} are from 0 to {size - 1}.")
    return codes.astype(np.int64)


def voices_of(grid: ArrayLike) -> tuple[np.ndarray, ...]:
    """For each voice of states [steps, voices], its (pitch, length in steps) from the beginning."""
    pitches, onsets = pitches_and_onsets(grid)
    voices = []
    for line, begins in zip(pitches.T.astype(np.int64), onsets.T, strict=True):
        new = begins.copy()
        new[1:] |= line[1:] != line[:-1]
        new[:1] = True
        starts = np.flatnonzero(new)
        lengths = np.diff(np.append(starts, len(line)))
        voices.append(np.stack([line[starts], lengths], axis=1))
    return tuple(voices)


def score_of_states(grid: ArrayLike, *, title: str = "", meter: str = "4/4", key: str = "",
                    pickup: int = 0) -> Score:  # fmt: skip
    """States [steps, voices] as a score with sixteenths as ticks."""
    return Score(voices_of(grid), STEPS_PER_QUARTER, title, meter, key, pickup)


# Bars for a GAN -------------------------------------------------------------------------------

STEPS_PER_BAR = 16
CHANNELS = PITCHES + 2
"""Channels of a roll: one for each pitch from LOWEST, then a rest, then the beginning of a note."""


def bars(chorale: Chorale, meters: Collection[str] = ("4/4",)) -> tuple[np.ndarray, np.ndarray]:
    """The whole bars of a chorale in 4/4: pitches and onsets [bars, 16, 4].

    The upbeat and an incomplete last bar are left out. A note that is held over the bar line has
    no onset there. BookError for a meter that is not in `meters`: its bars would not begin where
    ours do. For sets that know no meters, ("4/4", "") takes them for 4/4 from the first step on.
    """
    if chorale.meter not in meters:
        raise BookError(f"{chorale.title} is in {chorale.meter or 'several meters'}, not in 4/4.")
    first = chorale.pickup % STEPS_PER_BAR
    count = (len(chorale.pitches) - first) // STEPS_PER_BAR
    whole = slice(first, first + count * STEPS_PER_BAR)
    shape = (count, STEPS_PER_BAR, chorale.pitches.shape[1])
    return chorale.pitches[whole].reshape(shape), chorale.onsets[whole].reshape(shape)


def bar_windows(
    chorales: Iterable[Chorale], count: int = 2, meters: Collection[str] = ("4/4",)
) -> tuple[np.ndarray, np.ndarray, int]:
    """All stretches of `count` bars: pitches and onsets [n, count, 16, 4], and pieces left out.

    Stretches begin at every bar, so that they overlap. A note that is held into a stretch begins
    there. Left out are pieces in another meter and those that are shorter.
    """
    pitches, onsets, left_out = [], [], 0
    for chorale in chorales:
        if chorale.meter not in meters or len(bars(chorale, meters)[0]) < count:
            left_out += 1
            continue
        notes, begins = bars(chorale, meters)
        for start in range(len(notes) - count + 1):
            stretch = begins[start : start + count].copy()
            stretch[0, 0] |= notes[start, 0] > 0
            pitches.append(notes[start : start + count])
            onsets.append(stretch)
    if not pitches:
        raise BookError(f"No chorale has {count} whole bars of 4/4.")
    return np.stack(pitches), np.stack(onsets), left_out


def rolls(pitches: ArrayLike, onsets: ArrayLike) -> NDArray[np.float32]:
    """Bars as float32 [n, bars, 16, 48, 4] of +1 and -1, what a GAN draws.

    pitches, onsets: [n, bars, 16, 4]. Channels 0 to 45 are the pitches from LOWEST, channel 46 is
    a rest: one of these is +1. Channel 47 is +1 where a note begins, so that a repeated note and a
    held one differ.
    """
    notes, begins = np.asarray(pitches).astype(np.int64), np.asarray(onsets).astype(bool)
    if notes.ndim != 4 or notes.shape != begins.shape:
        raise BookError(f"Bars are [n, bars, steps, voices], not {notes.shape} and {begins.shape}.")
    _require_range(notes)
    channel = np.where(notes > 0, notes - LOWEST, PITCHES)
    roll = np.full((*notes.shape[:3], CHANNELS, notes.shape[3]), -1.0, np.float32)
    np.put_along_axis(roll, channel[:, :, :, None], 1.0, axis=3)
    roll[:, :, :, PITCHES + 1] = np.where(begins, 1.0, -1.0)
    return roll


def from_rolls(roll: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Pitches uint8 and onsets bool [n, bars, 16, 4] of rolls, real or drawn by a GAN.

    The pitch (or the rest) is the channel with the largest value. A note begins where the last
    channel is above 0, where the pitch changes, and at the first step of the first bar.
    """
    values = np.asarray(roll)
    if values.ndim != 5 or values.shape[3] != CHANNELS or not np.isfinite(values).all():
        raise BookError(
            f"Rolls are finite numbers [n, bars, steps, {CHANNELS}, voices], not {values.shape}."
        )
    channel = values[:, :, :, : PITCHES + 1].argmax(axis=3)  # [n, bars, steps, voices]
    pitches = np.where(channel == PITCHES, 0, channel + LOWEST).astype(np.uint8)
    line = pitches.reshape(len(pitches), -1, pitches.shape[-1])  # [n, all steps, voices]
    changed = np.ones(line.shape, bool)
    changed[:, 1:] = line[:, 1:] != line[:, :-1]
    begins = (values[:, :, :, PITCHES + 1] > 0) | changed.reshape(pitches.shape)
    return pitches, begins & (pitches > 0)


# Two kinds of token for the same chorale ------------------------------------------------------

GRID_TOKENS = STATES + 1
"""The grid's vocabulary: the states, and the token after the last step, number STATES."""


def grid_tokens(grid: ArrayLike) -> Codes:
    """Every voice at every step: int64 [4 x steps + 1], soprano to bass, step after step, an end.

    A bar of 4/4 has 64 tokens, most of them HOLD.
    """
    return np.append(_states(grid).reshape(-1), STATES)


def from_grid_tokens(tokens: ArrayLike, voices: int = 4) -> Grid:
    """The states [steps, voices] up to the end; an incomplete last step is left out."""
    codes = _tokens(tokens, GRID_TOKENS)
    whole = _until(codes, STATES)
    return whole[: len(whole) // voices * voices].reshape(-1, voices)


LONGEST_WAIT = 16
"""Steps that one token of waiting can mean; longer waits take several."""

_PER_VOICE = PITCHES + 1  # a rest, then the pitches
_WAIT = 4 * _PER_VOICE  # the token that waits one step; the next waits two
EVENT_END = _WAIT + LONGEST_WAIT
EVENT_TOKENS = EVENT_END + 1
"""The events' vocabulary: 47 for each of four voices, 16 waits, and the end."""


def event_tokens(grid: ArrayLike) -> Codes:
    """Only what changes: int64 [tokens], for the same states [steps, 4] as `grid_tokens`.

    voice x 47 is "this voice falls silent", voice x 47 + 1 + pitch - LOWEST "it begins this note",
    _WAIT + n - 1 "n steps pass" (n up to 16). At one step, voices go from soprano to bass. Every
    piece has exactly one such list.
    """
    codes = _states(grid)
    if codes.shape[1] > 4:
        raise BookError("Events are for four voices at most.")
    tokens: list[int] = []
    waited = 0
    silent = np.ones(codes.shape[1], bool)
    for row in codes:
        events = []
        for voice, state in enumerate(row.tolist()):
            if state >= 2:
                events.append(voice * _PER_VOICE + state - 1)
                silent[voice] = False
            elif state == REST and not silent[voice]:
                events.append(voice * _PER_VOICE)
                silent[voice] = True
        if events:
            tokens += [*_waits(waited), *events]
            waited = 0
        waited += 1
    return np.array([*tokens, *_waits(waited), EVENT_END], np.int64)


def _waits(steps: int) -> list[int]:
    """Waits that add up to `steps`, the longest first."""
    full, rest = divmod(steps, LONGEST_WAIT)
    return [_WAIT + LONGEST_WAIT - 1] * full + ([_WAIT + rest - 1] if rest else [])


def from_event_tokens(tokens: ArrayLike, voices: int = 4) -> Grid:
    """The states [steps, voices] of events up to the end, also of a model's that make mistakes.

    What comes after the last wait lasts no time and is lost. Of two events for one voice at one
    step the later counts; an event of a voice beyond `voices` is left out.
    """
    rows: list[np.ndarray] = []
    silent = np.ones(voices, bool)
    row: dict[int, int] = {}
    for token in _until(_tokens(tokens, EVENT_TOKENS), EVENT_END).tolist():
        if token < _WAIT:
            voice, kind = divmod(token, _PER_VOICE)
            row[voice] = kind + 1 if kind else REST
            continue
        for voice, state in row.items():
            if voice < voices:
                silent[voice] = state == REST
        hold = np.where(silent, REST, HOLD)
        first = np.array([row.get(voice, hold[voice]) for voice in range(voices)])
        rows += [first, *itertools.repeat(hold, token - _WAIT)]
        row = {}
    return np.array(rows, np.int64).reshape(-1, voices)


def _tokens(tokens: ArrayLike, size: int) -> Codes:
    return _whole_numbers(tokens, size, "The tokens of a piece", "[n]")


def _until(codes: Codes, end: int) -> Codes:
    places = np.flatnonzero(codes == end)
    return codes[: places[0]] if len(places) else codes


def nats_per_bar(nats: float, steps: int, meter: str = "4/4") -> float:
    """The sum of a piece's losses over its tokens, for each bar of its `steps` sixteenths.

    Kinds of token differ in number, so nats per token cannot be compared; nats per bar can.
    """
    bar = bar_ticks(meter, STEPS_PER_QUARTER)
    if steps < 1 or not math.isfinite(nats) or nats < 0:
        raise BookError("Nats per bar need a finite loss of 0 or more, and one step or more.")
    return nats * bar / steps
