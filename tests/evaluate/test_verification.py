import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn.metrics import roc_curve

from ssl_audio.evaluate.verification import cosine, errors, trials


def pairs(n=500, seed=0, decimals=6):
    rng = np.random.default_rng(seed)
    same = rng.random(n) < 0.4
    return np.round(rng.standard_normal(n) + 1.5 * same, decimals), same


@pytest.mark.parametrize("decimals", [6, 1])  # 1: many equal scores
def test_equal_error_rate_is_where_sklearns_curve_crosses(decimals):
    score, same = pairs(decimals=decimals)
    false, hit, _ = roc_curve(same, score, drop_intermediate=False)
    expected = brentq(lambda at: 1 - at - interp1d(false, hit)(at), 0, 1)
    assert errors(score, same).equal == pytest.approx(expected, abs=1e-9)


def test_error_rates_count_pairs():
    score, same = pairs(decimals=1)
    found = errors(score, same)
    for miss, false, threshold in zip(found.miss, found.false, found.threshold, strict=True):
        assert miss == pytest.approx((score[same] < threshold).mean())
        assert false == pytest.approx((score[~same] >= threshold).mean())
    each = 0.05 * found.miss + 0.95 * found.false
    assert found.cost(0.05) == pytest.approx(each.min() / 0.05)


def test_of_two_normal_curves_and_at_the_ends():
    rng = np.random.default_rng(0)
    same = np.arange(200_000) % 2 == 0
    score = rng.standard_normal(200_000) + 2 * same
    assert errors(score, same).equal == pytest.approx(norm.cdf(-1), abs=3e-3)
    perfect, useless = errors(same.astype(float), same), errors(np.zeros(200_000), same)
    assert (perfect.equal, perfect.cost()) == (0, 0)
    assert (useless.equal, useless.cost()) == (0.5, 1)
    assert errors(-same.astype(float), same).equal == 1


def test_refusals():
    with pytest.raises(ValueError, match="finite"):
        errors(np.array([1.0, np.nan]), np.array([True, False]))
    with pytest.raises(ValueError, match="different"):
        errors(np.array([1.0, 2.0]), np.array([True, True]))


def test_trials_are_of_both_kinds_across_groups_and_once_each():
    rng = np.random.default_rng(0)
    y, groups = rng.integers(5, size=90).astype(str), (np.arange(90) // 2).astype(str)
    found = trials(y, groups, 400)
    same = y[found[:, 0]] == y[found[:, 1]]
    assert found.shape == (400, 2) and same.sum() == 200
    assert (groups[found[:, 0]] != groups[found[:, 1]]).all() and (found[:, 0] < found[:, 1]).all()
    assert len(np.unique(found, axis=0)) == 400
    assert (trials(y, groups, 400) == found).all() and (trials(y, groups, 400, seed=1) != found).any()
    few = trials(np.array(list("aab")), np.array(list("123")))
    assert sorted(map(tuple, few)) in ([(0, 1), (0, 2)], [(0, 1), (1, 2)])
    with pytest.raises(ValueError, match="one label"):
        trials(np.array(list("abc")), np.array(list("123")))


def test_cosine_of_pairs():
    x = np.random.default_rng(0).standard_normal((9, 4))
    found = cosine(x, np.array([[0, 0], [1, 2]]))
    assert found[0] == pytest.approx(1)
    assert found[1] == pytest.approx(x[1] @ x[2] / np.linalg.norm(x[1]) / np.linalg.norm(x[2]))
