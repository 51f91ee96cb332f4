"""The contracts of encoders, frontends and augmentations, kept by every one found in its room, unlisted."""

import dataclasses
import functools
import inspect
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import CONV, FRONTEND, classes, small

from ssl_audio import encoders, signal
from ssl_audio.config import from_json, to_json
from ssl_audio.encoders.layers import pace
from ssl_audio.signal.frontend import Frontend


def augments(kind: type) -> bool:
    """Whether instances are called as `augment(key, x)`."""
    calls = [vars(base)["__call__"] for base in kind.__mro__ if "__call__" in vars(base)]
    return bool(calls) and list(inspect.signature(calls[0]).parameters) == ["self", "key", "x"]


ENCODERS = classes(encoders)
AUGMENTATIONS = {name: kind for name, kind in classes(signal).items() if augments(kind)}
FRONTENDS = {name: kind for name, kind in classes(signal).items() if issubclass(kind, Frontend)}
every_encoder = pytest.mark.parametrize("encoder", ENCODERS)
every_frontend = pytest.mark.parametrize("frontend", FRONTENDS)
every_augmentation = pytest.mark.parametrize("name", AUGMENTATIONS)


def test_the_rooms_are_walked():
    assert {"AudioNTT", "ViT"} <= set(ENCODERS)
    assert {"LogMel", "MFCC", "GFCC", "KaldiFbank", "PCENMel", "CQT", "RawFrames"} <= set(FRONTENDS)
    assert {"Crop", "Gain", "Noise", "MixupLogExp", "RandomResizeCrop", "SpecAugment"} <= set(AUGMENTATIONS)
    assert {"Reverb", "LowPass", "PitchShift", "Polarity"} <= set(AUGMENTATIONS)  # of other files
    assert "StoreBackground" not in AUGMENTATIONS  # takes more


# --- encoders ---


@functools.cache
def evaluated(encoder: str):
    """The small encoder for 16 bands with lively statistics, switched to evaluation; and its jitted embed."""
    net = small(ENCODERS[encoder]).build(16, rngs=nnx.Rngs(0))
    graph, arrays = nnx.split(net)

    @jax.jit
    def lively(arrays):
        net = nnx.merge(graph, arrays)
        net.embed(spec(6, 40) * 2 + 1)
        return nnx.as_pure(nnx.split(net)[1])

    net = nnx.merge(graph, lively(nnx.as_pure(arrays)))
    net = nnx.view(net, use_running_average=True, raise_if_not_found=False)
    graph, arrays = nnx.split(net)
    arrays = nnx.as_pure(arrays)
    return net, jax.jit(lambda *a: nnx.merge(graph, arrays).embed(*a))


def spec(b, f, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal((b, f, 16)), jnp.float32)


@every_encoder
def test_encoder_shapes(encoder):
    net, embed = evaluated(encoder)
    x = spec(6, 40)
    tokens = jax.eval_shape(net, x)
    assert tokens.shape == (6, net.steps(40) * net.columns, net.token)
    assert embed(x).shape == (6, net.width)
    assert embed(x).dtype == tokens.dtype == jnp.float32
    out = embed(x)
    assert float(out.std(0).mean()) > 1e-4 * float(jnp.abs(out).mean())  # it tells clips apart


@every_encoder
def test_embedding_does_not_depend_on_the_batch(encoder):
    _, embed = evaluated(encoder)
    x = spec(6, 40)
    np.testing.assert_allclose(embed(x)[2:3], embed(x[2:3]), rtol=1e-4, atol=1e-5)


@every_encoder
@pytest.mark.parametrize("frames", [8, 16, 21, 31, 39])
def test_padding_changes_no_embedding(encoder, frames):
    _, embed = evaluated(encoder)
    alone = embed(spec(6, 40)[2:3, :frames])
    for junk in (0.0, -3.0, 1e3):
        padded = spec(6, 40).at[2:, frames:].set(junk)
        np.testing.assert_allclose(
            embed(padded, jnp.array([40, 40] + 4 * [frames]))[2:3], alone, rtol=1e-4, atol=1e-5
        )
    np.testing.assert_allclose(
        embed(padded, jnp.array([40, 40] + 4 * [frames]))[:2], embed(padded)[:2], rtol=1e-4, atol=1e-5
    )


SEES_MORE = {"ViT", "GRU", "CRNN", "Context", "Learned"}
"""Encoders a token of which hears all of a clip, or (PCEN's average) more of what was before it."""


@pytest.mark.parametrize("encoder", [name for name in ENCODERS if name not in SEES_MORE])
def test_a_token_is_centred_where_its_time_says(encoder):
    net, _ = evaluated(encoder)
    every, middle = pace(net)
    graph, arrays = nnx.split(net)

    def even(p):  # kernels that weigh all their places alike
        return jnp.broadcast_to(p.mean(tuple(range(p.ndim - 2)), keepdims=True), p.shape)

    arrays = jax.tree.map(lambda p: even(p) if p.ndim > 2 else p, nnx.as_pure(arrays))

    @jax.jit
    @jax.grad
    def slope(x):
        net = nnx.merge(graph, arrays)
        tokens = net.cut(x) if encoder in ("Conformer", "Wav2Vec2") else net(x)  # before attention
        return jnp.sum(tokens[:, 10] ** 2)

    heard = np.square(np.asarray(slope(1 + spec(2, 20 * net.patch[0])), np.float64)).sum((0, 2))
    centre = heard @ np.arange(len(heard)) / heard.sum()
    assert abs(centre - (10 * every + middle)) < 0.1 * net.patch[0] + 0.6


@every_encoder
def test_gradient_is_finite_at_silence(encoder):
    """Also where all of the batch is digital silence, whose batch statistics have no variance."""
    graph, params, rest = nnx.split(small(ENCODERS[encoder]).build(16, rngs=nnx.Rngs(0)), nnx.Param, ...)

    def loss(params, wave):
        net = nnx.merge(graph, params, nnx.as_pure(rest))
        return jnp.sum(net.embed(FRONTEND(wave)) ** 2)

    grads = jax.jit(jax.grad(loss, (0, 1)))(nnx.as_pure(params), jnp.zeros((4, 1600)))
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))


@every_encoder
def test_encoder_refuses_what_it_cannot_take(encoder):
    net, _ = evaluated(encoder)
    short = max((f for f in range(net.patch[0]) if net.steps(f) <= 0), default=0)
    with pytest.raises(ValueError, match="frame"):
        net.embed(spec(2, short))
    if encoder not in ("Learned", "GRU", "Wav2Vec2", "CPCConv", "Context"):  # take frames of any width
        with pytest.raises(ValueError, match="multiple"):
            small(ENCODERS[encoder]).build(13, rngs=nnx.Rngs(0))


@every_encoder
def test_encoder_goes_to_json_and_back(encoder):
    made = small(ENCODERS[encoder])
    assert from_json(json.loads(json.dumps(to_json(made)))) == made


# --- frontends ---


@functools.cache
def heard(frontend: str):
    """The small frontend, with mean and std that aren't the default; and it jitted."""
    made = FRONTENDS[frontend]
    sizes = {"rate": 8000, "n_fft": 256, "win": 200, "hop": 80, "mels": 16, "fmin": 60.0, "fmax": 3800.0}
    sizes |= {"n_mfcc": 16, "bands": 24, "n_gfcc": 16, "channels": 24, "bins": 48}
    known = {f.name for f in dataclasses.fields(made)}
    fe = made(**{k: v for k, v in sizes.items() if k in known}, mean=0.5, std=2.0)
    return fe, jax.jit(fe)


def noise(b, t, seed=0):
    return jnp.asarray(0.1 * np.random.default_rng(seed).standard_normal((b, t)), jnp.float32)


@every_frontend
def test_frontend_shapes(frontend):
    fe, f = heard(frontend)
    for samples in (1600, 1601, 1679):
        y = jax.eval_shape(f, jax.ShapeDtypeStruct((3, samples), jnp.float32))
        assert y.shape == (3, fe.frames(samples), fe.mels) and y.dtype == jnp.float32
    with pytest.raises(ValueError, match="no frame fits into 0 samples"):
        fe.frames(0)


@every_frontend
def test_frontend_normalises_clip_by_clip(frontend):
    fe, f = heard(frontend)
    x = noise(2, 1600)
    y = f(x)
    np.testing.assert_allclose(y, (np.asarray(jax.jit(fe.raw)(x)) - 0.5) / 2, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(y[::-1], f(x[::-1]), rtol=1e-4, atol=1e-4)


@every_frontend
def test_frontend_of_silence_and_of_clipping_is_finite(frontend):
    _, f = heard(frontend)
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(f(x))))
    for x in (jnp.zeros((2, 1600)), jnp.sign(noise(2, 1600)), jnp.ones((2, 1600))):
        assert np.isfinite(f(x)).all() and np.isfinite(gradient(x)).all()


@every_frontend
def test_frontend_of_a_padded_clip(frontend):
    fe, f = heard(frontend)
    x = noise(2, 1273)
    frames = np.asarray(fe.valid_frames(np.array([1273, 0], np.int32))).tolist()
    assert frames == [fe.frames(1273), 0]
    padded = f(jnp.pad(x, ((0, 0), (0, 1600 - 1273))))
    np.testing.assert_allclose(padded[:, : frames[0]], f(x), rtol=1e-4, atol=1e-4)


@every_frontend
def test_frontend_goes_to_json_and_back_and_its_hash_names_every_field(frontend):
    fe, _ = heard(frontend)
    each = dataclasses.replace(fe, mean=(0.5,) * fe.mels)
    for made in (fe, each):
        back = from_json(json.loads(json.dumps(to_json(made))))
        assert back == made and back.hash == made.hash and hash(back) == hash(made)
    hashes = {fe.hash, each.hash}
    for name, old in vars(fe).items():
        new = {"window": "povey", "log": "db", "top_db": 80.0, "high_freq": -100.0}.get(name)
        if new is None:
            new = not old if type(old) is bool else old + 1 if type(old) is int else old * 0.99
        hashes.add(dataclasses.replace(fe, **({"log": "db"} if name == "top_db" else {}) | {name: new}).hash)
    assert len(hashes) == 2 + len(vars(fe))
    assert len({heard(name)[0].hash for name in FRONTENDS}) == len(FRONTENDS)


@every_frontend
def test_frontend_feeds_an_encoder(frontend):
    fe, f = heard(frontend)
    x = f(noise(2, 1600))
    net = CONV.build(fe.mels, rngs=nnx.Rngs(0))
    assert net.embed(x, fe.valid_frames(np.array([1600, 1000], np.int32))).shape == (2, net.width)


@every_frontend
def test_frontend_fits_its_statistics(frontend):
    fe, f = heard(frontend)
    x = noise(2, 1600) * jnp.linspace(0.1, 1, 1600)[None]
    fitted = fe.fit(np.asarray(x), samples=1600, batch=2)
    y = (np.asarray(f(x)) * 2 + 0.5 - np.asarray(fitted.mean)) / np.asarray(fitted.std)
    assert abs(y.mean()) < 0.01 and abs(y.std() - 1) < 0.01


# --- augmentations ---


@functools.cache
def augmentation(name: str):
    """The augmentation as it stands, jitted; and random waves or spectrograms, whatever it takes."""
    change = AUGMENTATIONS[name]()
    if name == "Crop":
        change = dataclasses.replace(change, samples=1000)
    axes = type(change).__call__.__annotations__["x"].dim_str
    shape = {"b t": (4, 2000), "b f m": (4, 48, 32)}[axes]
    return change, jax.jit(change), jax.random.normal(jax.random.key(99), shape)


@every_augmentation
def test_augmentation(name):
    change, f, x = augmentation(name)
    assert from_json(json.loads(json.dumps(to_json(change)))) == change
    keys = jax.random.split(jax.random.key(0), 4)
    found = [np.asarray(f(key, x)) for key in keys]
    assert found[0].shape == ((4, 1000) if name == "Crop" else x.shape) and found[0].dtype == x.dtype
    assert jax.eval_shape(change, keys[0], x.astype(jnp.bfloat16)).dtype == jnp.bfloat16
    np.testing.assert_array_equal(f(keys[0], x), found[0])
    assert any((y != found[0]).any() for y in found[1:]), "the key changes nothing"
    others = x.at[1:].multiply(-1.0)
    if all((np.asarray(f(key, others))[0] == y[0]).all() for key, y in zip(keys, found, strict=True)):
        equal = jnp.tile(x[:1], (4,) + (1,) * (x.ndim - 1))
        drawn = [np.asarray(f(key, equal)) for key in keys]
        assert any((y[1:] != y[:1]).any() for y in drawn), "one draw for all clips"
    # else clips are mixed: of four equal ones every mixture would be the same clip
    assert np.isfinite(f(keys[0], jnp.zeros_like(x))).all()
    assert f._cache_size() == 1


@every_augmentation
def test_width_and_place_of_masks_are_drawn_apart(name):
    change, f, x = augmentation(name)
    out = [np.asarray(f(jax.random.key(i), jnp.ones_like(x))) for i in range(4)]
    if not (np.isin(out, (0.0, 1.0)).all() and np.min(out) == 0.0):
        return  # no mask
    if hasattr(change, "count"):
        change = dataclasses.replace(change, count=1)
    n = 4000
    lost = np.asarray(change(jax.random.key(0), jnp.ones((n, 400) if x.ndim == 2 else (n, 60, 40)))) == 0
    for line in (lost,) if lost.ndim == 2 else (lost.all(2), lost.all(1)):
        cells = line.shape[1]
        width, start = line.sum(1), line.argmax(1)
        one = (width > 0) & (width < cells) & (line[:, ::-1].argmax(1) == cells - start - width)
        if one.mean() < 0.25:
            return  # single cells all over
        width, start = width[one], start[one]
        place = start / (cells - width)
        assert abs(np.corrcoef(width, place)[0, 1]) < 5 / np.sqrt(one.sum())
        # one key for both makes the place, modulo what the two ranges have in common, follow from the width
        places, counts = cells - np.arange(cells) + 1, np.bincount(width, minlength=cells)
        expected = places * (1 - (1 - 1 / places) ** counts)
        assert len(set(zip(width, start, strict=True))) > 0.9 * expected.sum()


def test_key_turns_dropout_on():
    net = dataclasses.replace(CONV, dropout=0.5).build(16, rngs=nnx.Rngs(0))
    x = spec(2, 16)
    one, two = (net.embed(x, key=jax.random.key(i)) for i in (0, 1))
    assert not np.allclose(one, two)
    np.testing.assert_allclose(net.embed(x), net.embed(x), rtol=1e-6)
