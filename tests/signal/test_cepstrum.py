import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_audio.signal import cepstrum
from ssl_audio.signal.cepstrum import dct, delta, gammatone_centres, gammatone_filters, gfcc, mfcc

RATE = 16_000


def sounds(clips=2, samples=9000, seed=0):
    """Tones over soft noise, digital silence at the end of the first: [clips samples] float32."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / RATE
    tones = np.sin(2 * np.pi * rng.uniform(100, 6000, size=(clips, 3, 1)) * time).sum(1)
    wave = 0.2 * tones + 1e-3 * rng.normal(size=(clips, samples))
    wave[0, -samples // 4 :] = 0.0
    return wave.astype(np.float32)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        (dict(n_mfcc=13, htk=True, lifter=22.0), dict(n_mfcc=13, htk=True, lifter=22)),
        (
            dict(n_fft=512, hop=100, mels=40, fmin=50.0, fmax=7000.0),
            dict(n_fft=512, hop_length=100, n_mels=40, fmin=50.0, fmax=7000.0),
        ),
    ],
)
def test_mfcc_equals_librosa(ours, theirs):
    librosa = pytest.importorskip("librosa", reason="parity needs librosa: pip install -e '.[parity]'")
    x = sounds()
    found = jax.jit(functools.partial(mfcc, rate=RATE, **ours))(x)
    expected = np.stack([librosa.feature.mfcc(y=clip, sr=RATE, **theirs).T for clip in x])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(("width", "order"), [(9, 1), (9, 2), (5, 1), (7, 3)])
@pytest.mark.parametrize("frames", [9, 30])
def test_delta_equals_librosa(width, order, frames):
    librosa = pytest.importorskip("librosa", reason="parity needs librosa: pip install -e '.[parity]'")
    c = np.random.default_rng(0).standard_normal((2, frames, 5)).astype(np.float32)
    expected = librosa.feature.delta(c, width=width, order=order, axis=1, mode="interp")
    np.testing.assert_allclose(delta(jnp.asarray(c), width, order), expected, rtol=1e-4, atol=1e-6)


def test_delta_is_the_slope():
    line = 3.0 * jnp.arange(20.0)[:, None] + 5
    np.testing.assert_allclose(delta(line), 3.0, rtol=1e-5)
    np.testing.assert_allclose(delta(line, order=2), 0.0, atol=1e-4)
    np.testing.assert_allclose(delta(jnp.arange(20.0)[:, None] ** 2, order=2), 2.0, rtol=1e-4)


def test_dct_is_orthonormal_and_refuses_more_than_there_is():
    table = np.asarray(dct(jnp.eye(24), 24))
    np.testing.assert_allclose(table.T @ table, np.eye(24), atol=1e-6)
    with pytest.raises(ValueError, match="25 coefficients of 24 bands"):
        dct(jnp.eye(24), 25)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_gammatone_equals_the_sampled_impulse_response(rate):
    """scipy's finite filters, made long; and its recursive ones, Slaney's approximation, around the peak."""
    signal = pytest.importorskip("scipy.signal")
    centres = gammatone_centres(12, 50.0, rate / 2 - 500)
    found = gammatone_filters(rate, 4096, 12, 50.0, rate / 2 - 500)
    hz = np.arange(2049) * rate / 4096
    for i, centre in enumerate(centres):
        taps, _ = signal.gammatone(centre, "fir", fs=rate, numtaps=int(rate * 0.25))
        response = np.abs(signal.freqz(taps, worN=hz, fs=rate)[1])
        np.testing.assert_allclose(found[:, i], response, atol=1e-5)
        if not 0.05 * rate < centre < 0.35 * rate:  # its coefficients lose low poles; it has no aliases
            continue
        b, a = signal.gammatone(centre, "iir", fs=rate)
        near = np.abs(hz - centre) < cepstrum.erb(centre)
        response = np.abs(signal.freqz(b, a, worN=hz, fs=rate)[1])
        np.testing.assert_allclose(found[near, i], response[near], atol=0.02)


def test_erbs_are_evenly_spaced_and_as_wide_as_published():
    centres = gammatone_centres(32, 50.0, 8000.0)
    np.testing.assert_allclose(centres[[0, -1]], [50.0, 8000.0])
    gaps = np.diff(21.4 * np.log10(1 + 0.00437 * centres))
    np.testing.assert_allclose(gaps, gaps[0])
    np.testing.assert_allclose(cepstrum.erb(1000.0), 132.639)  # 24.7 * 5.37


def test_a_tone_at_a_centre_peaks_in_its_channel():
    centres = gammatone_centres(20, 200.0, 6000.0)
    filters = gammatone_filters(RATE, 2048, 20, 200.0, 6000.0)
    for channel in (2, 10, 17):
        x = 0.5 * np.sin(2 * np.pi * centres[channel] * np.arange(8000) / RATE)
        energy = cepstrum.gammatone_energies(jnp.asarray(x[None], jnp.float32), filters, 2048, 160)[0, 20]
        assert energy.argmax() == channel
        np.testing.assert_allclose(energy[channel], 0.5**2 / 2, rtol=0.05)  # the power of the tone


def test_gfcc_scales_with_the_two_thirds_power():
    x = jnp.asarray(sounds(1))
    f = jax.jit(functools.partial(gfcc, rate=RATE, n_gfcc=20, channels=32))
    np.testing.assert_allclose(f(8 * x), 4 * np.asarray(f(x)), rtol=1e-4, atol=1e-5)
    assert f(x).shape == (1, 1 + 9000 // 160, 20)


@pytest.mark.parametrize("f", [mfcc, gfcc])
def test_silence_a_single_clip_and_gradient(f):
    g = jax.jit(functools.partial(f, rate=RATE, n_fft=512, hop=160))
    silence = jnp.zeros(2000)
    assert np.isfinite(g(silence)).all()
    assert np.isfinite(jax.grad(lambda x: g(x).sum())(silence)).all()
    x = jnp.asarray(sounds(samples=2000))
    np.testing.assert_allclose(g(x)[1], g(x[1]), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: delta(jnp.ones((8, 2))), "for 8 frames"),
        (lambda: delta(jnp.ones((20, 2)), width=8), "width 8"),
        (lambda: gammatone_filters(16_000, 512, 32, 50.0, 9000.0), "half the rate"),
        (lambda: mfcc(jnp.ones(4000), 16_000, n_mfcc=200), "200 coefficients of 128 bands"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
