"""Measures of several labels a clip, from scores: macro mAP, AUC and d', lwlrap."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import norm, rankdata


def average_precision(
    score: Float[np.ndarray, "n c"], truth: Bool[np.ndarray, "n c"]
) -> Float[np.ndarray, " c"]:
    """Average precision of each class, 0 to 1, equal scores counted together; NaN for a class without clips.

    Its mean over classes (`numpy.nanmean`) is the mAP of AudioSet and FSD50K.
    """
    check(score, truth)
    out = np.full(score.shape[1], np.nan)
    for c in np.flatnonzero(truth.any(0)):
        order = np.argsort(-score[:, c], kind="stable")
        last = np.append(np.flatnonzero(np.diff(score[order, c])), len(order) - 1)
        found = truth[order, c].cumsum()[last]
        out[c] = (np.diff(found, prepend=0) * found / (last + 1)).sum() / found[-1]
    return out


def auc(score: Float[np.ndarray, "n c"], truth: Bool[np.ndarray, "n c"]) -> Float[np.ndarray, " c"]:
    """Area under each class's ROC curve, 0.5 by chance; NaN where all clips or none have the class."""
    check(score, truth)
    positive, negative = truth.sum(0), (~truth).sum(0)
    ranks = (rankdata(score, axis=0) * truth).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (ranks - positive * (positive + 1) / 2) / (positive * negative)


def drawn(
    score: Float[np.ndarray, "n c"], truth: Bool[np.ndarray, "n c"], weight: Float[np.ndarray, "draws n"]
) -> tuple[Float[np.ndarray, "draws c"], Float[np.ndarray, "draws c"]]:
    """(`average_precision`, `auc`) of each class where each clip counts `weight` times, for many weights at
    once."""
    check(score, truth)
    shape = len(weight), score.shape[1]
    precision, area = np.full(shape, np.nan), np.full(shape, np.nan)
    for c in range(score.shape[1]):
        order = np.argsort(-score[:, c], kind="stable")
        last = np.append(np.flatnonzero(np.diff(score[order, c])), len(order) - 1)
        w = weight[:, order]
        right = (w * truth[order, c]).cumsum(1)[:, last]
        above = w.cumsum(1)[:, last]
        step, all_right = np.diff(right, prepend=0, axis=1), right[:, -1:]
        wrong = above - right
        with np.errstate(invalid="ignore", divide="ignore"):
            precision[:, c] = (step * np.nan_to_num(right / above)).sum(1) / all_right[:, 0]
            # a positive is above all negatives that come later, and half of those at its own score
            below = wrong[:, -1:] - wrong + np.diff(wrong, prepend=0, axis=1) / 2
            area[:, c] = (step * below).sum(1) / (all_right * wrong[:, -1:])[:, 0]
    return precision, area


def d_prime(mean_auc: float) -> float:
    """d' of a mean AUC, 0 by chance (Hershey et al., "CNN Architectures for Large-Scale Audio", 2017)."""
    return float(np.sqrt(2) * norm.ppf(mean_auc))


def lwlrap(score: Float[np.ndarray, "n c"], truth: Bool[np.ndarray, "n c"]) -> float:
    """Label-weighted label-ranking average precision, 0 to 1: every label of every clip counts alike.

    The measure of DCASE 2019 task 2 (Fonseca et al., "Audio tagging with noisy labels", 2019). Equal scores
    share the worst rank.
    """
    check(score, truth)
    return float(ranked(score, truth)[truth].mean())


def ranked(score: Float[np.ndarray, "n c"], truth: Bool[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
    """For each label of a clip: the share of labels among all classes ranked as high or higher."""
    rank = rankdata(-score, "max", axis=1)
    true_rank = rankdata(np.where(truth, rank, np.inf), "max", axis=1)  # among the clip's own labels
    return true_rank / rank


def check(score, truth) -> None:
    """ValueError: a score isn't finite, or nothing is true."""
    if not np.isfinite(score).all():
        row = int(np.flatnonzero(~np.isfinite(score).all(1))[0])
        raise ValueError(f"scores: row {row} has NaN or infinite values")
    if not truth.any():
        raise ValueError("labels: no clip has any")
