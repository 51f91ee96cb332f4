"""Filters have the gain that their formula says, and no delay."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from ssl_audio.signal import filters

KEY, RATE, T = jax.random.key(0), 8000, 4000


def click(clips):
    return jnp.zeros((clips, T)).at[:, T // 2].set(1.0)


def gain(wave):
    """Gain [b k] and frequencies, by what a click in the middle became; nothing may be delayed."""
    wave = np.asarray(wave, np.float64)
    spectrum = np.fft.rfft(np.fft.ifftshift(wave, axes=1))
    assert np.abs(spectrum.imag).max() < 1e-5 and spectrum.real.min() > -1e-5, "phase isn't zero"
    return spectrum.real, np.fft.rfftfreq(T, 1 / RATE)


def analogue(order, edges, kind, hz):
    b, a = scipy.signal.butter(order, 2 * np.pi * np.asarray(edges), kind, analog=True)
    return np.abs(scipy.signal.freqs(b, a, 2 * np.pi * hz)[1])


@pytest.mark.parametrize("order", [1, 2, 4, 8])
@pytest.mark.parametrize("kind", ["lowpass", "highpass"])
def test_low_and_high_pass_are_butterworth(kind, order):
    cutoff = [300.0, 1000.0, 3500.0]
    function = filters.low_pass if kind == "lowpass" else filters.high_pass
    found, hz = gain(function(click(3), jnp.array(cutoff), order, RATE))
    for got, at in zip(found, cutoff, strict=True):
        np.testing.assert_allclose(got, analogue(order, at, kind, hz), atol=1e-3)
        np.testing.assert_allclose(got[round(at * T / RATE)], 0.5**0.5, atol=2e-4)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_band_pass_is_butterworth(order):
    low, high = [300.0, 900.0, 2000.0], [600.0, 1000.0, 8000.0]
    found, hz = gain(filters.band_pass(click(3), jnp.array(low), jnp.array(high), order, RATE))
    for got, *edges in zip(found, low, high, strict=True):
        np.testing.assert_allclose(got, analogue(order, edges, "bandpass", hz), atol=5e-4)


def test_equaliser_bands_are_the_cookbook_peaks():
    centre, db = np.array([[200.0, 1000.0], [3000.0, 500.0]]), np.array([[12.0, -6.0], [-12.0, 0.0]])
    q = np.array([[0.7, 2.0], [1.0, 1.0]])
    found, hz = gain(filters.equalise_bands(click(2), *(jnp.float32(v) for v in (centre, db, q)), RATE))
    for i in range(2):
        expected = 1.0
        for at, d, width in zip(centre[i], db[i], q[i], strict=True):
            a, w = 10 ** (d / 40), 2 * np.pi * at
            top, bottom = [1, a * w / width, w**2], [1, w / (a * width), w**2]
            expected = expected * np.abs(scipy.signal.freqs(top, bottom, 2 * np.pi * hz)[1])
        np.testing.assert_allclose(found[i], expected, rtol=1e-3)
    np.testing.assert_allclose(found[1][round(3000 * T / RATE)], 10 ** (-12 / 20), rtol=1e-3)
    flat = filters.equalise_bands(click(2), *(jnp.float32(v) for v in (centre, 0 * db, q)), RATE)
    np.testing.assert_allclose(flat, click(2), atol=1e-6)


def test_the_ends_of_a_wave_do_not_ring_into_each_other():
    x = jnp.zeros((1, T)).at[:, -1].set(1.0)
    out = np.asarray(filters.low_pass(x, jnp.array([500.0]), 4, RATE))
    assert np.abs(out[0, -20:]).max() > 0.1 and np.abs(out[0, : T // 2]).max() < 1e-5


def test_drawn_cutoffs_lie_evenly_between_their_ends_on_a_logarithmic_scale():
    x = jnp.zeros((400, 512)).at[:, 256].set(1.0)
    found = np.asarray(filters.LowPass((400.0, 3200.0), rate=RATE)(KEY, x))
    power = np.abs(np.fft.rfft(found))
    half = (power > 0.5**0.5).sum(1) * RATE / 512  # Hz
    assert 380 < half.min() < 440 and 2900 < half.max() <= 3220
    assert abs(np.log2(half / 400).mean() - 1.5) < 4 * 3 / np.sqrt(12 * 400)


def test_low_rate_keeps_the_band_and_rounds_to_steps():
    time = np.arange(T) / RATE
    tones = np.stack([0.5 * np.sin(2 * np.pi * hz * time) for hz in (440.0, 1600.0, 2600.0)])
    fine = jnp.full(3, 20)
    out = np.asarray(filters.low_rate(jnp.float32(tones), jnp.full(3, 4000.0), fine, RATE))
    inside = slice(800, -800)
    np.testing.assert_allclose(out[:2, inside], tones[:2, inside], atol=1e-3)
    assert np.abs(out[2, inside]).max() < 1e-3  # above 2000 Hz
    # the error of b bits is Δ² / 12, of which the band holds its share: 0 to 0.95 of half the lower rate
    for bits in (4, 6, 8):
        noise = np.random.default_rng(0).uniform(-0.9, 0.9, (8, T)).astype(np.float32)
        band = np.asarray(filters.low_rate(jnp.asarray(noise), jnp.full(8, 4000.0), jnp.full(8, 20), RATE))
        rough = np.asarray(filters.low_rate(jnp.asarray(noise), jnp.full(8, 4000.0), jnp.full(8, bits), RATE))
        step = 2.0 ** (1 - bits)
        share = (0.9 + 0.1 * 3 / 8) * 4000 / RATE  # 3 / 8: mean square of the slope
        np.testing.assert_allclose(np.square(rough - band).mean(), step**2 / 12 * share, rtol=0.1)


@pytest.mark.parametrize(
    "make, word",
    [
        (lambda: filters.LowPass((100.0, 9000.0)), r"LowPass: cutoff=\(100.0, 9000.0\).*<= 8000"),
        (lambda: filters.HighPass((0.0, 100.0)), "1 <= low"),
        (lambda: filters.HighPass(order=0), "order=0"),
        (lambda: filters.BandPass(octaves=(2.0, 1.0)), "octaves"),
        (lambda: filters.BandPass(order=0), "order=0"),
        (lambda: filters.Equaliser(bands=0), "bands=0"),
        (lambda: filters.Equaliser(q=(0.0, 1.0)), "q="),
        (lambda: filters.LowRate((4000.0, 20_000.0)), "<= 16000"),
        (lambda: filters.LowRate(bits=(0, 4)), "bits"),
    ],
)
def test_wrong_settings_are_refused(make, word):
    with pytest.raises(ValueError, match=word):
        make()
