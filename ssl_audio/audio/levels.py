"""Levels and extents of a wave: offset, pass band, activity, trimming, normalisation, windows.

Steps of cleaning are frozen dataclasses called as `step(wave, rate) -> wave`; a chain is a tuple of them.
Each also has `stream`, which reads a wave that needn't be in memory (anything with len() and slices) and
yields the result in blocks; where they end changes nothing but rounding. Nothing is random.
"""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64
from scipy import signal

BLOCK = 1 << 19  # samples that are worked on at once
CEILING = 32767 / 32768  # the loudest that int16 holds
SILENCE = 1e-5  # -100 dBFS, less than int16's half step: what never rises above it is never amplified


@runtime_checkable
class Samples(Protocol):
    """A wave, float32 [t], in memory or not."""

    def __len__(self) -> int: ...

    def __getitem__(self, at: slice) -> np.ndarray: ...


@dataclass
class Log:
    """What cleaning did that a reader of the sound must know.

    start, end  samples trimmed off
    short       dB by which a gain stayed below the wanted one, since the peak had reached full scale
    """

    start: int = 0
    end: int = 0
    short: float = 0.0


class Step:
    """One step of cleaning: a frozen dataclass with `stream`, and `check` if its settings can be wrong."""

    def check(self, rate: int) -> None:
        """ValueError if these settings make no sense, or not at `rate` Hz."""

    def stream(self, wave: Samples, rate: int, log: Log) -> Iterator[Float32[np.ndarray, " _"]]:
        """The cleaned wave in consecutive blocks; the wave is finite and has at least one sample."""
        raise NotImplementedError

    def __call__(
        self, wave: Float[np.ndarray, " t"], rate: int, log: Log | None = None
    ) -> Float32[np.ndarray, " _"]:
        """The cleaned wave (full scale is 1), of the same length (but for `Trim`).

        rate: Hz. log: is told what happened; without one a gain that full scale limited is a UserWarning.
        ValueError: NaN or infinite samples, settings that don't fit.
        """
        self.check(rate)
        wave = finite(wave)
        seen = Log() if log is None else log
        blocks = list(self.stream(wave, rate, seen)) if len(wave) else []
        if log is None and seen.short:
            text = f"{type(self).__name__}: the gain stayed {seen.short:.1f} dB below the wanted one, "
            warnings.warn(text + "since the peak is at full scale", stacklevel=2)
        return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def finite(wave: Float[np.ndarray, " t"]) -> Float32[np.ndarray, " t"]:
    """The wave as float32. ValueError: it isn't floats [t], or has NaN or infinite samples."""
    if wave.ndim != 1 or wave.dtype.kind != "f":
        raise ValueError(f"a wave of dtype {wave.dtype}, shape {wave.shape}: give floats [t], full scale 1")
    if not np.isfinite(wave).all():
        raise ValueError(f"NaN or infinite samples, first at sample {np.flatnonzero(~np.isfinite(wave))[0]}")
    return wave.astype(np.float32, copy=False)


def spans(length: int, size: int | None = None) -> Iterator[tuple[int, int]]:
    """(begin, end) of consecutive blocks of `size` samples, by default BLOCK."""
    size = BLOCK if size is None else size
    return ((at, min(at + size, length)) for at in range(0, length, size))


def _power(x: np.ndarray) -> float:
    return float(np.dot(x.astype(np.float64), x.astype(np.float64)))


# ---- offset and pass band


@dataclass(frozen=True)
class RemoveDC(Step):
    """The wave less its mean over the whole clip."""

    def stream(self, wave: Samples, rate: int, log: Log) -> Iterator[Float32[np.ndarray, " _"]]:
        total = sum(float(wave[a:b].sum(dtype=np.float64)) for a, b in spans(len(wave)))
        mean = np.float32(total / len(wave))
        yield from (wave[a:b] - mean for a, b in spans(len(wave)))


@dataclass(frozen=True)
class BandPass(Step):
    """Butterworth filter run forwards and backwards: zero phase, no delay, 6 dB down at the corners.

    low    Hz, the lower corner, 1 or more; 0: none (a low-pass)
    high   Hz, the upper corner, below half the rate; None: none (a high-pass)
    order  of the filter that is run twice: 12 dB an octave each at order 1

    Being zero-phase it smears a sharp onset to both sides (the ringing of low corners lasts about 1 / low s).
    """

    low: float = 50.0
    high: float | None = None
    order: int = 4

    def check(self, rate: int) -> None:
        high = rate / 2 if self.high is None else self.high
        below_half = self.high is None or self.high < rate / 2
        if not (below_half and self.low < high and (self.low == 0 or self.low >= 1) and self.order >= 1):
            raise ValueError(
                f"{self}: must be low < high < {rate / 2:g} Hz (half the rate), low 0 or at least 1 Hz, "
                "order at least 1; leave high away for a high-pass"
            )
        if self.low == 0 and self.high is None:
            raise ValueError(f"{self}: neither low nor high is given, so nothing would be filtered")

    def sections(self, rate: int) -> Float[np.ndarray, "s 6"]:
        """Second-order sections of the filter that is run twice."""
        if self.high is None:
            return signal.butter(self.order, self.low, "highpass", fs=rate, output="sos")
        if self.low == 0:
            return signal.butter(self.order, self.high, "lowpass", fs=rate, output="sos")
        return signal.butter(self.order, (self.low, self.high), "bandpass", fs=rate, output="sos")

    def stream(self, wave: Samples, rate: int, log: Log) -> Iterator[Float32[np.ndarray, " _"]]:
        sos = self.sections(rate)
        # a block needs so many samples around it: what lies beyond has died away to 1e-9, poles of several
        # sections together included
        slowest = np.abs(signal.sos2zpk(sos)[1]).max()
        context = math.ceil(math.log(1e-9) / math.log(slowest)) + 64
        for a, b in spans(len(wave), max(BLOCK, 4 * context)):
            first = max(0, a - context)
            x = wave[first : b + context].astype(np.float64)
            y = signal.sosfiltfilt(sos, x, padlen=min(len(x) - 1, 3 * (2 * len(sos) + 1)))
            yield y[a - first : b - first].astype(np.float32)


# ---- activity


FRAME = 0.01  # seconds
_QUIET = -80.0  # dBFS; what lies below is silence, whatever surrounds it


def activity(wave: Samples, rate: int, share: float = 0.3) -> Bool[np.ndarray, " f"]:
    """Which frames of 10 ms (the last may be shorter) hold sound, by their energy over 20 ms.

    The threshold adapts to the clip: in dB it lies `share` of the way from the level of its quiet frames
    (the 10th percentile) to that of its loudest one. Where the two are less than 6 dB apart there is nothing
    to tell apart, and all is sound. Below -80 dBFS all is silence.

    share: above 0, below 1; lower finds fainter sound.
    """
    if not 0 < share < 1:
        raise ValueError(f"share is {share}; it must lie between 0 and 1")
    hop = max(1, round(FRAME * rate))
    power = np.zeros(-(-len(wave) // hop), np.float32)  # a day has 9 million frames: few and small arrays
    for a, b in spans(len(wave), BLOCK // hop * hop or hop):
        at = np.arange(0, b - a, hop)
        square = np.add.reduceat(wave[a:b].astype(np.float64) ** 2, at)
        power[a // hop : -(-b // hop)] = square / np.minimum(hop, b - a - at)
    if not len(power):
        return np.zeros(0, bool)
    if len(power) > 1:  # a frame and the next; the last and the one before
        power[:-1] = (power[:-1] + power[1:]) / 2
        power[-1] = power[-2]
    level = np.maximum(power, np.float32(10 ** (_QUIET / 10)), out=power)
    np.multiply(np.log10(level, out=level), 10, out=level)
    quiet, loud = np.percentile(level, 10), level.max()
    threshold = quiet + share * (loud - quiet) if loud - quiet >= 6 else _QUIET
    return (level > _QUIET + 1e-3) & (level >= threshold)  # more than rounding of the floor


def segments(active: Bool[np.ndarray, " f"], join: float = 0.2) -> Float[np.ndarray, "n 2"]:
    """Begin and end (s) of each run of active frames; runs less than `join` seconds apart are one."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    runs = edges.reshape(-1, 2)
    apart = runs[1:, 0] - runs[:-1, 1] >= join / FRAME - 1e-9
    first, last = np.append(True, apart)[: len(runs)], np.append(apart, True)[: len(runs)]
    return np.stack([runs[first, 0], runs[last, 1]], 1) * FRAME


@dataclass(frozen=True)
class Trim(Step):
    """Silence taken off both ends, as `activity` sees it; `margin` seconds are kept around the sound.

    What is left begins log.start samples later than the wave did. Silence alone leaves nothing (0 samples).
    """

    share: float = 0.3
    margin: float = 0.05

    def check(self, rate: int) -> None:
        if not 0 < self.share < 1 or self.margin < 0:
            raise ValueError(f"{self}: must be 0 < share < 1 and margin >= 0 s")

    def stream(self, wave: Samples, rate: int, log: Log) -> Iterator[Float32[np.ndarray, " _"]]:
        frames = np.flatnonzero(activity(wave, rate, self.share))
        hop, margin = max(1, round(FRAME * rate)), round(self.margin * rate)
        first = max(0, int(frames[0]) * hop - margin) if len(frames) else len(wave)
        last = min(len(wave), (int(frames[-1]) + 1) * hop + margin) if len(frames) else len(wave)
        log.start += first
        log.end += len(wave) - last
        yield from (wave[first + a : first + b] for a, b in spans(last - first))


# ---- normalisation


class _Gain(Step):
    """One gain for the whole wave, never so much that a sample passes full scale (then the log is told)."""

    def wanted(self, wave: Samples, rate: int) -> float:
        """Decibels."""
        raise NotImplementedError

    def stream(self, wave: Samples, rate: int, log: Log) -> Iterator[Float32[np.ndarray, " _"]]:
        top, gain = peak(wave), np.float32(1)
        if top >= SILENCE:
            decibels, room = self.wanted(wave, rate), 20 * math.log10(CEILING / top)
            if decibels > room + 0.005:
                log.short = max(log.short, decibels - room)
            gain = np.float32(10 ** (min(decibels, room) / 20))
        yield from (wave[a:b] * gain for a, b in spans(len(wave)))


def peak(wave: Samples) -> float:
    """The largest magnitude; 0 of nothing."""
    return max((float(np.abs(wave[a:b]).max()) for a, b in spans(len(wave))), default=0.0)


def mean_square(wave: Samples) -> float:
    """The mean of the squared samples; 0 of nothing."""
    return sum(_power(wave[a:b]) for a, b in spans(len(wave))) / max(len(wave), 1)


@dataclass(frozen=True)
class Peak(_Gain):
    """The largest magnitude brought to `level` dBFS, at most 0. A wave that stays below -100 dBFS is left."""

    level: float = -1.0

    def check(self, rate: int) -> None:
        if not self.level <= 0:
            raise ValueError(f"{self}: level must be at most 0 dBFS")

    def wanted(self, wave: Samples, rate: int) -> float:
        return 20 * math.log10(10 ** (self.level / 20) * CEILING / peak(wave))


@dataclass(frozen=True)
class RMS(_Gain):
    """The root of the mean square brought to `level` dB of 1 (a sine at full scale has -3.01), at most 0.

    Less where the peak would pass full scale. A wave that stays below -100 dBFS is left.
    """

    level: float = -20.0

    def check(self, rate: int) -> None:
        if not self.level <= 0:
            raise ValueError(f"{self}: level must be at most 0 dB")

    def wanted(self, wave: Samples, rate: int) -> float:
        return self.level - 10 * math.log10(mean_square(wave))


@dataclass(frozen=True)
class Loudness(_Gain):
    """Integrated loudness (`loudness`) brought to `level` LUFS, at most 0; -23 is EBU R 128's.

    Less where the peak would pass full scale. A wave that is nowhere above -70 LUFS is left.
    """

    level: float = -23.0

    def check(self, rate: int) -> None:
        _k_weighting(rate)
        if not self.level <= 0:
            raise ValueError(f"{self}: level must be at most 0 LUFS")

    def wanted(self, wave: Samples, rate: int) -> float:
        measured = loudness(wave, rate)
        return self.level - measured if math.isfinite(measured) else 0.0


def loudness(wave: Samples, rate: int) -> float:
    """Integrated loudness of a mono wave in LUFS by ITU-R BS.1770-4: K-weighted, gated; -inf of silence.

    Blocks of 400 ms, three quarters overlapping; those below -70 LUFS, and then those more than 10 LU below
    the mean of the others, don't count. A wave of less than 400 ms is one block of its own length, where the
    recommendation gives no value. What is left over after the last whole 100 ms isn't measured.
    At 48 kHz the filters are the recommendation's table; near half of a low rate they differ from it (speech
    at 16 kHz reads about 0.1 LU higher than the same at 48 kHz).
    """
    sos = _k_weighting(rate)
    state, parts = np.zeros((2, 2)), np.zeros(len(wave) * 10 // rate + 1)  # energy of each 100 ms
    for a, b in spans(len(wave)):
        x, state = signal.sosfilt(sos, wave[a:b].astype(np.float64), zi=state)
        part = np.arange(a, b) * 10 // rate
        parts[part[0] : part[-1] + 1] += np.bincount(part - part[0], x * x)
    if len(wave) * 10 // rate < 4:
        blocks = np.array([parts.sum() / max(len(wave), 1)])
    else:
        blocks = np.convolve(parts[: len(wave) * 10 // rate], np.ones(4), "valid") / (0.4 * rate)
    level = -0.691 + 10 * np.log10(blocks + 1e-30)
    loud = level >= -70
    if not loud.any():
        return -math.inf
    loud &= level > -0.691 + 10 * math.log10(blocks[loud].mean()) - 10
    return -0.691 + 10 * math.log10(blocks[loud].mean())


def _k_weighting(rate: int) -> Float[np.ndarray, "2 6"]:
    """The two filters of BS.1770 at any rate: the analogue ones behind its table for 48 kHz (De Man 2014)."""
    if rate < 4000:
        raise ValueError(f"loudness is not defined at {rate} Hz: 4,000 Hz or more, or use rms or peak")
    k, q = math.tan(math.pi * 1681.974450955533 / rate), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    shelf = [high + band * k / q + k * k, 2 * (k * k - high), high - band * k / q + k * k]
    shelf = np.array([*shelf, 1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k]) / (1 + k / q + k * k)
    k, q = math.tan(math.pi * 38.13547087602444 / rate), 0.5003270373238773
    poles = np.array([1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k]) / (1 + k / q + k * k)
    return np.stack([shelf, np.array([1, -2, 1, *poles])])


# ---- windows


def windows(length: int, size: int, hop: int) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """(start, valid) of the windows that cover `length` samples: where each begins, how much of it is sound.

    They begin every `hop` samples, and only the last may reach over the end.
    ValueError: a number below 1, or a hop longer than the window, which would skip samples.
    """
    if length < 1 or size < 1 or not 1 <= hop <= size:
        raise ValueError(f"length={length}, size={size}, hop={hop}: all at least 1, and hop at most size")
    start = np.arange(1 + -(-max(length - size, 0) // hop), dtype=np.int64) * hop
    return start, np.minimum(size, length - start)


def split(
    wave: Float[np.ndarray, " t"], size: int, hop: int
) -> tuple[Float[np.ndarray, "n size"], Bool[np.ndarray, "n size"]]:
    """The `windows` of a wave with zeros after its end, and a mask that is True on its samples."""
    start, valid = windows(len(wave), size, hop)
    padded = np.pad(wave, (0, int(start[-1]) + size - len(wave)))
    cut = np.lib.stride_tricks.sliding_window_view(padded, size)[start]
    return cut, np.arange(size) < valid[:, None]
