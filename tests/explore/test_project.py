"""Projections: closed forms, seeds, degenerate embeddings."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from ssl_audio.explore import project


def blobs(n=20, d=6, seed=0):
    rng = np.random.default_rng(seed)
    centres = 20 * rng.normal(size=(3, d))
    return np.concatenate([c + rng.normal(size=(n, d)) for c in centres]), np.repeat(np.arange(3), n)


def test_pca_of_a_plane_keeps_its_distances():
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(40, 2))
    turned = flat @ np.linalg.qr(rng.normal(size=(5, 2)))[0].T
    z = project.standardised(turned)
    xy = project.pca(turned)
    apart = lambda a: np.linalg.norm(a[:, None] - a[None], axis=-1)
    np.testing.assert_allclose(apart(xy), apart(z), atol=1e-4)


def test_maps_are_a_function_of_the_seed():
    x, _ = blobs()
    np.testing.assert_array_equal(project.tsne(x, seed=3), project.tsne(x, seed=3))
    np.testing.assert_array_equal(project.pca(x, seed=3), project.pca(x, seed=3))


def test_tsne_keeps_groups_together():
    x, y = blobs()
    xy = project.tsne(x)
    near = NearestNeighbors(n_neighbors=4).fit(xy).kneighbors(return_distance=False)
    assert (y[near] == y[:, None]).mean() > 0.99


@pytest.mark.parametrize(
    "x", [np.ones((30, 8)), np.ones((3, 8)), np.arange(8.0).reshape(4, 2), np.eye(9)[:, :1]]
)
def test_degenerate_embeddings_get_a_finite_map(x):
    xy = project.tsne(x)
    assert xy.shape == (len(x), 2) and np.isfinite(xy).all()


def test_a_value_that_is_not_finite_is_named():
    x = np.zeros((6, 3))
    x[4, 1] = np.nan
    with pytest.raises(ValueError, match="row 4"):
        project.tsne(x)


def test_neighbours_on_a_circle():
    angle = np.array([0.0, 0.3, 0.7, 3.0, 3.3, 3.9])
    x = np.stack([np.cos(angle), np.sin(angle)], 1)
    near = project.neighbours(x, 2)
    assert near.shape == (6, 2) and (near != np.arange(6)[:, None]).all()
    assert near[0, 0] == 1 and near[4, 0] == 3
    assert project.neighbours(x, 99).shape == (6, 5)
