"""beehive: beehives with and without their queen, two hives of NU-Hive and (in the smaller set) OSBH's.

Two sets, whose files may lie in one folder: NU-Hive's recordings of HEAR's task (record 2667806: 2 hives,
576 files, mostly of 10 minutes, 96 h) and "To bee or not to bee" (record 1321278: 78 recordings, about 12
h, 60 % of them NU-Hive's and the others of the citizen science project OSBH).

Columns: `queen` ("QUEEN" or "NOQUEEN", HEAR's names; empty for recordings of a swarm), `hive` (Hive1,
Hive3, CF001, ..), `date` (of NU-Hive: 2018-06-12), `project` (NU-Hive or OSBH), all from the file name.
`fold` is empty: the publisher has none; HEAR trains on one NU-Hive hive and tests on the other, both ways,
which is `hive` as the fold. HEAR's default draws 5 h of cuts of 30 s; that draw isn't reproduced. `group`
is the hive. The stretches marked bee and noBee (.lab files of record 1321278) are left out.

People's voices: not meant to be there; traffic and other sounds from outside are. What people near the
hives agreed to isn't stated.
Known faults: every day is wholly with or wholly without queen, so the day is easily learnt in the queen's
stead; several OSBH hives are known in one state only. HEAR's page speaks of 930 clips, its code of 576.
"""

import re
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch

NAME = "beehive"
HOMEPAGE = "https://zenodo.org/record/1321278"
URLS = tuple(
    f"https://zenodo.org/record/2667806/files/{day}.rar"
    for day in ("Hive1_12_06_2018", "Hive1_31_05_2018", "Hive3_14_07_2017", "Hive3_28_07_2017")
)
CHECKSUMS = {  # as HEAR's hear-preprocess has them
    "Hive1_12_06_2018.rar": "md5:c04cd7fd310a84f327eb7121e026b40a",
    "Hive1_31_05_2018.rar": "md5:834c58cb1e4c9a15a332a16e106bfa11",
    "Hive3_14_07_2017.rar": "md5:c1fc5c4d2e110aa2bc8687393db7d55d",
    "Hive3_28_07_2017.rar": "md5:3fe9c0488a2207379f410a81d17c5d18",
}
LICENCE = "CC BY 4.0"  # of record 1321278, "To bee or not to bee"
LICENCE_NU_HIVE = "not verified"  # of record 2667806
CITATION = (
    "I. Nolasco, E. Benetos: To bee or not to bee: An annotated dataset for beehive sound recognition. "
    "Zenodo, 2018. doi:10.5281/zenodo.1321278"
)


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip a recording. root: a folder with the recordings at any depth; None: found.

    Instead of the official wav and mp3 files, flac or ogg copies of the same names will do.

    Raises:
        FileNotFoundError: if there is no recording to be had.
        ValueError: for a sound file whose name tells neither the hive nor a swarm.
    """
    if root is None:
        how = f"unpack {', '.join(URLS)}, each into a folder of its name, or the files of {HOMEPAGE}"
        root = fetch.find(NAME, ".", how)
    folder = Path(root)
    files = fetch.under(folder, [*fetch.SOUND, ".mp3"])
    if not files:
        raise FileNotFoundError(f"{folder}: no recordings; it should hold Hive1_12_06_2018_QueenBee_... .wav")
    return [_clip(file) for file in files]


def _clip(file: Path) -> Clip:
    date, queen, licence = "", "", LICENCE
    if match := re.match(r"(Hive\d)[ _](\d\d)_(\d\d)_(\d{4})_(NO_)?QueenBee_", file.stem):
        hive, day, month, year, no = match.groups()
        project, date, queen = "NU-Hive", f"{year}-{month}-{day}", "NOQUEEN" if no else "QUEEN"
        licence = LICENCE if "_audio_" in file.stem else LICENCE_NU_HIVE
    elif match := re.match(r"([A-Z]{2}\d{3}) - (Active|Missing +Queen) +- ", file.stem):
        hive, state = match.groups()
        project, queen = "OSBH", "QUEEN" if state == "Active" else "NOQUEEN"
    elif "Swarming" in file.stem:
        hive, project = file.stem, "OSBH"
    else:
        raise ValueError(f"{file}: the name tells neither hive nor queen; move it out of the data set")
    return Clip(
        path=file,
        labels={"queen": queen, "hive": hive, "date": date, "project": project},
        group=hive,
        licence=licence,
        name=file.name,
    )
