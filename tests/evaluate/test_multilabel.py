import numpy as np
import pytest
from sklearn.metrics import average_precision_score, label_ranking_average_precision_score, roc_auc_score

from ssl_audio.evaluate import multilabel


def clips(n=200, c=6, decimals=6):
    rng = np.random.default_rng(0)
    truth = rng.random((n, c)) < 0.3
    return np.round(rng.random((n, c)) + 0.3 * truth, decimals), truth


@pytest.mark.parametrize("decimals", [6, 1])  # 1: many equal scores
def test_measures_are_sklearns(decimals):
    score, truth = clips(decimals=decimals)
    np.testing.assert_allclose(
        multilabel.average_precision(score, truth), average_precision_score(truth, score, average=None)
    )
    np.testing.assert_allclose(multilabel.auc(score, truth), roc_auc_score(truth, score, average=None))
    weight, some = truth.sum(1), truth.any(1)  # weighing each clip by its labels, every label counts alike
    expected = label_ranking_average_precision_score(truth[some], score[some], sample_weight=weight[some])
    assert multilabel.lwlrap(score, truth) == pytest.approx(expected)


def test_d_prime_of_chance_and_of_two_normal_curves():
    assert multilabel.d_prime(0.5) == 0
    rng = np.random.default_rng(0)
    truth = np.arange(100_000)[:, None] % 2 == 0
    score = rng.standard_normal((100_000, 1)) + 1.7 * truth
    assert multilabel.d_prime(multilabel.auc(score, truth).mean()) == pytest.approx(1.7, abs=0.02)


def test_a_class_without_clips_has_no_value():
    score, truth = clips()
    truth[:, 2], truth[:, 3] = False, True
    for measure in (multilabel.average_precision, multilabel.auc):
        assert np.isnan(measure(score, truth)[2]) and np.isfinite(measure(score, truth)[[0, 1, 4, 5]]).all()
    assert np.isnan(multilabel.auc(score, truth)[3])
    score[4, 1] = np.nan
    with pytest.raises(ValueError, match="row 4"):
        multilabel.lwlrap(score, truth)
    with pytest.raises(ValueError, match="no clip has any"):
        multilabel.auc(score[:4], np.zeros((4, 6), bool))
