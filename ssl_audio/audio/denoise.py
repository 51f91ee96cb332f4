"""Noise reduction on the host (numpy, scipy): `SpectralGate`, `Wiener`, `Wavelet`; `NLMS` for two channels.

The first three are steps of cleaning (levels.py). Whether one helps is a question to measure, not to assume:
results/cleaning.md has what they do to speech in rain, wind and engine noise.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.fft
from jaxtyping import Complex64, Float, Float32
from scipy import ndimage, signal

from ssl_audio.audio.levels import SILENCE, Log, Samples, Step, finite, spans

_CELLS = 1 << 20  # frames times bins of a spectrogram that are worked on at once


# ---- short-time spectra


class _Frames:
    """Hann frames of about 32 ms, a quarter apart, centred on multiples of the hop; zeros around the wave."""

    def __init__(self, wave: Samples, rate: int):
        self.size = max(16, 2 ** round(math.log2(0.032 * rate)))
        self.hop = self.size // 4
        self.count = 1 + -(-len(wave) // self.hop)
        self.bins = self.size // 2 + 1
        self.wave = wave
        self.window = signal.get_window("hann", self.size).astype(np.float32)

    def blocks(self) -> Iterator[tuple[int, int]]:
        return spans(self.count, max(16, _CELLS // self.bins))

    def inside(self) -> tuple[int, int]:
        """The frames that lie within the wave; all, if none does."""
        first, last = 2, (len(self.wave) - self.size // 2) // self.hop + 1
        return (first, last) if last > first else (0, self.count)

    def windowed(self, first: int, last: int) -> Float32[np.ndarray, "f size"]:
        begin, end = first * self.hop - self.size // 2, (last - 1) * self.hop + self.size // 2
        x = self.wave[max(0, begin) : max(0, end)]
        x = np.pad(x, (max(0, -begin), 0))
        x = np.pad(x, (0, end - begin - len(x)))
        return np.lib.stride_tricks.sliding_window_view(x, self.size)[:: self.hop] * self.window

    def spectra(self, first: int, last: int) -> Complex64[np.ndarray, "f k"]:
        return scipy.fft.rfft(self.windowed(first, last), axis=1)

    def join(self, blocks: Iterable[Complex64[np.ndarray, "f k"]]) -> Iterator[Float32[np.ndarray, " _"]]:
        """The wave of all frames in order: overlapped, added, divided by the sum of the squared windows."""
        square, lap = self.window**2, self.size - self.hop
        rest, weight = np.zeros(lap, np.float32), np.zeros(lap, np.float32)
        at, end = -self.size // 2, len(self.wave)  # place of rest[0]
        for spectra in blocks:
            n = len(spectra)
            pieces = scipy.fft.irfft(spectra, self.size, axis=1) * self.window
            total = np.pad(rest, (0, n * self.hop))
            weights = np.pad(weight, (0, n * self.hop))
            for quarter in range(4):  # the quarters of all frames lie end to end
                part = slice(quarter * self.hop, (quarter + 1) * self.hop)
                place = slice(quarter * self.hop, (quarter + n) * self.hop)
                total[place] += pieces[:, part].reshape(-1)
                weights[place] += np.tile(square[part], n)
            done = n * self.hop
            a, b = max(0, -at), min(done, end - at)
            if b > a:
                yield total[a:b] / weights[a:b]
            rest, weight, at = total[done:], weights[done:], at + done
        a, b = max(0, -at), min(lap, end - at)
        if b > a:
            yield rest[a:b] / weight[a:b]


def _quiet_frames(frames: _Frames, share: float = 0.1) -> Iterator[Float32[np.ndarray, "f k"]]:
    """Power spectra of the quietest `share` of the frames (of 16 if there are); none if they are silent."""
    first, last = frames.inside()
    energy = np.zeros(frames.count, np.float32)
    for a, b in frames.blocks():
        energy[a:b] = (frames.windowed(a, b) ** 2).sum(1)
    count = max(math.ceil(share * (last - first)), min(last - first, 16))
    threshold = np.partition(energy[first:last], count - 1)[count - 1]
    if threshold <= SILENCE**2 * (frames.window**2).sum():
        return
    quiet = np.zeros(frames.count, bool)
    quiet[first:last] = energy[first:last] <= threshold
    for a, b in frames.blocks():
        if quiet[a:b].any():
            yield _square(frames.spectra(a, b)[quiet[a:b]])


def _all_frames(frames: _Frames) -> Iterator[Float32[np.ndarray, "f k"]]:
    first, last = frames.inside()
    for a, b in frames.blocks():
        if max(a, first) < min(b, last):
            yield _square(frames.spectra(max(a, first), min(b, last)))


def _square(z: np.ndarray) -> np.ndarray:
    return z.real**2 + z.imag**2


def _decibels(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(power + np.float32(1e-20))


class _Spectral(Step):
    """A gain for each cell of the spectrogram, against noise that is given, or heard in the quiet frames."""

    reduction: float

    def check(self, rate: int) -> None:
        if not 0 <= self.reduction <= 120:
            raise ValueError(f"{self}: reduction must lie between 0 and 120 dB")

    def __call__(
        self,
        wave: Float[np.ndarray, " t"],
        rate: int,
        log: Log | None = None,
        noise: Float[np.ndarray, " s"] | None = None,
    ) -> Float32[np.ndarray, " _"]:
        """As every step. noise: a stretch of the noise alone at the same rate, 50 ms or more.

        ValueError: as every step, for less noise than that, or where the step doesn't ask for the noise.
        """
        if noise is None:
            return super().__call__(wave, rate, log)
        self.check(rate)
        if getattr(self, "moving", False):
            raise ValueError(f"{self}: a moving gate follows the wave itself; give no noise, or moving=False")
        wave, noise = finite(wave), finite(noise)
        if len(noise) < 0.05 * rate:
            raise ValueError(f"noise of {len(noise)} samples: give {math.ceil(0.05 * rate)} or more (50 ms)")
        power = _all_frames(_Frames(noise, rate)) if np.abs(noise).max() >= SILENCE else iter(())
        blocks = list(self._filter(wave, rate, power)) if len(wave) else []
        return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)

    def stream(self, wave: Samples, rate: int, log: Log) -> Iterator[Float32[np.ndarray, " _"]]:
        return self._filter(wave, rate, _quiet_frames(_Frames(wave, rate)))

    def _filter(
        self, wave: Samples, rate: int, noise: Iterator[Float32[np.ndarray, "f k"]]
    ) -> Iterator[Float32[np.ndarray, " _"]]:
        frames = _Frames(wave, rate)
        gains = self.gains(frames, rate, noise)
        if gains is None:
            yield from (wave[a:b] for a, b in spans(len(wave)))
        else:
            spectra = (frames.spectra(a, b) for a, b in frames.blocks())
            yield from frames.join(z * g for z, g in zip(spectra, gains, strict=True))

    def gains(
        self, frames: _Frames, rate: int, noise: Iterator[Float32[np.ndarray, "f k"]]
    ) -> Iterator[Float32[np.ndarray, "f k"]] | None:
        """Gains for each of frames.blocks(); None: there is no noise, the wave stays as it is."""
        raise NotImplementedError


@dataclass(frozen=True)
class SpectralGate(_Spectral):
    """Cells of the spectrogram that don't stand out from the noise are turned down (Sainburg & Zorea 2024).

    reduction  dB by which they are turned down
    moving     False: a cell stands out where its level (dB) is more than `deviations` standard deviations
               above the mean of the noise in its bin. The noise is a given clip, or the quietest tenth of the
               frames: what never pauses is noise, and beside digital silence nothing is (trim that first).
               True: it stands out where its magnitude is over 3 times its bin's mean for `seconds` around.
    smooth     half-widths of the triangle that smooths the mask, Hz and s; 0: none

    Equal to noisereduce 3 without smoothing; its triangle is wider, which turns clean tones down.
    """

    reduction: float = 20.0
    moving: bool = False
    deviations: float = 1.5
    seconds: float = 2.0
    smooth: tuple[float, float] = (60.0, 0.03)

    def check(self, rate: int) -> None:
        super().check(rate)
        if not 0 < self.seconds <= 5 or not all(0 <= width for width in self.smooth):
            raise ValueError(f"{self}: seconds must lie between 0 and 5, smooth must not be negative")

    def gains(
        self, frames: _Frames, rate: int, noise: Iterator[Float32[np.ndarray, "f k"]]
    ) -> Iterator[Float32[np.ndarray, "f k"]] | None:
        threshold = None if self.moving else self._threshold(noise)
        if not self.moving and threshold is None:
            return None
        return self._gains(frames, rate, threshold)

    def _threshold(self, noise: Iterator[Float32[np.ndarray, "f k"]]) -> Float[np.ndarray, " k"] | None:
        count, total, squares = 0, 0.0, 0.0
        for power in noise:
            level = _decibels(power).astype(np.float64)
            count, total, squares = count + len(level), total + level.sum(0), squares + (level**2).sum(0)
        if not count:
            return None
        mean = total / count
        return mean + self.deviations * np.sqrt(np.maximum(squares / count - mean**2, 0))

    def _gains(self, frames: _Frames, rate: int, threshold: Float[np.ndarray, " k"] | None):
        wide, long = int(self.smooth[0] * frames.size / rate), int(self.smooth[1] * rate / frames.hop)
        slow = self.seconds * rate / frames.hop  # frames
        # what a frame's mask hears of frames further off than that is about 1e-5
        context = long + (math.ceil(14 * slow) if self.moving else 0)
        floor = np.float32(10 ** (-self.reduction / 20))
        for a, b in frames.blocks():
            first, last = max(0, a - context), min(frames.count, b + context)
            if self.moving:
                pieces = (frames.spectra(first + c, first + d) for c, d in spans(last - first, b - a))
                mask = _stands_out(np.concatenate([np.abs(piece) for piece in pieces]), slow)
            else:
                mask = (_decibels(_square(frames.spectra(first, last))) > threshold).astype(np.float32)
            for axis, width in ((0, long), (1, wide)):
                triangle = 1 - np.abs(np.arange(-width, width + 1)) / (width + 1)
                mask = ndimage.convolve1d(mask, triangle / triangle.sum(), axis, mode="nearest")
            yield floor + (1 - floor) * mask[a - first : b - first]


def _stands_out(magnitude: Float32[np.ndarray, "f k"], slow: float) -> Float32[np.ndarray, "f k"]:
    """0 to 1: how surely a cell is over 3 times its bin's running mean, which goes forwards and backwards."""
    pole = (math.sqrt(1 + 4 * slow**2) - 1) / (2 * slow**2)
    mask = np.empty_like(magnitude)
    for a, b in spans(magnitude.shape[1], 64):  # few bins at a time: the filter needs several copies
        here = magnitude[:, a:b]
        mean = signal.filtfilt([pole], [1, pole - 1], here, axis=0, padtype=None)
        over = here / np.maximum(mean, 1e-10) - 3
        mask[:, a:b] = 1 / (1 + np.exp(np.clip(-10 * over, -60, 60)))
    return mask


@dataclass(frozen=True)
class Wiener(_Spectral):
    """Wiener gain with the decision-directed a-priori SNR (Scalart & Filho 1996; Ephraim & Malah 1984).

    The noise's power is that of a given clip, or of the quietest tenth of the frames: what never pauses is
    noise, and beside digital silence nothing is (trim that first).

    reduction  dB, the most that a cell is turned down; more leaves less noise and more musical noise
    memory     share of the last frame in the a-priori SNR, 0 to 1; theirs is 0.98
    """

    reduction: float = 20.0
    memory: float = 0.98

    def check(self, rate: int) -> None:
        super().check(rate)
        if not 0 <= self.memory < 1:
            raise ValueError(f"{self}: memory must be at least 0 and below 1")

    def gains(
        self, frames: _Frames, rate: int, noise: Iterator[Float32[np.ndarray, "f k"]]
    ) -> Iterator[Float32[np.ndarray, "f k"]] | None:
        count, total = 0, 0.0
        for power in noise:
            count, total = count + len(power), total + power.sum(0, dtype=np.float64)
        return self._gains(frames, np.maximum(total / count, 1e-20)) if count else None

    def _gains(self, frames: _Frames, noise: Float[np.ndarray, " k"]):
        floor, fresh = np.float32(10 ** (-self.reduction / 20)), 1 - self.memory
        last = None
        for a, b in frames.blocks():
            posterior = (_square(frames.spectra(a, b)) / noise).astype(np.float32)
            gains = np.empty_like(posterior)
            sudden = np.maximum(posterior - 1, 0)
            for i, heard in enumerate(posterior):
                prior = sudden[i] if last is None else self.memory * last + fresh * sudden[i]
                gain = gains[i] = np.maximum(prior / (1 + prior), floor)
                last = gain * gain * heard
            yield gains


# ---- wavelets and a reference channel


@dataclass(frozen=True)
class Wavelet(Step):
    """Soft thresholds on wavelet coefficients, against white noise (Donoho & Johnstone 1994; PyWavelets).

    threshold  "universal": sigma sqrt(2 ln n), their VisuShrink; "bayes": sigma^2 / sigma_x for each level,
               BayesShrink (Chang, Yu & Vetterli 2000). sigma: median magnitude of the finest level / 0.6745
    wavelet    PyWavelets' name of an orthogonal one
    levels     thresholded, fewer in short waves; the approximation below them stays

    Each 65,536 samples are a signal of their own, overlapping by 4,096 that are cross-faded.
    """

    threshold: Literal["universal", "bayes"] = "bayes"
    wavelet: str = "db8"
    levels: int = 5

    def check(self, rate: int) -> None:
        wavelets = _pywt()
        if self.wavelet not in wavelets.wavelist(kind="discrete") or self.levels < 1:
            raise ValueError(
                f"{self}: wavelet must be one of pywt.wavelist(kind='discrete'), levels at least 1"
            )
        if self.threshold not in ("universal", "bayes"):
            raise ValueError(f'{self}: threshold must be "universal" or "bayes"')

    def stream(self, wave: Samples, rate: int, log: Log) -> Iterator[Float32[np.ndarray, " _"]]:
        size, lap = 1 << 16, 1 << 12
        fade = (np.arange(lap, dtype=np.float32) + 0.5) / lap
        tail = np.zeros(0, np.float32)
        for a in range(0, max(1, len(wave) - lap), size - lap):
            y = self._shrink(wave[a : a + size])
            if len(tail):
                y[:lap] = fade * y[:lap] + (1 - fade) * tail
            more = a + size < len(wave)
            y, tail = (y[: size - lap], y[size - lap :]) if more else (y, y[:0])
            yield y

    def _shrink(self, x: Float32[np.ndarray, " t"]) -> Float32[np.ndarray, " t"]:
        pywt = _pywt()
        levels = min(self.levels, pywt.dwt_max_level(len(x), self.wavelet))
        if levels < 1:
            return x.copy()
        rough, *details = pywt.wavedec(x, self.wavelet, level=levels)
        sigma = float(np.median(np.abs(details[-1]))) / 0.6745
        if self.threshold == "universal":
            limits = [sigma * math.sqrt(2 * math.log(len(x)))] * levels
        else:
            spare = [max(float(np.mean(d.astype(np.float64) ** 2)) - sigma**2, 0.0) for d in details]
            limits = [
                sigma**2 / math.sqrt(s) if s > 0 else float(np.abs(d).max())
                for s, d in zip(spare, details, strict=True)
            ]
        soft = lambda d, limit: np.sign(d) * np.maximum(np.abs(d) - np.float32(limit), 0)
        details = [soft(d, limit) for d, limit in zip(details, limits, strict=True)]
        return pywt.waverec([rough, *details], self.wavelet)[: len(x)].astype(np.float32)


def _pywt():
    try:
        import pywt
    except ImportError:
        raise ValueError("wavelets need PyWavelets: pip install 'ssl-audio[clean]'") from None
    return pywt


@dataclass(frozen=True)
class NLMS:
    """Takes out what a reference channel explains: normalised least mean squares (Widrow et al. 1975).

    NLMS()(wave, rate, reference) with the reference a second microphone that hears the noise and, as far as
    possible, not the sound. Both begin at the same time; the noise must reach the reference first.

    taps  length of the filter in samples: longer than the echo between the two microphones
    step  0 to 2; small is slow and exact, large fast and disturbed by the sound that is to be kept
    """

    taps: int = 256
    step: float = 0.02

    def __post_init__(self):
        if self.taps < 1 or not 0 < self.step < 2:
            raise ValueError(f"{self}: must be taps >= 1 and 0 < step < 2")

    def __call__(
        self, wave: Float[np.ndarray, " t"], rate: int, reference: Float[np.ndarray, " s"]
    ) -> Float32[np.ndarray, " t"]:
        """The wave without what the filter made of the reference. ValueError: NaN, or lengths that differ."""
        return self.adapt(wave, reference)[0]

    def adapt(
        self,
        wave: Float[np.ndarray, " t"],
        reference: Float[np.ndarray, " s"],
        weights: Float[np.ndarray, " n"] | None = None,
    ) -> tuple[Float32[np.ndarray, " t"], Float[np.ndarray, " n"]]:
        """(cleaned wave, the filter at its end, [taps], lag 0 first); weights: the filter to begin with."""
        wave, reference = finite(wave), finite(reference)
        if len(wave) != len(reference):
            raise ValueError(
                f"a wave of {len(wave)} samples, a reference of {len(reference)}: they must be equal"
            )
        w = np.zeros(self.taps) if weights is None else np.array(weights[::-1], np.float64)
        cleaned, change = np.empty(len(wave), np.float32), np.empty(self.taps)
        for a, b in spans(len(wave)):
            first = max(0, a - self.taps + 1)
            x = np.pad(reference[first:b].astype(np.float64), (self.taps - 1 - (a - first), 0))
            heard = np.lib.stride_tricks.sliding_window_view(x, self.taps)
            power = np.einsum("ij,ij->i", heard, heard) + self.taps * SILENCE**2
            scale = self.step / power
            for i, sample in enumerate(wave[a:b].tolist()):
                error = sample - w.dot(heard[i])
                cleaned[a + i] = error
                np.multiply(heard[i], error * scale[i], out=change)
                w += change
        return cleaned, w[::-1].copy()
