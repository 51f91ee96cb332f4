"""Pitch content of waves: constant-Q transform, chroma and tonal centroids, as librosa computes them.

Every function takes waves [b t] in −1 to 1, or one clip [t]; its result then lacks the axis b. Results are
float32, time before pitch: librosa's transposed. Instruments off 440 Hz are told by `tuning`, a fraction of a
bin; it is 0 here where librosa would guess it.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ssl_audio.signal.frames import per_spectrum
from ssl_audio.signal.spectrum import batched, power, safe_sqrt

C1 = 440.0 * 2.0 ** (-45 / 12)  # Hz


@batched
def cqt(
    x: Float[Array, "b t"],
    rate: int,
    *,
    hop: int = 512,
    fmin: float = C1,
    bins: int = 84,
    bins_per_octave: int = 12,
    tuning: float = 0.0,
) -> Float[Array, "b f {bins}"]:
    """Magnitudes of the constant-Q transform (Brown 1991), bin k at fmin * 2^(k / bins_per_octave) Hz.

    Equal to |librosa.cqt|: Hann-windowed tones of unit area, scaled by the root of their length in samples.
    Frame i is centred on sample i * hop; beyond the ends there are zeros.
    hop     samples from one frame to the next; each factor 2 in it halves the work for an octave
    tuning  moves all bins up by this fraction of a bin

    Octave by octave from the top (Schörkhuber & Klapuri 2010): the rate is halved after each, so that tones
    of the same few hundred samples do for all. A frame costs 2 * bins * (samples of a tone) products; the
    memory is the wave twice and the result, since frames are a convolution and not cut out.
    ValueError where the highest bin doesn't fit below half the rate.
    """
    if hop < 1 or bins < 1 or bins_per_octave < 1 or fmin <= 0:
        raise ValueError(
            f"cqt: hop {hop}, bins {bins}, bins_per_octave {bins_per_octave} and fmin {fmin} must be positive"
        )
    if x.shape[1] < 1:
        raise ValueError("cqt: a wave of 0 samples has no spectrum; give longer waves")
    centres = fmin * 2.0 ** ((np.arange(bins) + tuning) / bins_per_octave)
    ratio = 2.0 ** (2 / bins_per_octave)
    q = (ratio + 1) / (ratio - 1)
    octaves = math.ceil(bins / bins_per_octave)
    factor = 2 ** _early_halvings(rate, hop, centres[-1], q, bins_per_octave, octaves)
    frames, at, parts = None, rate, []
    for octave in range(octaves):
        stop = bins - octave * bins_per_octave
        part = centres[max(stop - bins_per_octave, 0) : stop]
        if octave:
            factor = 2 if hop % 2 == 0 else 1
        if factor > 1:
            x, at, hop = _decimate(x, factor), at / factor, hop // factor
        frames = frames or 1 + x.shape[1] // hop
        tones = _tones(part, at, q) * np.sqrt(q * rate / part)
        table = np.concatenate([tones.real, tones.imag], axis=1).astype(np.float32)
        y = _products(jnp.pad(x, ((0, 0), (len(tones) // 2, 0))), table, hop, frames)
        parts.append(safe_sqrt(y[..., : part.size] ** 2 + y[..., part.size :] ** 2))
    return jnp.concatenate(parts[::-1], axis=-1)


def _early_halvings(rate, hop, highest, q, bins_per_octave, octaves):
    """How often the rate halves before the first octave; ValueError where the highest bin is too high."""
    edge = highest * (1 + 0.75 / q)  # a Hann window is as broad as 1.5 bins of its Fourier transform
    room = math.log2(rate / 2 / edge)  # octaves
    if room < 0:
        fewer = math.ceil(-room * bins_per_octave)
        raise ValueError(
            f"cqt: the highest bin, at {highest:.4g} Hz, reaches to {edge:.4g} Hz, beyond half the rate, "
            f"{rate / 2:.4g} Hz; ask for {fewer} bins fewer, or change fmin or the rate"
        )
    halves = (hop & -hop).bit_length() - 1  # of the hop
    return max(0, min(math.ceil(room) - 2, halves - octaves + 1))


def _tones(centres, rate, q):
    """Tones of q periods under Hann windows of unit area, as taken from a frame: complex [n_fft, centres]."""
    lengths = q * rate / centres
    n_fft = 1 << math.ceil(math.log2(lengths[0]))
    tones = np.zeros((n_fft, len(centres)), complex)
    for tone, length, centre in zip(tones.T, lengths, centres, strict=True):
        time = np.arange(math.floor(-length / 2), math.floor(length / 2))
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(time.size) / time.size)
        start = (n_fft - time.size) // 2
        tone[start : start + time.size] = window / window.sum() * np.exp(2j * np.pi * centre / rate * time)
    # librosa multiplies spectra: without negative frequencies, nor the faintest that make up 1 % of the whole
    spectra = np.fft.fft(tones, axis=0)[: n_fft // 2 + 1]
    size = np.abs(spectra)
    ordered = np.sort(size, axis=0)
    faint = np.cumsum(ordered, axis=0) < 0.01 * size.sum(0)
    spectra[size < np.take_along_axis(ordered, faint.sum(0)[None], axis=0)] = 0
    return np.fft.fft(spectra, n_fft, axis=0) / n_fft


def _decimate(x, factor):
    """Every factor-th sample of x [b t], factor 2, 4, 8 ...; what is above the new half rate is taken out.

    With soxr's HQ filters (measured), so that librosa is equalled also where a wave begins or ends suddenly.
    """
    samples = -(-x.shape[1] // factor)
    while factor > 2:
        x, factor = _every_second(x, cutoff=0.5, half=16, beta=11.5), factor // 2
    return _every_second(x, cutoff=0.4784, half=192, beta=12.8)[:, :samples]


def _every_second(x, cutoff, half, beta):
    """Every second sample of x [b t] behind a sinc under Kaiser's window, what rings on after its end too."""
    taps = np.sinc(cutoff * np.arange(-half, half + 1)) * np.kaiser(2 * half + 1, beta)
    taps /= taps.sum()
    outputs = 64  # samples of the result at a time make a product of matrices
    table = np.zeros((2 * (outputs - 1) + taps.size, outputs), np.float32)
    for i in range(outputs):
        table[2 * i : 2 * i + taps.size, i] = taps
    samples = -(-(x.shape[1] + half) // 2)
    y = _products(jnp.pad(x, ((0, 0), (half, 0))), table, 2 * outputs, -(-samples // outputs))
    return y.reshape(x.shape[0], -1)[:, :samples]


def _products(x, table, hop, frames):
    """Frames x[i * hop : i * hop + length] times a table [length outputs]: [b f outputs]; zeros beyond x."""
    parts = math.ceil(len(table) / hop)
    total = (frames + parts - 1) * hop
    x = jnp.pad(x[:, :total], ((0, 0), (0, max(total - x.shape[1], 0))))
    x = x.reshape(x.shape[0], -1, hop)
    if parts == 1:
        return jnp.matmul(x[..., : len(table)], table, precision="highest")
    # a row of hop samples is one step with hop channels: stride 1, and the gradient is no strided one either
    table = np.pad(table, ((0, parts * hop - len(table)), (0, 0))).reshape(parts, hop, -1)
    return jax.lax.conv_general_dilated(
        x, table, (1,), "VALID", dimension_numbers=("NWC", "WIO", "NWC"), precision="highest"
    )


def chroma_filters(
    rate: int, n_fft: int, n_chroma: int = 12, tuning: float = 0.0
) -> Float[np.ndarray, "{1+n_fft//2} {n_chroma}"]:
    """Filters [bins, c] of pitch classes from C on, float32; transposed they are `librosa.filters.chroma`'s.

    Gaussian bumps about each class (Ellis 2007), under a Gaussian of two octaves about 880 Hz.
    tuning  of A4 from 440 Hz, a fraction of a chroma
    """
    if n_fft < 2 or n_chroma < 1:
        raise ValueError(f"chroma_filters: n_fft {n_fft} must be at least 2, n_chroma {n_chroma} at least 1")
    a0 = 440.0 * 2.0 ** (tuning / n_chroma) / 16
    octave = np.log2(np.arange(1, n_fft) * (rate / n_fft) / a0)
    octave = np.concatenate(
        [octave[:1] - 1.5, octave]
    )  # 0 Hz: far below, and in no class more than in others
    width = np.append(np.maximum(np.diff(octave) * n_chroma, 1.0), 1.0)
    middle = np.round(n_chroma / 2)
    distance = (octave[:, None] * n_chroma - np.arange(n_chroma) + middle) % n_chroma - middle
    filters = np.exp(-0.5 * (2 * distance / width[:, None]) ** 2)
    filters /= np.linalg.norm(filters, axis=1, keepdims=True)
    filters *= np.exp(-0.5 * ((octave - 5.0) / 2.0) ** 2)[:, None]
    # from A to C
    return np.roll(filters, -3 * (n_chroma // 12), axis=1)[: 1 + n_fft // 2].astype(np.float32)


@batched
def chroma_stft(
    x: Float[Array, "b t"],
    rate: int,
    *,
    n_fft: int = 2048,
    hop: int = 512,
    n_chroma: int = 12,
    tuning: float = 0.0,
) -> Float[Array, "b f {n_chroma}"]:
    """Energies of pitch classes from C on, in each frame relative to the largest: 0 to 1; silence is 0.

    Equal to librosa.feature.chroma_stft with this tuning; see `chroma_filters`.
    """
    filters = chroma_filters(rate, n_fft, n_chroma, tuning)
    chroma = per_spectrum(
        x, lambda s: jnp.matmul(power(s), filters, precision="highest"), n_fft=n_fft, hop=hop
    )
    return _relative(chroma, jnp.max)


@batched
def chroma_cqt(
    x: Float[Array, "b t"],
    rate: int,
    *,
    hop: int = 512,
    fmin: float = C1,
    octaves: int = 7,
    bins_per_octave: int = 36,
    n_chroma: int = 12,
    tuning: float = 0.0,
) -> Float[Array, "b f {n_chroma}"]:
    """Magnitudes of pitch classes from C on, in each frame relative to the largest: 0 to 1; silence is 0.

    Equal to librosa.feature.chroma_cqt with this tuning: the bins of `cqt` about each class added up.
    ValueError where bins_per_octave is no multiple of n_chroma.
    """
    if n_chroma < 1 or bins_per_octave % n_chroma:
        raise ValueError(
            f"chroma_cqt: {bins_per_octave} bins an octave are no multiple of {n_chroma} classes"
        )
    bins = octaves * bins_per_octave
    magnitudes = cqt(x, rate, hop=hop, fmin=fmin, bins=bins, bins_per_octave=bins_per_octave, tuning=tuning)
    each = bins_per_octave // n_chroma
    first = round(12 * math.log2(fmin / C1) % 12 * n_chroma / 12)
    classes = (first + (np.arange(bins) + each // 2) // each) % n_chroma
    gather = np.eye(n_chroma, dtype=np.float32)[classes]
    return _relative(jnp.matmul(magnitudes, gather, precision="highest"), jnp.max)


@batched
def tonnetz(
    x: Float[Array, "b t"], rate: int, *, hop: int = 512, tuning: float = 0.0
) -> Float[Array, "b f 6"]:
    """Tonal centroids of the waves' `chroma_cqt`; librosa.feature.tonnetz's with this tuning."""
    return tonal_centroids(chroma_cqt(x, rate, hop=hop, tuning=tuning))


@batched(axes=3)
def tonal_centroids(chroma: Float[Array, "b f c"]) -> Float[Array, "b f 6"]:
    """Where chroma from C on (an octave in c steps) lies on the circles of fifths, minor and major thirds.

    Sine and cosine of each circle, of radius 1, 1 and 0.5 (Harte, Sandler & Gasser 2006); silence is 0.
    Equal to librosa.feature.tonnetz(chroma=...).
    """
    semitones = np.arange(chroma.shape[-1]) * (12 / chroma.shape[-1])
    angles = np.pi * np.array([7 / 6, 3 / 2, 2 / 3]) * semitones[:, None]
    circles = np.stack([np.sin(angles), np.cos(angles)], axis=-1) * np.array([1.0, 1.0, 0.5])[:, None]
    table = circles.reshape(-1, 6).astype(np.float32)
    return jnp.matmul(_relative(chroma, jnp.sum), table, precision="highest")


def _relative(x, norm):
    """x / norm(|x|) along the last axis, 0 at silence.

    By a constant first: the gradient of the division would square what is near the smallest number there is.
    """
    for there in (jax.lax.stop_gradient, lambda size: size):
        size = there(norm(jnp.abs(x), axis=-1, keepdims=True))
        x = x / jnp.where(size >= np.finfo(np.float32).tiny, size, 1.0)
    return x
