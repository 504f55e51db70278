"""Read melodies from MIDI files with the library mido.

Of three libraries tried on odd but common files, mido loses no note: symusic and music21 drop notes
that are never released, and music21 takes minutes over one very long note. What mido refuses is put
right before it reads a track: other chunks between the tracks, and bytes after a track's end.
"""

from __future__ import annotations

import io
import struct
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from helpers.datasets.formats import damaged
from helpers.files import BookError

TICKS_PER_QUARTER = 24  # of melodies: sixteenths are 6 ticks, eighths of a triplet 8
LONGEST = np.iinfo(np.int16).max  # ticks of one note or rest; about 340 bars
PERCUSSION = 9  # the channel whose numbers are drums, not pitches
END_OF_TRACK = b"\xff\x2f\x00"

Note = tuple[int, int, int]
"""Start and end in ticks, and MIDI pitch."""


def read_melody(path: Path) -> np.ndarray:
    """The top line of a MIDI file, as int16 [notes, 2]: pitch, length in TICKS_PER_QUARTER."""
    division, notes = read_notes(path)
    line = top_line(notes, TICKS_PER_QUARTER / division)
    if not len(line):
        raise BookError(f"{path.name} in {path.parent} has no notes: leave it out.")
    if line[:, 1].max() > LONGEST:
        quarters = line[:, 1].max() // TICKS_PER_QUARTER
        raise BookError(
            f"{path.name} in {path.parent} has a note or a rest of {quarters:,} quarters: leave it "
            "out, or cut the silence."
        )
    return line.astype(np.int16)


def read_notes(path: Path) -> tuple[int, list[Note]]:
    """The ticks per quarter note, and all notes of a file, sorted.

    Tracks and channels are merged, and percussion is left out. Lengths are in notes, so tempo,
    loudness and pedals do not matter. A note that is never released ends with its track. Of notes
    of one pitch that overlap, the one that began first ends first.
    """
    division, tracks = read_tracks(path)
    return division, sorted(note for track in tracks for note in track)


def read_tracks(path: Path) -> tuple[int, list[list[Note]]]:
    """The ticks per quarter note, and the sorted notes of each track, as in `read_notes`."""
    content = path.read_bytes()
    tracks: list[list[Note]] = []
    try:
        if content[:4] != b"MThd":
            raise ValueError("it is not a MIDI file")
        length, _, _, division = struct.unpack_from(">IHHh", content, 4)
        if division <= 0:
            raise ValueError("its time is not counted in notes")
        for track in _tracks(content, 8 + length):
            tracks.append(sorted(_notes(_messages(track))))
    except (ValueError, EOFError, struct.error) as error:
        raise damaged(path, str(error) or "it ends too early") from error
    return division, tracks


def _tracks(content: bytes, place: int) -> Iterator[bytes]:
    """The content of each track; other chunks are passed over, as the standard demands."""
    while place + 8 <= len(content):
        kind, size = struct.unpack_from(">4sI", content, place)
        place += 8
        if kind == b"MTrk":
            if place + size > len(content):
                raise EOFError
            yield content[place : place + size]
        place += size


def _messages(track: bytes) -> list[Any]:
    """mido's messages of a track up to its end; some programs write bytes after that."""
    import mido

    ends = []  # the same three bytes may be part of a text, so that not each is the end
    end = track.find(END_OF_TRACK)
    while end >= 0:
        ends.append(end + len(END_OF_TRACK))
        end = track.find(END_OF_TRACK, end + 1)
    problem: Exception = ValueError()
    for end in [*ends, len(track)]:
        header = struct.pack(">4sIHHH4sI", b"MThd", 6, 1, 1, 96, b"MTrk", end)
        try:
            # clip: take numbers above 127 for 127, where only 0 to 127 are allowed
            file = mido.MidiFile(file=io.BytesIO(header + track[:end]), clip=True)
        except (OSError, EOFError, ValueError, LookupError, TypeError, struct.error,
                mido.KeySignatureError) as error:  # fmt: skip
            problem = error
        else:
            messages = file.tracks[0]
            if end == len(track) or messages[-1].type == "end_of_track":
                return messages
    raise ValueError(str(problem) or "a track ends too early") from problem


def _notes(messages: Iterable[Any]) -> Iterator[Note]:
    """The notes of one track."""
    sounding: dict[tuple[int, int], deque[int]] = defaultdict(deque)  # channel, pitch -> starts
    time = 0
    for message in messages:
        time += message.time
        if message.type not in ("note_on", "note_off") or message.channel == PERCUSSION:
            continue
        starts = sounding[message.channel, message.note]
        if message.type == "note_on" and message.velocity > 0:
            starts.append(time)
        elif starts:
            yield starts.popleft(), time, message.note
    for (_, pitch), starts in sounding.items():
        yield from ((start, time, pitch) for start in starts)


def top_line(notes: Iterable[Note], scale: float) -> np.ndarray:
    """The highest note at each start, as int64 [notes, 2]: (pitch, length in ticks).

    notes: sorted; times are multiplied by `scale` and rounded. A note lasts until the next one
    starts, and at least one tick; a gap becomes a rest (pitch 0).
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
    return np.array(line, np.int64).reshape(-1, 2)
