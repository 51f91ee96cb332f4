"""Every evaluator of the package: perfect embeddings score 1, shuffled labels chance."""

import importlib
import pkgutil

import numpy as np
import pytest

import ssl_audio.evaluate

MODULES = [
    importlib.import_module(f"ssl_audio.evaluate.{m.name}")
    for m in pkgutil.iter_modules(ssl_audio.evaluate.__path__)
]
PROBES = {m.__name__.rpartition(".")[2]: m.probe for m in MODULES if hasattr(m, "probe")}
CLASSES, CLIPS = 4, 600


def toy(seed=0):
    rng = np.random.default_rng(seed)
    groups = rng.integers(120, size=CLIPS)
    labels = rng.integers(CLASSES, size=CLIPS)
    return rng, np.array(list("abcd"))[labels], (groups % 5).astype(str), groups.astype(str)


def test_the_walk_finds_the_evaluators():
    assert {"linear", "knn", "cluster"} <= set(PROBES)


@pytest.mark.parametrize("test", [None, ("3", "4")])
@pytest.mark.parametrize("name", PROBES)
def test_perfect_embeddings_score_one(name, test):
    _, y, folds, groups = toy()
    x = (y[:, None] == np.unique(y)).astype(np.float32)
    out = PROBES[name](x, y, folds, groups, test=test)
    assert all(value == pytest.approx(1, abs=1e-12) for value in out.metrics.values()), out.metrics
    assert out.tested.tolist() == np.flatnonzero(np.isin(folds, test or np.unique(folds))).tolist()


@pytest.mark.parametrize("name", PROBES)
def test_shuffled_labels_score_chance(name):
    rng, y, folds, groups = toy()
    x = (y[:, None] == np.unique(y)) + 0.1 * rng.standard_normal((CLIPS, CLASSES))
    shuffled = rng.permutation(y)
    out = PROBES[name](x.astype(np.float32), shuffled, folds, groups)
    sigma = np.sqrt(1 / CLASSES * (1 - 1 / CLASSES) / CLIPS)
    if (
        name == "cluster"
    ):  # a matching is the best of 24, and the indices have expectation 0 (nmi a little more)
        assert abs(out.metrics["ari"]) < 0.01 and out.metrics["nmi"] < 0.02
        assert 1 / CLASSES <= out.metrics["accuracy"] < 1 / CLASSES + 4 * sigma
    else:
        assert out.metrics["accuracy"] == pytest.approx(1 / CLASSES, abs=3 * sigma)


@pytest.mark.parametrize("name", PROBES)
def test_refusals(name):
    _, y, folds, groups = toy()
    x = (y[:, None] == np.unique(y)).astype(np.float32)
    cut = groups.copy()
    cut[np.flatnonzero(folds == "0")[0]] = cut[np.flatnonzero(folds == "1")[0]] = "one recording"
    with pytest.raises(ValueError, match="cut the group 'one recording'"):
        PROBES[name](x, y, folds, cut)
    with pytest.raises(ValueError, match="two folds"):
        PROBES[name](x, y, np.full(CLIPS, "1"), groups)
    x[7, 1] = np.nan
    with pytest.raises(ValueError, match="row 7"):
        PROBES[name](x, y, folds, groups)


@pytest.mark.parametrize("name", PROBES)
def test_the_same_again(name):
    rng, y, folds, groups = toy()
    x = rng.standard_normal((CLIPS, 6)).astype(np.float32)
    a, b = (PROBES[name](x, y, folds, groups, seed=3) for _ in range(2))
    assert (a.correct == b.correct).all()
