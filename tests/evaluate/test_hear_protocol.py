"""HEAR's probe against PyTorch, step for step, and what it chooses."""

import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_audio.evaluate import multilabel, protocols
from ssl_audio.evaluate.protocols import hear, marble
from ssl_audio.evaluate.protocols.parts import parts


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(hear, "HIDDEN", 24)
    monkeypatch.setattr(hear, "BATCH", 64)
    monkeypatch.setattr(hear, "EPOCHS", 60)
    hear.fit.clear_cache()
    yield
    hear.fit.clear_cache()


def toy(n=300, classes=3, dims=10, noise=1.0):
    rng = np.random.default_rng(0)
    code = rng.integers(classes, size=n)
    x = 3 + np.eye(classes, dims)[code] * 3 + noise * rng.standard_normal((n, dims))
    groups = np.arange(n).astype(str)
    return x.astype(np.float32), np.array(list("abc"))[code], (np.arange(n) % 5).astype(str), groups


def test_the_points_are_those_of_the_kits_seed():
    random.seed(42)
    points = list(hear.GRID)
    random.shuffle(points)
    assert hear.drawn() == points[:8] and len(set(hear.GRID)) == 16


@pytest.mark.parametrize("several", [False, True])
def test_training_is_pytorchs(monkeypatch, several):
    """Two hidden layers, three epochs of two batches, the second smaller: the same numbers."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(hear, "DROPOUT", 0.0)
    monkeypatch.setattr(hear, "EPOCHS", 3)
    rng = np.random.default_rng(0)
    x, valid = rng.standard_normal((100, 10)).astype(np.float32), rng.standard_normal((40, 10))
    truth = (rng.random((140, 4)) < 0.4) if several else np.eye(4, dtype=bool)[rng.integers(4, size=140)]
    y, valid_y = truth[:100].astype(np.float32), truth[100:].astype(np.float32)
    key = jax.random.key(1)
    ours = hear.fit(
        jnp.asarray(x), jnp.asarray(y), jnp.asarray(valid, jnp.float32), jnp.asarray(valid_y), key,
        jnp.float32(3.2e-3), jnp.bool_(True), layers=2, several=several, form="compat",
    )  # fmt: skip

    start = hear.init(key, (10, 24, 24, 4), jnp.bool_(True))
    modules = []
    for i, layer in enumerate(start.layers):
        linear = torch.nn.Linear(*layer.w.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(np.asarray(layer.w).T))
            linear.bias.copy_(torch.tensor(np.asarray(layer.b)))
        modules += [linear] + [torch.nn.BatchNorm1d(24), torch.nn.ReLU()] * (i < 2)
    net = torch.nn.Sequential(*modules)
    loss = torch.nn.BCEWithLogitsLoss() if several else torch.nn.CrossEntropyLoss()
    adam = torch.optim.Adam(net.parameters(), lr=3.2e-3)
    for _ in range(3):
        for rows in (slice(0, 64), slice(64, 100)):
            adam.zero_grad()
            loss(net(torch.tensor(x[rows])), torch.tensor(y[rows])).backward()
            adam.step()
    made = ours.net
    # a bias before batch normalisation has no gradient but rounding, of which Adam makes steps: so all is
    # compared with the statistics of the batch, which take such a bias out
    theirs = net(torch.tensor(valid, dtype=torch.float32)).detach().numpy()
    key = jax.random.key(0)
    np.testing.assert_allclose(
        hear.forward(made, jnp.asarray(valid, jnp.float32), key)[0], theirs, rtol=1e-4, atol=2e-4
    )
    for (_, var), norm in zip(made.stats, (net[1], net[4]), strict=True):
        # as they were before that last look
        before = (norm.running_var - 0.1 * norm_of(net, norm, valid).var(0)) / 0.9
        np.testing.assert_allclose(var, before.detach().numpy(), rtol=1e-3)
    assert int(ours.epochs) == 3
    scores = np.asarray(hear.forward(made, jnp.asarray(valid, jnp.float32))[0])
    right = (scores.argmax(1) == valid_y.argmax(1)).mean()
    score = multilabel.average_precision(scores, truth[100:]).mean() if several else right
    assert float(ours.score) == pytest.approx(score, abs=1e-5)


def norm_of(net, norm, valid):
    """What comes into a batch normalisation of a PyTorch net in training."""
    import torch

    x = torch.tensor(valid, dtype=torch.float32)
    for module in net:
        if module is norm:
            return x
        x = module(x)
    raise AssertionError


def test_initial_weights_have_glorots_spread():
    for uniform in (True, False):
        net = hear.init(jax.random.key(0), (400, 300, 200), jnp.bool_(uniform))
        first, last = net.layers[0].w, net.layers[1].w
        assert float(first.std()) == pytest.approx((2 / 700) ** 0.5, rel=0.01)
        assert float(last.std()) == pytest.approx((2 * 2 / 500) ** 0.5, rel=0.01)
        bound = (6 / 700) ** 0.5
        assert (float(abs(first).max()) <= bound * 1.0001) == uniform


def test_training_ends_after_so_many_scores_that_are_not_better(monkeypatch):
    monkeypatch.setattr(hear, "PATIENCE", 2)
    x, y, *_ = toy()
    right = np.eye(3, dtype=np.float32)[np.searchsorted(["a", "b", "c"], y)]
    wrong = np.roll(right, 1, axis=1)  # ever worse, the more is learnt
    data = [jnp.asarray(a) for a in (x[:200], right[:200], x[200:], wrong[200:])]
    made = hear.fit(
        *data, jax.random.key(0), jnp.float32(3.2e-3), jnp.bool_(True), layers=1, several=False, form="compat"
    )
    assert 9 <= int(made.epochs) < 60 and int(made.epochs) % 3 == 0


def test_folds_validate_in_turn():
    _, _, folds, groups = toy()
    for part, same in zip(parts(folds, groups, None), parts(folds.astype(int), groups, None), strict=True):
        assert all(
            (a == b) if isinstance(a, str) else (a == b).all() for a, b in zip(part, same, strict=True)
        )
        assert set(folds[part.valid]) == {str((int(part.name) + 1) % 5)}
        order = hear.kept_order(folds, part.train)  # as the program's joined folds
        assert (folds[order] == np.sort(folds[part.train])).all() and set(order) == set(part.train)
        assert (order != np.sort(order)).any()
        assert sorted([*part.train, *part.valid, *part.test]) == list(range(300))
    named = np.array(["train", "train", "valid", "test", "train"])[np.arange(300) % 5]
    (part,) = parts(named, groups, ("test",))
    assert set(named[part.valid]) == {"valid"} and set(named[part.test]) == {"test"}
    (part,) = parts(np.where(named == "test", "test", "train"), groups, ("test",))
    assert 0.15 < len(part.valid) / (len(part.train) + len(part.valid)) < 0.25


@pytest.mark.parametrize("form", ["compat", "strict"])
def test_it_learns_and_chance_is_chance(form, monkeypatch):
    one = hear.drawn()[0].layers  # points of one depth: half to compile
    some = [point for point in hear.drawn() if point.layers == one]
    monkeypatch.setattr(hear, "drawn", lambda: some)
    x, y, folds, groups = toy()
    kind = {"compat": "hear", "strict": "hear-strict"}[form]
    good = protocols.classed(kind, x, y, folds, groups)
    chosen = {name.split(", ")[-1]: value for name, value in good.chosen.items()}  # of strict the last fold's
    assert good.metrics["accuracy"] > 0.9 and hear.Point(**chosen) in hear.drawn()
    assert len(good.tested) == len(x)
    again = protocols.classed(kind, x, y, folds, groups)
    assert (good.predictions == again.predictions).all()
    bad = protocols.classed(kind, x, np.random.default_rng(1).permutation(y), folds, groups)
    assert abs(bad.metrics["accuracy"] - 1 / 3) < 0.1


def test_several_labels_a_clip():
    x, y, folds, groups = toy()
    truth = np.stack([y == "a", y != "b", np.arange(300) % 2 == 0], 1).astype(np.float32)
    scores, _ = hear.predict(x, truth, folds, groups, several=True)
    precision = multilabel.average_precision(scores, truth.astype(bool))
    assert precision[0] > 0.95 and precision[1] > 0.95 and precision[2] < 0.7


def test_strict_chooses_in_each_fold_and_compat_once(monkeypatch):
    x, y, folds, groups = toy(noise=3.0)
    some = hear.drawn()[:2]
    monkeypatch.setattr(hear, "drawn", lambda: some)
    counted, fit = [], hear.fit
    with monkeypatch.context() as patch:
        patch.setattr(hear, "fit", lambda *a, **k: counted.append(1) or fit(*a, **k))
        once = protocols.classed("hear", x, y, folds, groups)
        assert len(counted) == 2 + 4 and set(once.chosen) == {"layers", "rate", "uniform"}
        each = protocols.classed("hear-strict", x, y, folds, groups)
    assert len(counted) == 6 + 10 and {name.split(", ")[0] for name in each.chosen} == set(folds)


def test_a_probe_that_diverges_is_told(monkeypatch):
    x, y, folds, groups = toy()
    monkeypatch.setattr(marble, "scores", lambda net, x: np.full((len(x), 3), np.nan, np.float32))
    with pytest.raises(ValueError, match="MARBLE's probe diverged in fold 0"):
        protocols.classed("marble", x, y, folds, groups)
