"""Augmentations: frozen dataclasses called as `augment(key, x)`, a different draw for each clip of the batch.

Those of waves take [b t], those of spectrograms [b f m] (log-mel, normalised: zero is the mean of the data).
Shape and dtype are kept (`Crop` changes the shape). Each draws at random around a deterministic function.
"""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ssl_audio.signal.fourier import irfft, rfft

# --- waves [b t] ---


@dataclass(frozen=True)
class Crop:
    """A stretch of `samples` samples from a random place; ValueError where the wave is shorter."""

    samples: int = 16_000

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b t"]) -> Float[Array, "b {self.samples}"]:
        b, t = x.shape
        if t < self.samples:
            raise ValueError(f"Crop: a wave of {t} samples has none of {self.samples}; give longer waves")
        return crop(x, jax.random.randint(key, (b,), 0, t - self.samples + 1), self.samples)


def crop(x: Float[Array, "b t"], start: Int[Array, " b"], samples: int) -> Float[Array, "b {samples}"]:
    """x[i, start[i] : start[i] + samples] for each clip i."""
    return jax.vmap(lambda row, at: jax.lax.dynamic_slice(row, (at,), (samples,)))(x, start)


@dataclass(frozen=True)
class Gain:
    """Louder or softer by up to `decibels` (uniform in −decibels to decibels)."""

    decibels: float = 6.0

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b t"]) -> Float[Array, "b t"]:
        return gain(x, jax.random.uniform(key, x.shape[:1], minval=-self.decibels, maxval=self.decibels))


def gain(x: Float[Array, "b t"], decibels: Float[Array, " b"]) -> Float[Array, "b t"]:
    """x * 10^(decibels / 20), clip by clip."""
    return x * (10.0 ** (decibels / 20.0)).astype(x.dtype)[:, None]


@dataclass(frozen=True)
class Noise:
    """Gaussian noise, its signal-to-noise ratio drawn from `snr` = (lowest, highest), dB; silence stays.

    colour  "white": all frequencies alike; "pink": −10 dB a decade; "brown": −20 dB a decade
    """

    snr: tuple[float, float] = (10.0, 30.0)
    colour: Literal["white", "pink", "brown"] = "white"

    def __post_init__(self):
        if self.colour not in ("white", "pink", "brown"):
            raise ValueError(f'Noise: colour={self.colour!r} is none of "white", "pink", "brown"')

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b t"]) -> Float[Array, "b t"]:
        for_snr, for_noise = jax.random.split(key)
        low, high = self.snr
        snr = jax.random.uniform(for_snr, x.shape[:1], minval=low, maxval=high)
        noise = jax.random.normal(for_noise, x.shape)
        if self.colour != "white":
            noise = tilt(noise, {"pink": 1.0, "brown": 2.0}[self.colour])
        return add_noise(x, noise, snr)


def tilt(noise: Float[Array, "b t"], exponent: float) -> Float[Array, "b t"]:
    """Noise with its power divided by frequency^exponent: −10 · exponent dB a decade; its mean is removed."""
    t = noise.shape[1]
    gain = np.zeros((1, 1 + t // 2), np.complex64)
    gain[0, 1:] = np.arange(1, 1 + t // 2) ** (-exponent / 2.0)
    return irfft(rfft(noise, t) * gain, t)


def add_noise(
    x: Float[Array, "b t"], noise: Float[Array, "b t"], snr: Float[Array, " b"]
) -> Float[Array, "b t"]:
    """x plus noise scaled so that the energies of x and noise differ by exactly `snr` dB in each clip."""
    wave, noise = x.astype(jnp.float32), noise.astype(jnp.float32)
    signal = (wave**2).mean(1)
    power = signal / jnp.maximum((noise**2).mean(1), 1e-30) * 10.0 ** (-snr / 10.0)
    level = jnp.where(
        power > 0, jnp.sqrt(jnp.where(power > 0, power, 1.0)), 0.0
    )  # finite gradient at silence
    return (wave + level[:, None] * noise).astype(x.dtype)


# --- spectrograms [b f m] ---


@dataclass(frozen=True)
class MixupLogExp:
    """Another clip of the batch in the background: log-mixup-exp of BYOL-A (Niizumi et al. 2021).

    Its share is uniform in 0 to `ratio` (0.4 in BYOL-A, 0.2 in v2). A batch of one is left as it is.
    """

    ratio: float = 0.4

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b f m"]) -> Float[Array, "b f m"]:
        for_partner, for_share = jax.random.split(key)
        share = self.ratio * jax.random.uniform(for_share, x.shape[:1])
        return mixup_log_exp(x, x[partners(for_partner, x.shape[0])], share)


def partners(key: PRNGKeyArray, b: int) -> Int[Array, " {b}"]:
    """Another clip of a batch of b for each clip, each one once: the neighbours along one random cycle."""
    cycle = jax.random.permutation(key, b)
    return jnp.zeros_like(cycle).at[cycle].set(jnp.roll(cycle, 1))


def mixup_log_exp(
    x: Float[Array, "b f m"], other: Float[Array, "b f m"], share: Float[Array, " b"]
) -> Float[Array, "b f m"]:
    """log((1 − share) exp(x) + share exp(other)), stable for any x."""
    share = share[:, None, None]
    here = x.astype(jnp.float32) + jnp.log1p(-share)
    there = other.astype(jnp.float32) + jnp.log(share)
    return jnp.logaddexp(here, there).astype(x.dtype)


@dataclass(frozen=True)
class RandomResizeCrop:
    """A random rectangle stretched to the size of the input, BYOL-A's form of RandomResizedCrop.

    The input lies in the middle of a larger canvas of zeros; the rectangle may reach over its edges.
    canvas  size of the canvas relative to the input, (mel, time)
    scale   range of each side of the rectangle relative to the input; clipped to the canvas
    """

    canvas: tuple[float, float] = (1.0, 1.5)
    scale: tuple[float, float] = (0.6, 1.5)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b f m"]) -> Float[Array, "b f m"]:
        b, f, m = x.shape
        for_mel, for_time = jax.random.split(key)
        mel, time = self.canvas
        return resize_crop(x, *self._draw(for_time, b, f, time), *self._draw(for_mel, b, m, mel))

    def _draw(self, key, b, n, canvas):
        """First cell and number of cells of the rectangle along one axis, in cells of the input."""
        for_size, for_place = jax.random.split(key)
        cells = int(n * canvas)
        low, high = self.scale
        drawn = jax.random.uniform(for_size, (b,), minval=low, maxval=high) * n
        size = jnp.clip(drawn.astype(jnp.int32), 1, cells)
        return jax.random.randint(for_place, (b,), 0, cells - size + 1) - (cells - n) // 2, size


def resize_crop(
    x: Float[Array, "b f m"],
    frame: Int[Array, " b"],
    frames: Int[Array, " b"],
    band: Int[Array, " b"],
    bands: Int[Array, " b"],
) -> Float[Array, "b f m"]:
    """The rectangle frame : frame + frames, band : band + bands of each clip, resized bicubically to [f m].

    Outside of the input there are zeros. Equal to torch's interpolate(mode="bicubic", align_corners=True).
    """
    rows = _bicubic(frame, frames, x.shape[1]).astype(x.dtype)
    columns = _bicubic(band, bands, x.shape[2]).astype(x.dtype)
    # as matrix products, so that clips with rectangles of different sizes are one batch
    x = jnp.einsum("bgf,bfm->bgm", rows, x, precision="highest")
    return jnp.einsum("bgm,bkm->bgk", x, columns, precision="highest")


def _bicubic(start, size, n):
    """[b n n] weights that take cells start : start + size of an axis of n cells to n cells (a = −0.75)."""
    start, last = start[:, None], size[:, None] - 1
    place = jnp.arange(n, dtype=jnp.float32)[None] * (last / max(n - 1, 1))
    first = jnp.minimum(place.astype(jnp.int32), last)
    t = place - first.astype(jnp.float32)
    a = -0.75
    near = lambda d: ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0
    far = lambda d: ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a
    weights = jnp.zeros((*first.shape, n))
    for offset, weight in ((-1, far(t + 1.0)), (0, near(t)), (1, near(1.0 - t)), (2, far(2.0 - t))):
        cell = (
            jnp.clip(first + offset, 0, last) + start
        )  # beyond its edge the rectangle repeats its last cell
        weights += jnp.where(cell[..., None] == jnp.arange(n)[None, None], weight[..., None], 0.0)
    return weights


@dataclass(frozen=True)
class RandomLinearFader:
    """A ramp over time added to the log-spectrogram, its two ends uniform in −gain to gain (BYOL-A v2)."""

    gain: float = 1.0

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b f m"]) -> Float[Array, "b f m"]:
        first, last = jax.random.uniform(key, (2, x.shape[0]), minval=-self.gain, maxval=self.gain)
        return linear_fade(x, first, last)


def linear_fade(
    x: Float[Array, "b f m"], first: Float[Array, " b"], last: Float[Array, " b"]
) -> Float[Array, "b f m"]:
    """x plus a straight line over its frames, from first to last."""
    return x + jnp.linspace(first, last, x.shape[1], axis=1).astype(x.dtype)[..., None]


@dataclass(frozen=True)
class RandomEqualiser:
    """A smooth gain curve over the bands, added to the log-spectrogram: another microphone, another room.

    gain    the curve's values at its knots are uniform in −gain to gain
    points  knots, evenly spaced from the lowest band to the highest, with straight lines between; >= 2

    The linear form of FilterAugment (Nam et al. 2022), with knots at fixed places.
    """

    gain: float = 1.0
    points: int = 5

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b f m"]) -> Float[Array, "b f m"]:
        knots = jax.random.uniform(key, (x.shape[0], self.points), minval=-self.gain, maxval=self.gain)
        return equalise(x, knots)


def equalise(x: Float[Array, "b f m"], knots: Float[Array, "b p"]) -> Float[Array, "b f m"]:
    """x plus the lines through `knots`, which lie evenly from the first band to the last."""
    p = knots.shape[1]
    place = np.linspace(0, p - 1, x.shape[2])
    lines = np.maximum(0, 1 - np.abs(place[None] - np.arange(p)[:, None])).astype(np.float32)
    return x + jnp.matmul(knots, lines, precision="highest").astype(x.dtype)[:, None]


@dataclass(frozen=True)
class SpecAugment:
    """`count` stripes of up to `time` frames, as many of up to `bands` bands, set to 0 (Park et al. 2019)."""

    time: int = 20
    bands: int = 10
    count: int = 1

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b f m"]) -> Float[Array, "b f m"]:
        b, f, m = x.shape
        for k in jax.random.split(key, self.count):
            for_time, for_bands = jax.random.split(k)
            x = mask(x, *self._draw(for_time, b, f, self.time), axis=1)
            x = mask(x, *self._draw(for_bands, b, m, self.bands), axis=2)
        return x

    def _draw(self, key, b, n, widest):
        for_width, for_place = jax.random.split(key)
        width = jax.random.randint(for_width, (b,), 0, min(widest, n) + 1)
        return jax.random.randint(for_place, (b,), 0, n - width + 1), width


def mask(
    x: Float[Array, "b f m"], start: Int[Array, " b"], width: Int[Array, " b"], axis: int
) -> Float[Array, "b f m"]:
    """x with cells start : start + width of an axis (1: frames, 2: bands) set to zero."""
    cells = jnp.arange(x.shape[axis])[None]
    inside = (cells >= start[:, None]) & (cells < (start + width)[:, None])
    return jnp.where(jnp.expand_dims(inside, 3 - axis), jnp.zeros((), x.dtype), x)


@dataclass(frozen=True)
class FrequencyShift:
    """All moved up or down by up to `bands` bands; the outermost band is repeated into the gap."""

    bands: int = 4

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b f m"]) -> Float[Array, "b f m"]:
        return shift_bands(x, jax.random.randint(key, x.shape[:1], -self.bands, self.bands + 1))


def shift_bands(x: Float[Array, "b f m"], shift: Int[Array, " b"]) -> Float[Array, "b f m"]:
    """Band k of the result is band k − shift of x, or the outermost one."""
    m = x.shape[2]
    source = jnp.clip(jnp.arange(m)[None] - shift[:, None], 0, m - 1)
    return jnp.take_along_axis(x, source[:, None, :], axis=2)


@dataclass(frozen=True)
class TimeShift:
    """All moved by up to `frames` frames to either side; what leaves at one end comes in at the other."""

    frames: int = 50

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b f m"]) -> Float[Array, "b f m"]:
        return shift_frames(x, jax.random.randint(key, x.shape[:1], -self.frames, self.frames + 1))


def shift_frames(x: Float[Array, "b f m"], shift: Int[Array, " b"]) -> Float[Array, "b f m"]:
    """Frame i of the result is frame (i − shift) mod f of x."""
    source = (jnp.arange(x.shape[1])[None] - shift[:, None]) % x.shape[1]
    return jnp.take_along_axis(x, source[..., None], axis=1)
