"""The log-mel frontend: a frozen dataclass of settings that maps waves to normalised log-mel spectrograms."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int

ROWS = 512  # frames that a CPU transforms at a time: about 2 MB, the size of its cache


def _mel_from_hz(hz: np.ndarray, htk: bool) -> np.ndarray:
    if htk:
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    # Slaney's Auditory Toolbox: linear below 1 kHz (200/3 Hz a mel), 27 steps for a factor 6.4 above
    above = 15.0 + 27.0 * np.log(np.maximum(hz, 1.0) / 1000.0) / np.log(6.4)
    return np.where(hz < 1000.0, hz * 3.0 / 200.0, above)


def _hz_from_mel(mel: np.ndarray, htk: bool) -> np.ndarray:
    if htk:
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    return np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * np.exp((mel - 15.0) * np.log(6.4) / 27.0))


def mel_filters(
    rate: int, n_fft: int, mels: int, fmin: float, fmax: float, htk: bool = False, slaney_norm: bool = True
) -> Float[np.ndarray, "{1+n_fft//2} {mels}"]:
    """Triangular mel filters [bins, m], float32; transposed they are `librosa.filters.mel`'s."""
    bins = np.fft.rfftfreq(n_fft, 1.0 / rate)
    ends = np.array([fmin, fmax])
    low, high = _mel_from_hz(ends, htk)
    edges = _hz_from_mel(np.linspace(low, high, mels + 2), htk)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins[:, None] - left) / (centre - left)
    falling = (right - bins[:, None]) / (right - centre)
    filters = np.maximum(0.0, np.minimum(rising, falling))
    if slaney_norm:  # equal area
        filters *= 2.0 / (right - left)
    return filters.astype(np.float32)


# Left to itself XLA gathers a batch that is split over devices and has every device transform all of it. Here
# it is told that frames are independent, and the gradient: the map is linear, so its transpose.
_split_rfft = custom_partitioning(lambda frames: jnp.fft.rfft(frames))


def _partition_rfft(mesh, operands, result):
    spec = (*operands[0].sharding.spec, None, None, None)
    sharding = NamedSharding(mesh, PartitionSpec(spec[0], spec[1], None))
    return mesh, jnp.fft.rfft, sharding, (sharding,)


_split_rfft.def_partition(
    _partition_rfft, sharding_rule="b f n -> b f k", need_replication_factors=("n", "k")
)


@jax.custom_vjp
def _rfft(frames):
    return _split_rfft(frames)


def _rfft_forward(frames):
    return _split_rfft(frames), frames


def _rfft_backward(frames, gradient):
    return jax.linear_transpose(jnp.fft.rfft, frames)(gradient)


_rfft.defvjp(_rfft_forward, _rfft_backward)


@dataclass(frozen=True)
class LogMel:
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
        for name in ("mean", "std"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != self.mels:
                raise ValueError(f"LogMel: {name} has {len(value)} entries for {self.mels} bands")
        if np.min(self.std) <= 0:
            raise ValueError(f"LogMel: std must be positive, not {self.std}")

    @property
    def hash(self) -> str:
        """Sixteen hex digits that name all these fields; the same after a trip through JSON."""
        fields = dataclasses.asdict(self)
        plain = {k: float(v) if isinstance(v, int | float) else v for k, v in fields.items()}  # 60 is 60.0
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]

    def frames(self, samples: int) -> int:
        """Number of frames of a clip of `samples` samples; ValueError where not one fits."""
        frames = self._frames(samples)
        if samples < 1 or frames < 1:
            raise ValueError(
                f"LogMel: no frame fits into {samples} samples (n_fft {self.n_fft}, center={self.center}); "
                f"give longer clips"
            )
        return frames

    def _frames(self, samples):
        return 1 + (samples + self._padding * 2 - self.n_fft) // self.hop

    @property
    def _padding(self) -> int:
        return self.n_fft // 2 if self.center else 0

    def valid_frames(self, valid: Int[Array | np.ndarray, " b"]) -> Int[Array, " b"]:
        """Frames that a clip of `valid` samples has when alone; zeros behind it don't change them."""
        valid = jnp.asarray(valid)
        return jnp.where(valid > 0, jnp.maximum(self._frames(valid), 0), 0)

    def __call__(self, wave: Float[Array, "b t"]) -> Float[Array, "b f m"]:
        """(log-mel − mean) / std of waves in −1 to 1; ValueError where t is too short for one frame."""
        mean, std = (np.reshape(np.float32(value), (1, 1, -1)) for value in (self.mean, self.std))
        return (self.raw(wave) - mean) / std

    def raw(self, wave: Float[Array, "b t"]) -> Float[Array, "b f m"]:
        """The log-mel before normalisation."""
        mel = self._mel(wave.astype(jnp.float32))
        if self.log == "ln":
            return jnp.log(mel + self.floor)
        db = 20.0 / self.power * jnp.log10(jnp.maximum(mel, self.floor))
        if self.top_db is not None:
            db = jnp.maximum(db, db.max(axis=(1, 2), keepdims=True) - self.top_db)
        return db

    def _mel(self, wave):
        """Mel energies [b f m], a few frames of each clip at a time.

        Every `phases`-th frame heads a piece of the wave cut every phases * hop samples: a slice and a
        reshape, where gathering frames one by one costs more than the Fourier transform. Going through the
        phases in a loop keeps in the cache what lies between wave and mel.
        """
        b, t = wave.shape
        f = self.frames(t)
        phases = math.ceil(self.win / self.hop)  # so many at least, or frames would reach into the next piece
        if jax.default_backend() == "cpu":
            phases = max(phases, math.ceil(f / max(ROWS // max(b, 1), 1)))
        per_phase = math.ceil(f / phases)
        piece = phases * self.hop
        # zeros beside the window contribute nothing to a spectrum but phase: a frame is as long as its window
        start = self._padding - (self.n_fft - self.win) // 2
        wave = jnp.pad(wave[:, max(-start, 0) :], ((0, 0), (max(start, 0), 0)))
        length = (per_phase + 1) * piece
        wave = jnp.pad(wave[:, :length], ((0, 0), (0, max(length - wave.shape[1], 0))))
        window = np.float32(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.win) / self.win))[None, None]
        # the lower and the upper bands have few bins in common: half the products
        halves = []
        for filters in np.array_split(self.filters(), 2, axis=1):
            used = np.flatnonzero(filters.any(axis=1))
            bins = slice(used[0], used[-1] + 1) if used.size else slice(0, 1)
            halves.append((bins, filters[bins]))

        def mel(phase):
            part = jax.lax.dynamic_slice(wave, (0, phase * self.hop), (b, per_phase * piece))
            frames = part.reshape(b, per_phase, piece)[..., : self.win]
            spectrum = _rfft(jnp.pad(frames * window, ((0, 0), (0, 0), (0, self.n_fft - self.win))))
            energy = spectrum.real**2 + spectrum.imag**2
            if self.power != 2.0:  # the inner where keeps the gradient finite at silence
                energy = jnp.where(energy > 0, jnp.where(energy > 0, energy, 1.0) ** (self.power / 2.0), 0.0)
            # "highest": neither TF32 nor bfloat16 on accelerators
            bands = [jnp.matmul(energy[..., bins], filters, precision="highest") for bins, filters in halves]
            return jnp.concatenate(bands, axis=-1)

        mels = jax.lax.map(mel, jnp.arange(phases))
        return jnp.moveaxis(mels, 0, 2).reshape(b, -1, self.mels)[:, :f]

    def filters(self) -> Float[np.ndarray, "{1+self.n_fft//2} {self.mels}"]:
        """The mel filters [bins, m]."""
        return mel_filters(self.rate, self.n_fft, self.mels, self.fmin, self.fmax, self.htk, self.slaney_norm)

    def fit(self, waves: Iterable[np.ndarray], *, samples: int | None = None, batch: int = 64) -> "LogMel":
        """The same frontend with mean and std (two numbers) of the log-mel over `waves`.

        waves    1-d arrays of any lengths, int16 or floating (−1 to 1); read once, piece by piece
        samples  length of the pieces, best the crop that training uses; default one second
        Padding doesn't count. Raises ValueError where there is no sound or it doesn't vary.
        """
        samples = samples or self.rate

        @jax.jit
        def sums(wave, valid):
            x = self.raw(wave)
            there = (jnp.arange(x.shape[1])[None] < self.valid_frames(valid)[:, None])[..., None]
            x = jnp.where(there, x, 0.0)
            return there.sum() * self.mels, x.sum((1, 2)), (x * x).sum((1, 2))

        count, first, second = 0, 0.0, 0.0
        for wave, valid in _pieces(waves, samples, batch, self.n_fft):
            n, x, xx = jax.device_get(sums(*jax.device_put((wave, valid))))
            count += int(n)
            first += float(x.sum(dtype=np.float64))
            second += float(xx.sum(dtype=np.float64))
        if count == 0:
            raise ValueError("LogMel.fit: no frame of sound in what was given; check the store")
        mean = first / count
        variance = second / count - mean**2
        if not variance > 1e-6 * (1 + mean**2):  # nothing but rounding, or not a number
            raise ValueError(
                f"LogMel.fit: log-mel of mean {mean} and variance {variance}; silence or not-a-number in it?"
            )
        return dataclasses.replace(self, mean=mean, std=math.sqrt(variance))


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
