"""SimCLR and COLA: what they compare, in closed form on networks that are made for it."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from toys import METHODS

from ssl_audio.losses import info_nce, nt_xent


def built(name):
    made, encoder = METHODS[name]["method"], METHODS[name]["encoder"]
    net = made.build(encoder.build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    draws = np.random.default_rng(0).standard_normal((2, 6, 24, 16)).astype(np.float32)
    return made, net, tuple(jnp.asarray(d) for d in draws)


def test_cola_is_bilinear_and_goes_one_way():
    made, net, (a, b) = built("COLA")
    loss, logs = made.loss(net, (a, b), {}, jax.random.key(0))
    x = jnp.tanh(net.norm(net.project(net.encoder.embed(jnp.concatenate([a, b])))))
    logits = np.einsum("id,de,je->ij", x[:6], net.bilinear[...], x[6:])
    np.testing.assert_allclose(loss, info_nce(jnp.asarray(logits)), rtol=1e-4)
    np.testing.assert_allclose(logs["accuracy"], np.mean(logits.argmax(1) == np.arange(6)))


def test_simclr_is_nt_xent_of_projections():
    made, net, (a, b) = built("SimCLR")
    loss, _ = made.loss(net, (a, b), {}, jax.random.key(0))
    x = net.project(net.encoder.embed(jnp.concatenate([a, b])))
    np.testing.assert_allclose(loss, nt_xent(x[:6], x[6:], made.temperature), rtol=1e-4)
    same, _ = made.loss(net, (a, a), {}, jax.random.key(0))
    assert same < loss
