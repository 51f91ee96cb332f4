"""Cepstral features: mel and gammatone cepstral coefficients and their deltas, on batches of waves."""

import functools
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ssl_audio.signal.frontend import LogMel, band_energies


def dct(y: Float[Array, "*b f m"], coefficients: int, lifter: float = 0.0) -> Float[Array, "*b f c"]:
    """The first orthonormal DCT-II coefficients of the bands; ValueError where there are fewer bands.

    lifter  coefficient i is multiplied by 1 + lifter / 2 * sin(pi * (i + 1) / lifter), as in librosa; 0: none
    """
    m = y.shape[-1]
    if not 1 <= coefficients <= m:
        raise ValueError(f"dct: {coefficients} coefficients of {m} bands; take 1 to {m}")
    order = np.arange(coefficients)
    table = np.sqrt(2 / m) * np.cos(np.pi * (np.arange(m)[:, None] + 0.5) * order / m)
    table[:, 0] /= np.sqrt(2)
    if lifter:
        table *= 1 + lifter / 2 * np.sin(np.pi * (order + 1) / lifter)
    return jnp.matmul(y, table.astype(np.float32), precision="highest")


def mfcc(
    x: Float[Array, "*b t"],
    rate: int,
    *,
    n_mfcc: int = 20,
    n_fft: int = 2048,
    hop: int = 512,
    mels: int = 128,
    fmin: float = 0.0,
    fmax: float | None = None,
    htk: bool = False,
    lifter: float = 0.0,
) -> Float[Array, "*b f c"]:
    """Mel-frequency cepstral coefficients of waves [b t] or [t], equal to `librosa.feature.mfcc`.

    DCT-II of the log-mel in decibels, nothing further than 80 dB below the loudest of its clip. Frame i is
    centred on sample i * hop. fmax is half the rate by default. Davis & Mermelstein 1980.
    """
    sizes = dict(n_fft=n_fft, win=n_fft, hop=hop, mels=mels, fmin=fmin, fmax=fmax or rate / 2, htk=htk)
    mel = LogMel(rate=rate, **sizes, log="db", floor=1e-10, top_db=80.0)
    c = dct(mel.raw(x.reshape(-1, x.shape[-1])), n_mfcc, lifter)
    return c.reshape(*x.shape[:-1], *c.shape[1:])


def delta(c: Float[Array, "*b f c"], width: int = 9, order: int = 1) -> Float[Array, "*b f c"]:
    """Savitzky-Golay derivative along the frames: of the polynomial of degree `order` through `width` frames.

    Equal to `librosa.feature.delta` (mode="interp": the first and the last fit hold to the ends). ValueError
    where width isn't odd and greater than the order, or there are fewer frames than that.
    """
    f = c.shape[-2]
    if width < 3 or width % 2 == 0 or not 1 <= order < width or f < width:
        raise ValueError(
            f"delta: width {width} and order {order} for {f} frames; width is odd, at least 3, above the "
            f"order and not above the number of frames"
        )
    place = np.arange(width) - width // 2
    weights = math.factorial(order) * np.linalg.pinv(place[:, None] ** np.arange(order + 1.0))[order]
    n = f - width + 1
    inner = functools.reduce(
        jnp.add, (c[..., i : i + n, :] * float(w) for i, w in enumerate(weights) if abs(w) > 1e-12)
    )
    # the derivative of degree `order` is a constant, so at the ends that of the outermost fit holds
    ends = [(0, 0)] * (c.ndim - 2) + [(width // 2, width // 2), (0, 0)]
    return jnp.pad(inner, ends, mode="edge")


def erb(hz: np.ndarray | float) -> np.ndarray | float:
    """Equivalent rectangular bandwidth of hearing at a frequency, Hz (Glasberg & Moore 1990)."""
    return 24.7 * (1.0 + 4.37 * hz / 1000.0)


def gammatone_centres(channels: int, fmin: float, fmax: float) -> Float[np.ndarray, " {channels}"]:
    """Frequencies, Hz, evenly spaced from fmin to fmax on the scale of ERBs, 21.4 log10(1 + 0.00437 f)."""
    number = 21.4 * np.log10(1 + 0.00437 * np.array([fmin, fmax]))
    return (10 ** (np.linspace(*number, channels) / 21.4) - 1) / 0.00437


def gammatone_filters(
    rate: int, n_fft: int, channels: int, fmin: float, fmax: float
) -> Float[np.ndarray, "{1+n_fft//2} {channels}"]:
    """Magnitude responses [k m] of fourth-order gammatone filters on the ERB scale, 1 at their centres.

    The impulse response t^3 exp(-2 pi b t) cos(2 pi f t), b = 1.019 ERB(f), sampled at `rate` (Patterson et
    al. 1987; Slaney 1993). ValueError where the centres aren't within 0 to half the rate.
    """
    if not 0 < fmin < fmax <= rate / 2 or channels < 2:
        raise ValueError(
            f"gammatone: {channels} channels from {fmin} to {fmax} Hz; take two at least, centred between 0 "
            f"and {rate / 2} Hz, half the rate"
        )
    centres = gammatone_centres(channels, fmin, fmax)
    width, hz = 1.019 * erb(centres), np.arange(1 + n_fft // 2)[:, None] * rate / n_fft
    # the spectrum repeats at the rate: what leaks over half the rate comes back
    sides = [hz + turn * rate + side * centres for turn in range(-3, 4) for side in (-1, 1)]
    return np.abs(sum((1 + 1j * side / width) ** -4 for side in sides)).astype(np.float32)


def gfcc(
    x: Float[Array, "*b t"],
    rate: int,
    *,
    n_gfcc: int = 30,
    channels: int = 64,
    n_fft: int = 1024,
    hop: int = 160,
    fmin: float = 50.0,
    fmax: float | None = None,
) -> Float[Array, "*b f c"]:
    """Gammatone frequency cepstral coefficients of waves [b t] or [t].

    DCT-II (orthonormal) of the cube roots of the gammatone channels' energies: after Shao & Wang 2008 and
    Zhao & Wang 2013, who take the cube root of the channels' rectified output at 100 Hz where here it is the
    power within a Hann window. So x times g is the result times g^(2/3). Frame i is centred on sample
    i * hop. fmax is half the rate by default.
    """
    filters = gammatone_filters(rate, n_fft, channels, fmin, fmax or rate / 2)
    wave = x.astype(jnp.float32).reshape(-1, x.shape[-1])
    c = dct(cube_root(gammatone_energies(wave, filters, n_fft, hop)), n_gfcc)
    return c.reshape(*x.shape[:-1], *c.shape[1:])


def gammatone_energies(wave, filters, n_fft: int, hop: int) -> Float[Array, "b f m"]:
    """Mean power within each frame's window at the output of each filter [k m]."""
    # Parseval, both signs of frequency; the window's energy is 3/8 of its length
    return band_energies(wave, filters**2 * (2 / (0.375 * n_fft**2)), n_fft=n_fft, win=n_fft, hop=hop)


def cube_root(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x^(1/3) of what isn't negative, with gradient 0 at 0."""
    return jnp.where(x > 0, jnp.where(x > 0, x, 1.0) ** (1 / 3), 0.0)
