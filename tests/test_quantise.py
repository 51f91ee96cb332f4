"""Codebooks: nearest codes, k-means, balanced assignment, perplexity."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import KMeans

from ssl_audio.quantise import kmeans, nearest, perplexity, sinkhorn

RNG = np.random.default_rng(0)


def normal(*shape):
    return jnp.asarray(RNG.standard_normal(shape), jnp.float32)


def inertia(x, centres):
    x, centres = np.asarray(x, np.float64), np.asarray(centres, np.float64)
    return ((x[:, None] - centres[None]) ** 2).sum(-1).min(1).sum()


def test_nearest_is_brute_force():
    x, codes = normal(200, 7), normal(12, 7)
    expected = ((x[:, None] - codes[None]) ** 2).sum(-1).argmin(1)
    np.testing.assert_array_equal(nearest(x, codes), expected)
    low = codes.astype(jnp.bfloat16)
    np.testing.assert_array_equal(nearest(low, low), np.arange(12))


def test_nearest_far_from_the_origin():
    """|x|² is 7e6 here, where neighbouring floats are half a unit apart, as far as the codes are."""
    x, codes = normal(200, 7) * 0.5, normal(12, 7) * 0.5
    expected = nearest(x, codes)
    assert np.mean(np.asarray(nearest(x + 1000, codes + 1000)) == expected) > 0.97


def test_kmeans_is_as_good_as_scikit_learns():
    centres = 6 * normal(8, 5)
    x = jnp.concatenate([c[None] + normal(30, 5) for c in centres])
    found = min(inertia(x, kmeans(jax.random.key(i), x, 8)) for i in range(10))
    theirs = KMeans(8, n_init=10, random_state=0).fit(x).inertia_
    assert found < 1.02 * theirs
    assert min(inertia(x + 500, kmeans(jax.random.key(i), x + 500, 8)) for i in range(10)) < 1.02 * theirs


def test_kmeans_stands_still_at_means():
    x = jnp.concatenate([10 * c[None] + normal(20, 3) for c in jnp.eye(3)])
    centres = np.asarray(kmeans(jax.random.key(1), x, 3))
    label = np.asarray(nearest(jnp.asarray(x), jnp.asarray(centres)))
    means = np.stack([x[label == i].mean(0) for i in range(3)])
    np.testing.assert_allclose(centres, means, rtol=1e-4, atol=1e-4)
    assert sorted(np.bincount(label)) == [20, 20, 20]


def test_kmeans_leaves_no_cluster_empty():
    """Also where rows repeat, and the seeds with them: as many centres as there are different rows."""
    x = jnp.repeat(5 * normal(6, 4), 10, 0)
    for seed in range(3):
        centres = kmeans(jax.random.key(seed), x, 6)
        assert len(np.unique(nearest(x, centres))) == 6
        np.testing.assert_allclose(inertia(x, centres), 0, atol=1e-3)


def test_spherical_centres_are_mean_directions():
    x = normal(300, 4)
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    centres = np.asarray(kmeans(jax.random.key(0), x, 5, 40, True))
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, rtol=1e-5)
    x = np.asarray(x)
    label = (x @ centres.T).argmax(1)
    np.testing.assert_array_equal(label, nearest(jnp.asarray(x), jnp.asarray(centres)))
    means = np.stack([x[label == i].mean(0) for i in range(5)])
    np.testing.assert_allclose(centres, means / np.linalg.norm(means, axis=1, keepdims=True), atol=1e-3)


def test_kmeans_wants_rows():
    with pytest.raises(ValueError, match="5 centres of 4 rows"):
        kmeans(jax.random.key(0), normal(4, 2), 5)


def authors_sinkhorn(scores, epsilon, rounds):
    """SwAV's formula: codes [k] and rows [b] by turns to sums 1 / k and 1 / b; float64."""
    q = np.exp(np.asarray(scores, np.float64) / epsilon).T
    q /= q.sum()
    k, b = q.shape
    for _ in range(rounds):
        q /= k * q.sum(1, keepdims=True)
        q /= b * q.sum(0, keepdims=True)
    return (b * q).T


def test_sinkhorn_is_the_authors():
    scores = jnp.tanh(normal(16, 6))
    np.testing.assert_allclose(
        sinkhorn(scores, 0.05, 3), authors_sinkhorn(scores, 0.05, 3), rtol=1e-3, atol=1e-6
    )


def test_sinkhorn_balances():
    """Rows are distributions exactly, codes are used alike in the limit; a constant in a row or a code is
    nothing."""
    scores = jnp.tanh(normal(24, 6))
    q = np.asarray(sinkhorn(scores, 0.2, 60))
    np.testing.assert_allclose(q.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(q.sum(0), 4, rtol=1e-3)
    moved = scores + normal(24, 1) + normal(1, 6)
    np.testing.assert_allclose(sinkhorn(moved, 0.2, 60), q, atol=1e-4)
    assert np.isfinite(sinkhorn(1e3 * scores, 0.05)).all()  # where exp would overflow
    np.testing.assert_allclose(sinkhorn(jnp.zeros((8, 4)), 0.05), 0.25, rtol=1e-5)


def test_perplexity():
    np.testing.assert_allclose(perplexity(jnp.full((3, 8), 1 / 8)), 8, rtol=1e-5)
    np.testing.assert_allclose(perplexity(jnp.eye(5)), 1, rtol=1e-5)
    np.testing.assert_allclose(perplexity(jnp.array([0.5, 0.5, 0, 0], jnp.bfloat16)), 2, rtol=1e-5)
