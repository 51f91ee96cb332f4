"""birdset: xeno-canto recordings of birds to train on, soundscapes of eight places to test, 32 kHz.

Subsets: HSN, NBP, NES, PER, POW, SNE, SSW, UHH (each with "train", "test_5s" and "test") and XCM, XCL
("train" only). For HSN: 5,460 recordings, 12,000 stretches of 5 s, 10,296 annotations, 21 species.

Columns: `ebird_code` (the species; empty in "test_5s"), `ebird_code_multilabel` (all that are heard, joined
with "|"; empty where no bird is heard). `fold` is the publisher's: "train" (whole recordings;
`detected_events` isn't read), "test_5s" (soundscapes cut to 5 s), "test" (the annotated stretches of the
same soundscapes, which last from `start_time` to `end_time`; those without length are left out). `group` is
the recording. Reading parquet tables needs pyarrow.

People's voices: not on purpose; recordists announce some recordings. xeno-canto names its recordists; their
names (`recordist`) are not read here.
Known faults: "test" and "test_5s" are the same sound, so they should not be in one task; recordings of
"train" have silence and other species in them. Recordings under a licence with ND were left out by the
publisher.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch

NAME = "birdset"
HOMEPAGE = "https://huggingface.co/datasets/DBD-research-group/BirdSet"
URL = f"{HOMEPAGE}/tree/data"
LICENCE = "CC BY-NC 4.0"  # of the whole; a recording's own licence, where the table has one, goes before it
CITATION = (
    "L. Rauch, R. Schwinger, M. Wirth, R. Heinrich, D. Huseljic, M. Herde, J. Lange, S. Kahl, B. Sick, "
    "S. Tomforde, C. Scholz: BirdSet: A Large-Scale Dataset for Audio Classification in Avian Bioacoustics. "
    "2024. arXiv:2403.10380"
)
COLUMNS = ("filepath", "__index_level_0__", "ebird_code", "ebird_code_multilabel", "start_time", "end_time")


def clips(
    root: Path | str | None = None, part: str = "HSN", splits: Sequence[str] | None = None
) -> list[Clip]:
    """One clip a row of the subset's tables, {subset}_metadata_{split}.parquet.

    Args:
        part: the subset, such as HSN, POW, XCM.
        root: the subset's folder, with the tables, and at any depth the sound files of the unpacked archives;
            None: found.
        splits: of "train", "test_5s", "test"; None is the first two, of XCM and XCL the first.

    Raises:
        FileNotFoundError: if a table or sound files are missing.
        ModuleNotFoundError: if pyarrow isn't installed.
        ValueError: if a table isn't BirdSet's.
    """
    if root is None:
        how = f"download {URL}/{part} and unpack its archives in the same folder"
        root = fetch.find(NAME, part, how) / part
    folder, whole = Path(root), part.startswith("XC")
    files = {f.name: f for f in fetch.under(folder, [".ogg"])}
    found = []
    for split in splits or (("train",) if whole else ("train", "test_5s")):
        table = folder / f"{part}_metadata{'' if whole else f'_{split}'}.parquet"
        rows = _rows(table)
        missing = [name for name, _ in rows if name not in files]
        if missing:
            raise FileNotFoundError(
                f"{folder}: {len(missing)} files of {table.name} missing, such as {missing[0]}; "
                "unpack the archives there"
            )
        if split == "test":
            rows = [(name, row) for name, row in rows if _seconds(row) > 0]
        found += [_clip(files[name], row, split) for name, row in rows]
    return found


def _rows(table: Path) -> list[tuple[str, dict[str, Any]]]:
    """Name of the sound file and row."""
    if not table.is_file():
        raise FileNotFoundError(f"{table}: missing; the folder should hold BirdSet's tables of one subset")
    try:
        from pyarrow import lib, parquet
    except ImportError as error:
        raise ModuleNotFoundError(f"{table}: reading it needs pyarrow; pip install pyarrow") from error
    try:
        names = parquet.read_schema(table).names
        wanted = [column for column in (*COLUMNS, "license") if column in names]
        rows = parquet.read_table(table, columns=wanted).to_pylist()
        # the file's name is a column, or the index that pandas kept
        return [(Path(row.get("filepath") or row["__index_level_0__"]).name, _checked(row)) for row in rows]
    except (lib.ArrowException, KeyError, TypeError) as error:
        raise ValueError(f"{table}: not BirdSet's table ({error!r}); download the data set again") from error


def _checked(row: dict[str, Any]) -> dict[str, Any]:
    return {"license": None, **row, **{c: row[c] for c in ("ebird_code", "start_time", "end_time")}}


def _seconds(row: dict[str, Any]) -> float:
    start, end = row["start_time"], row["end_time"]
    return 0.0 if start is None or end is None or math.isnan(end - start) else end - start


def _clip(file: Path, row: dict[str, Any], split: str) -> Clip:
    code = row["ebird_code"]
    several = row.get("ebird_code_multilabel")
    return Clip(
        path=file,
        start=row["start_time"] if split == "test" else 0.0,
        duration=_seconds(row) if split == "test" else None,
        labels={
            "ebird_code": "" if code is None or split == "test_5s" else str(code),
            "ebird_code_multilabel": "|".join(map(str, several or ())),
        },
        fold=split,
        group=file.stem.rsplit("_", 2)[0] if split == "test_5s" else file.stem,
        licence=row["license"] or LICENCE,
        name=f"{split}/{file.name}",
    )
