"""The frontends beside log-mel against what they are made of; what all of them keep is in test_contracts."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_audio.signal import kaldi
from ssl_audio.signal.frontends import CQT, GFCC, MFCC, KaldiFbank, PCENMel, RawFrames

RATE = 16_000


@functools.cache
def sounds(samples=8000):
    rng = np.random.default_rng(0)
    time = np.arange(samples) / RATE
    tones = np.sin(2 * np.pi * rng.uniform(100, 4000, size=(2, 3, 1)) * time).sum(1)
    return jnp.asarray(0.2 * tones + 1e-2 * rng.standard_normal((2, samples)), jnp.float32)


def test_mfcc_is_librosas_without_top_db():
    librosa = pytest.importorskip("librosa", reason="parity needs librosa: pip install -e '.[parity]'")
    fe, x = MFCC(n_mfcc=20), sounds()
    ours = jax.jit(fe.raw)(x)
    for clip, c in zip(np.asarray(x), ours, strict=True):
        mel = librosa.feature.melspectrogram(y=clip, sr=RATE, n_fft=1024, hop_length=160, n_mels=128)
        expected = librosa.feature.mfcc(S=librosa.power_to_db(mel, top_db=None), n_mfcc=20).T
        np.testing.assert_allclose(c, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_pcen_mel_is_librosas_on_its_own_mel():
    librosa = pytest.importorskip("librosa", reason="parity needs librosa: pip install -e '.[parity]'")
    fe, clip = PCENMel(mels=40), np.asarray(sounds()[0])
    sizes = dict(sr=RATE, n_fft=1024, hop_length=160, n_mels=40, fmin=60.0, fmax=7800.0, power=1.0)
    mel = librosa.feature.melspectrogram(y=clip, **sizes).astype(np.float64) * 2.0**31
    # the state before the first frame such that the average begins at it
    frames = 0.4 * RATE / 160
    rate = (np.sqrt(1 + 4 * frames**2) - 1) / (2 * frames**2)
    expected = librosa.pcen(mel, sr=RATE, hop_length=160, zi=(1 - rate) * mel[:, :1]).T
    np.testing.assert_allclose(fe(sounds())[0], expected, rtol=1e-3, atol=1e-3)


def test_kaldi_fbank_is_kaldis():
    x = sounds()
    fe = KaldiFbank(window="povey", scale=2.0**15, mels=64, mean=15.0, std=6.0)
    expected = (kaldi.fbank(x * 2**15, RATE, mels=64, window="povey") - 15.0) / 6.0
    np.testing.assert_allclose(fe(x), expected, rtol=1e-4, atol=1e-4)


def test_cqt_hears_a_tone_in_its_bin():
    fe = CQT(hop=320)
    hz = fe.fmin * 2 ** (37 / 12)
    x = jnp.asarray(0.5 * np.sin(2 * np.pi * hz * np.arange(16_000) / RATE), jnp.float32)[None]
    assert fe(x).shape == (1, 51, 80)
    assert int(fe(x)[0, 25].argmax()) == 37


def test_raw_frames_are_the_wave():
    x = sounds()[:, :1000]
    fe = RawFrames(hop=160, mean=0.1, std=2.0)
    np.testing.assert_allclose(fe(x).reshape(2, -1), (x[:, :960] - 0.1) / 2, rtol=1e-5, atol=1e-6)
    assert fe.mels == 160 and fe.frames(1000) == 6


@pytest.mark.parametrize("fe", [MFCC(n_mfcc=8), GFCC(n_gfcc=8, channels=16)])
def test_fit_of_cepstra_is_coefficient_by_coefficient(fe):
    clips = np.asarray(sounds())
    fitted = fe.fit(clips, samples=8000, batch=2)
    x = np.asarray(fitted(sounds()), np.float64)
    np.testing.assert_allclose(x.mean((0, 1)), 0.0, atol=1e-2)
    np.testing.assert_allclose(x.std((0, 1)), 1.0, atol=1e-2)
    assert dataclasses.replace(fitted, mean=0.0, std=1.0) == fe


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MFCC(n_mfcc=200), "n_mfcc 200"),
        (lambda: MFCC(fmax=9000.0), "half the rate"),
        (lambda: GFCC(n_gfcc=65), "n_gfcc 65"),
        (lambda: GFCC(rate=8000), "half the rate"),
        (lambda: PCENMel(gain=0.0), "must be positive"),
        (lambda: KaldiFbank(rate=8000, high_freq=5000.0), "half the rate"),
        (lambda: KaldiFbank(frame_length_ms=0.01), "give longer frames"),
        (lambda: CQT(rate=4000), "take fewer bins"),
        (lambda: RawFrames(hop=0), "hop 0"),
        (lambda: RawFrames(std=0.0), "std must be positive"),
        (lambda: RawFrames(hop=4, mean=(1.0,)), "1 entries for 4 bands"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
