"""More augmentations of waves [b t], called as `augment(key, x)` like those of `augment`.

Ranges are (lowest, highest), drawn from uniformly for each clip. Shape and dtype are kept. Each draws at
random around a deterministic function. Those that filter are in `filters`, rooms in `room`, time and pitch in
`stretch`.
"""

import inspect
import math
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ssl_audio.signal.augment import add_noise, crop, partners

Range = tuple[float, float]


def extras(change: Any, background: Any) -> dict[str, Any]:
    """What an augmentation takes beside key and x: the background, if it is one that mixes it in."""
    return {"background": background} if "background" in inspect.signature(change).parameters else {}


def check_range(owner: Any, name: str, least: float = -math.inf, most: float = math.inf) -> None:
    """ValueError unless the field `name` of `owner` is (low, high) with least <= low <= high <= most."""
    low, high = getattr(owner, name)
    if not least <= low <= high <= most:
        raise ValueError(
            f"{type(owner).__name__}: {name}=({low}, {high}) is not (low, high) with "
            f"{least:g} <= low <= high <= {most:g}"
        )


def uniform(key: PRNGKeyArray, span: Range, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Uniform in span[0] to span[1]."""
    return jax.random.uniform(key, shape, minval=span[0], maxval=span[1])


def log_uniform(key: PRNGKeyArray, span: Range, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Uniform on a logarithmic scale in span[0] to span[1], both positive."""
    return jnp.exp(uniform(key, (math.log(span[0]), math.log(span[1])), shape))


# --- sign and place ---


@dataclass(frozen=True)
class Polarity:
    """The wave upside down, with probability `p`."""

    p: float = 0.5

    def __post_init__(self):
        if not 0 <= self.p <= 1:
            raise ValueError(f"Polarity: p={self.p} is a probability, 0 to 1")

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b t"]) -> Float[Array, "b t"]:
        return invert(x, jax.random.bernoulli(key, self.p, x.shape[:1]))


def invert(x: Float[Array, "b t"], which: Bool[Array, " b"]) -> Float[Array, "b t"]:
    """−x where `which`, else x."""
    return jnp.where(which[:, None], -x, x)


@dataclass(frozen=True)
class Shift:
    """Later or earlier by up to `samples` samples.

    fill    "roll": what leaves at one end comes in at the other; "zero": silence comes in
    """

    samples: int = 1600
    fill: Literal["roll", "zero"] = "roll"

    def __post_init__(self):
        if self.samples < 0 or self.fill not in ("roll", "zero"):
            raise ValueError(
                f'Shift: samples={self.samples} must be >= 0 and fill={self.fill!r} be "roll" or "zero"'
            )

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b t"]) -> Float[Array, "b t"]:
        by = jax.random.randint(key, x.shape[:1], -self.samples, self.samples + 1)
        return shift(x, by, self.fill)


def shift(x: Float[Array, "b t"], by: Int[Array, " b"], fill: str = "roll") -> Float[Array, "b t"]:
    """Sample j of clip i is x[i, j − by[i]]: modulo t with fill "roll", zero outside of x with "zero"."""
    t = x.shape[1]
    if fill == "roll":
        return crop(jnp.concatenate([x, x], 1), (-by) % t, t)
    return crop(jnp.pad(x, ((0, 0), (t, t))), t - jnp.clip(by, -t, t), t)


# --- other sounds ---


@dataclass(frozen=True)
class Background:
    """Another clip of the batch beneath this one, at a signal-to-noise ratio from `snr`, dB.

    Nobody meets itself. A silent partner or a batch of one changes nothing. A faint partner is amplified to
    the ratio, its own noise included.
    """

    snr: Range = (5.0, 20.0)

    def __post_init__(self):
        check_range(self, "snr")

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b t"]) -> Float[Array, "b t"]:
        b = x.shape[0]
        if b == 1:
            return x
        for_partner, for_snr = jax.random.split(key)
        return add_noise(x, x[partners(for_partner, b)], uniform(for_snr, self.snr, (b,)))


@dataclass(frozen=True)
class StoreBackground:
    """Sound of the store `Data.background` beneath the clip, at a signal-to-noise ratio from `snr`, dB.

    The batch brings a stretch of it for each clip, of the length of the batch's rows; a random part of that
    is taken where `x` has been cropped. ValueError where there is none, or `x` is longer.
    """

    snr: Range = (5.0, 20.0)

    def __post_init__(self):
        check_range(self, "snr")

    def __call__(
        self, key: PRNGKeyArray, x: Float[Array, "b t"], background: Float[Array, "b s"] | None
    ) -> Float[Array, "b t"]:
        if background is None:
            raise ValueError("StoreBackground: the batch has no background; set data.background to a store")
        (b, t), s = x.shape, background.shape[1]
        if s < t:
            raise ValueError(f"StoreBackground: a background of {s} samples is too short for waves of {t}")
        for_place, for_snr = jax.random.split(key)
        sound = crop(background, jax.random.randint(for_place, (b,), 0, s - t + 1), t)
        return add_noise(x, sound, uniform(for_snr, self.snr, (b,)))


# --- damage ---


@dataclass(frozen=True)
class HardClip:
    """The loudest samples cut off: a share of them from `share` (0 to 1) is held at the level of the rest."""

    share: Range = (0.0, 0.2)

    def __post_init__(self):
        check_range(self, "share", 0.0, 1.0)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b t"]) -> Float[Array, "b t"]:
        return hard_clip(x, uniform(key, self.share, x.shape[:1]))


def hard_clip(x: Float[Array, "b t"], share: Float[Array, " b"]) -> Float[Array, "b t"]:
    """x limited to ± the (1 − share) quantile of its magnitudes."""
    level = jax.vmap(jnp.quantile)(jnp.abs(x).astype(jnp.float32), 1.0 - share).astype(x.dtype)[:, None]
    return jnp.clip(x, -level, level)


@dataclass(frozen=True)
class SampleDropout:
    """Single samples lost (zero), each with a probability drawn for the clip from `share`."""

    share: Range = (0.0, 0.05)

    def __post_init__(self):
        check_range(self, "share", 0.0, 1.0)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b t"]) -> Float[Array, "b t"]:
        for_share, for_samples = jax.random.split(key)
        lost = jax.random.uniform(for_samples, x.shape) < uniform(for_share, self.share, x.shape[:1])[:, None]
        return jnp.where(lost, jnp.zeros((), x.dtype), x)


@dataclass(frozen=True)
class SegmentDropout:
    """`count` stretches lost (zero) of so many samples as drawn from `samples`; they may overlap."""

    count: int = 2
    samples: tuple[int, int] = (80, 1600)

    def __post_init__(self):
        check_range(self, "samples", 0.0)
        if self.count < 1:
            raise ValueError(f"SegmentDropout: count={self.count} must be at least 1")

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b t"]) -> Float[Array, "b t"]:
        return drop_segments(x, *self._draw(key, *x.shape))

    def _draw(self, key, b, t):
        for_width, for_place = jax.random.split(key)
        low, high = (min(v, t) for v in self.samples)
        width = jax.random.randint(for_width, (b, self.count), low, high + 1)
        return jax.random.randint(for_place, (b, self.count), 0, t - width + 1), width


def drop_segments(
    x: Float[Array, "b t"], start: Int[Array, "b n"], width: Int[Array, "b n"]
) -> Float[Array, "b t"]:
    """x with the samples start : start + width of each of n stretches set to zero."""
    at = jnp.arange(x.shape[1])[None]
    for first, samples in zip(start.T, width.T, strict=True):
        inside = (at >= first[:, None]) & (at < (first + samples)[:, None])
        x = jnp.where(inside, jnp.zeros((), x.dtype), x)
    return x


@dataclass(frozen=True)
class MuLaw:
    """Telephone companding (ITU-T G.711's law) to so many bits a sample as drawn from `bits`, and back."""

    bits: tuple[int, int] = (4, 8)

    def __post_init__(self):
        check_range(self, "bits", 2.0, 16.0)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b t"]) -> Float[Array, "b t"]:
        return mu_law(x, jax.random.randint(key, x.shape[:1], self.bits[0], self.bits[1] + 1))


def mu_law(x: Float[Array, "b t"], bits: Int[Array, " b"]) -> Float[Array, "b t"]:
    """x within −1 to 1, compressed, rounded to 2^bits − 1 even steps with 0 among them, expanded.

    sign(x) ln(1 + μ |x|) / ln(1 + μ), μ = 2^bits − 1: the continuous law, not G.711's straight pieces.
    """
    mu = (2.0 ** bits.astype(jnp.float32) - 1.0)[:, None]
    wave, half = jnp.clip(x.astype(jnp.float32), -1.0, 1.0), (mu - 1.0) / 2.0
    code = jnp.round(jnp.log1p(mu * jnp.abs(wave)) / jnp.log1p(mu) * half) / half
    return (jnp.sign(wave) * jnp.expm1(code * jnp.log1p(mu)) / mu).astype(x.dtype)
