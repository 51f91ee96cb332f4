"""Retrieval: does a clip's neighbourhood hold clips of its kind? Every clip asks for the others, by cosine.

Clips of the query's own group (its recording, its speaker) are left out of the answer, or near copies would
be what is found. Average precision as in Manning et al., "Introduction to Information Retrieval", 2008,
chapter 8; R@k as in metric learning, the share of queries with an answer of their kind among the first k.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped

from ssl_audio.evaluate.folds import finite, standardise, unit


@dataclass(frozen=True)
class Retrieved:
    """Answers to every query.

    precision: average precision of each query. hit: by k, whether one of the first k answers is of the
    query's label. queries: their row numbers, rising; a clip without another of its label outside its group
    asks nothing.
    """

    precision: Float[np.ndarray, " q"]
    hit: dict[int, Bool[np.ndarray, " q"]]
    queries: Int64[np.ndarray, " q"]

    @property
    def metrics(self) -> dict[str, float]:
        """ "mAP" and "R@k", 0 to 1."""
        return {"mAP": float(self.precision.mean())} | {
            f"R@{k}": float(hit.mean()) for k, hit in self.hit.items()
        }


def search(
    x: Float[np.ndarray, "n d"],
    y: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    ks: Sequence[int] = (1, 5, 10),
) -> Retrieved:
    """Ask with every clip for all clips of other groups, best first; equal ones in the order of the rows.

    x: embeddings, finite; standardised over all rows, which needs no labels. y: labels. groups: strings. ks:
    how many answers are looked at. ValueError: a value isn't finite, or no clip has another of its label in
    another group.
    """
    finite(x)
    z = unit(standardise(x, np.arange(len(x))))
    code, group = (np.unique(a, return_inverse=True)[1] for a in (y, groups))
    precision, first = np.full(len(x), np.nan), np.zeros(len(x), np.int64)
    for rows in np.array_split(np.arange(len(x)), -(-len(x) // 512)):  # bounded memory
        similar = z[rows] @ z.T
        own = group[rows][:, None] == group[None]
        similar[own] = -np.inf  # to the end of the ranking, and never relevant
        order = np.argsort(-similar, axis=1, kind="stable")
        relevant = np.take_along_axis((code[rows][:, None] == code[None]) & ~own, order, axis=1)
        found, rank = relevant.cumsum(1), np.arange(1, len(x) + 1)
        asked = found[:, -1] > 0
        average = (relevant * found / rank).sum(1)[asked] / found[asked, -1]
        precision[rows[asked]], first[rows] = average, relevant.argmax(1)
    queries = np.flatnonzero(np.isfinite(precision))
    if not len(queries):
        raise ValueError("retrieval: no clip has another of its label in another group; give finer groups")
    return Retrieved(precision[queries], {k: first[queries] < k for k in ks}, queries)
