import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ssl_audio.evaluate import linear
from ssl_audio.evaluate.folds import Split, inner


def mixture(n, d, classes=5, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=n)
    x = (
        rng.standard_normal((classes, d))[y]
        + 2 * rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) / d**0.5
    )
    return (x * rng.uniform(0.01, 30, d) + 5).astype(np.float32), y


@pytest.mark.parametrize("strength", linear.STRENGTHS)
@pytest.mark.parametrize("d", [12, 150])  # fewer and more dimensions than the 90 training rows
def test_the_optimum_is_sklearns(d, strength):
    x, y = mixture(120, d)
    rows = np.arange(90)
    scaler = StandardScaler().fit(x[rows].astype(np.float64))
    outside = LogisticRegression(C=strength, tol=1e-10, max_iter=20_000).fit(
        scaler.transform(x[rows]), y[rows]
    )
    z = linear.rotate(linear.standardise(x, rows), rows)
    assert z.shape[1] == min(d, 89) + 1
    w = linear.solve(z[rows], y[rows], 5, strength, tolerance=1e-9)
    expected = outside.predict_proba(scaler.transform(x[90:]))
    np.testing.assert_allclose(softmax(z[90:] @ w, axis=1), expected, atol=2e-3)
    # at the tolerance in use the predictions are the same
    w = linear.solve(z[rows], y[rows], 5, strength)
    assert ((z[90:] @ w).argmax(1) == outside.predict(scaler.transform(x[90:]))).mean() >= 29 / 30


def test_a_warm_start_ends_where_a_cold_one_does():
    x, y = mixture(200, 20)
    rows = np.arange(200)
    z = linear.rotate(linear.standardise(x, rows), rows)
    first = linear.solve(z, y, 5, 0.01, tolerance=1e-9)
    cold, warm = linear.solve(z, y, 5, 1.0, tolerance=1e-9), linear.solve(z, y, 5, 1.0, first, tolerance=1e-9)
    np.testing.assert_allclose(softmax(z @ cold, axis=1), softmax(z @ warm, axis=1), atol=1e-3)


def test_an_orthogonal_map_of_the_data_changes_nothing():
    x, y = mixture(200, 16)
    rows, q = np.arange(150), np.linalg.qr(np.random.default_rng(1).standard_normal((16, 16)))[0]
    z = linear.standardise(x, rows)
    a, b = linear.rotate(z, rows), linear.rotate((z @ q).astype(np.float32), rows)
    p, r = (softmax(v[150:] @ linear.solve(v[:150], y[:150], 5, 0.1, tolerance=1e-9), axis=1) for v in (a, b))
    np.testing.assert_allclose(p, r, atol=1e-3)


def test_the_test_fold_is_never_looked_at():
    """Other labels or values in the test fold change neither C nor the other test rows' predictions."""
    x, y = mixture(300, 8)
    folds, groups = (np.arange(300) % 5).astype(str), np.arange(300).astype(str)
    test = ("2",)
    before = linear.probe(x, y, folds, groups, test=test)
    rng = np.random.default_rng(2)
    x2, y2 = x.copy(), y.copy()
    x2[before.tested[30:]] = 100 * rng.standard_normal((30, 8))
    y2[before.tested] = rng.integers(5, size=60)
    after = linear.probe(x2, y2, folds, groups, test=test)
    assert before.chosen == after.chosen
    assert (before.predictions[:30] == after.predictions[:30]).all()


def test_each_training_fold_is_held_out_once_and_groups_stay_whole():
    folds = np.repeat(["1", "2", "3"], 4)
    groups = np.repeat(np.arange(6), 2).astype(str)
    for name in "123":
        split = Split(name, np.flatnonzero(folds != name), np.flatnonzero(folds == name))
        parts = inner(folds, groups, split)
        assert [set(folds[split.train][held]) for held in parts] == [{f} for f in "123" if f != name]
    folds = np.repeat(["test", "train"], [2, 14])
    groups = np.repeat(np.arange(8), 2).astype(str)
    split = Split("test", np.arange(2, 16), np.arange(2))
    parts = inner(folds, groups, split)
    assert len(parts) == 5 and (np.sum(parts, 0) == 1).all()
    for held in parts:
        assert not set(groups[2:][held]) & set(groups[2:][~held])
    folds[2:4] = "valid"  # held out alone, the rest would be predicted by what two clips taught
    parts = inner(folds, groups, split)
    assert len(parts) == 5 and (np.sum(parts, 0) == 1).all()
    assert max(held.sum() for held in parts) <= 4
    with pytest.raises(ValueError, match="one group"):
        inner(folds, np.full(16, "a"), split)


def test_c_follows_the_noise():
    """Many dimensions of noise call for a strong penalty, small differences for a weak one."""
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    folds, groups = (np.arange(200) // 40).astype(str), np.arange(200).astype(str)
    noisy = np.column_stack([y + 0.45 * rng.standard_normal(200), rng.standard_normal((200, 300))])
    strong = linear.probe(noisy.astype(np.float32), y, folds, groups).chosen
    same, small = rng.standard_normal(200), 0.2 * (y - 0.5) + 0.05 * rng.standard_normal(200)
    fine = np.stack([same + small, same - small], 1).astype(np.float32)
    weak = linear.probe(fine, y, folds, groups).chosen
    assert set(strong) == set(weak) == set("01234") and {*strong.values(), *weak.values()} <= set(
        linear.STRENGTHS
    )
    assert max(strong.values()) < 0.1 < min(weak.values())


def test_c_rises_until_two_in_a_row_are_worse(monkeypatch):
    """Good at 0.001 and 0.01, bad elsewhere: 0.03 and 0.1 end it, and the first of equals is taken."""
    x, y = mixture(200, 8)
    folds, groups, tried, solve = (
        (np.arange(200) // 40).astype(str),
        np.arange(200).astype(str),
        [],
        linear.solve,
    )

    def patched(z, y, classes, strength, *rest, **more):
        tried.append(strength)
        w = solve(z, y, classes, 0.01)
        return w if strength in (0.001, 0.01) else 0 * w

    monkeypatch.setattr(linear, "solve", patched)
    chosen = linear.probe(x, y, folds, groups, test=("0",)).chosen
    assert [*dict.fromkeys(tried)] == [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1]
    assert len(tried) == 4 * 6 + 1 and tried[-1] == 0.001 and [*chosen.values()] == [0.001]


def test_a_class_absent_from_training_is_wrong_not_fatal():
    x, y = mixture(200, 8)
    folds, groups = (np.arange(200) // 50).astype(str), np.arange(200).astype(str)
    y[y == 4] = 0
    y[:20] = 4  # only in fold 0
    out = linear.probe(x, y, folds, groups)
    assert not out.correct[:20].any() and np.isfinite(out.metrics["accuracy"])


@pytest.mark.parametrize("d", [12, 150])
def test_several_labels_are_as_many_of_sklearns_regressions(d):
    x, y = mixture(120, d)
    rows, rng = np.arange(90), np.random.default_rng(3)
    truth = (np.arange(5) == y[:, None]) | (rng.random((120, 5)) < 0.2)
    z = linear.rotate(linear.standardise(x, rows), rows)
    w = linear.solve(z[rows], truth[rows], 5, 0.1, tolerance=1e-9)
    scaler = StandardScaler().fit(x[rows].astype(np.float64))
    for c in range(5):
        outside = LogisticRegression(C=0.1, tol=1e-10, max_iter=20_000)
        outside.fit(scaler.transform(x[rows]), truth[rows, c])
        expected = outside.decision_function(scaler.transform(x[90:]))
        np.testing.assert_allclose(z[90:] @ w[:, c], expected, atol=1e-2)


def test_several_labels_are_told_out_of_fold():
    x, y = mixture(300, 8)
    truth, groups = (np.arange(5) == y[:, None]) | (np.arange(5) == 0), np.arange(300).astype(str)
    folds = (np.arange(300) % 5).astype(str)
    out = linear.several(x, truth, folds, groups, test=("2",))
    assert set(folds[out.tested]) == {"2"} and out.scores.shape == (60, 5)
    assert linear.precise(out.scores, truth[out.tested]) > 0.5
    changed = truth.copy()
    changed[out.tested] = ~truth[out.tested]
    np.testing.assert_array_equal(linear.several(x, changed, folds, groups, test=("2",)).scores, out.scores)


def uneven(n=300, seed=0):
    x, y = mixture(n, 6, seed=seed)
    kept = np.random.default_rng(seed + 1).random(n) < np.array([1, 0.6, 0.4, 0.3, 0.15])[y]
    return x[kept], y[kept]


def test_weighted_classes_are_sklearns():
    x, y = uneven()
    z = linear.standardise(x, np.arange(len(x)))
    rotated = linear.rotate(z, np.arange(len(x)))
    w = linear.solve(rotated, y, 5, 0.3, tolerance=1e-9, weight=linear.weights(y, "weights"))
    outside = LogisticRegression(C=0.3, class_weight="balanced", tol=1e-10, max_iter=20_000).fit(
        z.astype(np.float64), y
    )
    np.testing.assert_allclose(softmax(rotated @ w, axis=1), outside.predict_proba(z), atol=2e-3)


def test_rows_left_out_are_as_if_they_never_were():
    x, y = uneven()
    z = np.concatenate([linear.standardise(x, np.arange(len(x))), np.ones((len(x), 1), np.float32)], 1)
    for how in ("under", "over"):
        often = linear.weights(y, how).astype(int)
        rows = np.repeat(np.arange(len(y)), often)
        whole = linear.solve(z, y, 5, 0.01, tolerance=1e-9, weight=linear.weights(y, how))
        np.testing.assert_allclose(whole, linear.solve(z[rows], y[rows], 5, 0.01, tolerance=1e-9), atol=2e-3)


def test_classes_count_alike_whatever_the_way():
    _, y = uneven()
    count = np.bincount(y)
    assert linear.weights(y, "none") is None
    for how, each in (("weights", len(y) / 5), ("over", count.max()), ("under", count.min())):
        np.testing.assert_allclose(np.bincount(y, weights=linear.weights(y, how)), each, rtol=1e-12)
    copies = linear.weights(y, "over")
    np.testing.assert_array_equal(copies, np.round(copies))  # whole rows, once at least
    assert copies.min() == 1
    under = linear.weights(y, "under")
    assert (under > 0).sum() == 5 * count.min() and len(set(under)) == 2
    assert (linear.weights(y, "under", seed=1) != under).any()


def test_balance_helps_the_rare_class():
    rng = np.random.default_rng(0)
    y = (np.arange(1000) % 10 == 0).astype(int)
    x = (y[:, None] + rng.standard_normal((1000, 3))).astype(np.float32)
    folds, groups = (np.arange(1000) // 200).astype(str), np.arange(1000).astype(str)
    recall = {}
    for how in ("none", "weights", "over", "under"):
        out = linear.probe(x, y, folds, groups, balance=how)
        recall[how] = np.mean([out.correct[y == c].mean() for c in range(2)])
    assert min(recall[how] for how in ("weights", "over", "under")) > 0.75 > 0.65 > recall["none"], recall


def test_clips_without_any_label_are_of_no_precision():
    assert linear.precise(np.zeros((3, 2)), np.zeros((3, 2), bool)) == 0


def test_of_one_class_nothing_is_learnt():
    x = np.random.default_rng(0).standard_normal((51, 4)).astype(np.float32)
    y, folds = np.array(["a"] * 50 + ["b"]), np.array(["0", "1"])[(np.arange(51) > 24).astype(int)]
    out = linear.probe(x, y, folds, np.arange(51).astype(str))
    assert (out.predictions[:25] != "").all() and out.correct[25:50].all()
