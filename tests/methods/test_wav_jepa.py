"""WavJEPA: context and targets are spans of time; the convolutions learn from the context alone."""

import dataclasses

import jax
import jax.numpy as jnp
import latent
import numpy as np
import pytest
from flax import nnx
from latent import KEY, patch_sums, std
from toys import METHODS, TALL, WAVE

from ssl_audio.train import split


@pytest.fixture(scope="module")
def parts():
    return latent.observed("WavJEPA", "predict")


def test_no_gradient_reaches_the_teacher(parts):
    latent.no_gradient_reaches_the_teacher(parts)


def test_teacher_is_the_average_in_closed_form(parts):
    latent.teacher_is_the_average_in_closed_form(parts)


def test_without_a_teacher_the_targets_collapse_and_the_alarm_tells(store):
    latent.without_a_teacher_the_alarm_goes("WavJEPA", store)


def toy_predictor(parts, g=2):
    """Arguments of `predict` with random tokens, 3 of 5 context places true and 2 of 3 of each target."""
    _, net, _, _ = parts
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 5, 16)), jnp.float32)
    context = jnp.asarray([[0, 3, 7, 8, 9], [1, 2, 4, 10, 20]], jnp.int32)
    seen = jnp.asarray([[1, 1, 1, 0, 0]] * 2, bool)
    targets = jnp.asarray([[[5, 6, 11], [12, 13, 14]]] * 2, jnp.int32)[:, :g]
    return net, x, context, seen, targets, jnp.asarray([[[1, 1, 0]] * g] * 2, bool), 24


def test_predictor_sees_the_context_and_one_target_at_a_time(parts):
    made = parts[0]
    net, x, context, seen, targets, aimed, n = toy_predictor(parts)
    guess = np.asarray(made.predict(net, x, context, seen, targets, aimed, n))
    unseen = made.predict(net, x.at[:, 3:].set(99.0), context, seen, targets, aimed, n)
    np.testing.assert_allclose(unseen[:, :, :2], guess[:, :, :2], rtol=1e-4, atol=1e-5)
    moved = made.predict(net, x, context, seen, targets.at[:, 1].add(3), aimed, n)
    np.testing.assert_allclose(moved[:, 0], guess[:, 0], rtol=1e-4, atol=1e-5)
    assert np.abs(moved[:, 1] - guess[:, 1]).max() > 1e-3
    told = made.predict(net, x.at[:, 0].add(1.0), context, seen, targets, aimed, n)
    assert (np.abs(told - guess)[:, :, :2].max((2, 3)) > 1e-4).all()


def test_gradient_comes_from_the_context_alone(parts):
    _, net, spec, look = parts
    (_, (_, calls)), (_, _, grad) = look(spec)
    _, predictor, teacher = calls
    _, context, seen, targets, aimed, _ = predictor["args"]
    visible, hidden = np.zeros((4, 24), bool), np.zeros((4, 4, 24), bool)
    np.put_along_axis(visible, np.asarray(context), np.asarray(seen), 1)
    np.put_along_axis(hidden, np.asarray(targets), np.asarray(aimed), 2)
    assert not (visible[:, None] & hidden).any() and visible.any(1).all() and hidden.any(2).all()
    for mask in (visible, hidden):
        assert (
            mask.reshape(*mask.shape[:-1], 12, 2).all(-1) == mask.reshape(*mask.shape[:-1], 12, 2).any(-1)
        ).all()
    np.testing.assert_array_equal(patch_sums(grad, TALL.patch) > 0, visible)
    np.testing.assert_allclose(
        teacher["x"], net.encoder.cut(spec), rtol=1e-4, atol=1e-5
    )  # shared, and all of it
    assert "mask" not in teacher


def test_loss_is_the_authors(parts):
    """Mean squared error over channels, then over the places of all targets."""
    _, _, spec, look = parts
    (loss, (_, (_, predictor, teacher))), _ = look(spec)
    targets, aimed = (np.asarray(a) for a in predictor["args"][3:5])
    whole = std(teacher["out"][-1], 1, 1e-5)  # one layer
    target = np.take_along_axis(whole[:, None], targets[..., None], 2)
    error = ((np.asarray(predictor["guess"]) - target) ** 2).mean(-1)
    np.testing.assert_allclose(loss, (error * aimed).sum() / aimed.sum(), rtol=1e-4)


def test_works_with_a_wave_encoder():
    made = METHODS["WavJEPA"]["method"]
    encoder = dataclasses.replace(WAVE, positions="sincos")
    graph, *arrays = split(made.build(encoder.build(80, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1)))
    spec = jax.ShapeDtypeStruct((2, 30, 80), jnp.float32)
    run = lambda spec: made.loss(nnx.merge(graph, *arrays), (spec,), {}, KEY)
    assert jax.eval_shape(run, spec)[0].shape == ()
