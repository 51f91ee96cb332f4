"""esc50: environmental sounds, 2,000 clips of 5 s in 50 classes of 40, from Freesound, 44.1 kHz.

Columns: `category` (50), `target` (0-49), `esc10` ("True" for the 400 clips of the ESC-10 subset, else
"False"), `major` (animals, nature, human, domestic, urban: target // 10). `fold` is the publisher's,
"1".."5". `group` is the Freesound recording and the target, "131943-38".

People's voices: no speech on purpose, but people laughing, coughing, sneezing, breathing, snoring and babies
crying, and whatever is in the background; nobody is named, LICENSE of the corpus names the Freesound
uploaders.
Known faults: four recordings (131943, 134049, 209698, 234879) gave clips of two classes which lie
in two folds. The official folds cut these recordings, which is why the group has the target in it. Short
sounds were padded with silence: in the 16 kHz copies that this project is developed on, 332 clips end in over
1 s of it, 39 in over 4 s.
"""

import csv
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch

NAME = "esc50"
HOMEPAGE = "https://github.com/karolpiczak/ESC-50"
# A commit, not `master`: the bytes of master.zip change with every edit of the README. The checksum isn't the
# publisher's own statement; three projects that don't know of each other record it for this address.
URL = f"{HOMEPAGE}/archive/33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6.zip"
SHA256 = "661183a6f53ef04f12c9bd618fed0ddc1713280d6c94a5a5431e844ba6f6a21f"
LICENCE = "CC BY-NC 3.0"
LICENCE_ESC10 = "CC BY 3.0"
CITATION = (
    "K. J. Piczak: ESC: Dataset for Environmental Sound Classification. Proceedings of the 23rd ACM "
    "International Conference on Multimedia, 2015, pp. 1015-1018. doi:10.1145/2733373.2806390"
)
MAJOR = ("animals", "nature", "human", "domestic", "urban")


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip a row of meta/esc50.csv. root: the folder with meta/ and audio/; None: found or downloaded.

    The download is 646 MB. Instead of the official wav files, flac or ogg copies of the same names will do.

    Raises:
        FileNotFoundError: if it cannot be had, or sound files are missing.
        ValueError: if the table isn't ESC-50's.
    """
    table = Path("meta", "esc50.csv")
    if root is None:
        root = fetch.locate(NAME, str(table), url=URL, sha256=SHA256, licence=LICENCE)
    folder = Path(root)
    if not (folder / table).is_file():
        raise FileNotFoundError(
            f"{folder / table}: missing; the folder should be ESC-50's, with meta/ and audio/"
        )
    files = fetch.copies(folder / "audio")
    with open(folder / table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        missing = [row["filename"] for row in rows if Path(row["filename"]).stem not in files]
        if missing:
            raise FileNotFoundError(
                f"{folder / 'audio'}: {len(missing)} files of {table} missing, such as {missing[0]}"
            )
        return [_clip(files[Path(row["filename"]).stem], row) for row in rows]
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(
            f"{folder / table}: not ESC-50's table ({error!r}); download the data set again"
        ) from error


def _clip(file: Path, row: dict[str, str]) -> Clip:
    return Clip(
        path=file,
        labels={
            "category": row["category"],
            "target": row["target"],
            "esc10": row["esc10"],
            "major": MAJOR[int(row["target"]) // 10],
        },
        fold=row["fold"],
        group=f"{row['src_file']}-{row['target']}",
        licence=LICENCE_ESC10 if row["esc10"] == "True" else LICENCE,
        name=f"{row['category']}/{file.name}",
    )
