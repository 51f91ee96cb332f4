"""Anomaly detectors on embeddings, and one class as normal against the rest.

A detector is a frozen dataclass: options, and after `fit` its arrays. `fit(bank)` gives a new one, `score(x)`
a number a row (higher: more anomalous) that doesn't depend on the other rows, to the last bit;
`train_scores()` the bank's own scores without a clip counting as its own neighbour; `save` and `load` an
.npz. A detector is a class here with those.
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Shaped
from scipy.spatial.distance import cdist
from sklearn.covariance import ledoit_wolf

from ssl_audio.disk import aside
from ssl_audio.evaluate.folds import finite, splits, unit


def _ready(x: np.ndarray, width: int | None = None) -> Float64[np.ndarray, "n d"]:
    finite(x)
    if width is not None and x.shape[1] != width:
        raise ValueError(f"embeddings have {x.shape[1]} dimensions, the detector was fitted on {width}")
    return x.astype(np.float64)


def _save(detector: Any, path: Path | str) -> None:
    state = {f.name: getattr(detector, f.name) for f in fields(detector)}
    if any(value is None for value in state.values()):
        raise ValueError(f"{type(detector).__name__} isn't fitted; call fit(bank) before save")
    with aside(Path(path)) as beside, open(beside, "wb") as file:
        np.savez(file, detector=np.array(type(detector).__name__), **state)


def _load(kind: type, path: Path | str) -> Any:
    with np.load(path) as state:
        found = str(state["detector"]) if "detector" in state else "nothing known"
        if found != kind.__name__:
            raise ValueError(
                f"{path}: holds {found}, not {kind.__name__}; load it with the class that saved it"
            )
        return kind(
            **{f.name: state[f.name] if state[f.name].ndim else state[f.name].item() for f in fields(kind)}
        )


@dataclass(frozen=True)
class KNN:
    """Mean Euclidean distance to the k nearest normal clips (Ramaswamy et al. 2000; Eskin et al. 2002).

    k: 1 or more, at most the bank's size. normalise: scale embeddings to length 1, which makes it cosine's
    order. standardise: then, with the bank's mean and deviation; a dimension without spread is only centred.
    """

    k: int = 5
    normalise: bool = False
    standardise: bool = True
    mean: Float64[np.ndarray, " d"] | None = None
    scale: Float64[np.ndarray, " d"] | None = None
    bank: Float64[np.ndarray, "n d"] | None = None

    def fit(self, bank: Float[np.ndarray, "n d"]) -> "KNN":
        """The detector with the normal clips `bank` in it. ValueError: NaN, or fewer rows than k."""
        x = self._length(_ready(bank))
        if not 1 <= self.k <= len(x):
            raise ValueError(f"k is {self.k} and the bank has {len(x)} clips; k must be from 1 to that")
        mean, std = x.mean(0), x.std(0)
        if not self.standardise:
            mean, std = np.zeros_like(mean), np.ones_like(std)
        scale = np.where(std > 1e-7 * (np.abs(mean) + 1e-30), std, 1.0)
        return replace(self, mean=mean, scale=scale, bank=(x - mean) / scale)

    def _length(self, x):
        return unit(x) if self.normalise else x

    def score(self, x: Float[np.ndarray, "m d"]) -> Float64[np.ndarray, " m"]:
        """Mean distance of each row to its k nearest of the bank. ValueError: NaN, or another width."""
        # cdist, not a matrix product: BLAS rounds a row differently in another batch
        z = (self._length(_ready(x, len(self.mean))) - self.mean) / self.scale
        distance = cdist(z, self.bank)
        return np.sort(np.partition(distance, self.k - 1, axis=1)[:, : self.k], axis=1).mean(1)

    def train_scores(self) -> Float64[np.ndarray, " n"]:
        """The bank's scores, no clip its own neighbour. ValueError: the bank has only k clips."""
        if len(self.bank) <= self.k:
            raise ValueError(
                f"k is {self.k} and the bank has {len(self.bank)} clips; leaving one out needs more"
            )
        distance = cdist(self.bank, self.bank)
        np.fill_diagonal(distance, np.inf)
        return np.sort(np.partition(distance, self.k - 1, axis=1)[:, : self.k], axis=1).mean(1)

    def save(self, path: Path | str) -> None:
        """Write options and arrays to an .npz, atomically."""
        _save(self, path)

    @classmethod
    def load(cls, path: Path | str) -> "KNN":
        """The detector that `save` wrote."""
        return _load(cls, path)


@dataclass(frozen=True)
class Mahalanobis:
    """Mahalanobis distance to the normal clips' mean, covariance shrunk by Ledoit and Wolf (2004).

    Usable with fewer clips than dimensions. Lee et al. 2018 use it on features for out-of-distribution
    detection.
    """

    mean: Float64[np.ndarray, " d"] | None = None
    precision: Float64[np.ndarray, "d d"] | None = None
    bank: Float64[np.ndarray, "n d"] | None = None

    def fit(self, bank: Float[np.ndarray, "n d"]) -> "Mahalanobis":
        """The detector with mean and precision of `bank`. ValueError: NaN, or no two rows differ."""
        x = _ready(bank)
        if len(x) < 2 or not x.std(0).any():
            raise ValueError(f"the bank has {len(x)} clips, all alike; a covariance needs two that differ")
        return replace(self, mean=x.mean(0), precision=np.linalg.inv(ledoit_wolf(x)[0]), bank=x)

    def score(self, x: Float[np.ndarray, "m d"]) -> Float64[np.ndarray, " m"]:
        """Distance of each row. ValueError: NaN, or another width."""
        return cdist(_ready(x, len(self.mean)), self.mean[None], "mahalanobis", VI=self.precision)[:, 0]

    def train_scores(self) -> Float64[np.ndarray, " n"]:
        """The bank's scores, each clip left out of the mean it is compared with (the precision stays)."""
        n = len(self.bank)
        return self.score(self.bank) * n / (n - 1)  # x - mean of the others = (x - mean) n / (n - 1)

    def save(self, path: Path | str) -> None:
        """Write the arrays to an .npz, atomically."""
        _save(self, path)

    @classmethod
    def load(cls, path: Path | str) -> "Mahalanobis":
        """The detector that `save` wrote."""
        return _load(cls, path)


def _wins(
    score: np.ndarray, groups: np.ndarray, strange: np.ndarray
) -> tuple[Float64[np.ndarray, "a b"], Float64[np.ndarray, " a"], Float64[np.ndarray, " b"]]:
    """AUC's numerator by (anomalous, normal) group: pairs in which the anomaly scores higher, ties half."""
    a_code = np.unique(groups[strange], return_inverse=True)[1]
    b_code = np.unique(groups[~strange], return_inverse=True)[1]
    a, b = score[strange][:, None], score[~strange][None]
    wins = np.zeros((len(a), b_code.max() + 1))
    np.add.at(wins.T, b_code, ((a > b) + 0.5 * (a == b)).T)
    total = np.zeros((a_code.max() + 1, wins.shape[1]))
    np.add.at(total, a_code, wins)
    return total, np.bincount(a_code).astype(float), np.bincount(b_code).astype(float)


def one_class(
    x: Float[np.ndarray, "n d"],
    labels: Shaped[np.ndarray, " n"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    normal: str,
    detector: Any,
    seed: int = 0,
    *,
    test: tuple[str, ...] | None = None,
) -> dict[str, Any]:
    """Record of one class as normal: fit on its training clips, AUC on all clips of the test folds.

    AUC is taken within each fold, since scores of two fits have two scales, and averaged with the folds'
    numbers of normal test clips as weights; folds in which `normal` has no test or no training clips are left
    out. ci95: bootstrap over groups, normal and anomalous ones drawn apart in each fold. test: as in
    `evaluate.linear.probe`. Task and system are the caller's to add. ValueError: no fold has normal clips on
    both sides, or a group is cut.
    """
    finite(x)
    rng = np.random.default_rng(seed)
    strange = labels != normal
    values, draws, weights, n, parts = [], [], [], 0, 0
    for split in splits(folds, groups, test):
        train, rows = split.train[~strange[split.train]], split.test
        normals = int((~strange[rows]).sum())
        if not len(train) or not normals or normals == len(rows):
            continue
        score = detector.fit(x[train]).score(x[rows])
        wins, a, b = _wins(score, groups[rows], strange[rows])
        values.append(wins.sum() / (a.sum() * b.sum()))
        at = rng.multinomial(len(a), np.full(len(a), 1 / len(a)), 2000)
        bt = rng.multinomial(len(b), np.full(len(b), 1 / len(b)), 2000)
        draws.append(((at @ wins) * bt).sum(1) / ((at @ a) * (bt @ b)))
        weights.append(normals)
        n, parts = n + len(rows), parts + len(a) + len(b)
    if not values:
        raise ValueError(
            f"no fold has clips of {normal!r} both to train and to test on, beside others to detect"
        )
    low, high = np.percentile(np.average(draws, axis=0, weights=weights), (2.5, 97.5))
    return {
        "metric": "auc",
        "value": float(np.average(values, weights=weights)),
        "ci95": [float(low), float(high)],
        "n": n,
        "groups": parts,
        "seed": seed,
        "normal": normal,
        "protocol": f"{type(detector).__name__} fitted on {normal!r} of the training folds, AUC within each "
        f"of {len(values)} test folds, averaged by normal clips; ci95: stratified bootstrap over groups",
    }
