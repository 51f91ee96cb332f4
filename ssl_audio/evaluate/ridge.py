"""Ridge regression on standardised embeddings: of classes, of numbers (a count, a pitch), of several labels.

The whole grid of penalties comes from one eigendecomposition of a fold's clips; each optimum is that of
sklearn's Ridge(alpha). Hoerl & Kennard, "Ridge Regression", 1970.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Shaped
from scipy.linalg import eigh

from ssl_audio.evaluate.folds import Outcome, Scored, finite, inner, splits, standardise

PENALTIES = (1e5, 1e4, 1e3, 1e2, 1e1, 1e0)
"""Values of alpha, on standardised dimensions; the strongest first, which a tie keeps."""


def r2(predicted: Float[np.ndarray, "n k"], truth: Float[np.ndarray, "n k"]) -> float:
    """Share of the variance explained, mean over targets; 1 is perfect, 0 is the mean of `truth`."""
    left = ((truth - predicted) ** 2).sum(0)
    return float(np.mean(1 - left / np.maximum(((truth - truth.mean(0)) ** 2).sum(0), 1e-12)))


def probe(
    x: Float[np.ndarray, "n d"],
    y: Shaped[np.ndarray, " n"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    *,
    test: tuple[str, ...] | None = None,
    seed: int = 0,
    penalties: tuple[float, ...] = PENALTIES,
) -> Outcome:
    """Out-of-fold classes: the largest of as many regressions to 1 or -1 (sklearn's RidgeClassifier).

    Arguments and errors as `linear.probe`, alpha chosen by accuracy; seed: unused, the optimum is unique.
    """
    classes, code = np.unique(y, return_inverse=True)
    truth = np.where(np.arange(len(classes)) == code[:, None], 1.0, -1.0)
    out = regress(x, truth, folds, groups, test=test, penalties=penalties, score=agreement)
    return out.best(classes, code)


def agreement(predicted: Float[np.ndarray, "n k"], truth: Float[np.ndarray, "n k"]) -> float:
    """Share of the rows whose largest values stand in the same place."""
    return float((predicted.argmax(1) == truth.argmax(1)).mean())


def regress(
    x: Float[np.ndarray, "n d"],
    t: Float[np.ndarray, "n k"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    *,
    test: tuple[str, ...] | None = None,
    penalties: tuple[float, ...] = PENALTIES,
    score: Callable[[np.ndarray, np.ndarray], float] = r2,
) -> Scored:
    """Predict targets t out of fold, alpha chosen on the training folds alone, each held out in turn.

    x: embeddings, finite. folds, groups, test: as of `linear.probe`. score: (predicted, truth) -> what is as
    large as can be for the chosen alpha. ValueError: a group is cut, or a value isn't finite.
    """
    finite(x)
    finite(t)
    predicted, chosen, tested = np.empty(t.shape), {}, []
    for split in splits(folds, groups, test):
        z = standardise(x, split.train)
        train, target = z[split.train], t[split.train]
        held_out = np.empty((len(penalties), *target.shape))
        for held in inner(folds, groups, split):
            held_out[:, held] = grid(train[~held], target[~held], train[held], penalties)
        best = int(np.argmax([score(one, target) for one in held_out]))
        chosen[split.name] = penalties[best]
        predicted[split.test] = grid(train, target, z[split.test], penalties[best : best + 1])[0]
        tested.append(split.test)
    rows = np.sort(np.concatenate(tested))
    return Scored(predicted[rows], rows, chosen)


def grid(
    x: Float[np.ndarray, "n d"],
    t: Float[np.ndarray, "n k"],
    new: Float[np.ndarray, "m d"],
    penalties: tuple[float, ...],
) -> Float[np.ndarray, "p m k"]:
    """Predictions for new rows at each penalty, from one eigendecomposition; the offset isn't penalised."""
    middle, offset = x.mean(0), t.mean(0)
    x, new, t = ((a - m).astype(np.float64) for a, m in ((x, middle), (new, middle), (t, offset)))
    if x.shape[1] <= x.shape[0]:
        value, basis = eigh(x.T @ x)
        left, right = new @ basis, basis.T @ (x.T @ t)
    else:  # the same by rows: (x'x + a)^-1 x' = x' (x x' + a)^-1
        value, basis = eigh(x @ x.T)
        left, right = (new @ x.T) @ basis, basis.T @ t
    value = np.maximum(value, 0)[:, None]
    return np.stack([left @ (right / (value + penalty)) for penalty in penalties]) + offset
