"""Attentive probe: which moments of a clip to look at is learned, on frozen frames.

The score of a frame is v . tanh(W h + b), its softmax over time weights the frames' sum (self-attentive
pooling; Cai, Chen & Li, "Exploring the Encoding Layer and Loss Function in End-to-End Speaker and Language
Recognition System", 2018), and a linear layer follows. Frames are standardised with those of the training
clips; Adam at 1e-3 on 64 clips, 60 looks of an epoch each, the best on the validation rows is kept
(`protocols.parts`).
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from ssl_audio.evaluate.folds import standardise
from ssl_audio.evaluate.protocols.hear import Form, adam, loss_of, score_of
from ssl_audio.evaluate.protocols.parts import each, parts
from ssl_audio.evaluate.protocols.perceptron import init, looked, shuffled

EPOCHS, BATCH, RATE, WIDTH, PIECES = 60, 64, 1e-3, 128, 32


class Net(NamedTuple):
    """Layers that score a frame, and the last layer."""

    frame: list[tuple[Array, Array]]
    last: list[tuple[Array, Array]]


def pieces(
    x: Float[np.ndarray, "total d"], starts: Int[np.ndarray, " n_and_one"], most: int = PIECES
) -> Float[np.ndarray, "n t d"]:
    """Frames of clips as one array, NaN behind a clip's end; of a clip with more than `most` frames the means
    of so many even pieces."""
    counts = np.diff(starts)
    out = np.full((len(counts), min(int(counts.max()), most), x.shape[1]), np.nan, np.float32)
    for i, n in enumerate(counts):
        rows = np.asarray(x[starts[i] : starts[i + 1]], np.float32)
        if n > most:
            edges = np.arange(most) * n // most
            rows = np.add.reduceat(rows, edges, axis=0) / np.diff(edges, append=n)[:, None]
        out[i, : len(rows)] = rows
    return out


def forward(net: Net, x: Float[Array, "b t d"]) -> Float[Array, "b c"]:
    """Scores before softmax or sigmoid; frames of NaN don't count."""
    real = ~jnp.isnan(x[..., 0])
    x = jnp.where(real[..., None], x, 0.0)
    (w, b), (v, _) = net.frame
    score = (jnp.tanh(x @ w + b[None, None]) @ v)[..., 0]
    weight = jax.nn.softmax(jnp.where(real, score, -jnp.inf), axis=1)
    w, b = net.last[0]
    return jnp.einsum("bt,btd->bd", weight, x) @ w + b[None]


@functools.partial(jax.jit, static_argnames=("several",))
def fit(
    x: Float[Array, "n t d"],
    y: Float[Array, "n c"],
    valid_x: Float[Array, "m t d"],
    valid_y: Float[Array, "m c"],
    order: Int[Array, "epochs steps b"],
    key: Array,
    *,
    several: bool,
) -> tuple[Net, Array]:
    """The net of the best epoch, and which that was. order: the rows of each step of each epoch."""
    keys = jax.random.split(key)
    net = Net(init(keys[0], (x.shape[2], WIDTH, 1)), init(keys[1], (x.shape[2], y.shape[1])))

    def step(carry, rows):
        net, opt = carry
        grads = jax.grad(lambda net: loss_of(forward(net, x[rows]), y[rows], several))(net)
        return adam(net, grads, opt, RATE), None

    return looked(net, step, order, lambda net: score_of(forward(net, valid_x), valid_y, several))


def predict(
    x: Float[np.ndarray, "n t d"],
    y: Float[np.ndarray, "n c"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    *,
    test: tuple[str, ...] | None = None,
    seed: int = 0,
    several: bool = False,
    form: Form = "strict",
) -> tuple[Float[np.ndarray, "n c"], dict[str, float]]:
    """Scores of the test rows before softmax or sigmoid (NaN for the others), and each fold's best epoch.

    x: frames, NaN behind a clip's end (`pieces`). Otherwise as `protocols.hear.predict`; there is one form
    only. ValueError: a group is cut, a clip has no frame, or a value isn't finite.
    """
    real = ~np.isnan(x).all(2)
    if bad := [i for i in range(len(x)) if not real[i].any() or not np.isfinite(x[i, real[i]]).all()]:
        raise ValueError(f"frames: {len(bad)} of {len(x)} clips have none or infinite values, {bad[0]} first")
    clip = np.nonzero(real)[0]

    def one(number, part):
        z = np.full(x.shape, np.nan, np.float32)
        z[real] = standardise(x[real], np.flatnonzero(np.isin(clip, part.train)))
        data = [jnp.asarray(a[rows], jnp.float32) for rows in (part.train, part.valid) for a in (z, y)]
        steps = len(part.train) // min(BATCH, len(part.train))
        order = shuffled(len(part.train), EPOCHS * steps, BATCH, seed + number).reshape(EPOCHS, steps, -1)
        key = jax.random.fold_in(jax.random.key(seed), number)
        net, which = fit(*data, jnp.asarray(order), key, several=several)
        return np.asarray(forward(net, jnp.asarray(z[part.test]))), float(which)

    return each("attentive", parts(folds, groups, test), y, one)
