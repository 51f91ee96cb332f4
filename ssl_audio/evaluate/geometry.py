"""The shape of an embedding cloud without labels: is it collapsed?"""

import numpy as np
from jaxtyping import Float


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
    z = x.astype(np.float64)
    z /= np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    return float(z.std(0).mean() * np.sqrt(x.shape[1]))
