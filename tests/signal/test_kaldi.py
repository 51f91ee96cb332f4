import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_audio.signal import kaldi


def wave(samples=6000, rate=16_000, seed=0):
    """Two tones with noise and a rest in the middle, an offset on all: float32 [samples] within −1 to 1."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / rate
    x = 0.3 * np.sin(2 * np.pi * 440 * time) + 0.1 * np.sin(2 * np.pi * 2500 * time)
    x = (x + 0.05 * rng.standard_normal(samples)) * (np.abs(time - time.mean()) > 0.02) + 0.01
    return np.clip(x + 1e-3 * rng.standard_normal(samples), -1, 1).astype(np.float32)


MEL = {"low_freq": "low_freq", "high_freq": "high_freq", "mels": "num_bins"}
FRAME = {
    "window": "window_type",
    "preemphasis": "preemph_coeff",
    "remove_dc": "remove_dc_offset",
    "snip_edges": "snip_edges",
    "frame_length_ms": "frame_length_ms",
    "frame_shift_ms": "frame_shift_ms",
}


def reference(kind, x, rate, settings):
    """kaldi-native-fbank's features [f m] of one wave."""
    knf = pytest.importorskip(
        "kaldi_native_fbank", reason="parity needs kaldi-native-fbank: pip install -e '.[parity]'"
    )
    options = getattr(knf, f"{kind.capitalize()}Options")()
    options.frame_opts.samp_freq = rate
    options.frame_opts.dither = 0
    for name, value in settings.items():
        if name in MEL:
            setattr(options.mel_opts, MEL[name], value)
        elif name in FRAME:
            setattr(options.frame_opts, FRAME[name], value)
        else:
            setattr(options, {"lifter": "cepstral_lifter"}.get(name, name), value)
    made = getattr(knf, f"Online{kind.capitalize()}")(options)
    made.accept_waveform(rate, x.tolist())
    made.input_finished()
    return np.stack([made.get_frame(i) for i in range(made.num_frames_ready)])


FBANKS = {
    "default": {},
    "128 bands, hanning": dict(mels=128, window="hanning", htk_compat=True, frame_length_ms=64.0),
    "hamming, mirrored edges": dict(window="hamming", snip_edges=False, mels=40),
    "mirrored, shift longer than half a frame": dict(
        snip_edges=False, frame_length_ms=20.0, frame_shift_ms=15.0
    ),
    "mirrored, gaps between frames": dict(snip_edges=False, frame_length_ms=10.0, frame_shift_ms=16.0),
    "magnitudes, no log": dict(use_power=False, use_log_fbank=False),
    "edges in Hz": dict(low_freq=60.0, high_freq=-400.0, mels=30),
    "energy first": dict(use_energy=True),
    "energy last, floored": dict(use_energy=True, htk_compat=True, energy_floor=5.0),
    "no dc, no pre-emphasis": dict(remove_dc=False, preemphasis=0.0, frame_length_ms=32.0),
}
MFCCS = {
    "default": {},
    "no energy": dict(use_energy=False, num_ceps=20, mels=40),
    "htk": dict(use_energy=False, htk_compat=True, lifter=0.0),
    "htk energy": dict(htk_compat=True, energy_floor=5.0, lifter=30.0, snip_edges=False),
}


@pytest.mark.parametrize(
    ("name", "rate"), [(name, 16_000) for name in FBANKS] + [("default", 22_050), ("default", 8000)]
)
def test_fbank_equals_kaldi(name, rate):
    settings, x = FBANKS[name], wave(rate=rate)
    ours = jax.jit(functools.partial(kaldi.fbank, rate=rate, **settings))(x)
    np.testing.assert_allclose(ours, reference("fbank", x, rate, settings), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", MFCCS)
def test_mfcc_equals_kaldi(name):
    settings, x = MFCCS[name], wave()
    ours = jax.jit(functools.partial(kaldi.mfcc, rate=16_000, **settings))(x)
    np.testing.assert_allclose(ours, reference("mfcc", x, 16_000, settings), rtol=1e-3, atol=1e-3)


def test_waves_scaled_as_integers_equal_kaldi():
    x = wave() * np.float32(2**15)
    ours = kaldi.fbank(jnp.asarray(x), 16_000, mels=80)
    np.testing.assert_allclose(ours, reference("fbank", x, 16_000, {"mels": 80}), rtol=1e-3, atol=1e-3)


def test_bands_without_a_bin_are_at_the_floor():
    """AudioMAE's 128 bands of 512 bins: kaldi-native-fbank refuses them, torchaudio doesn't."""
    banks = kaldi.mel_banks(16_000, 512, 128)
    empty = ~banks.any(0)
    assert empty.sum() == 1 and empty[0] == 0
    y = kaldi.fbank(jnp.asarray(wave()) * 2**15, 16_000, mels=128, window="hanning")
    np.testing.assert_allclose(y[:, empty], np.log(2.0**-23), rtol=1e-6)
    assert np.all(y[:, ~empty] > 0)


def test_a_batch_is_its_clips():
    x = jnp.stack([wave(seed=i) for i in range(3)])
    batch = jax.jit(lambda x: kaldi.fbank(x, 16_000))(x)
    assert batch.shape == (3, kaldi.frames(6000, 400, 160), 23)
    for clip, features in zip(x, batch, strict=True):
        np.testing.assert_allclose(features, kaldi.fbank(clip, 16_000), rtol=1e-4, atol=1e-4)


def test_an_offset_changes_nothing_and_a_gain_adds():
    x = jnp.asarray(wave())
    plain = kaldi.fbank(x * 100, 16_000)
    np.testing.assert_allclose(kaldi.fbank(x * 100 + 20, 16_000), plain, atol=2e-3)
    np.testing.assert_allclose(kaldi.fbank(x * 1000, 16_000) - plain, 2 * np.log(10), atol=1e-3)


def test_silence_is_the_floor_and_its_gradient_is_finite():
    silence = jnp.zeros((2, 2000))
    for settings in ({}, {"use_power": False}, {"use_energy": True}):
        y, back = jax.vjp(functools.partial(kaldi.fbank, rate=16_000, **settings), silence)
        np.testing.assert_allclose(y, np.log(2.0**-23), rtol=1e-6)
        assert np.isfinite(back(jnp.ones_like(y))[0]).all()


@pytest.mark.parametrize("snip_edges", [True, False])
def test_number_of_frames(snip_edges):
    for samples in (400, 401, 559, 560, 1000):
        x = jnp.ones(samples)
        found = kaldi.fbank(x, 16_000, snip_edges=snip_edges).shape[0]
        assert found == kaldi.frames(samples, 400, 160, snip_edges)
    assert kaldi.frames(400, 400, 160) == 1 and kaldi.frames(560, 400, 160) == 2
    assert kaldi.frames(80, 400, 160, False) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: kaldi.fbank(x, 16_000), "no frame of 400 samples fits into 399"),
        (lambda x: kaldi.fbank(x, 16_000, frame_shift_ms=0.0), "frames of 25.0 ms every 0.0 ms"),
        (lambda x: kaldi.fbank(x, 8000, high_freq=5000.0), "not within 0 to 4000.0 Hz"),
        (lambda x: kaldi.mfcc(x, 8000, num_ceps=30), "30 coefficients of 23 bands"),
    ],
)
def test_settings_that_make_no_sense_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.ones(399))
