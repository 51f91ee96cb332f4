"""vocalsound: VocalSound, 20,977 laughs, sighs, coughs and the like by 3,365 people, 16 or 44.1 kHz.

Columns: `category` (cough, laughter, sigh, sneeze, sniff, throatclearing), `speaker` (also the group), `sex`
(female, male), `age` (years; empty where meta/ lacks the speaker). `fold` is the publisher's, of datafiles/:
"train" (15,531), "valid" (1,855), "test" (3,591); it goes by speaker. EVAR uses it;
X-ARES splits all files of audio_16k/ by the speakers' lists in meta/.

People's voices: crowd workers, known by numbers, who recorded themselves for this; age, sex, country,
language and health condition are in meta/, of which only the age is read here. How they consented is not
verified.
Known faults: the publisher speaks of 21,024 recordings, 47 more than the three lists have. Everyone recorded
with a device of their own, and on request. The README says that meta/ has json files; they are csv files
without a heading.
"""

import csv
import json
import re
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch

NAME = "vocalsound"
HOMEPAGE = "https://github.com/YuanGongND/vocalsound"
URL = "https://www.dropbox.com/s/c5ace70qh1vbyzb/vs_release_16k.zip?dl=1"
SHA256 = None
LICENCE = "CC BY-SA 4.0"
CITATION = (
    "Y. Gong, J. Yu, J. Glass: Vocalsound: A Dataset for Improving Human Vocal Sounds Recognition. "
    "ICASSP 2022, pp. 151-155. doi:10.1109/ICASSP43922.2022.9746828"
)
FOLDS = {"train": "tr", "valid": "val", "test": "te"}
SEXES = {"f": "female", "m": "male"}


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip an entry of datafiles/. root: the folder with datafiles/, meta/ and audio_16k/; None: found or
    downloaded.

    The download is 1.7 GB, at 16 kHz. The release at 44.1 kHz, with other names for its lists, is read too.

    Raises:
        FileNotFoundError: if it cannot be had, or files of it are missing.
        ValueError: if a list isn't VocalSound's.
    """
    if root is None:
        root = fetch.locate(NAME, "datafiles", url=URL, sha256=SHA256, licence=LICENCE)
    folder = Path(root)
    with open(_first(folder, "meta/all_meta.csv"), encoding="utf-8", newline="") as file:
        ages = {row[0]: row[2] for row in csv.reader(file) if len(row) > 2}
    audio = _first(folder, "audio_16k", "audio_44k", "data_44k")
    files = {f.name: f for f in audio.iterdir()}
    found = []
    for fold, short in FOLDS.items():
        table = _first(folder, f"datafiles/{short}.json", f"datafiles/{short}_rev.json")
        try:
            entries = json.loads(table.read_text(encoding="utf-8"))["data"]
            # the paths are of the publisher's machine
            names = [entry["wav"].rpartition("/")[2] for entry in entries]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{table}: not VocalSound's ({error!r}); download the data set again") from error
        if missing := [name for name in names if name not in files]:
            raise FileNotFoundError(
                f"{audio}: {len(missing)} files of {table.name} missing, such as {missing[0]}"
            )
        found += [_clip(files[name], fold, ages) for name in names]
    if not any(clip.labels["age"] for clip in found):
        raise ValueError(f"{folder / 'meta'}: nothing about these speakers; download the data set again")
    return found


def _first(folder: Path, *names: str) -> Path:
    if path := next((folder / name for name in names if (folder / name).exists()), None):
        return path
    raise FileNotFoundError(f"{folder / names[0]}: missing; the folder should be VocalSound's")


def _clip(file: Path, fold: str, ages: dict[str, str]) -> Clip:
    match = re.fullmatch(r"(([fm])\d+)_\d+_(cough|laughter|sigh|sneeze|sniff|throatclearing)", file.stem)
    if match is None:
        raise ValueError(f"{file}: not named like f0003_0_cough; download the data set again")
    speaker, sex, category = match.groups()
    return Clip(
        path=file,
        labels={
            "category": category,
            "speaker": speaker,
            "sex": SEXES[sex],
            "age": ages.get(speaker, "").strip(),
        },
        fold=fold,
        group=speaker,
        licence=LICENCE,
        name=f"{category}/{file.name}",
    )
