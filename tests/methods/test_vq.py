"""The vector-quantised autoencoder: nearest codes, moving averages in closed form, revival, the gradient."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import METHODS, curve, experiment

from ssl_audio.encoders.layers import patches

MADE = dataclasses.replace(METHODS["VQAutoencoder"]["method"], revive=0.0)
KEY = jax.random.key(0)


def build(made=MADE):
    encoder = METHODS["VQAutoencoder"]["encoder"]
    return made.build(encoder.build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))


@pytest.fixture(scope="module")
def x():
    return jnp.asarray(np.random.default_rng(0).standard_normal((6, 24, 16)), jnp.float32)


def test_loss_is_the_papers(x):
    net = build()
    z, codes = np.asarray(net.enter(net.encoder(x))), np.asarray(net.codes[...])
    loss, logs = MADE.loss(net, (x,), {}, KEY)
    away = ((z[:, :, None] - codes) ** 2).sum(-1)
    chosen = away.argmin(-1)
    guess = net.out(nnx.relu(net.up(jnp.asarray(codes[chosen]))))
    error = np.mean((np.asarray(guess) - np.asarray(patches(x, net.encoder.patch))) ** 2)
    np.testing.assert_allclose(logs["error"], error, rtol=1e-4)
    np.testing.assert_allclose(logs["commit"], away.min(-1).mean() / MADE.code, rtol=1e-4)
    np.testing.assert_allclose(loss, error + 0.25 * logs["commit"], rtol=1e-4)
    share = np.bincount(chosen.ravel(), minlength=MADE.codes) / chosen.size
    entropy = -np.sum(share[share > 0] * np.log(share[share > 0]))
    np.testing.assert_allclose(logs["perplexity"], np.exp(entropy), rtol=1e-4)


def test_codes_are_moving_averages_in_closed_form():
    """The same rows n times: use and total are (1 - decay^n) of a step's, their ratio the mean."""
    net, rows = build(), jnp.asarray(np.random.default_rng(1).standard_normal((20, MADE.code)), jnp.float32)
    chosen, before = jnp.asarray(np.arange(20) % 3, jnp.int32), np.asarray(net.codes[...])
    for _ in range(4):
        share = MADE.move(net, rows, chosen, KEY)
    np.testing.assert_allclose(share[:3], np.array([7, 7, 6]) / 20, rtol=1e-6)
    kept = 1 - MADE.decay**4
    np.testing.assert_allclose(net.use[...][:3], kept * np.array([7, 7, 6]), rtol=1e-4)
    np.testing.assert_allclose(net.total[...][1], kept * np.asarray(rows)[1::3].sum(0), rtol=1e-3, atol=1e-5)
    means = [np.asarray(rows)[i::3].mean(0) for i in range(3)]
    np.testing.assert_allclose(net.codes[...][:3], means, rtol=2e-3, atol=1e-4)
    np.testing.assert_array_equal(net.codes[...][3:], before[3:])  # never chosen, never moved


def test_dead_codes_start_again_at_rows_of_the_batch():
    made = dataclasses.replace(MADE, revive=0.1)
    net, rows = (
        build(made),
        jnp.asarray(np.random.default_rng(1).standard_normal((40, MADE.code)), jnp.float32),
    )
    net.use[...] = jnp.full(made.codes, 2.5).at[4].set(0.2)  # of 2.5 a code on average
    net.total[...] = 2.5 * net.codes[...]
    made.move(net, rows, jnp.zeros(40, jnp.int32), KEY)
    pool, codes = np.asarray(rows), np.asarray(net.codes[...])
    found = [i for i in range(made.codes) if np.any(np.all(pool == codes[i], 1))]
    assert found == [4]
    np.testing.assert_allclose(net.use[...][4], 2.5)
    np.testing.assert_allclose(net.total[...][4], 2.5 * net.codes[...][4], rtol=1e-6)
    fresh = build(made)
    made.move(fresh, rows, jnp.zeros(40, jnp.int32), KEY)  # at the first step all but the busiest
    assert len(np.unique(np.asarray(fresh.codes[...]), axis=0)) == made.codes


def test_gradient_passes_straight_through_and_never_to_the_codes(x):
    net = build()
    graph, params, rest = nnx.split(net, nnx.Param, ...)
    params, rest = nnx.as_pure(params), nnx.as_pure(rest)
    codes = net.codes[...]
    z = net.enter(net.encoder(x))
    best = codes[jnp.argmin(jnp.sum((z[:, :, None] - codes[None, None]) ** 2, -1), -1)]
    target = patches(x, net.encoder.patch)

    @jax.jit
    def grads(params, rest):
        return jax.grad(lambda p, r: MADE.loss(nnx.merge(graph, p, r), (x,), {}, KEY)[0], (0, 1))(
            params, rest
        )

    to_params, to_rest = grads(params, rest)
    assert not np.any(to_rest["codes"]) and np.any(to_params["encoder"]["fc2"]["kernel"])
    # what reaches a token: the decoder's gradient at its code, and the pull towards that code
    through = jax.jit(jax.grad(lambda c: jnp.mean((net.out(nnx.relu(net.up(c))) - target) ** 2)))(best)
    pull = 0.25 * 2 * (z - best) / z.size
    np.testing.assert_allclose(to_params["enter"]["bias"], (through + pull).sum((0, 1)), rtol=1e-3, atol=1e-6)


def test_more_than_half_of_the_codes_are_in_use(store):
    """On the toy; the codes' running use, which 48 tokens a step keep up."""
    chosen = experiment("VQAutoencoder")
    state = curve(chosen, store, 40)[1]
    assert np.mean(np.asarray(state.rest["use"]) > 0.2 * 48 / chosen.method.codes) > 0.5
