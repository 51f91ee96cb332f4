"""BYOL-A: the teacher is a moving average and nothing else."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from toys import METHODS, experiment, started

from ssl_audio.methods import BYOLA


def toy():
    chosen = experiment("BYOLA")
    graph, state = started(chosen)
    return chosen, graph, jax.device_put(state)


def views():
    draws = np.random.default_rng(0).standard_normal((2, 6, 24, 16)).astype(np.float32)
    return tuple(jnp.asarray(d) for d in draws)


def test_teacher_is_the_average_in_closed_form():
    """With online weights fixed at w, after n steps: w + decay^n (teacher_0 - w)."""
    chosen, graph, state = toy()
    other = jax.tree.map(lambda x: 3 - x, state.frozen)
    net = nnx.merge(graph, state.params, other, state.rest)
    online = nnx.as_pure(nnx.state(net.online, nnx.Param))
    for n in range(1, 8):
        chosen.method.after(net, jnp.int32(n))
    teacher = nnx.as_pure(nnx.state(net.teacher, nnx.Param))
    expected = jax.tree.map(
        lambda w, t: w + chosen.method.decay**7 * (t - w), online, nnx.as_pure(other["teacher"])
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), teacher, expected)


def test_teacher_starts_as_the_online_network_with_memory_of_its_own():
    _, _, state = toy()
    jax.tree.map(np.testing.assert_array_equal, state.params["online"], state.frozen["teacher"])


def test_no_gradient_reaches_the_teacher_and_order_of_views_is_free():
    chosen, graph, state = toy()

    @jax.jit
    def value(params, frozen, views):
        loss = lambda p, f: chosen.method.loss(
            nnx.merge(graph, p, f, state.rest), views, {}, jax.random.key(0)
        )[0]
        return jax.value_and_grad(loss, (0, 1))(params, frozen)

    loss, (online, teacher) = value(state.params, state.frozen, views())
    assert not any(np.any(g) for g in jax.tree.leaves(teacher))
    assert all(np.any(g) for g in jax.tree.leaves(online))
    assert 0 < loss < 8
    np.testing.assert_allclose(value(state.params, state.frozen, views()[::-1])[0], loss, rtol=1e-5)
    # post-normalisation: the loss doesn't see level or gain of the whole
    shifted = tuple(5 * v + 3 for v in views())
    np.testing.assert_allclose(value(state.params, state.frozen, shifted)[0], loss, rtol=1e-4)


def test_loss_is_the_normalised_distance():
    """4 - 4 cos = sum over both directions of |q / |q| - z / |z||²."""
    chosen, graph, state = toy()
    net = nnx.merge(graph, state.params, state.frozen, state.rest)
    a, b = views()
    loss, _ = chosen.method.loss(net, (a, b), {}, jax.random.key(0))
    both = jnp.concatenate([a, b])
    both = (both - both.mean()) / both.std()
    q, z = (
        net.predict(net.online.project(net.online.encoder.embed(both))),
        net.teacher.project(net.teacher.encoder.embed(both)),
    )
    q, z = (x / jnp.linalg.norm(x, axis=1, keepdims=True) for x in (q, z))
    one, two = ((q[:6] - z[6:]) ** 2).sum(1).mean(), ((q[6:] - z[:6]) ** 2).sum(1).mean()
    np.testing.assert_allclose(loss, one + two, rtol=1e-4)


def test_predictor_is_optional():
    made = dataclasses.replace(METHODS["BYOLA"]["method"], predictor=False)
    net = made.build(METHODS["BYOLA"]["encoder"].build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))
    assert not hasattr(net, "predict")
    assert BYOLA().predictor
