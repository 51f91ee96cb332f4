"""EAT: several masks of a clip share one teacher pass; the loss is local and of the whole clip."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import METHODS, TALL, curve, experiment, first_step

from ssl_audio.encoders.vit import ViTNet
from ssl_audio.evaluate import collapse
from ssl_audio.methods import EAT
from ssl_audio.optim import Optim
from ssl_audio.train import split

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def parts():
    """The toy method and network, a spectrogram, and one look at its loss: gradients and what passes by."""
    made = METHODS["EAT"]["method"]
    net = made.build(METHODS["EAT"]["encoder"].build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    graph, params, frozen, rest = split(net)
    frozen = jax.tree.map(
        lambda x: x + 0.01 * jnp.arange(x.size, dtype=x.dtype).reshape(x.shape) / x.size, frozen
    )
    spec = jnp.asarray(np.random.default_rng(0).standard_normal((4, 24, 16)), jnp.float32)
    inner, decode = ViTNet.layers, EAT.decode

    def loss(params, frozen, spec):
        calls = []

        def layers(self, x, mask=None, keep=None):
            out = inner(self, x, mask, keep)
            calls.append({"x": x, "mask": mask, "keep": keep, "out": out})
            return out

        def record(*args):
            calls.append({"guess": decode(*args), "args": args[2:]})
            return calls[-1]["guess"]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ViTNet, "layers", layers)
            patch.setattr(EAT, "decode", record)
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
        method = dataclasses.replace(experiment("EAT").method, **changes)
        chosen = experiment("EAT", method=method, optim=Optim(steps=200, rate=3e-3, clip=5.0))
        spread = float(curve(chosen, store, 200)[3]["target_std"])
        return collapse.look(np.eye(9, dtype=np.float32), None, spread)["collapse"]

    assert (alarm(), alarm(teacher=False)) == (False, True)


def test_bfloat16_takes_the_same_path(monkeypatch):
    monkeypatch.setitem(METHODS, "EAT", METHODS["EAT"] | {"precision": "bfloat16"})
    with jax.numpy_dtype_promotion("standard"):  # as in training: flax itself mixes the two
        logs = jax.eval_shape(lambda: first_step("EAT"))
    assert {str(v.dtype) for v in logs.values()} == {"float32"}


def test_every_clone_sees_its_own_blocks_and_the_teacher_passes_once(parts):
    _made, _, spec, look = parts
    (_, (_, calls)), (_, _, grad) = look(spec)
    student, _, teacher = calls
    assert student["out"][-1].shape == (12, 1 + 10, 16) and teacher["out"][-1].shape == (4, 1 + 48, 16)
    kept = np.asarray(student["keep"])
    assert len(np.unique(kept, axis=0)) > 6
    seen = np.zeros((12, 48), bool)
    np.put_along_axis(seen, kept, True, 1)
    np.testing.assert_array_equal(patch_sums(grad, (2, 4)) > 0, seen.reshape(4, 3, 48).any(1))
    poked = np.array(spec)
    poked[0, 2 * (kept[0, 0] // 4), 4 * (kept[0, 0] % 4)] += 5  # a patch that the first clone of clip 0 sees
    again = look(jnp.asarray(poked))[0][1][1][0]["out"][-1]
    moved = np.abs(again - student["out"][-1]).max((1, 2)) > 1e-4
    np.testing.assert_array_equal(moved, seen[:, kept[0, 0]] & (np.arange(12) < 3))


def test_loss_is_the_authors(parts):
    """Squared errors times sqrt(d), of hidden patches and of the class token against the mean of all."""
    _made, net, spec, look = parts
    (loss, (logs, calls)), _ = look(spec)
    student, decoder, teacher = calls
    top = std(teacher["out"][-1][:, 1:], 1, 1e-5)  # one layer
    target = np.repeat(std(top, -1, 1e-5), 3, 0)
    hidden = np.ones((12, 48), bool)
    np.put_along_axis(hidden, np.asarray(student["keep"]), False, 1)
    local = ((np.asarray(decoder["guess"]) - target)[hidden] ** 2).sum(-1).mean() / 4
    token = np.asarray(net.encoder.norm(student["out"][-1]))[:, 0]
    utterance = ((token - target.mean(1)) ** 2).sum(-1).mean() / 4
    np.testing.assert_allclose([logs["local"], logs["utterance"]], [local, utterance], rtol=1e-4)
    np.testing.assert_allclose(loss, local + utterance, rtol=1e-4)


def test_decoder_is_the_authors():
    """Grouped convolutions, layer normalisation without scale, GELU, residual, in torch."""
    torch = pytest.importorskip("torch")
    from torch.nn import functional as F

    made = EAT(width=16, depth=2, groups=4, noise=0.0, utterance=0.0)
    net = made.build(TALL.build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    x = np.random.default_rng(0).standard_normal((2, 5, 16)).astype(np.float32)
    restore = jnp.tile(jnp.arange(12, dtype=jnp.int32)[::-1][None], (2, 1))
    found = made.decode(net, jnp.asarray(x), restore, (4, 3), KEY)
    y = torch.tensor(np.concatenate([x, np.zeros((2, 7, 16), np.float32)], 1)[:, ::-1].copy())
    y = y.transpose(1, 2).reshape(2, 16, 4, 3)
    for conv in net.blocks:
        kernel = torch.tensor(np.asarray(conv.kernel[...]).transpose(3, 2, 0, 1).copy())
        z = F.conv2d(y, kernel, torch.tensor(np.asarray(conv.bias[...])), padding=1, groups=4)
        y = y + F.gelu(F.layer_norm(z.permute(0, 2, 3, 1), (16,))).permute(0, 3, 1, 2)
    out = y.reshape(2, 16, 12).transpose(1, 2).numpy() @ np.asarray(net.out.kernel[...])
    np.testing.assert_allclose(found, out, rtol=1e-3, atol=1e-4)


def test_utterance_loss_needs_a_class_token_and_may_be_left_out():
    made = dataclasses.replace(METHODS["EAT"]["method"], clones=1)
    encoder = dataclasses.replace(METHODS["EAT"]["encoder"], cls=False)
    net = made.build(encoder.build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    graph, *arrays = split(net)
    run = lambda made: jax.eval_shape(
        lambda spec: made.loss(nnx.merge(graph, *arrays), (spec,), {}, KEY), jnp.zeros((2, 24, 16))
    )
    with pytest.raises(ValueError, match="class token"):
        run(made)
    assert "utterance" not in run(dataclasses.replace(made, utterance=0.0))[1]
    with pytest.raises(ValueError, match="groups"):
        EAT(groups=5).build(encoder.build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
