"""gm_instruments: 919 recorded notes and hits of 101 instruments in 13 families, shipped inside the package.

The first 2 s (at most) of the samples of the MuseScore General soundfont, 16 kHz mono; 19 minutes, 7.7 MB.
Columns: `family` (13), `octave` (scientific, key 60 is in octave 4; empty for the 219 clips without pitch),
`instrument` (101, also the group). `fold` is "1".."5": no instrument in two folds, families as even as that
allows, frozen in labels.csv. data/cut_gm_instruments.py cut it.

People's voices: nobody's speech; the two choirs of the family `ensemble` (22 clips) are sung vowels.
Known faults are told in data/gm_instruments/DATASHEET.md.
"""

import csv
from pathlib import Path

from ssl_audio.audio.store import Clip

NAME = "gm_instruments"
HOMEPAGE = "https://ftp.osuosl.org/pub/musescore/soundfont/MuseScore_General/"
URL = None  # embedded: nothing is downloaded
# of labels.csv and the audio files, as `files_digest` of the script computes it
SHA256 = "6b0a689e3bedc7550fd3841a0a8a0f66488a8363f9ef8f3f05ca56a148e12090"
LICENCE = "MIT (parts public domain or CC0)"
CITATION = (
    "MuseScore_General SoundFont, S. Christian Collins, 2018-2021; from Fluid (R3) Mono, Michael Cowgill, "
    "2014-2017, and Fluid (R3) GM, Frank Wen, 2000-2008."
)


def clips(root: Path | str | None = None) -> list[Clip]:
    """The 919 clips. root: another folder cut by the same script; None: the embedded one."""
    folder = Path(__file__).parent / "data" / NAME if root is None else Path(root)
    table = folder / "labels.csv"
    if not table.is_file():
        raise FileNotFoundError(
            f"{table}: missing; the package was installed without its data, install it again"
        )
    with open(table, encoding="utf-8", newline="") as file:
        return [
            Clip(
                path=folder / row["path"],
                labels={column: row[column] for column in ("family", "octave", "instrument")},
                fold=row["fold"],
                group=row["instrument"],
                licence=LICENCE,
                name=f"{row['family']}/{row['instrument']} {Path(row['path']).stem}",
            )
            for row in csv.DictReader(file)
        ]
