"""DINO: the authors' loss, centre and schedules; without the centre it collapses."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx

from ssl_audio.evaluate import collapse
from ssl_audio.methods import DINO
from ssl_audio.train import split

MADE = DINO(prototypes=8, hidden=8, width=4, warmup=10, decay=0.9, steps=20, freeze=2)
RNG = np.random.default_rng(0)
KEY = jax.random.key(0)


class Mean(nnx.Module):
    """An encoder with nothing to train."""

    width = 16

    def embed(self, spec, frames=None, key=None):
        return spec.mean(1)


def normal(*shape):
    return jnp.asarray(RNG.standard_normal(shape), jnp.float32)


VIEWS = (normal(5, 24, 16), normal(5, 24, 16), normal(5, 8, 16))


def build(step=0, made=MADE):
    """With a teacher of its own and a centre that isn't zero."""
    net = made.build(Mean(), rngs=nnx.Rngs(0))
    net.teacher.head.prototypes[...] = normal(8, 4)
    net.step[...], net.centre[...] = jnp.int32(step), 0.1 * normal(8)
    return net


def test_logits_are_cosines_with_the_prototypes():
    net = build()
    head = net.teacher.head
    x = VIEWS[0].mean(1)
    out = head(x, True)
    assert np.abs(out).max() <= 1 + 1e-5
    head.prototypes[...] = head.prototypes[...] * 3
    np.testing.assert_allclose(head(x, True), out, atol=1e-5)
    assert head(x.astype(jnp.float32), True).dtype == jnp.float32


def test_few_targets_among_many_prototypes_are_no_collapse():
    """Ten targets, each nearly one-hot, can't be spread over 4,096 prototypes: 1 is their widest."""
    made = dataclasses.replace(MADE, prototypes=4096, sharp=(1e-4, 1e-4))
    net = made.build(Mean(), rngs=nnx.Rngs(0))
    net.teacher.head.prototypes[...] = normal(4096, 4)
    _, logs = made.loss(net, VIEWS, {}, KEY)
    assert 0.8 < logs["target_std"] <= 1.01


@pytest.mark.parametrize(("step", "temperature"), [(0, 0.04), (5, 0.055), (30, 0.07)])
def test_loss_and_centre_are_the_authors(step, temperature):
    net = build(step)
    see = lambda part, views: [
        torch.tensor(np.asarray(part.head(v.mean(1), True)), dtype=torch.float64) for v in views
    ]
    teacher, student = see(net.teacher, VIEWS[:2]), see(net.student, VIEWS)
    old = torch.tensor(np.asarray(net.centre[...]), dtype=torch.float64)
    expected, terms = 0, 0
    for i, t in enumerate(teacher):
        q = torch.softmax((t - old) / temperature, -1)
        for v, s in enumerate(student):
            if v != i:
                expected, terms = expected - (q * torch.log_softmax(s / 0.1, -1)).sum(-1).mean(), terms + 1
    loss, logs = MADE.loss(net, VIEWS, {}, KEY)
    np.testing.assert_allclose(loss, expected / terms, rtol=1e-4)
    np.testing.assert_allclose(
        net.centre[...], 0.9 * old + 0.1 * torch.cat(teacher).mean(0), rtol=1e-4, atol=1e-6
    )
    assert 1 <= logs["sharpness"] <= logs["perplexity"] + 1e-4 <= 8 + 1e-3


def test_gradients():
    """None for the teacher; none for the prototypes before step `freeze`."""
    graph, params, frozen, rest = split(build())

    @jax.jit
    def gradient(params, frozen, step):
        net = nnx.merge(graph, params, frozen, rest | {"step": step})
        graph_, params, frozen, rest_ = split(net)
        loss = lambda p, f: MADE.loss(nnx.merge(graph_, p, f, rest_), VIEWS, {}, KEY)[0]
        return jax.grad(loss, (0, 1))(params, frozen)

    for step in (0, 1, 2):
        student, teacher = gradient(params, frozen, jnp.int32(step))
        assert not any(np.any(g) for g in jax.tree.leaves(teacher))
        head = student["student"]["head"]
        assert np.any(head.pop("prototypes")) == (step >= 2)
        assert all(np.any(g) for g in jax.tree.leaves(head))


def test_teacher_is_the_average_in_closed_form():
    """Student fixed at w, decay rising from 0.9 to 1: w + product of decays * (teacher_0 - w)."""
    net = build()
    w, t = (np.asarray(p.head.prototypes[...]) for p in (net.student, net.teacher))
    decay = [1 - 0.1 * (1 + np.cos(np.pi * n / 20)) / 2 for n in range(7)]
    assert decay[0] == 0.9
    for n in range(7):
        MADE.after(net, jnp.int32(n))
    np.testing.assert_allclose(
        net.teacher.head.prototypes[...], w + np.prod(decay) * (t - w), rtol=1e-4, atol=1e-6
    )
    assert net.step[...] == 7
    before = np.asarray(net.teacher.head.prototypes[...])
    MADE.after(net, jnp.int32(20))  # the end: it stands
    np.testing.assert_allclose(net.teacher.head.prototypes[...], before, atol=1e-6)


def spreads(made, steps=150):
    """The log's `target_std` over so many steps on clips of their own, two noisy views each."""
    net = made.build(Mean(), rngs=nnx.Rngs(1))
    graph, params, frozen, rest = split(net)
    clips, tx = np.random.default_rng(5).standard_normal((16, 1, 16)).astype(np.float32), optax.adam(1e-3)

    @jax.jit
    def run(state):
        def one(state, step):
            params, frozen, rest, opt = state
            keys = jax.random.split(jax.random.fold_in(KEY, step))
            views = tuple(clips + 0.3 * jax.random.normal(k, (16, 4, 16)) for k in keys)

            def loss(p):
                net = nnx.merge(graph, p, frozen, rest)
                value, logs = made.loss(net, views, {}, KEY)
                return value, (logs, split(net)[3])

            grads, (logs, rest) = jax.grad(loss, has_aux=True)(params)
            with jax.numpy_dtype_promotion("standard"):
                updates, opt = tx.update(grads, opt)
            net = nnx.merge(graph, optax.apply_updates(params, updates), frozen, rest)
            made.after(net, step)
            return (*split(net)[1:], opt), logs["target_std"]

        return jax.lax.scan(one, state, jnp.arange(steps))[1]

    return np.asarray(run((params, frozen, rest, tx.init(params))))


def test_without_the_centre_it_collapses():
    made = dataclasses.replace(
        MADE, hidden=16, width=8, decay=0.99, steps=10_000, freeze=0, sharp=(0.02, 0.02)
    )
    whole, broken = spreads(made), spreads(dataclasses.replace(made, centre=False))
    assert whole[-20:].mean() > 0.3
    assert broken[-20:].mean() < collapse.LEAST_TARGET


def test_refusals():
    with pytest.raises(ValueError, match="two views"):
        MADE.loss(build(), VIEWS[:1], {}, KEY)
