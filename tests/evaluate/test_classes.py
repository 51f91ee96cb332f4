import numpy as np
import pytest
from sklearn import metrics

from ssl_audio.evaluate import classes
from ssl_audio.evaluate.folds import Outcome
from ssl_audio.evaluate.stats import bootstrap


def guesses(seed=0, n=500, names=("a", "b", "c", "d"), weights=(0.5, 0.25, 0.15, 0.1)):
    rng = np.random.default_rng(seed)
    code = rng.choice(len(names), n, p=weights)
    predicted = np.where(rng.random(n) < 0.6, code, rng.integers(len(names), size=n))
    groups = rng.integers(n // 4, size=n).astype(str)
    return np.array(names)[code], np.array(names)[predicted], groups, code, predicted


def test_scores_are_sklearns():
    y, p, groups, code, predicted = guesses()
    out = Outcome.of(np.unique(y), code, predicted, {})
    each = classes.ByClass.of(out, y, groups)
    np.testing.assert_allclose(each.precision, metrics.precision_score(y, p, average=None))
    np.testing.assert_allclose(each.recall, metrics.recall_score(y, p, average=None))
    np.testing.assert_allclose(each.f1, metrics.f1_score(y, p, average=None))
    assert each.averages == pytest.approx(
        {
            "balanced accuracy": metrics.balanced_accuracy_score(y, p),
            "macro precision": metrics.precision_score(y, p, average="macro"),
            "macro F1": metrics.f1_score(y, p, average="macro"),
        }
    )
    assert (classes.confusion(out, y) == metrics.confusion_matrix(y, p)).all()


def test_a_class_never_found_and_one_never_tested():
    y, code = np.array(list("aabbc")), np.array([0, 0, 1, 1, 2])
    out = Outcome.of(np.array(list("abc")), code, np.array([0, 0, 0, 1, -1]), {})  # c isn't tested
    each = classes.ByClass.of(out, y, np.arange(5).astype(str))
    assert each.averages["balanced accuracy"] == pytest.approx(0.75)
    assert each.averages["macro F1"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert np.isnan(each.recall[2]) and np.isnan(each.precision[2])
    none = classes.ByClass.of(Outcome.of(np.array(list("ab")), code[:4], np.zeros(4, int), {}), y[:4], y[:4])
    assert none.averages["macro precision"] == pytest.approx(0.25) and np.isnan(none.precision[1])


def test_labels_that_are_numbers_keep_their_places():
    names = tuple(range(12))  # as strings 10 comes before 2
    y, p, _, code, predicted = guesses(names=names, weights=np.ones(12) / 12)
    out = Outcome.of(np.array(names), code, predicted, {})
    assert (classes.confusion(out, y) == metrics.confusion_matrix(y, p)).all()


def test_with_even_classes_the_interval_is_the_accuracys():
    rng = np.random.default_rng(0)
    code = np.arange(900) % 3
    predicted = np.where(rng.random(900) < 0.8, code, (code + 1) % 3)
    out, groups = Outcome.of(np.array(list("abc")), code, predicted, {}), (np.arange(900) // 3).astype(str)
    found = classes.ByClass.of(out, np.array(list("abc"))[code], groups).ci95()["balanced accuracy"]
    assert found == pytest.approx(bootstrap(out.correct, groups), abs=0.003)


def test_the_interval_of_macro_f1_holds_the_truth():
    truth = classes.ByClass.of(*whole(guesses(1, 200_000))).averages["macro F1"]
    inside = 0
    for seed in range(300):
        low, high = classes.ByClass.of(*whole(guesses(seed + 2, 300))).ci95(400)["macro F1"]
        inside += low <= truth <= high
    assert 0.92 <= inside / 300 <= 0.98


def whole(drawn):
    y, _, groups, code, predicted = drawn
    return Outcome.of(np.unique(y), code, predicted, {}), y, groups


def test_uneven():
    assert classes.uneven(np.array(list("aaaabb"))) and not classes.uneven(np.array(list("aaabb")))


def test_a_draw_without_the_rare_class_is_none():
    """A guess that is always the same of four classes is right in a quarter of them, in every draw."""
    code = np.array([0] * 40 + [1] * 20 + [2] * 20 + [3])
    out = Outcome.of(np.array(list("abcd")), code, np.zeros(81, int), {})
    found = classes.ByClass.of(out, np.array(list("abcd"))[code], np.arange(81).astype(str)).ci95()
    assert found["balanced accuracy"] == (0.25, 0.25)
