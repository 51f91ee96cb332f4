"""SwAV: the authors' loss on arrays, the queue, frozen prototypes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

from ssl_audio.methods import SwAV
from ssl_audio.quantise import sinkhorn

MADE = SwAV(prototypes=6, freeze=2, hidden=8, width=4)
RNG = np.random.default_rng(0)


class Mean(nnx.Module):
    """An encoder with nothing to train."""

    width = 16

    def embed(self, spec, frames=None, key=None):
        return spec.mean(1)


def normal(*shape):
    return jnp.asarray(RNG.standard_normal(shape), jnp.float32)


VIEWS = (normal(5, 24, 16), normal(5, 24, 16), normal(5, 8, 16))


def build(made=MADE, step=0):
    net = made.build(Mean(), rngs=nnx.Rngs(0))
    net.step[...] = jnp.int32(step)
    return net


def gradient(made, net, views=VIEWS):
    """(loss, logs), and the gradient of the prototypes."""
    graph, params, rest = nnx.split(net, nnx.Param, ...)

    @jax.jit
    def run(params, rest, views):
        def loss(params):
            return made.loss(nnx.merge(graph, params, rest), views, {}, jax.random.key(0))

        return jax.value_and_grad(loss, has_aux=True)(params)

    (loss, logs), grads = run(nnx.as_pure(params), nnx.as_pure(rest), views)
    return loss, logs, grads["prototypes"]


def authors_assignment(scores, epsilon=0.05, rounds=3):
    q = torch.exp(scores / epsilon).T
    q = q / q.sum()
    k, b = q.shape
    for _ in range(rounds):
        q = q / q.sum(1, keepdim=True) / k
        q = q / q.sum(0, keepdim=True) / b
    return (q / q.sum(0, keepdim=True)).T


def test_loss_and_gradient_are_the_authors():
    """Crop i of the first two is assigned; all others predict it; nothing flows through the assignment."""
    net = build(step=5)
    x = net.project(jnp.concatenate([v.mean(1) for v in VIEWS]))
    x = torch.nn.functional.normalize(torch.tensor(np.asarray(x), dtype=torch.float64), dim=1)
    weight = torch.tensor(np.asarray(net.prototypes[...]), dtype=torch.float64, requires_grad=True)
    out = x @ torch.nn.functional.normalize(weight, dim=1).T
    expected = 0
    for i in (0, 1):
        q = authors_assignment(out[5 * i : 5 * i + 5].detach())
        others = [v for v in range(3) if v != i]
        terms = [(q * torch.log_softmax(out[5 * v : 5 * v + 5] / 0.1, 1)).sum(1).mean() for v in others]
        expected = expected - sum(terms) / len(others) / 2
    expected.backward()
    loss, logs, grad = gradient(MADE, net)
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-4)
    np.testing.assert_allclose(grad, weight.grad.numpy(), rtol=1e-3, atol=1e-5)
    assert 1 <= logs["perplexity"] <= 6 and logs["target_std"] > 0.1


def test_prototypes_are_frozen_at_first():
    for step, moves in ((0, False), (1, False), (2, True)):
        assert np.any(gradient(MADE, build(step=step))[2]) == moves
    net = build()
    MADE.after(net, jnp.int32(41))
    assert net.step[...] == 42


def test_one_view_twice_is_predicted_best():
    net = build()
    assert gradient(MADE, net, (VIEWS[0], VIEWS[0], VIEWS[2]))[0] < gradient(MADE, net)[0]


def test_collapsed_projections_have_no_spread():
    """One and the same point for all: the balanced assignment is uniform, the alarm hears it."""
    net = build()
    net.project.down.kernel[...] = 0 * net.project.down.kernel[...]
    net.project.down.bias[...] = 1 + 0 * net.project.down.bias[...]
    _, logs, _ = gradient(MADE, net)
    np.testing.assert_allclose(logs["target_std"], 0, atol=1e-3)


def test_queue():
    """Filled from `wait` on, the newest first; it joins the assignment when full, the batch's rows are
    kept."""
    made = dataclasses.replace(MADE, queue=7, wait=1)
    net, codes = build(made), normal(6, 4)
    seen = []
    for step in range(4):
        net.step[...] = jnp.int32(step)
        x = normal(2, 3, 4)
        scores = jnp.einsum("vbd,kd->vbk", x, codes)
        old, q = net.queue[...], made.assign(net, x, codes, scores)
        for i in (0, 1):
            np.testing.assert_allclose(q[i], sinkhorn(scores[i], 0.05), rtol=1e-4, atol=1e-6)
        if step == 0:
            np.testing.assert_array_equal(net.queue[...], old)
        else:
            seen.insert(0, x)
    np.testing.assert_array_equal(net.queue[...], jnp.concatenate(seen, 1)[:, :7])
    q = made.assign(net, x, codes, scores)
    for i in (0, 1):
        rows = jnp.concatenate([x[i], *(s[i] for s in seen)])[:10] @ codes.T
        np.testing.assert_allclose(q[i], sinkhorn(rows, 0.05)[:3], rtol=1e-4, atol=1e-6)


def test_refusals():
    with pytest.raises(ValueError, match="two views"):
        MADE.loss(build(), VIEWS[:1], {}, jax.random.key(0))
    made = dataclasses.replace(MADE, queue=3)
    with pytest.raises(ValueError, match="shorter than a batch of 5"):
        made.loss(build(made), VIEWS, {}, jax.random.key(0))
