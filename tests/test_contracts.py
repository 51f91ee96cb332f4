"""The contract of methods, kept by every one found in the room, unlisted."""

import functools
import json

import jax
import numpy as np
import pytest
from flax import nnx
from toys import classes, curve, experiment, first_step, started

from ssl_audio import methods
from ssl_audio.config import from_json, to_json
from ssl_audio.evaluate.collapse import look
from ssl_audio.train import TRAINED, make_watch

METHODS = classes(methods)
every_method = pytest.mark.parametrize("method", METHODS)


def test_the_room_is_walked():
    assert {"BYOLA", "COLA", "MAE", "Autoencoder", "SimCLR", "HuBERT", "DINO"} <= set(METHODS)


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
    losses = run(method)[0]
    assert np.isfinite(losses).all()
    assert losses[-8:].mean() < 0.9 * losses[:4].mean(), losses


@every_method
def test_one_compile(method, run):
    assert run(method)[2]._cache_size() == 1


@every_method
def test_gradient_reaches_every_trained_leaf(method, run):
    state = run(method)[1]
    mu = moments(state.opt)
    assert jax.tree.structure(mu) == jax.tree.structure(state.params)
    for path, leaf in jax.tree.leaves_with_path(mu):
        assert np.isfinite(leaf).all() and np.any(leaf), f"no gradient at {jax.tree_util.keystr(path)}"


@every_method
def test_the_optimiser_has_no_teacher(method, run):
    state = run(method)[1]
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
    state = run(method)[1]
    net = nnx.merge(graph, state.params, state.frozen, state.rest)
    chosen.method.after(net, state.step)
    after = nnx.as_pure(nnx.state(net, TRAINED))
    jax.tree.map(np.testing.assert_array_equal, after, state.params)


@every_method
def test_encoder_is_what_was_given(method, run):
    chosen = experiment(method)
    graph, _ = started(chosen)
    state = run(method)[1]
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


@every_method
def test_low_precision_keeps_the_loss_in_float32(method):
    with jax.numpy_dtype_promotion("standard"):  # flax's normalisation promotes
        logs = jax.eval_shape(lambda: first_step(method, precision="bfloat16"))
    assert {x.dtype for x in logs.values()} == {np.dtype(np.float32)}


@every_method
def test_a_sound_run_raises_no_alarm(method, run, store):
    """What it learns on the toy spreads; broken variants, in each method's own tests, do not."""
    chosen = experiment(method)
    _, state, _, logs = run(method)
    wave = np.stack([store[i, 0, 2400] for i in range(len(store))])
    embedding = make_watch(chosen, started(chosen)[0])(state, wave)
    spread = float(logs["target_std"]) if "target_std" in logs else None
    line = look(np.asarray(embedding), None, spread)
    assert not line["collapse"], line
