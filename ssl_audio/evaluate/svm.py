"""Support vector machine on standardised embeddings: scikit-learn's, with C chosen on training folds only.

The kernel is a Gaussian as wide as scikit-learn's "scale" makes it, or linear. Cortes & Vapnik,
"Support-Vector Networks", 1995.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float, Shaped
from sklearn.svm import SVC

from ssl_audio.evaluate.folds import Outcome, finite, inner, splits, standardise

STRENGTHS = (0.1, 1.0, 10.0)


def probe(
    x: Float[np.ndarray, "n d"],
    y: Shaped[np.ndarray, " n"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    *,
    test: tuple[str, ...] | None = None,
    seed: int = 0,
    strengths: tuple[float, ...] = STRENGTHS,
    kernel: Literal["rbf", "linear"] = "rbf",
    balanced: bool = False,
) -> Outcome:
    """Out-of-fold predictions, one machine against another for each pair of classes.

    Arguments and errors as `linear.probe`; a tie keeps the smaller C. balanced: mistakes weigh as much less
    as their class has more training clips. seed: unused, the optimum is unique.
    """
    finite(x)
    classes, code = np.unique(y, return_inverse=True)
    predicted, chosen = np.full(len(x), -1), {}
    weights = "balanced" if balanced else None
    for split in splits(folds, groups, test):
        z = standardise(x, split.train)
        train, label = z[split.train], code[split.train]
        right = np.zeros(len(strengths))
        for held in inner(folds, groups, split):
            for i, strength in enumerate(strengths):
                machine = SVC(C=strength, kernel=kernel, class_weight=weights)
                right[i] += (guess(machine, train[~held], label[~held], train[held]) == label[held]).sum()
        chosen[split.name] = strengths[int(right.argmax())]
        machine = SVC(C=chosen[split.name], kernel=kernel, class_weight=weights)
        predicted[split.test] = guess(machine, train, label, z[split.test])
    return Outcome.of(classes, code, predicted, chosen)


def guess(machine: SVC, x, y, new):
    """Classes of new rows; of training rows of one class that class."""
    return machine.fit(x, y).predict(new) if len(np.unique(y)) > 1 else np.full(len(new), y[0])
