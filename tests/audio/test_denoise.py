"""Noise reduction: what is known in closed form, parity with noisereduce, blocks that leave no seam."""

import math
import sys
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest
import soundfile

from ssl_audio.audio import denoise, levels
from ssl_audio.audio.denoise import NLMS, SpectralGate, Wavelet, Wiener
from ssl_audio.audio.levels import Log

RATE = 16_000


def white(frames, level=0.1, seed=0):
    return (level * np.random.default_rng(seed).standard_normal(frames)).astype(np.float32)


def sine(hertz, seconds=2.0, level=0.5):
    t = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * hertz * t)).astype(np.float32)


def decibels(x):
    return 10 * math.log10(float(np.mean(np.square(x, dtype=np.float64))) + 1e-30)


def sdr(estimate, target):
    """Scale-invariant SDR, dB (Le Roux et al. 2019)."""
    scale = np.dot(estimate, target) / np.dot(target, target)
    return decibels(scale * target) - decibels(estimate - scale * target)


wavelets = pytest.mark.skipif(find_spec("pywt") is None, reason="pip install 'ssl-audio[clean]'")
STEPS = [
    SpectralGate(),
    SpectralGate(moving=True, seconds=0.5),
    Wiener(),
    pytest.param(Wavelet("bayes"), marks=wavelets),
    pytest.param(Wavelet("universal"), marks=wavelets),
]
every = pytest.mark.parametrize("step", STEPS, ids=lambda s: repr(s)[:30])


# --- what holds for every reducer


@every
def test_any_length_silence_and_determinism(step):
    for n in (1, 2, 40, 81, 400, 3000):  # 40 samples at 8 kHz are 5 ms
        for x in (white(n, seed=n), np.zeros(n, np.float32), np.full(n, 1e-30, np.float32)):
            y = step(x, 8000)
            assert y.dtype == np.float32 and y.shape == x.shape and np.isfinite(y).all()
            np.testing.assert_array_equal(step(x, 8000), y)
    with pytest.raises(ValueError, match="NaN"):
        step(np.array([0, np.nan], np.float32), 8000)


@every
def test_blocks_give_what_the_whole_gives(step, monkeypatch):
    x = white(80_000, 0.02) + np.tile(sine(700, 0.5) * np.repeat([0, 1], 4000).astype(np.float32), 10)
    whole = step(x, RATE)
    monkeypatch.setattr(levels, "BLOCK", 7000)
    monkeypatch.setattr(denoise, "_CELLS", 257 * 90)
    np.testing.assert_allclose(step(x, RATE), whole, atol=3e-6)
    assert len(list(step.stream(x, RATE, Log()))) > 1


@every
def test_a_sound_in_noise_is_clearer_afterwards(step):
    pulse = sine(300, 0.2) * np.hanning(RATE // 5).astype(np.float32)
    clean = np.tile(np.concatenate([np.zeros(RATE, np.float32), pulse]), 4)
    noisy = clean + white(len(clean), 0.05)
    assert sdr(step(noisy, RATE), clean) > sdr(noisy, clean) + 3


def test_frames_without_gains_give_the_wave_back():
    x = white(100_001)
    frames = denoise._Frames(x, RATE)
    for cuts in ([0, frames.count], [0, 1, 8, 300, frames.count]):
        spectra = (frames.spectra(a, b) for a, b in pairwise(cuts))
        np.testing.assert_allclose(np.concatenate(list(frames.join(spectra))), x, atol=1e-6)


def test_sdr_knows_no_scale_and_counts_noise():
    """The measure itself: an orthogonal error of 1/100 of the power is 20 dB, at any gain."""
    clean, error = sine(1000), sine(2000, level=0.05)
    assert sdr(clean + error, clean) == pytest.approx(20, abs=1e-3)
    assert sdr(-0.3 * (clean + error), clean) == pytest.approx(20, abs=1e-3)


# --- gate and Wiener filter


def test_the_gate_leaves_a_clean_tone_nearly_untouched():
    quiet = white(RATE, 1e-4)
    inside = slice(RATE + 500, 3 * RATE - 500)  # the first and last 30 ms fade
    for hertz, least in ((1010, 40), (1000, 22)):  # 1000 Hz fills the fewest bins: smoothing takes off 0.7 dB
        x = np.concatenate([quiet, sine(hertz) + white(2 * RATE, 1e-4, 1), quiet])
        y = SpectralGate()(x, RATE)
        assert decibels(x[inside]) - decibels(y[inside] - x[inside]) > least
    assert decibels(y[: RATE // 2]) < decibels(quiet) - 12


@pytest.mark.parametrize("reduction", [10.0, 20.0])
@pytest.mark.parametrize("kind", [SpectralGate, Wiener])
def test_noise_alone_is_turned_down_by_the_reduction(kind, reduction):
    """To the floor, but for the cells that chance lifts above the noise (none at 6 deviations)."""
    x, noise = white(4 * RATE), white(2 * RATE, seed=1)
    settings = {"deviations": 6.0} if kind is SpectralGate else {}
    change = decibels(kind(reduction, **settings)(x, RATE, noise=noise)) - decibels(x)
    assert change == pytest.approx(-reduction, abs=0.6)


def test_wiener_improves_a_tone_in_white_noise_by_what_is_left_of_the_spectrum():
    """Bins of the tone pass with their noise, all others at the floor g: what is left is p + (1 - p) g^2.

    p: a tone in the middle of a bin fills 3 of the 257 bins by the Hann window.
    """
    clean = sine(1000, 4.0, 0.1 * math.sqrt(2))
    noisy = clean + white(len(clean), 0.1, 2)  # 0 dB
    gained = sdr(Wiener(20.0)(noisy, RATE, noise=white(2 * RATE, 0.1, 3)), clean) - sdr(noisy, clean)
    p = 3 / 257
    assert gained == pytest.approx(-10 * math.log10(p + (1 - p) * 0.01), abs=0.5)


def test_the_quietest_frames_are_the_noise():
    speech = np.tile(np.concatenate([sine(500, 0.5), np.zeros(RATE // 2, np.float32)]), 5)
    noise = white(len(speech), 0.02)
    for step in (SpectralGate(), Wiener()):
        guessed, told = step(speech + noise, RATE), step(speech + noise, RATE, noise=white(RATE, 0.02, 5))
        assert sdr(guessed, speech) == pytest.approx(sdr(told, speech), abs=1.0)


def test_without_noise_nothing_is_changed():
    """Beside digital silence, and told that the noise is silence."""
    x = np.concatenate([np.zeros(RATE, np.float32), sine(1000), np.zeros(RATE, np.float32)])
    for step in (SpectralGate(), Wiener()):
        np.testing.assert_array_equal(step(x, RATE), x)
        np.testing.assert_array_equal(step(x, RATE, noise=np.zeros(RATE, np.float32)), x)


@pytest.mark.parametrize("moving", [False, True])
def test_the_gate_equals_noisereduce(recordings, moving):
    """Same frames, mask not smoothed. Theirs counts half-empty frames at the ends of the noise too."""
    noisereduce = pytest.importorskip("noisereduce")
    x, rate = soundfile.read(next(recordings.glob("LibriSpeech/*/*/*/*.flac")), dtype="float32")
    x, noise = x[: 6 * rate] + white(6 * rate, 0.02), white(8 * rate, 0.02, 1)
    step = SpectralGate(120.0, moving=moving, smooth=(0.0, 0.0))
    told = {} if moving else {"noise": noise}
    frames = {"n_fft": 512, "hop_length": 128, "padding": 0, "chunk_size": len(x)}
    smooth = {"freq_mask_smooth_hz": None, "time_mask_smooth_ms": None}
    expected = noisereduce.reduce_noise(
        x,
        rate,
        stationary=not moving,
        y_noise=None if moving else noise,
        clip_noise_stationary=False,
        **frames,
        **smooth,
    )
    tolerance = 1e-5 if moving else 0.01
    assert np.linalg.norm(step(x, rate, **told) - expected) < tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize(
    "step, given, text",
    [
        (SpectralGate(-1.0), {}, "between 0 and 120 dB"),
        (SpectralGate(seconds=0.0), {}, "seconds"),
        (SpectralGate(smooth=(-1.0, 0.0)), {}, "smooth"),
        (SpectralGate(moving=True), {"noise": white(RATE)}, "moving gate follows the wave"),
        (Wiener(memory=1.0), {}, "memory"),
        (Wiener(), {"noise": white(100)}, "give 800 or more"),
    ],
)
def test_settings_that_make_no_sense_are_refused(step, given, text):
    with pytest.raises(ValueError, match=text):
        step(white(1000), RATE, **given)


# --- wavelets


@wavelets
def test_universal_threshold_is_donoho_and_johnstones():
    """White noise: next to none of the details passes sigma sqrt(2 ln n); a tone shrinks by just that."""
    import pywt

    x = white(1 << 15, 0.1)
    y = Wavelet("universal")(x, RATE)
    rough = pywt.wavedec(x, "db8", level=5)
    kept = pywt.waverec([rough[0], *(np.zeros_like(d) for d in rough[1:])], "db8")
    assert np.linalg.norm(y - kept) < 0.005 * np.linalg.norm(x)
    tone = sine(300, 2.048, 1.0) + x  # sigma is estimated to 2 %
    expected = pywt.wavedec(tone, "db8", level=5)
    soft = [pywt.threshold(d, 0.1 * math.sqrt(2 * math.log(len(x))), "soft") for d in expected[1:]]
    expected = pywt.waverec([expected[0], *soft], "db8")
    assert sdr(Wavelet("universal")(tone, RATE), expected) > 30


@wavelets
def test_bayes_keeps_more_of_the_sound_than_universal():
    clean = sine(300, 2.048, 0.3) * np.hanning(2.048 * RATE).astype(np.float32)
    noisy = clean + white(len(clean), 0.05)
    bayes, universal = (sdr(Wavelet(kind)(noisy, RATE), clean) for kind in ("bayes", "universal"))
    assert bayes > universal > sdr(noisy, clean) + 3


@wavelets
def test_seams_between_wavelet_segments_are_not_heard():
    """Without noise every segment comes back as it was, so whatever differs is a seam."""
    x = sine(200, 200_000 / RATE)
    np.testing.assert_allclose(Wavelet()(x, RATE), x, atol=1e-4)


@wavelets
def test_wavelet_settings_and_its_missing_library(monkeypatch):
    for wrong in (Wavelet(wavelet="none"), Wavelet(levels=0)):
        with pytest.raises(ValueError, match="wavelist"):
            wrong(white(100), RATE)
    monkeypatch.setitem(sys.modules, "pywt", None)
    with pytest.raises(ValueError, match=r"pip install 'ssl-audio\[clean\]'"):
        Wavelet()(white(100), RATE)


# --- the reference channel


def test_nlms_converges_to_the_filter_between_the_channels():
    h = np.random.default_rng(0).standard_normal(16) * np.exp(-np.arange(16) / 4)
    reference = white(20_000, 0.3)
    wave = np.convolve(reference, h)[: len(reference)].astype(np.float32)
    cleaned, weights = NLMS(16, 0.5).adapt(wave, reference)
    np.testing.assert_allclose(weights, h, atol=1e-5)
    assert decibels(cleaned[-1000:]) < decibels(wave) - 80
    # and goes on where it ended
    again, _ = NLMS(16, 0.5).adapt(wave, reference, weights)
    assert decibels(again[20:]) < decibels(wave) - 80


def test_nlms_is_its_recursion():
    """w += step e x / (x.x), written out sample by sample."""
    wave, reference, w, expected = white(60), white(60, seed=1), np.zeros(5), []
    for n in range(60):
        x = np.array([reference[n - k] if n >= k else 0 for k in range(5)], np.float64)
        e = float(wave[n]) - w @ x
        w = w + 0.3 * e * x / (x @ x + 5 * levels.SILENCE**2)
        expected.append(e)
    cleaned, weights = NLMS(5, 0.3).adapt(wave, reference)
    np.testing.assert_allclose(cleaned, expected, atol=1e-6)
    np.testing.assert_allclose(weights, w, atol=1e-9)


def test_nlms_keeps_what_the_reference_does_not_hear(monkeypatch):
    sound, reference = sine(440, 2.0, 0.1), white(2 * RATE, 0.1)
    wave = sound + np.convolve(reference, [0.8, -0.3, 0.1])[: len(sound)].astype(np.float32)
    cleaned = NLMS(32, 0.01)(wave, RATE, reference)
    assert sdr(cleaned[RATE:], sound[RATE:]) > sdr(wave[RATE:], sound[RATE:]) + 15
    monkeypatch.setattr(levels, "BLOCK", 999)
    np.testing.assert_allclose(NLMS(32, 0.01)(wave, RATE, reference), cleaned, atol=1e-6)


def test_nlms_with_silence_and_with_what_it_refuses():
    x, zeros = white(100), np.zeros(100, np.float32)
    np.testing.assert_array_equal(NLMS()(x, RATE, zeros), x)
    assert np.isfinite(NLMS()(zeros, RATE, x)).all()
    with pytest.raises(ValueError, match="must be equal"):
        NLMS()(x, RATE, zeros[:50])
    with pytest.raises(ValueError, match="NaN"):
        NLMS()(x, RATE, zeros + np.nan)
    for wrong in ({"taps": 0}, {"step": 2.0}, {"step": 0.0}):
        with pytest.raises(ValueError, match="taps >= 1"):
            NLMS(**wrong)
