"""HEAR's probe: a perceptron on embeddings as they are, chosen from a grid on one fold, stopped early.

Turian et al., "HEAR: Holistic Evaluation of Audio Representations", 2022, as its program hear-eval-kit does
it: one or two hidden layers of 1,024 (linear, batch normalisation, dropout 0.1, ReLU), Adam, batches of
1,024, up to 500 epochs; every third is scored on the validation fold, and 20 scores in a row without a better
one end the training. 8 of 16 points of a grid (layers, rate, initialisation) are drawn with a fixed seed; the
best on the first fold serves all others. With k folds, fold i + 1 validates where fold i tests.

The program never shuffles its training data again after the first time (a list is compared with a string),
and what it chose on the first fold it also takes where it tests the clips that it chose on. `compat` keeps
both; `strict` shuffles each epoch and chooses anew in each fold.
"""

import functools
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int64, Shaped

from ssl_audio.evaluate.folds import finite
from ssl_audio.evaluate.protocols.parts import each, parts
from ssl_audio.optim import lenient

Form = Literal["compat", "strict"]
HIDDEN, DROPOUT, BATCH, EPOCHS, EVERY, PATIENCE = 1024, 0.1, 1024, 500, 3, 20


class Point(NamedTuple):
    """A point of the grid. uniform: Glorot's initialisation from a uniform distribution, else from a
    normal."""

    layers: int
    rate: float
    uniform: bool


GRID = tuple(
    Point(layers, rate, uniform)
    for layers in (1, 2)
    for uniform in (True, False)
    for rate in (3.2e-3, 1e-3, 3.2e-4, 1e-4)
)


def drawn(count: int = 8, seed: int = 42) -> list[Point]:
    """The points that are tried: the kit's seed and order."""
    points = list(GRID)
    random.Random(seed).shuffle(points)
    return points[:count]


class Layer(NamedTuple):
    """Weights of a layer; scale and shift of its batch normalisation, None in the last."""

    w: Any
    b: Any
    scale: Any = None
    shift: Any = None


class Net(NamedTuple):
    """Layers, and the running mean and variance of each hidden one."""

    layers: tuple[Layer, ...]
    stats: tuple[tuple[Any, Any], ...]


def init(key: Array, sizes: Sequence[int], uniform: Array) -> Net:
    """sizes: of the input, the hidden layers and the output. Weights by Glorot & Bengio, gain sqrt(2) behind
    a ReLU; biases as PyTorch draws them."""
    layers, stats = [], []
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        normal_key, even_key, bias_key = jax.random.split(jax.random.fold_in(key, i), 3)
        deviation = np.float32((2.0 if i else 1.0) ** 0.5 * (2 / (a + b)) ** 0.5)
        even = jax.random.uniform(even_key, (a, b), minval=-(3**0.5), maxval=3**0.5)
        w = jnp.where(uniform, even, jax.random.normal(normal_key, (a, b))) * deviation
        bias = jax.random.uniform(bias_key, (b,), minval=-(a**-0.5), maxval=a**-0.5)
        last = i == len(sizes) - 2
        layers.append(Layer(w, bias) if last else Layer(w, bias, jnp.ones(b), jnp.zeros(b)))
        if not last:
            stats.append((jnp.zeros(b), jnp.ones(b)))
    return Net(tuple(layers), tuple(stats))


def forward(net: Net, x: Float[Array, "b d"], key: Array | None = None) -> tuple[Float[Array, "b c"], tuple]:
    """Scores before softmax or sigmoid, and the new running statistics. key: trains, with dropout."""
    stats = []
    for i, (layer, (mean, var)) in enumerate(zip(net.layers[:-1], net.stats, strict=True)):
        x = x @ layer.w + layer.b[None]
        if key is not None:
            now, spread = x.mean(0), x.var(0)
            unbiased = spread * (len(x) / max(len(x) - 1, 1))
            stats.append((0.9 * mean + 0.1 * now, 0.9 * var + 0.1 * unbiased))
            mean, var = now, spread
        x = (x - mean[None]) * (jax.lax.rsqrt(var + 1e-5) * layer.scale)[None] + layer.shift[None]
        if key is not None:
            kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - DROPOUT, x.shape)
            x = jnp.where(kept, x / (1 - DROPOUT), 0.0)
        x = jax.nn.relu(x)
    return x @ net.layers[-1].w + net.layers[-1].b[None], tuple(stats) if key is not None else net.stats


def loss_of(scores: Float[Array, "b c"], y: Float[Array, "b c"], several: bool) -> Float[Array, ""]:
    """Mean cross-entropy of one label a clip, or of several."""
    if several:
        return optax.sigmoid_binary_cross_entropy(scores, y).mean()
    return optax.softmax_cross_entropy(scores, y).mean()


def score_of(scores: Float[Array, "n c"], y: Float[Array, "n c"], several: bool) -> Float[Array, ""]:
    """Accuracy, or of several labels the mean average precision over classes that have clips."""
    if not several:
        return (scores.argmax(1) == y.argmax(1)).astype(jnp.float32).mean()
    truth = jnp.take_along_axis(y, jnp.argsort(-scores, axis=0), 0)
    precision = truth.cumsum(0) / jnp.arange(1.0, len(y) + 1)[:, None]
    count = y.sum(0)
    each = (precision * truth).sum(0) / jnp.maximum(count, 1.0)
    return each.sum() / jnp.maximum((count > 0).sum(), 1).astype(jnp.float32)


TX = optax.scale_by_adam()


def step(net: Net, opt: Any, x, y, key, rate, several: bool) -> tuple[Net, Any]:
    """One step of Adam on one batch."""

    def loss(layers):
        scores, stats = forward(Net(layers, net.stats), x, key)
        return loss_of(scores, y, several), stats

    grads, stats = jax.grad(loss, has_aux=True)(net.layers)
    layers, opt = adam(net.layers, grads, opt, rate)
    return Net(layers, stats), opt


def adam(params: Any, grads: Any, opt: Any, rate) -> tuple[Any, Any]:
    """Parameters and state after a step of Adam."""
    moved, opt = lenient(TX.update)(grads, opt)
    return jax.tree.map(lambda p, m: p - rate * m, params, moved), opt


def epochs(
    state: tuple[Net, Any],
    x: Float[Array, "n d"],
    y: Float[Array, "n c"],
    key: Array,
    done: Array,
    rate: Array,
    *,
    count: int,
    several: bool,
    form: Form,
) -> tuple[Net, Any]:
    """(network, Adam's state) after `count` more epochs than the `done` ones."""
    n, whole = len(x), len(x) // BATCH

    def epoch(state, key):
        order = jax.random.permutation(key, n) if form == "strict" else None
        rows = lambda a: a if order is None else a[order]
        sx, sy = rows(x), rows(y)

        def one(carry, batch):
            return step(*carry, *batch, rate, several), None

        parts = [a[: whole * BATCH].reshape(whole, BATCH, a.shape[1]) for a in (sx, sy)]
        state, _ = jax.lax.scan(one, state, (*parts, jax.random.split(key, max(whole, 1))[:whole]))
        if n % BATCH > 1:  # batch normalisation can't train on a single clip
            last = jax.random.fold_in(key, whole)
            state = step(*state, sx[whole * BATCH :], sy[whole * BATCH :], last, rate, several)
        return state

    return jax.lax.fori_loop(0, count, lambda i, s: epoch(s, jax.random.fold_in(key, done + i)), state)


class Fitted(NamedTuple):
    """The network of the best score on the validation rows, that score, and the epochs that were trained."""

    net: Net
    score: Any
    epochs: Any


@functools.partial(jax.jit, static_argnames=("layers", "several", "form"))
def fit(
    x: Float[Array, "n d"],
    y: Float[Array, "n c"],
    valid_x: Float[Array, "m d"],
    valid_y: Float[Array, "m c"],
    key: Array,
    rate: Float[Array, ""],
    uniform: Shaped[Array, ""],
    *,
    layers: int,
    several: bool,
    form: Form,
) -> Fitted:
    """Train a point until 20 scores in a row aren't better.

    Points after one another, not at once: those that stop late would keep the others' arithmetic going.
    """
    sizes = [x.shape[1], *layers * [HIDDEN], y.shape[1]]
    net = init(key, sizes, uniform)
    start = (net, TX.init(net.layers), net, -jnp.inf, jnp.int32(0), jnp.int32(0))

    def more(state):  # epochs after the last that is scored would change nothing
        return (state[4] < PATIENCE) & (state[5] + EVERY <= EPOCHS)

    def go(state):
        net, opt, best, most, waited, done = state
        net, opt = epochs((net, opt), x, y, key, done, rate, count=EVERY, several=several, form=form)
        score = score_of(forward(net, valid_x)[0], valid_y, several)
        better = score > most
        best = jax.tree.map(lambda a, b: jnp.where(better, a, b), net, best)
        waited = jnp.where(better, 0, waited + 1)
        return net, opt, best, jnp.maximum(score, most), waited, done + EVERY

    *_, best, most, _, done = jax.lax.while_loop(more, go, start)
    return Fitted(best, most, done)


class Search:
    """Which points are tried in each fold, and which is the best: of `compat` the first fold's serves all."""

    def __init__(self, form: Form, points: Sequence[Point] | None = None):
        """points: the grid; None: `drawn()`."""
        self.form, self.points, self.best = form, list(drawn() if points is None else points), None

    def of(self, fit: Callable[[Point], tuple[float, Any]]) -> tuple[Any, Point]:
        """The best point's result and that point. fit: of a point the validation score and a result."""
        here = self.points if self.best is None or self.form == "strict" else [self.best]
        results = [(*fit(point), point) for point in here]
        _, made, self.best = max(results, key=lambda r: r[0])  # of equals the first
        return made, self.best

    def said(self, chosen: Mapping[str, Point]) -> dict[str, float]:
        """The points of the folds in words of a record; one where it was one for all."""
        if self.form == "compat" or len(chosen) == 1:
            return {name: float(value) for name, value in self.best._asdict().items()}
        points = {f"{fold}, {name}": v for fold, p in chosen.items() for name, v in p._asdict().items()}
        return {name: float(value) for name, value in points.items()}


def kept_order(folds: Shaped[np.ndarray, " n"], rows: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
    """Rows for all epochs of `compat`: fold after fold, shuffled within it, as the program joins them."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.permutation(rows[folds[rows] == fold]) for fold in np.unique(folds[rows])])


def predict(
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "n c"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    *,
    test: tuple[str, ...] | None = None,
    seed: int = 0,
    several: bool = False,
    form: Form = "compat",
    points: Sequence[Point] | None = None,
) -> tuple[Float[np.ndarray, "n c"], dict[str, float]]:
    """Scores of the test rows before softmax or sigmoid (NaN for the others), and the point that was chosen.

    x: embeddings, finite, taken as they are. y: 1 where a clip has a label. several: labels a clip. points:
    the grid; None: `drawn()`. ValueError: a group is cut, or a value isn't finite.
    """
    finite(x)
    search = Search(form, points)

    def one(number, part):
        order = kept_order(folds, part.train)
        data = [jnp.asarray(a[rows], jnp.float32) for rows in (order, part.valid) for a in (x, y)]

        def fitted(p):
            made = fit(
                *data,
                jax.random.fold_in(jax.random.key(seed), 1000 * number + GRID.index(p)),
                jnp.float32(p.rate),
                jnp.bool_(p.uniform),
                layers=p.layers,
                several=several,
                form=form,
            )
            return float(made.score), made.net

        net, best = search.of(fitted)
        return np.asarray(forward(net, jnp.asarray(x[part.test], jnp.float32))[0]), best

    out, chosen = each("HEAR", parts(folds, groups, test), y, one)
    return out, search.said(chosen)
