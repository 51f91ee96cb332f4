"""Rooms for waves [b t]: reverberation by decaying noise and by the image-source method.

Augmentations called as `augment(key, x)`; shape and dtype are kept, ranges are (lowest, highest), drawn from
uniformly for each clip. The room responses that they draw have unit energy, so that noise-like sound keeps
its level on average; peaks aren't limited and may exceed 1. The tail beyond the end of the clip is lost.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ssl_audio.signal.fourier import fast_length, irfft, rfft
from ssl_audio.signal.waves import Range, check_range, uniform

SOUND = 343.0  # metres a second, in air of 20 °C
TAPS = 81  # of the windowed sinc that puts an echo between two samples
LEAD = TAPS // 2  # samples before time 0 in the response of `image_source`


@dataclass(frozen=True)
class Reverb:
    """The wave and behind it a tail of Gaussian noise that decays exponentially, beginning at once.

    rt60    time in which the tail falls by 60 dB, seconds
    direct  energy of the direct sound over that of the tail, dB
    rate    samples a second
    """

    rt60: Range = (0.1, 1.0)
    direct: Range = (0.0, 15.0)
    rate: int = 16_000

    def __post_init__(self):
        check_range(self, "rt60", 0.001)
        check_range(self, "direct")

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b t"]) -> Float[Array, "b t"]:
        for_time, for_ratio, for_noise = jax.random.split(key, 3)
        b, t = x.shape
        noise = jax.random.normal(for_noise, (b, min(math.ceil(self.rt60[1] * self.rate) + 1, t)))
        rt60, direct = uniform(for_time, self.rt60, (b,)), uniform(for_ratio, self.direct, (b,))
        return convolve(x, decaying_response(noise, rt60, direct, self.rate))


def decaying_response(
    noise: Float[Array, "b n"], rt60: Float[Array, " b"], direct: Float[Array, " b"], rate: int
) -> Float[Array, "b n"]:
    """A room response of unit energy: the direct sound at sample 0, behind it noise times 10^(−3 t / rt60).

    `direct` is the energy of that first sample over that of the rest, dB.
    """
    seconds = np.arange(noise.shape[1], dtype=np.float32)[None] / np.float32(rate)
    tail = (noise * 10.0 ** (-3.0 * seconds / rt60[:, None])).at[:, 0].set(0.0)
    share = 1.0 / (1.0 + 10.0 ** (direct / 10.0))  # the tail's, of all energy
    tail *= jnp.sqrt(share / jnp.maximum((tail**2).sum(1), 1e-30))[:, None]
    return tail.at[:, 0].set(jnp.sqrt(1.0 - share))


@dataclass(frozen=True)
class ImageSource:
    """An empty box-shaped room, with source and microphone anywhere in it (Allen & Berkley 1979).

    size        length, width and height, metres
    absorption  share of the energy that a wall swallows, drawn for each of the six walls
    order       reflections up to so many are computed: (2n + 1)(2n² + 2n + 3) / 3 images of the source, 1561
                for 10. Whatever is reflected more often is missing: a bright or small room's late tail.
    margin      source and microphone are at least this far from every wall, metres
    seconds     length of the response
    rate        samples a second

    The wave comes as late as the direct sound takes to the microphone: 3 ms a metre. All echoes have the same
    sign, which makes the lowest frequencies too strong; where the sound has any, let a `HighPass` follow.
    """

    size: tuple[Range, Range, Range] = ((3.0, 10.0), (3.0, 8.0), (2.5, 4.0))
    absorption: Range = (0.1, 0.7)
    order: int = 10
    margin: float = 0.5
    seconds: float = 0.3
    rate: int = 16_000

    def __post_init__(self):
        lows = [low for low, _ in self.size]
        if len(self.size) != 3 or any(low > high for low, high in self.size):
            raise ValueError(f"ImageSource: size={self.size} is not three ranges (low, high), metres")
        if not 0 < 2 * self.margin < min(lows):
            raise ValueError(
                f"ImageSource: a margin of {self.margin} m leaves no place in a room of {min(lows)} m; take "
                f"one above 0 and below {min(lows) / 2:g} m"
            )
        check_range(self, "absorption", 0.0, 1.0)
        if self.order < 0 or self.seconds * self.rate < 1:
            raise ValueError(
                f"ImageSource: order={self.order} must be at least 0, seconds={self.seconds} positive"
            )

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b t"]) -> Float[Array, "b t"]:
        b = x.shape[0]
        for_size, for_places, for_walls = jax.random.split(key, 3)
        low, high = np.float32(self.size).T[:, None]
        size = low + jax.random.uniform(for_size, (b, 3)) * (high - low)
        places = self.margin + jax.random.uniform(for_places, (2, b, 3)) * (size - 2 * self.margin)[None]
        walls = uniform(for_walls, self.absorption, (b, 6))
        samples = LEAD + min(round(self.seconds * self.rate), x.shape[1])
        response = image_source(size, places[0], places[1], walls, self.order, samples, self.rate)
        energy = (response**2).sum(1, keepdims=True)
        return convolve(x, response / jnp.sqrt(jnp.maximum(energy, 1e-30)), LEAD)


def image_source(
    size: Float[Array, "b 3"],
    source: Float[Array, "b 3"],
    microphone: Float[Array, "b 3"],
    absorption: Float[Array, "b 6"],
    order: int,
    samples: int,
    rate: int,
) -> Float[Array, "b {samples}"]:
    """Response of an empty box: every image of the source up to `order` reflections (Allen & Berkley 1979).

    size, source, microphone  metres, from the corner where the walls x = 0, y = 0 and z = 0 meet
    absorption                of the walls x = 0, x = length, y = 0, y = width, z = 0, z = height; 0 to 1

    An image at distance d adds ∏ √(1 − absorption) / (4 π d), over the walls that reflected it, at time
    d / 343 m/s: a sinc of 81 taps under a Hann window. Sample `LEAD` (40) is time 0, as in pyroomacoustics.
    """
    cells = _cells(order)
    hits = np.stack([np.abs(cells) // 2, (np.abs(cells) + 1) // 2])  # by the nearer wall second
    at_far, at_near = np.where(cells > 0, hits[1], hits[0]), np.where(cells > 0, hits[0], hits[1])
    hits = np.stack([at_near, at_far], axis=2).reshape(-1, 6)
    # zero strength fills the last chunk
    chunk = min(512, len(cells))
    filled = -len(cells) % chunk
    real = np.pad(np.ones(len(cells), np.float32), (0, filled)).reshape(-1, chunk)
    cells = np.pad(cells, ((0, filled), (0, 0))).reshape(-1, chunk, 3).astype(np.float32)
    hits = np.pad(hits, ((0, filled), (0, 0))).reshape(-1, chunk, 6).astype(np.float32)
    block = TAPS - 1
    blocks = math.ceil(samples / block)
    reflection = jnp.sqrt(jnp.clip(1.0 - absorption, 0.0, 1.0))[:, None]

    def add(sums, images):
        cell, hit, there = images  # [i 3] [i 6] [i]
        odd = cell % 2 != 0
        place = cell[None] * size[:, None] + jnp.where(odd[None], (size - source)[:, None], source[:, None])
        distance = jnp.sqrt(((place - microphone[:, None]) ** 2).sum(2))
        strength = (reflection ** hit[None]).prod(2) * there[None] / (4 * np.pi * jnp.maximum(distance, 1e-3))
        delay = distance * (rate / SOUND)
        # The echo starts at sample `first`, which is block `row`, column `first − row · block`. Sums over
        # images as a matrix product: fast everywhere, and unlike scattered additions the same every time.
        first = jnp.floor(delay)
        row = jnp.floor(first / block)
        column = jnp.arange(2 * block, dtype=jnp.float32) - LEAD
        offset = column[None, None] - (delay - row * block)[..., None]
        shape = jnp.sinc(offset) * jnp.where(
            jnp.abs(offset) < TAPS / 2, 0.5 + 0.5 * jnp.cos(2 * np.pi / TAPS * offset), 0.0
        )
        rows = (row[..., None] == jnp.arange(blocks, dtype=jnp.float32)[None, None]).astype(jnp.float32)
        pieces = strength[..., None] * shape
        return sums + jnp.einsum("bir,biw->brw", rows, pieces, precision="highest"), None

    b = size.shape[0]
    sums, _ = jax.lax.scan(add, jnp.zeros((b, blocks, 2 * block)), (cells, hits, real))
    now, next_ = sums[..., :block].reshape(b, -1), sums[..., block:].reshape(b, -1)
    return (now + jnp.pad(next_, ((0, 0), (block, 0)))[:, : now.shape[1]])[:, :samples]


def _cells(order):
    """Integers [i 3]: how often along each axis, and to which side, an image was reflected."""
    one = np.arange(-order, order + 1)
    all_ = np.stack(np.meshgrid(one, one, one, indexing="ij"), axis=-1).reshape(-1, 3)
    return all_[np.abs(all_).sum(1) <= order]


def convolve(x: Float[Array, "b t"], response: Float[Array, "b n"], lead: int = 0) -> Float[Array, "b t"]:
    """Each wave with its response, by Fourier transform: samples lead : lead + t of what results."""
    t = x.shape[1]
    n = fast_length(t + response.shape[1] - 1)
    wave = irfft(rfft(x.astype(jnp.float32), n) * rfft(response.astype(jnp.float32), n), n)
    return wave[:, lead : lead + t].astype(x.dtype)
