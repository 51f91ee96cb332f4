"""SUPERB's classification: a learned sum of a transformer's layers, a projection, the mean, one linear layer.

Yang et al., "SUPERB: Speech processing Universal PERformance Benchmark", 2021, as its program s3prl does it:
the layers' weights are a softmax, a linear projection to 256, the mean over time, a linear layer; Adam at
1e-4 on 32 clips, gradients clipped to length 1, the best look at the validation rows is kept. Nothing between
the layers and the mean is nonlinear, so that the layers' means over time give the same numbers as frames.

30,000 steps and a look every 1,000, as it does for emotions; for key words and speakers it takes 200,000. Its
sum has the first block's input too, ours the blocks' outputs. Validation rows as for HEAR
(`protocols.parts`).
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Shaped

from ssl_audio.evaluate.folds import finite
from ssl_audio.evaluate.protocols.hear import Form, adam, loss_of, score_of
from ssl_audio.evaluate.protocols.parts import each, parts
from ssl_audio.evaluate.protocols.perceptron import init, looked, shuffled

STEPS, EVERY, BATCH, RATE, WIDTH = 30_000, 1_000, 32, 1e-4, 256


class Net(NamedTuple):
    """Logarithms of the layers' weights, projection and last layer."""

    layers: Array
    linear: list[tuple[Array, Array]]


def forward(net: Net, x: Float[Array, "b l d"]) -> Float[Array, "b c"]:
    """Scores before softmax or sigmoid, from the layers' means over time."""
    z = jnp.einsum("l,bld->bd", jax.nn.softmax(net.layers), x)
    for w, b in net.linear:
        z = z @ w + b[None]
    return z


@functools.partial(jax.jit, static_argnames=("several",))
def fit(
    x: Float[Array, "n l d"],
    y: Float[Array, "n c"],
    valid_x: Float[Array, "m l d"],
    valid_y: Float[Array, "m c"],
    order: Int[Array, "looks every b"],
    key: Array,
    *,
    several: bool,
) -> tuple[Net, Array]:
    """The net of the best look, and which look that was. order: the rows of each step between two looks."""
    net = Net(jnp.zeros(x.shape[1]), init(key, (x.shape[2], WIDTH, y.shape[1])))

    def step(carry, rows):
        net, opt = carry
        grads = jax.grad(lambda net: loss_of(forward(net, x[rows]), y[rows], several))(net)
        short = jnp.minimum(1.0, 1 / (optax.tree.norm(grads) + 1e-6))
        return adam(net, jax.tree.map(lambda g: g * short, grads), opt, RATE), None

    return looked(net, step, order, lambda net: score_of(forward(net, valid_x), valid_y, several))


def predict(
    x: Float[np.ndarray, "n l d"],
    y: Float[np.ndarray, "n c"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    *,
    test: tuple[str, ...] | None = None,
    seed: int = 0,
    several: bool = False,
    form: Form = "compat",
) -> tuple[Float[np.ndarray, "n c"], dict[str, float]]:
    """Scores of the test rows before softmax or sigmoid (NaN for the others), and the weight of each layer,
    the mean over folds.

    x: mean over time of each layer. Otherwise as `protocols.hear.predict`; there is one form only.
    ValueError: a group is cut, or a value isn't finite.
    """
    finite(x.reshape(len(x), -1))

    def one(number, part):
        data = [jnp.asarray(a[rows], jnp.float32) for rows in (part.train, part.valid) for a in (x, y)]
        order = shuffled(len(part.train), STEPS, BATCH, seed + number).reshape(STEPS // EVERY, EVERY, -1)
        key = jax.random.fold_in(jax.random.key(seed), number)
        net, _ = fit(*data, jnp.asarray(order), key, several=several)
        scores = np.asarray(forward(net, jnp.asarray(x[part.test], jnp.float32)))
        return scores, np.asarray(jax.nn.softmax(net.layers))

    out, weights = each("SUPERB", parts(folds, groups, test), y, one)
    mean = np.mean(list(weights.values()), 0)
    return out, {f"layer {i}": float(w) for i, w in enumerate(mean)}
