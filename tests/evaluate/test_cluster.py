import numpy as np
import pytest

from ssl_audio.evaluate import cluster


def test_the_matching_is_the_best_of_all():
    from itertools import permutations

    rng = np.random.default_rng(0)
    y, found = rng.integers(4, size=200), rng.integers(4, size=200)
    best = max(np.mean(np.array(order)[found] == y) for order in permutations(range(4)))
    assert cluster.match(y, found).mean() == pytest.approx(best)


def test_names_of_clusters_do_not_matter():
    y = np.repeat(np.arange(3), 10)
    assert cluster.match(y, np.array([2, 0, 1])[y]).all()


def test_the_scale_of_a_dimension_does_not_matter():
    y = np.arange(120) % 3
    rng = np.random.default_rng(0)
    x = np.concatenate([np.tile(np.eye(3)[y], 2), 1e4 * rng.standard_normal((120, 1))], axis=1)
    x[1, -1] = x[0, -1] + 1e-2
    out = cluster.probe(x, y, (np.arange(120) % 2).astype(str), np.arange(120).astype(str))
    assert out.metrics["nmi"] > 0.9


def test_seeds_and_spread():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((120, 8)).astype(np.float32)
    y, folds = np.arange(120) % 6, (np.arange(120) % 2).astype(str)
    out = cluster.probe(x, y, folds, np.arange(120).astype(str), seeds=6)
    assert out.correct.shape == (6, 120)
    assert out.metrics["accuracy"] == pytest.approx(out.correct.mean())
    assert (
        out.spread["accuracy"] == pytest.approx(np.std(out.correct.mean(1), ddof=1)) and out.spread["nmi"] > 0
    )
    # another scale and offset of every dimension is taken out
    moved = cluster.probe(x * 7 + 100, y, folds, np.arange(120).astype(str), seeds=6)
    assert moved.metrics["nmi"] == pytest.approx(out.metrics["nmi"], abs=0.05)
