"""DeepCluster-v2: clusters of a frozen network label what the trained one learns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ssl_audio.methods import DeepCluster
from ssl_audio.train import split

MADE = DeepCluster(prototypes=4, heads=3, every=10, batches=2, hidden=8, width=4)
RNG = np.random.default_rng(0)
KEY = jax.random.key(0)


class Mean(nnx.Module):
    """An encoder with nothing to train."""

    width = 16

    def embed(self, spec, frames=None, key=None):
        return spec.mean(1)


def normal(*shape):
    return jnp.asarray(RNG.standard_normal(shape), jnp.float32)


VIEWS = (normal(6, 24, 16), normal(6, 24, 16), normal(6, 8, 16))


@pytest.fixture(scope="module")
def clustered():
    """(network after a clustering, its rows)."""
    net = MADE.build(Mean(), rngs=nnx.Rngs(0))
    rows = jnp.concatenate([MADE.gather(net, VIEWS, {}, KEY) for _ in range(2)])
    MADE.refit(net, rows, KEY)
    return net, np.asarray(rows)


def project(part, view):
    """Projections of length 1 of one view among all, as the batch normalisation sees them."""
    x = np.asarray(part.project(jnp.concatenate([v.mean(1) for v in view])))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).reshape(len(view), 6, 4)


def test_refits_once_in_an_epoch():
    assert [s for s in range(25) if MADE.refits(s)] == [0, 10, 20] and MADE.refits(10) == 2


def test_rows_are_both_views_of_length_1(clustered):
    net, rows = clustered
    assert rows.shape == (12, 8)
    np.testing.assert_allclose(np.linalg.norm(rows.reshape(-1, 4), axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(
        rows[:6].reshape(6, 2, 4).swapaxes(0, 1), project(net.online, VIEWS[:2]), atol=1e-5
    )


def test_centres_are_mean_directions_of_their_view(clustered):
    net, rows = clustered
    for head, centres in enumerate(np.asarray(net.centres[...])):
        x = rows[:, 4 * (head % 2) : 4 * (head % 2) + 4]
        label = (x @ centres.T).argmax(1)
        assert len(np.unique(label)) == 4  # none is empty
        means = np.stack([x[label == k].sum(0) for k in range(4)])
        np.testing.assert_allclose(centres, means / np.linalg.norm(means, axis=1, keepdims=True), atol=1e-4)


def test_loss_is_the_authors_and_labels_are_the_frozen_network_s(clustered):
    """Cross-entropy of centre · projection / temperature, mean over heads and views; the labels stay when the
    trained network moves."""
    net, _ = clustered
    moved = nnx.clone(net)
    moved.online.project.down.kernel[...] = normal(8, 4)
    for now in (net, moved):
        x, seen = project(now.online, VIEWS), project(net.online, VIEWS[:2])
        expected = []
        for head, centres in enumerate(np.asarray(net.centres[...])):
            label = (seen[head % 2] @ centres.T).argmax(1)
            logits = (x @ centres.T).astype(np.float64) / 0.1
            logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
            expected.append(-logits[:, np.arange(6), label].mean())
        loss, logs = MADE.loss(now, VIEWS, {}, KEY)
        np.testing.assert_allclose(loss, np.mean(expected), rtol=1e-4)
        assert 1 <= logs["perplexity"] <= 4 and 0 <= logs["accuracy"] <= 1 and logs["target_std"] > 0.1


def test_perplexity_hears_one_cluster_taking_all(clustered):
    net = nnx.clone(clustered[0])
    away = jnp.concatenate([jnp.full((3, 1, 4), 0.01), jnp.full((3, 3, 4), 9.0)], 1)
    net.centres[...] = away
    np.testing.assert_allclose(MADE.loss(net, VIEWS, {}, KEY)[1]["perplexity"], 1, rtol=1e-4)


def test_clustering_copies_the_network_and_no_gradient_reaches_the_copy(clustered):
    net, _ = clustered
    graph, params, frozen, rest = split(net)
    jax.tree.map(np.testing.assert_array_equal, params["online"], frozen["teacher"])

    @jax.jit
    def gradient(params, frozen):
        loss = lambda p, f: MADE.loss(nnx.merge(graph, p, f, rest), VIEWS, {}, KEY)[0]
        return jax.grad(loss, (0, 1))(params, frozen)

    online, teacher = gradient(params, frozen)
    assert all(np.any(g) for g in jax.tree.leaves(online))
    assert not any(np.any(g) for g in jax.tree.leaves(teacher))


def test_one_view_and_too_few_rows():
    net = MADE.build(Mean(), rngs=nnx.Rngs(0))
    rows = MADE.gather(net, VIEWS[:1], {}, KEY)
    assert rows.shape == (6, 4)
    MADE.refit(net, rows, KEY)
    assert np.isfinite(MADE.loss(net, VIEWS[:1], {}, KEY)[0])
    with pytest.raises(ValueError, match="4 centres of 3 rows"):
        MADE.refit(net, rows[:3], KEY)
