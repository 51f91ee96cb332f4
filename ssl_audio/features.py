"""Sound files to a table of features: a row a clip or a row a frame, as parquet or CSV.

Files are decoded in blocks and transformed in pieces that overlap, so that memory doesn't grow with a file's
length and the frames of the pieces are those of the whole. What is finished lies in parts beside the table
until all is; a killed extraction goes on from there.
"""

import csv
import dataclasses
import functools
import hashlib
import importlib.util
import json
import math
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ssl_audio import __version__
from ssl_audio.audio.files import Refused, Sound
from ssl_audio.audio.scan import scan
from ssl_audio.audio.store import Clip
from ssl_audio.disk import aside, write_arrays
from ssl_audio.embeddings import bar
from ssl_audio.signal import cepstrum, descriptors, kaldi, pitch
from ssl_audio.signal.frontend import LogMel

Kind = Literal[
    "logmel", "mfcc", "gfcc", "fbank", "chroma", "chroma_cqt", "cqt", "tonnetz",
    "contrast", "centroid", "bandwidth", "rolloff", "flatness", "flux", "zcr", "rms",
]  # fmt: skip
N_FFT, HOP = 2048, 512  # samples
_LONG = ("chroma_cqt", "cqt", "tonnetz")
_FRAMES = (8, 12, 18, 27, 40, 60, 90, 135, 200, 300, 450, 675, 1000)  # of pieces: so few shapes are compiled
_BATCH = 4_000  # frames, at most, in a batch of pieces ...
_ROWS = 32  # ... and pieces
_PART = 64, 64_000_000  # files in a part, at most, and their bytes


@dataclass(frozen=True)
class Report:
    """What an extraction did; refused: (path, reason), known: files that an interrupted run had done."""

    path: Path
    files: int
    rows: int
    columns: int
    known: int
    refused: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.rows:,} rows of {self.files:,} files, {self.columns} features"]
        if self.known:
            lines.append(f"known from a run that was interrupted: {self.known:,} files")
        lines.append(f"refused: {len(self.refused):,}" if self.refused else "refused: none")
        lines += [f"  {name}: {reason}" for name, reason in self.refused]
        return "\n".join(lines)


def compute(x: Float[Array, "b t"], kind: Kind, rate: int) -> Float[Array, "b f c"]:
    """One kind of features of waves, every frame centred on a multiple of 512 samples, zeros around the wave.

    As librosa computes them with n_fft 2048 and hop 512, but without what looks further than a frame: mfcc
    has no top_db, chroma and cqt a tuning of 0. logmel has 64 bands, mfcc 20, gfcc 30 and fbank (Kaldi's, on
    the same centres) 80 coefficients. ValueError where the rate is too low for a kind.

    `extract` embeds files in zeros, 2 s of them for cqt, chroma_cqt and tonnetz. These halve the rate on
    their way, and what the filters ring beyond the ends of a file then counts: a second from the ends they
    are up to 1.5 % of the largest off librosa's, and nearer to the transform's definition.
    """
    sizes = dict(n_fft=N_FFT, hop=HOP)
    mel = LogMel(rate=rate, win=N_FFT, mels=64, fmin=0.0, fmax=rate / 2, **sizes)
    decibels = dataclasses.replace(mel, mels=128, log="db", floor=1e-10)
    functions = {
        "logmel": lambda: mel.raw(x),
        "mfcc": lambda: cepstrum.dct(decibels.raw(x), 20),
        "gfcc": lambda: cepstrum.gfcc(x, rate, **sizes),
        "fbank": lambda: _fbank(x, rate),
        "chroma": lambda: pitch.chroma_stft(x, rate, **sizes),
        "chroma_cqt": lambda: pitch.chroma_cqt(x, rate, hop=HOP),
        "cqt": lambda: pitch.cqt(x, rate, hop=HOP),
        "tonnetz": lambda: pitch.tonnetz(x, rate, hop=HOP),
        "contrast": lambda: descriptors.spectral_contrast(x, rate, **sizes),
        "centroid": lambda: descriptors.spectral_centroid(x, rate, **sizes),
        "bandwidth": lambda: descriptors.spectral_bandwidth(x, rate, **sizes),
        "rolloff": lambda: descriptors.spectral_rolloff(x, rate, **sizes),
        "flatness": lambda: descriptors.spectral_flatness(x, **sizes),
        "flux": lambda: descriptors.spectral_flux(x, **sizes),
        "zcr": lambda: descriptors.zero_crossing_rate(x, **sizes),
        "rms": lambda: descriptors.rms(x, **sizes),
    }
    y = functions[kind]()
    return y if y.ndim == 3 else y[..., None]


def _fbank(x, rate):
    length, _ = kaldi.frame_sizes(rate, 25.0, 10.0)
    padded = jnp.pad(x, ((0, 0), (length // 2, length - length // 2)))
    shift = (HOP + 0.5) * 1000 / rate  # Kaldi rounds it down to samples
    return kaldi.fbank(padded, rate, mels=80, frame_shift_ms=shift)[:, : 1 + x.shape[1] // HOP]


# ---- pieces of sound


class _Piece(NamedTuple):
    """A stretch of a file: `wave` is context, `frames` hops or what there is of them, context."""

    clip: int
    first: int  # its first frame, in the file
    frames: int
    begin: int  # where in `wave` the file begins, and where it ends
    end: int
    wave: np.ndarray


def _context(kinds: Sequence[Kind], rate: int) -> int:
    """Samples on either side of a piece that its frames look at, in whole frames."""
    seconds = 2.0 if set(kinds) & set(_LONG) else 0.0  # half the longest tone, and the filters
    return HOP * math.ceil((N_FFT // 2 + HOP + seconds * rate) / HOP)


def _pieces(i: int, clip: Clip, rate: int, context: int) -> Iterator[_Piece]:
    """The pieces of a clip, in order; Refused where it can't be decoded."""
    longest = 2 * context + _FRAMES[-1] * HOP
    kept, ahead, first, length = [np.zeros(context, np.float32)], context, 0, 0
    with Sound(clip.path) as sound:
        for block in sound.blocks(rate, clip.start, clip.duration):
            kept.append(block)
            ahead, length = ahead + len(block), length + len(block)
            while ahead >= longest:
                wave = np.concatenate(kept)
                yield _piece(i, first, _FRAMES[-1], wave, context, length)
                kept, first = [wave[_FRAMES[-1] * HOP :]], first + _FRAMES[-1]
                ahead = len(kept[0])
    wave, frames = np.concatenate(kept), 1 + length // HOP
    while first < frames:
        count = min(frames - first, _FRAMES[-1])
        yield _piece(i, first, count, wave, context, length)
        wave, first = wave[count * HOP :], first + count


def _piece(i: int, first: int, frames: int, wave: np.ndarray, context: int, length: int) -> _Piece:
    size = 2 * context + HOP * next(n for n in _FRAMES if n >= frames)
    padded = np.zeros(size, np.float32)
    padded[: len(wave)] = wave[:size]
    start = first * HOP - context  # of `wave`, in the file
    return _Piece(i, first, frames, max(-start, 0), min(length - start, size), padded)


# ---- pieces to numbers


def _columns(kinds: Sequence[Kind], rate: int, per: str) -> list[str]:
    names = []
    for kind in kinds:
        wave = jax.ShapeDtypeStruct((1, 2 * _context(kinds, rate)), jnp.float32)
        c = jax.eval_shape(functools.partial(compute, kind=kind, rate=rate), wave).shape[-1]
        names += [kind] if c == 1 else [f"{kind}_{i}" for i in range(c)]
    if per == "frame":
        return names
    return [f"{name}_mean" for name in names] + [f"{name}_std" for name in names]


def _program(kinds: Sequence[Kind], rate: int, per: str) -> Callable:
    """Jitted: pieces (wave [b t], and their fields [b]) to frames [b f c], or to statistics [b 2 c]."""
    context = _context(kinds, rate)

    def frames(wave, first, begin, end):
        skip, count = context // HOP, (wave.shape[1] - 2 * context) // HOP
        at = jnp.arange(wave.shape[1])[None]
        edge = lambda i: jnp.take_along_axis(wave, i[:, None], axis=1)
        # where zero crossings are counted the ends go on as they are, elsewhere as zeros
        held = jnp.where(at < begin[:, None], edge(begin), wave)
        held = jnp.where(at >= end[:, None], edge(end - 1), held)
        found = []
        for kind in kinds:
            x = compute(held if kind == "zcr" else wave, kind, rate)[:, skip : skip + count]
            if kind == "flux":  # nothing comes before the first frame of a file
                number = first[:, None] + jnp.arange(count)[None]
                x = jnp.where(number[..., None] == 0, 0.0, x)
            found.append(x)
        return jnp.concatenate(found, axis=-1)

    def statistics(wave, first, begin, end, count):
        """Mean, and sum of squared differences from it."""
        x = frames(wave, first, begin, end)
        there = (jnp.arange(x.shape[1])[None] < count[:, None])[..., None]
        mean = jnp.where(there, x, 0.0).sum(1) / count[:, None].astype(x.dtype)
        squares = jnp.where(there, (x - mean[:, None]) ** 2, 0.0).sum(1)
        return jnp.stack([mean, squares], axis=1)

    return jax.jit(statistics if per == "clip" else lambda wave, *fields: frames(wave, *fields[:3]))


def _rows(program: Callable, pieces: Sequence[_Piece], batch: int) -> np.ndarray:
    """The program's result for each piece; the batch is filled up with the last one."""
    filled = [*pieces, *[pieces[-1]] * (batch - len(pieces))]
    fields = [[getattr(piece, name) for piece in filled] for name in ("first", "begin", "end", "frames")]
    arrays = np.stack([piece.wave for piece in filled]), *(np.array(field, np.int32) for field in fields)
    return np.asarray(jax.device_get(program(*jax.device_put(arrays))))[: len(pieces)]


def _joined(found: list[tuple[int, int, np.ndarray]], per: str) -> np.ndarray:
    """Rows [n c] of a clip from (first frame, frames, result) of its pieces."""
    found = sorted(found, key=lambda each: each[0])
    if per == "frame":
        return np.concatenate([x[:frames] for _, frames, x in found])
    count = np.array([frames for _, frames, _ in found], np.float64)[:, None]
    mean, squares = np.moveaxis(np.array([x for *_, x in found], np.float64), 1, 0)
    whole = (count * mean).sum(0) / count.sum()
    variance = (squares + count * (mean - whole) ** 2).sum(0) / count.sum()
    return np.concatenate([whole, np.sqrt(variance)])[None].astype(np.float32)


# ---- files to a table


def extract(
    source: Path | str,
    kinds: Sequence[str],
    out: Path | str,
    *,
    per: Literal["clip", "frame"] = "clip",
    rate: int = 16_000,
) -> Report:
    """Writes the features of sound files as a table, .parquet or .csv.

    Files that can't be decoded are left out, named with the reason in the report, and never fatal. Stopped
    and called again it goes on from the parts that were finished, as long as files and settings are the same.

    Args:
        source: a sound file, a folder, or a CSV of clips (`ssl_audio.audio.scan.scan`).
        kinds: of `Kind`, see `compute`; columns are named <kind> or <kind>_<i>.
        out: the table; columns are path (relative to the folder) and the features.
        per: "clip": a row a file, mean and standard deviation over its frames, <name>_mean and <name>_std;
            "frame": a row a frame, and a column time, the seconds of its middle. A file of n samples has
            1 + n // 512 frames.
        rate: Hz; files of other rates are resampled.

    Raises:
        ValueError: if no file can be decoded, a kind isn't possible at the rate, or `out` is neither, or
            is .parquet without pyarrow.
        FileNotFoundError: if there is nothing at `source`.
    """
    source, out, kinds = Path(source), Path(out), tuple(dict.fromkeys(kinds))
    if not kinds or not set(kinds) <= set(get_args(Kind)):
        raise ValueError(f"kind {' '.join(kinds) or '(none)'}: give any of {', '.join(get_args(Kind))}")
    if out.suffix not in (".parquet", ".csv"):
        raise ValueError(f"{out}: give it a name that ends in .parquet or .csv")
    if out.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ValueError("parquet needs pyarrow: pip install 'ssl-audio[features]', or write a .csv")
    columns = _columns(kinds, rate, per)
    one = source.is_file() and source.suffix.lower() != ".csv"
    clips = [Clip(source, name=source.name)] if one else scan(source)
    program, context = _program(kinds, rate, per), _context(kinds, rate)
    parts = out.with_name(f".{out.name}.parts")
    parts.mkdir(parents=True, exist_ok=True)
    files, known = [], 0
    with bar() as progress:
        job = progress.add_task("features", total=len(clips))
        for chunk in _chunks(clips):
            files.append(parts / f"{_digest(chunk, kinds, rate, per)}.npz")
            if files[-1].exists():
                known += len(chunk)
                progress.advance(job, len(chunk))
            else:
                write_arrays(
                    files[-1], **_part(chunk, program, rate, context, per, lambda: progress.advance(job))
                )
    counts, refused = zip(*(_read(file, "count", "refused") for file in files), strict=True)
    refused = tuple(tuple(pair) for part in refused for pair in part.tolist())
    if len(refused) == len(clips):
        shutil.rmtree(parts)
        first = "; ".join(f"{name}: {reason}" for name, reason in refused[:3])
        raise ValueError(f"none of {len(clips)} files could be decoded ({first})")
    with aside(out) as beside:
        save = _save_csv if out.suffix == ".csv" else _save_parquet
        save(beside, files, columns, per, rate)
    shutil.rmtree(parts)
    rows = sum(int(count.sum()) for count in counts)
    return Report(out, len(clips) - len(refused), rows, len(columns), known, refused)


def _name(clip: Clip) -> str:
    """Valid utf-8, whatever bytes a file system gave."""
    return (clip.name or os.fsdecode(clip.path)).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _stat(clip: Clip) -> tuple[int, int]:
    try:
        about = os.stat(clip.path)
    except (OSError, ValueError):
        return 0, 0
    return about.st_size, about.st_mtime_ns


def _chunks(clips: Sequence[Clip]) -> Iterator[list[Clip]]:
    """What goes into a part: not so much that an interruption would lose minutes of work."""
    chunk, size = [], 0
    for clip in clips:
        chunk.append(clip)
        size += _stat(clip)[0]
        if len(chunk) == _PART[0] or size >= _PART[1]:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _digest(chunk: Sequence[Clip], kinds: Sequence[Kind], rate: int, per: str) -> str:
    about = [[os.fsdecode(c.path), _name(c), c.start, c.duration, *_stat(c)] for c in chunk]
    return hashlib.sha256(json.dumps([__version__, kinds, rate, per, about]).encode()).hexdigest()[:24]


def _part(
    chunk: Sequence[Clip], program: Callable, rate: int, context: int, per: str, advance: Callable
) -> dict[str, np.ndarray]:
    """Name, start and rows of each clip, the rows [n c] of all, and what is refused."""
    waiting: dict[int, list[_Piece]] = defaultdict(list)
    found: dict[int, list] = defaultdict(list)
    refused: dict[int, str] = {}

    def run(size: int, last: bool = False):
        pieces, batch = waiting[size], max(1, min(_ROWS, _BATCH * HOP // size))
        if pieces and (last or len(pieces) == batch):
            for piece, x in zip(pieces, _rows(program, pieces, batch), strict=True):
                found[piece.clip].append((piece.first, piece.frames, x))
            pieces.clear()

    for i, clip in enumerate(chunk):
        try:
            for piece in _pieces(i, clip, rate, context):
                waiting[len(piece.wave)].append(piece)
                run(len(piece.wave))
        except Refused as reason:
            refused[i] = str(reason)
        advance()
    for size in waiting:
        run(size, last=True)
    done = [i for i in range(len(chunk)) if i not in refused]
    rows = [_joined(found[i], per) for i in done]
    return {
        "name": np.array([_name(chunk[i]) for i in done], np.str_),
        "start": np.array([chunk[i].start for i in done]),
        "count": np.array([len(x) for x in rows], np.int64),
        "x": np.concatenate(rows) if rows else np.zeros((0, 0), np.float32),
        "refused": np.array([(_name(chunk[i]), why) for i, why in refused.items()], np.str_).reshape(-1, 2),
    }


def _read(file: Path, *names: str) -> list[np.ndarray]:
    with np.load(file) as part:
        return [part[name] for name in names]


def _tables(files: Sequence[Path], per: str, rate: int) -> Iterator[tuple[np.ndarray, list, np.ndarray]]:
    """Of each part: path of each row, [time of each row] ([] where rows are clips), features [n c]."""
    for file in files:
        name, start, count, x = _read(file, "name", "start", "count", "x")
        if not len(name):
            continue  # all refused
        frame = np.concatenate([np.arange(n) for n in count])
        time = np.repeat(start, count) + frame * HOP / rate
        yield np.repeat(name, count), [time] if per == "frame" else [], x


def _save_csv(aside: Path, files: Sequence[Path], columns: list[str], per: str, rate: int) -> None:
    with open(aside, "w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["path", *(["time"] if per == "frame" else []), *columns])
        for path, time, x in _tables(files, per, rate):
            for i, row in enumerate(x):
                writer.writerow([path[i], *(f"{t[i]:.6f}" for t in time), *(f"{value:.9g}" for value in row)])


def _save_parquet(aside: Path, files: Sequence[Path], columns: list[str], per: str, rate: int) -> None:
    import pyarrow
    import pyarrow.parquet

    fields = [("path", pyarrow.string()), *([("time", pyarrow.float64())] if per == "frame" else [])]
    schema = pyarrow.schema([*fields, *((name, pyarrow.float32()) for name in columns)])
    with pyarrow.parquet.ParquetWriter(aside, schema) as table:
        for path, time, x in _tables(files, per, rate):
            arrays = [path.tolist(), *time, *x.T]
            arrays = [pyarrow.array(a, field.type) for a, field in zip(arrays, schema, strict=True)]
            table.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
