"""Cutting waves into frames, windowed and transformed, without gathering them."""

import math
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from ssl_audio.signal.fourier import rfft

Window = Literal["hann", "hamming", "ones"]
Pad = Literal["constant", "reflect", "edge"]
ROWS = 512  # frames that a CPU transforms at a time: about 2 MB, the size of its cache


def window_of(name: Window, n: int) -> Float[np.ndarray, " {n}"]:
    """A periodic window of n samples, float32: "hann", "hamming" or "ones"."""
    cosine = np.cos(2.0 * np.pi * np.arange(n) / n)
    shapes = {"hann": 0.5 - 0.5 * cosine, "hamming": 0.54 - 0.46 * cosine, "ones": np.ones(n)}
    if name not in shapes:
        raise ValueError(f"window {name!r} is none of {', '.join(shapes)}")
    return shapes[name].astype(np.float32)


def pad_wave(x: Float[Array, "b t"], n: int, pad: Pad = "constant") -> Float[Array, "b s"]:
    """n samples more at both ends: zeros ("constant"), the wave mirrored ("reflect") or its ends ("edge")."""
    if pad not in ("constant", "reflect", "edge"):
        raise ValueError(f"pad: {pad!r} is none of constant, reflect, edge")
    if x.shape[1] < 1:
        raise ValueError("a wave of 0 samples has no spectrum; give longer waves")
    return jnp.pad(x, ((0, 0), (n, n)), mode="edge" if pad == "reflect" and x.shape[1] == 1 else pad)


def per_frame(x: Float[Array, "b t"], function: Callable, *, frames: int, length: int, hop: int) -> PyTree:
    """function(frames [b n length]) → [b n ...] of all the frames x[i * hop : i * hop + length]: [b f ...].

    Every `phases`-th frame heads a piece of the wave cut every phases * hop samples: a slice and a reshape,
    where gathering frames one by one costs more than the Fourier transform. Going through the phases in a
    loop keeps in the cache what lies between wave and result. Behind the end of x there are zeros. The
    function may give several arrays, a tree of them.
    """
    b = x.shape[0]
    phases = math.ceil(length / hop)  # so many at least, or frames would reach into the next piece
    if jax.default_backend() == "cpu":
        phases = max(phases, math.ceil(frames / max(ROWS // max(b, 1), 1)))
    per_phase = math.ceil(frames / phases)
    piece = phases * hop
    total = (per_phase + 1) * piece
    x = jnp.pad(x[:, :total], ((0, 0), (0, max(total - x.shape[1], 0))))

    def one(phase):
        part = jax.lax.dynamic_slice(x, (0, phase * hop), (b, per_phase * piece))
        return function(part.reshape(b, per_phase, piece)[..., :length])

    def in_order(y):
        return jnp.moveaxis(y, 0, 2).reshape(b, -1, *y.shape[3:])[:, :frames]

    return jax.tree.map(in_order, jax.lax.map(one, jnp.arange(min(phases, frames))))


def per_spectrum(
    x: Float[Array, "b t"],
    function: Callable,
    *,
    n_fft: int = 2048,
    hop: int = 512,
    win: int | None = None,
    window: Window = "hann",
    center: bool = True,
    pad: Pad = "constant",
) -> PyTree:
    """function(spectra [b n k]) → [b n ...] of all the frames of `stft`, without keeping the spectra."""
    win = check_sizes(n_fft, hop, win)
    shape = window_of(window, win)[None, None]
    left = (n_fft - win) // 2
    if center:
        x = pad_wave(x, n_fft // 2, pad)
    frames = count_frames(x.shape[1], n_fft, hop, center)
    around = ((0, 0), (0, 0), (left, n_fft - win - left))
    return per_frame(
        x[:, left:],  # zeros beside the window: a frame is as long as its window
        lambda part: function(rfft(jnp.pad(part * shape, around), n_fft)),
        frames=frames,
        length=win,
        hop=hop,
    )


def check_sizes(n_fft: int, hop: int, win: int | None = None) -> int:
    """The length of the window, n_fft where win is None; ValueError where the sizes make no sense."""
    win = n_fft if win is None else win
    if n_fft < 2 or hop < 1 or not 1 <= win <= n_fft:
        raise ValueError(
            f"n_fft {n_fft}, hop {hop}, window {win} samples: n_fft must be at least 2, hop at least 1, the "
            f"window between 1 and n_fft"
        )
    return win


def count_frames(samples: int, n_fft: int, hop: int, center: bool) -> int:
    """Frames of so many samples, already padded (`center` is for the ValueError where not one fits)."""
    if samples < n_fft:
        raise ValueError(
            f"no frame fits into {samples} samples (n_fft {n_fft}, center={center}); give longer clips"
        )
    return 1 + (samples - n_fft) // hop
