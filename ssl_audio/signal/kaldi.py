"""Kaldi's filter-bank features and MFCC, without dither: what AudioMAE, EAT, BEATs and AST were trained on.

Nothing is scaled in secret. The toolkit reads waves as 16-bit integers (−32768 to 32767); AudioMAE, AST and
EAT pass waves in −1 to 1 as they are, BEATs multiplies them by 2^15, and so must who uses its weights. It
matters: energies below 2^-23 are floored. AudioMAE's setting is 128 bands and window "hanning", the rest by
default; `htk_compat`, which it also sets, moves only the energy, which it doesn't use.
"""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ssl_audio.signal.fourier import rfft

FLOOR = 2.0**-23  # of energies, before the logarithm: float32's epsilon
Window = Literal["povey", "hanning", "hamming"]


def frame_sizes(rate: int, frame_length_ms: float, frame_shift_ms: float) -> tuple[int, int]:
    """Samples of a frame and from one frame to the next; ValueError where there would be none."""
    length, shift = int(rate * frame_length_ms / 1000), int(rate * frame_shift_ms / 1000)
    if length < 2 or shift < 1:
        raise ValueError(
            f"kaldi: frames of {frame_length_ms} ms every {frame_shift_ms} ms are {length} samples every "
            f"{shift} at {rate} Hz; give longer frames"
        )
    return length, shift


def frames(samples, length: int, shift: int, snip_edges: bool = True):
    """Number of frames of so many samples: those that fit, or (snip_edges=False) one for each shift."""
    return 1 + (samples - length) // shift if snip_edges else (samples + shift // 2) // shift


def mel_banks(
    rate: int, n_fft: int, mels: int, low_freq: float = 20.0, high_freq: float = 0.0
) -> Float[np.ndarray, "{1+n_fft//2} {mels}"]:
    """Kaldi's filters [k m]: triangles over the mel axis 1127 ln(1 + f / 700), of height 1.

    high_freq is in Hz, or, where it is not positive, an offset from half the rate. ValueError where the edges
    aren't within 0 to half the rate.
    """
    high = high_freq if high_freq > 0 else rate / 2 + high_freq
    if not 0 <= low_freq < high <= rate / 2:
        raise ValueError(
            f"kaldi: bands from {low_freq} to {high} Hz are not within 0 to {rate / 2} Hz, half the rate; "
            f"change low_freq or high_freq"
        )
    mel = lambda hz: 1127.0 * np.log1p(hz / 700.0)
    edges = np.linspace(mel(low_freq), mel(high), mels + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    place = mel(np.arange(1 + n_fft // 2) * rate / n_fft)[:, None]
    banks = np.minimum((place - left) / (centre - left), (right - place) / (right - centre))
    banks[-1] = 0.0  # Kaldi leaves the bin at half the rate out
    return np.maximum(banks, 0.0).astype(np.float32)


def _window(kind: Window, length: int) -> np.ndarray:
    """Symmetric windows; "povey" is Hann's to the power 0.85."""
    wave = np.cos(2 * np.pi * np.arange(length) / (length - 1))
    if kind not in ("povey", "hanning", "hamming"):
        raise ValueError(f"kaldi: window {kind!r} is none of povey, hanning, hamming")
    hann = 0.5 - 0.5 * wave
    return {"povey": np.abs(hann) ** 0.85, "hanning": hann, "hamming": 0.54 - 0.46 * wave}[kind]


def _cut(x, length, shift, snip_edges):
    """Frames [b f length]: blocks of one shift, side by side, so nothing is gathered."""
    f = frames(x.shape[1], length, shift, snip_edges)
    if f < 1:
        raise ValueError(
            f"kaldi: no frame of {length} samples fits into {x.shape[1]} samples; give longer clips"
        )
    need = (f - 1) * shift + length
    if not snip_edges:  # the wave goes on as its mirror image, the edge's sample twice
        before = length // 2 - shift // 2
        x = jnp.pad(x, ((0, 0), (max(before, 0), max(need - before - x.shape[1], 0))), mode="symmetric")
        x = x[:, max(-before, 0) :]
    blocks = -(-length // shift)
    x = jnp.pad(x[:, :need], ((0, 0), (0, (f + blocks - 1) * shift - min(need, x.shape[1]))))
    x = x.reshape(x.shape[0], -1, shift)
    return jnp.concatenate([x[:, i : i + f] for i in range(blocks)], -1)[..., :length]


def _log(x):
    return jnp.log(jnp.maximum(x, FLOOR))


def fbank(
    x: Float[Array, "*b t"],
    rate: int,
    *,
    mels: int = 23,
    frame_length_ms: float = 25.0,
    frame_shift_ms: float = 10.0,
    window: Window = "povey",
    preemphasis: float = 0.97,
    remove_dc: bool = True,
    snip_edges: bool = True,
    low_freq: float = 20.0,
    high_freq: float = 0.0,
    use_energy: bool = False,
    energy_floor: float = 0.0,
    use_log_fbank: bool = True,
    use_power: bool = True,
    htk_compat: bool = False,
) -> Float[Array, "*b f m"]:
    """Kaldi's log mel filter-bank energies of waves [b t] or [t]; float32.

    preemphasis    of each frame: x[i] − preemphasis * x[i − 1]
    remove_dc      each frame's mean is taken away first
    snip_edges     frames that fit into the wave, else one each shift, the wave mirrored at its ends
    high_freq      Hz; not positive: offset from half the rate
    use_energy     one more value, the log energy of the frame before pre-emphasis and window: the first, or
                   with htk_compat the last; never below log(energy_floor) if that is positive
    use_log_fbank  logarithm, of 2^-23 at least
    use_power      energies, else magnitudes
    Povey et al., "The Kaldi Speech Recognition Toolkit", 2011. Raises ValueError where no frame fits.
    """
    length, shift = frame_sizes(rate, frame_length_ms, frame_shift_ms)
    wave = x.astype(jnp.float32).reshape(-1, x.shape[-1])
    n_fft = 1 << (length - 1).bit_length()
    cut = _cut(wave, length, shift, snip_edges)
    if remove_dc:
        cut = cut - cut.mean(-1, keepdims=True)
    energy = _log(jnp.sum(cut * cut, -1, keepdims=True))
    if preemphasis:
        cut = cut - preemphasis * jnp.concatenate([cut[..., :1], cut[..., :-1]], -1)
    cut = cut * _window(window, length).astype(np.float32)[None, None]
    spectrum = rfft(cut, n_fft)
    power = spectrum.real**2 + spectrum.imag**2
    if not use_power:  # the inner where keeps the gradient finite at silence
        power = jnp.where(power > 0, jnp.sqrt(jnp.where(power > 0, power, 1.0)), 0.0)
    banks = mel_banks(rate, n_fft, mels, low_freq, high_freq)
    y = jnp.matmul(power, banks, precision="highest")  # neither TF32 nor bfloat16 on accelerators
    if use_log_fbank:
        y = _log(y)
    if use_energy:
        energy = jnp.maximum(energy, np.log(energy_floor)) if energy_floor > 0 else energy
        y = jnp.concatenate([y, energy] if htk_compat else [energy, y], -1)
    return y.reshape(*x.shape[:-1], *y.shape[1:])


def mfcc(
    x: Float[Array, "*b t"],
    rate: int,
    *,
    num_ceps: int = 13,
    mels: int = 23,
    lifter: float = 22.0,
    use_energy: bool = True,
    energy_floor: float = 0.0,
    htk_compat: bool = False,
    **settings,
) -> Float[Array, "*b f c"]:
    """Kaldi's mel-frequency cepstral coefficients of waves [b t] or [t]; float32.

    lifter        coefficient i is multiplied by 1 + lifter / 2 * sin(pi * i / lifter); 0: none
    use_energy    the log energy of the frame stands in for coefficient 0
    energy_floor  that energy is log(energy_floor) at least, if positive
    htk_compat    coefficient 0, times sqrt(2) unless it is the energy, comes last
    settings      frames, window and filters as `fbank` takes them
    Raises ValueError where num_ceps is not 1 to mels.
    """
    if not 1 <= num_ceps <= mels:
        raise ValueError(f"kaldi: {num_ceps} coefficients of {mels} bands; num_ceps is 1 to mels")
    y = fbank(x, rate, mels=mels, use_energy=use_energy, energy_floor=energy_floor, **settings)
    order = np.arange(num_ceps)
    table = np.sqrt(2 / mels) * np.cos(np.pi * (np.arange(mels)[:, None] + 0.5) * order / mels)
    table[:, 0] /= np.sqrt(2)
    if lifter:
        table *= 1 + lifter / 2 * np.sin(np.pi * order / lifter)
    c = jnp.matmul(y[..., -mels:], table.astype(np.float32), precision="highest")
    first = y[..., :1] if use_energy else c[..., :1] * (np.sqrt(2).item() if htk_compat else 1.0)
    return jnp.concatenate([c[..., 1:], first] if htk_compat else [first, c[..., 1:]], -1)
