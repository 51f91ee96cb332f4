"""Resampling, phase vocoder, time stretch and pitch shift: closed forms on tones and clicks, and librosa."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_audio.signal import stretch
from ssl_audio.signal.spectrum import stft

KEY, RATE, T = jax.random.key(0), 8000, 8000
NOISE = np.random.default_rng(0).standard_normal((4, T)).astype(np.float32)
resample = jax.jit(stretch.resample, static_argnums=2)
time_stretch = jax.jit(stretch.time_stretch, static_argnums=2, static_argnames=("n_fft", "hop"))
pitch_shift = jax.jit(stretch.pitch_shift, static_argnums=2, static_argnames=("n_fft", "hop"))
phase_vocoder = jax.jit(stretch.phase_vocoder, static_argnums=2)
RATES = np.float32([0.61, 0.75, 1.25, 1.37])  # whose multiples stay clear of whole numbers, or are exact


def tone(hz, t=T):
    return np.sin(2 * np.pi * hz * np.arange(t) / RATE).astype(np.float32)


def peak(wave):
    """Frequency of the highest bin of each row, and the width of a bin, Hz."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(wave.shape[1]), axis=1))
    return spectrum.argmax(1) * RATE / wave.shape[1], RATE / wave.shape[1]


# --- resample ---


def test_resample_reads_between_the_samples():
    t, cycles = 3000, 0.13
    wave = lambda place: np.cos(2 * np.pi * cycles * place) * np.exp(-(((place - t / 2) / (t / 8)) ** 2))
    ratio = np.float32([0.4, 0.9371, 1.0, 1.4142, 2.5])
    x = np.tile(wave(np.arange(t)).astype(np.float32), (5, 1))
    out = resample(jnp.asarray(x), jnp.asarray(ratio), 4000)
    expected = wave(np.arange(4000)[None] * np.float64(ratio)[:, None])
    np.testing.assert_allclose(out, expected, atol=1e-4)


def test_resample_keeps_its_place_in_long_waves():
    t = 200_000  # chirps of 10^10 turns of phase
    time = np.arange(t)
    x = np.cos(0.3 * time) * np.exp(-(((time - 0.9 * t) / 300) ** 2))
    place = time * np.float64(np.float32(0.93))
    expected = np.cos(0.3 * place) * np.exp(-(((place - 0.9 * t) / 300) ** 2))
    out = resample(jnp.float32(x)[None], jnp.float32([0.93]), t)
    np.testing.assert_allclose(out[0], expected, atol=0.01)


def test_resample_at_one_is_the_wave_and_leaves_silence_behind_the_end():
    out = resample(jnp.asarray(NOISE), jnp.ones(4), T)
    np.testing.assert_allclose(out, NOISE, atol=3e-3)
    ends = np.asarray(resample(jnp.asarray(NOISE[:2]), jnp.float32([2.0, 0.5]), T))
    assert not ends[0, T // 2 :].any() and ends[1, -1] != 0


def test_resample_folds_nothing_back():
    hz = [1000.0, 2400.0, 3700.0]  # times 1.7 the second and third are above half the rate
    out = np.asarray(resample(jnp.asarray([tone(v) for v in hz]), jnp.full(3, 1.7), T))
    level = out[:, 200 : int(T / 1.7) - 200].std(1)
    assert abs(level[0] - 0.5**0.5) < 1e-3 and level[1:].max() < 2e-3


# --- stretch ---


def test_phase_vocoder_equals_librosa():
    librosa = pytest.importorskip("librosa", reason="parity needs librosa: pip install -e '.[parity]'")
    spectra = stft(jnp.asarray(NOISE), n_fft=256, hop=64)
    ours = np.asarray(phase_vocoder(spectra, jnp.asarray(RATES), 210))
    for mine, s, rate in zip(ours, np.complex128(spectra), RATES, strict=True):
        theirs = librosa.phase_vocoder(s.T, rate=float(rate), hop_length=64, n_fft=256).T
        frames = len(theirs)
        assert not mine[frames:].any()
        np.testing.assert_allclose(mine[:frames], theirs[:210], atol=1e-4 * np.abs(theirs).max())


def test_time_stretch_equals_librosa_but_for_the_end():
    librosa = pytest.importorskip("librosa", reason="parity needs librosa: pip install -e '.[parity]'")
    ours = np.asarray(time_stretch(jnp.asarray(NOISE), jnp.asarray(RATES), 14_000, n_fft=256, hop=64))
    for mine, x, rate in zip(ours, NOISE, RATES, strict=True):
        theirs = librosa.effects.time_stretch(np.float64(x), rate=float(rate), n_fft=256, hop_length=64)
        assert not mine[len(theirs) :].any() and mine[len(theirs) - 64 : len(theirs)].any()
        whole = len(theirs) - 512
        np.testing.assert_allclose(mine[:whole], theirs[:whole], atol=1e-3)


def test_stretch_at_one_is_the_wave():
    out = time_stretch(jnp.asarray(NOISE), jnp.ones(4), T + 100, n_fft=512, hop=128)
    np.testing.assert_allclose(out[:, :T], NOISE, atol=1e-4)
    assert not np.asarray(out[:, T:]).any()
    np.testing.assert_allclose(
        jax.jit(stretch.TimeStretch((1.0, 1.0)))(KEY, jnp.asarray(NOISE)), NOISE, atol=1e-4
    )


def test_stretch_moves_onsets_and_keeps_the_pitch():
    rates = np.array([0.5, 0.8, 1.25, 2.0])
    time = np.arange(T) / RATE
    # a little of the tone goes on between: out of silence a phase vocoder, librosa's too, is 25 ms off
    level = 0.1 + sum(np.exp(-(((time - at) / 0.02) ** 2)) for at in (0.2, 0.5))
    x = jnp.asarray(np.tile((level * tone(1000.0)).astype(np.float32), (4, 1)))
    out = np.asarray(time_stretch(x, jnp.asarray(rates, jnp.float32), 2 * T, n_fft=256, hop=64))
    for wave, rate in zip(out, rates, strict=True):
        loud = np.convolve(wave**2, np.hanning(160), "same")
        middle = int(0.35 / rate * RATE)
        onsets = np.array([loud[:middle].argmax(), middle + loud[middle:].argmax()]) / RATE
        np.testing.assert_allclose(onsets, np.array([0.2, 0.5]) / rate, atol=0.012)  # 1.5 hops
    found, bin_ = peak(out)
    assert np.abs(found - 1000.0).max() <= 15 * bin_  # a burst's own width is 40 Hz
    drawn = np.asarray(jax.jit(stretch.TimeStretch((0.5, 2.0), 256, 64))(KEY, jnp.ones((200, 400))))
    length = (drawn != 0).sum(1)
    assert 200 <= length.min() < 215 and (length == 400).mean() == pytest.approx(0.5, abs=0.15)


# --- pitch ---


def test_pitch_shift_moves_a_tone_by_the_ratio():
    semitones = np.array([-12.0, -7.0, -1.0, 0.5, 4.0, 12.0])
    x = jnp.asarray(np.tile(tone(700.0), (6, 1)))
    out = np.asarray(pitch_shift(x, jnp.asarray(semitones, jnp.float32), 12.0, n_fft=512, hop=128))
    found, bin_ = peak(out)
    assert np.abs(found - 700.0 * 2 ** (semitones / 12)).max() <= bin_
    assert out[:, 1000:-1000].std(1).min() > 0.8 * 0.5**0.5  # and it lasts
    assert np.abs(out[:, -400:]).max(1).min() > 0.3  # up to the end


def test_pitch_shift_by_nothing_is_the_wave():
    for highest in (0.0, 4.0):
        out = pitch_shift(jnp.asarray(NOISE), jnp.zeros(4), highest, n_fft=512, hop=128)
        np.testing.assert_allclose(out, NOISE, atol=0.01)


def test_pitch_shift_up_folds_nothing_back():
    out = np.asarray(pitch_shift(jnp.asarray(tone(3000.0))[None], jnp.float32([7.0]), 7.0))
    assert out[:, 500:-500].std() < 0.01  # 4495 Hz would be heard at 3505 Hz


def test_pitches_are_drawn_over_their_range():
    x = jnp.asarray(np.tile(tone(1000.0, 4000), (40, 1)))
    found, _ = peak(np.asarray(jax.jit(stretch.PitchShift((-5.0, 3.0), 256, 64))(KEY, x)))
    drawn = 12 * np.log2(found / 1000.0)
    assert -5.1 < drawn.min() < -4.2 and 2.2 < drawn.max() < 3.1


@pytest.mark.parametrize(
    "make, word",
    [
        (lambda: stretch.TimeStretch((0.0, 1.0)), r"TimeStretch: rate=\(0.0, 1.0\)"),
        (lambda: stretch.TimeStretch(hop=600), "hop=600"),
        (lambda: stretch.PitchShift((4.0, -4.0)), "semitones"),
        (lambda: stretch.PitchShift(n_fft=256, hop=0), "hop=0"),
    ],
)
def test_wrong_settings_are_refused(make, word):
    with pytest.raises(ValueError, match=word):
        make()
