"""EVAR's, MARBLE's, BEANS's and SUPERB's probes and the attentive one: against PyTorch and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ssl_audio.evaluate import multilabel, protocols
from ssl_audio.evaluate.protocols import attentive, beans, evar, marble, perceptron, superb
from ssl_audio.evaluate.protocols.parts import parts


def toy(n=300, classes=3, dims=10, noise=1.0):
    rng = np.random.default_rng(0)
    code = rng.integers(classes, size=n)
    x = 3 + np.eye(classes, dims)[code] * 3 + noise * rng.standard_normal((n, dims))
    groups = np.arange(n).astype(str)
    return x.astype(np.float32), np.array(list("abc"))[code], (np.arange(n) % 5).astype(str), groups


def one_hot(y):
    return (y[:, None] == np.unique(y)).astype(np.float32)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("probe", ["evar", "marble"])
def test_training_is_pytorchs(probe, several):
    """Epoch by epoch with PyTorch's own Adam, decay and plateau, on the order that ours drew."""
    torch = pytest.importorskip("torch")
    recipe = {
        "evar": evar.RECIPE._replace(batch=64, epochs=6, decay=1e-2),
        # a plateau after every epoch that isn't better, so that the rate falls
        "marble": marble.RECIPE._replace(hidden=(24,), dropout=0.0, batch=64, epochs=9, slower=(0.5, 0)),
    }[probe]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((150, 10)).astype(np.float32)
    truth = (rng.random((150, 4)) < 0.4) if several else np.eye(4, dtype=bool)[rng.integers(4, size=150)]
    y, key = truth.astype(np.float32), jax.random.key(1)
    data = [jnp.asarray(a) for a in (x[:110], y[:110], x[110:], y[110:])]
    ours = perceptron.fit(*data, key, recipe=recipe, several=several)

    start = perceptron.init(jax.random.fold_in(key, recipe.epochs), [10, *recipe.hidden, 4])
    modules = []
    for w, b in start:
        linear = torch.nn.Linear(*w.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(np.asarray(w).T))
            linear.bias.copy_(torch.tensor(np.asarray(b)))
        modules += [linear, torch.nn.ReLU()]
    net = torch.nn.Sequential(*modules[:-1])
    adam = torch.optim.Adam(net.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    plateau = recipe.slower and torch.optim.lr_scheduler.ReduceLROnPlateau(
        adam, mode="max", factor=recipe.slower[0], patience=recipe.slower[1]
    )
    loss = torch.nn.BCEWithLogitsLoss() if several else torch.nn.CrossEntropyLoss()
    share, kept, rates = (4 if recipe.by_class and not several else 1), [], []
    for epoch in range(recipe.epochs):
        order = np.asarray(jax.random.permutation(jax.random.fold_in(key, epoch), 110))
        for rows in np.split(order, [64]):
            adam.zero_grad()
            (loss(net(torch.tensor(x[rows])), torch.tensor(y[rows])) / share).backward()
            adam.step()
        scores = net(torch.tensor(x[110:])).detach().numpy()
        right = (scores.argmax(1) == y[110:].argmax(1)).mean()
        score = multilabel.average_precision(scores, truth[110:]).mean() if several else right
        if plateau:
            plateau.step(score)
        kept.append((score, scores))
        rates.append(adam.param_groups[0]["lr"])
    top = max(score for score, _ in kept)
    best = [i for i, (score, _) in enumerate(kept) if score == top][-1 if recipe.equal else 0]
    assert int(ours.best_epoch) == best + 1 and int(ours.epochs) == recipe.epochs
    valid = jnp.asarray(x[110:])
    near = {"rtol": 1e-3, "atol": 1e-3} if probe == "marble" else {"rtol": 1e-4, "atol": 1e-5}  # large steps
    np.testing.assert_allclose(perceptron.forward(ours.best, valid), kept[best][1], **near)
    np.testing.assert_allclose(perceptron.forward(ours.last, valid), kept[-1][1], **near)
    assert not plateau or rates[-1] < recipe.rate / 2  # the test has seen it fall


def test_training_ends_after_so_many_epochs_that_are_not_better():
    x, y, *_ = toy()
    data = [jnp.asarray(a) for a in (x[:200], one_hot(y)[:200], x[200:], 1 - one_hot(y)[200:])]
    recipe = marble.RECIPE._replace(hidden=(8,), epochs=60, patience=4)
    made = perceptron.fit(*data, jax.random.key(0), recipe=recipe, several=False)
    assert int(made.epochs) == int(made.best_epoch) + 4


def test_dropout_keeps_the_mean():
    net = perceptron.init(jax.random.key(0), (10, 512, 2))
    x = jnp.asarray(toy()[0][:10])
    keys = jax.random.split(jax.random.key(1), 400)
    drawn = jax.vmap(lambda key: perceptron.forward(net, x, 0.2, key))(keys)
    assert float(drawn.std(0).min()) > 0
    np.testing.assert_allclose(drawn.mean(0), perceptron.forward(net, x), atol=0.1)


def test_evar_holds_out_a_tenth_with_every_class_or_a_fold_called_valid():
    y = one_hot(np.array(list("aaaaaaaaab") * 30))
    held = evar.tenth(y, 0)
    assert held.sum() == 30 and y[held].any(0).all()
    assert evar.tenth(one_hot(np.array(list("ab") + ["c"] * 9)), 0).sum() == 2  # can't have all: goes on
    x, y, folds, groups = toy()
    named = np.where(folds == "0", "test", np.where(folds == "1", "valid", "train"))
    changed = np.where(named == "valid", np.roll(y, 1), y)
    a, b = (protocols.classed("evar", x, t, named, groups, test=("test",)) for t in (y, changed))
    assert a.chosen != b.chosen and (a.tested == b.tested).all()


def test_marble_compat_tests_the_last_epoch_and_strict_the_best():
    x, y, folds, groups = toy(noise=2.0)
    last, best = (protocols.classed(kind, x, y, folds, groups) for kind in ("marble", "marble-strict"))
    assert all(last.chosen[f] >= best.chosen[f] for f in last.chosen)
    assert any(last.chosen[f] == min(best.chosen[f] + 20, 100) for f in last.chosen)


def test_beans_is_scikit_learns():
    x, y, folds, groups = toy(noise=2.5)
    out = protocols.classed("beans", x, y, folds, groups)
    for part in parts(folds, groups, None):
        train, valid = part.train, part.valid
        scale = StandardScaler().fit(x[train])
        fits = [
            LogisticRegression(C=c, max_iter=5000, tol=1e-8).fit(scale.transform(x[train]), y[train])
            for c in beans.STRENGTHS
        ]
        scores = [fit.score(scale.transform(x[valid]), y[valid]) for fit in fits]
        best = int(np.argmax(scores))
        assert out.chosen[part.name] == beans.STRENGTHS[best]
        theirs = fits[best].predict(scale.transform(x[part.test]))
        assert (theirs == out.predictions[part.test]).mean() > 0.98


def test_beans_compat_takes_decisions_for_scores():
    x, y, folds, groups = toy(noise=2.0)
    truth = np.stack([y == "a", y != "b", x[:, 3] > 3], 1)
    hard, soft = (protocols.scored(kind, x, truth, folds, groups) for kind in ("beans", "beans-strict"))
    assert set(np.unique(hard.scores)) == {0, 1}
    same = [hard.chosen[f] == soft.chosen[f] for f in hard.chosen]
    rows = np.isin(folds, [f for f, equal in zip(hard.chosen, same, strict=True) if equal])
    assert rows.any() and ((soft.scores > 0) == (hard.scores > 0.5))[rows].all()


def test_superb_is_pytorchs():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, y = 30 * rng.standard_normal((40, 3, 6)).astype(np.float32), np.eye(2)[rng.integers(2, size=40)]
    data = [jnp.asarray(a, jnp.float32) for a in (x[:30], y[:30], x[30:], y[30:])]
    order = perceptron.shuffled(30, 12, 8, 0).reshape(1, 12, 8)
    net, _ = superb.fit(*data, jnp.asarray(order), jax.random.key(0), several=False)

    start = superb.init(jax.random.key(0), (6, superb.WIDTH, 2))
    weights = torch.nn.Parameter(torch.zeros(3))
    layers = [torch.nn.Linear(*w.shape) for w, _ in start]
    for layer, (w, b) in zip(layers, start, strict=True):
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(np.asarray(w).T))
            layer.bias.copy_(torch.tensor(np.asarray(b)))
    params = [weights, *(p for layer in layers for p in layer.parameters())]
    adam = torch.optim.Adam(params, lr=1e-4)

    def forward(x):  # frames: two a clip, whose mean is the clip's, through the same linear layers
        frames = torch.stack([x + 1, x - 1], 1)
        summed = (torch.softmax(weights, 0)[:, None] * frames).sum(2)
        return layers[1](layers[0](summed).mean(1))

    clipped = []
    for rows in order[0]:
        adam.zero_grad()
        target = torch.tensor(y[rows], dtype=torch.float32)
        torch.nn.CrossEntropyLoss()(forward(torch.tensor(x[rows])), target).backward()
        clipped.append(float(torch.nn.utils.clip_grad_norm_(params, 1.0)) > 1)
        adam.step()
    assert any(clipped)
    theirs = forward(torch.tensor(x[30:])).detach().numpy()
    np.testing.assert_allclose(superb.forward(net, jnp.asarray(x[30:])), theirs, rtol=1e-4, atol=1e-4)


def test_superb_finds_the_layer_that_knows(monkeypatch):
    monkeypatch.setattr(superb, "STEPS", 2000)
    monkeypatch.setattr(superb, "RATE", 3e-3)
    superb.fit.clear_cache()
    x, y, folds, groups = toy()
    noise = np.random.default_rng(1).standard_normal((2, *x.shape)).astype(np.float32)
    layers = np.stack([noise[0], x - 3, noise[1]], 1)
    out = protocols.classed("superb", layers, y, folds, groups)
    assert out.metrics["accuracy"] > 0.9
    assert sum(out.chosen.values()) == pytest.approx(1) and max(out.chosen, key=out.chosen.get) == "layer 1"
    superb.fit.clear_cache()


def test_orders_hold_every_row_once_an_epoch():
    order = perceptron.shuffled(50, 20, 8, 0)
    assert order.shape == (20, 8)
    for epoch in range(3):
        rows = order[6 * epoch : 6 * epoch + 6].ravel()
        assert len(set(rows.tolist())) == 48
    assert perceptron.shuffled(5, 3, 8, 0).shape == (3, 5)


def test_pieces_of_frames():
    x = np.arange(22.0).reshape(11, 2)
    found = attentive.pieces(x, np.array([0, 3, 11]), most=4)
    np.testing.assert_array_equal(found[0, :3], x[:3])
    assert np.isnan(found[0, 3]).all()
    np.testing.assert_allclose(found[1], x[3:].reshape(4, 2, 2).mean(1))


def test_the_attentive_probe_looks_at_the_frame_that_knows():
    """One of 24 frames, at a random place, has the class and a mark; the mean of all hardly tells."""
    rng = np.random.default_rng(0)
    code, at = rng.integers(3, size=600), rng.integers(24, size=600)
    frames = rng.standard_normal((600, 24, 6)).astype(np.float32)
    frames[np.arange(600), at, code] += 4
    frames[np.arange(600), at, 5] += 8
    frames[at < 20, 20:] = np.nan  # most clips are shorter
    y, folds, groups = (
        np.array(list("abc"))[code],
        (np.arange(600) % 5).astype(str),
        np.arange(600).astype(str),
    )
    out = protocols.classed("attentive", frames, y, folds, groups)
    mean = protocols.classed("beans", np.nanmean(frames, 1), y, folds, groups)
    assert out.metrics["accuracy"] > mean.metrics["accuracy"] + 0.15 and out.metrics["accuracy"] > 0.75
    broken = frames.copy()
    broken[3] = np.nan
    with pytest.raises(ValueError, match="1 of 600 clips have none"):
        protocols.classed("attentive", broken, y, folds, groups)


def test_frames_behind_the_end_do_not_count():
    net = attentive.Net(
        attentive.init(jax.random.key(0), (4, 8, 1)), attentive.init(jax.random.key(1), (4, 2))
    )
    x = jax.random.normal(jax.random.key(2), (3, 5, 4))
    longer = jnp.concatenate([x, jnp.full((3, 2, 4), jnp.nan)], 1)
    np.testing.assert_allclose(attentive.forward(net, longer), attentive.forward(net, x), rtol=1e-5)
    grads = jax.grad(lambda net: attentive.forward(net, longer).sum())(net)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))


@pytest.mark.parametrize("kind", ["evar", "evar-strict", "marble", "marble-strict", "beans", "beans-strict"])
def test_it_learns_and_chance_is_chance(kind):
    x, y, folds, groups = toy(1500 if kind.startswith("evar") else 300)
    good = protocols.classed(kind, x, y, folds, groups)
    assert good.metrics["accuracy"] > 0.8 and set(good.chosen) == set("01234")
    again = protocols.classed(kind, x, y, folds, groups)
    assert (good.predictions == again.predictions).all()
    bad = protocols.classed(kind, x, np.random.default_rng(1).permutation(y), folds, groups)
    assert abs(bad.metrics["accuracy"] - 1 / 3) < 0.12
