"""VICReg: three weighted terms of the expansion."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from toys import METHODS

from ssl_audio.losses import vicreg
from ssl_audio.methods import VICReg


def built(**changes):
    made = dataclasses.replace(METHODS["VICReg"]["method"], **changes)
    net = made.build(METHODS["VICReg"]["encoder"].build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    draws = np.random.default_rng(0).standard_normal((2, 6, 24, 16)).astype(np.float32)
    return made, net, tuple(jnp.asarray(d) for d in draws)


def expand(net, views):
    normal = lambda x: jnp.maximum(
        (x - x.mean(0, keepdims=True)) / jnp.sqrt(x.var(0, keepdims=True) + 1e-5), 0
    )
    x = normal(net.encoder.embed(jnp.concatenate(views)) @ net.one.kernel[...])
    return jnp.split(normal(x @ net.two.kernel[...]) @ net.three.kernel[...], 2)


def test_loss_is_the_weighted_sum_of_the_terms():
    made, net, views = built()
    loss, logs = made.loss(net, views, {}, jax.random.key(0))
    terms = vicreg(*expand(net, views))
    for name, term in zip(("invariance", "variance", "covariance"), terms, strict=True):
        np.testing.assert_allclose(logs[name], term, rtol=1e-3)
    np.testing.assert_allclose(loss, 25 * terms[0] + 25 * terms[1] + terms[2], rtol=1e-3)


def test_each_weight_weighs_its_own_term():
    for name in ("invariance", "variance", "covariance"):
        alone = {"invariance": 0.0, "variance": 0.0, "covariance": 0.0} | {name: 2.0}
        made, net, views = built(**alone)
        loss, logs = made.loss(net, views, {}, jax.random.key(0))
        np.testing.assert_allclose(loss, 2 * logs[name], rtol=1e-6)
        assert loss > 0


def test_alike_views_leave_no_invariance():
    made, net, (a, _) = built()
    _, logs = made.loss(net, (a, a), {}, jax.random.key(0))
    assert logs["invariance"] == 0 < logs["covariance"]
    assert (VICReg().hidden, VICReg().width) == (8192, 8192)
