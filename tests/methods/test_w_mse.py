"""W-MSE: sub-batches are drawn anew, views keep together, any number of views."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import METHODS

from ssl_audio.losses import w_mse
from ssl_audio.methods import WMSE

KEY = jax.random.key(0)


def built(views=2, **changes):
    made = dataclasses.replace(METHODS["WMSE"]["method"], **changes)
    net = made.build(METHODS["WMSE"]["encoder"].build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    draws = np.random.default_rng(0).standard_normal((views, 12, 24, 16)).astype(np.float32)
    return made, net, tuple(jnp.asarray(d) for d in draws)


def project(net, views):
    return net.project(net.encoder.embed(jnp.concatenate(views))).reshape(len(views), 12, -1)


@pytest.mark.parametrize("views", [2, 4])
def test_one_sub_batch_has_no_order(views):
    made, net, seen = built(views, size=12)
    loss, _ = made.loss(net, seen, {}, KEY)
    np.testing.assert_allclose(loss, w_mse(project(net, seen), 12, made.epsilon), rtol=1e-3)
    np.testing.assert_allclose(made.loss(net, seen, {}, jax.random.key(1))[0], loss, rtol=1e-3)


def test_sub_batches_are_shuffled_alike_in_all_views():
    made, net, (a, _) = built(size=6)
    np.testing.assert_allclose(made.loss(net, (a, a), {}, KEY)[0], 0, atol=1e-4)
    made, net, seen = built(size=6)
    drawn = [float(made.loss(net, seen, {}, jax.random.key(i))[0]) for i in range(3)]
    assert len(set(drawn)) == 3
    more, _ = dataclasses.replace(made, rounds=2).loss(net, seen, {}, KEY)
    x = project(net, seen)
    each = [
        w_mse(x[:, jax.random.permutation(key, 12)], 6, made.epsilon) for key in jax.random.split(KEY, 3)[1:]
    ]
    np.testing.assert_allclose(more, np.mean(each), rtol=1e-3)


def test_a_small_batch_is_one_sub_batch():
    made, net, seen = built(size=128)
    np.testing.assert_allclose(
        made.loss(net, seen, {}, KEY)[0], w_mse(project(net, seen), 12, made.epsilon), rtol=1e-3
    )


def test_refusals():
    with pytest.raises(ValueError, match="64 clips can't be whitened in 64 dimensions"):
        WMSE(size=64)
    made, net, seen = built(size=5)
    with pytest.raises(ValueError, match="12 clips don't divide"):
        made.loss(net, seen, {}, KEY)
    with pytest.raises(ValueError, match="two or more"):
        made.loss(net, seen[:1], {}, KEY)
