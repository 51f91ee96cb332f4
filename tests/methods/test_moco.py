"""MoCo: a first-in-first-out queue, a teacher that is a moving average, and the authors' losses."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from latent import alarm
from toys import METHODS, experiment, started

from ssl_audio.losses import unit
from ssl_audio.methods import MoCo


def built(**changes):
    made = dataclasses.replace(METHODS["MoCo"]["method"], **changes)
    net = made.build(METHODS["MoCo"]["encoder"].build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    draws = np.random.default_rng(0).standard_normal((2, 6, 24, 16)).astype(np.float32)
    return made, net, tuple(jnp.asarray(d) for d in draws)


def queries_and_keys(net, views):
    both = jnp.concatenate(views)
    q = net.online.project(net.online.encoder.embed(both))
    k = net.teacher.project(net.teacher.encoder.embed(both))
    return np.asarray(unit(net.predict(q) if hasattr(net, "predict") else q)), np.asarray(unit(k))


def cross_entropy(logits, right):
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return -log_p[np.arange(len(right)), right].mean()


def test_queue_is_first_in_first_out():
    made, net, views = built(queue=30)
    first = np.asarray(net.queue[...])
    _, k = queries_and_keys(net, views)
    held = [k, first]
    for _ in range(3):  # 12 keys a batch: the third fills it up and pushes all of the first out
        made.loss(net, views, {}, jax.random.key(0))
        np.testing.assert_allclose(net.queue[...], np.concatenate(held)[:30], rtol=1e-4, atol=1e-5)
        held.insert(0, k)
    np.testing.assert_allclose(np.linalg.norm(net.queue[...], axis=1), 1, rtol=1e-5)
    assert not np.isin(first, net.queue[...]).any()
    made, net, views = built(queue=5)  # shorter than a batch
    made.loss(net, views, {}, jax.random.key(0))
    np.testing.assert_allclose(net.queue[...], k[:5], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("predictor", [True, False])
def test_with_a_queue_the_negatives_are_its_keys_alone(predictor):
    made, net, views = built(predictor=predictor)
    queue, t = np.asarray(net.queue[...]), made.temperature
    loss, logs = made.loss(net, views, {}, jax.random.key(0))
    q, k = queries_and_keys(net, views)
    logits = np.concatenate([(q * np.roll(k, 6, 0)).sum(1, keepdims=True), q @ queue.T], 1) / t
    np.testing.assert_allclose(loss, 4 * t * cross_entropy(logits, np.zeros(12, int)), rtol=1e-3)
    np.testing.assert_allclose(logs["accuracy"], np.mean(logits.argmax(1) == 0))


def test_without_a_queue_it_is_version_3():
    """2 tau times the cross-entropy of q1 with k2, plus that of q2 with k1; partners on the diagonal."""
    made, net, views = built(queue=0)
    assert not hasattr(net, "queue")
    loss, _ = made.loss(net, views, {}, jax.random.key(0))
    (q, k), t = queries_and_keys(net, views), made.temperature
    ways = [cross_entropy(a @ b.T / t, np.arange(6)) for a, b in ((q[:6], k[6:]), (q[6:], k[:6]))]
    np.testing.assert_allclose(loss, 2 * t * sum(ways), rtol=1e-3)
    np.testing.assert_allclose(made.loss(net, views[::-1], {}, jax.random.key(0))[0], loss, rtol=1e-4)


def test_teacher_is_the_average_in_closed_form():
    """With online weights fixed at w, after n steps: w + decay^n (teacher_0 - w)."""
    made, net, _ = built()
    nnx.update(net.teacher, jax.tree.map(lambda x: 3 - x, nnx.state(net.teacher, nnx.Param)))
    old, online = (nnx.as_pure(nnx.state(part, nnx.Param)) for part in (net.teacher, net.online))
    queue = np.asarray(net.queue[...])
    for n in range(1, 8):
        made.after(net, jnp.int32(n))
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    expected = jax.tree.map(lambda w, t: w + made.decay**7 * (t - w), online, old)
    jax.tree.map(close, nnx.as_pure(nnx.state(net.teacher, nnx.Param)), expected)
    np.testing.assert_array_equal(net.queue[...], queue)


@pytest.mark.parametrize("step, share", [(0, 1.0), (5, 0.5), (10, 0.0), (99, 0.0)])
def test_decay_rises_to_one_along_half_a_cosine(step, share):
    made, net, _ = built(steps=10)
    net.teacher = nnx.Dict(weight=nnx.Param(jnp.zeros(3)))
    net.online = nnx.Dict(weight=nnx.Param(jnp.ones(3)))
    made.after(net, jnp.int32(step))
    np.testing.assert_allclose(net.teacher.weight[...], (1 - made.decay) * share, rtol=1e-5, atol=1e-7)


def test_no_gradient_reaches_the_teacher():
    chosen = experiment("MoCo")
    graph, state = started(chosen)
    _, _, views = built()
    jax.tree.map(np.testing.assert_array_equal, state.params["online"], state.frozen["teacher"])

    def loss(params, frozen, rest):
        return chosen.method.loss(nnx.merge(graph, params, frozen, rest), views, {}, jax.random.key(0))[0]

    online, teacher = jax.jit(jax.grad(loss, (0, 1)))(state.params, state.frozen, state.rest)
    assert not any(np.any(g) for g in jax.tree.leaves(teacher))
    assert all(np.any(g) for g in jax.tree.leaves(online))


@dataclasses.dataclass(frozen=True)
class Stale(MoCo):
    """A queue that keeps its first noise, and projections without their last normalisation, which would hold
    them apart."""

    def build(self, encoder, *, rngs):
        net = super().build(encoder, rngs=rngs)
        for part in (net.online, net.teacher):
            part.project.layers = nnx.List(list(part.project.layers)[:-1])
        return net

    def loss(self, net, views, batch, key):
        noise = net.queue[...]
        found = super().loss(net, views, batch, key)
        net.queue[...] = noise
        return found


def test_without_other_clips_keys_the_projections_collapse_and_the_alarm_tells(store):
    broken = Stale(**vars(METHODS["MoCo"]["method"]) | {"queue": 8, "predictor": False})
    assert (alarm("MoCo", store), alarm("MoCo", store, broken)) == (False, True)
