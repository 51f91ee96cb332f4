"""beans: five classification sets of BEANS, the benchmark of animal sounds, as its scripts leave them.

watkins (31 marine mammals), bats (10 fruit bats that called, 250 kHz), dogs (10 dogs that barked), cbi (264
North American birds, cut to 10 s), humbugdb (14 mosquitoes and others, "non-mosquito" too); all but bats
44.1 kHz. BEANS's other two, ESC-50 and Speech Commands, are sets of their own here.

Columns: `label` (BEANS's). `fold` is BEANS's, "train", "valid" or "test" (6:2:2); the table train-low, a
fifth of train, isn't read. `group` is of cbi the recordist (from its train.csv, if that is there), else the
file.

People's voices: not on purpose; recordists may announce recordings of birds. cbi's table names them; their
names are the groups here, no label.
Known faults: BEANS drew the splits of all but cbi at random over the clips, so cuts of one recording or of
one day may lie in train and test; cbi keeps recordists apart. Numbers of clips: not verified.
"""

import csv
from pathlib import Path

from ssl_audio.audio.store import Clip
from ssl_audio.datasets import fetch

NAME = "beans"
HOMEPAGE = "https://github.com/earthspecies/beans"
CHECKSUMS: dict[str, str] = {}  # BEANS has md5 sums of the single files, data/file_hashes
LICENCES = {  # as BEANS-Zero, of the same publisher, states them; it has no bats and no dogs
    "watkins": "free for personal and academic use",
    "bats": "not verified",
    "dogs": "not verified",
    "cbi": "CC BY-NC-SA",
    "humbugdb": "CC BY",
}
LICENCE = "; ".join(f"{name}: {licence}" for name, licence in LICENCES.items())
CITATION = (
    "M. Hagiwara, B. Hoffman, J.-Y. Liu, M. Cusimano, F. Effenberger, K. Zacarian: BEANS: The Benchmark of "
    "Animal Sounds. 2022. arXiv:2210.12300"
)
TABLES = {
    "watkins": "data/watkins/annotations.{}.csv",
    "bats": "data/egyptian_fruit_bats/annotations.{}.csv",
    "dogs": "data/dogs/annotations.{}.csv",
    "cbi": "data/cbi/annotations.{}.csv",
    "humbugdb": "data/HumBugDB/data/metadata/{}.csv",
}


def clips(root: Path | str | None = None, part: str = "watkins") -> list[Clip]:
    """One clip a row of the set's three tables. root: BEANS's folder, with data/; None: found.

    Args:
        part: one of `TABLES`.

    Raises:
        FileNotFoundError: if a table or sound files are missing.
        ValueError: for another set, or if a table isn't BEANS's.
    """
    if part not in TABLES:
        raise ValueError(f"{part!r}: no set of beans; it has {', '.join(TABLES)}")
    if root is None:
        how = f"clone {HOMEPAGE} there and run its script for {part} in scripts/"
        root = fetch.find(NAME, TABLES[part].format("train"), how)
    folder = Path(root)
    recordists = _recordists(folder / "data" / "cbi" / "train.csv") if part == "cbi" else {}
    found = []
    for fold in ("train", "valid", "test"):
        table = folder / TABLES[part].format(fold)
        for row in _rows(table, folder):
            file = folder / row["path"]
            found.append(
                Clip(
                    path=file,
                    labels={"label": row["label"]},
                    fold=fold,
                    group=recordists.get(file.stem, ""),
                    licence=LICENCES[part],
                    name=f"{part}/{file.name}",
                )
            )
    return found


def _rows(table: Path, folder: Path) -> list[dict[str, str]]:
    if not table.is_file():
        raise FileNotFoundError(f"{table}: missing; run BEANS's script for this set")
    with open(table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"path", "label"} <= rows[0].keys():
        raise ValueError(f"{table}: not BEANS's table, it lacks path or label; run its script again")
    missing = [row["path"] for row in rows if not (folder / row["path"]).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder}: {len(missing)} files of {table.name} missing, such as {missing[0]}"
        )
    return rows


def _recordists(table: Path) -> dict[str, str]:
    if not table.is_file():
        return {}
    with open(table, encoding="utf-8", newline="") as file:
        try:
            return {Path(row["filename"]).stem: row["recordist"] for row in csv.DictReader(file)}
        except KeyError as error:
            raise ValueError(f"{table}: not cbi's table ({error!r}); run BEANS's script again") from error
