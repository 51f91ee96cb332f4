"""Anybody's embeddings: read from a file, matched to a task's clips by name, judged by the same protocols.

Nothing is decoded and no network of ours is asked.
"""

import csv
import hashlib
import os
import zipfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int64, Shaped

from ssl_audio import provenance, report
from ssl_audio.audio.store import Clip, Store
from ssl_audio.evaluate.judging import More, fits, judge
from ssl_audio.evaluate.linear import Balance
from ssl_audio.evaluate.tasks import Task, clips_of, columns, find, pairs_of


class Listed:
    """A data set's clips as columns of labels, as `evaluate.tasks.columns` reads them from a store.

    names: of the clips; files: that they are cut from.
    """

    def __init__(self, clips: Sequence[Clip]):
        self.clips = clips
        self.names = [clip.name or str(clip.path) for clip in clips]
        self.files = [str(clip.path) for clip in clips]
        self.hash = hashlib.sha256("\n".join(self.names).encode()).hexdigest()

    def values(self, column: str) -> Shaped[np.ndarray, " n"]:
        """The column as strings; "" where it is empty."""
        if column == "group":  # several cuts of a file stay together
            return np.array([clip.group or str(clip.path) for clip in self.clips])
        if column in ("fold", "licence"):
            return np.array([getattr(clip, column) for clip in self.clips])
        return np.array([clip.labels.get(column, "") for clip in self.clips])


class Stored:
    """The clips of a store of one's own, likewise."""

    def __init__(self, store: Store):
        self.names = self.files = [store.name(i) for i in range(len(store))]
        self.hash, self.values, self.digests = store.hash, store.values, store.digests


def read(path: Path, labels: Collection[str] = ()) -> tuple[list[str], Float[np.ndarray, "n d"]]:
    """Names and embeddings of an .npz (x [n d], name [n]), or of a .parquet or .csv table.

    A table has a column name or path; its other columns of numbers are the embedding. labels: what is to be
    told, which mustn't be among those. ValueError: the file isn't like that, has a name twice, or a value
    isn't finite.
    """
    if path.suffix not in (".npz", ".parquet", ".csv"):
        raise ValueError(f"{path}: embeddings are read from an .npz, a .parquet or a .csv")
    try:
        if path.suffix == ".npz":
            names, x = _npz(path)
        else:
            taken, names, x = {".parquet": _parquet, ".csv": _csv}[path.suffix](path)
            # pandas writes its row numbers so
            if odd := [c for c in taken if c in ("", "__index_level_0__") or c in labels]:
                raise ValueError(
                    f"{path}: its columns of numbers are the embedding, but {odd[0]!r} is "
                    + ("the label" if odd[0] in labels else "a row's number")
                    + "; leave that column out of the file"
                )
    except KeyError as error:
        wanted = "x and name in an .npz, a column name or path in a .parquet or .csv table"
        raise ValueError(f"{path}: no {error}; embeddings are {wanted}") from None
    x = np.asarray(x, np.float32)
    if x.ndim != 2 or len(names) != len(x) or not x.size:
        raise ValueError(f"{path}: {len(names)} names for embeddings {x.shape}; wanted is a row a clip")
    if twice := [name for name, n in Counter(names).items() if n > 1]:
        raise ValueError(f"{path}: {len(twice)} names are there several times, such as {twice[0]}")
    if bad := [name for name, row in zip(names, x, strict=True) if not np.isfinite(row).all()]:
        raise ValueError(f"{path}: {len(bad)} embeddings with NaN or infinite values, such as {bad[0]}'s")
    return names, x


def _npz(path: Path):
    try:
        kept = np.load(path)
        if missing := {"x", "name"}.difference(getattr(kept, "files", ())):
            raise KeyError(min(missing))
        with kept:
            return [str(name) for name in kept["name"]], kept["x"]
    except FileNotFoundError:
        raise
    except (ValueError, OSError, zipfile.BadZipFile):
        raise ValueError(f"{path}: damaged, or no .npz with plain arrays x and name") from None


def _parquet(path: Path):
    from pyarrow import parquet, types

    table = parquet.read_table(path)
    key = _key(table.column_names)
    numbers = [
        f.name
        for f in table.schema
        if f.name != key and (types.is_floating(f.type) or types.is_integer(f.type))
    ]
    names = [str(name) for name in table[key].to_pylist()]
    return (
        numbers,
        names,
        np.stack([table[c].to_numpy() for c in numbers], 1) if numbers else np.empty((len(names), 0)),
    )


def _csv(path: Path):
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        key, rows = _key(reader.fieldnames or ()), list(reader)

    def number(text):
        try:
            return float(text)
        except (TypeError, ValueError):
            return None

    values, taken = [], []
    for column in (c for c in reader.fieldnames or () if c != key):
        found = [number(row[column]) for row in rows]
        there = sum(v is not None for v in found)
        if there == len(rows):
            values.append(found)
            taken.append(column)
        elif there:  # a damaged file, and not a column of words
            bad = rows[found.index(None)]
            raise ValueError(
                f"{path}: {column} has {there} numbers in {len(rows)} rows, but {bad[column]!r} for "
                f"{bad[key]}; mend the file, or leave the column out"
            )
    return taken, [row[key] for row in rows], np.array(values, np.float64).reshape(len(values), len(rows)).T


def _key(names: Sequence[str]) -> str:
    for key in ("name", "path"):
        if key in names:
            return key
    raise KeyError("name")


def matched(
    path: Path, names: Sequence[str], clips: Listed | Stored, rows: Int64[np.ndarray, " m"]
) -> Int64[np.ndarray, " m"]:
    """The row of `names` for each of the clips `rows`: by the clip's name, or where that is unique by its
    file's name with or without its extension.

    ValueError: clips have no embedding.
    """
    at = {name: i for i, name in enumerate(names)}
    shorter: dict[str, list[int]] = {}
    for name, i in at.items():
        for short in {os.path.basename(name), Path(name).stem}:
            shorter.setdefault(short, []).append(i)
    files = Counter(Path(file).stem for file in clips.files)
    found, missing = [], []
    for row in rows:
        name, file = clips.names[row], Path(clips.files[row])
        short = shorter.get(file.name) or shorter.get(file.stem) or []
        if name in at:
            found.append(at[name])
        elif len(short) == 1 and files[file.stem] == 1:
            found.append(short[0])
        else:
            missing.append(name)
    if missing:
        raise ValueError(
            f"{path}: {len(missing)} of {len(rows)} clips of the task have no embedding, such as "
            f"{missing[0]}; the file has names such as {names[0]}"
        )
    return np.array(found)


def evaluate(
    path: Path,
    tasks: Sequence[str],
    results: Path,
    corpora: Mapping[str, Any],
    more: Collection[More] = (),
    balance: Balance = "none",
    mine: tuple[Task, Store] | None = None,
) -> list[list[dict]]:
    """Judge a file of embeddings on tasks; records go to results/<the file's name>.json, a list a task.

    corpora: data sets by name, as `datasets.corpora()`. mine: a further task (`evaluate.tasks.own`) and its
    store. ValueError: a measure needs a network.
    """
    if wanted := [kind for kind in more if kind in ("superb", "attentive")]:
        raise ValueError(
            f"{path}: {', '.join(wanted)}: looks at layers or frames, but the file has one vector a clip; "
            "give the folder of a run"
        )
    found, out, listed = [find(name) for name in tasks], [], {}
    if mine:
        found.append(mine[0])
        listed[mine[0].dataset, mine[0].part] = Stored(mine[1])
    names, x = read(path, {task.label for task in found})
    for task in found:
        fits(task, more, balance)
    for task in found:
        key = task.dataset, task.part
        if key not in listed:
            listed[key] = Listed(clips_of(task, corpora))
        clips = listed[key]
        labels, folds, groups, rows = columns(task, clips)
        own = x[matched(path, names, clips, rows)]
        extra = {
            "data": clips.hash,
            "model": hashlib.sha256(np.ascontiguousarray(x)).hexdigest()[:16],
            "code": provenance.code(),
            "width": int(x.shape[1]),
        }
        pairs = pairs_of(task, corpora.get(task.dataset), (clips.names[row] for row in rows))
        records, _ = judge(
            task, labels, folds, groups, {path.stem: own}, path.stem, 0, extra, more=more, balance=balance,
            pairs=pairs,
        )  # fmt: skip
        report.append(results / f"{path.stem}.json", records)
        out.append(records)
    return out
