"""Augmentations that filter waves [b t] with zero phase, by Fourier transform; called as `augment(key, x)`.

Ranges are (lowest, highest); frequencies, Hz, and q are drawn uniformly on a logarithmic scale, the rest
uniformly, for each clip. Shape and dtype are kept. `rate` is in samples a second.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ssl_audio.signal.fourier import fast_length, irfft, rfft
from ssl_audio.signal.waves import Range, check_range, log_uniform, uniform


@dataclass(frozen=True)
class LowPass:
    """Without the frequencies above a cutoff (−3 dB there) from `cutoff`, Hz; zero phase, see `low_pass`."""

    cutoff: Range = (1000.0, 7000.0)
    order: int = 4
    rate: int = 16_000

    def __post_init__(self):
        check_range(self, "cutoff", 1.0, self.rate / 2)
        _check_order(self)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b t"]) -> Float[Array, "b t"]:
        return low_pass(x, log_uniform(key, self.cutoff, x.shape[:1]), self.order, self.rate)


@dataclass(frozen=True)
class HighPass:
    """Without the frequencies below a cutoff (−3 dB there) from `cutoff`, Hz; zero phase, see `high_pass`."""

    cutoff: Range = (20.0, 1000.0)
    order: int = 4
    rate: int = 16_000

    def __post_init__(self):
        check_range(self, "cutoff", 1.0, self.rate / 2)
        _check_order(self)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b t"]) -> Float[Array, "b t"]:
        return high_pass(x, log_uniform(key, self.cutoff, x.shape[:1]), self.order, self.rate)


@dataclass(frozen=True)
class BandPass:
    """Only a band of frequencies around a centre from `centre`, Hz, as wide as drawn from `octaves`."""

    centre: Range = (200.0, 4000.0)
    octaves: Range = (1.0, 4.0)
    order: int = 2
    rate: int = 16_000

    def __post_init__(self):
        check_range(self, "centre", 1.0, self.rate / 2)
        check_range(self, "octaves", 0.1, 20.0)
        _check_order(self)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b t"]) -> Float[Array, "b t"]:
        for_centre, for_width = jax.random.split(key)
        centre = log_uniform(for_centre, self.centre, x.shape[:1])
        half = 2.0 ** (uniform(for_width, self.octaves, x.shape[:1]) / 2.0)
        return band_pass(x, centre / half, centre * half, self.order, self.rate)


def _check_order(owner):
    if owner.order < 1:
        raise ValueError(f"{type(owner).__name__}: order={owner.order} must be at least 1")


@dataclass(frozen=True)
class Equaliser:
    """`bands` peaks and dips of a parametric equaliser: another microphone, another loudspeaker.

    centre  of each band, Hz
    gain    at the centre, dB
    q       centre / width; a small one is wide
    """

    bands: int = 3
    centre: Range = (60.0, 7000.0)
    gain: Range = (-12.0, 12.0)
    q: Range = (0.5, 2.0)
    rate: int = 16_000

    def __post_init__(self):
        check_range(self, "centre", 1.0, self.rate / 2)
        check_range(self, "gain")
        check_range(self, "q", 0.01)
        if self.bands < 1:
            raise ValueError(f"Equaliser: bands={self.bands} must be at least 1")

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b t"]) -> Float[Array, "b t"]:
        for_centre, for_gain, for_q = jax.random.split(key, 3)
        shape = (x.shape[0], self.bands)
        centre, q = log_uniform(for_centre, self.centre, shape), log_uniform(for_q, self.q, shape)
        return equalise_bands(x, centre, uniform(for_gain, self.gain, shape), q, self.rate)


def low_pass(
    x: Float[Array, "b t"], cutoff: Float[Array, " b"], order: int, rate: int
) -> Float[Array, "b t"]:
    """Gain 1 / √(1 + (f / cutoff)^(2 order)), that of an analogue Butterworth filter; zero phase."""
    return zero_phase(x, rate, lambda f: _butterworth(f / cutoff[:, None], order))


def high_pass(
    x: Float[Array, "b t"], cutoff: Float[Array, " b"], order: int, rate: int
) -> Float[Array, "b t"]:
    """Gain 1 / √(1 + (cutoff / f)^(2 order)), that of an analogue Butterworth filter; zero phase."""
    return zero_phase(x, rate, lambda f: _butterworth(cutoff[:, None] / f, order))


def band_pass(
    x: Float[Array, "b t"], low: Float[Array, " b"], high: Float[Array, " b"], order: int, rate: int
) -> Float[Array, "b t"]:
    """The gain of an analogue Butterworth band-pass, −3 dB at low and high; zero phase.

    1 / √(1 + u^(2 order)) with u = (f² − low · high) / (f (high − low)); its edges may lie above rate / 2.
    """
    low, high = low[:, None], high[:, None]
    return zero_phase(x, rate, lambda f: _butterworth((f - low * high / f) / (high - low), order))


def _butterworth(u, order):
    return (1.0 + (u**2) ** order) ** -0.5  # overflows to a gain of 0


def equalise_bands(
    x: Float[Array, "b t"],
    centre: Float[Array, "b n"],
    gain: Float[Array, "b n"],
    q: Float[Array, "b n"],
    rate: int,
) -> Float[Array, "b t"]:
    """n peaking filters in a row; zero phase. `gain` dB at `centre` Hz, 0 dB far away.

    The gain of each is that of (s² + s A / Q + 1) / (s² + s / (A Q) + 1), A = 10^(gain / 40) and
    s = i f / centre: the analogue prototype of the Audio EQ Cookbook (Bristow-Johnson).
    """
    a, q, centre = 10.0 ** (gain / 40.0)[..., None], q[..., None], centre[..., None]

    def response(f):
        u = f[None] / centre  # [b n k]
        far = (1.0 - u**2) ** 2
        return jnp.sqrt((far + (u * a / q) ** 2) / (far + (u / (a * q)) ** 2)).prod(1)

    return zero_phase(x, rate, response)


def zero_phase(
    x: Float[Array, "b t"], rate: int, response: Callable[[Float[Array, "1 k"]], Float[Array, "b k"]]
) -> Float[Array, "b t"]:
    """x with each frequency multiplied by a gain, `response` of frequencies [1 k] in Hz, and no delay.

    By one Fourier transform, with up to a quarter of a second of zeros behind the wave against its two ends
    ringing into each other.
    """
    t = x.shape[1]
    n = fast_length(t + min(t, rate // 4))
    hz = jnp.asarray(np.fft.rfftfreq(n, 1.0 / rate)[None], jnp.float32)
    gain = response(hz).astype(jnp.complex64)
    return irfft(rfft(x.astype(jnp.float32), n) * gain, n)[:, :t].astype(x.dtype)


@dataclass(frozen=True)
class LowRate:
    """A recording of fewer samples a second (from `rates`, Hz) and bits (from `bits`); see `low_rate`."""

    rates: Range = (4000.0, 12_000.0)
    bits: tuple[int, int] = (6, 12)
    rate: int = 16_000

    def __post_init__(self):
        check_range(self, "rates", 1.0, float(self.rate))
        check_range(self, "bits", 2.0, 24.0)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b t"]) -> Float[Array, "b t"]:
        for_rate, for_bits = jax.random.split(key)
        lower = log_uniform(for_rate, self.rates, x.shape[:1])
        bits = jax.random.randint(for_bits, x.shape[:1], self.bits[0], self.bits[1] + 1)
        return low_rate(x, lower, bits, self.rate)


def low_rate(
    x: Float[Array, "b t"], lower: Float[Array, " b"], bits: Int[Array, " b"], rate: int
) -> Float[Array, "b t"]:
    """x without what a converter of `lower` Hz and `bits` bits would lose.

    Nothing above lower / 2 (a raised cosine leads there from 0.9 of it), rounded to even steps of
    2^(1 − bits) within −1 to 1, and filtered again, which removes the rounding error outside of the band.
    Rounding happens at the rate of x, so that of its error only the share lower / rate remains: 3 dB less
    for each halving than with samples taken at `lower`. No perceptual codec is simulated.
    """
    edge = lower[:, None] / 2.0

    def band(f):
        return 0.5 - 0.5 * jnp.cos(np.pi * jnp.clip((1.0 - f / edge) / 0.1, 0.0, 1.0))

    half = 2.0 ** (bits.astype(jnp.float32) - 1.0)[:, None]
    wave = zero_phase(x.astype(jnp.float32), rate, band)
    wave = jnp.clip(jnp.round(wave * half), -half, half - 1.0) / half
    return zero_phase(wave, rate, band).astype(x.dtype)
