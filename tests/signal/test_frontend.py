import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from ssl_audio.signal import frames, frontend
from ssl_audio.signal.frontend import LogMel, mel_filters


def sounds(clips=2, samples=8000, seed=0):
    """Tones over soft noise, digital silence at the end of the first: [clips samples] float32."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / 16_000
    tones = np.sin(2 * np.pi * rng.uniform(100, 6000, size=(clips, 3, 1)) * time).sum(1)
    wave = 0.2 * tones + 1e-3 * rng.normal(size=(clips, samples))
    wave[0, -samples // 4 :] = 0.0
    return jnp.asarray(wave, jnp.float32)


def reference(librosa, fe, wave):
    """librosa's log-mel of one clip, [f m]."""
    mel = librosa.feature.melspectrogram(
        y=np.asarray(wave),
        sr=fe.rate,
        n_fft=fe.n_fft,
        win_length=fe.win,
        hop_length=fe.hop,
        n_mels=fe.mels,
        fmin=fe.fmin,
        fmax=fe.fmax,
        htk=fe.htk,
        norm="slaney" if fe.slaney_norm else None,
        power=fe.power,
        center=fe.center,
    )
    if fe.log == "ln":
        return np.log(mel + fe.floor).T
    to_db = librosa.power_to_db if fe.power == 2 else librosa.amplitude_to_db
    return to_db(mel, amin=fe.floor, top_db=fe.top_db).T


# the ways of computing that differ; each is also a setting of a published recipe
SETTINGS = {
    "slaney, ln": LogMel(),
    "htk, ln": LogMel(htk=True, slaney_norm=False),
    "slaney, dB, top_db": LogMel(log="db", top_db=40.0, floor=1e-10),
    "htk, dB": LogMel(htk=True, log="db", floor=1e-10),
    "short window in long transform": LogMel(win=400, n_fft=1024, hop=160),
    "short window, not centred": LogMel(win=400, n_fft=512, hop=160, center=False),
    "magnitudes": LogMel(win=400, hop=160, power=1.0, center=False, htk=True, floor=1e-5),
    "magnitudes, dB": LogMel(power=1.0, log="db", floor=1e-5),
    "odd sizes": LogMel(n_fft=511, win=333, hop=77, mels=23, fmin=0.0, fmax=8000.0),
    "hop longer than window": LogMel(n_fft=256, win=256, hop=300, mels=20),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_equals_librosa(name):
    librosa = pytest.importorskip("librosa", reason="parity needs librosa: pip install -e '.[parity]'")
    fe, wave = SETTINGS[name], sounds()
    ours = np.asarray(jax.jit(fe)(wave))
    for clip, log_mel in zip(wave, ours, strict=True):
        np.testing.assert_allclose(log_mel, reference(librosa, fe, clip), rtol=1e-4, atol=1e-4)


def test_equals_librosa_before_the_logarithm():
    librosa = pytest.importorskip("librosa", reason="parity needs librosa: pip install -e '.[parity]'")
    fe = LogMel(floor=1e-30)
    wave = 0.1 * jax.random.normal(jax.random.key(0), (1, 8000))
    np.testing.assert_allclose(np.exp(fe(wave)[0]), np.exp(reference(librosa, fe, wave[0])), rtol=1e-4)


@pytest.mark.parametrize("htk", [False, True])
@pytest.mark.parametrize("slaney_norm", [False, True])
@pytest.mark.parametrize("sizes", [(16_000, 1024, 64, 60.0, 7800.0), (44_100, 2048, 128, 0.0, 22_050.0)])
def test_filters_equal_librosa(htk, slaney_norm, sizes):
    librosa = pytest.importorskip("librosa", reason="parity needs librosa: pip install -e '.[parity]'")
    rate, n_fft, mels, fmin, fmax = sizes
    norm = "slaney" if slaney_norm else None
    expected = librosa.filters.mel(
        sr=rate, n_fft=n_fft, n_mels=mels, fmin=fmin, fmax=fmax, htk=htk, norm=norm
    )
    np.testing.assert_allclose(mel_filters(*sizes, htk, slaney_norm).T, expected, rtol=1e-5, atol=1e-6)


def test_filters_without_norm_sum_to_one_between_the_first_and_the_last_centre():
    filters = mel_filters(16_000, 1024, 40, 0.0, 8000.0, slaney_norm=False)
    first, last = filters[:, 0].argmax() + 1, filters[:, -1].argmax() - 1
    np.testing.assert_allclose(filters[first:last].sum(1), 1.0, atol=1e-6)


def test_cutting_into_phases_changes_nothing(monkeypatch):
    fe, wave = LogMel(mels=16), sounds(samples=20_000)
    one_loop = fe(wave)
    monkeypatch.setattr(frames, "ROWS", 8)
    assert fe.frames(20_000) > 8 * 7
    np.testing.assert_allclose(fe(wave), one_loop, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("fe", [LogMel(), LogMel(center=False, win=400), LogMel(n_fft=511, win=333, hop=77)])
def test_frames_are_counted_without_computing(fe):
    for samples in (1024, 1025, 5000, 16_000):
        wave = jax.ShapeDtypeStruct((1, samples), jnp.float32)
        assert jax.eval_shape(fe, wave).shape == (1, fe.frames(samples), fe.mels)


@pytest.mark.parametrize("fe", [LogMel(), LogMel(center=False)])
def test_valid_frames_of_a_padded_clip_equal_those_of_the_clip_alone(fe):
    wave = sounds(2, 4000)
    valid = np.array([4000, 0], np.int32)
    padded = jnp.pad(wave, ((0, 0), (0, 6000)))
    frames = np.asarray(fe.valid_frames(valid))
    assert frames.tolist() == [fe.frames(4000), 0]
    np.testing.assert_allclose(fe(padded)[:, : frames[0]], fe(wave), rtol=1e-5, atol=1e-5)


def test_moving_a_sound_by_a_hop_moves_the_frames_by_one():
    fe, wave = LogMel(), sounds()
    moved = jnp.pad(wave, ((0, 0), (fe.hop, 0)))
    np.testing.assert_allclose(fe(moved)[:, 1:], fe(wave), rtol=1e-5, atol=1e-5)


def test_ten_times_the_amplitude_is_twenty_decibels():
    fe, wave = LogMel(log="db", floor=1e-20), sounds()[1:]
    np.testing.assert_allclose(fe(wave * 10) - fe(wave), 20.0, atol=1e-3)


def test_shortest_clips():
    assert LogMel()(jnp.ones((1, 1))).shape == (1, 1, 64)
    assert LogMel(center=False)(jnp.ones((1, 1024))).shape == (1, 1, 64)
    with pytest.raises(ValueError, match="no frame fits into 1023 samples"):
        LogMel(center=False)(jnp.ones((1, 1023)))
    with pytest.raises(ValueError, match="no frame fits into 0 samples"):
        LogMel()(jnp.ones((1, 0)))


@pytest.mark.parametrize("fe", [LogMel(), LogMel(power=1.0), LogMel(log="db", top_db=80.0)])
def test_silence_and_its_gradient_are_finite(fe):
    silence = jnp.zeros((2, 4000))
    assert np.isfinite(fe(silence)).all()
    assert np.isfinite(jax.grad(lambda wave: fe(wave).sum())(silence)).all()


def test_gradient_equals_finite_differences():
    fe = LogMel(n_fft=64, win=48, hop=16, mels=4, floor=1e-3)
    wave = jax.random.normal(jax.random.key(0), (2, 200))
    check_grads(jax.jit(fe), (wave,), order=1, modes=["rev"], atol=1e-2, rtol=1e-2, eps=1e-2)


def test_no_float64_and_no_bfloat16_result():
    wave = jnp.ones((1, 2000))
    assert LogMel()(wave.astype(jnp.bfloat16)).dtype == jnp.float32
    with jax.enable_x64(True):
        text = str(jax.make_jaxpr(LogMel())(jnp.zeros((1, 2000), jnp.float32)))
    assert "f64" not in text and "c128" not in text


def test_clips_split_over_devices_give_the_same_without_communication():
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    fe, wave = LogMel(mels=16), sounds(jax.device_count(), 3000)
    compiled = jax.jit(fe).lower(jax.device_put(wave, sharding)).compile()
    text = compiled.as_text()
    assert not any(word in text for word in ("all-gather", "all-reduce", "collective-permute", "all-to-all"))
    np.testing.assert_allclose(compiled(jax.device_put(wave, sharding)), fe(wave), rtol=1e-5, atol=1e-5)


def test_fit_normalises_to_mean_0_and_std_1():
    clips = list(np.asarray(sounds(5, 16_000)))
    fe = LogMel().fit(
        [(32767 * clip).astype(np.int16) for clip in clips[:3]] + clips[3:], samples=16_000, batch=2
    )
    x = np.asarray(fe(jnp.stack(clips)), np.float64)
    assert abs(x.mean()) < 1e-3 and abs(x.std() - 1) < 1e-3


def test_fit_leaves_padding_out():
    clips = [
        clip[:n]
        for clip, n in zip(np.asarray(sounds(4, 16_000, seed=1)), (16_000, 4000, 900, 9000), strict=True)
    ]
    plain = LogMel(mels=16)
    x = np.concatenate([np.asarray(plain(jnp.asarray(clip[None])))[0] for clip in clips])
    fe = plain.fit(iter(clips), samples=16_000, batch=3)
    np.testing.assert_allclose([fe.mean, fe.std], [x.mean(), x.std()], rtol=1e-4)
    assert dataclasses.replace(fe, mean=0.0, std=1.0) == plain


def test_fit_pieces_are_of_one_shape_and_leave_no_crumbs():
    pieces = list(frontend._pieces([np.ones(2500, np.float32), np.full(10, 16384, np.int16)], 1000, 2, 600))
    assert [wave.shape for wave, _ in pieces] == [(2, 1000), (2, 1000)]
    assert [valid.tolist() for _, valid in pieces] == [[1000, 1000], [10, 0]]
    assert pieces[1][0][0, :10].tolist() == [0.5] * 10


def test_fit_refuses_silence_and_nothing():
    with pytest.raises(ValueError, match="no frame of sound"):
        LogMel().fit([])
    with pytest.raises(ValueError, match="silence"):
        LogMel().fit([np.zeros(16_000, np.int16)])
    with pytest.raises(ValueError, match="not-a-number"):
        LogMel().fit([np.full(16_000, np.nan, np.float32)])


def test_mean_and_std_a_band():
    plain, wave = LogMel(mels=4), sounds()
    fe = dataclasses.replace(plain, mean=(0.0, 1.0, 2.0, 3.0), std=(1.0, 2.0, 4.0, 8.0))
    np.testing.assert_allclose(
        fe(wave), (np.asarray(plain(wave)) - np.arange(4)) / 2 ** np.arange(4), rtol=1e-5, atol=1e-6
    )


def test_hash_names_every_field_and_survives_json():
    fe = LogMel(mean=(0.5,) * 64)
    fields = json.loads(json.dumps(dataclasses.asdict(fe)))
    again = LogMel(
        **{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    )
    assert again.hash == fe.hash and len(fe.hash) == 16
    changed = dict(rate=22_050, n_fft=2048, win=512, hop=80, mels=32, fmin=50.0, fmax=7000.0, htk=True)
    changed |= dict(slaney_norm=False, power=1.0, log="db", floor=1e-6, center=False, mean=1.0, std=2.0)
    hashes = {LogMel().hash} | {LogMel(**{name: value}).hash for name, value in changed.items()}
    assert len(hashes) == 1 + len(changed)
    assert LogMel(log="db", top_db=80.0).hash != LogMel(log="db").hash


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(fmax=9000.0), "not within 0 to 8000.0 Hz"),
        (dict(win=2048), "window 2048"),
        (dict(hop=0), "hop 0"),
        (dict(top_db=80.0), "top_db"),
        (dict(floor=0.0), "floor 0.0"),
        (dict(std=0.0), "std must be positive"),
        (dict(mean=(1.0, 2.0)), "2 entries for 64 bands"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        LogMel(**fields)
