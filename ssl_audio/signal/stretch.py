"""Time and pitch of waves [b t]: a phase vocoder and a band-limited resampler, each clip at its own rate.

Augmentations called as `augment(key, x)`; shape and dtype are kept, ranges are (lowest, highest).
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from ssl_audio.signal.fourier import fast_length, fft, ifft, rfft
from ssl_audio.signal.spectrum import istft, stft
from ssl_audio.signal.waves import Range, check_range, log_uniform, uniform


@dataclass(frozen=True)
class TimeStretch:
    """Faster or slower at the same pitch, by a factor from `rate` (2: twice as fast), log-uniform.

    A faster clip ends in silence, a slower one is cut. n_fft and hop of the phase vocoder are in samples; the
    window should hold several periods of the lowest pitch, and onsets smear over it.
    """

    rate: Range = (0.8, 1.25)
    n_fft: int = 1024
    hop: int = 256

    def __post_init__(self):
        check_range(self, "rate", 0.1, 10.0)
        _check_hop(self)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b t"]) -> Float[Array, "b t"]:
        rate = log_uniform(key, self.rate, x.shape[:1])
        return time_stretch(x, rate, x.shape[1], n_fft=self.n_fft, hop=self.hop)


@dataclass(frozen=True)
class PitchShift:
    """Higher or lower by so many semitones as drawn from `semitones`, uniform, at the same speed.

    n_fft and hop of the phase vocoder are in samples.
    """

    semitones: Range = (-4.0, 4.0)
    n_fft: int = 1024
    hop: int = 256

    def __post_init__(self):
        check_range(self, "semitones", -36.0, 36.0)
        _check_hop(self)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, "b t"]) -> Float[Array, "b t"]:
        semitones = uniform(key, self.semitones, x.shape[:1])
        return pitch_shift(x, semitones, self.semitones[1], n_fft=self.n_fft, hop=self.hop)


def _check_hop(owner):
    if not 1 <= owner.hop <= owner.n_fft // 2:
        raise ValueError(
            f"{type(owner).__name__}: hop={owner.hop} must be between 1 and half of n_fft={owner.n_fft}"
        )


def time_stretch(
    x: Float[Array, "b t"], rate: Float[Array, " b"], samples: int, *, n_fft: int = 2048, hop: int = 512
) -> Float[Array, "b {samples}"]:
    """x played `rate` times as fast at its own pitch; cut to `samples`, or zeros behind round(t / rate)."""
    t = x.shape[1]
    # zeros behind, so that the last samples too lie under as many windows as the others
    spectra = stft(jnp.pad(x.astype(jnp.float32), ((0, 0), (0, n_fft))), n_fft=n_fft, hop=hop)
    frames = 1 + math.ceil((samples + n_fft // 2) / hop)
    wave = istft(phase_vocoder(spectra, rate, frames), n_fft=n_fft, hop=hop, length=samples)
    inside = jnp.arange(samples, dtype=jnp.float32)[None] < jnp.round(t / rate)[:, None]
    return jnp.where(inside, wave, 0.0).astype(x.dtype)


def phase_vocoder(
    s: Complex[Array, "b f k"], rate: Float[Array, " b"], frames: int
) -> Complex[Array, "b {frames} k"]:
    """Spectra at the times 0, rate, 2 rate … (in frames of s) whose phases run on as those of s do.

    Magnitudes between two frames by straight lines; each phase is the last one plus what the bin's phase
    gains there from frame to frame (Flanagan & Golden 1966; `librosa.phase_vocoder`). Zeros after the last
    frame of s. The two transforms need the same hop.
    """
    f = s.shape[1]
    # the usual detour, less the bin's own advance, wrapped, plus that advance, is modulo 2 π this difference
    gain = jnp.angle(jnp.pad(s[:, 1:], ((0, 0), (0, 1), (0, 0)))) - jnp.angle(s)
    gain -= 2 * np.pi * jnp.round(gain / (2 * np.pi))  # small, so that sums of many keep their precision
    magnitude = jnp.pad(jnp.abs(s), ((0, 0), (0, 1), (0, 0)))

    place = jnp.arange(frames, dtype=jnp.float32)[None] * rate[:, None]
    frame = jnp.minimum(place.astype(jnp.int32), f - 1)[..., None]
    between = place[..., None] - frame.astype(jnp.float32)
    at = lambda y, i: jnp.take_along_axis(y, i, axis=1)
    loud = (1.0 - between) * at(magnitude, frame) + between * at(magnitude, frame + 1)
    loud = jnp.where(place[..., None] < f, loud, 0.0)
    phase = jnp.cumsum(jnp.concatenate([jnp.angle(s[:, :1]), at(gain, frame)[:, :-1]], axis=1), axis=1)
    return jax.lax.complex(loud * jnp.cos(phase), loud * jnp.sin(phase))


def pitch_shift(
    x: Float[Array, "b t"],
    semitones: Float[Array, " b"],
    highest: float,
    *,
    n_fft: int = 2048,
    hop: int = 512,
) -> Float[Array, "b t"]:
    """x with all frequencies times 2^(semitones / 12), at its own speed: stretched, then played faster.

    highest  the largest that `semitones` may be: what is stretched needs room
    """
    t = x.shape[1]
    ratio = 2.0 ** (semitones / 12.0)
    longest = math.ceil(t * 2.0 ** (max(highest, 0.0) / 12.0)) + 1
    slow = time_stretch(x.astype(jnp.float32), 1.0 / ratio, longest, n_fft=n_fft, hop=hop)
    return resample(slow, ratio, t).astype(x.dtype)


def resample(x: Float[Array, "b t"], ratio: Float[Array, " b"], samples: int) -> Float[Array, "b {samples}"]:
    """x at the places 0, ratio, 2 ratio …, band-limited: played `ratio` times as fast. Zeros beyond its end.

    The sum of sinusoids that the Fourier transform makes of x, evaluated at those places (chirp-z transform,
    Bluestein 1970). Where ratio > 1, frequencies that would fold back are left out: all above the new half
    rate, with a raised cosine over the 5 % below it. ratio > 0.
    """
    t = x.shape[1]
    n = fast_length(t + 256)  # zeros between the end and the beginning, which else would ring into each other
    last = n // 2
    bins = np.arange(last + 1)
    twice = np.where((bins == 0) | (2 * bins == n), 1.0, 2.0) / n  # negative frequencies
    highest = ratio[:, None] * jnp.asarray(2.0 * bins[None] / n, jnp.float32)
    fade = 0.5 - 0.5 * jnp.cos(np.pi * jnp.clip((1.0 - highest) / 0.05, 0.0, 1.0))
    fade = jnp.where(ratio[:, None] > 1.0, fade, 1.0)
    spectrum = rfft(x.astype(jnp.float32), n) * (fade * np.float32(twice)[None]).astype(jnp.complex64)

    # Bin k turns k j ratio / n times up to output j, and 2 k j = k² + j² − (k − j)²: a convolution of chirps.
    # A chirp makes ratio / (2 n) times k² turns, too many for float32: whole multiples of 2^-32 turns are
    # counted in integers, which drop full turns as they overflow, and only the rest in float32.
    per_square = ratio * (2.0**31 / n)
    whole = jnp.floor(per_square)
    rest = (per_square - whole)[:, None] * 2.0**-32

    def chirp(k):
        k = jnp.asarray(k, jnp.uint32)[None]
        turns = (whole.astype(jnp.uint32)[:, None] * (k * k)).astype(jnp.int32).astype(jnp.float32) * 2.0**-32
        angle = 2 * np.pi * (turns + rest * k.astype(jnp.float32) ** 2)
        return jax.lax.complex(jnp.cos(angle), jnp.sin(angle))

    size = fast_length(last + samples)
    lag = np.arange(size)
    lag = np.where(lag < samples, lag, size - lag)
    product = fft(spectrum * chirp(bins), size) * fft(chirp(lag).conj(), size)
    wave = (ifft(product, size)[:, :samples] * chirp(np.arange(samples))).real
    within = jnp.arange(samples, dtype=jnp.float32)[None] * ratio[:, None] <= t - 1
    return jnp.where(within, wave, 0.0).astype(x.dtype)
