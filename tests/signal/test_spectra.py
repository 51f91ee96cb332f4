import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_audio.signal import spectra
from ssl_audio.signal.frontend import LogMel

KEY = jax.random.key(0)
ALL = [
    value
    for value in vars(spectra).values()
    if dataclasses.is_dataclass(value) and value.__module__ == spectra.__name__
]
STEP = spectra.FilterAugment(form="step")
# tiny inputs ask for tiny settings; every other augmentation runs as it stands
CASES = [spectra.PatchMix((4, 4)) if kind is spectra.PatchMix else kind() for kind in ALL] + [STEP]
every = pytest.mark.parametrize("change", CASES, ids=lambda c: type(c).__name__)


def example(clips=4):
    return jax.random.normal(jax.random.key(99), (clips, 24, 16))


# --- what holds for all of them ---


def test_the_walk_finds_them():
    names = {"TimeWarp", "FrequencyWarp", "VTLP", "FilterAugment", "PatchMix"}
    assert {kind.__name__ for kind in ALL} >= names


@every
def test_one_key_one_result_and_jit_changes_nothing(change):
    x, compiled = example(), jax.jit(change)
    first = compiled(KEY, x)
    np.testing.assert_array_equal(compiled(KEY, x), first)
    np.testing.assert_allclose(change(KEY, x), first, rtol=1e-4, atol=1e-4)
    assert (np.asarray(compiled(jax.random.key(1), x)) != np.asarray(first)).any()
    assert compiled._cache_size() == 1


@every
def test_clips_get_draws_of_their_own(change):
    x = jnp.broadcast_to(example(1), (8, 24, 16))
    if isinstance(change, spectra.PatchMix):  # equal clips mix to themselves: differ in level instead
        x = x + jnp.arange(8.0)[:, None, None]
        out = np.asarray(jax.jit(change)(KEY, x) != x, np.float32)
    else:
        out = np.asarray(jax.jit(change)(KEY, x))
    # shares of two clips may both round to no patch
    assert len(np.unique(out.reshape(8, -1).round(5), axis=0)) >= 7


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@every
def test_dtype_and_shape_are_kept_and_silence_is_finite(change, dtype):
    x, compiled = example().astype(dtype), jax.jit(change)
    out = compiled(KEY, x)
    assert out.dtype == dtype and out.shape == x.shape
    assert np.isfinite(np.asarray(compiled(KEY, jnp.full_like(x, np.log(1e-7))), np.float32)).all()


@every
def test_a_batch_of_one(change):
    assert np.isfinite(np.asarray(jax.jit(change)(KEY, example(1)))).all()


@every
def test_the_gradient_is_finite(change):
    gradient = jax.jit(jax.grad(lambda x: (change(KEY, x) ** 2).sum()))(example())
    assert np.isfinite(gradient).all() and np.any(gradient)


# --- warps ---


@pytest.mark.parametrize("axis", [1, 2])
def test_warp_equals_numpys_interpolation(axis):
    x = np.asarray(example())
    n = x.shape[axis]
    place = np.random.default_rng(0).uniform(-2, n + 1, (4, n)).astype(np.float32)  # beyond the ends too
    ours = np.asarray(spectra.warp(jnp.asarray(x), jnp.asarray(place), axis))
    lines = np.moveaxis(x, axis, -1)
    expected = [[np.interp(p, np.arange(n), line) for line in clip] for p, clip in zip(place, lines)]  # noqa: B905
    np.testing.assert_allclose(ours, np.moveaxis(np.array(expected), -1, axis), atol=2e-6)


@pytest.mark.parametrize("axis", [1, 2])
def test_bend_equals_numpys_interpolation(axis):
    x = np.asarray(example())
    last = x.shape[axis] - 1
    point, to = np.array([4.0, 7.5, 9.0, 14.9], np.float32), np.array([7.0, 7.5, 0.01, 14.0], np.float32)
    ours = np.asarray(spectra.bend(jnp.asarray(x), jnp.asarray(point), jnp.asarray(to), axis))
    lines = np.moveaxis(x, axis, -1)
    expected = np.empty_like(lines)
    for clip, p, t, out in zip(lines, point, to, expected, strict=True):
        place = np.interp(np.arange(last + 1), [0, t, last], [0, p, last])
        out[:] = [np.interp(place, np.arange(last + 1), line) for line in clip]
    np.testing.assert_allclose(ours, np.moveaxis(expected, -1, axis), atol=1e-5)
    np.testing.assert_allclose(ours[1], x[1], atol=1e-5)  # moved nowhere


@pytest.mark.parametrize("axis", [1, 2])
def test_bent_halves_equal_torchs_resizing(axis):
    torch = pytest.importorskip("torch", reason="parity needs torch: pip install -e '.[parity]'")
    x = np.moveaxis(np.asarray(example(1)), axis, 2)  # [1 others n]
    n, point, to = x.shape[2], 5, 9  # whole cells, so that each side is one resizing of a whole piece
    ours = spectra.bend(jnp.asarray(np.moveaxis(x, 2, axis)), jnp.array([5.0]), jnp.array([9.0]), axis)
    resize = lambda piece, size: torch.nn.functional.interpolate(
        torch.from_numpy(piece.copy()), size=size, mode="linear", align_corners=True
    )
    sides = [resize(x[..., : point + 1], to + 1), resize(x[..., point:], n - to)[..., 1:]]
    np.testing.assert_allclose(np.moveaxis(np.asarray(ours), axis, 2), torch.cat(sides, 2), atol=1e-5)


def test_warps_draw_what_they_say():
    # one peak on a slope would tell little: read the warp off a ramp, whose values are the places
    ramp = jnp.broadcast_to(jnp.arange(50.0)[None, :, None], (3000, 50, 1))
    place = np.asarray(jax.jit(spectra.TimeWarp(10))(KEY, ramp))[..., 0]
    np.testing.assert_allclose(place[:, [0, -1]], [[0, 49]] * 3000, atol=1e-4)
    assert (np.diff(place) >= 0).all()
    point, to = (np.asarray(v) for v in spectra._draw_bend(KEY, 3000, 50, 10, ""))
    np.testing.assert_allclose(
        place[0], np.interp(np.arange(50), [0, to[0], 49], [0, point[0], 49]), atol=1e-3
    )
    assert 10 <= point.min() < 10.1 and 38.9 < point.max() <= 39
    shift = to - point
    assert -10.001 <= shift.min() < -9.9 and 9.9 < shift.max() <= 10.001
    assert abs(np.corrcoef(point, shift)[0, 1]) < 4 / np.sqrt(3000)
    bands = np.asarray(jax.jit(spectra.FrequencyWarp(10))(KEY, jnp.swapaxes(ramp, 1, 2)))[:, 0]
    np.testing.assert_allclose(bands, place, atol=1e-4)


@pytest.mark.parametrize("change", [spectra.TimeWarp(12), spectra.FrequencyWarp(8), spectra.TimeWarp(-1)])
def test_warps_refuse_what_does_not_fit(change):
    with pytest.raises(ValueError, match=f"{type(change).__name__}: .* of (24|16): .* take one of 0 to"):
        change(KEY, example())


def test_a_tone_moves_by_the_factor():
    # the log-mel of a scaled tone is where the warp puts the tone's: up to the width of a band
    frontend = LogMel()
    change = spectra.VTLP()
    centres = change.centres(frontend.mels)
    time = np.arange(8000) / frontend.rate
    tone = lambda hz: np.sin(2 * np.pi * hz * time)
    for factor in (0.9, 1.0, 1.1):
        hz = np.array([300.0, 1000.0, 2500.0, 4000.0])
        made = frontend(jnp.asarray(np.stack([*map(tone, hz), *map(tone, hz * factor)]), jnp.float32))
        moved = spectra.scale_frequencies(made[:4], jnp.full(4, factor), centres, 4800.0, 8000.0)
        peak = lambda x: centres[np.asarray(x)[:, 25].argmax(1)]
        near = np.interp(hz, centres[1:], np.diff(centres))
        assert (np.abs(peak(moved) - peak(made[4:])) <= 1.05 * near).all()
        np.testing.assert_allclose(peak(moved), hz * factor, atol=1.05 * near.max())


def test_scaled_frequencies_follow_jaitly_and_hinton():
    # x that is its bands' frequency tells where each band was read
    centres = np.linspace(100.0, 7900.0, 79)
    x = jnp.broadcast_to(jnp.asarray(centres, jnp.float32)[None, None], (3, 2, 79))
    factor = np.array([0.8, 1.0, 1.2])
    out = np.asarray(spectra.scale_frequencies(x, jnp.asarray(factor, jnp.float32), centres, 4800.0, 8000.0))
    hz = np.linspace(0, 8000, 80001)
    for clip, a in zip(out, factor, strict=True):
        bound = 4800 * min(a, 1) / a  # their equation, from the frequency before to the one after
        top = 8000 - (8000 - 4800 * min(a, 1)) / (8000 - bound) * (8000 - hz)
        source = np.interp(centres, np.where(hz <= bound, hz * a, top), hz)
        np.testing.assert_allclose(clip[0], np.clip(source, 100, 7900), atol=0.11)  # 0.1 Hz: their grid here
        np.testing.assert_array_equal(clip[0], clip[1])
    np.testing.assert_allclose(out[1, 0], centres, rtol=1e-6)


def test_band_centres_are_librosas():
    librosa = pytest.importorskip("librosa", reason="parity needs librosa: pip install -e '.[parity]'")
    for htk in (False, True):
        expected = librosa.mel_frequencies(66, fmin=60, fmax=7800, htk=htk)[1:-1]
        np.testing.assert_allclose(spectra.VTLP(htk=htk).centres(64), expected, rtol=1e-9)


@pytest.mark.parametrize(
    "settings", [{"cut": 8000.0}, {"factor": (1.1, 0.9)}, {"factor": (0.9, 1.7)}, {"factor": (0.0, 1.0)}]
)
def test_vtlp_refuses(settings):
    with pytest.raises(ValueError, match="VTLP: "):
        spectra.VTLP(**settings)


# --- filters ---


EDGES = np.array([[0, 3, 10, 16], [0, 5, 16, 17]])
GAINS = np.array([[1.0, -2.0, 3.0, 9.0], [0.5, 0.25, 7.0, 7.0]], np.float32)


def test_filter_steps():
    out = spectra.filter_steps(jnp.zeros((2, 3, 16)), jnp.asarray(EDGES), jnp.asarray(GAINS))
    expected = [np.repeat([1, -2, 3], [3, 7, 6]), np.repeat([0.5, 0.25], [5, 11])]
    np.testing.assert_array_equal(out, np.repeat(np.array(expected)[:, None], 3, 1))


def test_filter_lines_equal_numpys_interpolation():
    x = example(2)
    out = spectra.filter_lines(x, jnp.asarray(EDGES), jnp.asarray(GAINS)) - x
    expected = [np.interp(np.arange(16), e, g) for e, g in zip(EDGES, GAINS, strict=True)]
    np.testing.assert_allclose(out, np.repeat(np.array(expected)[:, None], 24, 1), atol=1e-6)


def test_filter_edges():
    kind, b, m = spectra.FilterAugment(ranges=(2, 4), narrowest=3), 4000, 20
    edges = np.asarray(kind._draw(KEY, b, m))
    assert edges.shape == (b, 5) and (edges[:, 0] == 0).all()
    count = (edges < m).sum(1)
    assert set(count) == {2, 3, 4} and abs((count == 3).mean() - 1 / 3) < 4 / np.sqrt(b)
    assert (edges[np.arange(b), count] == m).all()  # the last range ends with the bands
    assert (np.diff(edges) >= 1).all()
    for n in (2, 3, 4):
        widths = np.diff(edges[count == n][:, : n + 1])
        assert widths.min() == 3 and widths.max() == m - 3 * (n - 1)
        np.testing.assert_allclose(widths.mean(0), m / n, rtol=0.1)  # no range is favoured
    # a filter as wide as the bands allow has one place only
    full = np.asarray(spectra.FilterAugment(ranges=(4, 4), narrowest=5)._draw(KEY, 10, m))
    np.testing.assert_array_equal(full, [[0, 5, 10, 15, 20]] * 10)


@pytest.mark.parametrize("form", ["linear", "step"])
def test_filter_gains(form):
    change = spectra.FilterAugment(gain=2.0, ranges=(1, 3), form=form)
    out = np.asarray(jax.jit(change)(KEY, jnp.zeros((3000, 2, 16))))
    assert np.abs(out).max() <= 2.0 and abs(out[:, 0, 0].mean()) < 4 * 2 / np.sqrt(3 * 3000)
    np.testing.assert_array_equal(out[:, 0], out[:, 1])  # the same at every frame
    np.testing.assert_allclose(out[:, 0, 0].std(), 2 / np.sqrt(3), rtol=0.05)
    if form == "step":
        assert set((np.diff(out[:, 0]) != 0).sum(1)) == {0, 1, 2}


def test_filter_augment_refuses():
    with pytest.raises(ValueError, match="FilterAugment: 5 ranges of 4 bands or more don't fit into 16"):
        spectra.FilterAugment(narrowest=4)(KEY, example())
    for wrong in ({"ranges": (3, 2)}, {"ranges": (0, 2)}, {"narrowest": 0}):
        with pytest.raises(ValueError, match="FilterAugment: "):
            spectra.FilterAugment(**wrong)


# --- mixing ---


def test_mix_patches_takes_the_chosen_ones_whole():
    x, other = jnp.zeros((2, 10, 7)), jnp.ones((2, 10, 7))
    chosen = np.zeros((2, 3, 2), bool)
    chosen[0, 0, 1] = chosen[0, 2, 0] = chosen[1, 1, 1] = True
    out = np.asarray(spectra.mix_patches(x, other, jnp.asarray(chosen), (4, 5)))
    expected = np.zeros((2, 10, 7))
    expected[0, :4, 5:] = expected[0, 8:, :5] = expected[1, 4:8, 5:] = 1
    np.testing.assert_array_equal(out, expected)


def test_patch_mix_takes_whole_patches_of_one_other_clip():
    b, change = 400, spectra.PatchMix((4, 4), ratio=0.5)
    x = jnp.broadcast_to(jnp.arange(float(b))[:, None, None], (b, 24, 16))
    out = (
        np.asarray(jax.jit(change)(KEY, x)).reshape(b, 6, 4, 4, 4).transpose(0, 1, 3, 2, 4).reshape(b, 24, 16)
    )
    assert (out == out[..., :1]).all()  # a patch is of one clip
    foreign = out[..., 0] != np.arange(b)[:, None]
    count = foreign.sum(1)
    assert (
        count.min() == 0 and count.max() == 12 and abs(count.mean() / 24 - 0.25) < 4 * 0.5 / np.sqrt(12 * b)
    )
    partner = {i: set(row[own]) for i, (row, own) in enumerate(zip(out[..., 0], foreign, strict=True))}
    assert all(len(v) <= 1 for v in partner.values())
    met = [next(iter(v)) for v in partner.values() if v]
    assert len(set(met)) == len(met)  # nobody serves two
    # every place is as likely, and how many says nothing of which
    assert np.abs(foreign.mean(0) - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / b)
    place = np.array([np.flatnonzero(row).mean() for row in foreign if row.any()])
    assert abs(np.corrcoef(place, count[count > 0])[0, 1]) < 4 / np.sqrt(b)


def test_patch_mix_bounds():
    x = example(2) + jnp.array([0.0, 100.0])[:, None, None]
    np.testing.assert_array_equal(spectra.PatchMix((4, 4), ratio=0.0)(KEY, x), x)
    np.testing.assert_array_equal(spectra.PatchMix((4, 4))(KEY, x[:1]), x[:1])
    # a patch larger than the clip is all of it
    out = np.asarray(spectra.PatchMix((99, 99), ratio=1.0)(KEY, x))
    assert all((clip == x[0]).all() or (clip == x[1]).all() for clip in out)
    for wrong in ({"patch": (0, 4)}, {"ratio": 1.5}):
        with pytest.raises(ValueError, match="PatchMix: "):
            spectra.PatchMix(**wrong)
