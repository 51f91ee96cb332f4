"""A perceptron on embeddings, trained by epochs and stopped early: what EVAR's and MARBLE's probes share."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ssl_audio.evaluate.protocols.hear import TX, adam, loss_of, score_of


class Recipe(NamedTuple):
    """hidden: widths of the hidden layers (linear, ReLU, dropout). decay: of the squared weights, as in
    PyTorch's Adam. patience: epochs in a row that aren't better, after which training ends. equal: an epoch
    that is as good as the best takes its place. slower: None, or (factor, epochs): the rate falls by the
    factor after more than so many epochs in a row that aren't better. by_class: the loss of one label a clip
    is also averaged over classes.
    """

    hidden: tuple[int, ...]
    dropout: float
    batch: int
    epochs: int
    rate: float
    decay: float
    patience: int
    equal: bool
    slower: tuple[float, int] | None
    by_class: bool


class Fitted(NamedTuple):
    """Weights and offsets of each layer after the best epoch, those after the last, and which epochs these
    were, from 1."""

    best: Any
    last: Any
    best_epoch: Any
    epochs: Any


def init(key: Array, sizes: Sequence[int]) -> list[tuple[Array, Array]]:
    """(weights, offsets) of each layer, as PyTorch draws them."""
    layers = []
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        pair = jax.random.split(jax.random.fold_in(key, i))
        w, offset = (
            jax.random.uniform(k, shape, minval=-(a**-0.5), maxval=a**-0.5)
            for k, shape in zip(pair, ((a, b), (b,)), strict=True)
        )
        layers.append((w, offset))
    return layers


def forward(
    net: Sequence[tuple[Array, Array]], x: Float[Array, "b d"], dropout: float = 0.0, key: Array | None = None
) -> Float[Array, "b c"]:
    """Scores before softmax or sigmoid. key: trains, with dropout."""
    for i, (w, b) in enumerate(net[:-1]):
        x = jax.nn.relu(x @ w + b[None])
        if key is not None:
            kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - dropout, x.shape)
            x = jnp.where(kept, x / (1 - dropout), 0.0)
    w, b = net[-1]
    return x @ w + b[None]


@functools.partial(jax.jit, static_argnames=("recipe", "several"))
def fit(
    x: Float[Array, "n d"],
    y: Float[Array, "n c"],
    valid_x: Float[Array, "m d"],
    valid_y: Float[Array, "m c"],
    key: Array,
    *,
    recipe: Recipe,
    several: bool,
) -> Fitted:
    """Train by Adam; the rows are shuffled each epoch, the last batch of one may be smaller."""
    n, batch = len(x), min(recipe.batch, len(x))
    count = -(-n // batch)
    net = init(jax.random.fold_in(key, recipe.epochs), [x.shape[1], *recipe.hidden, y.shape[1]])
    shared = y.shape[1] if recipe.by_class and not several else 1

    def step(net, opt, x, y, real, key, rate):
        def loss(net):
            scores = forward(net, x, recipe.dropout, key)
            each = jax.vmap(lambda s, t: loss_of(s[None], t[None], several))(scores, y)
            return (each * real).sum() / (real.sum() * shared)

        grads = jax.tree.map(lambda g, p: g + recipe.decay * p, jax.grad(loss)(net), net)
        return adam(net, grads, opt, rate)

    def epoch(net, opt, key, rate):
        order = jnp.pad(jax.random.permutation(key, n), (0, count * batch - n)).reshape(count, batch)
        real = (jnp.arange(count * batch) < n).astype(jnp.float32).reshape(count, batch)

        def one(carry, part):
            rows, real, key = part
            return step(*carry, x[rows], y[rows], real, key, rate), None

        keys = jax.random.split(jax.random.fold_in(key, 1), count)
        return jax.lax.scan(one, (net, opt), (order, real, keys))[0]

    def more(state):
        return (state["bad"] < recipe.patience) & (state["at"] < recipe.epochs)

    def go(s):
        net, opt = epoch(s["net"], s["opt"], jax.random.fold_in(key, s["at"]), s["rate"])
        score = score_of(forward(net, valid_x), valid_y, several)
        better = score >= s["most"] if recipe.equal else score > s["most"]
        keep = lambda new, old: jax.tree.map(lambda a, b: jnp.where(better, a, b), new, old)
        rate, high, slow = s["rate"], s["high"], s["slow"]
        if recipe.slower is not None:
            factor, wait = recipe.slower
            risen = score > high * (1 + 1e-4)  # PyTorch's threshold
            high, slow = jnp.where(risen, score, high), jnp.where(risen, 0, slow + 1)
            rate, slow = jnp.where(slow > wait, rate * factor, rate), jnp.where(slow > wait, 0, slow)
        return {
            "net": net, "opt": opt, "best": keep(net, s["best"]), "most": jnp.maximum(score, s["most"]),
            "bad": jnp.where(better, 0, s["bad"] + 1), "at": s["at"] + 1,
            "which": jnp.where(better, s["at"] + 1, s["which"]), "rate": rate, "high": high, "slow": slow,
        }  # fmt: skip

    zero = jnp.int32(0)
    start = {
        "net": net, "opt": TX.init(net), "best": net, "most": jnp.float32(-jnp.inf), "bad": zero, "at": zero,
        "which": zero, "rate": jnp.float32(recipe.rate), "high": jnp.float32(-jnp.inf), "slow": zero,
    }  # fmt: skip
    end = jax.lax.while_loop(more, go, start)
    return Fitted(end["best"], end["net"], end["which"], end["at"])


def scores(net: Any, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n c"]:
    """Of rows on the host."""
    return np.asarray(forward(net, jnp.asarray(x, jnp.float32)))


def looked(
    net: Any, step: Callable, order: Int[Array, "looks every b"], score: Callable
) -> tuple[Any, Array]:
    """The net of the best look, and which look that was, from 1.

    step: ((net, state of Adam), rows) -> the next, None. order: the rows of each step between two looks.
    score: net -> what is as large as can be.
    """

    def look(carry, part):
        net, opt, best, most, which = carry
        at, rows = part
        (net, opt), _ = jax.lax.scan(step, (net, opt), rows)
        now = score(net)
        better = now > most
        best = jax.tree.map(lambda a, b: jnp.where(better, a, b), net, best)
        return (net, opt, best, jnp.maximum(now, most), jnp.where(better, at, which)), None

    start = (net, TX.init(net), net, -jnp.inf, jnp.int32(0))
    looks = jnp.arange(1, len(order) + 1, dtype=jnp.int32)
    (_, _, best, _, which), _ = jax.lax.scan(look, start, (looks, order))
    return best, which


def shuffled(n: int, steps: int, batch: int, seed: int) -> Int[np.ndarray, "steps b"]:
    """Rows of each step: all n in a new order, again and again; what doesn't fill a batch is left out."""
    rng, batch = np.random.default_rng(seed), min(batch, n)
    each = n // batch
    orders = [rng.permutation(n)[: each * batch].reshape(each, batch) for _ in range(-(-steps // each))]
    return np.concatenate(orders)[:steps].astype(np.int32)
