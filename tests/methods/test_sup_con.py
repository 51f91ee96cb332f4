"""Supervised contrast: labels decide the positives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import METHODS

from ssl_audio.losses import nt_xent, sup_con


def built():
    made = METHODS["SupCon"]["method"]
    net = made.build(METHODS["SupCon"]["encoder"].build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    draws = np.random.default_rng(0).standard_normal((2, 6, 24, 16)).astype(np.float32)
    return made, net, tuple(jnp.asarray(d) for d in draws)


def project(net, views):
    return net.down(jnp.maximum(net.up(net.encoder.embed(jnp.concatenate(views))), 0))


def loss(made, net, views, labels):
    return made.loss(net, views, {"label": jnp.array(labels, jnp.int32)}, jax.random.key(0))


def test_loss_is_that_of_the_projections_of_all_views():
    made, net, views = built()
    labels = [0, 1, 0, -1, 2, 1]
    value, logs = loss(made, net, views, labels)
    np.testing.assert_allclose(
        value, sup_con(project(net, views), jnp.array(labels * 2), made.temperature), rtol=1e-4
    )
    np.testing.assert_allclose(logs["labelled"], 5 / 6)


def test_distinct_labels_make_it_simclr():
    made, net, views = built()
    a, b = jnp.split(project(net, views), 2)
    np.testing.assert_allclose(
        loss(made, net, views, range(6))[0], nt_xent(a, b, made.temperature), rtol=1e-4
    )


def test_one_view_and_no_labels():
    made, net, views = built()
    assert loss(made, net, views[:1], [0, 0, 1, 1, 2, -1])[0] > 0
    assert loss(made, net, views, [-1] * 6)[0] == 0
    with pytest.raises(ValueError, match=r"set data\.label to a column of the store"):
        made.loss(net, views, {}, jax.random.key(0))
