"""Supervised control: plain cross-entropy over the clips that have a label."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import METHODS

from ssl_audio.methods import Supervised


def built():
    made = METHODS["Supervised"]["method"]
    net = made.build(METHODS["Supervised"]["encoder"].build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    view = jnp.asarray(np.random.default_rng(0).standard_normal((6, 24, 16)), jnp.float32)
    return made, net, view


def loss(made, net, views, labels):
    return made.loss(net, views, {"label": jnp.array(labels, jnp.int32)}, jax.random.key(0))


def test_cross_entropy_of_the_labelled():
    made, net, view = built()
    labels = np.array([0, 5, -1, 2, 2, -1])
    value, logs = loss(made, net, (view,), labels)
    logits = np.asarray(net.classify(net.encoder.embed(view)), np.float64)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    known = labels >= 0
    np.testing.assert_allclose(value, -log_p[known, labels[known]].mean(), rtol=1e-4)
    np.testing.assert_allclose(logs["accuracy"], (logits.argmax(1) == labels)[known].mean())
    np.testing.assert_allclose(loss(made, net, (view, view), labels)[0], value, rtol=1e-4)


def test_nothing_labelled_and_wrong_labels():
    made, net, view = built()
    assert loss(made, net, (view,), [-1] * 6)[0] == 0
    assert np.isnan(loss(made, net, (view,), [6, 0, 0, 0, 0, 0])[0])
    with pytest.raises(ValueError, match=r"set data\.label to a column of the store"):
        made.loss(net, (view,), {}, jax.random.key(0))
    with pytest.raises(ValueError, match="classes=1"):
        Supervised(classes=1)


def test_gradient_of_the_unlabelled_is_zero():
    made, net, view = built()
    net = nnx.view(
        net, use_running_average=True, raise_if_not_found=False
    )  # else the batch's statistics leak
    gradient = jax.grad(lambda v: loss(made, net, (v,), [0, 1, -1, 2, 3, 4])[0])(view)
    assert not np.any(gradient[2]) and np.any(gradient[0])
