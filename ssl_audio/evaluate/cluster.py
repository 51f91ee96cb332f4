"""k-means: does the geometry find the classes without being told them?

As many clusters as classes, on embeddings standardised over the clustered clips and then scaled to length 1;
ten starts, the best kept, repeated over seeds. NMI with the arithmetic mean, adjusted Rand index, and
accuracy after the best one-to-one matching of clusters to classes (Hungarian: Kuhn 1955; as in Xie et al.,
"DEC", 2016).
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped
from joblib import cpu_count
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from threadpoolctl import threadpool_limits

from ssl_audio.evaluate.folds import finite, splits, standardise, unit


@dataclass(frozen=True)
class Clusters:
    """k-means over several seeds.

    correct: by seed and tested clip, whether its cluster is matched to its class. nmi, ari, accuracy: by
    seed.
    """

    correct: Bool[np.ndarray, "seeds n"]
    tested: Int64[np.ndarray, " n"]
    nmi: Float[np.ndarray, " seeds"]
    ari: Float[np.ndarray, " seeds"]
    accuracy: Float[np.ndarray, " seeds"]

    @property
    def metrics(self) -> dict[str, float]:
        return {name: float(getattr(self, name).mean()) for name in ("nmi", "ari", "accuracy")}

    @property
    def spread(self) -> dict[str, float]:
        """Standard deviation over seeds (n - 1)."""
        return {name: float(getattr(self, name).std(ddof=1)) for name in ("nmi", "ari", "accuracy")}


def match(y: Int64[np.ndarray, " n"], found: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which clips lie in the cluster that the best one-to-one matching gives to their class."""
    table = np.zeros((int(y.max()) + 1, int(found.max()) + 1), np.int64)
    np.add.at(table, (y, found), 1)
    klass, cluster = linear_sum_assignment(table, maximize=True)
    matched = np.full(table.shape[1], -1)
    matched[cluster] = klass
    return matched[found] == y


def probe(
    x: Float[np.ndarray, "n d"],
    y: Shaped[np.ndarray, " n"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    *,
    test: tuple[str, ...] | None = None,
    seed: int = 0,
    seeds: int = 5,
) -> Clusters:
    """Cluster the clips that are tested, all together; nothing is trained.

    Arguments and errors as `linear.probe`. seed: the first of `seeds` neighbouring ones.
    """
    finite(x)
    tested = np.sort(np.concatenate([split.test for split in splits(folds, groups, test)]))
    z = unit(standardise(x[tested], np.arange(len(tested))))
    code = np.unique(y[tested], return_inverse=True)[1]

    def run(one: int) -> Int64[np.ndarray, " m"]:
        # OpenMP's limit belongs to the calling thread, BLAS's to the process
        with threadpool_limits(1, "openmp"):
            means = KMeans(int(code.max()) + 1, n_init=10, random_state=seed * seeds + one)
            return means.fit_predict(z).astype(np.int64)

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(cpu_count()) as pool:
        found = list(pool.map(run, range(seeds)))
    nmi = np.array([normalized_mutual_info_score(code, one) for one in found])
    ari = np.array([adjusted_rand_score(code, one) for one in found])
    correct = np.stack([match(code, one) for one in found])
    return Clusters(correct, tested, nmi, ari, correct.mean(1))
