"""SVM: what lies within a ring is told from the ring by the Gaussian only; rare classes weigh as much."""

import numpy as np
import pytest

from ssl_audio.evaluate import svm


def ring(n=200):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    x = rng.standard_normal((n, 2))
    x = x / np.linalg.norm(x, axis=1, keepdims=True) * (1 + 2 * y[:, None]) + 0.2 * rng.standard_normal(
        (n, 2)
    )
    return x, y.astype(str), (np.arange(n) // 2 % 5).astype(str), np.arange(n).astype(str)


def test_a_ring_needs_the_gaussian():
    x, y, folds, groups = ring()
    assert svm.probe(x, y, folds, groups).metrics["accuracy"] > 0.97
    assert svm.probe(x, y, folds, groups, kernel="linear").metrics["accuracy"] < 0.7


def test_it_is_scikit_learns_with_c_of_the_inner_folds():
    from sklearn.svm import SVC

    from ssl_audio.evaluate.folds import standardise

    x, y, folds, groups = ring()
    x = x + np.random.default_rng(1).standard_normal(x.shape)
    out = svm.probe(x, y, folds, groups, test=("4",))
    z, train = standardise(x, np.flatnonzero(folds != "4")), folds != "4"
    (strength,) = out.chosen.values()
    np.testing.assert_array_equal(out.predictions, SVC(C=strength).fit(z[train], y[train]).predict(z[~train]))
    right = [
        np.mean(
            [
                (SVC(C=c).fit(z[train & (folds != f)], y[train & (folds != f)]).predict(z[folds == f])
                 == y[folds == f]).mean()
                for f in "0123"
            ]
        )
        for c in svm.STRENGTHS
    ]  # fmt: skip
    assert strength == svm.STRENGTHS[int(np.argmax(right))]


@pytest.mark.parametrize("balanced", [False, True])
def test_a_rare_class_is_heard_when_balanced(balanced):
    rng = np.random.default_rng(0)
    y = np.where(np.arange(400) % 20 == 0, "rare", "often")
    x = rng.standard_normal((400, 2)) + 1.2 * (y == "rare")[:, None]
    folds = (np.arange(400) // 20 % 5).astype(str)
    out = svm.probe(x, y, folds, np.arange(400).astype(str), balanced=balanced, strengths=(0.1,))
    recall = out.correct[y == "rare"].mean()
    assert recall > 0.5 if balanced else recall < 0.2
