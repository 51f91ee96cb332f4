"""urbansound8k: UrbanSound8K, 8,732 city sounds of up to 4 s in 10 classes, from Freesound, 8.75 hours.

Rates, bit depths and channels are those of the uploads and differ from file to file.

Columns: `class` (10), `class_id` (0-9), `salience` ("1" foreground, 5,702 clips, "2" background, 3,030),
`recording` (fsID, the Freesound recording, 1,297). `fold` is the publisher's, "1".."10", to be used as it is:
clips of one recording are alike, and a random split puts them on both sides. `group` is the recording
and the class, "100032-3". HEAR has no such task; EVAR and X-ARES use these ten folds.

People's voices: children playing (1,000 clips) and whoever is heard in the street; nobody is named and
nothing is said of consent; FREESOUNDCREDITS.txt of the set names the uploaders.
Known faults: five recordings (77751, 106905, 132016, 176638, 180937) gave clips of two classes which lie in
two folds. The official folds cut these recordings, which is why the group has the class in it. By the table
456 clips are shorter than 1 s. The set's README says CC BY-NC 3.0, its Zenodo record CC BY-NC 4.0.
"""

import csv
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch

NAME = "urbansound8k"
HOMEPAGE = "https://urbansounddataset.weebly.com/urbansound8k.html"
URL = "https://zenodo.org/records/1203745/files/UrbanSound8K.tar.gz"
CHECKSUMS = {"UrbanSound8K.tar.gz": "md5:9aa69802bbf37fb986f71ec1483a196e"}
LICENCE = "CC BY-NC 3.0"
CITATION = (
    "J. Salamon, C. Jacoby, J. P. Bello: A Dataset and Taxonomy for Urban Sound Research. Proceedings of the "
    "22nd ACM International Conference on Multimedia, 2014, pp. 1041-1044. doi:10.1145/2647868.2655045"
)


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip a row of metadata/UrbanSound8K.csv. root: the folder with audio/ and metadata/; None: found.

    Instead of the official wav files, flac or ogg copies of the same names will do.

    Raises:
        FileNotFoundError: if the set isn't here (says how to get it), or sound files are missing.
        ValueError: if the table isn't UrbanSound8K's.
    """
    table = Path("metadata", "UrbanSound8K.csv")
    if root is None:
        root = fetch.find(
            NAME, str(table), f"get {URL} (6 GB) and move what is in its folder UrbanSound8K there"
        )
    folder = Path(root)
    if not (folder / table).is_file():
        raise FileNotFoundError(
            f"{folder / table}: missing; the folder should be UrbanSound8K's, with audio/ and metadata/"
        )
    files = fetch.copies(folder / "audio", "fold*/*")
    with open(folder / table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        names = [f"fold{row['fold']}/{Path(row['slice_file_name']).stem}" for row in rows]
        missing = [name for name in names if name not in files]
        if missing:
            raise FileNotFoundError(
                f"{folder / 'audio'}: {len(missing)} files of {table} missing, such as {missing[0]}"
            )
        return [_clip(files[name], row) for name, row in zip(names, rows, strict=True)]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{folder / table}: not UrbanSound8K's table ({error!r}); download the data set again"
        ) from error


def _clip(file: Path, row: dict[str, str]) -> Clip:
    return Clip(
        path=file,
        labels={
            "class": row["class"],
            "class_id": row["classID"],
            "salience": row["salience"],
            "recording": row["fsID"],
        },
        fold=row["fold"],
        group=f"{row['fsID']}-{row['classID']}",
        licence=LICENCE,
        name=f"{row['class']}/{file.name}",
    )
