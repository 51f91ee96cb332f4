"""Descriptors of sound, one number or a few a frame, as librosa computes them.

Every function takes waves [b t] in −1 to 1, or one clip [t]; its result then lacks the axis b. `rate` is
samples a second, n_fft the length of a frame and hop the way to the next, samples; with `center` n_fft // 2
samples are put at both ends, so that frame i is centred on sample i * hop. Float32, with finite gradients.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ssl_audio.signal.spectrum import (
    batched,
    check_sizes,
    count_frames,
    magnitude,
    mel_spectrogram,
    pad_wave,
    per_spectrum,
    power,
    safe_sqrt,
    to_db,
)


@batched
def rms(
    x: Float[Array, "b t"], *, n_fft: int = 2048, hop: int = 512, center: bool = True
) -> Float[Array, "b f"]:
    """Root mean square of frames of n_fft samples; librosa.feature.rms's."""
    check_sizes(n_fft, hop)
    x = pad_wave(x, n_fft // 2) if center else x
    return safe_sqrt(_moving_sum(x * x, n_fft, hop, count_frames(x.shape[1], n_fft, hop, center)) / n_fft)


@batched
def zero_crossing_rate(
    x: Float[Array, "b t"], *, n_fft: int = 2048, hop: int = 512, center: bool = True
) -> Float[Array, "b f"]:
    """Changes of sign a sample in frames of n_fft samples, 0 to 1; librosa.feature.zero_crossing_rate's.

    Zero and what is nearer to it than 1e-10 counts as positive. The gradient is 0.
    """
    check_sizes(n_fft, hop)
    x = pad_wave(x, n_fft // 2, "edge") if center else x
    negative = x < -1e-10
    changes = (negative[:, 1:] != negative[:, :-1]).astype(jnp.float32)
    # the step into a frame is none of its own
    return _moving_sum(changes, n_fft - 1, hop, count_frames(x.shape[1], n_fft, hop, center)) / n_fft


def _moving_sum(x, n, hop, frames):
    """Sums of x[i * hop : i * hop + n] for i < frames: of whole hops, and of what is left of the last one."""
    whole, rest = divmod(n, hop)
    total = (frames + whole) * hop
    x = jnp.pad(x[:, :total], ((0, 0), (0, max(total - x.shape[1], 0))))
    hops = x.reshape(x.shape[0], frames + whole, hop)
    sums = hops[:, whole:, :rest].sum(2)
    if whole:
        sums = sums + jax.lax.reduce_window(
            hops.sum(2)[:, :-1], 0.0, jax.lax.add, (1, whole), (1, 1), "VALID"
        )
    return sums


def _bins(rate, n_fft):
    return np.fft.rfftfreq(n_fft, 1.0 / rate).astype(np.float32)[None, None]


def _shares(s):
    """Magnitudes divided by their sum over the bins; zeros stay."""
    s = magnitude(s)
    total = s.sum(-1, keepdims=True)
    return s / jnp.where(total > np.finfo(np.float32).tiny, total, 1.0)


@batched
def spectral_centroid(
    x: Float[Array, "b t"], rate: int, *, n_fft: int = 2048, hop: int = 512, center: bool = True
) -> Float[Array, "b f"]:
    """Mean frequency, Hz, weighted by magnitude; 0 at silence. librosa.feature.spectral_centroid's."""
    bins = _bins(rate, n_fft)
    return per_spectrum(x, lambda s: (_shares(s) * bins).sum(-1), n_fft=n_fft, hop=hop, center=center)


@batched
def spectral_bandwidth(
    x: Float[Array, "b t"], rate: int, *, n_fft: int = 2048, hop: int = 512, center: bool = True
) -> Float[Array, "b f"]:
    """Standard deviation, Hz, of frequency weighted by magnitude; librosa.feature.spectral_bandwidth's."""
    bins = _bins(rate, n_fft)

    def bandwidth(s):
        share = _shares(s)
        centroid = (share * bins).sum(-1, keepdims=True)
        return safe_sqrt((share * (bins - centroid) ** 2).sum(-1))

    return per_spectrum(x, bandwidth, n_fft=n_fft, hop=hop, center=center)


@batched
def spectral_rolloff(
    x: Float[Array, "b t"],
    rate: int,
    *,
    share: float = 0.85,
    n_fft: int = 2048,
    hop: int = 512,
    center: bool = True,
) -> Float[Array, "b f"]:
    """Frequency, Hz, below which `share` of the sum of magnitudes lies; librosa.feature.spectral_rolloff's.

    That of a bin, so the gradient is 0; 0 at silence.
    """
    if not 0 < share < 1:
        raise ValueError(f"spectral_rolloff: share {share} must be between 0 and 1")

    def rolloff(s):
        below = jnp.cumsum(magnitude(s), axis=-1)
        return (below < share * below[..., -1:]).sum(-1).astype(jnp.float32) * (rate / n_fft)

    return per_spectrum(x, rolloff, n_fft=n_fft, hop=hop, center=center)


@batched
def spectral_flatness(
    x: Float[Array, "b t"], *, amin: float = 1e-10, n_fft: int = 2048, hop: int = 512, center: bool = True
) -> Float[Array, "b f"]:
    """Geometric over arithmetic mean of the energies (at least amin), 0 (a tone) to 1 (noise, silence).

    librosa.feature.spectral_flatness's.
    """
    if amin <= 0:
        raise ValueError(f"spectral_flatness: amin {amin} must be positive")

    def flatness(s):
        energy = jnp.maximum(power(s), amin)
        return jnp.exp(jnp.log(energy).mean(-1)) / energy.mean(-1)

    return per_spectrum(x, flatness, n_fft=n_fft, hop=hop, center=center)


@batched
def spectral_contrast(
    x: Float[Array, "b t"],
    rate: int,
    *,
    n_bands: int = 6,
    fmin: float = 200.0,
    quantile: float = 0.02,
    n_fft: int = 2048,
    hop: int = 512,
    center: bool = True,
) -> Float[Array, "b f {n_bands+1}"]:
    """Peak over valley, dB, below fmin and in n_bands octaves from there up (Jiang et al. 2002).

    Peak and valley are the means of the `quantile` loudest and softest bins of a band; the last one reaches
    up to rate / 2. librosa.feature.spectral_contrast's of each clip.
    """
    bands = _contrast_bands(rate, n_fft, n_bands, fmin, quantile)

    def extremes(s):
        s = magnitude(s)
        peaks = [_mean_of_largest(s[..., bins], n) for bins, n in bands]
        valleys = [-_mean_of_largest(-s[..., bins], n) for bins, n in bands]
        return jnp.stack(peaks, -1), jnp.stack(valleys, -1)

    peak, valley = per_spectrum(x, extremes, n_fft=n_fft, hop=hop, center=center)
    return to_db(peak) - to_db(valley)


def _mean_of_largest(x, n):
    return x.max(-1) if n == 1 else jax.lax.top_k(x, n)[0].mean(-1)  # a maximum costs less


def _contrast_bands(rate, n_fft, n_bands, fmin, quantile):
    """For each band its bins (a slice) and how many of them are loud or soft."""
    if n_bands < 1 or fmin <= 0 or not 0 < quantile < 1:
        raise ValueError(
            f"spectral_contrast: n_bands {n_bands} and fmin {fmin} must be positive, quantile {quantile} "
            f"between 0 and 1"
        )
    bins = np.fft.rfftfreq(n_fft, 1.0 / rate)
    edges = np.concatenate([[0.0], fmin * 2.0 ** np.arange(n_bands + 1)])
    bands = []
    for k in range(n_bands + 1):
        inside = np.flatnonzero((bins >= edges[k]) & (bins <= edges[k + 1]))
        if edges[k] >= rate / 2 or inside.size < (1 if k else 2):
            raise ValueError(
                f"spectral_contrast: no bins between {edges[k]} and {edges[k + 1]} Hz (rate {rate}, n_fft "
                f"{n_fft}); take fewer n_bands, another fmin or a longer n_fft"
            )
        first = inside[0] - (k > 0)
        end = len(bins) if k == n_bands else inside[-1] + 1
        loud = max(int(np.rint(quantile * (end - first))), 1)
        bands.append((slice(first, end - (k < n_bands)), loud))
    return bands


@batched
def onset_strength(
    x: Float[Array, "b t"],
    rate: int,
    *,
    mels: int = 128,
    n_fft: int = 2048,
    hop: int = 512,
    fmin: float = 0.0,
    fmax: float | None = None,
) -> Float[Array, "b f"]:
    """Mean rise of the mel bands, dB, from a frame to the next; librosa.onset.onset_strength's of each clip.

    Moved n_fft // (2 * hop) frames later, as there, to make up for a frame's seeing what is ahead of it.
    """
    db = to_db(mel_spectrogram(x, rate, mels=mels, n_fft=n_fft, hop=hop, fmin=fmin, fmax=fmax))
    rise = jnp.maximum(db[:, 1:] - db[:, :-1], 0.0).mean(-1)
    return jnp.pad(rise, ((0, 0), (1 + n_fft // (2 * hop), 0)))[:, : db.shape[1]]


@batched
def spectral_flux(
    x: Float[Array, "b t"], *, n_fft: int = 2048, hop: int = 512, center: bool = True
) -> Float[Array, "b f"]:
    """Sum over the bins of max(|s| − |s of the frame before|, 0); 0 in the first frame (Dixon 2006)."""
    s = per_spectrum(x, magnitude, n_fft=n_fft, hop=hop, center=center)
    rise = jnp.maximum(s[:, 1:] - s[:, :-1], 0.0).sum(-1)
    return jnp.pad(rise, ((0, 0), (1, 0)))
