from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_audio.signal import descriptors
from ssl_audio.signal.spectrum import magnitude, stft


@pytest.fixture(scope="module")
def librosa():
    return pytest.importorskip("librosa", reason="parity needs librosa: pip install -e '.[parity]'")


def sounds(rate, samples):
    """A tone over noise, noise then silence, and a full-scale square wave: [3 samples]."""
    rng = np.random.default_rng(rate)
    time = np.arange(samples) / rate
    tone = 0.5 * np.sin(2 * np.pi * 0.1 * rate * time) + 1e-3 * rng.normal(size=samples)
    fading = 0.1 * rng.normal(size=samples) * (time < time[-1] / 2)
    square = np.sign(np.sin(2 * np.pi * 0.0371 * rate * time + 0.1))
    return np.stack([tone, fading, square]).astype(np.float32)


def bands(rate):
    return 6 if rate > 13_000 else 4  # so that the highest octave begins below rate / 2


def with_librosa(librosa, name, clip, rate, **sizes):
    """librosa's of one clip, [f] or [f c]."""
    if name == "onset_strength":
        return librosa.onset.onset_strength(y=clip, sr=rate, **sizes)
    if name in ("rms", "zero_crossing_rate"):
        sizes["frame_length"] = sizes.pop("n_fft")
    else:
        sizes |= {} if name == "spectral_flatness" else dict(sr=rate)
    if name == "spectral_contrast":
        sizes["n_bands"] = bands(rate)
    found = getattr(librosa.feature, name)(y=clip, **sizes)
    return found.T if name == "spectral_contrast" else found[0]


def with_ours(name, rate, **sizes):
    settings = (
        sizes
        if name in ("rms", "zero_crossing_rate", "spectral_flatness", "spectral_flux")
        else dict(sizes, rate=rate)
    )
    if name == "spectral_contrast":
        settings["n_bands"] = bands(rate)
    return partial(getattr(descriptors, name), **settings)


NAMES = (
    "rms",
    "zero_crossing_rate",
    "spectral_centroid",
    "spectral_bandwidth",
    "spectral_rolloff",
    "spectral_flatness",
    "spectral_contrast",
    "onset_strength",
)
# dB. librosa transforms in float64: beside a tone the softest bin of a band lies near float32's rounding
ABSOLUTE = {"spectral_contrast": 0.02, "onset_strength": 1e-4}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", [8000, 22_050, 48_000])
@pytest.mark.filterwarnings("ignore:n_fft=")
def test_equals_librosa(librosa, name, rate):
    for sizes, samples in ((dict(n_fft=2048, hop=512), 2049), (dict(n_fft=1024, hop=300), 6000)):
        x = sounds(rate, samples)
        found = np.asarray(jax.jit(with_ours(name, rate, **sizes))(x))
        theirs = dict(n_fft=sizes["n_fft"], hop_length=sizes["hop"])
        for clip, ours in zip(x, found, strict=True):
            expected = with_librosa(librosa, name, clip, rate, **theirs)
            assert ours.shape == expected.shape
            np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=ABSOLUTE.get(name, 1e-7))


@pytest.mark.parametrize("name", ["rms", "zero_crossing_rate", "spectral_centroid", "spectral_contrast"])
@pytest.mark.parametrize("hop", [256, 1500])
def test_equals_librosa_not_centred_and_with_gaps(librosa, name, hop):
    x = sounds(22_050, 6000)
    found = np.asarray(jax.jit(with_ours(name, 22_050, n_fft=1024, hop=hop, center=False))(x))
    for clip, ours in zip(x, found, strict=True):
        expected = with_librosa(librosa, name, clip, 22_050, n_fft=1024, hop_length=hop, center=False)
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=ABSOLUTE.get(name, 1e-7))


def test_a_tone():
    """Its root mean square, crossings, centroid, width and rolloff in closed form; little flatness."""
    rate, hz, samples = 8000, 1000.0, 4000  # a whole number of periods in each frame, and hz on a bin
    x = (0.5 * np.sin(2 * np.pi * hz * np.arange(samples) / rate + 0.1)).astype(np.float32)
    sizes = dict(n_fft=512, hop=128, center=False)
    np.testing.assert_allclose(descriptors.rms(x, **sizes), 0.5 / np.sqrt(2), rtol=1e-5)
    np.testing.assert_allclose(descriptors.zero_crossing_rate(x, **sizes), 2 * hz / rate, atol=1.01 / 512)
    np.testing.assert_allclose(descriptors.spectral_centroid(x, rate, **sizes), hz, rtol=1e-3)
    # three bins of 1/4, 1/2, 1/4: the variance is half a bin squared
    width = rate / 512 / np.sqrt(2)
    np.testing.assert_allclose(descriptors.spectral_bandwidth(x, rate, **sizes), width, rtol=5e-2)
    np.testing.assert_allclose(descriptors.spectral_rolloff(x, rate, **sizes), hz + rate / 512, rtol=1e-6)
    assert (descriptors.spectral_flatness(x, **sizes) < 1e-6).all()


def test_flux_of_a_sound_that_starts_is_there_when_it_starts():
    x = np.zeros(4000, np.float32)
    x[2000:] = np.random.default_rng(0).normal(size=2000)
    flux = np.asarray(descriptors.spectral_flux(x, n_fft=256, hop=100))
    s = np.asarray(magnitude(stft(x, n_fft=256, hop=100)))
    np.testing.assert_allclose(flux[1:], np.maximum(np.diff(s, axis=0), 0).sum(1), rtol=1e-5)
    assert flux[0] == 0 and not flux[:18].any() and flux.argmax() in (19, 20, 21)


@pytest.mark.parametrize(
    "name", ["zero_crossing_rate", "spectral_centroid", "spectral_bandwidth", "spectral_rolloff"]
)
def test_loudness_is_of_no_account(name):
    x, function = sounds(16_000, 3000), jax.jit(with_ours(name, 16_000, n_fft=512, hop=200))
    np.testing.assert_allclose(function(4.0 * x), function(x), rtol=1e-5)


@pytest.mark.parametrize("name", [*NAMES, "spectral_flux"])
def test_a_clip_a_batch_and_vmap_give_the_same(name):
    function, x = with_ours(name, 22_050, n_fft=512, hop=200), jnp.asarray(sounds(22_050, 2000))
    batch = jax.jit(function)(x)
    np.testing.assert_allclose(jax.jit(function)(x[1]), batch[1], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(jax.jit(jax.vmap(function))(x), batch, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [*NAMES, "spectral_flux"])
def test_silence_and_full_scale_have_finite_gradients(name):
    function = jax.jit(with_ours(name, 22_050, n_fft=512, hop=200))
    slope = jax.jit(jax.grad(lambda x: function(x).sum()))
    silence = np.zeros((3, 1500), np.float32)
    for x in (silence, sounds(22_050, 1500)):
        assert np.isfinite(function(x)).all() and np.isfinite(slope(x)).all()
    expected = 1.0 if name == "spectral_flatness" else 0.0
    np.testing.assert_allclose(function(silence), expected, atol=1e-5)


def test_refusals():
    x = np.zeros(4000, np.float32)
    with pytest.raises(ValueError, match=r"no bins between 6400\.0 and 12800\.0 Hz \(rate 8000"):
        descriptors.spectral_contrast(x, 8000)
    with pytest.raises(ValueError, match="no bins between 0"):
        descriptors.spectral_contrast(x, 48_000, n_fft=128)
    with pytest.raises(ValueError, match=r"quantile 1\.0"):
        descriptors.spectral_contrast(x, 22_050, quantile=1.0)
    with pytest.raises(ValueError, match=r"share 85\.0"):
        descriptors.spectral_rolloff(x, 8000, share=85.0)
    with pytest.raises(ValueError, match=r"amin 0\.0"):
        descriptors.spectral_flatness(x, amin=0.0)
    with pytest.raises(ValueError, match="no frame fits into 4000"):
        descriptors.rms(x, n_fft=4096, center=False)
