"""Other frontends than log-mel: what the encoders hear, as frozen dataclasses that go wherever `LogMel` goes.

None looks further than its frames, so that a padded clip's frames are those of the clip alone: there is no
`top_db` and no mirrored edge. `mean` and `std` of the features come last in each; `fit` finds them.
"""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from ssl_audio.signal import cepstrum, kaldi, learned, pitch
from ssl_audio.signal.frontend import Frontend, LogMel, band_energies


@dataclass(frozen=True)
class MFCC(Frontend):
    """Mel-frequency cepstral coefficients, `librosa.feature.mfcc` without its top_db.

    rate        samples a second
    n_fft, hop  length of the window and from one frame to the next, samples
    n_mfcc      coefficients a frame, of the decibels of `bands` mel bands from fmin to fmax Hz
    mean, std   of each coefficient
    """

    rate: int = 16_000
    n_fft: int = 1024
    hop: int = 160
    n_mfcc: int = 40
    bands: int = 128
    fmin: float = 0.0
    fmax: float = 8000.0
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0

    _each = True

    def __post_init__(self):
        self._mel()  # refuses what makes no sense
        if not 1 <= self.n_mfcc <= self.bands:
            raise ValueError(f"MFCC: n_mfcc {self.n_mfcc} is not within 1 to the {self.bands} bands")
        super().__post_init__()

    def _mel(self) -> LogMel:
        sizes = dict(rate=self.rate, n_fft=self.n_fft, win=self.n_fft, hop=self.hop, mels=self.bands)
        return LogMel(**sizes, fmin=self.fmin, fmax=self.fmax, log="db", floor=1e-10)

    @property
    def mels(self) -> int:
        """Coefficients a frame."""
        return self.n_mfcc

    def raw(self, wave: Float[Array, "b t"]) -> Float[Array, "b f c"]:
        """The coefficients before normalisation."""
        return cepstrum.dct(self._mel().raw(wave), self.n_mfcc)


@dataclass(frozen=True)
class GFCC(Frontend):
    """Gammatone frequency cepstral coefficients, see `cepstrum.gfcc`.

    rate        samples a second
    n_fft, hop  length of the window and from one frame to the next, samples
    n_gfcc      coefficients a frame, of `channels` gammatone filters centred from fmin to fmax Hz
    mean, std   of each coefficient
    """

    rate: int = 16_000
    n_fft: int = 1024
    hop: int = 160
    n_gfcc: int = 32
    channels: int = 64
    fmin: float = 50.0
    fmax: float = 8000.0
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0

    _each = True

    def __post_init__(self):
        self._filters()  # refuses what makes no sense
        if self.hop < 1 or not 1 <= self.n_gfcc <= self.channels:
            raise ValueError(
                f"GFCC: hop {self.hop} must be at least 1, and n_gfcc {self.n_gfcc} within 1 to the "
                f"{self.channels} channels"
            )
        super().__post_init__()

    def _filters(self):
        return cepstrum.gammatone_filters(self.rate, self.n_fft, self.channels, self.fmin, self.fmax)

    @property
    def mels(self) -> int:
        """Coefficients a frame."""
        return self.n_gfcc

    def raw(self, wave: Float[Array, "b t"]) -> Float[Array, "b f c"]:
        """The coefficients before normalisation."""
        self.frames(wave.shape[1])
        wave = wave.astype(jnp.float32)
        energy = cepstrum.gammatone_energies(wave, self._filters(), self.n_fft, self.hop)
        return cepstrum.dct(cepstrum.cube_root(energy), self.n_gfcc)


@dataclass(frozen=True)
class PCENMel(Frontend):
    """Per-channel energy normalisation of mel magnitudes (Wang et al. 2017), see `learned.pcen`.

    rate          samples a second
    n_fft, hop    length of the window and from one frame to the next, samples
    mels          bands from fmin to fmax Hz
    scale         of the magnitudes, against eps and bias: 2^31, as if samples were 32-bit integers (librosa)
    gain, bias, power, eps  of the normalisation
    seconds       time constant of the running average, which begins at the first frame
    """

    rate: int = 16_000
    n_fft: int = 1024
    hop: int = 160
    mels: int = 64
    fmin: float = 60.0
    fmax: float = 7800.0
    scale: float = 2.0**31
    gain: float = 0.98
    bias: float = 2.0
    power: float = 0.5
    seconds: float = 0.4
    eps: float = 1e-6
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0

    def __post_init__(self):
        self._mel()  # refuses what makes no sense
        names = ("scale", "gain", "bias", "power", "seconds", "eps")
        if min(getattr(self, name) for name in names) <= 0:
            raise ValueError(f"PCENMel: {', '.join(names)} must be positive in {self}")
        super().__post_init__()

    def _mel(self) -> LogMel:
        sizes = dict(rate=self.rate, n_fft=self.n_fft, win=self.n_fft, hop=self.hop, mels=self.mels)
        return LogMel(**sizes, fmin=self.fmin, fmax=self.fmax)

    def raw(self, wave: Float[Array, "b t"]) -> Float[Array, "b f m"]:
        """The normalised energies before mean and std."""
        self.frames(wave.shape[1])
        sizes = dict(n_fft=self.n_fft, win=self.n_fft, hop=self.hop, power=1.0)
        mel = band_energies(wave.astype(jnp.float32), self._mel().filters(), **sizes)
        rate = learned.smoothing(self.rate, self.hop, self.seconds)
        settings = dict(gain=self.gain, bias=self.bias, power=self.power, eps=self.eps)
        return learned.pcen(mel * self.scale, rate=rate, **settings)


@dataclass(frozen=True)
class KaldiFbank(Frontend):
    """Kaldi's log filter banks, see `kaldi.fbank`; by default as AudioMAE and EAT hear (scale 1, −1 to 1).

    BEATs takes window "povey" and scale 2^15; AudioMAE's mean is −4.268, its std (twice the measured) 9.138.
    rate       samples a second
    mels       bands from low_freq to high_freq Hz (not positive: offset from half the rate)
    scale      the wave is multiplied by it first
    """

    rate: int = 16_000
    mels: int = 128
    frame_length_ms: float = 25.0
    frame_shift_ms: float = 10.0
    window: kaldi.Window = "hanning"
    preemphasis: float = 0.97
    low_freq: float = 20.0
    high_freq: float = 0.0
    scale: float = 1.0
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0

    def __post_init__(self):
        kaldi.mel_banks(
            self.rate, 512, self.mels, self.low_freq, self.high_freq
        )  # refuses what makes no sense
        if self._sizes and self.scale <= 0:
            raise ValueError(f"KaldiFbank: scale {self.scale} must be positive")
        super().__post_init__()

    @property
    def _sizes(self) -> tuple[int, int]:
        return kaldi.frame_sizes(self.rate, self.frame_length_ms, self.frame_shift_ms)

    @property
    def step(self) -> int:
        """Samples from one frame to the next."""
        return self._sizes[1]

    @property
    def centre(self) -> float:
        """The middle of the first frame, samples from the clip's beginning."""
        return (self._sizes[0] - 1) / 2

    @property
    def _least(self) -> int:
        return self._sizes[0]

    def _frames(self, samples):
        return kaldi.frames(samples, *self._sizes)

    def raw(self, wave: Float[Array, "b t"]) -> Float[Array, "b f m"]:
        """The log energies before normalisation."""
        self.frames(wave.shape[1])
        names = (
            "mels",
            "frame_length_ms",
            "frame_shift_ms",
            "window",
            "preemphasis",
            "low_freq",
            "high_freq",
        )
        settings = {name: getattr(self, name) for name in names}
        return kaldi.fbank(wave.astype(jnp.float32) * self.scale, self.rate, **settings)


@dataclass(frozen=True)
class CQT(Frontend):
    """Constant-Q magnitudes in decibels, see `pitch.cqt`: an octave is as wide everywhere.

    rate             samples a second
    hop              samples from one frame to the next; the more factors 2 in it, the cheaper
    bins             bin k is at fmin * 2^(k / bins_per_octave) Hz
    floor            of the magnitudes
    """

    rate: int = 16_000
    hop: int = 160
    bins: int = 80
    bins_per_octave: int = 12
    fmin: float = 32.703
    floor: float = 1e-5
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0

    def __post_init__(self):
        highest = self.fmin * 2 ** (self.bins / self.bins_per_octave)
        if min(self.hop, self.bins, self.bins_per_octave, self.fmin, self.floor) <= 0:
            raise ValueError(f"CQT: hop, bins, bins_per_octave, fmin and floor must be positive in {self}")
        if highest > self.rate / 2:
            raise ValueError(
                f"CQT: {self.bins} bins from {self.fmin} Hz reach {highest:.0f} Hz, above half the rate, "
                f"{self.rate / 2} Hz; take fewer bins"
            )
        super().__post_init__()

    @property
    def mels(self) -> int:
        """Bins a frame."""
        return self.bins

    @property
    def _least(self) -> int:
        return self.rate // 10

    def _frames(self, samples):
        return 1 + samples // self.hop

    def raw(self, wave: Float[Array, "b t"]) -> Float[Array, "b f m"]:
        """The decibels before normalisation."""
        frames = self.frames(wave.shape[1])
        # each halving of the rate rings for 188 samples; beyond the end too, as it does in a padded clip
        ring = 188 * ((self.hop & -self.hop) - 1)
        wave = jnp.pad(wave.astype(jnp.float32), ((0, 0), (0, ring)))
        sizes = dict(hop=self.hop, fmin=self.fmin, bins=self.bins, bins_per_octave=self.bins_per_octave)
        magnitude = pitch.cqt(wave, self.rate, **sizes)[:, :frames]
        return 20.0 * jnp.log10(jnp.maximum(magnitude, self.floor))


@dataclass(frozen=True)
class RawFrames(Frontend):
    """The wave itself in frames of `hop` samples, what remains at the end left out: for waveform encoders.

    rate       samples a second
    mean, std  of the samples
    """

    rate: int = 16_000
    hop: int = 160
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0

    def __post_init__(self):
        if self.hop < 1:
            raise ValueError(f"RawFrames: hop {self.hop} must be at least 1")
        super().__post_init__()

    @property
    def mels(self) -> int:
        """Samples a frame."""
        return self.hop

    @property
    def centre(self) -> float:
        """The middle of the first frame, samples from the clip's beginning."""
        return (self.hop - 1) / 2

    @property
    def _least(self) -> int:
        return self.hop

    def _frames(self, samples):
        return samples // self.hop

    def raw(self, wave: Float[Array, "b t"]) -> Float[Array, "b f m"]:
        """The frames before normalisation."""
        frames = self.frames(wave.shape[1])
        return wave[:, : frames * self.hop].astype(jnp.float32).reshape(len(wave), frames, self.hop)
