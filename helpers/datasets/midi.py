"""Read MIDI files."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from helpers.datasets.formats import damaged


class _MidiTrack:
    """The bytes of one MIDI track, read from the front."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def take(self, count: int) -> bytes:
        piece = self.content[self.place : self.place + count]
        if len(piece) < count:
            raise ValueError("a track ends too early")
        self.place += count
        return piece

    def number(self) -> int:
        """A number of variable length: seven bits a byte, the top bit set on all but the last."""
        value = 0
        for _ in range(4):
            (byte,) = self.take(1)
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value
        raise ValueError("a number is too long")


def read_midi(path: Path) -> tuple[int, list[tuple[int, int, int]]]:
    """The ticks per quarter note, and the notes as (start, end, pitch), sorted, in ticks.

    All tracks and channels are merged, and percussion (channel 10) is left out. Tempo, loudness and
    pedals are ignored. Format: Standard MIDI File 1.0.
    """
    notes: list[tuple[int, int, int]] = []
    try:
        content = path.read_bytes()
        if content[:4] != b"MThd":
            raise ValueError("it is not a MIDI file")
        length, _, _, division = struct.unpack_from(">IHHH", content, 4)
        if not 0 < division < 0x8000:
            raise ValueError("its time is not counted in notes")
        place = 8 + length
        while place + 8 <= len(content):
            kind, size = (
                content[place : place + 4],
                int.from_bytes(content[place + 4 : place + 8], "big"),
            )
            if kind == b"MTrk":
                notes += _track_notes(_MidiTrack(content[place + 8 : place + 8 + size]))
            place += 8 + size
    except (OSError, ValueError, struct.error) as error:
        raise damaged(path, error) from error
    return division, sorted(notes)


def _track_notes(track: _MidiTrack) -> Iterator[tuple[int, int, int]]:
    """The notes (start, end, pitch) of one track."""
    sounding: dict[tuple[int, int], int] = {}  # (channel, pitch) -> start
    time, status = 0, 0
    while track.place < len(track.content):
        time += track.number()
        if track.content[track.place : track.place + 1] >= b"\x80":
            (status,) = track.take(1)
        if status in (0xF0, 0xF7, 0xFF):  # a message with its own length
            if status == 0xFF:
                track.take(1)
            track.take(track.number())
            continue
        if status < 0x80 or status > 0xF0:
            raise ValueError("an event has no kind")
        event, channel = status & 0xF0, status & 0x0F
        values = track.take(1 if event in (0xC0, 0xD0) else 2)
        if event not in (0x80, 0x90) or channel == 9:
            continue
        key = (channel, values[0])
        if key in sounding:  # released, or struck again while it sounds
            start = sounding.pop(key)
            if time > start:
                yield start, time, values[0]
        if event == 0x90 and values[1]:
            sounding[key] = time


def one_voice(notes: Iterable[tuple[int, int, int]], scale: float) -> np.ndarray:
    """The highest note at each start, as int16 [notes, 2]: (pitch, length in ticks).

    notes: (start, end, pitch), sorted; times are multiplied by `scale` and rounded. A note lasts
    until the next one starts; a gap becomes a rest (pitch 0).
    """
    highest: dict[int, tuple[int, int]] = {}  # start -> (pitch, end)
    for start, end, pitch in notes:
        begin, finish = round(start * scale), round(end * scale)
        highest[begin] = max(highest.get(begin, (0, 0)), (pitch, max(finish, begin + 1)))
    starts = sorted(highest)
    line: list[tuple[int, int]] = []
    for number, start in enumerate(starts):
        pitch, end = highest[start]
        following = starts[number + 1] if number + 1 < len(starts) else end
        line.append((pitch, min(end, following) - start))
        if following > end:
            line.append((0, following - end))
    return np.array(line, np.int16).reshape(-1, 2)
