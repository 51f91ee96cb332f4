"""Few-shot tasks: right where classes lie apart, chance where they don't, recordings never known again."""

import numpy as np
import pytest

from ssl_audio.evaluate import Task, fewshot, judge


def clips(classes=8, groups=12, of_each=5, spread=0.01, by_group=0.0, seed=0):
    """Embeddings around a centre for each class, moved by each group."""
    rng = np.random.default_rng(seed)
    n = classes * groups * of_each
    y, g = np.arange(n) % classes, np.arange(n) // classes % groups
    x = rng.standard_normal((classes, 32))[y] + by_group * rng.standard_normal((groups, 32))[g]
    return (x + spread * rng.standard_normal((n, 32))).astype(np.float32), y.astype(str), g.astype(str)


def test_separate_classes_are_told_and_noise_is_chance():
    x, y, g = clips()
    assert fewshot.episodes(x, y, g, count=20).metrics == {"accuracy": 1.0}
    noise = np.random.default_rng(1).standard_normal(x.shape).astype(np.float32)
    found = fewshot.episodes(noise, y, g, shots=1, count=300)
    low, high = found.ci95
    assert abs(found.accuracy.mean() - 0.2) < 0.02 and high - low < 0.03


def test_it_is_the_nearest_class_mean():
    """One task by hand: scikit-learn's NearestCentroid on the rows that were dealt."""
    from sklearn.neighbors import NearestCentroid

    from ssl_audio.evaluate.folds import standardise, unit

    x, y, g = clips(spread=3.0)
    code, group = (np.unique(a, return_inverse=True)[1] for a in (y, g))
    support, asked = fewshot.deal(np.random.default_rng(5), code, group, 4, 3, 10)
    z = unit(standardise(x, np.arange(len(x))))
    theirs = NearestCentroid().fit(z[support.ravel()], np.repeat(np.arange(4), 3)).predict(z[asked.ravel()])
    expected = (theirs == np.repeat(np.arange(4), 10)).mean()
    found = fewshot.episodes(x, y, g, ways=4, shots=3, queries=10, count=2, seed=5).accuracy[0]
    assert found == pytest.approx(expected) and 0.2 < expected < 1


def test_no_group_is_on_both_sides():
    code, group = clips()[1].astype(int), clips()[2].astype(int)
    for seed in range(20):
        support, asked = fewshot.deal(np.random.default_rng(seed), code, group, 5, 5, 15)
        assert support.shape == (5, 5) and asked.shape == (5, 15)
        assert not set(group[support.ravel()]) & set(group[asked.ravel()])
        assert (code[support] == code[support][:, :1]).all() and (code[asked] == code[support][:, :1]).all()
        assert len(set(support.ravel())) == 25 and len(set(asked.ravel())) == 75


def test_one_seed_one_result():
    x, y, g = clips(spread=2.0)
    a, b, c = (fewshot.episodes(x, y, g, count=10, seed=s).accuracy for s in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_refusals():
    x, y, g = clips()
    with pytest.raises(ValueError, match="fewer than 5 classes"):
        fewshot.episodes(x, y, g, shots=40)
    with pytest.raises(ValueError, match="2 or more"):
        fewshot.episodes(x, y, g, ways=1)
    with pytest.raises(ValueError, match="finite"):
        fewshot.episodes(x * np.nan, y, g)


def test_of_few_recordings_the_halves_that_fit_are_found():
    """5 classes of two recordings, 20 and 20 or 20 and 10 clips: 8 of 252 halves fit."""
    sizes = [(20, 20)] * 3 + [(20, 10)] * 2
    y = np.concatenate([np.full(sum(s), str(c)) for c, s in enumerate(sizes)])
    g = np.concatenate([np.full(n, f"{c} {i}") for c, s in enumerate(sizes) for i, n in enumerate(s)])
    x = np.random.default_rng(0).standard_normal((len(y), 4))
    assert len(fewshot.episodes(x, y, g, count=50).accuracy) == 50


def test_what_cannot_be_drawn_is_told_before_anything_is_fitted():
    x, y, g = clips(classes=3, groups=2, of_each=3)
    with pytest.raises(ValueError, match="take fewer ways, shots or queries"):
        fewshot.check(y, g, ways=3)
    fewshot.check(y, g, ways=3, shots=2, queries=3)
    folds = (g.astype(int) % 2).astype(str)
    with pytest.raises(ValueError, match="few-shot"):
        judge(Task("t", "d", "y"), y, folds, g, {"x": x * np.nan}, more=("few-shot",))  # NaN isn't reached
