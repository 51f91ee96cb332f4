"""MARBLE's probe: a perceptron with one hidden layer of 512 on embeddings as they are.

Yuan et al., "MARBLE: Music Audio Representation Benchmark for Universal Evaluation", 2023, as the second
version of its program does it for genres: ReLU, dropout 0.2, Adam at 5e-3 on 64 clips, the rate halved after
six epochs in a row that aren't better on the validation rows, at most 100 epochs, 20 that aren't better end
it. Its other tasks take other rates (1e-3) and numbers of epochs (20 to 50); precision here is float32, there
bfloat16.

The program's checkpoint "best" watches no measure and so is that of the last epoch, which it tests. `compat`
tests the last epoch, `strict` the best. Validation rows as for HEAR (`protocols.parts`).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped

from ssl_audio.evaluate.folds import finite
from ssl_audio.evaluate.protocols.hear import Form
from ssl_audio.evaluate.protocols.parts import each, parts
from ssl_audio.evaluate.protocols.perceptron import Recipe, fit, scores

RECIPE = Recipe((512,), 0.2, 64, 100, 5e-3, 0.0, 20, False, (0.5, 6), False)


def predict(
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "n c"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    *,
    test: tuple[str, ...] | None = None,
    seed: int = 1234,
    several: bool = False,
    form: Form = "compat",
) -> tuple[Float[np.ndarray, "n c"], dict[str, float]]:
    """Scores of the test rows before softmax or sigmoid (NaN for the others), and each fold's tested epoch.

    Arguments as `protocols.hear.predict`. ValueError: a group is cut, or a value isn't finite.
    """
    finite(x)
    last = form == "compat"

    def one(number, part):
        data = [jnp.asarray(a[rows], jnp.float32) for rows in (part.train, part.valid) for a in (x, y)]
        key = jax.random.fold_in(jax.random.key(seed), number)
        made = fit(*data, key, recipe=RECIPE, several=several)
        epoch = made.epochs if last else made.best_epoch
        return scores(made.last if last else made.best, x[part.test]), float(epoch)

    return each("MARBLE", parts(folds, groups, test), y, one)
