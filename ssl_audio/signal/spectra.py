"""Augmentations of spectrograms [b f m] that warp, filter or mix them; the others are in `augment`.

Frozen dataclasses called as `augment(key, x)`, a different draw for each clip; shape and dtype are kept. Each
draws at random around a deterministic function.
"""

import math
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ssl_audio.signal.augment import partners
from ssl_audio.signal.frontend import hz_from_mel, mel_from_hz

# --- warps ---


@dataclass(frozen=True)
class TimeWarp:
    """One moment of the clip moved by up to `frames` frames: SpecAugment's time warp (Park et al. 2019).

    What lies before it is stretched or squeezed evenly, so is what lies after it (the piecewise linear form).
    The moment is at least `frames` from both ends; ValueError where a clip has no such place. The paper's 40
    and 80 frames are for utterances of many seconds.
    """

    frames: int = 10

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b f m"]) -> Float[Array, "b f m"]:
        return bend(x, *_draw_bend(key, x.shape[0], x.shape[1], self.frames, "TimeWarp: frames"), axis=1)


@dataclass(frozen=True)
class FrequencyWarp:
    """One band moved up or down by up to `bands` bands: `TimeWarp` along the other axis.

    The bands below it and those above it are stretched or squeezed evenly; the lowest and the highest stay.
    The band is at least `bands` from both; ValueError where there is no such band.
    """

    bands: int = 3

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b f m"]) -> Float[Array, "b f m"]:
        return bend(x, *_draw_bend(key, x.shape[0], x.shape[2], self.bands, "FrequencyWarp: bands"), axis=2)


def _draw_bend(key, b, n, most, who):
    """The place that is moved and where it goes, in cells of an axis of n."""
    if not 0 <= 2 * most < n - 1:
        raise ValueError(
            f"{who}={most} of {n}: a place that far from both ends doesn't exist; "
            f"take one of 0 to {max((n - 2) // 2, 0)}"
        )
    for_point, for_shift = jax.random.split(key)
    point = jax.random.uniform(for_point, (b,), minval=most, maxval=n - 1 - most)
    return point, point + jax.random.uniform(for_shift, (b,), minval=-most, maxval=most)


def bend(
    x: Float[Array, "b f m"], point: Float[Array, " b"], to: Float[Array, " b"], axis: int
) -> Float[Array, "b f m"]:
    """Cell `point` of an axis (1: frames, 2: bands) moved to `to`, the ends kept, straight lines between.

    Both are cells of that axis, strictly between the first and the last.
    """
    last = x.shape[axis] - 1
    cell = jnp.arange(last + 1, dtype=jnp.float32)[None]
    point, to = point[:, None], to[:, None]
    before = cell * point / jnp.maximum(to, 1e-6)
    after = last - (last - cell) * (last - point) / jnp.maximum(last - to, 1e-6)
    return warp(x, jnp.where(cell < to, before, after), axis)


def warp(x: Float[Array, "b f m"], place: Float[Array, "b n"], axis: int) -> Float[Array, "b f m"]:
    """Cell k of an axis (1: frames, 2: bands) is x at `place[k]`, linearly between two cells.

    n: length of that axis. Beyond the first and the last cell these are repeated.
    """
    last = x.shape[axis] - 1
    place = jnp.clip(place, 0.0, float(last))
    lower = place.astype(jnp.int32)
    part = jnp.expand_dims(place - lower.astype(place.dtype), 3 - axis)
    at = lambda cell: jnp.take_along_axis(x, jnp.expand_dims(cell, 3 - axis), axis).astype(jnp.float32)
    return ((1.0 - part) * at(lower) + part * at(jnp.minimum(lower + 1, last))).astype(x.dtype)


@dataclass(frozen=True)
class VTLP:
    """Another vocal tract, or size of whatever sounds: frequencies times a factor (Jaitly & Hinton 2013).

    factor      its range; above 1 spectra move up, as from a shorter tract
    cut         Hz up to which frequencies are multiplied; from there a straight line leads to half the rate,
                which stays; 0 < cut < rate / 2
    rate, fmin, fmax, htk   of the frontend that makes the spectrograms (see `LogMel`)
    """

    factor: tuple[float, float] = (0.9, 1.1)
    cut: float = 4800.0
    rate: int = 16_000
    fmin: float = 60.0
    fmax: float = 7800.0
    htk: bool = False

    def __post_init__(self):
        if not 0 < self.cut < self.rate / 2:
            raise ValueError(f"VTLP: cut {self.cut} Hz must lie between 0 and half the rate {self.rate}")
        if not 0 < self.factor[0] <= self.factor[1] < self.rate / 2 / self.cut:
            raise ValueError(
                f"VTLP: factors {self.factor} must go from low to high, above 0 and below "
                f"{self.rate / 2 / self.cut:.2f}, where cut {self.cut} Hz would reach half the rate"
            )

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b f m"]) -> Float[Array, "b f m"]:
        low, high = self.factor
        factor = jax.random.uniform(key, x.shape[:1], minval=low, maxval=high)
        return scale_frequencies(x, factor, self.centres(x.shape[2]), self.cut, self.rate / 2)

    def centres(self, mels: int) -> Float[np.ndarray, " {mels}"]:
        """Middle of each mel band, Hz."""
        low, high = mel_from_hz(np.array([self.fmin, self.fmax]), self.htk)
        return hz_from_mel(np.linspace(low, high, mels + 2)[1:-1], self.htk)


def scale_frequencies(
    x: Float[Array, "b f m"],
    factor: Float[Array, " b"],
    centres: Float[np.ndarray, " m"],
    cut: float,
    top: float,
) -> Float[Array, "b f m"]:
    """What was at a frequency is found at `factor` times it.

    So it is up to cut * min(factor, 1); from there a straight line leads to `top`, which stays; all in Hz.
    centres: of the bands, Hz, rising. Between two bands x is a straight line over Hz.
    """
    hz = centres.astype(np.float32)[None]
    factor = factor[:, None]
    knee = cut * jnp.minimum(factor, 1.0)  # where it ends up
    above = top - (top - hz) * (top - knee / factor) / (top - knee)
    source = jnp.where(hz <= knee, hz / factor, above)
    place = jax.vmap(lambda s: jnp.interp(s, hz[0], np.arange(len(centres), dtype=np.float32)))(source)
    return warp(x, place, axis=2)


# --- filters ---


@dataclass(frozen=True)
class FilterAugment:
    """A random filter added to the log-spectrogram: another room, another microphone (Nam et al. 2022).

    The bands are cut at random places into a few ranges, and more or less of each is let through.
    gain      in −gain to gain, uniform, of each range ("step") or at each edge ("linear"), in units of the
              spectrogram: 6 dB, the paper's choice, are 1.38 / std for a natural logarithm of energies
    ranges    fewest and most ranges; each number between is as likely
    narrowest bands of a range at least; ValueError where most ranges * narrowest > m
    form      "step": the same gain all over a range; "linear": straight lines from edge to edge
    """

    gain: float = 1.0
    ranges: tuple[int, int] = (3, 5)
    narrowest: int = 3
    form: Literal["linear", "step"] = "linear"

    def __post_init__(self):
        if not 1 <= self.ranges[0] <= self.ranges[1]:
            raise ValueError(f"FilterAugment: ranges {self.ranges} must be (fewest, most), 1 at least")
        if self.narrowest < 1:
            raise ValueError(f"FilterAugment: narrowest {self.narrowest} must be 1 band at least")
        if self.form not in ("linear", "step"):
            raise ValueError(f"FilterAugment: form {self.form!r} is neither 'linear' nor 'step'")

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b f m"]) -> Float[Array, "b f m"]:
        for_edges, for_gains = jax.random.split(key)
        edges = self._draw(for_edges, x.shape[0], x.shape[2])
        gains = jax.random.uniform(for_gains, edges.shape, minval=-self.gain, maxval=self.gain)
        return filter_lines(x, edges, gains) if self.form == "linear" else filter_steps(x, edges, gains)

    def _draw(self, key, b, m):
        """Edges [b most + 1]: 0, those between the ranges, m; some beyond m where a clip has fewer ranges."""
        fewest, most = self.ranges
        if most * self.narrowest > m:
            raise ValueError(
                f"FilterAugment: {most} ranges of {self.narrowest} bands or more don't fit into {m} bands; "
                f"lower ranges or narrowest"
            )
        for_count, for_place = jax.random.split(key)
        count = jax.random.randint(for_count, (b, 1), fewest, most + 1)
        i = jnp.arange(most + 1)[None]
        # sorted places in what the narrowest ranges leave free, then these put back between them
        free = jax.random.randint(for_place, (b, most + 1), 0, m - count * self.narrowest + 1)
        inside = (i > 0) & (i < count)
        free = jnp.sort(jnp.where(inside, free, jnp.where(i == 0, 0, m)), axis=1)
        return jnp.where(inside | (i == 0), free + i * self.narrowest, m + i - count)


def filter_steps(
    x: Float[Array, "b f m"], edges: Int[Array, "b p"], gains: Float[Array, "b p"]
) -> Float[Array, "b f m"]:
    """x plus gains[i] from band edges[i] until edges[i + 1]; edges rise from 0."""
    band = jnp.arange(x.shape[2])[None, None]
    index = (band >= edges[:, 1:, None]).sum(1)
    return x + jnp.take_along_axis(gains, index, axis=1).astype(x.dtype)[:, None]


def filter_lines(
    x: Float[Array, "b f m"], edges: Int[Array, "b p"], gains: Float[Array, "b p"]
) -> Float[Array, "b f m"]:
    """x plus straight lines through gains[i] at band edges[i]; edges rise from 0, the last is >= m − 1."""
    band = jnp.arange(x.shape[2], dtype=jnp.float32)
    lines = jax.vmap(lambda e, g: jnp.interp(band, e, g))(edges.astype(jnp.float32), gains)
    return x + lines.astype(x.dtype)[:, None]


# --- mixing ---


@dataclass(frozen=True)
class PatchMix:
    """Patches of another clip of the batch in the place of one's own: Patch-Mix (Kim et al. 2023).

    patch  frames and bands of a patch, best those of the encoder; what is left over at the ends counts as one
    ratio  the share of patches that is replaced is uniform in 0 to this; 0 to 1
    The paper goes up to 1 and mixes the targets likewise; a view without target should stay mostly itself.
    A batch of one is left as it is.
    """

    patch: tuple[int, int] = (16, 16)
    ratio: float = 0.4

    def __post_init__(self):
        if min(self.patch) < 1 or not 0 <= self.ratio <= 1:
            raise ValueError(f"PatchMix: patch {self.patch} must be >= 1 and ratio {self.ratio} in 0 to 1")

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b f m"]) -> Float[Array, "b f m"]:
        b, f, m = x.shape
        for_partner, for_share, for_choice = jax.random.split(key, 3)
        rows, columns = math.ceil(f / self.patch[0]), math.ceil(m / self.patch[1])
        share = self.ratio * jax.random.uniform(for_share, (b, 1))
        count = jnp.round(share * (rows * columns)).astype(jnp.int32)
        rank = jnp.argsort(jax.random.uniform(for_choice, (b, rows * columns)), axis=1)  # a permutation
        chosen = (rank < count).reshape(b, rows, columns)
        return mix_patches(x, x[partners(for_partner, b)], chosen, self.patch)


def mix_patches(
    x: Float[Array, "b f m"],
    other: Float[Array, "b f m"],
    chosen: Bool[Array, "b rows columns"],
    patch: tuple[int, int],
) -> Float[Array, "b f m"]:
    """x with the chosen patches (rows of them over time, columns over bands) taken from `other`."""
    _, f, m = x.shape
    cells = jnp.repeat(jnp.repeat(chosen, patch[0], axis=1)[:, :f], patch[1], axis=2)[..., :m]
    return jnp.where(cells, other, x)
