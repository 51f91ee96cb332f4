"""X-ARES's probe: layer normalisation and one linear layer, ten epochs, the best epoch kept.

Zhang et al., "X-ARES: A Comprehensive Framework for Assessing Audio Encoder Performance", 2025, as its
program does it: Adam at 1e-3, falling epoch by epoch along a cosine to a tenth, batches of 32. Of its tasks
some take other numbers of epochs (3 to 50) and batches (to 128); these are the defaults. Its kNN is
`knn.probe`.

With k folds the program keeps the epoch that is best on the very fold that it tests. `compat` does so too;
`strict` keeps the epoch that is best on the next fold, which it doesn't train on.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from ssl_audio.evaluate.folds import finite
from ssl_audio.evaluate.protocols.hear import TX, Form, adam, loss_of, score_of
from ssl_audio.evaluate.protocols.parts import each, parts

EPOCHS, BATCH, RATE = 10, 32, 1e-3


class Layer(NamedTuple):
    """Scale and shift of the normalisation, weights and offsets of the layer."""

    scale: Any
    shift: Any
    w: Any
    b: Any


def init(key: Array, width: int, classes: int) -> Layer:
    """As PyTorch draws a linear layer."""
    edge = width**-0.5
    w, b = (
        jax.random.uniform(k, shape, minval=-edge, maxval=edge)
        for k, shape in zip(jax.random.split(key), ((width, classes), (classes,)), strict=True)
    )
    return Layer(jnp.ones(width), jnp.zeros(width), w, b)


def forward(net: Layer, x: Float[Array, "b d"]) -> Float[Array, "b c"]:
    """Scores before softmax or sigmoid."""
    x = (x - x.mean(1, keepdims=True)) * jax.lax.rsqrt(x.var(1, keepdims=True) + 1e-5)
    return (x * net.scale[None] + net.shift[None]) @ net.w + net.b[None]


def step(net: Layer, opt: Any, x, y, real, rate, several: bool) -> tuple[Layer, Any]:
    """One step of Adam on the real rows of a batch."""

    def loss(net):
        each = jax.vmap(lambda s, t: loss_of(s[None], t[None], several))(forward(net, x), y)
        return (each * real).sum() / real.sum()

    return adam(net, jax.grad(loss)(net), opt, rate)


@functools.partial(jax.jit, static_argnames=("several", "epochs"))
def fit(
    x: Float[Array, "n d"],
    y: Float[Array, "n c"],
    valid_x: Float[Array, "m d"],
    valid_y: Float[Array, "m c"],
    key: Array,
    *,
    several: bool,
    epochs: int = EPOCHS,
) -> tuple[Layer, Array]:
    """The layer after the epoch with the best score on the validation rows, and which epoch that was."""
    n, count = len(x), -(-len(x) // BATCH)
    net = init(jax.random.fold_in(key, epochs), x.shape[1], y.shape[1])

    def epoch(carry, at):
        net, opt, best, most, which = carry
        rate = RATE * (0.55 + 0.45 * jnp.cos(jnp.pi * at.astype(jnp.float32) / epochs))
        order = jnp.pad(jax.random.permutation(jax.random.fold_in(key, at), n), (0, count * BATCH - n))
        real = (jnp.arange(count * BATCH) < n).astype(jnp.float32).reshape(count, BATCH)

        def one(carry, batch):
            rows, real = batch
            return step(*carry, x[rows], y[rows], real, rate, several), None

        (net, opt), _ = jax.lax.scan(one, (net, opt), (order.reshape(count, BATCH), real))
        score = score_of(forward(net, valid_x), valid_y, several)
        better = score > most
        best = jax.tree.map(lambda a, b: jnp.where(better, a, b), net, best)
        return (net, opt, best, jnp.maximum(score, most), jnp.where(better, at, which)), None

    start = (net, TX.init(net), net, -jnp.inf, jnp.int32(0))
    (_, _, best, _, which), _ = jax.lax.scan(epoch, start, jnp.arange(epochs, dtype=jnp.int32))
    return best, which


def predict(
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "n c"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    *,
    test: tuple[str, ...] | None = None,
    seed: int = 42,
    several: bool = False,
    form: Form = "compat",
) -> tuple[Float[np.ndarray, "n c"], dict[str, float]]:
    """Scores of the test rows before softmax or sigmoid (NaN for the others), and each fold's best epoch.

    Arguments as `protocols.hear.predict`. ValueError: a group is cut, or a value isn't finite.
    """
    finite(x)
    todo = parts(folds, groups, test)
    if form == "compat" and test is None:
        todo = [p._replace(train=np.sort(np.concatenate([p.train, p.valid])), valid=p.test) for p in todo]

    def one(number, part):
        data = [jnp.asarray(a[rows], jnp.float32) for rows in (part.train, part.valid) for a in (x, y)]
        net, which = fit(*data, jax.random.fold_in(jax.random.key(seed), number), several=several)
        return np.asarray(forward(net, jnp.asarray(x[part.test], jnp.float32))), float(which) + 1

    return each("X-ARES", todo, y, one)
