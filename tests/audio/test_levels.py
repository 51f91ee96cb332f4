"""Levels and extents: closed forms of filters and meters, pyloudnorm, no sample past full scale."""

import math

import numpy as np
import pytest
import soundfile

from ssl_audio.audio import levels
from ssl_audio.audio.levels import (
    CEILING,
    RMS,
    BandPass,
    Log,
    Loudness,
    Peak,
    RemoveDC,
    Trim,
    activity,
    loudness,
    mean_square,
    peak,
    segments,
    split,
    windows,
)

STEPS = (RemoveDC(), BandPass(100.0, 3000.0), Trim(), Peak(), RMS(), Loudness())


def noise(frames, level=0.1, seed=0):
    return (level * np.random.default_rng(seed).standard_normal(frames)).astype(np.float32)


def sine(hertz, rate, seconds=2.0, level=1.0):
    t = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * hertz * t)).astype(np.float32)


def around(sound, rate, before, after, level=1e-4):
    """The sound with `before` and `after` seconds of faint noise at its sides."""
    quiet = noise(len(sound) + round((before + after) * rate), level, seed=9)
    quiet[round(before * rate) :][: len(sound)] += sound
    return quiet


# --- what holds for every step


@pytest.mark.parametrize("step", STEPS, ids=lambda s: type(s).__name__)
def test_any_length_silence_and_determinism(step):
    for n in (1, 2, 7, 40, 81, 400, 3000):  # 40 samples are 5 ms
        for x in (noise(n, seed=n), np.zeros(n, np.float32), np.full(n, 1e-30, np.float32)):
            y = step(x, 8000, Log())
            assert y.dtype == np.float32 and np.isfinite(y).all()
            assert len(y) == n or isinstance(step, Trim)
            np.testing.assert_array_equal(step(x, 8000, Log()), y)
    assert len(step(np.zeros(0, np.float32), 8000)) == 0


@pytest.mark.parametrize("step", STEPS, ids=lambda s: type(s).__name__)
def test_blocks_give_what_the_whole_gives(step, monkeypatch):
    x = around(noise(40_000), 8000, 1.0, 0.5) + np.float32(0.01)
    whole = step(x, 8000, Log())
    monkeypatch.setattr(levels, "BLOCK", 700)
    np.testing.assert_allclose(step(x, 8000, Log()), whole, atol=1e-6)
    assert len(list(step.stream(x, 8000, Log()))) > 1


@pytest.mark.parametrize("step", STEPS, ids=lambda s: type(s).__name__)
def test_nan_and_what_is_no_wave_are_refused(step):
    bad = noise(100)
    bad[37] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite samples, first at sample 37"):
        step(bad, 8000)


@pytest.mark.parametrize(
    "step, rate, text",
    [
        (BandPass(3000.0, 100.0), 8000, "low < high < 4000 Hz"),
        (BandPass(100.0, 4000.0), 8000, "half the rate"),
        (BandPass(0.5, 100.0), 8000, "at least 1 Hz"),
        (BandPass(0.0), 8000, "nothing would be filtered"),
        (BandPass(100.0, order=0), 8000, "order"),
        (Peak(1.0), 8000, "at most 0 dBFS"),
        (RMS(math.nan), 8000, "at most 0 dB"),
        (Loudness(3.0), 8000, "at most 0 LUFS"),
        (Loudness(), 2000, "4,000 Hz or more"),
        (Trim(share=1.0), 8000, "share"),
    ],
)
def test_settings_that_make_no_sense_are_refused(step, rate, text):
    with pytest.raises(ValueError, match=text):
        step(noise(100), rate)


# --- offset and pass band


def test_no_offset_is_left_and_nothing_else_changes():
    x = noise(5000)
    np.testing.assert_allclose(RemoveDC()(x + np.float32(0.25), 8000), x - x.mean(), atol=1e-7)


@pytest.mark.parametrize("low, high", [(200.0, 2000.0), (200.0, None), (0.0, 2000.0)])
def test_the_band_is_butterworths_squared_and_has_zero_phase(low, high):
    """|H|^2 = 1 / (1 + (w / wc)^(2 order)) of the prototype, once forwards, once backwards; bilinear in w."""
    rate, step = 8000, BandPass(low, high)
    impulse = np.zeros(1 << 15, np.float32)
    impulse[1 << 14] = 1
    response = np.fft.rfft(np.roll(step(impulse, rate), -(1 << 14)))
    w = np.tan(np.pi * np.fft.rfftfreq(1 << 15, 1 / rate)[1:-1] / rate)
    a, b = math.tan(math.pi * low / rate), math.tan(math.pi * (high or 1) / rate)
    if high is None:
        prototype = a / w
    elif low == 0:
        prototype = w / b
    else:
        prototype = (w**2 - a * b) / (w * (b - a))
    np.testing.assert_allclose(response[1:-1].real, 1 / (1 + prototype**8), atol=2e-6)
    assert np.abs(response.imag).max() < 2e-6  # nothing is delayed


# --- activity and trimming


def test_activity_finds_the_sounds_and_their_places():
    rate = 8000
    parts = [noise(rate // 2), np.zeros(rate // 2), noise(rate // 4, 0.02), np.zeros(rate // 2)]
    x = around(np.concatenate(parts).astype(np.float32), rate, 1.0, 0.0)
    found = segments(activity(x, rate))
    np.testing.assert_allclose(found, [[1.0, 1.5], [2.0, 2.25]], atol=0.0101)
    np.testing.assert_allclose(segments(activity(x, rate), join=0.6), [[1.0, 2.25]], atol=0.0101)
    np.testing.assert_array_equal(activity(x * np.float32(0.1), rate), activity(x, rate))  # it adapts


def test_activity_of_what_has_one_level():
    assert activity(sine(440, 8000), 8000).all()
    assert not activity(np.zeros(8000, np.float32), 8000).any()
    assert activity(sine(440, 8000)[:3], 8000).tolist() == [True]
    assert segments(np.zeros(5, bool)).shape == (0, 2)
    with pytest.raises(ValueError, match="share is 0"):
        activity(np.zeros(5, np.float32), 8000, 0.0)


def test_trim_keeps_the_sound_its_margin_and_says_what_went():
    rate, log = 8000, Log()
    x = around(noise(rate), rate, 0.7, 0.4)
    y = Trim(margin=0.05)(x, rate, log)
    assert abs(log.start / rate - 0.65) <= 0.0101 and abs(log.end / rate - 0.35) <= 0.0101
    np.testing.assert_array_equal(x[log.start : len(x) - log.end], y)
    log = Log()
    assert len(Trim()(np.zeros(80, np.float32), rate, log)) == 0 and log.start + log.end == 80


# --- normalisation


@pytest.mark.parametrize("level", [-30.0, -6.0, 0.0])
@pytest.mark.parametrize("gain", [1e-3, 1.0, 30.0])
def test_levels_are_reached(level, gain):
    x = noise(8000, 0.1) * np.float32(gain)
    assert 20 * math.log10(peak(Peak(level)(x, 8000)) / CEILING) == pytest.approx(level, abs=1e-4)
    x = np.sign(x) * np.float32(gain)  # peak and RMS are one
    assert 10 * math.log10(mean_square(RMS(min(level, -0.01))(x, 8000))) == pytest.approx(
        min(level, -0.01), abs=1e-4
    )
    x = sine(997, 8000) * np.float32(gain)
    assert loudness(Loudness(level - 4)(x, 8000), 8000) == pytest.approx(level - 4, abs=1e-3)


@pytest.mark.parametrize("step", [RMS(-3.0), Loudness(-3.0)], ids=lambda s: type(s).__name__)
def test_a_gain_that_would_clip_is_limited_and_told(step):
    x, log = noise(16_000), Log()
    y = step(x, 8000, log)
    assert peak(y) == pytest.approx(CEILING, abs=1e-6) and log.short > 3
    np.testing.assert_allclose(y, x * (peak(y) / peak(x)), atol=1e-6)  # no sample is bent
    assert np.rint(np.abs(y).max() * 32768) == 32767
    unlimited = step.wanted(x, 8000)
    assert 20 * math.log10(peak(y) / peak(x)) + log.short == pytest.approx(unlimited, abs=1e-3)
    with pytest.warns(UserWarning, match=r"stayed \d+\.\d dB below the wanted one"):
        step(x, 8000)


def test_what_is_silent_is_not_amplified():
    x = noise(8000, 1e-6)
    for step in (Peak(), RMS(), Loudness()):
        np.testing.assert_array_equal(step(x, 8000), x)


# --- loudness


def test_loudness_of_the_recommendations_sine():
    """BS.1770-4: 0 dBFS at 997 Hz reads -3.01 LKFS."""
    assert loudness(sine(997, 48_000, 3.0), 48_000) == pytest.approx(-3.01, abs=0.001)
    assert loudness(np.zeros(48_000, np.float32), 48_000) == -math.inf


def test_the_filters_are_the_recommendations_table():
    """BS.1770-4, tables 1 and 2 (48 kHz)."""
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1, -1.69065929318241, 0.73248077421585]
    highpass = [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621]
    np.testing.assert_allclose(levels._k_weighting(48_000), [shelf, highpass], atol=1e-13)


def test_gates():
    """Silence between sounds doesn't count, nor what is more than 10 LU below the rest."""
    rate = 8000
    loud = sine(997, rate, 4.0, 0.5)
    alone = loudness(loud, rate)
    for rest in (np.zeros(8 * rate, np.float32), sine(997, rate, 8.0, 0.5 * 10 ** (-20 / 20))):
        # blocks that hold a bit of both differ a little
        assert loudness(np.concatenate([loud, rest]), rate) == pytest.approx(alone, abs=0.25)
    near = sine(997, rate, 4.0, 0.5 * 10 ** (-6 / 20))
    mixed = 10 * math.log10((1 + 10**-0.6) / 2)
    assert loudness(np.concatenate([loud, near]), rate) == pytest.approx(alone + mixed, abs=0.05)


def test_less_than_a_block_is_one_block():
    x = sine(997, 8000, 0.3)
    assert loudness(x, 8000) == pytest.approx(loudness(sine(997, 8000, 3.0), 8000), abs=0.05)
    assert math.isfinite(loudness(x[:40], 8000))


def test_loudness_equals_pyloudnorm(recordings):
    """With the filters of the recommendation's table (De Man's), on whole 100 ms: it rounds the rest."""
    pyloudnorm = pytest.importorskip("pyloudnorm")
    files = sorted(recordings.glob("LibriSpeech/*/*/*/*.flac"))[::10]
    files += (
        sorted(recordings.glob("esc50/audio/*"))[::199] + sorted(recordings.glob("fsdd/recordings/*"))[::400]
    )
    compared = 0
    for file in files:
        x, rate = soundfile.read(file, dtype="float32")
        x = x[: len(x) * 10 // rate * rate // 10]
        if len(x) >= 0.4 * rate and np.abs(x).max() > 0.01:
            meter = pyloudnorm.Meter(rate, filter_class="DeMan")
            expected = meter.integrated_loudness(x.astype(np.float64))
            assert loudness(x, rate) == pytest.approx(expected, abs=1e-4), file.name
            compared += 1
    assert compared >= 15


# --- windows


@pytest.mark.parametrize(
    "length, size, hop", [(10, 4, 2), (11, 4, 2), (3, 4, 4), (4, 4, 1), (1, 1, 1), (99, 7, 5)]
)
def test_windows_cover_every_sample_and_no_more(length, size, hop):
    start, valid = windows(length, size, hop)
    assert (np.diff(start) == hop).all() and start[0] == 0 and (valid >= 1).all()
    assert start[-1] + valid[-1] == length and (valid[:-1] == size).all()
    x = np.arange(1, length + 1, dtype=np.float32)
    cut, mask = split(x, size, hop)
    assert cut.shape == mask.shape == (len(start), size)
    assert (cut[~mask] == 0).all() and (cut[mask] > 0).all()
    np.testing.assert_array_equal(np.unique(cut[mask]), x)
    np.testing.assert_array_equal(mask.sum(1), valid)
    np.testing.assert_array_equal(cut[:, 0], start + 1)


@pytest.mark.parametrize("wrong", [(0, 4, 2), (10, 0, 0), (10, 4, 0), (10, 4, 5)])
def test_windows_that_are_none(wrong):
    with pytest.raises(ValueError, match="hop at most size"):
        windows(*wrong)
