"""What the tests of latent prediction share: a look into a toy's loss, and what holds for its teacher."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import METHODS, curve, experiment

from ssl_audio.encoders.vit import ViTNet
from ssl_audio.evaluate import collapse
from ssl_audio.optim import Optim
from ssl_audio.train import split

KEY = jax.random.key(3)


def observed(name: str, passing: str):
    """(method, network, spectrogram, look): a look gives the gradients of the toy's loss, and what passes
    through the encoder's layers and through the method's function `passing`."""
    made = METHODS[name]["method"]
    net = made.build(METHODS[name]["encoder"].build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    graph, params, frozen, rest = split(net)
    frozen = jax.tree.map(
        lambda x: x + 0.01 * jnp.arange(x.size, dtype=x.dtype).reshape(x.shape) / x.size, frozen
    )
    spec = jnp.asarray(np.random.default_rng(0).standard_normal((4, 24, 16)), jnp.float32)
    inner, function = ViTNet.layers, getattr(type(made), passing)

    def loss(params, frozen, spec):
        calls = []

        def layers(self, x, mask=None, keep=None):
            out = inner(self, x, mask, keep)
            calls.append({"x": x, "mask": mask, "keep": keep, "out": out})
            return out

        def record(*args):
            calls.append({"guess": function(*args), "args": args[2:]})
            return calls[-1]["guess"]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ViTNet, "layers", layers)
            patch.setattr(type(made), passing, record)
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


def no_gradient_reaches_the_teacher(parts):
    _, _, spec, look = parts
    _, (online, teacher, _) = look(spec)
    assert all(np.any(g) for g in jax.tree.leaves(online))
    assert jax.tree.leaves(teacher) and not any(np.any(g) for g in jax.tree.leaves(teacher))


def teacher_is_the_average_in_closed_form(parts):
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


def alarm(name: str, store, method=None) -> bool:
    """Does the collapse alarm go by the spread of the targets after 200 steps on the toy?"""
    chosen = experiment(name, optim=Optim(steps=200, rate=3e-3, clip=5.0, cosine=False))
    chosen = dataclasses.replace(chosen, method=method or chosen.method)
    spread = float(curve(chosen, store, 200)[3]["target_std"])
    return collapse.look(np.eye(9, dtype=np.float32), None, spread)["collapse"]


def without_a_teacher_the_alarm_goes(name: str, store):
    """The targets collapse, and `target_std` tells."""
    broken = dataclasses.replace(METHODS[name]["method"], teacher=False)
    assert (alarm(name, store), alarm(name, store, broken)) == (False, True)
