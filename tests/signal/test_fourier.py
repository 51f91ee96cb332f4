"""Transforms of rows: numpy's, linear to the gradient, and where their row lies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import sharded

from ssl_audio.signal import fourier

RNG = np.random.default_rng(0)
X = RNG.standard_normal((8, 50)).astype(np.float32)
INPUTS = {"rfft": X, "irfft": np.fft.rfft(X), "fft": X + 1j * X[::-1], "ifft": X + 1j * X[::-1]}
INPUTS = {k: v.astype(np.float32 if k == "rfft" else np.complex64) for k, v in INPUTS.items()}


@pytest.mark.parametrize("n", [40, 50, 64])
@pytest.mark.parametrize("name", INPUTS)
def test_equals_numpy(name, n):
    expected = getattr(np.fft, name)(INPUTS[name], n)
    np.testing.assert_allclose(getattr(fourier, name)(jnp.asarray(INPUTS[name]), n), expected, atol=2e-5)


@pytest.mark.parametrize("name", INPUTS)
def test_gradient_and_vmap_are_those_of_jax(name):
    ours, theirs = (lambda x, of=of: getattr(of, name)(x, 50) for of in (fourier, jnp.fft))
    loss = lambda f: lambda x: (jnp.abs(f(x)) ** 2.0 * jnp.arange(8.0)[:, None]).sum()
    np.testing.assert_allclose(
        jax.grad(loss(ours))(INPUTS[name]), jax.grad(loss(theirs))(INPUTS[name]), rtol=1e-4, atol=1e-3
    )
    twice = jnp.stack([INPUTS[name], 2 * INPUTS[name]])
    np.testing.assert_allclose(jax.vmap(ours)(twice), jax.vmap(theirs)(twice), atol=1e-4)


@pytest.mark.parametrize("name", INPUTS)
def test_rows_stay_on_their_device(name):
    _, rows = sharded(8)
    x = jax.device_put(INPUTS[name], rows)
    compiled = jax.jit(lambda x: getattr(fourier, name)(x, 50)).lower(x).compile()
    assert "all-gather" not in compiled.as_text()
    assert compiled(x).sharding.is_equivalent_to(rows, 2)


def test_fast_lengths():
    assert fourier.fast_length(16_000) == 16_000
    for n in (997, 12_345, 100_003):
        fast, rest = fourier.fast_length(n), fourier.fast_length(n)
        for prime in (2, 3, 5, 7, 11):
            while rest % prime == 0:
                rest //= prime
        assert n <= fast < 1.1 * n and rest == 1
