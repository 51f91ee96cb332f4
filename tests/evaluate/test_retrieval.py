import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from ssl_audio.evaluate.retrieval import search


def cloud(n=120, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(4, size=n)
    x = rng.standard_normal((4, 6))[y] + 2 * rng.standard_normal((n, 6))
    return x.astype(np.float32), y.astype(str), (np.arange(n) // 3).astype(str)


def test_average_precision_is_sklearns_and_hits_are_counted():
    x, y, groups = cloud()
    found = search(x, y, groups, ks=(1, 7))
    z = (x - x.mean(0)) / x.std(0)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    for place, q in enumerate(found.queries):
        others = np.flatnonzero(groups != groups[q])
        score, relevant = z[others] @ z[q], y[others] == y[q]
        assert found.precision[place] == pytest.approx(average_precision_score(relevant, score), abs=1e-6)
        best = relevant[np.argsort(-score)]
        assert (found.hit[1][place], found.hit[7][place]) == (best[0], best[:7].any())
    assert found.metrics["R@7"] == found.hit[7].mean() and found.metrics["mAP"] == found.precision.mean()


def test_perfect_embeddings_and_chance():
    _, y, groups = cloud(900)
    perfect = search((y[:, None] == np.unique(y)).astype(np.float32), y, groups)
    assert set(perfect.metrics.values()) == {1.0}
    noise = np.random.default_rng(1).standard_normal((900, 8)).astype(np.float32)
    assert search(noise, y, groups).metrics["mAP"] == pytest.approx(0.25, abs=0.02)


def test_copies_within_a_group_are_not_found():
    """Three equal clips a group: with them in the answer every query would hit at once."""
    x = np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32).repeat(3, 0)
    y, groups = (np.arange(600) // 3 % 4).astype(str), (np.arange(600) // 3).astype(str)
    assert search(x, y, groups).metrics["R@1"] < 0.4
    assert search(x, y, np.arange(600).astype(str)).metrics["R@1"] == 1


def test_a_clip_alone_in_its_label_asks_nothing():
    x, y, groups = cloud()
    y[5] = "only one"
    assert 5 not in search(x, y, groups).queries
    with pytest.raises(ValueError, match="another group"):
        search(x, np.arange(120).astype(str), groups)
