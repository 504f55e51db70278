"""Scores on paper and in files: MIDI, MusicXML, an engraved picture, links to download them."""

from __future__ import annotations

import base64
import functools
import html
import io
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from helpers.datasets import midi
from helpers.files import BookError, atomic_path
from helpers.music import VOICES, Score, read_key, scale

TEMPO = 100.0
"""Quarters a minute, where none is given."""

INSTRUMENTS = {"piano": 0, "church organ": 19, "violin": 40, "cello": 42, "choir": 52, "flute": 73}
"""Numbers of General MIDI, from 0."""

XML_TYPE = "application/vnd.recordare.musicxml+xml"


@functools.cache
def leave_figures_alone() -> None:
    """Import music21 so that figures keep their size.

    In a notebook it waits for a second, then tells matplotlib to draw twice as many pixels.
    """
    from music21 import ipython21

    ipython21.load_ipython_extension = lambda shell: None


# MIDI -----------------------------------------------------------------------------------------


def midi_bytes(score: Score, *, tempo: float = TEMPO, instrument: str = "piano") -> bytes:
    """A MIDI file of a score: a track for each voice, with tempo, meter and key.

    tempo: quarters a minute. A piece with an upbeat begins with the rest that fills its bar, so
    that other programs draw the bar lines where they belong.
    """
    import mido

    if not 4 <= tempo <= 1000:
        raise BookError(f"A tempo is from 4 to 1000 quarters a minute, not {tempo:g}.")
    if instrument not in INSTRUMENTS:
        raise BookError(f"Instruments are {', '.join(INSTRUMENTS)}, not {instrument!r}.")
    file = mido.MidiFile(ticks_per_beat=score.ticks_per_quarter, charset="utf-8")
    head = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=round(60e6 / tempo))])
    if score.meter:
        above, below = map(int, score.meter.split("/"))
        head.append(mido.MetaMessage("time_signature", numerator=above, denominator=below))
    if score.key:
        head.append(mido.MetaMessage("key_signature", key=_signature(score.key)))
    file.tracks.append(head)
    offset = (score.bar - score.pickup) if score.pickup else 0
    for number, notes in enumerate(score.notes()):
        # one channel a voice, and never the drums' channel
        channel = number % 15 + (number % 15 >= midi.PERCUSSION)
        name = mido.MetaMessage("track_name", name=voice_name(score, number))
        program = mido.Message("program_change", program=INSTRUMENTS[instrument], channel=channel)
        track = mido.MidiTrack([name, program])
        time = 0
        # releases come before the notes that begin in the same tick
        events = sorted(
            event for start, end, pitch in notes for event in ((start, 1, pitch), (end, 0, pitch))
        )
        for when, on, pitch in events:
            kind = "note_on" if on else "note_off"
            wait = when + offset - time
            track.append(mido.Message(kind, note=pitch, velocity=64, time=wait, channel=channel))
            time = when + offset
        track.append(mido.MetaMessage("end_of_track", time=score.ticks + offset - time))
        file.tracks.append(track)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def write_midi(score: Score, path: Path, **options: Any) -> None:
    """Write `midi_bytes` to a file, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(midi_bytes(score, **options))


def read_midi(path: Path) -> Score:
    """The tracks of a MIDI file as voices, each the top line of its track, in the file's ticks.

    All voices begin with the file's first note. Meter and key are not read: many programs write
    4/4 and C major into every file.
    """
    division, tracks = midi.read_tracks(path)
    sounding = [track for track in tracks if track]
    if not sounding:
        raise BookError(f"{path.name} in {path.parent} has no notes: choose another file.")
    first = min(start for track in sounding for start, _, _ in track)
    voices = []
    for track in sounding:
        line = midi.top_line(track, 1.0)
        wait = track[0][0] - first
        voices.append(np.concatenate([[[0, wait]], line]) if wait else line)
    return Score(tuple(voices), division, path.stem)


def voice_name(score: Score, number: int) -> str:
    """Soprano, alto, tenor, bass where there are four voices; else "voice 1" and so on."""
    return VOICES[number] if len(score.voices) == len(VOICES) else f"voice {number + 1}"


def _signature(key: str) -> str:
    """MIDI's name for the signature of a key: the major or minor key with the same signs."""
    _, mode = read_key(key)
    if mode in ("major", "minor"):
        return key.split()[0] + ("m" if mode == "minor" else "")
    signs, letter = divmod(_fifths(key) + 1, 7)
    return FIFTHS[letter] + {-1: "b", 0: "", 1: "#"}[signs]


# MusicXML -------------------------------------------------------------------------------------


def musicxml(score: Score) -> str:
    """A score as MusicXML: bars, an upbeat, a key, and ties where a note crosses a bar line."""
    leave_figures_alone()
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    content = GeneralObjectExporter(_stream(score)).parse().decode("utf-8")
    # the day would differ with each run, and the program's version with each machine
    content = re.sub(r"\s*<encoding-date>.*?</encoding-date>", "", content)
    content = re.sub(r"<software>.*?</software>", "<software>music21</software>", content)
    # nor should its names of the parts, which are drawn by chance
    for number, name in enumerate(re.findall(r'<score-part id="([^"]+)"', content), start=1):
        content = content.replace(f'id="{name}"', f'id="P{number}"')
    return content


def write_musicxml(score: Score, path: Path) -> None:
    """Write `musicxml` to a file, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(musicxml(score), encoding="utf-8")


def read_musicxml(text: str) -> Score:
    """A score from MusicXML of one part a voice: of chords the top note, tied notes as one.

    Lengths are in 24 ticks to a quarter; BookError for what is no MusicXML or does not fit.
    """
    leave_figures_alone()
    from music21 import converter
    from music21.exceptions21 import Music21Exception

    try:
        parsed: Any = converter.parseData(text, format="musicxml")
    except (Music21Exception, ValueError, SyntaxError, TypeError, AttributeError) as error:
        raise BookError(f"This is no MusicXML that can be read ({type(error).__name__}).") from None
    parts = list(parsed.parts)
    if not parts:
        raise BookError("This MusicXML has no part.")
    first = parts[0].flatten()
    signs = list(first.getElementsByClass("TimeSignature"))
    keys = list(first.getElementsByClass("Key"))
    key = f"{keys[0].tonic.name.replace('-', 'b')} {keys[0].mode}" if keys else ""
    bar = parts[0].getElementsByClass("Measure").first()
    pickup = bar.quarterLength if bar is not None and bar.paddingLeft else 0
    return Score(
        tuple(_read_part(part) for part in parts), midi.TICKS_PER_QUARTER,
        _title(parsed.metadata),
        signs[0].ratioString if signs else "", key, round(pickup * midi.TICKS_PER_QUARTER),
    )  # fmt: skip


def _title(metadata: Any) -> str:
    return str((metadata and (metadata.title or metadata.movementName)) or "")


def _read_part(part: Any) -> np.ndarray:
    """The (pitch, length) of a part; each start is rounded, so that errors do not add up."""
    notes: list[list[int]] = []
    tied = False
    for element in part.flatten().notesAndRests:
        start, end = (
            round(time * midi.TICKS_PER_QUARTER)
            for time in (element.offset, element.offset + element.quarterLength)
        )
        if end <= start:
            continue
        pitch = 0 if element.isRest else max(one.midi for one in element.pitches)
        if notes and notes[-1][0] == pitch and (tied or pitch == 0):
            notes[-1][1] += end - start
        else:
            notes.append([pitch, end - start])
        tied = element.tie is not None and element.tie.type in ("start", "continue")
    return np.array(notes, np.int64).reshape(-1, 2)


def _stream(score: Score) -> Any:
    """music21's form of a score."""
    leave_figures_alone()
    from music21 import clef, key, metadata, meter, stream

    whole = stream.Score()
    whole.metadata = metadata.Metadata(title=score.title or "Untitled", composer="")
    for number, voice in enumerate(score.voices):
        part = stream.Part(id=voice_name(score, number))
        part.partName = voice_name(score, number) if len(score.voices) > 1 else ""
        for place, cells in enumerate(_bars(voice, score)):
            measure = stream.Measure(number=place + (not score.pickup))
            if place == 0:
                measure.append(clef.BassClef() if _is_low(voice) else clef.TrebleClef())
                if score.key:
                    tonic, mode = score.key.split()
                    name = tonic.replace("b", "-")
                    measure.append(key.Key(name, mode))
                measure.append(meter.TimeSignature(score.meter or "4/4"))
                if score.pickup:
                    measure.paddingLeft = (score.bar - score.pickup) / score.ticks_per_quarter
            for element in cells:
                measure.append(element)
            if place:  # the last bar may be short: an upbeat takes its time from there
                missing = score.bar - measure.duration.quarterLength * score.ticks_per_quarter
                measure.paddingRight = missing / score.ticks_per_quarter
            part.append(measure)
        whole.insert(0, part)
    return whole


def _is_low(voice: np.ndarray) -> bool:
    sounding = voice[voice[:, 0] > 0, 0]
    return len(sounding) > 0 and float(sounding.mean()) < 60


def _bars(voice: np.ndarray, score: Score) -> list[list[Any]]:
    """The notes and rests of each bar as music21's; a note that crosses a bar line is tied."""
    from fractions import Fraction

    leave_figures_alone()
    from music21 import note, tie

    found: list[list[Any]] = [[]]
    room = score.pickup or score.bar
    for pitch, length in voice.tolist():
        left, pieces = length, []
        while left:
            if not room:
                found.append([])
                room = score.bar
            now = min(left, room)
            quarters = Fraction(now, score.ticks_per_quarter)
            element = note.Note(pitch) if pitch else note.Rest()
            element.quarterLength = quarters
            if pitch:
                _spell(element, score.key)
                pieces.append(element)
            found[-1].append(element)
            left -= now
            room -= now
        for place, element in enumerate(pieces if len(pieces) > 1 else []):
            last = len(pieces) - 1
            element.tie = tie.Tie(
                "start" if place == 0 else "stop" if place == last else "continue"
            )
    return found


FIFTHS = "FCGDAEB"
"""The letters, each a fifth above the one before; then the same with sharps, before with flats."""

SIGNATURE = {
    "major": 0, "minor": 3, "dorian": 2, "phrygian": 4, "lydian": -1, "mixolydian": 1,
    "locrian": 5,
}  # fmt: skip
"""How many fifths a mode's tonic lies above the major key with the same signs."""


def _fifths(key_name: str) -> int:
    """The sharps (flats below 0) of the signature of a key."""
    _, mode = read_key(key_name)
    tonic = key_name.split()[0]
    sign = 7 * (tonic.count("#") - tonic[1:].count("b"))
    return FIFTHS.index(tonic[0]) - 1 + sign - SIGNATURE[mode]


def _spell(element: Any, key_name: str) -> None:
    """The note's name in its key: in D minor the pitch 61 is C sharp, in Ab major D flat.

    Of the names of a pitch the one is taken that lies among twelve neighbours in the chain of
    fifths, three below the key's F to five above its B; in keys with a minor third one more above.
    """
    leave_figures_alone()
    from music21 import pitch as pitches

    if not key_name:
        return
    tonic, _ = read_key(key_name)
    has_minor_third = (tonic + 3) % 12 in scale(key_name)
    lowest = _fifths(key_name) - (2 if has_minor_third else 3)
    midi_number = element.pitch.midi
    place = next(
        place for place in range(lowest, lowest + 12) if place * 7 % 12 == midi_number % 12
    )
    signs, letter = divmod(place + 1, 7)
    accidental = "#" * signs if signs > 0 else "-" * -signs
    named = pitches.Pitch(FIFTHS[letter] + accidental, octave=midi_number // 12 - 1)
    named.octave += (midi_number - named.midi) // 12  # B sharp is in the octave below
    element.pitch = named


# Pictures and links ---------------------------------------------------------------------------


def engrave(score: Score, *, width: int = 1800, scale: int = 40) -> str:
    """A score as an SVG picture, drawn by Verovio; `width` in tenths of a millimetre.

    The same score gives the same text on every machine, and names in it differ between scores, so
    that several fit on a page. No other host is asked for anything.
    """
    try:
        import verovio
    except ImportError as error:
        raise BookError("To engrave a score, install the package verovio.") from error
    verovio.enableLog(verovio.LOG_OFF)
    toolkit = verovio.toolkit()
    toolkit.setOptions(
        {
            "pageWidth": width, "scale": scale, "adjustPageHeight": True, "header": "none",
            "footer": "none", "breaks": "auto", "svgViewBox": True, "xmlIdChecksum": True,
            "pageMarginLeft": 20, "pageMarginRight": 20, "pageMarginTop": 20,
            "pageMarginBottom": 20, "pageHeight": 60000,
        }
    )  # fmt: skip
    if not toolkit.loadData(musicxml(score)):
        raise BookError("Verovio cannot read this score.")
    picture = toolkit.renderToSVG(1)
    # neither the build of the program nor indentation belongs to the picture
    picture = re.sub(r"<desc>.*?</desc>", "", picture, flags=re.DOTALL)
    return re.sub(r">\s*\n\s*<", "><", picture)


def picture_html(score: Score, alt: str, **options: Any) -> str:
    """The engraved score on white ground, with a description for those who cannot see it."""
    if not alt.strip():
        raise BookError("Describe the score in `alt`, for readers who cannot see it.")
    # quoted text is shorter than base64, and needs no double quotes
    source = quote(engrave(score, **options).replace('"', "'"), safe=" ='/:;,()-.~!*@+?|")
    return (
        f'<img alt="{html.escape(alt)}" src="data:image/svg+xml,{source}" '
        'style="width:100%;background:white;padding:.3rem">'
    )


def download_links(score: Score, name: str, **options: Any) -> str:
    """HTML with two links: the score as MIDI and as MusicXML, inside the page itself.

    name: of the files, without suffix. The options are those of `midi_bytes`.
    """
    if not re.fullmatch(r"[\w-]+", name):
        raise BookError(f"Name the files with letters, digits, - and _, not {name!r}.")
    content = {
        "mid": ("MIDI", "audio/midi", midi_bytes(score, **options)),
        "musicxml": ("MusicXML", XML_TYPE, musicxml(score).encode()),
    }
    links = [
        f'<a download="{name}.{suffix}" href="data:{kind};base64,'
        f'{base64.b64encode(data).decode()}">{word}</a>'
        for suffix, (word, kind, data) in content.items()
    ]
    return f"<p>Download: {', '.join(links)}</p>"
