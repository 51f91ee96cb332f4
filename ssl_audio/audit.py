"""Is test sound in the training sound? Exact and near duplicates within a store and between two.

Two recordings of one sound have the same phases at one delay, whatever the gain, the rate or some noise; two
notes of one pitch, or two kinds of rain, have the same spectrum and other phases. So clips with like spectra
are found first, by how their bands rise and fall over time; then their phases are compared at every delay
(after Knapp & Carter, "The generalized correlation method for estimation of time delay", 1976), and where
they overlap at the best one, waves and phases must both agree.
"""

import csv
import itertools
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from jaxtyping import Complex, Float32, Int64, Shaped
from scipy.fft import irfft, next_fast_len, rfft

from ssl_audio.audio.store import Store
from ssl_audio.disk import aside
from ssl_audio.embeddings import bar
from ssl_audio.evaluate.folds import unit

RATE = 8_000
"""Samples a second that sounds are compared at."""
SECONDS, EVERY = 2.0, 1.0
"""Length of a stretch that is compared, and from one to the next."""
BAND = 100.0, 3_600.0
"""Hz that are compared."""
NEIGHBOURS = 10
"""Stretches with the likest spectra whose phases are compared."""
ONE = ((0.8, 0.85), (0.5, 0.96))
"""Least agreement of phases and least correlation of waves of one sound: either both of the first, or, as of
a tone in noise, of the second. Set between strangers and copies on real recordings (results/LOG.md)."""
LEAST = 0.15
"""Seconds that two clips must overlap."""
FEW = 50
"""So few stretches, or clips of the same samples, are all compared with one another."""


@dataclass(frozen=True)
class Pair:
    """Two clips that hold the same sound.

    a, b: clip numbers, of the first store and the second (or the same). likeness: correlation of their waves
    where they overlap, 0.85 to 1; a copy with noise 10 dB below it has 0.95. delay: seconds into a at which b
    begins. exact: the same samples.
    """

    a: int
    b: int
    likeness: float
    delay: float
    exact: bool


class Cuts:
    """The stretches of a store's clips: which clip each is of, and where it begins there, seconds."""

    def __init__(self, store: Store):
        self.store = store
        found = [(i, start) for i, n in enumerate(store.lengths) for start in starts(n / store.rate)]
        self.clip = np.array([i for i, _ in found], np.int64)
        self.start = np.array([start for _, start in found])

    def __len__(self) -> int:
        return len(self.clip)

    def wave(self, k: int, around: float = 0.0) -> tuple[Float32[np.ndarray, " t"], float]:
        """Stretch k at RATE with so many seconds around it, and where in the clip that begins."""
        i, rate = int(self.clip[k]), self.store.rate
        begin = max(0.0, self.start[k] - around)
        end = min(self.store.lengths[i] / rate, self.start[k] + SECONDS + around)
        first = round(begin * rate)
        x = self.store[i, first, max(1, round(end * rate) - first)].astype(np.float32)
        return (x if rate == RATE else soxr.resample(x, rate, RATE)), first / rate


def starts(seconds: float) -> list[float]:
    """Where stretches of a clip of that length begin; the last ends with it."""
    if seconds <= SECONDS:
        return [0.0]
    return [*np.arange(0.0, seconds - SECONDS, EVERY).tolist(), seconds - SECONDS]


def shape(wave: Float32[np.ndarray, " t"]) -> Float32[np.ndarray, " d"]:
    """How 32 bands rise and fall, wherever in the stretch: amplitudes of 16 modulations; length 1, or 0 of
    silence."""
    x = np.zeros(round(SECONDS * RATE), np.float32)
    x[: len(wave)] = wave[: len(x)]
    frames = np.lib.stride_tricks.sliding_window_view(x, 512)[::256]
    power = np.abs(rfft(frames * np.hanning(512).astype(np.float32), axis=1)) ** 2
    edges = np.unique(np.round(np.geomspace(BAND[0], BAND[1], 33) * 512 / RATE).astype(int))
    bands = np.sqrt(np.add.reduceat(power, edges, axis=1)[:, :-1])
    moves = np.sqrt(np.abs(rfft(bands, 64, axis=0))[:16]).ravel()
    return (moves / max(np.linalg.norm(moves), 1e-12)).astype(np.float32)


def candidates(
    a: Float32[np.ndarray, "n d"],
    b: Float32[np.ndarray, "m d"],
    clip_a: Int64[np.ndarray, " n"],
    clip_b: Int64[np.ndarray, " m"],
    own: bool,
) -> Int64[np.ndarray, "p 2"]:
    """Pairs of stretches of different clips with like shapes; own: a and b are the same store's.

    Of two stores those near to a stretch of b count too: all copies that b has of one clip are found.
    """
    if len(a) + len(b) > FEW:  # what all have in common tells nothing
        middle = (a.sum(0) + b.sum(0)) / (len(a) + len(b))
        a, b = unit(a - middle), unit(b - middle)
    if own:
        return np.unique(np.sort(near(a, b, clip_a), 1), axis=0)
    return np.unique(np.concatenate([near(a, b), near(b, a)[:, ::-1]]), axis=0)


def near(
    a: Float32[np.ndarray, "n d"], b: Float32[np.ndarray, "m d"], clips: Int64[np.ndarray, " n"] | None = None
) -> Int64[np.ndarray, "p 2"]:
    """(row of a, row of b) of the likest few of b to each of a. clips: of the rows, where a is b; those of
    one clip aren't paired."""
    found = []
    for rows in np.array_split(np.arange(len(a)), -(-len(a) * len(b) // 20_000_000)):  # bounded memory
        likeness = a[rows] @ b.T
        if clips is not None:
            likeness[clips[rows][:, None] == clips[None]] = -2
        k = min(NEIGHBOURS, likeness.shape[1])
        likest = np.argpartition(-likeness, k - 1, axis=1)[:, :k]
        kept = np.take_along_axis(likeness, likest, 1) > 0.3
        found.append(np.stack([np.repeat(rows, k), likest.ravel()], 1)[kept.ravel()])
    return np.concatenate(found)


def agreement(x: Float32[np.ndarray, " t"], y: Float32[np.ndarray, " u"]) -> tuple[float, float, float]:
    """(agreement of phases, correlation of waves, seconds into x at which y begins), both 0 to 1, where x and
    y overlap at the delay at which phases agree most; 0 if they overlap too little."""
    size = next_fast_len(len(x) + len(y), real=True)
    hz = np.arange(size // 2 + 1) * RATE / size
    inside = (hz >= BAND[0]) & (hz <= BAND[1])
    one, other = rfft(x, size) * inside, rfft(y, size) * inside
    # half of the way to equal weights, so that neither the loudest band nor the noise in all others decides
    likeness = np.abs(irfft(halved(one * np.conj(other)), size))
    at = int(likeness.argmax())
    lag = at if at < len(x) else at - size
    # a copy may begin between two samples: there a parabola has its top
    before, top, after = likeness[at - 1], likeness[at], likeness[(at + 1) % size]
    bend = before - 2 * top + after
    between = float(0.5 * (before - after) / bend) if bend < 0 else 0.0
    other = other * np.exp(-2j * np.pi * hz / RATE * between)
    u, v = irfft(one, size)[: len(x)], irfft(other, size)[: len(y)]
    u, v = u[max(0, lag) :], v[max(0, -lag) :]
    n = min(len(u), len(v))
    if n < LEAST * RATE:
        return 0.0, 0.0, lag / RATE
    u, v = u[:n], v[:n]
    waves = abs(float(u @ v)) / max(float(np.linalg.norm(u) * np.linalg.norm(v)), 1e-12)
    edges = np.hanning(n + 2)[1:-1] ** 0.25
    turned = halved(rfft(u * edges) * np.conj(rfft(v * edges)))
    phases = abs(float(turned.real.sum())) / max(float(np.abs(turned).sum()), 1e-12)
    return phases, waves, lag / RATE


def alike(phases: float, waves: float) -> bool:
    """Whether what agrees so well is one sound."""
    return any(phases > least and waves > other for least, other in ONE)


def halved(cross: Complex[np.ndarray, " f"]) -> Complex[np.ndarray, " f"]:
    """The same phases with the square roots of the amounts."""
    return cross / np.maximum(np.sqrt(np.abs(cross)), 1e-12)


def audit(one: Store, other: Store | None = None) -> list[Pair]:
    """Pairs of clips that hold the same sound, most alike first: within a store, or between two.

    Clips of nothing but zeros hold none.
    """
    own = other is None
    stores = [one] if own else [one, other]
    cuts = [Cuts(store) for store in stores]
    shapes, digests = [], [[bytes(d) for d in store.digests] for store in stores]
    with bar() as progress:
        job = progress.add_task("spectra", total=sum(map(len, cuts)))
        for cut in cuts:
            rows = []
            for k in range(len(cut)):
                rows.append(shape(cut.wave(k)[0]))
                progress.advance(job)
            shapes.append(np.stack(rows))
        pairs = candidates(shapes[0], shapes[-1], cuts[0].clip, cuts[-1].clip, own)
        job, best, last = progress.add_task("phases", total=len(pairs)), {}, -1
        for p, q in pairs.tolist():
            if p != last:  # pairs come sorted
                last, (x, begin) = p, cuts[0].wave(p)
            y, start = cuts[-1].wave(q, EVERY)
            phases, waves, delay = agreement(x, y)
            i, j = int(cuts[0].clip[p]), int(cuts[-1].clip[q])
            known = best.get((i, j), (0.0, 0.0))[0]
            if waves > known and alike(phases, waves):
                best[i, j] = waves, begin + delay - start
            progress.advance(job)
    for cut, rows, digest in zip(cuts, shapes, digests, strict=True):
        heard = np.bincount(cut.clip, rows.any(1), minlength=len(digest))
        digest[:] = [d if n else None for d, n in zip(digest, heard, strict=True)]
    copies = same(digests[0], digests[-1], own)
    best |= {key: (1.0, 0.0) for key in copies}
    made = (Pair(i, j, likeness, delay, (i, j) in copies) for (i, j), (likeness, delay) in best.items())
    return sorted(made, key=lambda pair: (-pair.exact, -pair.likeness))


def same(a: Sequence[bytes | None], b: Sequence[bytes | None], own: bool) -> set[tuple[int, int]]:
    """Pairs of clips with the same samples (None: has none); of very many alike each with the first."""
    at: dict[bytes, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for side, digests in enumerate((a, b)):
        for i, digest in enumerate(digests):
            if digest is not None:
                at[digest][side].append(i)
    found = set()
    for left, right in at.values():
        every = itertools.product(left, right)
        if len(left) * len(right) > FEW**2:
            every = [*((left[0], j) for j in right), *((i, right[0]) for i in left)]
        found |= {(min(i, j), max(i, j)) if own else (i, j) for i, j in every if not own or i != j}
    return found


def across(pairs: Sequence[Pair], folds: Shaped[np.ndarray, " n"]) -> list[Pair]:
    """Of the pairs within a store those whose clips lie in two folds: leaks."""
    return [pair for pair in pairs if folds[pair.a] != folds[pair.b]]


def run(one: Store, other: Store | None = None, *, fold: str = "fold", out: Path | None = None) -> list[Pair]:
    """Audit, print what was found, and write all pairs to `out`, .csv, if it is given.

    fold: column of the store; within one store pairs across its values are what matters.
    """
    # a wrong column or place fails before anything is compared
    folds = one.values(fold) if other is None else None
    if out is not None and not os.access(out.absolute().parent, os.W_OK):
        raise ValueError(f"{out}: no folder there that can be written to; make it, or choose another --out")
    if folds is not None and len(np.unique(folds)) < 2:
        folds = None
    pairs, second = audit(one, other), one if other is None else other
    leaks = pairs if folds is None else across(pairs, folds)
    for pair in leaks[:SHOWN]:
        names = one.name(pair.a), second.name(pair.b)
        if folds is not None:
            names = tuple(f"{name} ({folds[i]})" for name, i in zip(names, (pair.a, pair.b), strict=True))
        how = "same samples" if pair.exact else f"likeness {pair.likeness:.3f}, {pair.delay:+.2f} s"
        print(f"{names[0]} = {names[1]}: {how}")
    if len(leaks) > SHOWN:
        print(f"... and {len(leaks) - SHOWN} more" + ("" if out else "; --out FILE.csv gets all"))
    clips = len({pair.b for pair in leaks} | ({pair.a for pair in leaks} if other is None else set()))
    exact = sum(pair.exact for pair in leaks)
    where = f" across values of {fold}" if folds is not None else ""
    print(
        f"{len(leaks)} pairs{where} hold one sound ({exact} the same samples), which are {clips} clips of "
        f"{len(second):,} in {second.path.name}" + (f"; {len(pairs)} pairs in all" if where else "")
    )
    if out is not None:
        listed(out, pairs, one, second, folds)
        print(out)
    return pairs


SHOWN = 20
"""Pairs that are printed."""


def listed(path: Path, pairs: Sequence[Pair], one: Store, other: Store, folds) -> None:
    """A row a pair."""
    with aside(path) as part, open(part, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("a", "b", "likeness", "delay", "exact", "across"))
        for pair in pairs:
            cut = "" if folds is None else str(bool(folds[pair.a] != folds[pair.b])).lower()
            numbers = f"{pair.likeness:.4f}", f"{pair.delay:.3f}", str(pair.exact).lower(), cut
            rows.writerow((one.name(pair.a), other.name(pair.b), *numbers))
