"""audioset: AudioSet, labels for 2,084,320 stretches of YouTube videos, up to 10 s each, 527 classes.

The publisher has no sound, only csv files with labels; the clips are what one has cut from the videos, in
whatever rate. Videos go, so every copy is another subset: `coverage` counts what was found of what is listed,
`fingerprint` gives the hash and number of a list of clips, to be stated with every result.

Columns: `mids` (classes as ids such as /m/09x0r, joined by "|"), `subset` (balanced_train 22,160, eval
20,371, unbalanced_train 2,041,789; segments listed). `fold` is "test" for eval, else "train"; there is no
official validation set. AS-20K is balanced_train and eval, AS-2M all three. `group` is the YouTube id; no
video is listed twice.

Clips are found in any folder below the root by their names: ID, YID, ID_start_end, YID_start_end (seconds or
milliseconds), as wav, flac, ogg or mp3. Each must be the stretch itself, not the whole video. What isn't in
the csv files is left out.

People's voices: speech and singing are among the classes; people can be recognised, in videos that they made
public for other ends; nothing is said of consent. The labels are CC BY 4.0; the sound is the uploaders'.
Known faults: labels are weak (somewhere in the clip). In the csv files 345 segments of balanced_train and 361
of eval are shorter than 10 s. The download page announces other numbers (22,176, 20,383, 2,042,985) than the
csv files.
"""

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch

NAME = "audioset"
HOMEPAGE = "https://research.google.com/audioset/download.html"
SUBSETS = {"balanced_train": "train", "unbalanced_train": "train", "eval": "test"}
URLS = tuple(
    f"http://storage.googleapis.com/us_audioset/youtube_corpus/v1/csv/{s}_segments.csv" for s in SUBSETS
)
LICENCE = "labels CC BY 4.0; sound: rights with the uploaders of the videos"
CITATION = (
    "J. F. Gemmeke, D. P. W. Ellis, D. Freedman, A. Jansen, W. Lawrence, R. C. Moore, M. Plakal, M. Ritter: "
    "Audio Set: An ontology and human-labeled dataset for audio events. IEEE ICASSP 2017, pp. 776-780. "
    "doi:10.1109/ICASSP.2017.7952261"
)
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


def clips(root: Path | str | None = None) -> list[Clip]:
    """One clip a segment that is listed and here, by id. root: folder of csv files and clips; None: found.

    The csv files lie in the folder or in metadata/ in it; those of subsets that one doesn't have may be
    absent. Of several files of one id the first by path is taken.

    Raises:
        FileNotFoundError: if the set isn't here (says how to get it), or there is no csv file or no clip.
        ValueError: if a csv file isn't AudioSet's.
    """
    folder = _folder(root)
    listed = _listed(folder)
    files: dict[str, Path] = {}
    for file in fetch.under(folder, SUFFIXES):
        match = re.fullmatch(r"Y?([\w-]{11})(?:_[\d.]+){0,2}", file.stem, re.ASCII)
        if match and match[1] in listed:
            files.setdefault(match[1], file)
    if not files:
        raise FileNotFoundError(
            f"{folder}: none of the {len(listed)} clips listed is here; files should be named like "
            f"{min(listed, default='ID')}.wav"
        )
    return [
        Clip(
            path=file,
            labels={"mids": listed[name][1], "subset": listed[name][0]},
            fold=SUBSETS[listed[name][0]],
            group=name,
            licence=LICENCE,
            name=name,
        )
        for name, file in sorted(files.items())
    ]


def coverage(root: Path | str | None = None) -> dict[str, tuple[int, int]]:
    """(clips found, clips listed) by subset, of the subsets whose csv file is there. Raises as `clips`."""
    found = Counter(clip.labels["subset"] for clip in clips(root))
    listed = Counter(subset for subset, _ in _listed(_folder(root)).values())
    return {subset: (found[subset], n) for subset, n in listed.items()}


def fingerprint(found: Iterable[Clip]) -> tuple[str, int]:
    """sha256 of the sorted YouTube ids, one a line, each with its newline, and their number."""
    ids = sorted({clip.group for clip in found})
    return hashlib.sha256("".join(f"{i}\n" for i in ids).encode()).hexdigest(), len(ids)


def _folder(root: Path | str | None) -> Path:
    how = f"put the clips there, with {', '.join(URLS)} or some of them in metadata"
    return fetch.find(NAME, "metadata", how) if root is None else Path(root)


def _listed(folder: Path) -> dict[str, tuple[str, str]]:
    """(subset, mids) by YouTube id, of the csv files that are there."""
    listed = {}
    for subset in SUBSETS:
        name = f"{subset}_segments.csv"
        table = next((f for f in (folder / name, folder / "metadata" / name) if f.is_file()), None)
        if table is None:
            continue
        with open(table, encoding="utf-8", newline="") as file:
            lines = (line for line in file if not line.startswith("#"))
            for row in csv.reader(lines, skipinitialspace=True):
                if len(row) != 4 or len(row[0]) != 11 or not row[3].startswith("/"):
                    raise ValueError(f"{table}: {row} isn't a row of AudioSet's csv; get it from {HOMEPAGE}")
                listed[row[0]] = (subset, row[3].replace(",", "|"))
    if not listed:
        raise FileNotFoundError(
            f"{folder}: no csv file of AudioSet's here or in metadata/, such as eval_segments.csv; "
            f"get it from {HOMEPAGE}"
        )
    return listed
