"""fsd50k: 51,197 sounds of 0.3 to 30 s with 200 classes of AudioSet, from Freesound, 44.1 kHz mono, 108 h.

Columns: `labels` (200 classes, several a clip, joined by "|"; parents of a class are there too), `mids` (the
same as AudioSet's ids), `uploader` (Freesound user name). `fold` is the publisher's: "train" (36,796) and
"valid" (4,170; "val" in dev.csv) of the development set, "test" (10,231), the evaluation set. `group` is the
Freesound id of the clip, a recording of its own. The authors made the split so that few uploaders are on two
sides; how many are is not verified. HEAR leaves out 12 clips of the development set that it finds to be 30 s
or longer; EVAR uses the folds as here.

People's voices: speech, singing, laughter and other human sounds are among the classes; uploaders are known
by their user names, the people heard by nothing; nothing is said of consent.
Licences are those of the clips, in `licence`: CC0 1.0 (19,873), CC BY 3.0 (23,506), CC BY-NC 3.0 (6,041), CC
Sampling+ 1.0 (1,777); the set as a whole is CC BY 4.0. The authors ask to be contacted before commercial use.
Known faults: labels of the development set are correct but may be incomplete; those of the evaluation set are
exhaustive. Classes are very uneven, `Music` has many clips because it is a parent.
"""

import csv
import json
from pathlib import Path
from typing import Any

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch

NAME = "fsd50k"
HOMEPAGE = "https://zenodo.org/records/4060432"
URLS = (HOMEPAGE,)
CHECKSUMS = {
    "FSD50K.dev_audio.zip": "md5:c480d119b8f7a7e32fdb58f3ea4d6c5a",
    "FSD50K.dev_audio.z01": "md5:faa7cf4cc076fc34a44a479a5ed862a3",
    "FSD50K.dev_audio.z02": "md5:8f9b66153e68571164fb1315d00bc7bc",
    "FSD50K.dev_audio.z03": "md5:1196ef47d267a993d30fa98af54b7159",
    "FSD50K.dev_audio.z04": "md5:d088ac4e11ba53daf9f7574c11cccac9",
    "FSD50K.dev_audio.z05": "md5:81356521aa159accd3c35de22da28c7f",
    "FSD50K.eval_audio.zip": "md5:6fa47636c3a3ad5c7dfeba99f2637982",
    "FSD50K.eval_audio.z01": "md5:3090670eaeecc013ca1ff84fe4442aeb",
    "FSD50K.ground_truth.zip": "md5:ca27382c195e37d2269c4c866dd73485",
    "FSD50K.metadata.zip": "md5:b9ea0c829a411c1d42adb9da539ed237",
}
LICENCE = "CC BY 4.0 (each clip has its own)"
LICENCES = {
    "publicdomain/zero/1.0": "CC0 1.0",
    "licenses/by/3.0": "CC BY 3.0",
    "licenses/by-nc/3.0": "CC BY-NC 3.0",
    "licenses/sampling+/1.0": "CC Sampling+ 1.0",
}
CITATION = (
    "E. Fonseca, X. Favory, J. Pons, F. Font, X. Serra: FSD50K: An Open Dataset of Human-Labeled Sound "
    "Events. IEEE/ACM Transactions on Audio, Speech, and Language Processing 30, 2022, pp. 829-852. "
    "doi:10.1109/TASLP.2021.3133208"
)


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip a row of dev.csv and eval.csv. root: the folder with FSD50K.dev_audio/ and so on; None: found.

    Instead of the official wav files, flac or ogg copies of the same names will do.

    Raises:
        FileNotFoundError: if the set isn't here (says how to get it), or files of it are missing.
        ValueError: if a table isn't FSD50K's.
    """
    if root is None:
        how = (
            f"get the archives of {HOMEPAGE} (25 GB), join the parts of dev_audio and of eval_audio (zip -s "
            "0 FSD50K.dev_audio.zip --out dev.zip), and unpack them there"
        )
        root = fetch.find(NAME, str(Path("FSD50K.ground_truth", "dev.csv")), how)
    return [clip for part in ("dev", "eval") for clip in _part(Path(root), part)]


def _part(root: Path, part: str) -> list[Clip]:
    table = root / "FSD50K.ground_truth" / f"{part}.csv"
    details = root / "FSD50K.metadata" / f"{part}_clips_info_FSD50K.json"
    audio = root / f"FSD50K.{part}_audio"
    for file in (table, details):
        if not file.is_file():
            raise FileNotFoundError(
                f"{file}: missing; the folder should be FSD50K's, with all of its archives unpacked"
            )
    files = fetch.copies(audio)
    with open(table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        info = json.loads(details.read_text(encoding="utf-8"))
        if missing := [row["fname"] for row in rows if row["fname"] not in files]:
            raise FileNotFoundError(
                f"{audio}: {len(missing)} files of {table.name} missing, such as {missing[0]}"
            )
        return [_clip(files[row["fname"]], row, info[row["fname"]], part) for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{table} or {details.name}: not FSD50K's table ({error!r}); download the data set again"
        ) from error


def _clip(file: Path, row: dict[str, str], info: dict[str, Any], part: str) -> Clip:
    licence = info["license"]
    return Clip(
        path=file,
        labels={
            "labels": row["labels"].replace(",", "|"),
            "mids": row["mids"].replace(",", "|"),
            "uploader": info["uploader"],
        },
        fold="test" if part == "eval" else {"train": "train", "val": "valid"}[row["split"]],
        group=row["fname"],
        licence=LICENCES.get(licence.partition("creativecommons.org/")[2].strip("/"), licence),
        name=f"{row['labels'].split(',')[0]}/{file.name}",
    )
