"""libricount: mixtures of 0 to 10 people speaking at once, 5,720 clips of 5 s in 11 classes, 16 kHz.

Columns: `count` (0-10, from the file name: the most people who speak at the same time), `speakers` and
`sexes` (LibriSpeech speaker ids and F or M in the order of the json file beside the sound, joined with "|";
empty where nobody speaks or the json file is missing), `hear_fold` ("fold00".."fold04", HEAR's five folds
by `hear.folds`; empty unless all 5,720 clips are there). `fold` is empty: the publisher offers the whole as
a test set. `group` is the file.

People's voices: readers of LibriVox audio books (LibriSpeech test-clean), who gave their recordings to the
public domain; LibriSpeech lists them by id and name.
Known faults: the mixtures share their speakers and sentences, so no split keeps speakers apart, HEAR's
neither; the speech activity in the json files (not read here) is a detector's, not an annotator's.
"""

import json
import re
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch, hear

NAME = "libricount"
HOMEPAGE = "https://zenodo.org/record/1216072"
URL = f"{HOMEPAGE}/files/LibriCount10-0dB.zip"
SHA256 = None
CHECKSUMS = {"LibriCount10-0dB.zip": "md5:30c8f844dc59fa65d216d53db9dc37e2"}  # as hear-preprocess has it
LICENCE = "CC BY 4.0"  # by the MTEB benchmark's table; not read on the record itself
CITATION = (
    "F.-R. Stöter, S. Chakrabarty, B. Edler, E. A. P. Habets: Classification vs. Regression in Supervised "
    "Learning for Single Channel Speaker Count Estimation. ICASSP, 2018. arXiv:1712.04555. "
    "Data: doi:10.5281/zenodo.1216072"
)
CLIPS = 5720


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip a recording. root: the folder that holds test/; None: found or downloaded.

    Instead of the official wav files, flac or ogg copies of the same names will do.

    Raises:
        FileNotFoundError: if there is no recording to be had.
        ValueError: for a sound file that isn't named {count}_{id}, or a damaged json file.
    """
    folder = (
        fetch.locate(NAME, "test", url=URL, sha256=SHA256, licence=LICENCE) if root is None else Path(root)
    )
    files = fetch.sounds(folder / "test")
    if not files:
        raise FileNotFoundError(f"{folder / 'test'}: no recordings; it should hold {{count}}_{{id}}.wav")
    counts = {file.stem: _count(file) for file in files}
    folds = hear.folds(counts, 5) if len(counts) == CLIPS else {}
    return [_clip(file, counts[file.stem], folds.get(file.stem, "")) for file in files]


def _count(file: Path) -> str:
    match = re.fullmatch(r"(10|\d)_.+", file.stem)
    if match is None:
        raise ValueError(f"{file}: not named {{count}}_{{id}}; move it out of the data set")
    return match.group(1)


def _clip(file: Path, count: str, hear_fold: str) -> Clip:
    table = file.with_suffix(".json")
    try:
        people = json.loads(table.read_text(encoding="utf-8")) if table.is_file() else []
        speakers = "|".join(str(person["speaker_id"]) for person in people)
        sexes = "|".join(person["sex"] for person in people)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{table}: not LibriCount's ({error!r}); download the data set again") from error
    return Clip(
        path=file,
        labels={"count": count, "speakers": speakers, "sexes": sexes, "hear_fold": hear_fold},
        licence=LICENCE,
        name=file.name,
    )
