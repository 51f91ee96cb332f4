"""maestro: MAESTRO v3, piano of ten years of a competition, 1,276 recordings, 199 h, 44.1 to 48 kHz.

Columns: `composer`, `title`, `year` (of the performance), `hear_fold` ("fold00".."fold04", the five folds
of HEAR's task by its rule; empty unless all 1,276 recordings are there), `notes` ("yes" in the part 5h, else
empty). `fold` is the publisher's split: "train" (962), "valid" (137; "validation" in the table), "test"
(177). `group` is composer and title. The notes are in the MIDI files beside the sound (same name, .midi),
which `events(clip)` reads.

The part 5h is HEAR's task: the first 120 s of 37 recordings of each of the five folds (185 in all), which it
draws; of their notes those from 21 to 108, the sustain pedal applied.

People's voices: none; the pianists are competitors whom the table doesn't name.
Known faults: the publisher keeps performances of one composition in one split, HEAR's folds don't. Titles
aren't standardised, so one composition may be several groups; whether a group lies in two splits wasn't
verified.
"""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch, hear

NAME = "maestro"
HOMEPAGE = "https://magenta.tensorflow.org/datasets/maestro"
URL = "https://storage.googleapis.com/magentadata/datasets/maestro/v3.0.0/maestro-v3.0.0.zip"
CHECKSUMS = {
    "maestro-v3.0.0.zip": "sha256:6680fea5be2339ea15091a249fbd70e49551246ddbd5ca50f1b2352c08c95291",
    "maestro-v3.0.0-midi.zip": "sha256:70470ee253295c8d2c71e6d9d4a815189e35c89624b76d22fce5a019d5dde12c",
}
LICENCE = "CC BY-NC-SA 4.0"
CITATION = (
    "C. Hawthorne, A. Stasyuk, A. Roberts, I. Simon, C.-Z. A. Huang, S. Dieleman, E. Elsen, J. Engel, "
    "D. Eck: Enabling Factorized Piano Music Modeling and Generation with the MAESTRO Dataset. ICLR, 2019. "
    "arXiv:1810.12247"
)
TABLE = "maestro-v3.0.0.csv"
FOLDS = {"train": "train", "validation": "valid", "test": "test"}
CLIPS = 1276
SECONDS, DRAWN = 120.0, 37


def clips(root: Path | str | None = None, part: str = "") -> list[Clip]:
    """One clip a row of maestro-v3.0.0.csv. root: the folder that holds it and the years; None: found.

    Instead of the official wav files, flac copies of the same names will do.

    Args:
        part: "" or "5h", HEAR's: of which all recordings must be there.

    Raises:
        FileNotFoundError: if the table or sound files are missing.
        ValueError: for another part, or if the table isn't MAESTRO's.
    """
    if part not in ("", "5h"):
        raise ValueError(f"{part!r}: no part of {NAME}; it has 5h")
    if root is None:
        root = fetch.find(NAME, TABLE, f"unpack {URL} (101 GB) and rename its folder to {NAME}")
    folder = Path(root)
    if not (folder / TABLE).is_file():
        raise FileNotFoundError(
            f"{folder / TABLE}: missing; the folder should be maestro-v3.0.0, with a folder a year"
        )
    with open(folder / TABLE, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        files = [_file(folder / row["audio_filename"]) for row in rows]
        missing = [file for file in files if not file.is_file()]
        if missing:
            raise FileNotFoundError(
                f"{folder}: {len(missing)} files of {TABLE} missing, such as {missing[0].relative_to(folder)}"
            )
        # HEAR doesn't ask for every note in every fold: with one label for all, the first seed will do
        folds = hear.folds({file.stem: "" for file in files}, 5) if len(files) == CLIPS else {}
        found = [
            Clip(
                path=file,
                duration=SECONDS if part else None,
                labels={
                    "composer": row["canonical_composer"],
                    "title": row["canonical_title"],
                    "year": row["year"],
                    "hear_fold": folds.get(file.stem, ""),
                    "notes": "yes" if part else "",
                },
                fold=FOLDS[row["split"]],
                group=f"{row['canonical_composer']}: {row['canonical_title']}",
                licence=LICENCE,
                name=row["audio_filename"],
            )
            for file, row in zip(files, rows, strict=True)
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{folder / TABLE}: not MAESTRO's table ({error!r}); download the data set again"
        ) from error
    if not part:
        return found
    if not folds:
        raise FileNotFoundError(f"{folder}: {len(files)} recordings in the table; HEAR's draw is of {CLIPS}")
    of = lambda fold: [stem for stem, its in folds.items() if its == fold]
    kept = set().union(*(hear.drawn(of(fold), fold, DRAWN) for fold in set(folds.values())))
    return [clip for clip in found if Path(clip.path).stem in kept]


def events(clip: Clip) -> list[tuple[float, float, str]]:
    """The notes of a clip as HEAR makes them: (onset, offset, MIDI number), seconds, 21 to 108, the sustain
    pedal applied, cut at the clip's end.

    Raises:
        FileNotFoundError: if the MIDI file isn't beside the sound.
        ModuleNotFoundError: if mido isn't installed.
        ValueError: if it isn't a MIDI file.
    """
    file = Path(clip.path).with_suffix(".midi")
    if not file.is_file():
        raise FileNotFoundError(f"{file}: missing; unpack MAESTRO's archive with its MIDI files")
    try:
        import mido
    except ImportError as error:
        raise ModuleNotFoundError(f"{file}: reading it needs mido; pip install mido") from error
    try:
        notes, pedal = played(mido.MidiFile(file))
    except (OSError, EOFError, ValueError, KeyError, IndexError) as error:
        raise ValueError(f"{file}: not a MIDI file ({error!r}); download the data set again") from error
    end = float("inf") if clip.duration is None else clip.start + clip.duration
    return [
        (note.onset - clip.start, min(note.offset, end) - clip.start, str(note.pitch))
        for note in sorted(sustained(notes, pedal))
        if 21 <= note.pitch <= 108 and clip.start <= note.onset < end
    ]


class Note(NamedTuple):
    """A key from its stroke to its end, seconds."""

    onset: float
    offset: float
    pitch: int


def played(messages: Iterable) -> tuple[list[Note], list[tuple[float, bool]]]:
    """Keys as they are held down, and when the sustain pedal goes down (True) or up.

    messages: as mido iterates over a file, their times being seconds since the one before. A release ends
    all strokes of its key but those of the same moment, as in pretty_midi, which HEAR calls.
    """
    now, held, notes, pedal = 0.0, {}, [], []
    for message in messages:
        now += message.time
        if message.type == "control_change" and message.control == 64:
            pedal.append((now, message.value >= 64))
        elif message.type in ("note_on", "note_off"):
            strokes = held.setdefault((message.channel, message.note), [])
            if message.type == "note_on" and message.velocity:
                strokes.append(now)
                continue
            ended = [onset for onset in strokes if onset != now]
            notes += [Note(onset, now, message.note) for onset in ended]
            strokes[:] = [onset for onset in strokes if onset == now and ended]
    return notes, pedal


def sustained(notes: list[Note], pedal: list[tuple[float, bool]]) -> list[Note]:
    """Notes that sound on while the pedal is down: until it goes up or the same key is struck again.

    As note_seq's `apply_sustain_control_changes`, which HEAR calls; a note that would end where it begins,
    for its key is struck twice at one time, is left out.
    """
    down, up, stroke, release = range(4)  # this order where times are the same
    moments = [(at, down if on else up, -1) for at, on in pedal]
    moments += [(note.onset, stroke, i) for i, note in enumerate(notes)]
    moments += [(note.offset, release, i) for i, note in enumerate(notes)]
    ends, sounding, on, now = [note.offset for note in notes], {}, False, 0.0
    for now, what, i in sorted(moments, key=lambda m: m[:2]):
        if what == down:
            on = True
        elif what == up:
            on = False
            for j in [j for j in sounding if ends[j] < now]:
                ends[j] = now
                del sounding[j]
        elif what == stroke:
            if on:
                for j in [j for j in sounding if notes[j].pitch == notes[i].pitch]:
                    ends[j] = now
                    del sounding[j]
            sounding[i] = True
        elif not on:
            sounding.pop(i, None)
    for j in sounding:
        ends[j] = now
    made = [Note(note.onset, end, note.pitch) for note, end in zip(notes, ends, strict=True)]
    return [note for note in made if note.offset > note.onset]


def _file(wav: Path) -> Path:
    return flac if (flac := wav.with_suffix(".flac")).is_file() else wav
