"""M2D: the online encoder sees visible patches, the teacher the hidden ones, and each nothing else."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import METHODS, TALL, curve, experiment, first_step

from ssl_audio.encoders.layers import positions, sincos
from ssl_audio.encoders.vit import ViTNet
from ssl_audio.evaluate import collapse
from ssl_audio.methods import M2D
from ssl_audio.optim import Optim
from ssl_audio.train import split

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def parts():
    """The toy method and network, a spectrogram, and one look at its loss: gradients and what passes by."""
    made = METHODS["M2D"]["method"]
    net = made.build(METHODS["M2D"]["encoder"].build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    graph, params, frozen, rest = split(net)
    frozen = jax.tree.map(
        lambda x: x + 0.01 * jnp.arange(x.size, dtype=x.dtype).reshape(x.shape) / x.size, frozen
    )
    spec = jnp.asarray(np.random.default_rng(0).standard_normal((4, 24, 16)), jnp.float32)
    inner, predict = ViTNet.layers, M2D.predict

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
            patch.setattr(M2D, "predict", record)
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
        method = dataclasses.replace(experiment("M2D").method, **changes)
        chosen = experiment("M2D", method=method, optim=Optim(steps=200, rate=3e-3, clip=5.0))
        spread = float(curve(chosen, store, 200)[3]["target_std"])
        return collapse.look(np.eye(9, dtype=np.float32), None, spread)["collapse"]

    assert (alarm(), alarm(teacher=False)) == (False, True)


def test_bfloat16_takes_the_same_path(monkeypatch):
    monkeypatch.setitem(METHODS, "M2D", METHODS["M2D"] | {"precision": "bfloat16"})
    with jax.numpy_dtype_promotion("standard"):  # as in training: flax itself mixes the two
        logs = jax.eval_shape(lambda: first_step("M2D"))
    assert {str(v.dtype) for v in logs.values()} == {"float32"}


def test_each_encoder_sees_its_own_patches_only(parts):
    _, _, spec, look = parts
    (_, (_, calls)), (_, _, grad) = look(spec)
    student, _, teacher = calls
    kept, hidden = np.asarray(student["keep"]), np.asarray(teacher["keep"])
    assert kept.shape == hidden.shape == (4, 12)
    np.testing.assert_array_equal(
        np.sort(np.concatenate([kept, hidden], 1), 1), np.tile(np.arange(24), (4, 1))
    )
    reached = patch_sums(grad, TALL.patch) > 0
    np.testing.assert_array_equal(reached, [np.isin(np.arange(24), row) for row in kept])
    for tokens, moved, still in ((hidden, teacher, student), (kept, student, teacher)):
        poked = np.array(spec)
        for i, t in enumerate(tokens[:, 0]):
            poked[i, 2 * (t // 2), 8 * (t % 2)] += 5
        other = {id(c): d for c, d in zip(calls, look(jnp.asarray(poked))[0][1][1], strict=True)}
        np.testing.assert_array_equal(still["out"][-1], other[id(still)]["out"][-1])
        assert (np.abs(moved["out"][-1] - other[id(moved)]["out"][-1]).max((1, 2)) > 1e-3).all()


def test_loss_is_the_distance_of_unit_vectors(parts):
    _, net, spec, look = parts
    (loss, (logs, (_, predictor, teacher))), _ = look(spec)
    target = std(net.teacher.norm(teacher["out"][-1]), -1, 1e-6)
    guess = np.asarray(predictor["guess"], np.float64)
    target, guess = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (target, guess))
    np.testing.assert_allclose(loss, ((target - guess) ** 2).sum(-1).mean(), rtol=1e-5)
    rows = target.reshape(-1, 16)
    np.testing.assert_allclose(logs["target_std"], rows.std(0).mean() * 4, rtol=1e-4)


def test_predictor_without_blocks_knows_the_place_only(parts):
    """What it says of a hidden patch then is a function of mask token and position."""
    made, net, _, _ = parts
    bare = nnx.clone(net)
    bare.blocks = nnx.List([])
    hidden = jnp.asarray([[1, 3], [0, 2]], jnp.int32)
    restore = jnp.asarray([[0, 2, 1, 3], [2, 0, 3, 1]], jnp.int32)
    seen = jnp.asarray(np.random.default_rng(0).standard_normal((2, 2, 16)), jnp.float32)
    guess = made.predict(bare, seen, hidden, restore)
    place = sincos(positions(2, 2, (1, 1)), 16)
    expected = bare.out(bare.norm(bare.token[...][None, None] + jnp.asarray(place)[hidden]))
    np.testing.assert_allclose(guess, expected, rtol=1e-4, atol=1e-5)
