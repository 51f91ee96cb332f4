"""maestro: MAESTRO v3, piano of ten years of a competition, 1,276 recordings, 199 h, 44.1 to 48 kHz.

Columns: `composer`, `title`, `year` (of the performance), `hear_fold` ("fold00".."fold04", the five folds
of HEAR's task by its rule; empty unless all 1,276 recordings are there). `fold` is the publisher's split:
"train" (962), "valid" (137; "validation" in the table), "test" (177). `group` is composer and title. The
notes are in the MIDI files beside the sound (same name, .midi), which this reader leaves out.

HEAR's 5 h task: the first 120 s of a recording, notes 21 to 108 with the sustain pedal applied; of each of
the five folds 37 recordings are drawn (185 in all). That draw isn't reproduced here.

People's voices: none; the pianists are competitors whom the table doesn't name.
Known faults: the publisher keeps performances of one composition in one split, HEAR's folds don't. Titles
aren't standardised, so one composition may be several groups; whether a group lies in two splits wasn't
verified.
"""

import csv
from pathlib import Path

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


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip a row of maestro-v3.0.0.csv. root: the folder that holds it and the years; None: found.

    Instead of the official wav files, flac copies of the same names will do.

    Raises:
        FileNotFoundError: if the table or sound files are missing.
        ValueError: if the table isn't MAESTRO's.
    """
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
        return [
            Clip(
                path=file,
                labels={
                    "composer": row["canonical_composer"],
                    "title": row["canonical_title"],
                    "year": row["year"],
                    "hear_fold": folds.get(file.stem, ""),
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


def _file(wav: Path) -> Path:
    return flac if (flac := wav.with_suffix(".flac")).is_file() else wav
