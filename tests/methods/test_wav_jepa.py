"""WavJEPA: context and targets are spans of time; the convolutions learn from the context alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import METHODS, TALL, WAVE, curve, experiment, first_step

from ssl_audio.encoders.vit import ViTNet
from ssl_audio.evaluate import collapse
from ssl_audio.methods import WavJEPA
from ssl_audio.optim import Optim
from ssl_audio.train import split

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def parts():
    """The toy method and network, a spectrogram, and one look at its loss: gradients and what passes by."""
    made = METHODS["WavJEPA"]["method"]
    net = made.build(METHODS["WavJEPA"]["encoder"].build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    graph, params, frozen, rest = split(net)
    frozen = jax.tree.map(
        lambda x: x + 0.01 * jnp.arange(x.size, dtype=x.dtype).reshape(x.shape) / x.size, frozen
    )
    spec = jnp.asarray(np.random.default_rng(0).standard_normal((4, 24, 16)), jnp.float32)
    inner, predict = ViTNet.layers, WavJEPA.predict

    def loss(params, frozen, spec):
        calls = []

        def layers(self, x, mask=None, keep=None):
            out = inner(self, x, mask, keep)
            calls.append({"x": x, "mask": mask, "keep": keep, "out": out})
            return out

        def record(*args):
            calls.append({"guess": predict(*args), "args": args[2:]})
            return calls[-1]["guess"]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ViTNet, "layers", layers)
            patch.setattr(WavJEPA, "predict", record)
            value, logs = made.loss(nnx.merge(graph, params, frozen, rest), (spec,), {}, KEY)
        calls = [{k: v for k, v in c.items() if v is not None} for c in calls]
        return value, (logs, jax.tree.map(lambda x: x, calls))

    look = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))
    net = nnx.merge(graph, params, frozen, rest)
    return made, net, spec, lambda spec: look(params, frozen, spec)


def std(x, axis, eps):
    """Zero mean and unit variance along an axis."""
    x = np.asarray(x, np.float64)
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps)


def patch_sums(grad, patch):
    """Largest absolute value of each patch [b n], time-major."""
    b, f, m = grad.shape
    cells = np.abs(np.asarray(grad)).reshape(b, f // patch[0], patch[0], m // patch[1], patch[1])
    return cells.max((2, 4)).reshape(b, -1)


def test_no_gradient_reaches_the_teacher(parts):
    _, _, spec, look = parts
    _, (online, teacher, _) = look(spec)
    assert all(np.any(g) for g in jax.tree.leaves(online))
    assert jax.tree.leaves(teacher) and not any(np.any(g) for g in jax.tree.leaves(teacher))


def test_teacher_is_the_average_in_closed_form(parts):
    """With online weights fixed at w: w + (product of the decays) (teacher_0 - w)."""
    made, net, _, _ = parts
    made, net = dataclasses.replace(made, ramp=4), nnx.clone(net)
    before = nnx.as_pure(nnx.state(net.teacher, nnx.Param))
    online = nnx.as_pure(nnx.state(net.encoder, nnx.Param))
    before = jax.tree.map(jnp.array, before)
    for n in range(6):
        made.after(net, jnp.int32(n))
    first, last = made.decay
    product = np.prod([first + (last - first) * min(n / 4, 1) for n in range(6)])
    jax.tree.map(
        lambda w, old, new: np.testing.assert_allclose(new, w + product * (old - w), rtol=1e-4, atol=1e-6),
        online, before, nnx.as_pure(nnx.state(net.teacher, nnx.Param)),
    )  # fmt: skip


def test_without_a_teacher_the_targets_collapse_and_the_alarm_tells(store):
    def alarm(**changes):
        method = dataclasses.replace(experiment("WavJEPA").method, **changes)
        chosen = experiment("WavJEPA", method=method, optim=Optim(steps=200, rate=3e-3, clip=5.0))
        spread = float(curve(chosen, store, 200)[3]["target_std"])
        return collapse.look(np.eye(9, dtype=np.float32), None, spread)["collapse"]

    assert (alarm(), alarm(teacher=False)) == (False, True)


def test_bfloat16_takes_the_same_path(monkeypatch):
    monkeypatch.setitem(METHODS, "WavJEPA", METHODS["WavJEPA"] | {"precision": "bfloat16"})
    with jax.numpy_dtype_promotion("standard"):  # as in training: flax itself mixes the two
        logs = jax.eval_shape(lambda: first_step("WavJEPA"))
    assert {str(v.dtype) for v in logs.values()} == {"float32"}


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
