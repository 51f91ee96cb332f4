"""Linear probe: logistic regression on standardised embeddings, C chosen on training folds only.

The protocol is HEAR's in small (Turian et al., "HEAR: Holistic Evaluation of Audio Representations", 2022).
The optimum is that of sklearn's LogisticRegression(C); sklearn's own solvers need minutes for ESC-50 at 1024
dimensions, this one seconds: truncated Newton, whose conjugate gradients are preconditioned by the Hessian's
diagonal in the basis of principal components. That basis is a rotation, so neither loss nor penalty changes,
and with more dimensions than training rows only the rows' span is kept, outside of which the optimum is zero.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64, Shaped
from joblib import cpu_count
from scipy.linalg import eigh
from scipy.special import expit, log_softmax, softmax
from threadpoolctl import threadpool_limits

from ssl_audio.evaluate.folds import Outcome, Scored, Split, finite, inner, splits, standardise
from ssl_audio.evaluate.multilabel import average_precision

Balance = Literal["none", "weights", "over", "under"]
STRENGTHS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


def rotate(
    x: Float32[np.ndarray, "n d"], rows: Int64[np.ndarray, " m"]
) -> Float32[np.ndarray, "n d_and_one"]:
    """x in the principal components of `rows`, all that have variance, and a column of ones for the bias."""
    train = x[rows]
    if train.shape[1] <= train.shape[0]:
        basis = eigh(train.T @ train)[1]
    else:
        variance, left = eigh(train @ train.T)
        kept = variance > variance[-1] * 1e-7  # below that lies float32's rounding
        basis = train.T @ left[:, kept] / np.sqrt(variance[kept])
    return np.concatenate([x @ basis, np.ones((len(x), 1), np.float32)], axis=1)


def solve(
    z: Float[np.ndarray, "n d"],
    y: Int64[np.ndarray, " n"] | Bool[np.ndarray, "n c"],
    classes: int,
    strength: float,
    start: Float[np.ndarray, "d c"] | None = None,
    tolerance: float = 1e-5,
    weight: Float[np.ndarray, " n"] | None = None,
) -> Float[np.ndarray, "d c"]:
    """Weights that minimise mean cross-entropy + |w|^2 / (2 C n); the last column of z is 1, unpenalised.

    y: the class of each row; or which classes each row has, then every class is a regression of its own.
    weight: how often each row counts; None: once. Stops when the next Newton step can't lower the objective
    by more than about `tolerance` of it.
    """
    several = y.ndim == 2
    n, d = z.shape
    penalty = np.full((d, 1), 1 / (strength * n), z.dtype)
    penalty[-1] = 0
    truth = y.astype(z.dtype) if several else np.eye(classes, dtype=z.dtype)[y]
    weight = np.ones((n, 1), z.dtype) if weight is None else weight.astype(z.dtype)[:, None]
    squares = z * z
    w = np.zeros((d, classes), z.dtype) if start is None else start.copy()
    logits = z @ w

    def objective(logits, w):
        if several:
            loss, p = np.logaddexp(0, logits) - truth * logits, expit(logits)
        else:
            log_p = log_softmax(logits, axis=1)
            loss, p = -log_p[np.arange(n), y][:, None], np.exp(log_p)
        value = float((weight * loss).sum(dtype=np.float64)) / n
        return value + 0.5 * float((penalty * w * w).sum(dtype=np.float64)), p

    value, p = objective(logits, w)
    first = None
    for _ in range(100):
        gradient = z.T @ (weight * (p - truth)) / n + penalty * w
        # the small number keeps the bias of a class that is never in doubt from a division by zero
        diagonal = squares.T @ (weight * p * (1 - p)) / n + penalty + 1e-8
        residual, step, logits_step = -gradient, np.zeros_like(w), np.zeros_like(logits)
        direction = residual / diagonal
        rho = initial = float((residual * direction).sum())
        first = first or initial
        if initial / 2 <= tolerance * value:
            break
        enough = initial * min(0.0625, initial / first)  # looser far from the optimum
        for _ in range(200):
            u = z @ direction
            pu = weight * p * u
            curved = z.T @ (pu - p * (pu if several else pu.sum(1, keepdims=True))) / n + penalty * direction
            bent = float((direction * curved).sum())
            if not bent > 0:  # all rows are of one class, and their loss is down to rounding
                break
            length = rho / bent
            step += length * direction
            logits_step += length * u
            residual -= length * curved
            scaled = residual / diagonal
            rho, last = float((residual * scaled).sum()), rho
            if rho < enough:
                break
            direction = scaled + (rho / last) * direction
        slope, t = float((gradient * step).sum()), 1.0
        new, new_p = objective(logits + logits_step, w + step)
        while new > value + 1e-4 * t * slope and t > 1e-4:
            t /= 2
            new, new_p = objective(logits + t * logits_step, w + t * step)
        if new >= value:  # rounding error is all that is left
            break
        w, logits, value, p = w + t * step, logits + t * logits_step, new, new_p
    return w


def weights(
    y: Int64[np.ndarray, " n"] | Bool[np.ndarray, "n c"], balance: Balance, seed: int = 0
) -> Float[np.ndarray, " n"] | None:
    """How often rows count so that classes count alike; None: every row once.

    y: the class of each row. balance: "weights": in inverse proportion to their class, 1 on average; "over":
    as if rows of the smaller classes were drawn again until there are as many as of the largest; "under": as
    if rows of the larger classes had been left out, drawn by the seed.
    """
    if balance == "none":
        return None
    names, code, count = np.unique(y, return_inverse=True, return_counts=True)
    rng, out = np.random.default_rng(seed), len(y) / (len(names) * count[code])
    if balance != "weights":
        wanted = count.max() if balance == "over" else count.min()
        for c in range(len(names)):
            rows = rng.permutation(np.flatnonzero(code == c))
            out[rows] = np.bincount(np.arange(wanted) % len(rows), minlength=len(rows))
    return out


def _fold(x, y, classes, folds, groups, strengths, balance, split: Split):
    z = rotate(standardise(x, split.train), split.train)
    train, label = z[split.train], y[split.train]
    good = precise if y.ndim == 2 else right if balance == "none" else balanced
    found, fits = [], [(held, None) for held in inner(folds, groups, split)]
    score = np.empty((len(train), classes), np.float32)
    for strength in strengths:  # from the strongest penalty: each optimum starts the next
        # looser than the last fit: half the time, and accuracies within 0.002 on FSDD
        fits = [
            (
                held,
                solve(train[~held], label[~held], classes, strength, w, 1e-4, weights(label[~held], balance)),
            )
            for held, w in fits
        ]
        for held, w in fits:
            score[held] = train[held] @ w
        found.append(good(score, label))
        if max(found[-2:]) < max(found):  # twice worse than the best; and the weak penalties take longest
            break
    strength = strengths[int(np.argmax(found))]  # a tie keeps the stronger penalty
    w = solve(train, label, classes, strength, weight=weights(label, balance))
    return z[split.test] @ w, strength


def right(score: Float[np.ndarray, "n c"], label: Int64[np.ndarray, " n"]) -> float:
    return float((score.argmax(1) == label).mean())


def balanced(score: Float[np.ndarray, "n c"], label: Int64[np.ndarray, " n"]) -> float:
    hit, count = (np.bincount(label, weights=w) for w in (score.argmax(1) == label, None))
    return float((hit[count > 0] / count[count > 0]).mean())


def precise(score: Float[np.ndarray, "n c"], truth: Bool[np.ndarray, "n c"]) -> float:
    return float(np.nanmean(average_precision(score, truth))) if truth.any() else 0.0


def fitted(x, y, classes, folds, groups, test, strengths, balance="none") -> Scored:
    """Scores of the test rows of every fold."""
    finite(x)
    todo = list(splits(folds, groups, test))
    # a fold a thread: the matrices are too narrow for BLAS's own threads to pay; more folds at once than
    # cores fight over the cache
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(cpu_count()) as pool:
        one = lambda split: _fold(x, y, classes, folds, groups, strengths, balance, split)
        done = list(pool.map(one, todo))
    rows = np.concatenate([split.test for split in todo])
    order = np.argsort(rows)
    chosen = {split.name: strength for split, (_, strength) in zip(todo, done, strict=True)}
    return Scored(np.concatenate([score for score, _ in done])[order], rows[order], chosen)


def probe(
    x: Float[np.ndarray, "n d"],
    y: Shaped[np.ndarray, " n"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    *,
    test: tuple[str, ...] | None = None,
    seed: int = 0,
    strengths: tuple[float, ...] = STRENGTHS,
    balance: Balance = "none",
) -> Outcome:
    """Out-of-fold predictions of a logistic regression on frozen embeddings.

    x: embeddings, finite. y: labels. folds, groups: strings, a group within one fold. test: None for k folds,
    else the folds that are the test set. seed: unused, the optimum is unique. strengths: values of C, rising,
    tried until two in a row are worse than the best so far; the most accurate over the training folds, each
    held out in turn (`folds.inner`), is taken and the fit redone on all training rows; standardised with the
    training rows' mean and deviation. balance: of the classes in training (`weights`); C is then chosen by
    balanced accuracy. ValueError: a group is cut, or a value isn't finite.
    """
    classes, code = np.unique(y, return_inverse=True)
    out = fitted(x, code, len(classes), folds, groups, test, strengths, balance)
    p = softmax(out.scores, axis=1)[np.arange(len(out.tested)), code[out.tested]]
    return out.best(classes, code, p)


def several(
    x: Float[np.ndarray, "n d"],
    truth: Bool[np.ndarray, "n c"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    *,
    test: tuple[str, ...] | None = None,
    strengths: tuple[float, ...] = STRENGTHS,
) -> Scored:
    """Out-of-fold scores (log odds) where clips have several labels: a regression a class, one C for all.

    truth: which classes each clip has. Otherwise as `probe`; C is chosen by the mean average precision.
    """
    return fitted(x, truth, truth.shape[1], folds, groups, test, strengths)
