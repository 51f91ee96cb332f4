import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile
from jax.test_util import check_grads

import ssl_audio.datasets
from ssl_audio.signal import pitch
from ssl_audio.signal.pitch import (
    C1,
    chroma_cqt,
    chroma_filters,
    chroma_stft,
    cqt,
    tonal_centroids,
    tonnetz,
)

# librosa's, of windows longer than the wave
pytestmark = pytest.mark.filterwarnings("ignore:n_fft=.* is too large for input signal:UserWarning")

NOTES = Path(ssl_audio.datasets.__file__).parent / "data" / "gm_instruments" / "audio"
FEATURES = {"chroma_stft": chroma_stft, "cqt": cqt, "chroma_cqt": chroma_cqt, "tonnetz": tonnetz}


@functools.cache
def compiled(name, rate, **settings):
    return jax.jit(functools.partial(FEATURES[name], rate=rate, **settings))


def compute(name, wave, rate, **settings):
    return np.asarray(compiled(name, rate, **settings)(jnp.asarray(wave, jnp.float32)))


def reference():
    return pytest.importorskip("librosa", reason="parity needs librosa: pip install -e '.[parity]'")


def librosas_cqt(wave, rate, hop=512, bins=84, tuning=0.0, **settings):
    librosa = reference()
    return np.abs(librosa.cqt(wave, sr=rate, hop_length=hop, n_bins=bins, tuning=tuning, **settings)).T


def sounds(rate, samples=12_000, seed=0):
    """Noise, a click, a clipped tone, a chord that starts and ends suddenly: [4 samples] float32."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / rate
    click = np.zeros(samples)
    click[samples // 3] = 1.0
    square = np.clip(8.0 * np.sin(2 * np.pi * 110.3 * time), -1, 1)
    chord = sum(np.cos(2 * np.pi * hz * time) for hz in (65.4, 82.4, 196.0, 523.3, 1318.5)) / 5
    return np.stack([0.1 * rng.normal(size=samples), click, square, chord]).astype(np.float32)


def note(name, samples=12_288):
    """The beginning of a shipped instrument's note: wave and rate."""
    wave, rate = soundfile.read(NOTES / name, dtype="float32")
    return wave[:samples], rate


def close(ours, expected, tolerance):
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).max() <= tolerance * np.abs(expected).max()


def where_heard(ours, raw, least):
    """Ours and raw chroma relative to its largest, frames of mere rounding left out."""
    peak = raw.max(axis=1, keepdims=True)
    heard = peak > least * peak.max()
    return np.where(heard, ours, 0.0), np.where(heard, raw / np.where(heard, peak, 1.0), 0.0)


# --- constant-Q transform ---


@pytest.mark.parametrize(
    ("rate", "settings"),
    [
        (22_050, dict()),
        (48_000, dict()),  # halved before the first octave
        (16_000, dict(hop=160, bins=80)),  # the hop halves 5 times for 7 octaves; the lowest is cut
        (8_700, dict()),  # the top fills the octave up to half the rate
        (8_000, dict(bins=72, tuning=0.3)),
        (22_050, dict(hop=441, bins=30, fmin=220.0)),  # an odd hop: no halving
        (16_000, dict(bins=48, bins_per_octave=24, fmin=100.0)),
        (16_000, dict(bins=1, fmin=440.0)),
    ],
)
def test_cqt_equals_librosa(rate, settings):
    waves = sounds(rate)
    for wave, ours in zip(waves, compute("cqt", waves, rate, **settings), strict=True):
        close(ours, librosas_cqt(wave, rate, **settings), 1e-3)


@pytest.mark.parametrize("samples", [1, 511, 512, 5 * 512 - 1])
def test_cqt_of_short_and_odd_lengths_equals_librosa(samples):
    wave = np.ones(samples, np.float32)
    close(compute("cqt", wave, 22_050), librosas_cqt(wave, 22_050), 1e-3)


def test_cqt_of_a_tone_peaks_at_its_bin():
    rate, k = 16_000, 45
    time = np.arange(rate) / rate
    middle = compute("cqt", np.sin(2 * np.pi * C1 * 2 ** (k / 12) * time), rate)[15]
    q = (2 ** (1 / 6) + 1) / (2 ** (1 / 6) - 1)
    assert middle.argmax() == k
    np.testing.assert_allclose(middle[k], 0.5 * np.sqrt(q * rate / (C1 * 2 ** (k / 12))), rtol=0.01)
    assert np.delete(middle, [k - 2, k - 1, k, k + 1, k + 2]).max() < 0.03 * middle[k]


def test_a_semitone_of_tuning_is_a_bin():
    wave = sounds(16_000)[3]
    close(
        compute("cqt", wave, 16_000, bins=36, tuning=1.0), compute("cqt", wave, 16_000, bins=37)[:, 1:], 1e-3
    )


def test_moving_a_sound_by_a_hop_moves_the_frames_by_one():
    wave = np.pad(sounds(16_000, 8192)[0], (4096, 4096))
    close(compute("cqt", np.roll(wave, 512), 16_000)[1:], compute("cqt", wave, 16_000)[:-1], 1e-4)


def test_decimation_keeps_what_is_below_and_takes_out_what_would_fold():
    time = np.arange(4096)
    low, high = (np.cos(np.pi * f * time).astype(np.float32) for f in (0.2, 0.51))
    fewer = np.asarray(pitch._decimate(jnp.stack([low, high]), 2))[:, 200:-200]
    np.testing.assert_allclose(fewer[0], low[::2][200:-200], atol=1e-5)
    assert np.abs(fewer[1]).max() < 1e-5


@pytest.mark.parametrize("hop", [1, 3, 16, 40])
def test_products_are_those_of_frames_cut_out(hop):
    rng = np.random.default_rng(0)
    x, table = rng.normal(size=(2, 100)).astype(np.float32), rng.normal(size=(17, 5)).astype(np.float32)
    padded = np.pad(x, ((0, 0), (0, 200)))
    expected = np.stack([padded[:, i * hop : i * hop + 17] @ table for i in range(7)], axis=1)
    np.testing.assert_allclose(pitch._products(jnp.asarray(x), table, hop, 7), expected, rtol=1e-4, atol=1e-4)


# --- chroma and tonal centroids ---


@pytest.mark.parametrize("sizes", [(22_050, 2048, 12), (8000, 512, 24), (44_100, 1023, 36), (16_000, 256, 7)])
@pytest.mark.parametrize("tuning", [0.0, -0.3])
def test_chroma_filters_equal_librosa(sizes, tuning):
    rate, n_fft, n_chroma = sizes
    expected = reference().filters.chroma(sr=rate, n_fft=n_fft, n_chroma=n_chroma, tuning=tuning)
    np.testing.assert_allclose(chroma_filters(*sizes, tuning).T, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("rate", "settings"),
    [(22_050, dict()), (8000, dict(n_fft=512, hop=160, n_chroma=24, tuning=0.2)), (48_000, dict(n_fft=4096))],
)
def test_chroma_stft_equals_librosa(rate, settings):
    librosa, waves = reference(), sounds(rate)
    theirs = {"hop_length": 512, "tuning": 0.0} | settings
    theirs["hop_length"] = theirs.pop("hop", theirs["hop_length"])
    for wave, ours in zip(waves, compute("chroma_stft", waves, rate, **settings), strict=True):
        raw = librosa.feature.chroma_stft(y=wave, sr=rate, norm=None, **theirs).T
        close(*where_heard(ours, raw, 1e-10), 1e-3)


@pytest.mark.parametrize(
    ("rate", "settings"),
    [(22_050, dict()), (16_000, dict(octaves=5, fmin=110.0, n_chroma=24, bins_per_octave=24))],
)
def test_chroma_cqt_equals_librosa(rate, settings):
    librosa, waves = reference(), sounds(rate)
    theirs = {"n_octaves" if name == "octaves" else name: value for name, value in settings.items()}
    for wave, ours in zip(waves, compute("chroma_cqt", waves, rate, **settings), strict=True):
        raw = librosa.feature.chroma_cqt(y=wave, sr=rate, tuning=0.0, norm=None, **theirs).T
        close(*where_heard(ours, raw, 1e-3), 1e-3)


@pytest.mark.parametrize("n_chroma", [12, 24])
def test_tonal_centroids_equal_librosa(n_chroma):
    chroma = np.random.default_rng(0).uniform(size=(2, 9, n_chroma)).astype(np.float32)
    for ours, clip in zip(tonal_centroids(jnp.asarray(chroma)), chroma, strict=True):
        expected = reference().feature.tonnetz(chroma=clip.T).T
        np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_tonal_centroids_of_one_class_lie_on_the_circles():
    c, g = np.asarray(tonal_centroids(jnp.eye(12)))[[0, 7]]
    np.testing.assert_allclose(c, [0, 1, 0, 1, 0, 0.5], atol=1e-6)
    np.testing.assert_allclose(
        g[:2], [np.sin(np.pi * 49 / 6), np.cos(np.pi * 49 / 6)], atol=1e-5
    )  # a twelfth on


@pytest.mark.parametrize("name", ["0252.ogg", "0510.ogg"])
def test_notes_of_instruments_equal_librosa(name):
    librosa = reference()
    wave, rate = note(name)
    close(compute("cqt", wave, rate), librosas_cqt(wave, rate), 1e-4)
    chroma = librosa.feature.chroma_cqt(y=wave, sr=rate, tuning=0.0)
    close(compute("chroma_cqt", wave, rate), chroma.T, 1e-3)
    close(compute("tonnetz", wave, rate), librosa.feature.tonnetz(y=wave, sr=rate, tuning=0.0).T, 1e-3)
    close(
        compute("chroma_stft", wave, rate), librosa.feature.chroma_stft(y=wave, sr=rate, tuning=0.0).T, 1e-3
    )


def test_recordings_of_the_world_equal_librosa(recordings):
    files = sorted((recordings / "esc50" / "audio").glob("*.ogg"))[::400]
    for file in files:
        wave, rate = soundfile.read(file, dtype="float32", frames=16_384)
        close(compute("cqt", wave, rate), librosas_cqt(wave, rate), 1e-3)
        expected = reference().feature.chroma_stft(y=wave, sr=rate, tuning=0.0).T
        close(compute("chroma_stft", wave, rate), expected, 1e-3)


# --- all ---


@pytest.mark.parametrize("name", FEATURES)
def test_one_clip_is_its_row_of_the_batch(name):
    waves = sounds(16_000, 4096)
    batch = compute(name, waves, 16_000)
    assert batch.shape[:2] == (4, 9) and batch.dtype == np.float32
    np.testing.assert_allclose(compute(name, waves[2], 16_000), batch[2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["cqt", "chroma_stft"])
def test_vmap_over_clips_is_the_batch(name):
    waves = jnp.asarray(sounds(16_000, 4096))
    mapped = jax.jit(jax.vmap(functools.partial(FEATURES[name], rate=16_000)))(waves)
    np.testing.assert_allclose(mapped, compute(name, waves, 16_000), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", FEATURES)
def test_values_and_gradients_are_finite_from_silence_to_a_clipped_wave(name):
    weights = np.linspace(0.5, 1.0, 12, dtype=np.float32)[None, None]

    @jax.jit
    def gradient(waves):
        return jax.grad(lambda x: (FEATURES[name](x, 16_000)[..., :12] * weights[..., :n]).sum())(waves)

    for level in (0.0, 1e-22, 1.0):
        waves = jnp.asarray(sounds(16_000, 4096) * np.float32(level))
        values = compute(name, waves, 16_000)
        n = min(12, values.shape[-1])
        assert np.isfinite(values).all() and np.abs(values).max() < 100
        assert level or not values.any()
        assert np.isfinite(gradient(waves)).all()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("cqt", dict(hop=64, bins=24, fmin=440.0)),
        ("chroma_stft", dict(n_fft=256, hop=128)),
    ],
)
def test_gradient_equals_finite_differences(name, settings):
    wave = jax.random.normal(jax.random.key(0), (1, 400))
    function = compiled(name, 8000, **settings)
    check_grads(function, (wave,), order=1, modes=["rev"], atol=2e-2, rtol=2e-2, eps=1e-2)


@pytest.mark.parametrize("name", ["chroma_stft", "chroma_cqt"])
def test_chroma_knows_the_note_and_not_the_loudness(name):
    time = np.arange(16_000) / 16_000
    wave = np.sin(2 * np.pi * 440.0 * time)
    chroma = compute(name, wave, 16_000)[4:-4]
    assert (chroma.argmax(-1) == 9).all() and chroma.max() == 1.0  # A
    np.testing.assert_allclose(compute(name, 1e-3 * wave, 16_000)[4:-4], chroma, atol=1e-3)


@pytest.mark.parametrize("name", FEATURES)
def test_shortest_clip(name):
    values = compute(name, np.ones((1, 1)), 16_000)
    assert values.shape[:2] == (1, 1) and np.isfinite(values).all()
    with pytest.raises(ValueError, match="wave of 0 samples"):
        FEATURES[name](jnp.ones((1, 0)), 16_000)


@pytest.mark.parametrize("norm", [jnp.max, jnp.sum])
def test_gradient_of_relative_values_is_exact_down_to_the_smallest_numbers(norm):
    chroma = jnp.asarray([0.5, 0.25, 1.0])
    gradient = jax.grad(lambda x: (pitch._relative(x, norm) * jnp.asarray([1.0, 2.0, 3.0])).sum())
    np.testing.assert_allclose(1e-30 * gradient(1e-30 * chroma), gradient(chroma), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["cqt", "chroma_stft"])
def test_clips_split_over_devices_need_no_communication(name):
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    wave = jax.device_put(jnp.ones((jax.device_count(), 2048)), sharding)
    text = compiled(name, 16_000).lower(wave).compile().as_text()
    assert not any(word in text for word in ("all-gather", "all-reduce", "collective-permute", "all-to-all"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: cqt(x, 8000), "beyond half the rate, 4000 Hz; ask for 1 bins fewer"),
        (lambda x: cqt(x, 16_000, bins=108), "ask for 13 bins fewer"),
        (lambda x: cqt(x, 16_000, hop=0), "hop 0"),
        (lambda x: cqt(x, 16_000, fmin=0.0), "fmin 0.0"),
        (lambda x: chroma_cqt(x, 8000), "beyond half the rate"),
        (lambda x: chroma_cqt(x, 16_000, bins_per_octave=30), "30 bins an octave are no multiple of 12"),
        (lambda x: chroma_stft(x, 16_000, n_chroma=0), "n_chroma 0"),
        (lambda x: chroma_stft(x, 16_000, n_fft=1), "n_fft 1"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.ones((1, 1000)))
