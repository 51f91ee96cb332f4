"""Short-time Fourier transforms, mel spectrograms and decibels of batches of waves.

Every function takes waves [b t] in −1 to 1, or one clip [t]; its result then lacks the axis b. Results are
float32 (complex64), time before frequency: librosa's transposed.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from ssl_audio.signal.fourier import irfft
from ssl_audio.signal.frames import Pad, Window, check_sizes, count_frames, pad_wave, per_spectrum, window_of
from ssl_audio.signal.frontend import band_energies, mel_filters


def batched(function: Callable | None = None, *, axes: int = 2) -> Callable:
    """Decorator: a function of batches, its first argument of `axes` axes, takes one clip without axis b too.

    The first argument is made float32 (complex64). ValueError where it has another number of axes or is of
    integers.
    """
    if function is None:
        return functools.partial(batched, axes=axes)

    @functools.wraps(function)
    def either(x, *args, **kwargs):
        x = jnp.asarray(x)
        if x.ndim not in (axes - 1, axes):
            raise ValueError(
                f"{function.__name__}: an array of shape {x.shape} is neither a batch ({axes} axes) nor "
                f"a clip ({axes - 1}); reshape it"
            )
        if not jnp.issubdtype(x.dtype, jnp.inexact):
            raise ValueError(
                f"{function.__name__}: {x.dtype} given, not floating numbers; divide int16 by 32768"
            )
        x = x.astype(jnp.complex64 if jnp.iscomplexobj(x) else jnp.float32)
        if x.ndim == axes:
            return function(x, *args, **kwargs)
        return jax.tree.map(lambda y: y[0], function(x[None], *args, **kwargs))

    return either


@batched
def stft(
    x: Float[Array, "b t"],
    *,
    n_fft: int = 2048,
    hop: int = 512,
    win: int | None = None,
    window: Window = "hann",
    center: bool = True,
    pad: Pad = "constant",
) -> Complex[Array, "b f k"]:
    """Short-time Fourier transform, k = 1 + n_fft // 2 bins; librosa.stft's transposed.

    n_fft   length of the Fourier transform, samples
    hop     samples from one frame to the next
    win     length of the periodic window, samples, <= n_fft (None: n_fft); it sits in the middle of n_fft
    center  n_fft // 2 samples are put at both ends (`pad`) so that frame i is centred on sample i * hop
    """
    return per_spectrum(x, lambda s: s, n_fft=n_fft, hop=hop, win=win, window=window, center=center, pad=pad)


@batched(axes=3)
def istft(
    s: Complex[Array, "b f k"],
    *,
    n_fft: int | None = None,
    hop: int = 512,
    win: int | None = None,
    window: Window = "hann",
    center: bool = True,
    length: int | None = None,
) -> Float[Array, "b t"]:
    """The wave whose `stft` is nearest to s (Griffin & Lim 1984); librosa.istft's.

    n_fft   None: 2 * (k − 1); an odd one must be told
    length  samples of the result, cut or filled with zeros; None: as many as the frames cover
    """
    _, f, k = s.shape
    n_fft = 2 * (k - 1) if n_fft is None else n_fft
    win = check_sizes(n_fft, hop, win)
    if k != 1 + n_fft // 2:
        raise ValueError(f"istft: {k} bins are not those of n_fft {n_fft}, {1 + n_fft // 2}; change n_fft")
    start = n_fft // 2 if center else 0
    length = n_fft + hop * (f - 1) - 2 * start if length is None else length
    f = min(f, math.ceil((length + 2 * start) / hop))  # later frames lie behind the end
    left = (n_fft - win) // 2
    shape = np.pad(window_of(window, win), (left, n_fft - win - left))
    wave = _overlap_add(irfft(s[:, :f], n_fft) * shape[None, None], hop)
    weight = np.zeros(n_fft + hop * (f - 1), np.float32)
    for i in range(f):
        weight[i * hop : i * hop + n_fft] += shape**2
    weight = np.where(weight > np.finfo(np.float32).tiny, weight, np.float32(1.0))
    wave = wave[:, : weight.size] / weight[None]
    wave = wave[:, start : start + length]
    return jnp.pad(wave, ((0, 0), (0, length - wave.shape[1])))


def _overlap_add(frames, hop):
    """Sum of frames [b f n], each `hop` samples later than the one before: [b t]."""
    b, f, n = frames.shape
    parts = math.ceil(n / hop)
    frames = jnp.pad(frames, ((0, 0), (0, parts), (0, parts * hop - n)))
    rows = jnp.moveaxis(frames.reshape(b, f + parts, parts, hop), 2, 1)
    # rows [b parts f+parts hop] cut one column shorter: row i then starts i columns later
    skewed = rows.reshape(b, -1, hop)[:, : parts * (f + parts - 1)].reshape(b, parts, f + parts - 1, hop)
    return skewed.sum(1).reshape(b, -1)


def power(s: Complex[Array, "*n"]) -> Float[Array, "*n"]:
    """|s|²."""
    return s.real**2 + s.imag**2


def magnitude(s: Complex[Array, "*n"]) -> Float[Array, "*n"]:
    """|s|, its gradient 0 at 0."""
    return safe_sqrt(power(s))


def safe_sqrt(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Square root, its gradient 0 at 0."""
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0)


@batched(axes=3)
def to_db(
    power: Float[Array, "b f m"], amin: float = 1e-10, top_db: float | None = 80.0, ref: float = 1.0
) -> Float[Array, "b f m"]:
    """Decibels of max(power, amin) above `ref`, none further than top_db below the loudest of its clip.

    librosa.power_to_db of each clip.
    """
    if amin <= 0 or ref <= 0 or (top_db is not None and top_db < 0):
        raise ValueError(f"to_db: amin {amin} and ref {ref} must be positive, top_db {top_db} not negative")
    db = 10.0 * jnp.log10(jnp.maximum(power, amin)) - 10.0 * math.log10(max(ref, amin))
    if top_db is not None:
        db = jnp.maximum(db, db.max(axis=(1, 2), keepdims=True) - top_db)
    return db


@batched
def mel_spectrogram(
    x: Float[Array, "b t"],
    rate: int,
    *,
    mels: int = 128,
    n_fft: int = 2048,
    hop: int = 512,
    win: int | None = None,
    center: bool = True,
    pad: Pad = "constant",
    power: float = 2.0,
    fmin: float = 0.0,
    fmax: float | None = None,
    htk: bool = False,
    slaney_norm: bool = True,
) -> Float[Array, "b f {mels}"]:
    """Energies (power 2; magnitudes: 1) in mel bands; librosa.feature.melspectrogram's.

    fmin, fmax   lower and upper edge of the bands, Hz; fmax None: rate / 2
    htk          HTK's mel scale rather than Slaney's
    slaney_norm  filters of equal area (librosa norm="slaney"), else of equal height (norm=None)
    The rest as in `stft`, with a Hann window.
    """
    fmax = rate / 2 if fmax is None else fmax
    if not 0 <= fmin < fmax <= rate / 2 or mels < 1:
        raise ValueError(
            f"mel_spectrogram: {mels} bands from {fmin} to {fmax} Hz; at least one, within 0 to "
            f"{rate / 2} Hz, half the rate"
        )
    win = check_sizes(n_fft, hop, win)
    x = pad_wave(x, n_fft // 2, pad) if center else x
    count_frames(x.shape[1], n_fft, hop, center)
    filters = mel_filters(rate, n_fft, mels, fmin, fmax, htk, slaney_norm)
    return band_energies(x, filters, n_fft=n_fft, win=win, hop=hop, center=False, power=power)


@batched
def preemphasis(x: Float[Array, "b t"], coefficient: float = 0.97) -> Float[Array, "b t"]:
    """x[i] − coefficient * x[i − 1], the first 3 x[0] − x[1]; librosa.effects.preemphasis's."""
    if x.shape[1] < 2:
        raise ValueError(f"preemphasis: a wave of {x.shape[1]} samples has no first two; give longer waves")
    return jnp.concatenate([3.0 * x[:, :1] - x[:, 1:2], x[:, 1:] - coefficient * x[:, :-1]], axis=1)
