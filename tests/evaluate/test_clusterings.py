"""Clusterings side by side, on clouds whose clusters are known."""

import numpy as np
import pytest
from sklearn.metrics import v_measure_score

from ssl_audio.evaluate import clusterings as module
from ssl_audio.evaluate.clusterings import agreement, bic, clusterings, counts, medoids, spaces


def clouds(k=4, n=240, spread=0.3, dims=12):
    rng = np.random.default_rng(0)
    y = np.arange(n) % k
    return (5 * np.eye(k, dims)[y] + spread * rng.standard_normal((n, dims)) + 1).astype(np.float32), y


def test_every_way_finds_what_is_plain():
    x, y = clouds()
    found = list(clusterings(x, 4, seeds=3))
    assert len(found) == module.WAYS
    assert [(c.name, len(c.found)) for c in found] == [("k-means", 3)] * 4 + [("Ward", 1), ("HDBSCAN", 1)]
    for one in found:
        # whitening blows the noise up to the size of the clusters; HDBSCAN leaves edges out
        least = 0.6 if one.space == "whitened" else 0.8 if one.name == "HDBSCAN" else 0.95
        assert agreement(one.found[0], y)["NMI"] > least, one
        assert one.clusters == pytest.approx(4) and one.silhouette.shape == (len(one.found),)


def test_whitened_is_white_and_length_1_is_1():
    found = spaces(clouds(spread=3.0)[0])
    np.testing.assert_allclose(np.cov(found["whitened"].T), np.eye(12), atol=1e-3)
    for name in ("length 1", "standardised, length 1"):
        np.testing.assert_allclose(np.linalg.norm(found[name], axis=1), 1, rtol=1e-5)


def test_dead_dimensions_are_not_whitened_and_half_precision_is_no_trouble():
    x, _ = clouds(dims=4)
    wide = np.concatenate([x @ np.random.default_rng(1).standard_normal((4, 60)), np.zeros((240, 60))], 1)
    assert spaces(wide)["whitened"].shape == (240, 4)
    loud = (200 * x).astype(np.float16)  # its squares overflow
    np.testing.assert_allclose(np.linalg.norm(spaces(loud)["length 1"], axis=1), 1, rtol=1e-3)


def test_agreement_by_hand():
    y = np.array(list("aaabbb"))
    found = np.array([0, 0, 1, 1, 1, -1])
    by = agreement(found, y)
    assert by["purity"] == pytest.approx((2 + 2 + 1) / 6) and by["accuracy"] == pytest.approx(4 / 6)
    assert by["NMI"] == pytest.approx(v_measure_score(y, found))
    perfect = agreement(np.array([2, 2, 2, 0, 0, 0]), y)
    assert all(value == pytest.approx(1) for value in perfect.values())


def test_the_number_of_clusters_is_found():
    x, _ = clouds(k=6, n=300)
    found = counts(x, most=20)
    assert max(found, key=lambda c: c.silhouette).k == 6
    assert max(found, key=lambda c: c.bic).k == 6


def test_bic_is_that_of_the_gaussians():
    """Against the likelihood written out clip by clip."""
    rng = np.random.default_rng(0)
    z, found = rng.standard_normal((50, 3)), rng.integers(2, size=50)
    centres = np.stack([z[found == i].mean(0) for i in (0, 1)])
    variance = ((z - centres[found]) ** 2).sum() / (3 * 48)
    share = np.bincount(found) / 50
    squares = ((z - centres[found]) ** 2).sum(1)
    each = np.log(share[found]) - 1.5 * np.log(2 * np.pi * variance) - squares / (2 * variance)
    assert bic(z, found, centres) == pytest.approx(each.sum() - (1 + 6 + 1) / 2 * np.log(50))


def test_medoids_are_in_the_middle_and_the_largest_cluster_is_first():
    x, y = clouds(k=3, n=90)
    found = np.where(np.arange(90) < 10, -1, y)
    found[(found == 0) & (np.arange(90) > 40)] = 1
    near = medoids(x, found, 3)
    assert next(iter(near)) == 1 and set(near) == {0, 1, 2}
    assert all((found[rows] == name).all() and len(rows) == 3 for name, rows in near.items())
    spread = clouds(spread=0.0, k=3, n=90)[0]
    spread[5] += 3.0
    assert 5 not in medoids(spread, y[:90] % 3, 29)[int(y[5]) % 3]


def test_one_cluster_has_no_silhouette():
    x, _ = clouds()
    assert np.isnan(module.silhouette(x, np.zeros(240, np.int64)))
