"""X-ARES's probe against PyTorch, step for step; which epoch it keeps; in the judge."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_audio.evaluate import Task, judge, multilabel, protocols
from ssl_audio.evaluate.protocols import hear, xares


def toy(n=150, classes=3, dims=10, noise=1.0):
    rng = np.random.default_rng(0)
    code = rng.integers(classes, size=n)
    x = 3 + np.eye(classes, dims)[code] * 3 + noise * rng.standard_normal((n, dims))
    groups = np.arange(n).astype(str)
    return x.astype(np.float32), np.array(list("abc"))[code], (np.arange(n) % 5).astype(str), groups


@pytest.mark.parametrize("several", [False, True])
def test_training_is_pytorchs(several):
    """Two epochs of three batches and a short one, with the rate of each epoch: the same weights."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((110, 10)).astype(np.float32)
    truth = (rng.random((110, 4)) < 0.4) if several else np.eye(4, dtype=bool)[rng.integers(4, size=110)]
    y, key = truth.astype(np.float32), jax.random.key(1)
    # validation rows that are better after every epoch: those of training
    data = [jnp.asarray(a) for a in (x, y, x, y)]
    ours, which = xares.fit(*data, key, several=several, epochs=2)
    start = xares.init(jax.random.fold_in(key, 2), 10, 4)
    norm, linear = torch.nn.LayerNorm(10), torch.nn.Linear(10, 4)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(np.asarray(start.w).T))
        linear.bias.copy_(torch.tensor(np.asarray(start.b)))
    net = torch.nn.Sequential(norm, linear)
    adam = torch.optim.Adam(net.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 2, eta_min=1e-4)
    loss, kept = torch.nn.BCEWithLogitsLoss() if several else torch.nn.CrossEntropyLoss(), []
    for epoch in range(2):
        order = np.asarray(jax.random.permutation(jax.random.fold_in(key, epoch), 110))
        for rows in np.split(order, [32, 64, 96]):
            adam.zero_grad()
            loss(net(torch.tensor(x[rows])), torch.tensor(y[rows])).backward()
            adam.step()
        schedule.step()
        scores = net(torch.tensor(x)).detach().numpy()
        score = multilabel.average_precision(scores, truth).mean() if several else 0.0
        score = score if several else (scores.argmax(1) == y.argmax(1)).mean()
        kept.append((score, scores))
    best = max(range(2), key=lambda i: kept[i][0])
    assert int(which) == best
    np.testing.assert_allclose(xares.forward(ours, jnp.asarray(x)), kept[best][1], rtol=1e-4, atol=1e-5)


def test_compat_keeps_the_epoch_that_is_best_on_the_test_fold_and_strict_cannot_see_it():
    """Other labels there, of which learning is ever more wrong: compat keeps an earlier epoch."""
    x, y, folds, groups = toy(n=600, noise=2.0)
    truth = y[:, None] == np.array(list("abc"))
    changed = truth.copy()
    changed[folds == "0"] = np.roll(truth[folds == "0"], 1, axis=1)
    for kind, sees in (("x-ares", True), ("x-ares-strict", False)):
        a, b = (protocols.scored(kind, x, t, folds, groups, several=False) for t in (truth, changed))
        same = (a.scores[folds == "0"] == b.scores[folds == "0"]).all()
        assert same != sees, kind


@pytest.mark.parametrize("kind", ["x-ares", "x-ares-strict"])
def test_it_learns_and_chance_is_chance(kind):
    x, y, folds, groups = toy(n=900)
    good = protocols.classed(kind, x, y, folds, groups)
    assert good.metrics["accuracy"] > 0.6 and set(good.chosen) == set("01234")
    assert all(1 <= epoch <= 10 for epoch in good.chosen.values())
    bad = protocols.classed(kind, x, np.random.default_rng(1).permutation(y), folds, groups)
    assert abs(bad.metrics["accuracy"] - 1 / 3) < 0.1


def test_the_judge_gives_means_over_folds(monkeypatch):
    monkeypatch.setattr(hear, "drawn", lambda: [hear.Point(1, 3.2e-3, True)])
    monkeypatch.setattr(hear, "HIDDEN", 8)
    monkeypatch.setattr(hear, "EPOCHS", 3)
    hear.fit.clear_cache()
    x, y, _, groups = toy(n=120, noise=6.0)
    folds = np.where(np.arange(120) < 20, "0", np.where(np.arange(120) < 50, "1", "2"))  # uneven
    kinds = ("hear", "x-ares")
    records, _ = judge(Task("toy", "none", "y"), y, folds, groups, {"ours": x}, more=kinds)
    table = {r["metric"]: r for r in records if r["system"] == "ours"}
    for kind in kinds:
        out = protocols.classed(kind, x, y, folds, groups)
        record = table[f"{protocols.KINDS[kind][2]} accuracy"]
        each = [out.correct[folds == fold].mean() for fold in "012"]
        assert record["value"] == pytest.approx(np.mean(each))
        assert record["sd"] == pytest.approx(np.std(each, ddof=1))  # as hear-eval-kit's
        assert record["ci95"][0] < record["value"] < record["ci95"][1]
    hear.fit.clear_cache()


def test_the_judge_of_several_labels():
    x, y, _, groups = toy(n=900)
    labels = np.where(np.arange(900) % 2 == 0, np.char.add(y, "|d"), y)
    named = np.array(["train", "train", "valid", "test", "train"])[np.arange(900) % 5]
    task = Task("toy", "none", "labels", test=("test",), kind="classes")
    records, _ = judge(task, labels, named, groups, {"ours": x}, more=("x-ares",))
    (record,) = [r for r in records if r["metric"] == "X-ARES compat mAP"]
    assert record["value"] > 0.5 and record["n"] == 180 and set(record["chosen"]) == {"test"}
