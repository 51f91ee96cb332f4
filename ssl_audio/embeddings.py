"""Embeddings of a store by any function: windows of sound in, rows out, in memory or on disk.

On disk they are written as they come, so that memory stays small and a killed run goes on: each window has
its row, and only whole embeddings get their final name.
"""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int16, Int64, Shaped
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ssl_audio.disk import locked, write

WINDOW = 10.0
"""Seconds: a longer clip is embedded in windows of this length, whose mean, weighted by length, is its
embedding."""
FEW = 8
"""Of so many lengths each is a length of its own, so that nothing is filled up."""
SAVED = 5.0
"""Seconds from one mark of what is on disk to the next."""


class Piece(NamedTuple):
    """Windows that are embedded together: their clips (-1: a row that only fills up), where they begin and
    how long they are, in samples, and the sound, zero behind a window's end."""

    clips: Int64[np.ndarray, " b"]
    begins: Int64[np.ndarray, " b"]
    wave: Int16[np.ndarray, "b t"]
    valid: Shaped[np.ndarray, " b"]


def pieces(
    store: Any,
    samples: int,
    batch: int,
    chosen: Shaped[np.ndarray, " n"] | None = None,
    skip: int = 0,
    exact: bool = False,
) -> Iterator[Piece]:
    """Pieces of up to `batch` windows of up to `samples` samples over a store, always in the same order.

    chosen: only clips where this is True. skip: leave out so many pieces at the start. Windows of like length
    go together; where there are many, a length is rounded up to the next of a grid that grows by a quarter,
    so that little is compiled, and every piece has `batch` rows. None is shorter than a quarter of a second,
    which a network may be unable to take. exact: only equal lengths go together, nothing is filled up.
    """
    lengths = np.asarray(store.lengths)
    whole, rest = np.minimum(lengths, samples), lengths % samples
    least = min(store.rate // 4, samples)
    grid = np.unique(np.maximum(np.concatenate([whole, rest[rest > 0]]), least)).tolist()
    if len(grid) > FEW:
        grid = [least]
        while grid[-1] < samples:
            grid.append(min(samples, int(grid[-1] * 1.25)))
    waiting: dict[int, list] = {}
    made = 0

    def full(t, rows):
        nonlocal made
        made += 1
        if made > skip:
            yield fill(store, rows, t, len(rows) if exact else batch)

    order = np.argsort(lengths, kind="stable")
    for i in order if chosen is None else order[chosen[order]]:
        for begin in range(0, int(lengths[i]), samples):
            valid = min(samples, int(lengths[i]) - begin)
            t = valid if exact else grid[int(np.searchsorted(grid, valid))]
            rows = waiting.setdefault(t, [])
            rows.append((int(i), begin, valid))
            if len(rows) == batch:
                yield from full(t, waiting.pop(t))
    for t in sorted(waiting):
        yield from full(t, waiting[t])


def fill(store, rows, t, batch) -> Piece:
    """Rows (clip, begin, valid) as arrays of fixed shape."""
    clips, begins = np.full(batch, -1), np.zeros(batch, np.int64)
    wave, valid = np.zeros((batch, t), np.int16), np.full(batch, t, np.int32)
    for r, (i, begin, n) in enumerate(rows):
        clips[r], begins[r], wave[r, :n], valid[r] = i, begin, store[i, begin, n], n
    return Piece(clips, begins, wave, valid)


class Windows(NamedTuple):
    """The windows of a store, clip after clip: those of clip i are first[i] to first[i + 1].

    lengths: theirs, begins: where in their clip they begin, samples.
    """

    first: Int64[np.ndarray, " n_and_one"]
    lengths: Int64[np.ndarray, " w"]
    begins: Int64[np.ndarray, " w"]

    @classmethod
    def of(cls, store: Any, samples: int) -> "Windows":
        whole = np.asarray(store.lengths, np.int64)
        count = np.maximum(-(-whole // samples), 1)
        first = np.concatenate([[0], np.cumsum(count)])
        begins = (np.arange(first[-1]) - np.repeat(first[:-1], count)) * samples
        return cls(first, np.minimum(np.repeat(whole, count) - begins, samples), begins)


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of a store's clips, read where they lie.

    x: [n d] of clips, [n l d] of clips by layer, or [total d] of frames: those of clip i are the rows
    starts[i] to starts[i + 1], at `times`, seconds from the clip's beginning to each frame's middle. about:
    what made them.
    """

    x: Shaped[np.ndarray, "n ..."]
    about: dict[str, Any]
    starts: Int64[np.ndarray, " n_and_one"] | None = None
    times: Float[np.ndarray, " total"] | None = None

    def frames(self, i: int) -> tuple[Shaped[np.ndarray, "f d"], Float[np.ndarray, " f"]]:
        """A clip's frames and their times. ValueError: these are embeddings of clips."""
        if self.starts is None or self.times is None:
            raise ValueError("these are embeddings of whole clips; ask for frames")
        rows = slice(self.starts[i], self.starts[i + 1])
        return self.x[rows], self.times[rows]

    @classmethod
    def open(cls, folder: Path) -> "Embeddings":
        """From a folder, nothing read yet."""
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        of_frames = [
            np.load(folder / f"{name}.npy", mmap_mode="r") if (folder / f"{name}.npy").exists() else None
            for name in ("starts", "times")
        ]
        return cls(np.load(folder / "x.npy", mmap_mode="r"), about, *of_frames)


class Steps(NamedTuple):
    """How a function of frames cuts time: how many steps windows of so many samples have, and the middle of
    step s in its window, s * every + first, samples."""

    count: Callable[[Int64[np.ndarray, " w"]], Int64[np.ndarray, " w"]]
    every: int
    first: float


def compute(
    f: Callable[[Any, Any], Any],
    store: Any,
    about: dict[str, Any],
    folder: Path | None = None,
    *,
    title: str = "embedding",
    batch: int = 64,
    put: Callable[[Any], Any] = lambda x: x,
    steps: Steps | None = None,
    dtype: str = "float32",
    exact: bool = False,
) -> Embeddings:
    """Embed every clip by f(int16 [b t], valid samples [b]) -> [b ...], or of frames [b steps d].

    folder: where they are to lie; None: in memory. What is there is taken if its `about` is the same, and
    what a killed process left is gone on with. put: brings arrays to where f works. steps: given for frames.
    exact: f doesn't look at `valid`, so it only gets windows of one length together. ValueError: a value is
    too large for `dtype`.
    """
    about = about | {"seconds": WINDOW, "dtype": dtype, "batch": batch}
    if folder is None:
        return _computed(f, store, about, None, title, batch, put, steps, dtype, exact)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(f".{folder.name}.lock")):  # of two processes one waits, and then reads
        if not (folder / "about.json").exists() or Embeddings.open(folder).about != about:
            shutil.rmtree(folder, ignore_errors=True)
            part = folder.with_name(f"{folder.name}.part")
            _computed(f, store, about, part, title, batch, put, steps, dtype, exact)
            os.replace(part, folder)
    return Embeddings.open(folder)


def _computed(f, store, about, part, title, batch, put, steps, dtype, exact) -> Embeddings:
    samples, every = int(WINDOW * store.rate), 1 if steps is None else steps.every
    samples = max(samples // every, 1) * every  # so that steps go on evenly from window to window
    windows = Windows.of(store, samples)
    counts = np.ones(len(windows.lengths), np.int64)
    if steps is not None:
        counts = np.minimum(steps.count(windows.lengths), -(-windows.lengths // every))
    starts = np.concatenate([[0], np.cumsum(counts)])
    skip, out = _left(part, about)
    told = time.monotonic()
    todo = pieces(store, samples, batch, skip=skip, exact=exact)
    with bar() as progress:
        job = progress.add_task(title, total=len(windows.lengths))
        for done, (piece, made) in enumerate(_ahead(f, put, todo), skip + 1):
            real = np.flatnonzero(piece.clips >= 0)
            rows = windows.first[piece.clips[real]] + piece.begins[real] // samples
            made = np.asarray(made)
            if dtype == "float16" and not (np.abs(made[real]) <= np.finfo(np.float16).max).all():
                raise ValueError("embeddings: a value is too large for float16 or isn't finite; take float32")
            row = made.shape[1 if steps is None else 2 :]
            if out is None:
                out = _new(part, "rows", dtype, (int(starts[-1]), *row))
            if row != out.shape[1:]:
                raise ValueError(
                    f"embeddings: {row} numbers of one clip, {out.shape[1:]} of another; give as many of "
                    "each, such as their mean over time"
                )
            for r, w in zip(real, rows, strict=True):
                out[starts[w] : starts[w + 1]] = made[r] if steps is None else made[r, : counts[w]]
            progress.update(job, completed=min(done * batch, len(windows.lengths)))
            if part is not None and time.monotonic() - told > SAVED:
                out.flush()
                write(part / "left.json", json.dumps([about, done]))
                told = time.monotonic()
    out = _whole(out)
    of_frames = {}
    if steps is not None:
        within = np.concatenate([np.arange(n) for n in counts]) * every + steps.first
        of_frames["times"] = (np.repeat(windows.begins, counts) + within) / store.rate
        of_frames["starts"] = starts[windows.first]
        x = out
    else:
        x = out if len(out) == len(windows.first) - 1 else _pooled(part, out, windows)
    if part is not None:
        (part / "left.json").unlink(missing_ok=True)  # first: without rows.npy it would promise too much
        os.replace(part / ("rows.npy" if x is out else "pooled.npy"), part / "x.npy")
        (part / "rows.npy").unlink(missing_ok=True)
        for name, values in of_frames.items():
            np.save(part / f"{name}.npy", values)
        write(part / "about.json", json.dumps(about))
    return Embeddings(x, about, **of_frames)


def _ahead(f, put, todo):
    """Pieces and what f makes of them; f is given the next before what it made of the last is asked for, so
    that an accelerator isn't kept waiting."""
    last = None
    for piece in todo:
        made = f(put(piece.wave), put(piece.valid))
        if last is not None:
            yield last
        last = piece, made
    if last is not None:
        yield last


class _Rows:
    """Rows of an array on disk, each written where it belongs.

    By calls of write, which take a third of the processor's time that assigning to a memory map takes.
    """

    def __init__(self, file: Path):
        there = self.there = np.load(file, mmap_mode="r")
        self.dtype, self.shape, self.offset, self.row = (
            there.dtype, there.shape, there.offset, there[:1].nbytes,
        )  # fmt: skip
        self.file = open(file, "r+b", buffering=0)

    def __setitem__(self, at: slice, rows: np.ndarray) -> None:
        self.file.seek(self.offset + int(at.start) * self.row)
        rows = np.ascontiguousarray(rows, self.dtype)
        if self.file.write(rows) != rows.nbytes:
            raise OSError(f"{self.file.name}: the disk is full; free some space and run the same again")

    def flush(self) -> None:
        os.fsync(self.file.fileno())

    def close(self) -> np.ndarray:
        self.flush()
        self.file.close()
        return self.there


def _left(part: Path | None, about: dict) -> tuple[int, _Rows | None]:
    """How many pieces a killed process finished, and its rows."""
    if part is None:
        return 0, None
    if (part / "left.json").exists():
        with contextlib.suppress(OSError, ValueError):  # damaged: all is made anew
            before, done = json.loads((part / "left.json").read_text(encoding="utf-8"))
            if before == about:
                return done, _Rows(part / "rows.npy")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    return 0, None


def _new(part: Path | None, name: str, dtype: str, shape: tuple[int, ...]) -> "np.ndarray | _Rows":
    """A new array, on disk if there is a folder."""
    if part is None:
        return np.empty(shape, dtype)
    np.lib.format.open_memmap(part / f"{name}.npy", "w+", np.dtype(dtype), shape)
    return _Rows(part / f"{name}.npy")


def _whole(out: "np.ndarray | _Rows") -> np.ndarray:
    """What was written, to be read."""
    return out.close() if isinstance(out, _Rows) else out


def _pooled(part: Path | None, rows: np.ndarray, windows: Windows) -> np.ndarray:
    """Each clip's mean over its windows, weighted by their lengths; some clips at a time, of some 4,096
    windows together."""
    n = len(windows.first) - 1
    out = _new(part, "pooled", rows.dtype.name, (n, *rows.shape[1:]))
    for some in np.split(np.arange(n), np.flatnonzero(np.diff(windows.first[:-1] // 4096)) + 1):
        begin, end = windows.first[some[0]], windows.first[some[-1] + 1]
        weight = windows.lengths[begin:end].reshape(-1, *[1] * (rows.ndim - 1)).astype(np.float64)
        cuts = windows.first[some] - begin
        total = np.add.reduceat(rows[begin:end] * weight, cuts) / np.add.reduceat(weight, cuts)
        out[some[0] : some[-1] + 1] = total
    return _whole(out)


def bar() -> Progress:
    """A progress bar with count and time left on a terminal, nothing elsewhere."""
    columns = TextColumn("{task.description:>24}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, transient=True, disable=not os.isatty(1))
