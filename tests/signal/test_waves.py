"""Augmentations of waves do what they say; that they are fit to be used, test_contracts sees to."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_audio.signal import waves
from ssl_audio.signal.augment import Noise

KEY = jax.random.key(0)


def decibels(ratio):
    return 10 * np.log10(ratio)


def ramp(clips, t):
    return jnp.broadcast_to(jnp.arange(1.0, t + 1)[None], (clips, t))


# --- sign and place ---


def test_polarity_turns_the_wave_upside_down_with_its_probability():
    x = ramp(3, 4)
    out = waves.invert(x, jnp.array([True, False, True]))
    np.testing.assert_array_equal(out, x * jnp.array([[-1.0], [1.0], [-1.0]]))
    for p in (0.0, 0.3, 1.0):
        turned = (np.asarray(waves.Polarity(p)(KEY, jnp.ones((4000, 1)))) < 0).mean()
        assert abs(turned - p) <= 4 * np.sqrt(p * (1 - p) / 4000)


def test_shift_rolls_or_lets_silence_in():
    by = np.array([2, 0, -1, 7, -7])
    rolled = waves.shift(ramp(5, 5), jnp.array(by), "roll")
    np.testing.assert_array_equal(rolled, [np.roll(np.arange(1, 6), v) for v in by])
    silent = waves.shift(ramp(5, 5), jnp.array(by), "zero")
    expected = [[0, 0, 1, 2, 3], [1, 2, 3, 4, 5], [2, 3, 4, 5, 0], [0] * 5, [0] * 5]
    np.testing.assert_array_equal(silent, expected)
    drawn = np.asarray(waves.Shift(2)(KEY, ramp(300, 9)))[:, 0]
    assert set(drawn) == {8.0, 9.0, 1.0, 2.0, 3.0}


# --- other sounds ---


@pytest.mark.parametrize("colour, slope", [("white", 0.0), ("pink", -10.0), ("brown", -20.0)])
def test_noise_has_the_slope_of_its_colour(colour, slope):
    t = 2**14
    x = jnp.ones((64, t))
    noise = np.asarray(Noise((20.0, 20.0), colour)(KEY, x) - x, np.float64)
    power = (np.abs(np.fft.rfft(noise)) ** 2).mean(0)
    edges = np.geomspace(16, t // 2, 16).astype(int)  # three decades, 15 bands
    bands = [decibels(power[a:b].mean()) for a, b in itertools.pairwise(edges)]
    # the mean power of a band lies where the law says, not at its middle
    law = np.arange(t // 2 + 1, dtype=float).clip(1) ** (slope / 10)
    expected = [decibels(law[a:b].mean()) for a, b in itertools.pairwise(edges)]
    away = np.array(bands) - expected
    assert np.abs(away - away.mean()).max() < 1.0
    centre = np.log10(np.sqrt(edges[1:] * edges[:-1]))
    np.testing.assert_allclose(np.polyfit(centre, bands, 1)[0], slope, atol=0.5)


@pytest.mark.parametrize("colour", ["pink", "brown"])
def test_coloured_noise_has_the_signal_to_noise_ratio_asked_for(colour):
    x = jax.random.normal(jax.random.key(5), (3, 8001)) * jnp.array([[0.01], [0.1], [1.0]])
    noise = np.asarray(Noise((15.0, 15.0), colour)(KEY, x) - x)
    np.testing.assert_allclose(decibels((np.square(x).mean(1)) / np.square(noise).mean(1)), 15.0, atol=0.1)


def test_background_is_another_clip_at_its_ratio():
    b, t = 40, 800
    x = np.asarray(jax.random.normal(KEY, (b, t))) * np.geomspace(0.01, 1, b, dtype=np.float32)[:, None]
    added = np.asarray(waves.Background((3.0, 9.0))(KEY, jnp.asarray(x))) - x
    match = np.abs(np.corrcoef(added, x)[:b, b:])
    partner = match.argmax(1)
    assert (match.max(1) > 0.99).all() and sorted(partner) == list(range(b))
    assert (partner != np.arange(b)).all()
    snr = decibels(np.square(x).mean(1) / np.square(added).mean(1))
    assert 2.9 < snr.min() < 4.5 and 7.5 < snr.max() < 9.1


def test_background_where_there_is_none_to_hear():
    x = ramp(1, 5)
    np.testing.assert_array_equal(waves.Background()(KEY, x), x)
    pair = jnp.stack([jnp.ones(50), jnp.zeros(50)])
    np.testing.assert_array_equal(waves.Background()(KEY, pair), pair)


def test_store_background_takes_a_part_of_the_sound_that_came_along():
    b, t = 300, 50
    sound = jnp.sin(jnp.arange(60.0) ** 2 / 7)[None] * jnp.ones((b, 1))  # unlike itself anywhere else
    x = jax.random.normal(KEY, (b, t))
    added = np.asarray(waves.StoreBackground((0.0, 10.0))(KEY, x, sound) - x)
    places = np.lib.stride_tricks.sliding_window_view(np.asarray(sound[0]), t)
    match = np.corrcoef(added, places)[:b, b:]
    assert (match.max(1) > 0.999).all() and set(match.argmax(1)) == set(range(11))
    snr = decibels(np.square(x).mean(1) / np.square(added).mean(1))
    assert 0 <= snr.min() + 1e-3 and snr.max() < 10.01 and snr.std() > 2
    with pytest.raises(ValueError, match=r"set data\.background"):
        waves.StoreBackground()(KEY, x, None)
    with pytest.raises(ValueError, match="60 samples is too short for waves of 70"):
        waves.StoreBackground()(KEY, jnp.ones((b, 70)), sound)


# --- damage ---


def test_hard_clip_holds_the_loudest_share_at_the_level_of_the_rest():
    x = np.random.default_rng(0).standard_normal((4, 5000)).astype(np.float32)
    share = np.array([0.0, 0.1, 0.5, 1.0])
    out = np.asarray(waves.hard_clip(jnp.asarray(x), jnp.asarray(share, jnp.float32)))
    for clip, was, part in zip(out, x, share, strict=True):
        level = np.quantile(np.abs(was), 1 - part)
        np.testing.assert_allclose(clip, np.clip(was, -level, level), atol=1e-5)
        assert abs((clip != was).mean() - part) < 1e-3
    cut = (np.asarray(waves.HardClip((0.0, 0.2))(KEY, jnp.broadcast_to(x[:1], (400, 5000)))) != x[:1]).mean(1)
    assert cut.min() < 0.01 and 0.19 < cut.max() <= 0.2


def test_sample_dropout_loses_its_share():
    lost = (np.asarray(waves.SampleDropout((0.1, 0.3))(KEY, jnp.ones((500, 4000)))) == 0).mean(1)
    assert 0.08 < lost.min() < 0.12 and 0.28 < lost.max() < 0.32
    assert abs(lost.mean() - 0.2) < 4 * 0.2 / np.sqrt(12 * 500)


def test_segments_lost_are_where_and_as_long_as_they_say():
    out = waves.drop_segments(ramp(2, 6), jnp.array([[0, 4], [2, 3]]), jnp.array([[1, 2], [2, 2]]))
    np.testing.assert_array_equal(out, [[0, 2, 3, 4, 0, 0], [1, 2, 0, 0, 0, 6]])
    start, width = (np.asarray(v) for v in waves.SegmentDropout(3, (5, 20))._draw(KEY, 3000, 100))
    assert start.shape == width.shape == (3000, 3)
    assert set(width.ravel()) == set(range(5, 21)) and start.min() == 0 and (start + width).max() == 100
    assert np.abs(np.corrcoef(width.T) - np.eye(3)).max() < 0.08
    # every length comes at every place it has; one key for both would leave places out
    start, width = waves.SegmentDropout(1, (1, 6))._draw(KEY, 4000, 11)
    assert set(zip(*(np.asarray(v)[:, 0] for v in (width, start)), strict=True)) == {
        (w, s) for w in range(1, 7) for s in range(12 - w)
    }
    # longer than the wave: at most all of it
    assert not np.asarray(waves.SegmentDropout(1, (90, 99))(KEY, jnp.ones((5, 40)))).any()


def test_mu_law_is_the_formula():
    x = np.linspace(-1.2, 1.2, 4001, dtype=np.float32)
    bits = np.array([2, 4, 8, 16])
    out = np.asarray(waves.mu_law(jnp.broadcast_to(x[None], (4, 4001)), jnp.asarray(bits)), np.float64)
    for clip, bit in zip(out, bits, strict=True):
        mu, steps = 2.0**bit - 1, 2 ** (bit - 1) - 1
        held = np.clip(np.float64(x), -1, 1)
        code = np.sign(held) * np.log(1 + mu * np.abs(held)) / np.log(1 + mu)
        back = np.sign(clip) * np.log(1 + mu * np.abs(clip)) / np.log(1 + mu)
        assert len(np.unique(clip.round(9))) <= 2**bit - 1
        np.testing.assert_allclose(back * steps, np.round(back * steps), atol=2e-2)  # on a step
        assert np.abs(back - code).max() <= 0.5 / steps + 1e-5  # the nearest one
        assert clip[2000] == 0 and clip.max() == 1


def test_mu_law_compresses_as_librosa_does():
    librosa = pytest.importorskip("librosa", reason="parity needs librosa: pip install -e '.[parity]'")
    x = np.random.default_rng(0).uniform(-1, 1, (1, 3000)).astype(np.float32)
    ours = waves.mu_law(jnp.asarray(x), jnp.array([8]))
    steps = np.round(librosa.mu_compress(x, mu=255, quantize=False) * 127)
    np.testing.assert_allclose(ours, librosa.mu_expand(steps / 127, mu=255, quantize=False), atol=1e-6)


@pytest.mark.parametrize(
    "make, word",
    [
        (lambda: waves.Polarity(1.5), "p=1.5 is a probability"),
        (lambda: waves.Shift(-1), "samples=-1"),
        (lambda: waves.Background((9.0, 3.0)), r"Background: snr=\(9.0, 3.0\)"),
        (lambda: waves.StoreBackground((9.0, 3.0)), "snr"),
        (lambda: waves.HardClip((0.0, 1.1)), "<= 1"),
        (lambda: waves.SampleDropout((-0.1, 0.1)), "0 <= low"),
        (lambda: waves.SegmentDropout(0), "count=0"),
        (lambda: waves.SegmentDropout(1, (20, 10)), r"samples=\(20, 10\)"),
        (lambda: waves.MuLaw((1, 8)), "bits"),
    ],
)
def test_wrong_settings_are_refused(make, word):
    with pytest.raises(ValueError, match=word):
        make()
