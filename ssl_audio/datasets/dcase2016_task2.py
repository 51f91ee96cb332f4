"""dcase2016_task2: office sounds, 220 single events and 72 mixtures of 2 minutes, 11 classes, 44.1 kHz mono.

Columns: `event` (clearthroat, cough, doorslam, drawer, keyboard, keys, knock, laughter, pageturn, phone,
speech; of a mixture all that occur, joined with "|"), `ebr` (event to background ratio in dB: -6, 0, 6),
`nec` (events a class, 1-5), `poly` ("1": events may overlap), the last three of mixtures only; `hear_split`
(HEAR's own "train", "valid" and "test" of the mixtures; empty for single events, which HEAR leaves out).
`fold` is the publisher's: "train" (single events), "dev" (18 mixtures), "test" (54 mixtures). `group` is
the file. `events(clip)` reads the annotation of a mixture.

People's voices: coughs, throats, laughter and short speech, recorded in a quiet room for the challenge;
nobody is named. What the speakers agreed to isn't stated.
Known faults: the mixtures of "dev" are made of the single events of "train", so one must not test the
other; "test" is made of other recordings. The class `keys` is called keysDrop in the names of the single
events; it is `keys` here. The READMEs of both archives name no licence.
"""

import re
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch

NAME = "dcase2016_task2"
HOMEPAGE = "https://dcase.community/challenge2016/task-sound-event-detection-in-synthetic-audio"
URLS = (
    "https://archive.org/download/dcase2016_task2_train_dev/dcase2016_task2_train_dev.zip",
    "https://archive.org/download/dcase2016_task2_test_public/dcase2016_task2_test_public.zip",
)
CHECKSUMS = {  # as HEAR's hear-preprocess has them
    "dcase2016_task2_train_dev.zip": "md5:4e1b5e8887159193e8624dec801eb9e7",
    "dcase2016_task2_test_public.zip": "md5:ac98768b39a08fc0c6c2ddd15a981dd7",
}
LICENCE = "not stated"
CITATION = (
    "G. Lafay, E. Benetos, M. Lagrange: Sound event detection in synthetic audio: analysis of the DCASE 2016 "
    "task results. IEEE Workshop on Applications of Signal Processing to Audio and Acoustics, 2017. "
    "arXiv:1711.05551"
)
TRAIN = Path("dcase2016_task2_train_dev", "dcase2016_task2_train")
MIXTURES = {
    "dev": Path("dcase2016_task2_train_dev", "dcase2016_task2_dev"),
    "test": Path("dcase2016_task2_test_public"),
}
# (ebr, nec, poly) of the dev mixtures that HEAR trains on; it validates on the other nine
HEAR_TRAIN = {
    *(("-6", "1", "0"), ("-6", "3", "0"), ("-6", "4", "1")),
    *(("0", "2", "0"), ("0", "3", "1"), ("0", "4", "1")),
    *(("6", "2", "0"), ("6", "3", "1"), ("6", "5", "1")),
}


def clips(root: Path | str | None = None) -> list[Clip]:
    """Single events, dev and test mixtures. root: the folder that holds both unpacked archives; None: found.

    Raises:
        FileNotFoundError: if an archive or an annotation is missing.
        ValueError: for a single event that isn't named {class}{number}, or a damaged annotation.
    """
    if root is None:
        root = fetch.find(NAME, str(TRAIN), f"unpack {' and '.join(URLS)} there, each with its folder")
    folder = Path(root)
    single = _files(folder / TRAIN)
    mixtures = [(fold, file) for fold, path in MIXTURES.items() for file in _files(folder / path / "sound")]
    return [_single(file) for file in single] + [_mixture(fold, file) for fold, file in mixtures]


def events(clip: Clip) -> list[tuple[float, float, str]]:
    """The annotated events of a mixture: (onset, offset, class), in seconds, in the order of the file.

    Raises:
        FileNotFoundError: if the clip has no annotation, such as the single events.
        ValueError: if the annotation is damaged.
    """
    table = Path(clip.path).parent.parent / "annotation" / f"{Path(clip.path).stem}.txt"
    if not table.is_file():
        raise FileNotFoundError(f"{table}: missing; only mixtures are annotated, in the folder beside sound/")
    found = []
    for line in table.read_text(encoding="utf-8").splitlines():
        if line.strip():
            try:
                onset, offset, label = line.split()
                found.append((float(onset), float(offset), _class(label)))
            except ValueError as error:
                raise ValueError(
                    f"{table}: {line!r} isn't onset, offset and class; download the data set again"
                ) from error
    return found


def _files(folder: Path) -> list[Path]:
    files = fetch.sounds(folder)
    if not files:
        raise FileNotFoundError(f"{folder}: no recordings; unpack both archives, each with its folder")
    return files


def _class(label: str) -> str:
    return "keys" if label == "keysDrop" else label


def _single(file: Path) -> Clip:
    match = re.fullmatch(r"([A-Za-z]+)\d+", file.stem)
    if match is None:
        raise ValueError(f"{file}: not named {{class}}{{number}}; move it out of the data set")
    labels = {"event": _class(match.group(1)), "ebr": "", "nec": "", "poly": "", "hear_split": ""}
    return Clip(path=file, labels=labels, fold="train", licence=LICENCE, name=f"train/{file.name}")


def _mixture(fold: str, file: Path) -> Clip:
    match = re.search(r"_ebr_(-?\d+)_nec_(\d+)_poly_(\d)$", file.stem)
    if match is None:
        raise ValueError(
            f"{file}: not named ..._ebr_{{dB}}_nec_{{n}}_poly_{{0 or 1}}; move it out of the data set"
        )
    ebr, nec, poly = match.groups()
    labels = {
        "event": "",
        "ebr": ebr,
        "nec": nec,
        "poly": poly,
        "hear_split": "test" if fold == "test" else "train" if match.groups() in HEAR_TRAIN else "valid",
    }
    labels["event"] = "|".join(sorted({label for _, _, label in events(Clip(path=file))}))
    return Clip(path=file, labels=labels, fold=fold, licence=LICENCE, name=f"{fold}/{file.name}")
