"""SimSiam: the stopped gradient and the predictor keep it from collapse, and nothing else does."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from toys import METHODS

from ssl_audio.methods import SimSiam

KEY = jax.random.key(0)


def built(**changes):
    made = dataclasses.replace(METHODS["SimSiam"]["method"], **changes)
    net = made.build(METHODS["SimSiam"]["encoder"].build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    draws = np.random.default_rng(0).standard_normal((2, 6, 24, 16)).astype(np.float32)
    return made, net, tuple(jnp.asarray(d) for d in draws)


def predict_and_project(net, views):
    normal = lambda x: (x - x.mean(0, keepdims=True)) / jnp.sqrt(x.var(0, keepdims=True) + 1e-5)
    z = net.encoder.embed(jnp.concatenate(views))
    z = jnp.maximum(normal(z @ net.one.kernel[...]), 0)
    z = jnp.maximum(normal(z @ net.two.kernel[...]), 0)
    z = normal(z @ net.three.kernel[...])
    return net.up(jnp.maximum(normal(z @ net.down.kernel[...]), 0)) if hasattr(net, "up") else z, z


def test_loss_is_the_symmetric_negative_cosine():
    """D(p1, z2) / 2 + D(p2, z1) / 2, D = -cos; plus 1."""
    made, net, (a, b) = built()
    loss, logs = made.loss(net, (a, b), {}, KEY)
    p, z = (
        np.asarray(x / jnp.linalg.norm(x, axis=1, keepdims=True)) for x in predict_and_project(net, (a, b))
    )
    one, two = -(p[:6] * z[6:]).sum(1).mean(), -(p[6:] * z[:6]).sum(1).mean()
    np.testing.assert_allclose(loss, 1 + one / 2 + two / 2, rtol=1e-3)
    np.testing.assert_allclose(made.loss(net, (b, a), {}, KEY)[0], loss, rtol=1e-4)
    np.testing.assert_allclose(logs["target_std"], z.std(0).mean() * 4, rtol=1e-3)


def gradients(**changes):
    made, net, views = built(**changes)
    graph, params, rest = nnx.split(net, nnx.Param, ...)
    rest = nnx.as_pure(rest)
    loss = lambda p: made.loss(nnx.merge(graph, p, rest), views, {}, KEY)[0]
    return jax.jit(jax.grad(loss))(nnx.as_pure(params))


def test_without_predictor_stopping_only_halves_the_gradient():
    """So it can't help: cos(z1, z2) pulls alike at both sides, and either order stops one of them."""
    stopped, free = gradients(predictor=False), gradients(predictor=False, stop=False)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(2 * a, b, rtol=2e-2, atol=1e-4), stopped, free)
    assert all(np.any(g) for g in jax.tree.leaves(stopped))


def test_stopping_changes_the_gradient_beneath_the_predictor_only():
    stopped, free = gradients(), gradients(stop=False)
    np.testing.assert_allclose(stopped["up"]["kernel"], free["up"]["kernel"], rtol=1e-4, atol=1e-6)
    assert np.abs(stopped["three"]["kernel"] - free["three"]["kernel"]).max() > 1e-3


class Frame(nnx.Module):
    """An encoder without parameters: the first frame."""

    width = 16

    def embed(self, spec, key=None):
        return spec[:, 0]


@pytest.mark.parametrize("broken", [{}, {"stop": False}, {"predictor": False}])
def test_only_predictor_and_stopped_gradient_keep_targets_apart(broken):
    """Where the projection isn't normalised: else it can't fall to a point."""
    made = SimSiam(hidden=32, width=16, bottleneck=8, output_norm=False, **broken)
    graph, params, rest = nnx.split(made.build(Frame(), rngs=nnx.Rngs(0)), nnx.Param, ...)
    params, rest, tx = nnx.as_pure(params), nnx.as_pure(rest), optax.sgd(0.1, 0.9)

    def one(carry, key):
        params, opt = carry
        for_sound, for_noise = jax.random.split(key)
        sound = jax.random.normal(for_sound, (32, 1, 16))
        views = tuple(sound + 0.5 * noise for noise in jax.random.normal(for_noise, (2, 32, 1, 16)))
        loss = lambda p: made.loss(nnx.merge(graph, p, rest), views, {}, key)
        grads, logs = jax.grad(loss, has_aux=True)(params)
        updates, opt = tx.update(grads, opt, params)
        return (optax.apply_updates(params, updates), opt), logs["target_std"]

    steps = jax.random.split(jax.random.key(1), 400)
    spread = jax.jit(lambda p: jax.lax.scan(one, (p, tx.init(p)), steps)[1])(params)
    assert spread[0] > 0.5
    assert spread[-1] < 0.1 if broken else spread[-1] > 0.5
