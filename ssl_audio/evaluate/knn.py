"""Nearest neighbours: cosine similarity, softmax-weighted votes, nothing trained.

k = 10 and temperature 0.07 are DINO's rule (Caron et al. 2021, Wu et al. 2018) and X-ARES's (Zhang et al.
2025, arXiv:2505.16369). They take embeddings raw; here they are standardised with the training folds first,
or features with a large common offset, such as log-mel statistics, would be a floor made of straw.
"""

import numpy as np
from jaxtyping import Float, Shaped

from ssl_audio.evaluate.folds import Outcome, finite, splits, standardise, unit


def probe(
    x: Float[np.ndarray, "n d"],
    y: Shaped[np.ndarray, " n"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    *,
    test: tuple[str, ...] | None = None,
    seed: int = 0,
    k: int = 10,
    temperature: float = 0.07,
) -> Outcome:
    """Out-of-fold votes of the k nearest training clips.

    Arguments and errors as `linear.probe`; seed: unused.
    """
    finite(x)
    classes, code = np.unique(y, return_inverse=True)
    predicted = np.full(len(x), -1)
    for split in splits(folds, groups, test):
        z = unit(standardise(x, split.train))
        train, label = z[split.train], code[split.train]
        near = min(k, len(train))
        some = max(1, min(1024, 2**26 // len(train)))  # bounded memory
        for rows in np.array_split(split.test, -(-len(split.test) // some)):
            similar = z[rows] @ train.T
            best = np.argpartition(-similar, near - 1, axis=1)[:, :near]
            weight = np.exp((np.take_along_axis(similar, best, 1) - 1) / temperature)
            votes = np.zeros((len(rows), len(classes)))
            np.add.at(votes, (np.arange(len(rows))[:, None], label[best]), weight)
            predicted[rows] = votes.argmax(1)
    return Outcome.of(classes, code, predicted, {})
