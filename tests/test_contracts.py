"""The contracts of the rooms, kept by every method, encoder and augmentation found there, unlisted."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import CONV, FRONTEND, classes, curve, experiment, small, started

from ssl_audio import encoders, methods
from ssl_audio.config import from_json, to_json
from ssl_audio.signal import augment

METHODS, ENCODERS, AUGMENTATIONS = classes(methods), classes(encoders), classes(augment)
every_method = pytest.mark.parametrize("method", METHODS)
every_encoder = pytest.mark.parametrize("encoder", ENCODERS)


def test_the_rooms_are_walked():
    assert {"BYOLA", "COLA", "MAE", "Autoencoder", "SimCLR"} <= set(METHODS)
    assert {"AudioNTT", "ViT"} <= set(ENCODERS)
    assert {"Crop", "Gain", "Noise", "MixupLogExp", "RandomResizeCrop", "SpecAugment"} <= set(AUGMENTATIONS)


# --- methods ---


@pytest.fixture(scope="session")
def run(store):
    """A method's 40 steps on one device, once for all tests here."""
    return functools.cache(lambda method: curve(experiment(method), store, 40))


def moments(opt):
    """The first moments of Adam: zero for a leaf that never had a gradient."""
    (mu,) = [s.mu for s in jax.tree.leaves(opt, is_leaf=lambda s: hasattr(s, "mu")) if hasattr(s, "mu")]
    return mu


@every_method
def test_learns_a_toy(method, run):
    losses, _, _ = run(method)
    assert np.isfinite(losses).all()
    assert losses[-8:].mean() < 0.9 * losses[:4].mean(), losses


@every_method
def test_one_compile(method, run):
    assert run(method)[2]._cache_size() == 1


@every_method
def test_gradient_reaches_every_trained_leaf(method, run):
    _, state, _ = run(method)
    mu = moments(state.opt)
    assert jax.tree.structure(mu) == jax.tree.structure(state.params)
    for path, leaf in jax.tree.leaves_with_path(mu):
        assert np.isfinite(leaf).all() and np.any(leaf), f"no gradient at {jax.tree_util.keystr(path)}"


@every_method
def test_the_optimiser_has_no_teacher(method, run):
    _, state, _ = run(method)
    names = lambda tree: [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(tree)]
    assert not [n for n in names(state.params) + names(state.opt) if "teacher" in n]
    assert all("teacher" in n for n in names(state.frozen))


@every_method
def test_parameters_stay_float32(method, run):
    assert {x.dtype for x in jax.tree.leaves(run(method)[1])} <= {np.dtype(np.float32), np.dtype(np.int32)}


@every_method
def test_devices_do_not_change_the_curve(method, run, store):
    one = run(method)[0][:3]
    for devices in (2, 8) if method == "BYOLA" else (8,):  # batch statistics and a teacher stand for all at 2
        np.testing.assert_allclose(curve(experiment(method), store, 3, devices)[0], one, rtol=2e-4, atol=1e-6)


@every_method
def test_after_leaves_trained_parameters(method, run):
    chosen = experiment(method)
    graph, _ = started(chosen)
    _, state, _ = run(method)
    net = nnx.merge(graph, state.params, state.frozen, state.rest)
    chosen.method.after(net, state.step)
    after = nnx.as_pure(nnx.state(net, nnx.All(nnx.Param, nnx.Not(nnx.PathContains("teacher")))))
    jax.tree.map(np.testing.assert_array_equal, after, state.params)


@every_method
def test_encoder_is_what_was_given(method, run):
    chosen = experiment(method)
    graph, _ = started(chosen)
    _, state, _ = run(method)
    net = chosen.method.encoder(nnx.merge(graph, state.params, state.frozen, state.rest))
    assert type(net) is type(chosen.encoder.build(16, rngs=nnx.Rngs(0)))


@every_method
def test_experiment_goes_to_json_and_back(method):
    chosen = experiment(method)
    text = json.dumps(to_json(chosen))
    assert from_json(json.loads(text)) == chosen


@every_method
def test_hyperparameters_only(method):
    made = experiment(method).method
    assert type(made).__dataclass_params__.frozen and hash(made) is not None
    assert not [v for v in vars(made).values() if isinstance(v, (np.ndarray, jax.Array))]


# --- encoders ---


@functools.cache
def evaluated(encoder: str):
    """The small encoder for 16 bands with lively statistics, switched to evaluation; and its jitted embed."""
    net = small(ENCODERS[encoder]).build(16, rngs=nnx.Rngs(0))
    net.embed(spec(6, 40) * 2 + 1)
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
    tokens = net(x)
    assert tokens.shape == (6, (40 // net.patch[0]) * (16 // net.patch[1]), net.token)
    assert embed(x).shape == (6, net.width)
    assert embed(x).dtype == tokens.dtype == jnp.float32
    assert float(embed(x).std(0).mean()) > 1e-4  # it tells clips apart


@every_encoder
def test_embedding_does_not_depend_on_the_batch(encoder):
    _, embed = evaluated(encoder)
    x = spec(6, 40)
    np.testing.assert_allclose(embed(x)[2:3], embed(x[2:3]), rtol=1e-4, atol=1e-5)


@every_encoder
@pytest.mark.parametrize("frames", [8, 16, 21, 31, 39])
def test_padding_changes_no_embedding(encoder, frames):
    net, embed = evaluated(encoder)
    alone = net.embed(spec(6, 40)[2:3, :frames])
    for junk in (0.0, -3.0, 1e3):
        padded = spec(6, 40).at[2:, frames:].set(junk)
        np.testing.assert_allclose(
            embed(padded, jnp.array([40, 40] + 4 * [frames]))[2:3], alone, rtol=1e-4, atol=1e-5
        )
    np.testing.assert_allclose(
        embed(padded, jnp.array([40, 40] + 4 * [frames]))[:2], embed(padded)[:2], rtol=1e-4, atol=1e-5
    )


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
    with pytest.raises(ValueError, match="frames"):
        net.embed(spec(2, net.patch[0] - 1))
    with pytest.raises(ValueError, match="multiple"):
        small(ENCODERS[encoder]).build(12 if encoder != "ViT" else 20, rngs=nnx.Rngs(0))


@every_encoder
def test_encoder_goes_to_json_and_back(encoder):
    made = small(ENCODERS[encoder])
    assert from_json(json.loads(json.dumps(to_json(made)))) == made


# --- augmentations ---


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentation(name):
    change = AUGMENTATIONS[name]()
    if name == "Crop":
        change = dataclasses.replace(change, samples=1000)
    assert from_json(json.loads(json.dumps(to_json(change)))) == change
    shape = (4, 2000) if len(type(change).__call__.__annotations__["x"].dim_str.split()) == 2 else (4, 30, 16)
    expected = (4, 1000) if name == "Crop" else shape
    x = jnp.tile(
        jnp.asarray(np.random.default_rng(0).standard_normal(shape[1:]), jnp.float32)[None],
        (4,) + (1,) * (len(shape) - 1),
    )
    f = jax.jit(change)
    y, again, other = f(jax.random.key(0), x), f(jax.random.key(0), x), f(jax.random.key(1), x)
    assert y.shape == expected and y.dtype == x.dtype
    np.testing.assert_array_equal(y, again)
    if name != "MixupLogExp":  # of four equal clips every mixture is the same clip
        assert not np.array_equal(y, other), "the key changes nothing"
        assert not np.array_equal(y[0], y[1]) or not np.array_equal(y[0], y[2]), "one draw for all clips"
    assert np.isfinite(f(jax.random.key(0), jnp.zeros(shape))).all()


def test_key_turns_dropout_on():
    net = dataclasses.replace(CONV, dropout=0.5).build(16, rngs=nnx.Rngs(0))
    x = spec(2, 16)
    one, two = (net.embed(x, key=jax.random.key(i)) for i in (0, 1))
    assert not np.allclose(one, two)
    np.testing.assert_allclose(net.embed(x), net.embed(x), rtol=1e-6)
