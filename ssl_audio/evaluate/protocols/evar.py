"""EVAR's linear evaluation, which BYOL-A and M2D print: one linear layer on standardised embeddings.

Niizumi et al., "BYOL for Audio", 2023, as the program eval-audio-repr does it: mean and deviation of the
training rows, Adam at 3e-4 with a decay of 1e-8, batches of 200, at most 200 epochs; the last of the best
epochs on the validation rows is kept, 20 epochs without one as good end it. Its cross-entropy is averaged
over classes too.

Without a fold called valid the program holds out a tenth of the training clips, drawn until every class is
in it, at most 100 times: clips of one recording may then be on both sides, and mean and deviation are of
both. `compat` does so too; `strict` holds out whole groups. Published numbers are means of three seeds; a
record here is of one. The program reads the labels of two classes as a single column, of which every clip is
right; here two classes are two columns.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Shaped

from ssl_audio.evaluate.folds import finite, standardise
from ssl_audio.evaluate.protocols.hear import Form
from ssl_audio.evaluate.protocols.parts import each, parts
from ssl_audio.evaluate.protocols.perceptron import Recipe, fit, scores

RECIPE = Recipe((), 0.0, 200, 200, 3e-4, 1e-8, 20, True, None, True)


def tenth(y: Float[np.ndarray, "n c"], seed: int) -> Bool[np.ndarray, " n"]:
    """A tenth of the rows, drawn until it has every class that there is, at most 100 times."""
    rng, held = np.random.default_rng(seed), np.zeros(len(y), bool)
    for _ in range(100):
        held[:] = False
        held[rng.permutation(len(y))[: -(-len(y) // 10)]] = True
        if (y[held].any(0) == y.any(0)).all():
            break
    return held


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

    def one(number, part):
        train, valid, known = part.train, part.valid, part.train
        rows = np.sort(np.concatenate([train, valid]))
        if form == "compat" and "valid" not in folds[rows]:
            held, known = tenth(y[rows], seed + number), rows
            train, valid = rows[~held], rows[held]
        z = standardise(x, known)
        data = [jnp.asarray(a[rows], jnp.float32) for rows in (train, valid) for a in (z, y)]
        key = jax.random.fold_in(jax.random.key(seed), number)
        made = fit(*data, key, recipe=RECIPE, several=several)
        return scores(made.best, z[part.test]), float(made.best_epoch)

    return each("EVAR", parts(folds, groups, test), y, one)
