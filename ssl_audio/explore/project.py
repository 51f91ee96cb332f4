"""Embeddings to the plane, seeded: PCA, which keeps far distances, and t-SNE, which keeps neighbours."""

import numpy as np
from jaxtyping import Float, Float32, Int64
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from ssl_audio.evaluate.folds import finite, unit


def standardised(x: Float[np.ndarray, "n d"]) -> Float32[np.ndarray, "n d"]:
    """Every column with mean 0 and deviation 1 over the rows; a column without spread becomes 0.

    ValueError: a value isn't finite.
    """
    finite(x)
    x = x.astype(np.float64)
    mean, std = x.mean(0), x.std(0)
    spread = std > 1e-7 * (np.abs(mean) + 1e-30)  # else what is left is rounding error
    return ((x - mean) * np.where(spread, 1 / np.where(spread, std, 1.0), 0.0)).astype(np.float32)


def pca(x: Float[np.ndarray, "n d"], width: int = 2, seed: int = 0) -> Float32[np.ndarray, "n {width}"]:
    """The `width` main axes of the standardised rows; those beyond the rank are 0. ValueError: not finite."""
    z = standardised(x)
    kept = min(width, *z.shape)
    if not z.any():
        return np.zeros((len(z), width), np.float32)
    found = PCA(kept, random_state=seed).fit_transform(z)
    return np.pad(found, ((0, 0), (0, width - kept))).astype(np.float32)


def tsne(x: Float[np.ndarray, "n d"], seed: int = 0, perplexity: float = 30.0) -> Float32[np.ndarray, "n 2"]:
    """t-SNE of the first 50 main axes (van der Maaten and Hinton 2008), begun at PCA; one seed, one map.

    Near means alike; distances between far groups, their sizes and the axes mean nothing. perplexity: about
    how many neighbours count, lowered to a third of the rows. Fewer than 5 rows, or rows all alike, are shown
    by PCA.
    ValueError: x isn't finite.
    """
    z = pca(x, min(50, x.shape[1]), seed)
    if len(z) < 5 or not z.any():
        return pca(x, 2, seed)
    begin = z[:, :2] if z.shape[1] > 1 else np.pad(z, ((0, 0), (0, 1)))
    begin = 1e-4 * begin / begin[:, 0].std()
    effort = min(perplexity, (len(z) - 1) / 3)
    # one thread: sums then have one order, and threads that wait for each other cost ten times more on a busy
    # machine
    with threadpool_limits(1):
        return TSNE(init=begin, perplexity=effort, random_state=seed).fit_transform(z).astype(np.float32)


def neighbours(x: Float[np.ndarray, "n d"], k: int = 5) -> Int64[np.ndarray, "n k"]:
    """The k most alike other rows of each row, nearest first, by cosine of the standardised rows.

    k is lowered to n - 1. ValueError: x isn't finite.
    """
    z = unit(standardised(x))
    k, found = min(k, len(z) - 1), []
    for begin in range(0, len(z), 1024):  # a block at a time: n x n wouldn't fit for a big store
        near = z[begin : begin + 1024] @ z.T
        near[np.arange(len(near)), begin + np.arange(len(near))] = -np.inf
        found.append(np.argsort(-near, axis=1, kind="stable")[:, :k])
    return np.concatenate(found).astype(np.int64)
