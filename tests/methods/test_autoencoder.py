"""The denoising autoencoder: corrupted in, clean out, through a narrow code."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import METHODS

from ssl_audio.encoders.layers import patches


@pytest.fixture(scope="module")
def parts():
    made, encoder = (METHODS["Autoencoder"][k] for k in ("method", "encoder"))
    net = made.build(encoder.build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    return made, net, jnp.asarray(np.random.default_rng(0).standard_normal((64, 24, 16)), jnp.float32)


def test_target_is_the_clean_spectrogram(parts):
    made, net, spec = parts
    silent = nnx.clone(net)
    silent.out.kernel[...] = 0 * silent.out.kernel[...]
    loss, _ = made.loss(silent, (spec,), {}, jax.random.key(0))
    np.testing.assert_allclose(loss, (np.asarray(spec) ** 2).mean(), rtol=1e-5)


def test_input_is_corrupted_as_told(parts, monkeypatch):
    made, net, spec = parts
    seen = []
    inner = type(net.encoder).__call__
    monkeypatch.setattr(
        type(net.encoder), "__call__", lambda self, x, **k: seen.append(np.asarray(x)) or inner(self, x, **k)
    )
    made.loss(net, (spec,), {}, jax.random.key(0))
    dataclasses.replace(made, noise=0.0, drop=0.0).loss(net, (spec,), {}, jax.random.key(0))
    noisy, clean = seen
    np.testing.assert_array_equal(clean, spec)
    dropped = noisy == 0
    n = dropped.size
    assert abs(dropped.mean() - made.drop) < 4 * np.sqrt(made.drop * (1 - made.drop) / n)
    noise = (noisy - np.asarray(spec))[~dropped]
    assert abs(noise.std() - made.noise) < 4 * made.noise / np.sqrt(2 * n * 0.7)


def test_code_is_the_bottleneck(parts):
    made, net, spec = parts
    assert net.code(net.encoder(spec)).shape == (64, 3, made.code)
    guess = net.out(nnx.relu(net.up(net.code(net.encoder(spec)))))
    assert guess.shape == patches(spec, net.encoder.patch).shape


def test_plain_autoencoder_is_the_denoising_one_without_noise(parts):
    """noise = drop = 0: no draw has a part in it, and the loss is that of input and output alone."""
    made, net, spec = parts
    plain = dataclasses.replace(made, noise=0.0, drop=0.0)
    one, two = (plain.loss(net, (spec,), {}, jax.random.key(k))[0] for k in (0, 1))
    assert one == two != made.loss(net, (spec,), {}, jax.random.key(0))[0]
    guess = net.out(nnx.relu(net.up(net.code(net.encoder(spec)))))
    expected = np.mean((np.asarray(guess) - np.asarray(patches(spec, net.encoder.patch))) ** 2)
    np.testing.assert_allclose(one, expected, rtol=1e-5)
