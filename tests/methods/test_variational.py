"""The variational autoencoder: the divergence in closed form, its weight over the steps, the draw."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from torch.distributions import Normal, kl_divergence
from toys import METHODS

from ssl_audio.encoders.layers import patches

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def parts():
    made, encoder = (METHODS["VAE"][k] for k in ("method", "encoder"))
    made = dataclasses.replace(made, anneal=0)
    net = made.build(encoder.build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    net.log_var.bias[...] = jnp.linspace(-2, 1, made.code)
    return made, net, jnp.asarray(np.random.default_rng(0).standard_normal((6, 24, 16)), jnp.float32)


def test_divergence_is_pytorchs(parts):
    made, net, x = parts
    _, logs = made.loss(net, (x,), {}, KEY)
    tokens = net.encoder(x)
    mean, log_var = (torch.tensor(np.asarray(f(tokens))) for f in (net.mean, net.log_var))
    expected = kl_divergence(Normal(mean, torch.exp(log_var / 2)), Normal(0.0, 1.0)).sum(-1).mean()
    np.testing.assert_allclose(logs["kl"], expected, rtol=1e-5)


def test_loss_is_the_bound(parts):
    """Bins of a token times the loss: -log N(x; guess, 1) without its constant, plus beta times the KL."""
    made, net, x = parts
    loss, logs = made.loss(net, (x,), {}, KEY)
    tokens = net.encoder(x)
    mean, log_var = net.mean(tokens), net.log_var(tokens)
    code = mean + jnp.exp(log_var / 2) * jax.random.normal(jax.random.split(KEY)[1], mean.shape)
    guess, target = net.out(nnx.relu(net.up(code))), patches(x, net.encoder.patch)
    bound = -Normal(torch.tensor(np.asarray(guess)), 1.0).log_prob(torch.tensor(np.asarray(target))).sum(-1)
    bins = target.shape[-1]
    bound = float(bound.mean()) - bins / 2 * np.log(2 * np.pi)
    np.testing.assert_allclose(bins * loss, bound + logs["kl"], rtol=1e-4)
    double = dataclasses.replace(made, beta=2.0).loss(net, (x,), {}, KEY)[0]
    np.testing.assert_allclose(bins * (double - loss), logs["kl"], rtol=1e-3)


def test_a_code_without_information_costs_nothing_and_shows(parts):
    made, net, x = parts
    assert made.loss(net, (x,), {}, KEY)[1]["active"] > 0
    blind = nnx.clone(net)
    for part in (blind.mean, blind.log_var):
        part.kernel[...], part.bias[...] = 0 * part.kernel[...], 0 * part.bias[...]
    logs = made.loss(blind, (x,), {}, KEY)[1]
    assert logs["kl"] == logs["active"] == 0


def test_weight_grows_in_a_line(parts):
    made, _, x = parts
    slow = dataclasses.replace(made, anneal=4, beta=3.0)
    net = slow.build(METHODS["VAE"]["encoder"].build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    weights = []
    for step in range(7):
        loss, logs = slow.loss(net, (x,), {}, KEY)
        weights.append((loss - 0.5 * logs["error"]) / logs["kl"] * 128)
        slow.after(net, jnp.int32(step))
    np.testing.assert_allclose(weights, [0, 0.75, 1.5, 2.25, 3, 3, 3], atol=2e-2)
    assert net.count[...].dtype == jnp.int32


def test_the_decoder_sees_a_draw(parts):
    made, net, x = parts
    one, two = (made.loss(net, (x,), {}, jax.random.key(k))[1]["error"] for k in (1, 2))
    assert one != two
    sure = nnx.clone(net)
    sure.log_var.kernel[...], sure.log_var.bias[...] = (
        0 * sure.log_var.kernel[...],
        jnp.full(made.code, -60.0),
    )
    one, two = (made.loss(sure, (x,), {}, jax.random.key(k))[1]["error"] for k in (1, 2))
    np.testing.assert_allclose(one, two, rtol=1e-6)  # no variance: a plain autoencoder
