"""Several labels a clip: measures with intervals, the floor, what is refused."""

import json

import numpy as np
import pytest

from ssl_audio.evaluate import Task, judge, multilabel, tagging

TASK = Task("toy", "none", "labels", kind="classes")


def clips(n=240, seed=0):
    """Labels of five classes, two or so a clip, and the truth as a table."""
    truth = np.random.default_rng(seed).random((n, 5)) < [0.6, 0.5, 0.4, 0.3, 0.2]
    truth[:, 0] |= ~truth.any(1)
    labels = np.array(["|".join(np.array(list("abcde"))[row]) for row in truth])
    return labels, truth, (np.arange(n) // 3).astype(str), (np.arange(n) // 3 % 4).astype(str)


def test_a_table_of_labels():
    classes, truth = tagging.table(np.array(["b|a", "", "c", "a"]))
    assert classes == list("abc")
    np.testing.assert_array_equal(truth, [[1, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]])


@pytest.mark.parametrize("test", [None, ("3",)])
def test_judge(test):
    labels, truth, groups, folds = clips()
    rng = np.random.default_rng(1)
    systems = {
        "ours": (truth + 0.01 * rng.standard_normal(truth.shape)).astype(np.float32),
        "noise": rng.standard_normal((240, 8)).astype(np.float32),
    }
    task = Task("toy", "none", "labels", test=test, kind="classes")
    records, outcomes = judge(task, labels, folds, groups, systems, "ours", 0, {"data": "abc"})
    json.dumps(records, allow_nan=False)
    table = {(r["system"], r["metric"]): r for r in records}
    assert len(table) == len(records) and all(r["data"] == "abc" and r["protocol"] for r in records)
    for metric in ("mAP", "AUC", "lwlrap"):
        assert table["ours", metric]["value"] > 0.97
        bad = table["noise", metric]
        assert bad["ci95"][0] < bad["value"] < bad["ci95"][1]
    assert table["majority", "AUC"]["value"] == pytest.approx(0.5, abs=0.1)
    assert table["noise", "AUC"]["ci95"][0] < 0.5 + 0.05
    for floor in ("noise", "majority"):
        record = table[f"ours - {floor}", "mAP difference"]
        assert record["value"] == pytest.approx(table["ours", "mAP"]["value"] - table[floor, "mAP"]["value"])
        assert record["ci95"][0] > 0 and record["p"] < 0.01
    assert set(outcomes) == {"ours", "noise", "majority"}
    again, _ = judge(task, labels, folds, groups, systems, "ours", 0, {"data": "abc"}, known=outcomes)
    assert again == records


def test_the_draws_are_what_counting_clips_twice_gives():
    """A weight of 2 is a clip that is there twice, of 0 one that isn't; equal scores among them."""
    _, truth, _, _ = clips(60)
    rng = np.random.default_rng(2)
    score = np.round(rng.random(truth.shape) + 0.4 * truth, 1)
    weight = rng.integers(0, 3, (4, 60))
    precision, area = multilabel.drawn(score, truth, weight.astype(np.float64))
    for w, p, a in zip(weight, precision, area, strict=True):
        rows = np.repeat(np.arange(60), w)
        np.testing.assert_allclose(p, multilabel.average_precision(score[rows], truth[rows]), rtol=1e-12)
        np.testing.assert_allclose(a, multilabel.auc(score[rows], truth[rows]), rtol=1e-12)


def test_intervals_are_of_whole_groups():
    """Twins in one group widen nothing: the interval is that of one clip a group."""
    _, truth, _, _ = clips(100)
    score = np.random.default_rng(3).random(truth.shape) + 0.5 * truth
    one = tagging.resampled(score, truth, np.arange(100).astype(str), n=200)
    two = tagging.resampled(
        np.repeat(score, 2, 0), np.repeat(truth, 2, 0), np.repeat(np.arange(100), 2).astype(str), n=200
    )
    for metric in ("mAP", "AUC", "lwlrap"):
        assert np.std(two[metric]) == pytest.approx(np.std(one[metric]), rel=0.25), metric
        assert np.mean(one[metric]) == pytest.approx(tagging.measures(score, truth)[metric], abs=0.02)


def test_what_it_refuses():
    labels, truth, groups, folds = clips()
    x = truth.astype(np.float32)
    with pytest.raises(ValueError, match="ridge can't be measured"):
        judge(TASK, labels, folds, groups, {"ours": x}, more=("ridge",))
    with pytest.raises(ValueError, match="1 class"):
        judge(TASK, np.full(240, "a"), folds, groups, {"ours": x})
    with pytest.raises(ValueError, match="two or more"):
        tagging.resampled(x, truth, np.full(240, "g"))
