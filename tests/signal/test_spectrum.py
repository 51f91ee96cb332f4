from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from ssl_audio.signal import frames
from ssl_audio.signal.frames import window_of
from ssl_audio.signal.spectrum import (
    istft,
    magnitude,
    mel_spectrogram,
    power,
    preemphasis,
    stft,
    to_db,
)


@pytest.fixture(scope="module")
def librosa():
    return pytest.importorskip("librosa", reason="parity needs librosa: pip install -e '.[parity]'")


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(scale=0.1, size=shape).astype(np.float32)


def close(ours, expected, rtol=1e-4):
    """Within rtol of each value, or of a hundredth of the largest."""
    np.testing.assert_allclose(ours, expected, rtol=rtol, atol=rtol * 1e-2 * np.abs(expected).max())


# (ours, librosa's)
SETTINGS = {
    "defaults": ({}, {}),
    "mirrored": (
        dict(n_fft=512, hop=128, pad="reflect"),
        dict(n_fft=512, hop_length=128, pad_mode="reflect"),
    ),
    "edge": (dict(n_fft=512, hop=100, pad="edge"), dict(n_fft=512, hop_length=100, pad_mode="edge")),
    "hamming": (
        dict(n_fft=512, win=301, hop=77, window="hamming"),
        dict(n_fft=512, win_length=301, hop_length=77, window="hamming"),
    ),
    "odd, not centred": (
        dict(n_fft=255, hop=60, center=False),
        dict(n_fft=255, hop_length=60, center=False),
    ),
    "gaps": (dict(n_fft=256, hop=300, window="ones"), dict(n_fft=256, hop_length=300, window="ones")),
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("samples", [2049, 6000])  # of the defaults: one sample over a frame
def test_stft_equals_librosa(librosa, name, samples):
    ours, theirs = SETTINGS[name]
    x = noise(2, samples)
    expected = np.swapaxes(librosa.stft(x, **theirs), 1, 2)
    found = jax.jit(partial(stft, **ours))(x)
    assert found.shape == expected.shape and found.dtype == jnp.complex64
    np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["hann", "hamming", "ones"])
def test_windows_equal_scipys(name):
    from scipy.signal import get_window

    np.testing.assert_allclose(window_of(name, 301), get_window(name, 301), atol=1e-7)


def test_a_tone_on_a_bin_is_three_bins_of_a_hann_window():
    n, cycles = 256, 20
    wave = np.cos(2 * np.pi * cycles * np.arange(4 * n) / n).astype(np.float32)
    expected = np.zeros(129)
    expected[cycles - 1 : cycles + 2] = n / 8, n / 4, n / 8
    np.testing.assert_allclose(
        magnitude(stft(wave, n_fft=n, hop=64, center=False)), np.tile(expected, (13, 1)), atol=1e-3
    )


def test_parseval():
    x = noise(2, 2000)
    s = power(stft(x, n_fft=128, hop=128, window="ones", center=False))
    energy = (2 * s.sum(-1) - s[..., 0] - s[..., -1]) / 128
    np.testing.assert_allclose(energy, (x[:, : 15 * 128].reshape(2, 15, 128) ** 2).sum(-1), rtol=1e-5)


def test_cutting_into_phases_changes_nothing(monkeypatch):
    x = noise(2, 6000)
    one_loop = stft(x, n_fft=256, hop=64)
    monkeypatch.setattr(frames, "ROWS", 8)
    np.testing.assert_allclose(stft(x, n_fft=256, hop=64), one_loop, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "gaps"])
def test_istft_brings_the_wave_back_and_equals_librosa(librosa, name):
    ours, theirs = ({k: v for k, v in s.items() if not k.startswith("pad")} for s in SETTINGS[name])
    n_fft, hop = ours.setdefault("n_fft", 2048), ours.setdefault("hop", 512)
    x = noise(2, 6000)
    s = stft(x, **SETTINGS[name][0])
    back = jax.jit(partial(istft, **ours, length=6000))(s)
    inside = slice(n_fft, 6000 - n_fft)  # at the ends windows cover a sample with little or nothing
    np.testing.assert_allclose(back[:, inside], x[:, inside], atol=1e-6)
    theirs = dict(theirs, n_fft=n_fft, hop_length=hop)
    for length in (None, 5000, 6000, 7000):
        expected = librosa.istft(np.swapaxes(np.asarray(s), 1, 2), **theirs, length=length)
        found = np.asarray(jax.jit(partial(istft, **ours, length=length))(s))
        assert found.shape == expected.shape
        np.testing.assert_allclose(found[:, inside], expected[:, inside], atol=1e-6)
    np.testing.assert_allclose(
        istft(s, **ours)[:, :n_fft],
        librosa.istft(np.swapaxes(np.asarray(s), 1, 2), **theirs)[:, :n_fft],
        atol=1e-2,
    )


def test_istft_of_a_changed_spectrum_is_the_least_squares_wave():
    """Griffin & Lim (1984), equation 6, solved here as a linear system."""
    s = np.asarray(stft(noise(1, 64), n_fft=16, hop=4, center=False)) * noise(1, 13, 9, seed=1)
    forward = jax.vmap(lambda x: stft(x, n_fft=16, hop=4, center=False), out_axes=-1)(jnp.eye(64))
    weight = np.sqrt(np.r_[1.0, [2.0] * 7, 1.0])[None, :, None]  # both halves of the spectrum count
    rows = (np.asarray(forward) * weight).reshape(-1, 64)
    values = (s[0] * weight[..., 0]).reshape(-1)
    expected = np.linalg.lstsq(np.r_[rows.real, rows.imag], np.r_[values.real, values.imag], rcond=None)[0]
    found = istft(jnp.asarray(s), n_fft=16, hop=4, center=False)[0]
    # imaginary parts of the first and the last bin belong to no wave
    np.testing.assert_allclose(found[1:], expected[1:], atol=1e-5)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (dict(), dict()),
        (dict(htk=True, slaney_norm=False, power=1.0), dict(htk=True, norm=None, power=1.0)),
        (
            dict(n_fft=512, win=400, hop=160, mels=40, fmin=60.0, fmax=3000.0, pad="reflect"),
            dict(
                n_fft=512, win_length=400, hop_length=160, n_mels=40, fmin=60, fmax=3000, pad_mode="reflect"
            ),
        ),
        (dict(n_fft=512, mels=20, center=False), dict(n_fft=512, n_mels=20, center=False)),
    ],
)
@pytest.mark.parametrize("rate", [8000, 48_000])
@pytest.mark.filterwarnings("ignore:Empty filters detected in mel")
def test_mel_spectrogram_equals_librosa(librosa, ours, theirs, rate):
    x = noise(2, 6000)
    expected = np.swapaxes(librosa.feature.melspectrogram(y=x, sr=rate, **theirs), 1, 2)
    close(jax.jit(partial(mel_spectrogram, rate=rate, **ours))(x), expected)


@pytest.mark.parametrize(
    "settings", [dict(), dict(top_db=None), dict(amin=1e-3, top_db=20.0, ref=2.0), dict(amin=0.5, ref=0.1)]
)
def test_decibels_equal_librosa_clip_by_clip(librosa, settings):
    x = noise(3, 4, 5) ** 2 * np.float32([1.0, 1e-6, 0.0])[:, None, None]
    expected = np.stack([librosa.power_to_db(clip, **settings) for clip in x])
    np.testing.assert_allclose(to_db(x, **settings), expected, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(to_db(x[1], **settings), expected[1], rtol=1e-5, atol=1e-4)


def test_preemphasis_equals_librosa(librosa):
    x = noise(2, 100)
    np.testing.assert_allclose(preemphasis(x), librosa.effects.preemphasis(x), atol=1e-6)
    np.testing.assert_allclose(preemphasis(x[0], 0.5), librosa.effects.preemphasis(x[0], coef=0.5), atol=1e-6)


FUNCTIONS = {
    "stft": lambda x: magnitude(stft(x, n_fft=128, hop=40)),
    "power": lambda x: power(stft(x, n_fft=128, hop=40)),
    "istft": lambda x: istft(stft(x, n_fft=128, hop=40), hop=40),
    "mel": lambda x: mel_spectrogram(x, 8000, n_fft=128, hop=40, mels=8),
    "magnitude mel": lambda x: mel_spectrogram(x, 8000, n_fft=128, hop=40, mels=8, power=1.0),
    "db": lambda x: to_db(mel_spectrogram(x, 8000, n_fft=128, hop=40, mels=8)),
    "preemphasis": preemphasis,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_clip_a_batch_and_vmap_give_the_same(name):
    function, x = FUNCTIONS[name], jnp.asarray(noise(3, 400))
    batch = jax.jit(function)(x)
    np.testing.assert_allclose(jax.jit(function)(x[1]), batch[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(jax.jit(jax.vmap(function))(x), batch, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_silence_and_full_scale_have_finite_gradients(name):
    both = jax.jit(jax.value_and_grad(lambda x: FUNCTIONS[name](x).sum()))
    square = np.sign(np.sin(2 * np.pi * np.arange(400) / 37 + 0.1)).astype(np.float32)
    for x in (np.zeros(400, np.float32), square):
        value, slope = both(x)
        assert np.isfinite(value) and np.isfinite(slope).all()


def test_gradients_equal_finite_differences():
    def there_and_back(x):
        s = stft(x, n_fft=32, hop=10)
        return istft(jax.lax.complex(magnitude(s), s.imag), n_fft=32, hop=10)

    x = jnp.asarray(10 * noise(1, 100))
    check_grads(jax.jit(there_and_back), (x,), order=1, modes=["rev"], atol=2e-2, rtol=2e-2, eps=1e-2)


def test_clips_split_over_devices_give_the_same_without_communication():
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    x = noise(jax.device_count(), 400)
    function = FUNCTIONS["db"]
    compiled = jax.jit(function).lower(jax.device_put(x, sharding)).compile()
    text = compiled.as_text()
    assert not any(word in text for word in ("all-gather", "all-reduce", "collective-permute", "all-to-all"))
    np.testing.assert_allclose(compiled(jax.device_put(x, sharding)), function(x), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stft(np.zeros((2, 3, 400), np.float32)), "neither a batch"),
        (lambda: stft(np.zeros((2, 4000), np.int16)), "int16"),
        (lambda: stft(np.zeros(0, np.float32)), "0 samples"),
        (lambda: stft(np.zeros(100, np.float32), center=False), "no frame fits into 100 samples"),
        (lambda: stft(np.zeros(4000, np.float32), n_fft=512, win=600), "window 600"),
        (lambda: stft(np.zeros(4000, np.float32), hop=0), "hop 0"),
        (lambda: istft(np.zeros((3, 65), np.complex64), n_fft=256), "65 bins"),
        (lambda: mel_spectrogram(np.zeros(4000, np.float32), 8000, fmax=5000.0), "half the rate"),
        (lambda: to_db(np.zeros((2, 3), np.float32), amin=0.0), "amin 0.0"),
        (lambda: preemphasis(np.zeros(1, np.float32)), "1 samples"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
