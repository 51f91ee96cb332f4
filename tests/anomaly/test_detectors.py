"""Every detector of the package keeps the contract; and the one-class protocol."""

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ssl_audio.anomaly import KNN, Mahalanobis, detectors, one_class

KINDS = [kind for kind in vars(detectors).values() if isinstance(kind, type) and hasattr(kind, "score")]
READY = [kind() for kind in KINDS] + [KNN(k=1, normalise=True), KNN(k=3, standardise=False)]


def cloud(n=80, d=12, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + 3


def test_the_walk_finds_the_detectors():
    assert {KNN, Mahalanobis} <= set(KINDS)


@pytest.mark.parametrize("detector", READY, ids=repr)
def test_contract(detector, tmp_path):
    bank, x = cloud().astype(np.float32), cloud(30, seed=1).astype(np.float32)
    fitted = detector.fit(bank)
    score = fitted.score(x)
    assert score.shape == (30,) and np.isfinite(score).all()
    # alone, in another order or beside others: the same bits
    assert (np.concatenate([fitted.score(x[i : i + 1]) for i in range(30)]) == score).all()
    assert (fitted.score(x[::-1])[::-1] == score).all()
    assert (detector.fit(bank).score(x) == score).all()
    # far away is stranger
    far = bank.mean(0) + np.array([1, 10, 100])[:, None] * np.linspace(-3, 5, 12)
    if not getattr(detector, "normalise", False):
        assert (np.diff(fitted.score(far)) > 0).all()
    # no clip is its own neighbour: leaving it out of the fit gives its train score
    own = fitted.train_scores()
    assert own.shape == (80,) and (own > 0).all()
    assert own.mean() > fitted.score(bank).mean()
    fitted.save(tmp_path / "state.npz")
    again = type(detector).load(tmp_path / "state.npz")
    assert (again.score(x) == score).all() and (again.train_scores() == own).all()
    assert [p.name for p in tmp_path.iterdir()] == ["state.npz"]


@pytest.mark.parametrize("detector", READY, ids=repr)
def test_refusals(detector, tmp_path):
    bank = cloud()
    bad = bank.copy()
    bad[4, 2] = np.nan
    with pytest.raises(ValueError, match="row 4"):
        detector.fit(bad)
    fitted = detector.fit(bank)
    with pytest.raises(ValueError, match="row 4"):
        fitted.score(bad)
    with pytest.raises(ValueError, match="5 dimensions"):
        fitted.score(bank[:, :5])
    with pytest.raises(ValueError, match="isn't fitted"):
        detector.save(tmp_path / "x.npz")
    fitted.save(tmp_path / "x.npz")
    other = Mahalanobis if isinstance(detector, KNN) else KNN
    with pytest.raises(ValueError, match="load it with"):
        other.load(tmp_path / "x.npz")


def test_knn_by_hand():
    fitted = KNN(k=2, standardise=False).fit(np.array([[0.0], [1], [3], [10]]))
    assert fitted.score(np.array([[0.0], [4]])).tolist() == [0.5, 2.0]
    assert fitted.train_scores().tolist() == [2.0, 1.5, 2.5, 8.0]
    with pytest.raises(ValueError, match="k is 5"):
        KNN(k=5).fit(np.zeros((4, 2)))


def test_knn_normalised_is_cosine():
    x = cloud(20)
    fitted = KNN(k=1, normalise=True, standardise=False).fit(x)
    z = x / np.linalg.norm(x, axis=1, keepdims=True)
    near = (z @ z.T - 2 * np.eye(20)).max(1)
    np.testing.assert_allclose(fitted.train_scores(), np.sqrt(2 - 2 * near), atol=1e-9)
    np.testing.assert_allclose(fitted.score(7 * x), 0, atol=1e-7)


def test_mahalanobis_does_not_see_linear_maps():
    """With many clips the shrinkage vanishes, and a linear map of the space changes nothing."""
    rng = np.random.default_rng(0)
    bank, x, m = rng.standard_normal((4000, 3)), rng.standard_normal((9, 3)), rng.standard_normal((3, 3))
    np.testing.assert_allclose(
        Mahalanobis().fit(bank @ m).score(x @ m), Mahalanobis().fit(bank).score(x), rtol=0.02
    )
    with pytest.raises(ValueError, match="alike"):
        Mahalanobis().fit(np.ones((5, 3)))


def families(seed=0, shift=3.0):
    rng = np.random.default_rng(seed)
    groups = np.arange(240) // 4
    labels = np.array(["piano", "drum", "flute"])[groups % 3]
    x = rng.standard_normal((240, 6)) + shift * (labels != "piano")[:, None]
    return x, labels, (groups // 3 % 4).astype(str), groups.astype(str)


def test_one_class_perfect_and_chance():
    record = one_class(*families(shift=50.0), "piano", KNN())
    json.dumps(record, allow_nan=False)
    assert record["value"] == 1 and record["ci95"] == [1, 1] and record["n"] == 240 and record["groups"] == 60
    x, labels, folds, groups = families(shift=0.0)
    record = one_class(x, labels, folds, groups, "piano", Mahalanobis())
    assert abs(record["value"] - 0.5) < 3 * np.sqrt(241 / (12 * 80 * 160))
    assert record["ci95"][0] < 0.5 < record["ci95"][1]


def test_one_class_is_the_mean_of_sklearns_auc():
    x, labels, folds, groups = families(shift=0.5)
    x[::7] = x[0]  # ties
    kept = (labels != "flute") | (folds != "0") | (np.arange(240) < 40)  # folds of different size
    x, labels, folds, groups = x[kept], labels[kept], folds[kept], groups[kept]
    record = one_class(x, labels, folds, groups, "flute", KNN(k=3), seed=1)
    expected, weight = [], []
    for fold in np.unique(folds):
        fitted = KNN(k=3).fit(x[(folds != fold) & (labels == "flute")])
        test = folds == fold
        expected.append(roc_auc_score(labels[test] != "flute", fitted.score(x[test])))
        weight.append((labels[test] == "flute").sum())
    assert len(set(weight)) > 1
    assert record["value"] == pytest.approx(np.average(expected, weights=weight))
    assert record["ci95"][0] < record["value"] < record["ci95"][1]
    assert record == one_class(x, labels, folds, groups, "flute", KNN(k=3), seed=1)


def test_one_class_refusals():
    x, labels, folds, groups = families()
    with pytest.raises(ValueError, match="no fold has clips of 'tuba'"):
        one_class(x, labels, folds, groups, "tuba", KNN())
    groups[folds == "0"] = groups[folds == "1"][0]
    with pytest.raises(ValueError, match="cut the group"):
        one_class(x, labels, folds, groups, "piano", KNN())
