"""Ridge: scikit-learn's optimum at every penalty, wide and tall; alpha by inner folds; nothing leaks."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from ssl_audio.evaluate import ridge


def data(n=60, d=8, k=2, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    t = x @ rng.standard_normal((d, k)) + noise * rng.standard_normal((n, k)) + 5
    return x, t, (np.arange(n) // (n // 5)).astype(str), np.arange(n).astype(str)


@pytest.mark.parametrize("d", [8, 100])
def test_every_penalty_is_scikit_learns_optimum(d):
    x, t, _, _ = data(d=d)
    found = ridge.grid(x[:40], t[:40], x[40:], (100.0, 1.0, 0.01))
    for penalty, one in zip((100.0, 1.0, 0.01), found, strict=True):
        expected = Ridge(alpha=penalty).fit(x[:40], t[:40]).predict(x[40:])
        np.testing.assert_allclose(one, expected, rtol=1e-6, atol=1e-6)


def test_a_linear_target_is_found_and_noise_is_not():
    x, t, folds, groups = data(noise=0.01)
    out = ridge.regress(x, t, folds, groups)
    assert ridge.r2(out.scores, t) > 0.99 and set(out.chosen) == set("01234")
    noise = np.random.default_rng(1).standard_normal(t.shape)
    lost = ridge.regress(x, noise, folds, groups)
    assert ridge.r2(lost.scores, noise) < 0.1
    assert min(lost.chosen.values()) > max(out.chosen.values())


def test_test_rows_never_reach_the_fit():
    x, t, folds, groups = data()
    out = ridge.regress(x, t, folds, groups, test=("4",))
    np.testing.assert_array_equal(out.tested, np.arange(48, 60))
    changed = t.copy()
    changed[48:] = 1e6
    np.testing.assert_array_equal(ridge.regress(x, changed, folds, groups, test=("4",)).scores, out.scores)


def test_r2_is_scikit_learns():
    from sklearn.metrics import r2_score

    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 30, 3))
    assert ridge.r2(a, b) == pytest.approx(r2_score(b, a))


def test_what_is_not_finite_is_refused():
    x, t, folds, groups = data()
    with pytest.raises(ValueError, match="finite"):
        ridge.regress(x, t * np.nan, folds, groups)


def test_classes_are_scikit_learns():
    from sklearn.linear_model import RidgeClassifier

    from ssl_audio.evaluate.folds import standardise

    x, t, folds, groups = data(noise=3.0)
    y = np.digitize(t[:, 0], np.quantile(t[:, 0], [0.3, 0.6])).astype(str)
    out = ridge.probe(x, y, folds, groups, test=("4",), penalties=(10.0,))
    z = standardise(x, np.arange(48))
    expected = RidgeClassifier(alpha=10.0).fit(z[:48], y[:48]).predict(z[48:])
    np.testing.assert_array_equal(out.predictions, expected)
