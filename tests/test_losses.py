"""Losses against optax and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ssl_audio.losses import cosine, info_nce, nt_xent, unit


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


@pytest.mark.parametrize("b, d, temperature", [(2, 3, 1.0), (33, 5, 0.07)])
def test_nt_xent_is_optax_ntxent(b, d, temperature):
    a, c = draw(0, b, d), draw(1, b, d)
    labels = jnp.tile(jnp.arange(b), 2)
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        reference = lambda a, c: optax.losses.ntxent(jnp.concatenate([a, c]), labels, temperature)
        value, grads = jax.jit(jax.value_and_grad(reference, (0, 1)))(a, c)
    ours, ours_grads = jax.jit(jax.value_and_grad(lambda a, c: nt_xent(a, c, temperature), (0, 1)))(a, c)
    np.testing.assert_allclose(ours, value, rtol=1e-5)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=2e-6), ours_grads, grads)


def test_nt_xent_closed_forms():
    b, t = 6, 0.5
    one = jnp.ones((b, 4))
    np.testing.assert_allclose(nt_xent(one, one, t), np.log(2 * b - 1), rtol=1e-6)  # nothing to tell apart
    eye = jnp.eye(b)  # partners at similarity 1, all others at 0
    np.testing.assert_allclose(nt_xent(eye, 3 * eye, t), np.log(np.exp(1 / t) + 2 * b - 2) - 1 / t, rtol=1e-5)
    a, c = draw(0, b, 4), draw(1, b, 4)
    np.testing.assert_allclose(nt_xent(a, c, t), nt_xent(c, a, t), rtol=1e-6)
    np.testing.assert_allclose(nt_xent(a, c, t), nt_xent(7 * a, c, t), rtol=1e-5)
    assert nt_xent(a, a, t) < nt_xent(a, c, t)


def test_info_nce_closed_forms():
    x = draw(0, 5, 5)
    expected = -np.mean(np.log(np.diag(np.exp(x) / np.exp(x).sum(1, keepdims=True))))
    np.testing.assert_allclose(info_nce(x), expected, rtol=1e-6)
    np.testing.assert_allclose(info_nce(jnp.zeros((7, 7))), np.log(7), rtol=1e-6)
    np.testing.assert_allclose(info_nce(x + 100), info_nce(x), rtol=1e-4)
    assert abs(float(info_nce(x) - info_nce(x.T))) > 1e-3  # rows pick columns, one direction
    assert info_nce(100 * jnp.eye(5)) < 1e-6


def test_unit_and_cosine():
    a, c = draw(0, 9, 4), draw(1, 9, 4)
    np.testing.assert_allclose(jnp.linalg.norm(unit(a), axis=-1), 1, rtol=1e-6)
    expected = np.sum(np.asarray(a) * c, 1) / np.linalg.norm(a, axis=1) / np.linalg.norm(c, axis=1)
    np.testing.assert_allclose(cosine(a, c), expected, rtol=1e-5)
    zero = jnp.zeros((1, 4))
    assert (unit(zero) == 0).all()
    assert jnp.isfinite(jax.grad(lambda x: cosine(x, c[:1]).sum())(zero)).all()


@pytest.mark.parametrize("loss", [lambda x: nt_xent(x, x[::-1]), lambda x: info_nce(x @ x.T)])
def test_bfloat16_is_summed_in_float32(loss):
    x = draw(0, 64, 16)
    low = loss(x.astype(jnp.bfloat16))
    assert low.dtype == jnp.float32
    np.testing.assert_allclose(low, loss(x), rtol=0.05)
