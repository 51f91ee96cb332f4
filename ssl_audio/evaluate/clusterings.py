"""Clusterings of embeddings side by side: k-means in several spaces, Ward's tree, HDBSCAN; how many clusters
there are; which clips stand for one.

Unlike `cluster`, which is one fixed protocol, this is for looking: nothing here needs labels, and where there
are some it says how well each clustering agrees with them.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64, Shaped
from sklearn.cluster import HDBSCAN, AgglomerativeClustering, KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    normalized_mutual_info_score,
    silhouette_score,
)

from ssl_audio.evaluate.cluster import match
from ssl_audio.evaluate.folds import finite, standardise, unit

COMPONENTS = 50
"""Principal components that are kept where distances in all dimensions say little."""

WAYS = 6
"""How many `clusterings` are made."""


class Clustering(NamedTuple):
    """A way to cluster, and what it found from each seed: cluster of each clip, -1 for none."""

    name: str
    space: str
    found: Int64[np.ndarray, "seeds n"]
    silhouette: Float[np.ndarray, " seeds"]

    @property
    def clusters(self) -> float:
        """Their number, mean over seeds."""
        return float(np.mean([len(np.unique(one[one >= 0])) for one in self.found]))


def spaces(x: Float[np.ndarray, "n d"], seed: int = 0) -> dict[str, Float[np.ndarray, "n _"]]:
    """x as it is; scaled to length 1; standardised and scaled to length 1, as `cluster` does; whitened: its
    first principal components, at most 50, each of variance 1. ValueError: a value isn't finite."""
    finite(x)
    z = standardise(x, np.arange(len(x)))
    return {
        "as it is": x.astype(np.float32),
        "length 1": unit(x).astype(np.float32),
        "standardised, length 1": unit(z),
        "whitened": components(z, seed, whiten=True).astype(np.float32),
    }


WARD = 10_000
"""Clips whose distances to one another fit into the memory: 0.8 GB."""


def components(z: Float[np.ndarray, "n d"], seed: int, whiten: bool = False) -> Float[np.ndarray, "n _"]:
    """The first principal components, at most 50; whitened without those that are rounding alone."""
    pca = PCA(min(COMPONENTS, *z.shape, len(z) - 1), whiten=whiten, random_state=seed)
    found, variance = pca.fit_transform(z), pca.explained_variance_
    return found[:, variance > 1e-6 * variance[0]] if whiten and variance[0] > 0 else found


def clusterings(x: Float[np.ndarray, "n d"], k: int, seeds: int = 5, seed: int = 0) -> Iterator[Clustering]:
    """k-means with k clusters in every space, from `seeds` seeds (3 starts each); then Ward's tree cut into
    k (of at most `WARD` clips), and HDBSCAN, which finds k itself, on the principal components of what is
    standardised."""
    for name, z in (found := spaces(x, seed)).items():
        each = [KMeans(k, n_init=3, random_state=seed * seeds + i).fit_predict(z) for i in range(seeds)]
        yield made("k-means", name, z, each)
    z = found["standardised, length 1"]
    few = components(z, seed)
    name = f"standardised, length 1, {few.shape[1]} components"
    if len(x) <= WARD:
        yield made("Ward", name, few, [AgglomerativeClustering(k).fit_predict(few)])
    least = min(len(x), max(5, len(x) // 100))
    yield made("HDBSCAN", name, few, [HDBSCAN(min_cluster_size=least, copy=True).fit_predict(few)])


def made(name: str, space: str, z, each) -> Clustering:
    found = np.stack(each).astype(np.int64)
    return Clustering(name, space, found, np.array([silhouette(z, one) for one in found]))


def silhouette(z: Float[np.ndarray, "n d"], found: Int64[np.ndarray, " n"], most: int = 2000) -> float:
    """How much nearer a clip is to its own cluster than to the next, -1 to 1, of at most `most` clips; NaN
    where there is but one cluster. Rousseeuw, 1987."""
    rows = np.flatnonzero(found >= 0)
    if len(rows) > most:
        rows = np.random.default_rng(0).choice(rows, most, replace=False)
    count = len(np.unique(found[rows]))
    return float(silhouette_score(z[rows], found[rows])) if 1 < count < len(rows) else float("nan")


def agreement(found: Int64[np.ndarray, " n"], y: Shaped[np.ndarray, " n"]) -> dict[str, float]:
    """With labels: NMI (of the arithmetic mean; the V-measure is the same number), AMI, ARI, purity, and
    accuracy of the best one-to-one matching. Clips in no cluster are one together."""
    code = np.unique(y, return_inverse=True)[1]
    table = np.zeros((found.max() + 2, code.max() + 1), np.int64)
    np.add.at(table, (found + 1, code), 1)
    return {
        "NMI": float(normalized_mutual_info_score(code, found)),
        "AMI": float(adjusted_mutual_info_score(code, found)),
        "ARI": float(adjusted_rand_score(code, found)),
        "purity": float(table.max(1).sum() / len(code)),
        "accuracy": float(match(code, found + 1).mean()),
    }


class Count(NamedTuple):
    """k-means with k clusters: the higher either number, the better."""

    k: int
    silhouette: float
    bic: float


def counts(x: Float[np.ndarray, "n d"], most: int | None = None, seed: int = 0) -> list[Count]:
    """How many clusters? k from 2 to `most` (default 64, or a fifth of the clips), each some way above the
    last."""
    finite(x)
    z = components(unit(standardise(x, np.arange(len(x)))), seed)
    most = min(64, len(x) // 5) if most is None else most
    ks = np.unique(np.round(np.geomspace(2, max(most, 2), 16)).astype(int))
    out = []
    for k in ks:
        means = KMeans(int(k), n_init=3, random_state=seed).fit(z)
        found = means.labels_.astype(np.int64)
        out.append(Count(int(k), silhouette(z, found), bic(z, found, means.cluster_centers_)))
    return out


def bic(
    z: Float[np.ndarray, "n d"], found: Int64[np.ndarray, " n"], centres: Float[np.ndarray, "k d"]
) -> float:
    """Bayesian information criterion of round clusters of one variance: log-likelihood - parameters / 2 *
    log n, the higher the better. Pelleg & Moore, "X-means", 2000."""
    (n, d), k = z.shape, len(centres)
    size = np.bincount(found, minlength=k)
    variance = max(((z - centres[found]) ** 2).sum() / (d * max(n - k, 1)), 1e-12)
    mixture = (size[size > 0] * np.log(size[size > 0] / n)).sum()
    fit = mixture - n * d / 2 * np.log(2 * np.pi * variance) - d * (n - k) / 2
    return float(fit - (k - 1 + k * d + 1) / 2 * np.log(n))


def medoids(
    x: Float[np.ndarray, "n d"], found: Int64[np.ndarray, " n"], count: int = 5
) -> dict[int, Int64[np.ndarray, " m"]]:
    """Of each cluster, the largest first, the clips nearest to its mean: what is in it, to be listened to."""
    z = unit(standardise(x, np.arange(len(x))))
    names, size = np.unique(found[found >= 0], return_counts=True)
    out = {}
    for name in names[np.argsort(-size, kind="stable")]:
        rows = np.flatnonzero(found == name)
        distance = ((z[rows] - z[rows].mean(0)) ** 2).sum(1)
        out[int(name)] = rows[np.argsort(distance, kind="stable")[:count]]
    return out
