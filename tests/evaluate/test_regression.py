"""Numbers to be predicted: R² and error as scikit-learn has them, their intervals, what is refused."""

import json

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score

from ssl_audio.evaluate import Task, judge, regression, ridge

TASK = Task("toy", "none", "height", kind="number")


def clips(n=240, noise=0.5):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 5)).astype(np.float32)
    height = 3 + 2 * x[:, 0] - x[:, 1] + noise * rng.standard_normal(n)
    groups = np.arange(n) // 4
    return x, height.astype(str), (groups % 5).astype(str), groups.astype(str)


@pytest.mark.parametrize("test", [None, ("3",)])
def test_the_judge_against_scikit_learn(test):
    x, height, folds, groups = clips()
    task = Task("toy", "none", "height", kind="number", test=test, note="of trees")
    noise = np.random.default_rng(1).standard_normal(x.shape).astype(np.float32)
    records, outcomes = judge(
        task, height, folds, groups, {"ours": x, "noise": noise}, "ours", 3, {"data": "a"}
    )
    json.dumps(records, allow_nan=False)
    table = {(r["system"], r["metric"]): r for r in records}
    tested = np.isin(folds, test or list("01234"))
    truth = height.astype(float)[tested]
    for name in ("ours", "noise", "mean"):
        guess = outcomes[name].scores[:, 0]
        for metric, of in (("R2", r2_score), ("MAE", mean_absolute_error)):
            record = table[name, metric]
            assert record["value"] == pytest.approx(of(truth, guess), abs=1e-9), (name, metric)
            assert record["ci95"][0] <= record["value"] <= record["ci95"][1]
            assert record["n"] == tested.sum() and record["seed"] == 3 and "of trees" in record["protocol"]
    assert table["ours", "R2"]["value"] > 0.9 > 0.1 > table["noise", "R2"]["value"]
    gap = table["ours - mean", "R2 difference"]
    assert gap["value"] == pytest.approx(table["ours", "R2"]["value"] - table["mean", "R2"]["value"])
    assert gap["ci95"][0] > 0 and gap["p"] < 0.01
    best = [r["system"] for r in records if r.get("best_floor")]
    assert len(best) == 1


def test_draws_are_of_whole_groups():
    """R² of clips that were drawn twice is that of an array that has them twice."""
    _, height, _, groups = clips(60)
    truth = height.astype(float)
    guess = truth + np.random.default_rng(2).standard_normal(60)
    _, draws = regression.resampled(guess, truth, groups, seed=5)
    rng = np.random.default_rng(5)
    names = np.unique(groups)
    often = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=regression.DRAWS)
    for draw in (0, 7, 1999):
        times = zip(names, often[draw], strict=True)
        rows = np.concatenate([np.repeat(np.flatnonzero(groups == name), k) for name, k in times])
        assert draws["R2"][draw] == pytest.approx(r2_score(truth[rows], guess[rows]))
        assert draws["MAE"][draw] == pytest.approx(mean_absolute_error(truth[rows], guess[rows]))


def test_the_penalty_is_chosen_on_training_folds_alone():
    x, height, folds, groups = clips()
    changed = np.where(folds == "2", "77", height)
    a, b = (judge(TASK, h, folds, groups, {"ours": x})[1]["ours"] for h in (height, changed))
    assert a.chosen["2"] == b.chosen["2"] and set(a.chosen.values()) <= set(ridge.PENALTIES)
    rows = folds == "2"
    np.testing.assert_array_equal(a.scores[rows], b.scores[rows])


def test_refusals():
    x, height, folds, groups = clips(40)
    with pytest.raises(ValueError, match="'tall' in the column 'height' isn't a number"):
        judge(TASK, np.where(np.arange(40) == 3, "tall", height), folds, groups, {"ours": x})
    with pytest.raises(ValueError, match="not all the same"):
        judge(TASK, np.full(40, "2.5"), folds, groups, {"ours": x})
    with pytest.raises(ValueError, match="two or more"):
        task = Task("toy", "none", "height", kind="number", test=("0",))
        judge(task, height, folds, np.where(folds == "0", "x", groups), {"ours": x})
    with pytest.raises(ValueError, match="svm can't be measured"):
        judge(TASK, height, folds, groups, {"ours": x}, more=("svm",))
    with pytest.raises(ValueError, match="balanced"):
        judge(TASK, height, folds, groups, {"ours": x}, balance="weights")


def test_draws_of_equal_numbers_have_no_r2_and_a_constant_test_is_told():
    """Three groups, each of one number: a draw of one group three times has nothing to explain."""
    groups = np.repeat(["a", "b", "c"], 10)
    truth = np.repeat([0.1, 0.7, 1.3], 10)
    predicted = truth + 0.01 * np.random.default_rng(0).standard_normal(30)
    _, draws = regression.resampled(predicted, truth, groups)
    assert 0.05 < np.isnan(draws["R2"]).mean() < 0.2 and np.nanmin(draws["R2"]) > 0.9
    x, height, folds, groups = clips()
    height[folds == "3"] = "4.0"
    with pytest.raises(ValueError, match="the tested clips all have height 4"):
        regression.judge(
            Task("t", "d", "height", kind="number", test=("3",)), height, folds, groups, {"x": x}
        )
