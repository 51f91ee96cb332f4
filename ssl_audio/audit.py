"""Is test sound in the training sound? Exact and near duplicates within a store and between two.

A fingerprint is a row of signs a frame, whether the differences between neighbouring bands grow or fall where
they change most: gain doesn't touch it, resampling and moderate noise few of its signs. Two clips are
compared at every offset, so that a cut of a recording is found in the recording. After Haitsma & Kalker, "A
Highly Robust Audio Fingerprinting System", 2002, which takes every band's sign; of faint ones noise turns
half.
"""

import functools
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int8
from rich.console import Console
from rich.table import Table
from scipy.signal import resample_poly

from ssl_audio.audio.store import Store
from ssl_audio.embed import bar
from ssl_audio.report import write

RATE, WINDOW, HOP = 8_000, 1_024, 128
"""Samples a second that a fingerprint is made at, and samples of its window and hop."""
BANDS = 33
RANGE = 300.0, 3_000.0
"""Hz, of the bands, a constant ratio wide."""
KEPT = 12
"""Signs of a frame, of the 32 the strongest; the others are 0."""
QUIET = 40.0
"""dB below the loudest frame of a clip: such frames say nothing."""
LEAST = 100
"""Signs that two clips must share; the same sound has some 600 a second."""


@dataclass(frozen=True)
class Pair:
    """Two clips that are alike.

    a, b: clip numbers, of the first store and the second (or the same). similarity: 1 - 2 x share of
    differing signs, 1 for copies, about 0 for strangers. offset: seconds into a where b begins. shared: signs
    that were compared. exact: the same samples.
    """

    a: int
    b: int
    similarity: float
    offset: float
    shared: int
    exact: bool


def fingerprint(wave: np.ndarray, rate: int) -> Int8[np.ndarray, "f 32"]:
    """Signs [frames 32] of a wave (int16 or float): 1, -1, or 0 where a band or the sound is faint."""
    x = np.asarray(wave, np.float32)
    if rate != RATE:
        common = math.gcd(rate, RATE)
        x = resample_poly(x, RATE // common, rate // common).astype(np.float32)
    x = np.pad(x, (0, max(0, WINDOW + HOP - len(x))))
    frames = np.lib.stride_tricks.sliding_window_view(x, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW).astype(np.float32), axis=1)) ** 2
    energy = power @ filters()
    growth = np.diff(np.diff(energy, axis=1), axis=0)
    loud = energy[1:].sum(1)
    heard = loud > loud.max(initial=0.0) * 10 ** (-QUIET / 10)
    strength = np.abs(growth)
    kept = strength >= np.partition(strength, -KEPT, axis=1)[:, -KEPT, None]
    return np.where(heard[:, None] & kept, np.sign(growth), 0).astype(np.int8)


@functools.cache
def filters() -> Float[np.ndarray, "bins 33"]:
    """Which bins of the spectrum lie in which band."""
    edges = np.geomspace(*RANGE, BANDS + 1)
    bins = np.arange(WINDOW // 2 + 1) * RATE / WINDOW
    # share of a bin's width that lies in the band, so that narrow bands have some too
    low, high = bins - RATE / WINDOW / 2, bins + RATE / WINDOW / 2
    overlap = np.minimum(high[:, None], edges[None, 1:]) - np.maximum(low[:, None], edges[None, :-1])
    return np.maximum(overlap, 0).astype(np.float32)


def compare(
    a: Sequence[Int8[np.ndarray, "_ 32"]],
    b: Sequence[Int8[np.ndarray, "_ 32"]] | None = None,
    *,
    least: float = 0.3,
    sigma: float = 7.0,
    block: int = 32,
) -> list[tuple[int, int, float, int, int]]:
    """Pairs (i, j, similarity, offset in frames, signs shared) of fingerprints that are alike, where they are
    most.

    b: None: of a with itself, each pair once. least: of the similarity. sigma: how many standard deviations
    of what strangers reach it must be, too, since short clips agree by chance; the deviation is measured on
    the pairs themselves. block: clips compared at once, for the memory.
    """
    own = b is None
    b = a if b is None else b
    length = 2 ** math.ceil(math.log2(max(map(len, a)) + max(map(len, b))))
    spectra = [transformed(clips, length) for clips in (a, b)]
    scale, found = None, []
    with bar() as progress:
        job = progress.add_task("comparing", total=len(a))
        for begin in range(0, len(a), block):
            part = slice(begin, begin + block)
            agree, shared = correlated(*(s[part] for s in spectra[0]), *spectra[1])
            best, offset, common, deviation = (np.asarray(v) for v in strongest(agree, shared, LEAST))
            scale = scale or float(np.median(deviation))  # of the first block: strangers, nearly all
            alike = (best > least) & (best * np.sqrt(common) > sigma * scale)
            for i, j in zip(*np.nonzero(alike), strict=True):
                if not own or begin + i < j:
                    lag = int(offset[i, j])
                    lag -= length if lag >= length // 2 else 0
                    found.append((int(begin + i), int(j), float(best[i, j]), lag, int(common[i, j])))
            progress.advance(job, len(agree))
    return found


def transformed(clips, length: int) -> tuple[Array, Array]:
    """Spectra over time of signs [n f 32] and of where they are [n f 32]."""
    signs = np.zeros((len(clips), length, 32), np.float32)
    for i, clip in enumerate(clips):
        signs[i, : len(clip)] = clip
    return jnp.fft.rfft(signs, axis=1), jnp.fft.rfft(np.abs(signs), axis=1)


@jax.jit
def correlated(a, there_a, b, there_b):
    """Agreement (signs equal less signs that differ) and signs in common, [i j offset]."""
    agree, shared = (jnp.fft.irfft(crossed(x, y), axis=-1) for x, y in ((a, b), (there_a, there_b)))
    return agree, jnp.round(shared)


def crossed(x, y):
    """Sums over bands of x y*, [i j f]: as products of real matrices, for of complex ones XLA makes loops."""
    x, y = (jnp.moveaxis(z, 1, 0) for z in (x, y))
    turned = jnp.concatenate([x.imag, -x.real], -1), jnp.concatenate([x.real, x.imag], -1)
    y = jnp.concatenate([y.real, y.imag], -1)
    imag, real = (jnp.einsum("fic,fjc->fij", z, y) for z in turned)
    return jnp.moveaxis(jax.lax.complex(real, imag), 0, 2)


@functools.partial(jax.jit, static_argnums=2)
def strongest(agree, shared, least: int):
    """Of each pair similarity, offset and signs in common where they are least likely by chance; and the
    deviation of similarity x sqrt(signs) over offsets."""
    enough = shared >= least
    value = jnp.where(enough, agree / jnp.sqrt(jnp.maximum(shared, 1)), 0)
    at = value.argmax(-1)
    pick = lambda x: jnp.take_along_axis(x, at[..., None], -1)[..., 0]
    tried = jnp.maximum(enough.sum(-1, dtype=jnp.float32), 1)
    deviation = jnp.sqrt(jnp.sum(value**2, -1) / tried)
    common = jnp.maximum(pick(shared), 1)
    return pick(value) / jnp.sqrt(common), at, common, deviation


def audit(one: Store, other: Store | None = None, *, least: float = 0.3, sigma: float = 7.0) -> list[Pair]:
    """Pairs of clips that are alike, most alike first: within a store, or between two."""
    stores = [one] if other is None else [one, other]
    prints, digests = [], []
    with bar() as progress:
        job = progress.add_task("fingerprints", total=sum(map(len, stores)))
        for store in stores:
            made = []
            for i in range(len(store)):
                made.append(fingerprint(store[i, 0, int(store.lengths[i])], store.rate))
                progress.advance(job)
            prints.append(made)
            digests.append([bytes(d) for d in store.digests])
    hop = HOP / RATE
    return sorted(
        (
            Pair(i, j, similarity, lag * hop, shared, digests[0][i] == digests[-1][j])
            for i, j, similarity, lag, shared in compare(*prints, least=least, sigma=sigma)
        ),
        key=lambda pair: -pair.similarity,
    )


def across(pairs: Sequence[Pair], folds: np.ndarray) -> list[Pair]:
    """Of the pairs within a store those whose clips lie in two folds: leaks."""
    return [pair for pair in pairs if folds[pair.a] != folds[pair.b]]


def run(one: Store, other: Store | None = None, *, fold: str = "fold", out: Path | None = None) -> None:
    """Audit, print what was found, and write all pairs to `out`, .json, if it is given.

    fold: column of the first store; within it pairs across two folds are what matters.
    """
    pairs, second = audit(one, other), one if other is None else other
    print(
        f"{len(pairs)} pairs of clips are alike, {sum(pair.exact for pair in pairs)} of them the same samples"
    )
    if other is None:
        folds = one.values(fold)
        leaks = across(pairs, folds)
        if len(np.unique(folds)) > 1:
            print(f"{len(leaks)} of them lie in two folds: each is test sound that is in the training sound")
        pairs = leaks + [pair for pair in pairs if pair not in set(leaks)]
    table = Table("clip", "alike", "at", "similarity", *([] if other else ["folds"]))
    for pair in pairs[:20]:
        names = one.name(pair.a), second.name(pair.b)
        where = [] if other else [f"{folds[pair.a]} {folds[pair.b]}"]
        similar = "same samples" if pair.exact else f"{pair.similarity:.2f}"
        table.add_row(*names, f"{pair.offset:+.2f} s", similar, *where)
    if pairs:
        Console().print(table)
    if len(pairs) > 20:
        print(f"and {len(pairs) - 20} more" + ("" if out else "; --out FILE.json has all"))
    if out is not None:
        records = [asdict(p) | {"a": one.name(p.a), "b": second.name(p.b)} for p in pairs]
        write(out, json.dumps(records, indent=1) + "\n")
        print(out)
