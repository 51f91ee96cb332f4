"""What every frontend is, and the log-mel frontend: settings that map waves to normalised spectrograms."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ssl_audio.signal.frames import per_spectrum


def mel_from_hz(hz: np.ndarray, htk: bool) -> np.ndarray:
    if htk:
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    # Slaney's Auditory Toolbox: linear below 1 kHz (200/3 Hz a mel), 27 steps for a factor 6.4 above
    above = 15.0 + 27.0 * np.log(np.maximum(hz, 1.0) / 1000.0) / np.log(6.4)
    return np.where(hz < 1000.0, hz * 3.0 / 200.0, above)


def hz_from_mel(mel: np.ndarray, htk: bool) -> np.ndarray:
    if htk:
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    return np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * np.exp((mel - 15.0) * np.log(6.4) / 27.0))


def mel_filters(
    rate: int, n_fft: int, mels: int, fmin: float, fmax: float, htk: bool = False, slaney_norm: bool = True
) -> Float[np.ndarray, "{1+n_fft//2} {mels}"]:
    """Triangular mel filters [bins, m], float32; transposed they are `librosa.filters.mel`'s."""
    bins = np.fft.rfftfreq(n_fft, 1.0 / rate)
    ends = np.array([fmin, fmax])
    low, high = mel_from_hz(ends, htk)
    edges = hz_from_mel(np.linspace(low, high, mels + 2), htk)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins[:, None] - left) / (centre - left)
    falling = (right - bins[:, None]) / (right - centre)
    filters = np.maximum(0.0, np.minimum(rising, falling))
    if slaney_norm:  # equal area
        filters *= 2.0 / (right - left)
    return filters.astype(np.float32)


def band_energies(
    wave: Float[Array, "b t"],
    filters: Float[np.ndarray, "k m"],
    *,
    n_fft: int,
    win: int,
    hop: int,
    center: bool = True,
    power: float = 2.0,
) -> Float[Array, "b f m"]:
    """Filters times short-time spectra (periodic Hann window in the middle of n_fft) to the power `power`."""
    # the lower and the upper bands have few bins in common: half the products
    halves = []
    for half in np.array_split(filters, 2, axis=1):
        used = np.flatnonzero(half.any(axis=1))
        bins = slice(used[0], used[-1] + 1) if used.size else slice(0, 1)
        halves.append((bins, half[bins]))

    def bands(spectrum):
        energy = spectrum.real**2 + spectrum.imag**2
        if power != 2.0:  # the inner where keeps the gradient finite at silence
            energy = jnp.where(energy > 0, jnp.where(energy > 0, energy, 1.0) ** (power / 2.0), 0.0)
        # "highest": neither TF32 nor bfloat16 on accelerators
        parts = [jnp.matmul(energy[..., bins], half, precision="highest") for bins, half in halves]
        return jnp.concatenate(parts, axis=-1)

    return per_spectrum(wave, bands, n_fft=n_fft, win=win, hop=hop, center=center)


class Frontend:
    """Waves [b t] to normalised features [b f m]: what the frozen dataclasses of settings here share.

    A frontend has the fields below (`mels` may be a property) and `raw`; its hash names it in checkpoints.
    Mean and std are a part of it, so that they travel with the weights. Unless it says otherwise in
    `_frames`, `_least`, `step` and `centre`, its frames are `n_fft` long and frame i is centred on sample
    i * hop.
    """

    rate: int
    """Samples a second."""
    mels: int
    """Features a frame: mel bands, or whatever else the frontend gives."""
    mean: float | tuple[float, ...]
    std: float | tuple[float, ...]

    _each = False  # whether `fit` gives each feature its own mean and std

    def __post_init__(self):
        name = type(self).__name__
        for field in ("mean", "std"):
            value = getattr(self, field)
            if isinstance(value, tuple) and len(value) != self.mels:
                raise ValueError(f"{name}: {field} has {len(value)} entries for {self.mels} bands")
        if np.min(self.std) <= 0:
            raise ValueError(f"{name}: std must be positive, not {self.std}")

    @property
    def hash(self) -> str:
        """Sixteen hex digits that name the class and all its fields; the same after a trip through JSON."""
        fields = dataclasses.asdict(self)
        plain = {k: float(v) if isinstance(v, int | float) else v for k, v in fields.items()}  # 60 is 60.0
        if not isinstance(self, LogMel):  # the first there was; its hashes stand in checkpoints
            plain["class"] = type(self).__name__
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def step(self) -> int:
        """Samples from one frame to the next."""
        return self.hop

    @property
    def centre(self) -> float:
        """The middle of the first frame, samples from the clip's beginning."""
        return 0.0

    def frames(self, samples: int) -> int:
        """Number of frames of a clip of `samples` samples; ValueError where not one fits."""
        frames = self._frames(samples)
        if samples < 1 or frames < 1:
            raise ValueError(
                f"{type(self).__name__}: no frame fits into {samples} samples at these settings; "
                f"give longer clips"
            )
        return frames

    def _frames(self, samples):
        """Frames of so many samples, an int or an array of them; may be negative."""
        return 1 + (samples + self.n_fft // 2 * 2 - self.n_fft) // self.hop

    @property
    def _least(self) -> int:
        """Samples of the shortest remainder of a clip that `fit` looks at."""
        return self.n_fft

    def valid_frames(self, valid: Int[Array | np.ndarray, " b"]) -> Int[Array, " b"]:
        """Frames that a clip of `valid` samples has when alone; zeros behind it don't change them."""
        valid = jnp.asarray(valid)
        return jnp.where(valid > 0, jnp.maximum(self._frames(valid), 0), 0)

    def __call__(self, wave: Float[Array, "b t"]) -> Float[Array, "b f m"]:
        """(features − mean) / std of waves in −1 to 1; ValueError where t is too short for one frame."""
        mean, std = (np.reshape(np.float32(value), (1, 1, -1)) for value in (self.mean, self.std))
        return (self.raw(wave) - mean) / std

    def raw(self, wave: Float[Array, "b t"]) -> Float[Array, "b f m"]:
        """The features before normalisation, float32."""
        raise NotImplementedError

    def fit(self, waves: Iterable[np.ndarray], *, samples: int | None = None, batch: int = 64) -> "Frontend":
        """The same frontend with mean and std of its features over `waves`: two numbers, or two for each
        cepstral coefficient.

        waves    1-d arrays of any lengths, int16 or floating (−1 to 1); read once, piece by piece
        samples  length of the pieces, best the crop that training uses; default one second
        Padding doesn't count. Raises ValueError where there is no sound or it doesn't vary.
        """
        samples, name = samples or self.rate, type(self).__name__
        axes = (1,) if self._each else (1, 2)

        @jax.jit
        def sums(wave, valid):
            x = self.raw(wave)
            there = (jnp.arange(x.shape[1])[None] < self.valid_frames(valid)[:, None])[..., None]
            x = jnp.where(there, x, 0.0)
            return there.sum() * (1 if self._each else self.mels), x.sum(axes), (x * x).sum(axes)

        count, first, second = 0, 0.0, 0.0
        for wave, valid in _pieces(waves, samples, batch, self._least):
            n, x, xx = jax.device_get(sums(*jax.device_put((wave, valid))))
            count += int(n)
            first = first + x.sum(0, dtype=np.float64)
            second = second + xx.sum(0, dtype=np.float64)
        if count == 0:
            raise ValueError(f"{name}.fit: no frame of sound in what was given; check the store")
        mean = first / count
        variance = second / count - mean**2
        if not np.all(variance > 1e-6 * (1 + mean**2)):  # nothing but rounding, or not a number
            raise ValueError(
                f"{name}.fit: features of mean {mean} and variance {variance}; silence or not-a-number in it?"
            )
        plain = (lambda x: tuple(x.tolist())) if self._each else float
        return dataclasses.replace(self, mean=plain(mean), std=plain(np.sqrt(variance)))


@dataclass(frozen=True)
class LogMel(Frontend):
    """Waves [b t] to log-mel spectrograms [b f m], as librosa computes them; float32 throughout.

    rate        samples a second
    n_fft       length of the Fourier transform, samples
    win         length of the (periodic) Hann window, samples, <= n_fft; it sits in the middle of n_fft
    hop         samples from one frame to the next
    mels        number of bands
    fmin, fmax  lower and upper edge of the bands, Hz; 0 <= fmin < fmax <= rate / 2
    htk         HTK's mel scale rather than Slaney's
    slaney_norm filters of equal area (librosa norm="slaney"), else of equal height (norm=None)
    power       2: energies; 1: magnitudes
    log         "ln": log(mel + floor); "db": decibels of max(mel, floor)
    top_db      "db" only: nothing is further than this below the loudest of its clip
    center      zeros are put at both ends so that frame i is centred on sample i * hop
    mean, std   of the log-mel over the training data (numbers, or one for each band; see `fit`); a part of
                the frontend, so that they travel with the weights
    """

    rate: int = 16_000
    n_fft: int = 1024
    win: int = 1024
    hop: int = 160
    mels: int = 64
    fmin: float = 60.0
    fmax: float = 7800.0
    htk: bool = False
    slaney_norm: bool = True
    power: float = 2.0
    log: Literal["ln", "db"] = "ln"
    floor: float = 1e-7
    top_db: float | None = None
    center: bool = True
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0

    def __post_init__(self):
        if not 0 <= self.fmin < self.fmax <= self.rate / 2:
            raise ValueError(
                f"LogMel: bands from {self.fmin} to {self.fmax} Hz are not within 0 to {self.rate / 2} Hz, "
                f"half the rate; change fmin, fmax or rate"
            )
        if not 1 <= self.win <= self.n_fft:
            raise ValueError(f"LogMel: window {self.win} must be between 1 and n_fft {self.n_fft} samples")
        if self.hop < 1 or self.mels < 1:
            raise ValueError(f"LogMel: hop {self.hop} and mels {self.mels} must be at least 1")
        if self.top_db is not None and self.log != "db":
            raise ValueError("LogMel: top_db is for log='db' only; drop it or change log")
        if self.floor <= 0 or self.power <= 0:
            raise ValueError(f"LogMel: floor {self.floor} and power {self.power} must be positive")
        super().__post_init__()

    def _frames(self, samples):
        padding = self.n_fft // 2 if self.center else 0
        return 1 + (samples + padding * 2 - self.n_fft) // self.hop

    def raw(self, wave: Float[Array, "b t"]) -> Float[Array, "b f m"]:
        """The log-mel before normalisation."""
        self.frames(wave.shape[1])
        mel = band_energies(
            wave.astype(jnp.float32),
            self.filters(),
            n_fft=self.n_fft,
            win=self.win,
            hop=self.hop,
            center=self.center,
            power=self.power,
        )
        if self.log == "ln":
            return jnp.log(mel + self.floor)
        db = 20.0 / self.power * jnp.log10(jnp.maximum(mel, self.floor))
        if self.top_db is not None:
            db = jnp.maximum(db, db.max(axis=(1, 2), keepdims=True) - self.top_db)
        return db

    def filters(self) -> Float[np.ndarray, "{1+self.n_fft//2} {self.mels}"]:
        """The mel filters [bins, m]."""
        return mel_filters(self.rate, self.n_fft, self.mels, self.fmin, self.fmax, self.htk, self.slaney_norm)


def _pieces(
    waves: Iterable[np.ndarray], samples: int, batch: int, least: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Float32 [batch, samples] with the number of valid samples in each row, always of this one shape."""
    wave, valid, row = np.zeros((batch, samples), np.float32), np.zeros(batch, np.int32), 0
    for clip in waves:
        scale = np.float32(1 / 32768 if np.issubdtype(clip.dtype, np.integer) else 1)
        for start in range(0, len(clip), samples):
            piece = clip[start : start + samples]
            if start and len(piece) < least:  # the few samples left over would look like silence
                break
            wave[row, : len(piece)] = piece * scale
            valid[row] = len(piece)
            row += 1
            if row == batch:
                yield wave, valid
                wave, valid, row = np.zeros_like(wave), np.zeros_like(valid), 0
    if row:
        yield wave, valid
