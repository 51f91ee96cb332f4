"""JEPA: from what the context encoder sees, the teacher's features at the places asked for."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import METHODS, TALL, curve, experiment, first_step

from ssl_audio.encoders.vit import ViTNet
from ssl_audio.evaluate import collapse
from ssl_audio.methods import JEPA
from ssl_audio.optim import Optim
from ssl_audio.train import split

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def parts():
    """The toy method and network, a spectrogram, and one look at its loss: gradients and what passes by."""
    made = METHODS["JEPA"]["method"]
    net = made.build(METHODS["JEPA"]["encoder"].build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    graph, params, frozen, rest = split(net)
    frozen = jax.tree.map(
        lambda x: x + 0.01 * jnp.arange(x.size, dtype=x.dtype).reshape(x.shape) / x.size, frozen
    )
    spec = jnp.asarray(np.random.default_rng(0).standard_normal((4, 24, 16)), jnp.float32)
    inner, predict = ViTNet.layers, JEPA.predict

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
            patch.setattr(JEPA, "predict", record)
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
        method = dataclasses.replace(experiment("JEPA").method, **changes)
        chosen = experiment("JEPA", method=method, optim=Optim(steps=200, rate=3e-3, clip=5.0))
        spread = float(curve(chosen, store, 200)[3]["target_std"])
        return collapse.look(np.eye(9, dtype=np.float32), None, spread)["collapse"]

    assert (alarm(), alarm(teacher=False)) == (False, True)


def test_bfloat16_takes_the_same_path(monkeypatch):
    monkeypatch.setitem(METHODS, "JEPA", METHODS["JEPA"] | {"precision": "bfloat16"})
    with jax.numpy_dtype_promotion("standard"):  # as in training: flax itself mixes the two
        logs = jax.eval_shape(lambda: first_step("JEPA"))
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


def test_what_is_hidden_reaches_the_teacher_only(parts):
    _, _, spec, look = parts
    (_, (logs, calls)), (_, _, grad) = look(spec)
    student, predictor, teacher = calls
    _, context, seen, targets, aimed, _ = predictor["args"]
    visible, hidden = np.zeros((4, 24), bool), np.zeros((4, 24), bool)
    np.put_along_axis(visible, np.asarray(context), np.asarray(seen), 1)
    np.put_along_axis(hidden, np.asarray(targets)[:, 0], np.asarray(aimed)[:, 0], 1)
    np.testing.assert_array_equal(visible, ~hidden)
    assert len(set(hidden.sum(1))) == 1 and 9 <= hidden.sum(1)[0] <= 15
    np.testing.assert_array_equal(patch_sums(grad, TALL.patch) > 0, visible)
    np.testing.assert_allclose(logs["context"], visible.mean(), rtol=1e-6)
    poked = np.array(spec)
    for i in range(4):
        t = np.flatnonzero(hidden[i])[0]
        poked[i, 2 * (t // 2), 8 * (t % 2)] += 5
    again = look(jnp.asarray(poked))[0][1][1]
    keep = np.asarray(seen)
    np.testing.assert_array_equal(np.asarray(again[0]["out"][-1])[keep], np.asarray(student["out"][-1])[keep])
    assert (np.abs(again[2]["out"][-1] - teacher["out"][-1]).max((1, 2)) > 1e-3).all()


def test_loss_is_the_distance_of_unit_vectors(parts):
    _, net, spec, look = parts
    (loss, (_, (_, predictor, teacher))), _ = look(spec)
    targets, aimed = (np.asarray(a)[:, 0] for a in predictor["args"][3:5])
    whole = std(net.teacher.norm(teacher["out"][-1]), -1, 1e-6)
    target = np.take_along_axis(whole, targets[..., None], 1)
    guess = np.asarray(predictor["guess"], np.float64)[:, 0]
    target, guess = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (target, guess))
    np.testing.assert_allclose(loss, ((target - guess) ** 2).sum(-1)[aimed].mean(), rtol=1e-5)


def test_rectangles_are_apart_from_the_context(parts):
    made = dataclasses.replace(parts[0], blocks=3)
    for i in range(5):
        context, seen, targets, aimed = (np.asarray(a) for a in made.masks(jax.random.key(i), 6, (16, 8)))
        visible, hidden = np.zeros((6, 128), bool), np.zeros((6, 3, 128), bool)
        np.put_along_axis(visible, context, seen, 1)
        np.put_along_axis(hidden, targets, aimed, 2)
        np.testing.assert_array_equal(visible, ~hidden.any(1))
        assert (hidden.sum(2) == aimed.sum(2)).all() and 12 <= hidden.sum(2).min() <= hidden.sum(
            2
        ).max() <= 30
