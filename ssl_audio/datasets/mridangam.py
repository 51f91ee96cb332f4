"""mridangam: a drum of Carnatic music, 6,977 clips of 10 strokes in 6 tonics, 0.02 to 1.58 s, 44.1 kHz.

Columns: `stroke` (bheem, cha, dheem, dhin, num, ta, tha, tham, thi, thom), `tonic` (b, c, csh, d, dsh, e;
sh is sharp), `take` (counts within a stroke and tonic), all from the file name; `hear_fold_stroke` and
`hear_fold_tonic` ("fold00".."fold04", HEAR's five folds of its two tasks by `hear.folds`; empty
unless all 6,977 clips are there). `fold` is empty: the publisher has none. `group` is the file.

People's voices: none; one professional percussionist, Akshay Anantapadmanabhan, named by the publisher.
Known faults: one player, so every fold tests sounds of a known player; HEAR's random folds part
neighbouring takes of one stroke and tonic (`tonic` as the fold tests strokes on an unheard tonic). HEAR
cuts or pads to 0.81 s. The licence is told in two ways: CC BY 3.0 by mirdata, CC BY-NC 3.0 by the file
_readme_and_license.txt of the archive (seen of tonic B), which counts here.
"""

import re
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch, hear

NAME = "mridangam"
HOMEPAGE = "https://zenodo.org/record/4068196"
FOLDER = "mridangam_stroke_1.5"
URL = f"{HOMEPAGE}/files/{FOLDER}.zip"
SHA256 = None
CHECKSUMS = {f"{FOLDER}.zip": "md5:39af55b2476b94c7946bec24331ec01a"}  # as mirdata has it
LICENCE = "CC BY-NC 3.0"
CITATION = (
    "A. Anantapadmanabhan, A. Bellur, H. A. Murthy: Modal analysis and transcription of strokes of the "
    "mridangam using non-negative matrix factorization. ICASSP, 2013, pp. 181-185. "
    "doi:10.1109/ICASSP.2013.6637633"
)
STROKES = ("bheem", "cha", "dheem", "dhin", "num", "ta", "tha", "tham", "thi", "thom")
TONICS = ("b", "c", "csh", "d", "dsh", "e")
CLIPS = 6977


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip a stroke. root: the folder that holds mridangam_stroke_1.5/; None: found or downloaded.

    Instead of the official wav files, flac or ogg copies of the same names will do.

    Raises:
        FileNotFoundError: if there is no stroke to be had.
        ValueError: for a sound file that isn't named {id}__{user}__{stroke}-{tonic}-{take}.
    """
    base = fetch.locate(NAME, FOLDER, url=URL, sha256=SHA256, licence=LICENCE) if root is None else Path(root)
    folder = base / FOLDER
    files = fetch.under(folder)
    if not files:
        raise FileNotFoundError(
            f"{folder}: no strokes; it should hold B/{{id}}__{{user}}__{{stroke}}-{{tonic}}-{{take}}.wav"
        )
    labels = {file.stem: _labels(file) for file in files}
    whole = len(labels) == CLIPS
    for column in ("stroke", "tonic"):
        folds = hear.folds({stem: row[column] for stem, row in labels.items()}, 5) if whole else {}
        for stem, row in labels.items():
            row[f"hear_fold_{column}"] = folds.get(stem, "")
    return [
        Clip(path=file, labels=labels[file.stem], licence=LICENCE, name=f"{file.parent.name}/{file.name}")
        for file in files
    ]


def _labels(file: Path) -> dict[str, str]:
    match = re.fullmatch(r"\d+__\w+?__([a-z]+)-([a-z]+)-(\w+)", file.stem)
    if match is None or match.group(1) not in STROKES or match.group(2) not in TONICS:
        raise ValueError(
            f"{file}: not named {{id}}__{{user}}__{{stroke}}-{{tonic}}-{{take}}; move it out of the data set"
        )
    return dict(zip(("stroke", "tonic", "take"), match.groups(), strict=True))
