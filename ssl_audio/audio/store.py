"""A store: decoded mono int16 sound in memory-mapped shards, with an index of clips and labels (read side).

On disk (`ssl_audio.audio.build` writes it). Only manifest.json has a fixed name; every other file is named by
what is in it and is listed there, so replacing manifest.json is the one step by which a store changes:

    manifest.json             format, hash, rate, title, versions of the decoders, licences, refused files
                              with reasons, exact duplicates, clipping counts, names of the files below
    shard-<digest>.npy        int16 [samples], clips end to end; at most 1 GB, unless one clip alone is longer
    index-<digest>/
        shard.npy offset.npy length.npy   int32, int64, int64 [n]: where clip i lies (in samples)
        digest.npy                        uint8 [n 32]: sha256 of clip i's samples (little-endian int16)
        names.npy names_at.npy            uint8 [bytes], int64 [n+1]: utf-8 end to end, where each name begins
        codes-<j>.npy vocabulary-<j>.json column j of "columns": int32 [n] (-1: empty), sorted values
    sources-<digest>.jsonl    line i: name, sha256 of the file, cut, format, clipping of clip i, for rebuilds;
                              where cleaned also samples trimmed at both ends, dB that a gain fell short by
    .build/  .lock            finished parts of an interrupted build; the lock of a running one
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int16, Int32, UInt8

FORMAT = 1
RESERVED = ("path", "start", "duration", "fold", "group", "licence", "name")


@dataclass(frozen=True)
class Clip:
    """A labelled stretch of a sound file.

    Args:
        path: the sound file.
        start: seconds from its beginning, >= 0.
        duration: seconds, > 0; None is to the end.
        labels: column -> value, e.g. {"digit": "3"}; an empty value is a missing label.
        fold: the fold or split that the publisher gives it, if any.
        group: the recording, instrument or speaker that it was cut from; folds must not cut a group.
            Empty: the file, so that several cuts of one file stay together.
        licence: under which it may be used.
        name: shown to people. Empty: the path relative to the folder that holds all the files of the build.

    Raises:
        ValueError: for a start or duration out of range, or a label column with a reserved name.
    """

    path: Path | str
    start: float = 0.0
    duration: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    fold: str = ""
    group: str = ""
    licence: str = ""
    name: str = ""

    def __post_init__(self):
        if not (math.isfinite(self.start) and self.start >= 0):
            raise ValueError(f"{self.path}: start is {self.start}; it must be 0 s or more")
        if self.duration is not None and not (math.isfinite(self.duration) and self.duration > 0):
            raise ValueError(f"{self.path}: duration is {self.duration}; it must be above 0 s")
        for column in self.labels:
            if column in RESERVED or not column:
                raise ValueError(f"{self.path}: {column!r} cannot be the name of a label column")


class Store:
    """The clips of a store, as views of memory-mapped shards; opening reads the manifest and no sound.

    A store that is open stays readable while a rebuild replaces it. It can be pickled (as its path).

    Args:
        path: the folder that `build` wrote.

    Raises:
        FileNotFoundError: if there is no store at the path.
        ValueError: if its format is of another version or a file of it is damaged.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        try:
            self.manifest: dict[str, Any] = json.loads((self.path / "manifest.json").read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(
                f"{path}: no store here (no manifest.json); make one: ssl-audio store"
            ) from None
        except ValueError as error:
            raise ValueError(f"{path}: manifest.json is damaged ({error}); build the store again") from None
        if self.manifest.get("format") != FORMAT:
            raise ValueError(
                f"{path}: store format {self.manifest.get('format')}, not {FORMAT}: build it again"
            )
        self.rate: int = self.manifest["rate"]
        self.hash: str = self.manifest["hash"]
        self.columns: tuple[str, ...] = tuple(self.manifest["columns"])
        self._index = self.path / self.manifest["index"]
        self._shards = [self._map(self.path / name) for name in self.manifest["shards"]]
        self.lengths = self._map(self._index / "length.npy")
        self.digests: UInt8[np.ndarray, "n 32"] = self._map(self._index / "digest.npy")
        self._shard = self._map(self._index / "shard.npy")
        self._offset = self._map(self._index / "offset.npy")
        self._names = self._map(self._index / "names.npy")
        self._names_at = self._map(self._index / "names_at.npy")
        self._codes = [self._map(self._index / f"codes-{j}.npy") for j in range(len(self.columns))]
        self._vocabulary: dict[str, list[str]] = {}

    @staticmethod
    def _map(file: Path) -> np.ndarray:
        try:
            # asarray: a plain view on the mapped memory; slicing np.memmap itself costs several times more
            return np.asarray(np.load(file, mmap_mode="r"))
        except FileNotFoundError:
            raise FileNotFoundError(f"{file}: missing from the store; build the store again") from None
        except (ValueError, EOFError) as error:
            raise ValueError(f"{file}: damaged ({error}); build the store again") from None

    def __len__(self) -> int:
        return len(self.lengths)

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}: {len(self)} clips at {self.rate} Hz, {self.hash[:12]})"

    def __reduce__(self):
        return Store, (self.path,)

    def __getitem__(self, at: int | np.integer | tuple[Any, Any, Any]) -> Int16[np.ndarray, " t"]:
        """store[i] or store[i, start, length] in samples: a read-only view, shorter where the clip ends."""
        i, start, length = at if isinstance(at, tuple) else (at, 0, None)
        n = len(self)
        if not -n <= i < n:
            raise IndexError(f"clip {i} of a store of {n}")
        i = i % n
        whole = int(self.lengths[i])
        if start < 0 or (length is not None and length < 0):
            raise ValueError(f"start {start} and length {length} must not be negative")
        start = min(start, whole)
        stop = whole if length is None else min(start + length, whole)
        offset = int(self._offset[i])
        return self._shards[self._shard[i]][offset + start : offset + stop]

    def name(self, i: int | np.integer) -> str:
        """The name of clip i: its path relative to the folder that was stored; @ its start if it is a cut."""
        if not 0 <= i < len(self):
            raise IndexError(f"clip {i} of a store of {len(self)}")
        return self._names[self._names_at[i] : self._names_at[i + 1]].tobytes().decode("utf-8")

    def _column(self, column: str) -> int:
        if column not in self.columns:
            raise ValueError(f"{self.path}: no column {column!r}; there are {', '.join(self.columns)}")
        return self.columns.index(column)

    def codes(self, column: str) -> Int32[np.ndarray, " n"]:
        """The column as indices into `names(column)`; -1 where it is empty."""
        return self._codes[self._column(column)]

    def names(self, column: str) -> list[str]:
        """The distinct values of the column, sorted."""
        if column not in self._vocabulary:  # on demand: groups of a million files are a million strings
            file = self._index / f"vocabulary-{self._column(column)}.json"
            try:
                self._vocabulary[column] = json.loads(file.read_text("utf-8"))
            except FileNotFoundError:
                raise FileNotFoundError(f"{file}: gone; the store was rebuilt since it was opened") from None
        return self._vocabulary[column]

    def values(self, column: str) -> np.ndarray:
        """The column as strings [n]; "" where it is empty."""
        return np.array([*self.names(column), ""], dtype=np.str_)[self.codes(column)]
