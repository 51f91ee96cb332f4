"""nsynth: 305,979 single notes of 1,006 instruments, 4 s each, 16 kHz mono, made from sample libraries.

Columns: `pitch` (MIDI number), `velocity` (MIDI), `family` (11), `source` (acoustic, electronic, synthetic),
`instrument` (1,006, also the group), `qualities` (of 10, joined by "|", may be empty), `hear_5h`, `hear_50h`
("train", "valid", "test": HEAR's draws; empty for other notes and where a fold isn't whole). `fold` is the
publisher's: "train" (289,205 notes, 953 instruments), "valid" (12,678, 53), "test" (4,096, 53). No instrument
of train is in the others, but valid and test have the same 53 instruments: they cut the groups, so choosing
on valid is choosing on the instruments of the test.

HEAR's "nsynth_pitch" predicts the pitch, only of notes with pitches 21 to 108; its "5h" has at most 4,000,
500 and 500 notes (train, valid, test) and its "50h" ten times that. EVAR predicts the family, of all notes.

People's voices: none speaks; the family `vocal` has notes that are sung or sound so.
Known faults (issues 1143 and 2092 of magenta/magenta): about 0.8 % of the test notes lie outside the
announced pitches 21 to 108, and 71 of brass_acoustic_046 in the test are noise. Pitches and velocities differ
from instrument to instrument; some have one velocity only.
"""

import json
from pathlib import Path
from typing import Any

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch, hear

NAME = "nsynth"
HOMEPAGE = "https://magenta.tensorflow.org/datasets/nsynth"
FOLDS = ("train", "valid", "test")
NOTES = {"train": 289_205, "valid": 12_678, "test": 4_096}
DRAWN = {"hear_5h": {"train": 4_000, "valid": 500, "test": 500}}
DRAWN["hear_50h"] = {fold: 10 * most for fold, most in DRAWN["hear_5h"].items()}
URLS = tuple(
    f"http://download.magenta.tensorflow.org/datasets/nsynth/nsynth-{f}.jsonwav.tar.gz" for f in FOLDS
)
# Not the publisher's own statement: HEAR's preprocessing records them.
CHECKSUMS = {
    "nsynth-train.jsonwav.tar.gz": "md5:fde6665a93865503ba598b9fac388660",
    "nsynth-valid.jsonwav.tar.gz": "md5:87e94a00a19b6dbc99cf6d4c0c0cae87",
    "nsynth-test.jsonwav.tar.gz": "md5:5e6f8719bf7e16ad0a00d518b78af77d",
}
LICENCE = "CC BY 4.0"
CITATION = (
    "J. Engel, C. Resnick, A. Roberts, S. Dieleman, D. Eck, K. Simonyan, M. Norouzi: Neural Audio Synthesis "
    "of Musical Notes with WaveNet Autoencoders. 2017. arXiv:1704.01279"
)


def clips(root: Path | str | None = None, folds: tuple[str, ...] = FOLDS) -> list[Clip]:
    """One clip a note. root: the folder with nsynth-train/, nsynth-valid/, nsynth-test/; None: found.

    folds: those that are wanted; the others needn't be there. Instead of the official wav files, flac or ogg
    copies of the same names will do.

    Raises:
        FileNotFoundError: if the set isn't here (says how to get it), or sound files are missing.
        ValueError: if a table isn't NSynth's.
    """
    if root is None:
        how = f"get {', '.join(URLS)} and unpack them there"
        root = fetch.find(NAME, str(Path(f"nsynth-{folds[0]}", "examples.json")), how)
    return [clip for fold in folds for clip in _fold(Path(root) / f"nsynth-{fold}", fold)]


def _fold(folder: Path, fold: str) -> list[Clip]:
    table = folder / "examples.json"
    if not table.is_file():
        raise FileNotFoundError(f"{table}: missing; the folder should be NSynth's, of the archive with json")
    files = fetch.copies(folder / "audio")
    try:
        notes = json.loads(table.read_text(encoding="utf-8"))
        if missing := [name for name in notes if name not in files]:
            raise FileNotFoundError(
                f"{folder / 'audio'}: {len(missing)} notes of {table.name} missing, such as {missing[0]}"
            )
        keys = [name for name, note in notes.items() if 21 <= note["pitch"] <= 108]
        whole = len(notes) == NOTES[fold]
        kept = {draw: hear.drawn(keys, fold, most[fold]) if whole else () for draw, most in DRAWN.items()}
        return [
            _clip(
                files[name], note, fold, {draw: fold if name in some else "" for draw, some in kept.items()}
            )
            for name, note in notes.items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{table}: not NSynth's table ({error!r}); download the data set again") from error


def _clip(file: Path, note: dict[str, Any], fold: str, draws: dict[str, str]) -> Clip:
    return Clip(
        path=file,
        labels={
            "pitch": str(note["pitch"]),
            "velocity": str(note["velocity"]),
            "family": note["instrument_family_str"],
            "source": note["instrument_source_str"],
            "instrument": note["instrument_str"],
            "qualities": "|".join(note["qualities_str"]),
            **draws,
        },
        fold=fold,
        group=note["instrument_str"],
        licence=LICENCE,
        name=f"{note['instrument_family_str']}/{file.name}",
    )
