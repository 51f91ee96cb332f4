"""PCEN, and frontends whose parameters are trained: frozen dataclasses called as `front(wave, params, hop)`.

Waves [b t] in −1 to 1 become [b t//hop m], frame i over samples i * hop to (i + 1) * hop; beyond the ends
there are zeros. `front.init()` gives the parameters to begin with, a dict of arrays; `front.mels` the number
of bands. Filters are computed in float32; parameters rounded to bfloat16 put them at other frequencies.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ssl_audio.signal.frontend import band_energies, hz_from_mel, mel_filters, mel_from_hz

FLOOR = 1e-5  # of energies, before PCEN, as LEAF has it
Params = dict[str, Array | np.ndarray]

# --- PCEN ---


def smooth(
    x: Float[Array, "b f m"], rate: float | Float[Array, " m"], start: Float[Array, "b 1 m"] | None = None
) -> Float[Array, "b f m"]:
    """Running average y[f] = (1 − rate) y[f − 1] + rate x[f], with y[−1] = start, or x[0] where not given.

    log2(f) passes over all frames: a loop over frames would leave an accelerator idle.
    """
    start = x[:, :1] if start is None else start
    rate = jnp.reshape(jnp.asarray(rate, x.dtype), (1, 1, -1))
    keep, done = 1 - rate, 1
    y = rate * x
    y = jnp.concatenate([y[:, :1] + keep * start, y[:, 1:]], 1)
    while done < x.shape[1]:  # y holds the last `done` frames' share
        y = y + keep * jnp.pad(y[:, :-done], ((0, 0), (done, 0), (0, 0)))
        keep, done = keep * keep, 2 * done
    return y


def smoothing(rate: int, hop: int, seconds: float = 0.4) -> float:
    """The rate of `smooth` that averages over so many seconds, frames being hop samples apart."""
    frames = seconds * rate / hop
    return (math.sqrt(1 + 4 * frames**2) - 1) / (2 * frames**2)


def pcen(
    x: Float[Array, "b f m"],
    *,
    rate: float | Float[Array, " m"] = 0.04,
    gain: float | Float[Array, " m"] = 0.98,
    bias: float | Float[Array, " m"] = 2.0,
    power: float | Float[Array, " m"] = 0.5,
    eps: float = 1e-6,
    start: Float[Array, "b 1 m"] | None = None,
) -> Float[Array, "b f m"]:
    """Per-channel energy normalisation (x / (eps + smooth(x))^gain + bias)^power − bias^power.

    x      band energies or magnitudes, not negative; their scale matters through eps and bias
    rate   of the running average, see `smoothing`
    start  its state before the first frame: ones to be equal to librosa.pcen, the first frame by default
    All positive. Wang et al., "Trainable Frontend for Robust and Far-Field Keyword Spotting", 2017.
    """
    gain, bias, power = (jnp.reshape(jnp.asarray(v, x.dtype), (1, 1, -1)) for v in (gain, bias, power))
    level = math.log(eps) + jnp.log1p(smooth(x, rate, start) / eps)
    return bias**power * jnp.expm1(power * jnp.log1p(x * jnp.exp(-gain * level) / bias))


def pcen_init(
    mels: int, *, rate: float = 0.04, gain: float = 0.96, bias: float = 2.0, power: float = 0.5
) -> Params:
    """Parameters of `trained_pcen`, one for each band: logarithms, and the rate's logit. LEAF's values."""
    logs = {"gain": math.log(gain), "bias": math.log(bias), "power": math.log(power)}
    logs["rate"] = math.log(rate / (1 - rate))
    return {name: np.full(mels, value, np.float32) for name, value in logs.items()}


def trained_pcen(x: Float[Array, "b f m"], params: Params, eps: float = 1e-12) -> Float[Array, "b f m"]:
    """`pcen` with trained parameters in every band, its running average too: LEAF's sPCEN."""
    logs = {name: jnp.exp(params[name]) for name in ("gain", "bias", "power")}
    return pcen(x, rate=jax.nn.sigmoid(params["rate"]), eps=eps, **logs)


# --- filters ---


def gabor_filters(
    centre: Float[Array, " m"], width: Float[Array, " m"], taps: int
) -> tuple[Float[Array, "t m"], Float[Array, "t m"]]:
    """Real and imaginary part of Gaussians of `width` samples (std) and area 1, turning at `centre` radians
    a sample."""
    time = np.arange(taps, dtype=np.float32)[:, None] - (taps // 2)
    width, centre = width[None], centre[None]
    envelope = jnp.exp(-0.5 * (time / width) ** 2) / (math.sqrt(2 * math.pi) * width)
    return envelope * jnp.cos(centre * time), envelope * jnp.sin(centre * time)


def sinc_filters(low: Float[Array, " m"], high: Float[Array, " m"], taps: int) -> Float[Array, "t m"]:
    """Band-passes from low to high (fractions of the rate) of gain 1, in a Hamming window."""
    time = np.arange(taps, dtype=np.float32)[:, None] - (taps // 2)
    window = np.float32(0.54 + 0.46 * np.cos(2 * np.pi * time / taps))
    below = lambda edge: 2 * edge[None] * jnp.sinc(2 * edge[None] * time)
    return (below(high) - below(low)) * window


def convolve(x: Float[Array, "b t"], filters: Float[Array, "n m"], before: int, after: int):
    """Each wave, so many zeros put (or, negative, samples cut) at its ends, correlated with all filters."""
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (before, after, 0)))
    return jax.lax.conv_general_dilated(
        x[..., None], filters[:, None], (1,), "VALID", dimension_numbers=("NWC", "WIO", "NWC"),
        precision="highest",
    )  # fmt: skip


def _check(front, **odd):
    name = type(front).__name__
    if not 0 <= front.fmin < front.fmax <= front.rate / 2:
        raise ValueError(
            f"{name}: bands from {front.fmin} to {front.fmax} Hz are not within 0 to {front.rate / 2} Hz, "
            f"half the rate; change fmin, fmax or rate"
        )
    for field, value in odd.items():
        if value < 3 or value % 2 == 0:
            raise ValueError(f"{name}: {field} {value} must be odd and at least 3, to have a middle")
    if front.mels < 1:
        raise ValueError(f"{name}: mels {front.mels} must be at least 1")


def _edges(front) -> np.ndarray:
    """mels + 2 frequencies, Hz, evenly spaced on HTK's mel scale."""
    low, high = mel_from_hz(np.array([front.fmin, front.fmax]), True)
    return hz_from_mel(np.linspace(low, high, front.mels + 2), True)


# --- frontends ---


@dataclass(frozen=True)
class LEAF:
    """Gabor filters, squared modulus, Gaussian low-passes, PCEN, all trained.

    Zeghidour et al., "LEAF: A Learnable Frontend for Audio Classification", 2021. Its initial filters have
    the centres and half-power widths of mel filters. Costs 4 * taps * mels operations a sample.
    taps    length of the Gabor filters, samples, odd
    window  length of the low-passes, samples, odd
    """

    rate: int = 16_000
    mels: int = 40
    taps: int = 401
    window: int = 401
    fmin: float = 60.0
    fmax: float = 7800.0

    def __post_init__(self):
        _check(self, taps=self.taps, window=self.window)

    def init(self) -> Params:
        """centre: radians a sample; width: samples; pool: share of half the window; and `pcen_init`."""
        edges = _edges(self) / self.rate
        # at half its height the root of a triangle is 3/4 as wide as its base
        width = math.sqrt(2 * math.log(2)) / (math.pi * 0.75 * (edges[2:] - edges[:-2]))
        found = {"centre": 2 * np.pi * edges[1:-1], "width": width, "pool": np.full(self.mels, 0.4)}
        return {k: v.astype(np.float32) for k, v in found.items()} | pcen_init(self.mels)

    def __call__(self, x: Float[Array, "b t"], params: Params, hop: int) -> Float[Array, "b f m"]:
        b, t = x.shape
        f = t // hop
        least = 4 * math.sqrt(2 * math.log(2)) / math.pi
        centre = jnp.clip(params["centre"], 0, math.pi)
        width = jnp.clip(params["width"], least, least / 4 * self.taps)
        real, imaginary = gabor_filters(centre, width, self.taps)
        # whole windows of the low-pass, each around its frame, the zeros beyond the ends filtered too
        before = self.window // 2 - hop // 2
        blocks = f - 1 + -(-self.window // hop)
        after = blocks * hop - before - t
        filters = jnp.concatenate([real, imaginary], 1)
        y = convolve(x, filters, self.taps // 2 + before, self.taps // 2 + after)
        energy = y[..., : self.mels] ** 2 + y[..., self.mels :] ** 2
        energy = energy.reshape(b, blocks, hop, self.mels)
        lowpass = self.lowpass(jnp.asarray(params["pool"]))
        lowpass = jnp.pad(lowpass, ((0, -self.window % hop), (0, 0))).reshape(-1, hop, self.mels)
        parts = (jnp.sum(energy[:, i : i + f] * lowpass[None, None, i], 2) for i in range(len(lowpass)))
        return trained_pcen(jnp.maximum(sum(parts), FLOOR), params)

    def lowpass(self, pool: Float[Array, " m"]) -> Float[Array, "n m"]:
        """Gaussians of area 1 whose std is `pool` times half the window."""
        half = (self.window - 1) / 2
        time = np.arange(self.window, dtype=np.float32)[:, None] - half
        shape = jnp.exp(-0.5 * (time / (half * jnp.clip(pool, 2 / self.window, 0.5)[None])) ** 2)
        return shape / shape.sum(0, keepdims=True)


@dataclass(frozen=True)
class SincNet:
    """Trained band-passes, modulus, maximum over each frame.

    Ravanelli & Bengio, "Speaker Recognition from Raw Waveform with SincNet", 2018, whose maximum is over 3
    samples and further convolutions follow; here it is over the frame. The initial bands touch, evenly spaced
    in mel.
    taps  length of the filters, samples, odd
    """

    rate: int = 16_000
    mels: int = 80
    taps: int = 251
    fmin: float = 30.0
    fmax: float = 7900.0

    def __post_init__(self):
        _check(self, taps=self.taps)

    def init(self) -> Params:
        """low, band: lower edges and widths beyond the least (50 Hz both), fractions of the rate."""
        low, high = mel_from_hz(np.array([self.fmin, self.fmax]), True)
        edges = hz_from_mel(np.linspace(low, high, self.mels + 1), True)
        found = {"low": np.maximum(edges[:-1] - 50, 1), "band": np.maximum(np.diff(edges) - 50, 1)}
        return {k: (v / self.rate).astype(np.float32) for k, v in found.items()}

    def edges(self, params: Params) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
        """Lower and upper edges of the bands, fractions of the rate."""
        least = 50 / self.rate
        low = jnp.minimum(least + jnp.abs(params["low"]), 0.5 - least)
        return low, jnp.minimum(low + least + jnp.abs(params["band"]), 0.5)

    def __call__(self, x: Float[Array, "b t"], params: Params, hop: int) -> Float[Array, "b f m"]:
        b, f = x.shape[0], x.shape[1] // hop
        y = convolve(x, sinc_filters(*self.edges(params), self.taps), self.taps // 2, self.taps // 2)
        return jnp.abs(y[:, : f * hop].reshape(b, f, hop, self.mels)).max(2)


@dataclass(frozen=True)
class MelPCEN:
    """Fixed mel energies, trained PCEN in every band (Wang et al. 2017)."""

    rate: int = 16_000
    mels: int = 64
    n_fft: int = 1024
    fmin: float = 60.0
    fmax: float = 7800.0

    def __post_init__(self):
        _check(self)

    def init(self) -> Params:
        """See `pcen_init`."""
        return pcen_init(self.mels)

    def __call__(self, x: Float[Array, "b t"], params: Params, hop: int) -> Float[Array, "b f m"]:
        filters, f = mel_filters(self.rate, self.n_fft, self.mels, self.fmin, self.fmax), x.shape[1] // hop
        before = self.n_fft // 2 - hop // 2  # windows in the middle of their frames
        after = (f - 1) * hop + self.n_fft - before - x.shape[1]
        x = jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (before, after, 0)))
        energy = band_energies(x, filters, n_fft=self.n_fft, win=self.n_fft, hop=hop, center=False)
        return trained_pcen(jnp.maximum(energy, FLOOR), params)
