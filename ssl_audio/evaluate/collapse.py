"""The watch over a training run: has the representation collapsed?"""

import numpy as np
from jaxtyping import Float, Int32

from ssl_audio.evaluate.folds import unit
from ssl_audio.evaluate.geometry import embedding_std, rankme

LEAST_STD, LEAST_RANK, LEAST_TARGET = 0.05, 2.0, 0.1


def look(
    x: Float[np.ndarray, "n d"],
    labels: Int32[np.ndarray, " n"] | None = None,
    target_std: float | None = None,
) -> dict[str, float | bool]:
    """Spread, effective rank, alarm, and with labels (codes, -1: none) leave-one-out kNN accuracy of
    embeddings.

    `collapse` is True when the embeddings lie within one point or along one line: `embedding_std` below 0.05
    (1 is isotropic) or RankMe of the centred embeddings below 2. So it is when `target_std`, the spread of
    what a method predicts, is below 0.1: behind a dead projection the encoder may still look alive. Sound
    runs stay above 0.2 there, collapsed ones sink below 0.1 long before they reach a point.
    """
    if not np.isfinite(x).all():
        return {"embedding_std": float("nan"), "rankme": float("nan"), "collapse": True}
    std, rank = embedding_std(x), rankme(x - x.mean(0))
    line = {"embedding_std": std, "rankme": rank, "collapse": bool(std < LEAST_STD or rank < LEAST_RANK)}
    if target_std is not None:
        line["collapse"] = bool(line["collapse"] or target_std < LEAST_TARGET)
    known = None if labels is None else np.flatnonzero(labels >= 0)
    if known is not None and len(known) > 1:
        line["online_knn"] = leave_one_out(x[known], labels[known])
    return line


def leave_one_out(x: Float[np.ndarray, "n d"], y: Int32[np.ndarray, " n"], k: int = 5) -> float:
    """Accuracy of a majority vote of the k nearest others by cosine: cheap, within the set, no protocol."""
    z, k = unit(x - x.mean(0)), min(k, len(x) - 1)
    near = z @ z.T
    np.fill_diagonal(near, -np.inf)
    votes = y[np.argsort(-near, 1, kind="stable")[:, :k]]
    return float(np.mean([np.bincount(v).argmax() == t for v, t in zip(votes, y, strict=True)]))
