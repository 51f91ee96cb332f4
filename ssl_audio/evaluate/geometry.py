"""The shape of an embedding cloud without labels: is it collapsed, spread evenly, like another one?"""

import numpy as np
from jaxtyping import Float

from ssl_audio.evaluate.folds import unit


def rankme(x: Float[np.ndarray, "n d"]) -> float:
    """Effective rank, between 1 and min(n, d): exp of the entropy of the normalised singular values.

    x is taken as it is, not centred (Garrido et al., "RankMe", 2023). All zeros: 1.
    """
    values = np.linalg.svd(x.astype(np.float64), compute_uv=False)
    if not values.any():
        return 1.0
    p = values / values.sum()
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum()))


def embedding_std(x: Float[np.ndarray, "n d"]) -> float:
    """Spread of embeddings scaled to length 1: mean deviation of a dimension over clips, times sqrt(d).

    About 1 for an isotropic cloud, 0 for a collapsed one (Chen and He, "SimSiam", 2021, figure 2).
    """
    return float(unit(x.astype(np.float64)).std(0).mean() * np.sqrt(x.shape[1]))


def participation(x: Float[np.ndarray, "n d"]) -> float:
    """Participation ratio, between 1 and min(n - 1, d): how many directions share the variance.

    (Sum of the covariance's eigenvalues)^2 / sum of their squares; 1 for a cloud without any.
    """
    values = np.linalg.svd(x.astype(np.float64) - x.mean(0, dtype=np.float64), compute_uv=False) ** 2
    return float(values.sum() ** 2 / (values**2).sum()) if values.any() else 1.0


def alignment(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "n d"]) -> float:
    """Mean squared distance of pairs on the unit sphere, 0 (equal) to 4 (opposite).

    a, b: row i of both is one pair, two views of a clip or two clips of a class. Wang and Isola,
    "Understanding Contrastive Representation Learning through Alignment and Uniformity", 2020.
    """
    return float(((unit(a.astype(np.float64)) - unit(b.astype(np.float64))) ** 2).sum(1).mean())


def uniformity(x: Float[np.ndarray, "n d"]) -> float:
    """Logarithm of the mean of exp(-2 |u - v|^2) over pairs on the unit sphere: 0 (a point) down to -4.

    Wang and Isola, 2020, with t = 2; -4 is what many dimensions evenly filled come to.
    """
    z = unit(x.astype(np.float64))
    length, total = (z * z).sum(1), 0.0  # 1, but of a row of zeros
    for rows in np.array_split(np.arange(len(z)), -(-len(z) // 1024)):  # bounded memory
        near = np.exp(2 * (2 * z[rows] @ z.T - length[rows][:, None] - length[None]))
        near[np.arange(len(rows)), rows] = 0
        total += near.sum()
    return float(np.log(total / (len(z) * (len(z) - 1))))


def isotropy(x: Float[np.ndarray, "n d"]) -> float:
    """0 (all in one direction) to 1 (none preferred): least over greatest partition sum along principal axes.

    Of the vectors scaled to length 1. Mu and Viswanath, "All-but-the-Top", 2018, equation 7.
    """
    z = unit(x.astype(np.float64))
    axes = np.linalg.eigh(z.T @ z)[1]
    along = z @ np.concatenate([axes, -axes], axis=1)
    sums = np.exp(along).sum(0)
    return float(sums.min() / sums.max())


def cka(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "n e"]) -> float:
    """Linear centred kernel alignment of two embeddings of the same clips, 0 (nothing shared) to 1.

    1 where one is the other rotated and scaled; too high where n isn't much more than the dimensions.
    Kornblith et al., "Similarity of Neural Network Representations Revisited", 2019.
    """
    a, b = (m.astype(np.float64) - m.mean(0, dtype=np.float64) for m in (a, b))
    size = np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b)
    return float(np.linalg.norm(a.T @ b) ** 2 / size) if size else 0.0


def intrinsic_dimension(x: Float[np.ndarray, "n d"]) -> float:
    """Dimension of the surface that the cloud lies on, by the two nearest neighbours of each point (TwoNN).

    Maximum likelihood of the ratios of their distances; of copies one is taken.
    Facco et al., "Estimating the intrinsic dimension of datasets by a minimal neighborhood information",
    2017.
    ValueError: fewer than three different clips.
    """
    x = np.unique(x, axis=0)
    if len(x) < 3:
        raise ValueError("intrinsic dimension: needs three or more different clips")
    z = x - x.mean(0, dtype=np.float64)
    length, logs = (z * z).sum(1), []
    for rows in np.array_split(np.arange(len(z)), -(-len(z) // 1024)):  # bounded memory
        squared = np.maximum(length[rows][:, None] + length[None] - 2 * z[rows] @ z.T, 0)
        squared[np.arange(len(rows)), rows] = np.inf
        near = np.partition(squared, 1, axis=1)[:, :2]
        near = near[near[:, 0] > 1e-14 * length.max()]
        logs.append(0.5 * np.log(near[:, 1] / near[:, 0]))
    ratio = np.concatenate(logs)
    if len(ratio) < 2 or not ratio.sum() > 0:
        raise ValueError("intrinsic dimension: needs three or more different clips")
    return float((len(ratio) - 1) / ratio.sum())
