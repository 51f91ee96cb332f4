"""data2vec: the student sees mask tokens in spans, the teacher sees all."""

import dataclasses

import jax
import jax.numpy as jnp
import latent
import numpy as np
import pytest
from flax import nnx
from latent import KEY, patch_sums, std
from toys import TALL, WAVE

from ssl_audio.methods import Data2Vec
from ssl_audio.train import split


@pytest.fixture(scope="module")
def parts():
    return latent.observed("Data2Vec", "target")


def test_no_gradient_reaches_the_teacher(parts):
    latent.no_gradient_reaches_the_teacher(parts)


def test_teacher_is_the_average_in_closed_form(parts):
    latent.teacher_is_the_average_in_closed_form(parts)


def test_without_a_teacher_the_targets_collapse_and_the_alarm_tells(store):
    latent.without_a_teacher_the_alarm_goes("Data2Vec", store)


def test_masked_steps_are_mask_tokens_and_the_teacher_sees_all(parts):
    _, net, spec, look = parts
    (_, (logs, calls)), (_, _, grad) = look(spec)
    student, teacher = calls[0]["x"], calls[1]["x"]
    whole = net.encoder.cut(spec)
    np.testing.assert_allclose(teacher, whole, rtol=1e-4, atol=1e-5)
    masked = np.asarray((student == net.token[...][None, None]).all(-1))
    np.testing.assert_allclose(np.asarray(student)[~masked], np.asarray(whole)[~masked], rtol=1e-4, atol=1e-5)
    steps = masked.reshape(4, 12, 2)
    assert (steps[..., 0] == steps[..., 1]).all()  # all columns of a step
    assert len(set(masked.sum(1))) == 1
    np.testing.assert_allclose(logs["hidden"], masked.mean(), rtol=1e-6)
    # what is masked reaches the loss through the teacher alone, which has no gradient
    np.testing.assert_array_equal(patch_sums(grad, TALL.patch) > 0, ~masked)
    poked = jnp.where(jnp.asarray(np.repeat(masked.reshape(4, 12, 2)[..., 0], 2, 1))[..., None], 9.0, spec)
    again = look(poked)[0][1][1]
    np.testing.assert_array_equal(again[0]["x"], student)
    assert np.abs(again[1]["x"] - teacher).max() > 1


def formula(net, calls, masked, top):
    """Guesses and targets at the masked tokens, by numpy."""
    layers = [std(y, 1, 1e-5) for y in calls[1]["out"][-top:]]
    x = np.asarray(calls[0]["out"][-1], np.float64)
    x = std(x, -1, 1e-6) * np.asarray(net.encoder.norm.scale[...]) + np.asarray(net.encoder.norm.bias[...])
    guess = x @ np.asarray(net.predict.kernel[...]) + np.asarray(net.predict.bias[...])
    return guess[masked], np.mean(layers, 0)[masked]


def test_loss_is_the_authors(parts):
    """Squared error, added up over channels, times 1 / sqrt(d), mean over masked tokens; or smooth L1."""
    torch = pytest.importorskip("torch")
    made, net, spec, look = parts
    (loss, (_logs, calls)), _ = look(spec)
    masked = np.asarray((calls[0]["x"] == net.token[...][None, None]).all(-1))
    guess, target = formula(net, calls, masked, made.top)
    np.testing.assert_allclose(loss, ((guess - target) ** 2).sum(-1).mean() / 4, rtol=1e-4)
    graph, *arrays = split(net)
    smooth = dataclasses.replace(made, beta=0.5)
    smooth = jax.jit(lambda x, m=smooth: m.loss(nnx.merge(graph, *arrays), (x,), {}, KEY)[0])(spec)
    guess, target = torch.tensor(guess), torch.tensor(target)
    expected = (
        torch.nn.functional.smooth_l1_loss(guess, target, beta=0.5, reduction="none").sum(-1).mean() / 4
    )
    np.testing.assert_allclose(smooth, float(expected), rtol=1e-4)


def test_target_is_the_mean_of_the_top_layers(parts):
    made, _net, spec, _ = parts
    deep = dataclasses.replace(TALL, depth=3).build(16, rngs=nnx.Rngs(5))
    x = deep.cut(spec)
    layers = [std(y, 1, 1e-5) for y in deep.layers(x)]
    for top in (1, 2, 8):
        found = dataclasses.replace(made, top=top).target(deep, x)
        np.testing.assert_allclose(found, np.mean(layers[-top:], 0), rtol=1e-3, atol=1e-4)


def test_works_with_a_wave_encoder():
    net = Data2Vec(span=3).build(WAVE.build(80, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    graph, params, frozen, rest = split(net)
    spec = jax.ShapeDtypeStruct((2, 30, 80), jnp.float32)
    run = lambda spec: Data2Vec(span=3).loss(nnx.merge(graph, params, frozen, rest), (spec,), {}, KEY)
    assert jax.eval_shape(run, spec)[0].shape == ()


def test_refuses_settings_that_make_no_sense():
    with pytest.raises(ValueError, match="must lie between"):
        Data2Vec(hide=1.0).build(TALL.build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))
