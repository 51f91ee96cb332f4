"""beijing_opera: strokes of the percussion of the Beijing opera, 236 clips of 4 instruments, 0.07 to 8.9 s.

Columns: `instrument` (bangu 59, daluo 50, naobo 62, xiaoluo 65 clips: clapper-drum, large gong, cymbals,
small gong; from the file name), `hear_fold` ("fold00".."fold04", HEAR's five folds by
`hear.folds`; empty unless all 236 clips are there). `fold` is empty: the publisher has none.
`group` is the file.

People's voices: none; struck by one player, Ying Wan, whom the publisher names.
Known faults: one player, one room; the file names don't say which gong, cymbal or drum was struck, so clips
of one piece may lie in several folds, HEAR's too. The sampling rate wasn't verified. HEAR cuts or pads to
4.77 s.
"""

import re
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch, hear

NAME = "beijing_opera"
HOMEPAGE = "https://zenodo.org/record/1285212"
FOLDER = "beijing_opera_percussion_instrument_1.0"
URL = f"{HOMEPAGE}/files/{FOLDER}.zip"
SHA256 = None
CHECKSUMS = {f"{FOLDER}.zip": "md5:51dc70d02a06b9d96befadf320a6996f"}  # as HEAR's hear-preprocess has it
LICENCE = "CC BY 4.0"  # by projects that use the record; not read on the record itself
CITATION = (
    "M. Tian, A. Srinivasamurthy, M. Sandler, X. Serra: A study of instrument-wise onset detection in "
    "Beijing Opera percussion ensembles. ICASSP, 2014, pp. 2159-2163. doi:10.1109/ICASSP.2014.6853981"
)
INSTRUMENTS = ("bangu", "daluo", "naobo", "xiaoluo")
CLIPS = 236


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip a stroke. root: the folder that holds beijing_opera_percussion_instrument_1.0/; None: found or
    downloaded.

    Instead of the official wav files, flac or ogg copies of the same names will do.

    Raises:
        FileNotFoundError: if there is no stroke to be had.
        ValueError: for a sound file that isn't named {id}__{user}__{instrument}-{take}.
    """
    base = fetch.locate(NAME, FOLDER, url=URL, sha256=SHA256, licence=LICENCE) if root is None else Path(root)
    folder = base / FOLDER
    files = fetch.sounds(folder)
    if not files:
        raise FileNotFoundError(
            f"{folder}: no strokes; it should hold {{id}}__{{user}}__{{instrument}}-{{take}}.wav"
        )
    instruments = {file.stem: _instrument(file) for file in files}
    folds = hear.folds(instruments, 5) if len(instruments) == CLIPS else {}
    return [
        Clip(
            path=file,
            labels={"instrument": instruments[file.stem], "hear_fold": folds.get(file.stem, "")},
            licence=LICENCE,
            name=file.name,
        )
        for file in files
    ]


def _instrument(file: Path) -> str:
    match = re.fullmatch(r"\d+__\w+?__(?:.+-)?([a-z]+)-\w+", file.stem)
    if match is None or match.group(1) not in INSTRUMENTS:
        raise ValueError(
            f"{file}: not named {{id}}__{{user}}__{{instrument}}-{{take}}; move it out of the data set"
        )
    return match.group(1)
