"""Verification: error rates as scikit-learn's curve has them, intervals over speakers, the judge."""

import json
import types

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn.metrics import roc_curve

from ssl_audio.evaluate import Task, judge
from ssl_audio.evaluate.tasks import pairs_of
from ssl_audio.evaluate.verification import cosine, crossing, errors, resampled, trials


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


TASK = Task("toy", "none", "speaker", kind="pairs", note="of toys")


def voices(speakers=12, each=10, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(speakers), each)
    x = 2 * rng.standard_normal((speakers, 8))[who] + noise * rng.standard_normal((len(who), 8))
    return x.astype(np.float32), who.astype(str), np.arange(len(who)).astype(str)


def test_the_judge():
    x, who, groups = voices()
    noise = np.random.default_rng(1).standard_normal(x.shape).astype(np.float32)
    systems = {"ours": x, "noise": noise}
    records, scores = judge(TASK, who, who, groups, systems, "ours", 0, {"data": "a"})
    json.dumps(records, allow_nan=False)
    table = {(r["system"], r["metric"]): r for r in records}
    pairs = trials(who, groups)
    same = who[pairs[:, 0]] == who[pairs[:, 1]]
    z = (x - x.mean(0)) / x.std(0)
    np.testing.assert_allclose(scores["ours"], cosine(z, pairs), atol=1e-5)
    for name in systems:
        found = errors(scores[name], same)
        for metric, value in (("EER", found.equal), ("minDCF", found.cost(0.05))):
            record = table[name, metric]
            assert record["value"] == pytest.approx(value, abs=1e-9)
            assert record["ci95"][0] < record["value"] < record["ci95"][1] + 1e-9
            assert (
                record["pairs"] == len(pairs) and record["groups"] == 12 and "of toys" in record["protocol"]
            )
    assert table["ours", "EER"]["value"] < 0.15 and abs(table["noise", "EER"]["value"] - 0.5) < 0.05
    gap = table["ours - noise", "EER difference"]
    assert gap["value"] == pytest.approx(table["ours", "EER"]["value"] - table["noise", "EER"]["value"])
    assert gap["ci95"][1] < 0 and gap["p"] < 0.01 and gap["best_floor"]
    # given pairs are taken as they are
    records, scores = judge(TASK, who, who, groups, {"ours": x}, pairs=pairs[::2])
    assert len(scores["ours"]) == len(pairs[::2]) == records[0]["pairs"]


def test_draws_are_of_whole_speakers():
    """A speaker drawn twice: pairs of that one count twice, those with another drawn thrice six times."""
    x, who, groups = voices(5, 4, noise=3.0)
    pairs = trials(who, groups)
    score, same = cosine(x, pairs), who[pairs[:, 0]] == who[pairs[:, 1]]
    speakers = who.astype(int)[pairs]
    found = resampled(score, same, speakers, seed=3)
    often = np.random.default_rng(3).multinomial(5, np.full(5, 1 / 5), size=1000)
    checked = 0
    for draw in range(20):
        k = often[draw][speakers]
        times = np.where(same, k[:, 0], k[:, 0] * k[:, 1])
        rows = np.repeat(np.arange(len(pairs)), times)
        if same[rows].all():
            assert np.isnan(found["EER"][draw])
            continue
        each, checked = errors(score[rows], same[rows]), checked + 1
        assert found["EER"][draw] == pytest.approx(each.equal, abs=1e-9)
        assert found["minDCF"][draw] == pytest.approx(each.cost(0.05), abs=1e-9)
    assert checked > 10


def test_published_trials_become_rows():
    corpus = types.SimpleNamespace(trials=lambda: [(1, "b", "a"), (0, "c", "b")])
    np.testing.assert_array_equal(pairs_of(TASK, corpus, ["a", "b", "c"]), [[1, 0], [2, 1]])
    assert pairs_of(TASK, types.SimpleNamespace(), ["a"]) is None
    with pytest.raises(ValueError, match="1 clips of the trials aren't here, such as c"):
        pairs_of(TASK, corpus, ["a", "b"])


def test_a_draw_without_different_pairs_has_no_error_rate():
    both = np.array([[1.0, 0.5, 0.0], [1.0, 0.5, 0.0]]), np.array([[0.0, 0.5, 1.0], [0.0, np.nan, np.nan]])
    np.testing.assert_array_equal(crossing(*both), [0.5, np.nan])
