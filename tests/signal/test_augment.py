import dataclasses
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_audio.signal import augment

KEY = jax.random.key(0)
ALL = [value for value in vars(augment).values() if dataclasses.is_dataclass(value)]
# tiny inputs ask for tiny settings; every other augmentation runs as it stands
SMALL = {augment.Crop: augment.Crop(300)}


def small(kind):
    return SMALL.get(kind, kind())


def example(kind, clips=4):
    """A batch of what `kind` takes, by the shape it declares: waves [b t] or spectrograms [b f m]."""
    axes = inspect.signature(kind.__call__).parameters["x"].annotation.dim_str
    shape = {"b t": (clips, 400), "b f m": (clips, 24, 16)}[axes]
    return jax.random.normal(jax.random.key(99), shape)


# --- what holds for all of them ---


def test_the_walk_finds_them():
    assert {kind.__name__ for kind in ALL} >= {"Crop", "Gain", "Noise", "MixupLogExp", "RandomResizeCrop"}


@pytest.mark.parametrize("kind", ALL)
def test_one_key_one_result_and_jit_changes_nothing(kind):
    x, compiled = example(kind), jax.jit(small(kind))
    first = compiled(KEY, x)
    np.testing.assert_array_equal(compiled(KEY, x), first)
    np.testing.assert_allclose(small(kind)(KEY, x), first, rtol=1e-4, atol=1e-4)
    assert (np.asarray(compiled(jax.random.key(1), x)) != np.asarray(first)).any()
    assert compiled._cache_size() == 1


@pytest.mark.parametrize("kind", ALL)
def test_clips_get_draws_of_their_own(kind):
    x = example(kind, clips=8)
    if (
        kind is augment.MixupLogExp
    ):  # equal clips mix to themselves: differ in level instead, and look at the change
        x = jnp.broadcast_to(x[:1], x.shape) + jnp.arange(8.0)[:, None, None]
        out = np.asarray(small(kind)(KEY, x) - x)
    else:
        out = np.asarray(small(kind)(KEY, jnp.broadcast_to(x[:1], x.shape)))
    assert len(np.unique(out.reshape(8, -1).round(5), axis=0)) >= 5  # shifts by whole cells may coincide


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("kind", ALL)
def test_dtype_and_shape_are_kept_and_silence_is_finite(kind, dtype):
    x = example(kind).astype(dtype)
    out = small(kind)(KEY, x)
    assert out.dtype == dtype
    assert out.shape == ((4, 300) if kind is augment.Crop else x.shape)
    quietest = 0.0 if x.ndim == 2 else np.log(1e-7)
    assert np.isfinite(np.asarray(small(kind)(KEY, jnp.full_like(x, quietest)), np.float32)).all()


@pytest.mark.parametrize("kind", ALL)
def test_a_batch_of_one(kind):
    x = example(kind, clips=1)
    assert np.isfinite(np.asarray(small(kind)(KEY, x))).all()


# --- one by one ---


def test_crop_is_a_stretch_and_starts_anywhere():
    x = jnp.broadcast_to(jnp.arange(10.0)[None], (500, 10))
    out = np.asarray(augment.Crop(7)(KEY, x))
    np.testing.assert_array_equal(np.diff(out, axis=1), 1.0)
    assert set(out[:, 0]) == {0.0, 1.0, 2.0, 3.0}
    with pytest.raises(ValueError, match="Crop: a wave of 10 samples"):
        augment.Crop(11)(KEY, x)


def test_gain_in_decibels():
    out = augment.gain(jnp.ones((3, 2)), jnp.array([20.0, 0.0, -6.0]))
    np.testing.assert_allclose(out[:, 0], [10.0, 1.0, 10 ** (-0.3)], rtol=1e-6)
    drawn = 20 * np.log10(np.asarray(augment.Gain(6.0)(KEY, jnp.ones((1000, 1)))))
    assert -6 <= drawn.min() < -5.9 and 5.9 < drawn.max() <= 6.001


def test_noise_has_the_signal_to_noise_ratio_asked_for():
    x = jax.random.normal(jax.random.key(5), (3, 8000)) * jnp.array([[0.01], [0.1], [1.0]])
    out = augment.Noise((15.0, 15.0))(KEY, x)
    snr = 10 * np.log10(np.mean(np.square(x), axis=1) / np.mean(np.square(out - x), axis=1))
    np.testing.assert_allclose(snr, 15.0, atol=0.1)
    spread = augment.Noise((0.0, 30.0))(KEY, jnp.ones((500, 50))) - 1.0
    drawn = -10 * np.log10(np.mean(np.square(spread), axis=1))
    assert -0.1 < drawn.min() < 1 and 29 < drawn.max() < 30.1


def test_mixup_is_a_mix_of_energies():
    x, other = jax.random.normal(KEY, (2, 3, 5, 4))
    share = jnp.array([0.0, 0.3, 1.0])
    weight = np.array([0.0, 0.3, 1.0])[:, None, None]
    expected = (1 - weight) * np.exp(x) + weight * np.exp(other)
    np.testing.assert_allclose(np.exp(augment.mixup_log_exp(x, other, share)), expected, rtol=1e-5)
    # far beyond where exp itself would overflow or vanish
    far = augment.mixup_log_exp(x * 0 + 200.0, x * 0 - 200.0, share[1:2].repeat(3))
    np.testing.assert_allclose(far, 200.0 + np.log(0.7), rtol=1e-6)


def test_partners_are_one_cycle():
    for b in (1, 2, 7):
        partner, at, seen = np.asarray(augment.partners(KEY, b)), 0, set()
        while at not in seen:
            seen.add(at)
            at = partner[at]
        assert seen == set(range(b)) and (b == 1 or (partner != np.arange(b)).all())


def test_mixup_shares_are_uniform_and_the_partner_is_another_clip():
    b = 2000
    x = jnp.full((b, 1, 1), -100.0).at[: b // 2].set(100.0)
    out = np.asarray(augment.MixupLogExp(0.4)(KEY, x))[:, 0, 0]
    quiet = out[b // 2 :]  # quiet clips that met a loud one carry its share: 100 + log(share)
    share = np.exp(quiet[quiet > 0] - 100.0)
    assert 400 < len(share) < 600  # about half of the 1000 met a loud one
    assert share.max() <= 0.4 and abs(share.mean() - 0.2) < 4 * 0.4 / np.sqrt(12 * len(share))
    # with only two clips each must meet the other
    pair = jnp.array([0.0, 5.0])[:, None, None]
    for seed in range(10):
        mixed = np.asarray(augment.MixupLogExp(0.9)(jax.random.key(seed), pair))[:, 0, 0]
        assert mixed[0] > 0.0 and mixed[1] < 5.0


RECTANGLES = {  # frame, frames, band, bands; the input is 24 x 16
    "all": (0, 24, 0, 16),
    "inside": (5, 13, 3, 9),
    "over both ends": (-6, 36, 0, 16),
    "over one end": (10, 20, 7, 9),
    "a single cell": (4, 1, 15, 1),
    "two cells": (7, 2, 0, 2),
}


def test_resize_crop_of_all_is_the_input():
    x = example(augment.RandomResizeCrop, clips=1)
    whole = [jnp.array([v]) for v in RECTANGLES["all"]]
    np.testing.assert_allclose(augment.resize_crop(x, *whole), x, atol=1e-5)


def test_resize_crop_equals_torch():
    torch = pytest.importorskip("torch", reason="parity needs torch: pip install -e '.[parity]'")
    x = example(augment.RandomResizeCrop, clips=len(RECTANGLES))
    columns = [jnp.array(column) for column in zip(*RECTANGLES.values(), strict=True)]
    ours = np.asarray(augment.resize_crop(x, *columns))
    canvas = np.pad(x, ((0, 0), (6, 6), (0, 0)))
    for clip, out, (frame, frames, band, bands) in zip(canvas, ours, RECTANGLES.values(), strict=True):
        cut = torch.from_numpy(clip[6 + frame : 6 + frame + frames, band : band + bands].copy())[None, None]
        resized = torch.nn.functional.interpolate(cut, size=(24, 16), mode="bicubic", align_corners=True)
        np.testing.assert_allclose(out, resized[0, 0], atol=1e-4)


def test_random_resize_crop_draws_byol_a_rectangles():
    kind, n = augment.RandomResizeCrop(), 2000
    start, size = (np.asarray(v) for v in kind._draw(KEY, n, 96, 1.5))
    assert size.min() == 57 and size.max() in (142, 143)  # int(0.6 * 96), just below 1.5 * 96
    assert start.min() >= -24 and (start + size).max() <= 96 + 24
    assert abs(size.mean() - 96 * 1.05) < 4 * 96 * 0.9 / np.sqrt(12 * n)
    start, size = (np.asarray(v) for v in kind._draw(KEY, n, 64, 1.0))
    assert start.min() == 0 and (start + size).max() == 64
    # of the range 0.6 to 1.5 all above 1 is clipped to the canvas
    assert abs((size == 64).mean() - 5 / 9) < 0.05


def test_fader_is_a_straight_line():
    out = augment.linear_fade(jnp.zeros((1, 5, 2)), jnp.array([-1.0]), jnp.array([1.0]))
    np.testing.assert_allclose(out[0, :, 0], [-1, -0.5, 0, 0.5, 1], atol=1e-6)
    np.testing.assert_array_equal(out[..., 0], out[..., 1])
    ends = np.asarray(augment.RandomLinearFader(2.0)(KEY, jnp.zeros((3000, 4, 1))))[:, [0, -1], 0].T
    assert -2 <= ends.min() < -1.9 and 1.9 < ends.max() <= 2
    assert abs(np.corrcoef(ends)[0, 1]) < 4 / np.sqrt(3000)


def test_mask_covers_what_it_says():
    out = np.asarray(augment.mask(jnp.ones((1, 6, 4)), jnp.array([2]), jnp.array([3]), axis=1))
    np.testing.assert_array_equal(out[0, :, 0], [1, 1, 0, 0, 0, 1])
    out = np.asarray(augment.mask(jnp.ones((1, 6, 4)), jnp.array([0]), jnp.array([1]), axis=2))
    np.testing.assert_array_equal(out[0, 0], [0, 1, 1, 1])


def test_width_and_place_of_a_mask_come_from_different_keys():
    n, room = 20_000, 10_000
    start, width = (np.asarray(v, float) for v in augment.SpecAugment()._draw(KEY, n, room, 20))
    assert set(width) == set(range(21)) and start.min() >= 0 and (start + width).max() <= room
    assert abs(np.corrcoef(start, width)[0, 1]) < 4 / np.sqrt(n)
    # one key for both would make the parity of the place follow from the width
    start, width = (np.asarray(v) for v in augment.SpecAugment()._draw(KEY, 500, 3, 1))
    assert set(start[width == 0]) == {0, 1, 2, 3}


@pytest.mark.parametrize("axis", [1, 2])
def test_width_of_a_mask_says_nothing_of_its_place(axis):
    # within a clip wide masks begin earlier; it is the middle that must not follow from the width
    n = 4000
    out = np.asarray(jax.jit(augment.SpecAugment(time=12, bands=9))(KEY, jnp.ones((n, 30, 20))))
    hidden = {a: (out == 0).all(3 - a) for a in (1, 2)}
    width = {a: h.sum(1) for a, h in hidden.items()}
    middle = {a: (h * np.arange(h.shape[1])).sum(1) / np.maximum(width[a], 1) for a, h in hidden.items()}
    there = (width[1] > 0) & (width[2] > 0)
    draws = [v[a][there] for v in (width, middle) for a in (axis, 3 - axis)]
    assert np.abs(np.corrcoef(draws) - np.eye(4)).max() < 4 / np.sqrt(there.sum())
    room = hidden[axis].shape[1]
    assert abs(middle[axis][there].mean() - (room - 1) / 2) < 4 * room / np.sqrt(12 * n)


def test_spec_augment_counts_and_bounds():
    out = np.asarray(augment.SpecAugment(time=3, bands=2, count=2)(KEY, jnp.ones((200, 30, 20))))
    frames, bands = (out == 0).all(2).sum(1), (out == 0).all(1).sum(1)
    assert frames.max() == 6 and bands.max() == 4
    # wider than the spectrogram: at most all of it
    assert augment.SpecAugment(time=99, bands=99)(KEY, jnp.ones((5, 4, 3))).shape == (5, 4, 3)


def test_shift_of_bands_repeats_the_edge():
    x = jnp.broadcast_to(jnp.arange(5.0)[None, None], (3, 2, 5))
    out = augment.shift_bands(x, jnp.array([2, 0, -1]))
    np.testing.assert_array_equal(out[:, 0], [[0, 0, 0, 1, 2], [0, 1, 2, 3, 4], [1, 2, 3, 4, 4]])
    drawn = np.asarray(augment.FrequencyShift(2)(KEY, jnp.broadcast_to(x[:1], (200, 2, 5))))[:, 0, 2]
    assert set(drawn) == {0.0, 1.0, 2.0, 3.0, 4.0}


def test_shift_of_frames_goes_round():
    x = jnp.broadcast_to(jnp.arange(4.0)[None, :, None], (3, 4, 2))
    out = augment.shift_frames(x, jnp.array([1, -1, 9]))
    np.testing.assert_array_equal(out[..., 0], [[3, 0, 1, 2], [1, 2, 3, 0], [3, 0, 1, 2]])
    drawn = np.asarray(augment.TimeShift(1)(KEY, jnp.broadcast_to(x[:1], (200, 4, 2))))[:, 0, 0]
    assert set(drawn) == {0.0, 1.0, 3.0}


def test_equaliser_goes_through_its_knots_at_every_frame():
    out = augment.equalise(jnp.zeros((2, 3, 9)), jnp.array([[0.0, 4.0, -2.0], [1.0, 1.0, 1.0]]))
    np.testing.assert_allclose(out[0], np.tile([0, 1, 2, 3, 4, 2.5, 1, -0.5, -2], (3, 1)), atol=1e-6)
    np.testing.assert_allclose(out[1], 1.0, atol=1e-6)


def test_random_equaliser_draws_within_its_gain():
    knots = np.asarray(augment.RandomEqualiser(2.0, 3)(KEY, jnp.zeros((3000, 1, 3))))[:, 0]
    assert np.abs(knots).max() <= 2.0
    np.testing.assert_allclose(knots.std(0), 2 / np.sqrt(3), rtol=0.05)
    assert np.abs(np.corrcoef(knots.T) - np.eye(3)).max() < 0.08


def test_the_gradient_at_silence_is_finite():
    noise = jnp.asarray(np.random.default_rng(0).standard_normal((2, 400)), jnp.float32)
    loss = lambda x: (augment.add_noise(x, noise, jnp.array([10.0, 0.0])) ** 2).sum()
    for wave in (jnp.zeros((2, 400)), noise):
        assert np.isfinite(jax.grad(loss)(wave)).all()
