"""Barlow Twins: the loss of projections, blind to affine maps of them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import METHODS

from ssl_audio.losses import barlow_twins
from ssl_audio.methods import BarlowTwins


def built(**changes):
    made = dataclasses.replace(METHODS["BarlowTwins"]["method"], **changes)
    net = made.build(METHODS["BarlowTwins"]["encoder"].build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    draws = np.random.default_rng(0).standard_normal((2, 6, 24, 16)).astype(np.float32)
    return made, net, tuple(jnp.asarray(d) for d in draws)


def project(net, views):
    """The projector as the papers draw it: linear, batch normalisation, ReLU; linear."""
    x = net.encoder.embed(jnp.concatenate(views))
    for up in net.up:
        x = x @ up.kernel[...]
        x = jnp.maximum((x - x.mean(0, keepdims=True)) / jnp.sqrt(x.var(0, keepdims=True) + 1e-5), 0)
    return x @ net.down.kernel[...]


@pytest.mark.parametrize("depth", [1, 2])
def test_loss_is_that_of_the_projections(depth):
    made, net, (a, b) = built(depth=depth)
    loss, logs = made.loss(net, (a, b), {}, jax.random.key(0))
    x = project(net, (a, b))
    np.testing.assert_allclose(loss, barlow_twins(x[:6], x[6:], made.weight), rtol=1e-3)
    assert 0 < logs["projection_std"] < 1.5
    np.testing.assert_allclose(made.loss(net, (b, a), {}, jax.random.key(0))[0], loss, rtol=1e-4)


def test_scale_of_a_dimension_does_not_count():
    made, net, views = built()
    loss, _ = made.loss(net, views, {}, jax.random.key(0))
    net.down.kernel[...] = net.down.kernel[...] * jnp.linspace(1, 3, 16)[None]
    np.testing.assert_allclose(made.loss(net, views, {}, jax.random.key(0))[0], loss, rtol=1e-2)


def test_defaults_and_refusal():
    assert (BarlowTwins().hidden, BarlowTwins().width, BarlowTwins().weight) == (8192, 256, 0.005)
    with pytest.raises(ValueError, match="one hidden layer or more"):
        BarlowTwins(depth=0)
