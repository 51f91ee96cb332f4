"""Losses as pure functions of arrays. Pairwise terms are matrix products: the largest is [b b], or [d d]."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def unit(x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """Scale to length 1 along the last axis; the zero vector stays zero, with a finite gradient."""
    return x * jax.lax.rsqrt(jnp.maximum(jnp.sum(x * x, -1, keepdims=True), 1e-12))


def cosine(a: Float[Array, "*b d"], b: Float[Array, "*b d"]) -> Float[Array, "*b"]:
    """Cosine similarity along the last axis, in [-1, 1]."""
    return jnp.sum(unit(a) * unit(b), -1)


def spread(x: Float[Array, "b d"]) -> Float[Array, ""]:
    """Deviation of embeddings scaled to length 1, times sqrt(d): 1 for an isotropic cloud, 0 for a point."""
    return jnp.sqrt(jnp.maximum(unit(x.astype(jnp.float32)).var(0), 0)).mean() * x.shape[1] ** 0.5


def assigned(x: Float[Array, "b k"]) -> Float[Array, ""]:
    """Spread of assignments to k prototypes, of 1 where it is as wide as b of them can be: fewer than k can't
    be spread over all."""
    return spread(x) / min(1, (x.shape[0] / x.shape[1]) ** 0.5)


def pairs(views: Sequence[Float[Array, "b f m"]], who: str) -> Float[Array, "n f m"]:
    """Two views of each clip, the second half below the first, for one pass: batch normalisation must not
    tell them apart. ValueError: there is another number of views, or they are of two lengths."""
    if len(views) != 2 or views[0].shape != views[1].shape:
        lengths = " and ".join(str(v.shape[1]) for v in views)
        raise ValueError(f"{who} compares two views of one length; the experiment's have {lengths} frames")
    return jnp.concatenate(views)


def restoration(guess: Float[Array, "b n d"], target: Float[Array, "b k d"], step: int) -> Float[Array, ""]:
    """Mean squared error of patches, float32. step: frames of a patch.

    ValueError: there are not as many guesses as patches, which encoders that round up make of a clip's rest.
    """
    if guess.shape != target.shape:
        raise ValueError(
            f"the encoder makes {guess.shape[1]} tokens of a view that has {target.shape[1]} whole patches "
            f"to restore; give crops of a multiple of {step} frames"
        )
    return jnp.mean((guess - target) ** 2, dtype=jnp.float32)


def nt_xent(a: Float[Array, "b d"], b: Float[Array, "b d"], temperature: float = 0.1) -> Float[Array, ""]:
    """Normalised temperature-scaled cross-entropy over the 2b embeddings of b positive pairs.

    Each embedding must pick its partner among the 2b - 1 others. Chen et al., "A Simple Framework for
    Contrastive Learning of Visual Representations", 2020.
    """
    x = unit(jnp.concatenate([a, b]).astype(jnp.float32))
    logits = x @ x.T / temperature
    n = len(x)
    logits = jnp.where(jnp.eye(n, dtype=bool), -jnp.inf, logits)
    partner = jnp.sum(x * jnp.roll(x, n // 2, 0), -1) / temperature
    return jnp.mean(jax.nn.logsumexp(logits, -1) - partner)


def info_nce(logits: Float[Array, "b b"]) -> Float[Array, ""]:
    """Softmax cross-entropy whose right answers stand on the diagonal: row i must pick column i."""
    logits = logits.astype(jnp.float32)
    return jnp.mean(jax.nn.logsumexp(logits, -1) - jnp.diagonal(logits))


def off_diagonal(a: Float[Array, "b d"], b: Float[Array, "b d"]) -> Float[Array, ""]:
    """Sum of squares off the diagonal of a^T b, by whichever of [b b] and [d d] is the smaller product."""
    if len(a) < a.shape[1]:  # the whole of it is <a a^T, b b^T>
        return jnp.sum((a @ a.T) * (b @ b.T)) - jnp.sum(jnp.sum(a * b, 0) ** 2)
    product = a.T @ b
    return jnp.sum(jnp.where(jnp.eye(len(product), dtype=bool), 0, product) ** 2)


def barlow_twins(a: Float[Array, "b d"], b: Float[Array, "b d"], weight: float = 0.005) -> Float[Array, ""]:
    """Distance of the cross-correlation of two views' dimensions from the identity.

    Sum of (1 - c_ii)² and, times `weight`, of c_ij² off the diagonal. Zbontar et al., "Barlow Twins", 2021.
    """
    a, b = (standardise(x.astype(jnp.float32)) for x in (a, b))
    same = jnp.mean(a * b, 0)
    return jnp.sum((1 - same) ** 2) + weight * off_diagonal(a, b) / len(a) ** 2


def standardise(x: Float[Array, "b d"]) -> Float[Array, "b d"]:
    """Each dimension with mean 0 and variance 1 over the batch."""
    x = x - x.mean(0, keepdims=True)
    return x * jax.lax.rsqrt(jnp.mean(x * x, 0, keepdims=True) + 1e-5)


def vicreg(
    a: Float[Array, "b d"], b: Float[Array, "b d"]
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """The three terms of VICReg, unweighted: invariance, variance, covariance.

    Mean squared distance of the views; how far each dimension's standard deviation stays below 1, mean over
    dimensions and views; squared covariances off the diagonal, summed, over d, both views added. Means and
    sums as in the authors' program. Bardes, Ponce & LeCun, "VICReg", 2022.
    """
    a, b = a.astype(jnp.float32), b.astype(jnp.float32)
    invariance = jnp.mean((a - b) ** 2)
    variance = covariance = jnp.zeros(())
    for x in (a, b):
        x = x - x.mean(0, keepdims=True)
        std = jnp.sqrt(jnp.sum(x * x, 0) / (len(x) - 1) + 1e-4)
        variance += jnp.mean(jax.nn.relu(1 - std)) / 2
        covariance += off_diagonal(x, x) / (len(x) - 1) ** 2 / x.shape[1]
    return invariance, variance, covariance


def whiten(x: Float[Array, "*p b d"], epsilon: float = 0.0) -> Float[Array, "*p b d"]:
    """Centred and mapped so that the covariance of the b rows is the identity, by Cholesky's factor.

    epsilon  share of the identity mixed into the covariance; with 0 there must be more rows than dimensions
    """
    x = x.astype(jnp.float32)
    x = x - x.mean(-2, keepdims=True)
    covariance = jnp.matmul(x.mT, x, precision="highest") / (x.shape[-2] - 1)
    identity = jnp.broadcast_to(jnp.eye(x.shape[-1]), covariance.shape)
    factor = jnp.linalg.cholesky((1 - epsilon) * covariance + epsilon * identity)
    return jax.lax.linalg.triangular_solve(factor, x, left_side=False, lower=True, transpose_a=True)


def w_mse(views: Float[Array, "v b d"], size: int, epsilon: float = 0.0) -> Float[Array, ""]:
    """Squared distance of whitened embeddings scaled to length 1, mean over all pairs of v views.

    Each view is whitened by itself, `size` consecutive clips at a time: shuffle before. Raises ValueError
    where `size` doesn't divide the batch. Ermolov et al., "Whitening for Self-Supervised Representation
    Learning", 2021.
    """
    v, b, d = views.shape
    if b % size:
        raise ValueError(f"w_mse: {b} clips don't divide into sub-batches of {size}; choose a divisor of {b}")
    z = unit(whiten(views.reshape(v, b // size, size, d), epsilon)).reshape(v, b, d)
    total = jnp.sum(z, 0)  # |sum|² = v + 2 sum over pairs, as each has length 1
    pairs = (jnp.sum(total * total) - jnp.sum(z * z)) / 2
    return 2 - 2 * pairs / (b * v * (v - 1) / 2)


def sup_con(x: Float[Array, "b d"], labels: Int[Array, " b"], temperature: float = 0.1) -> Float[Array, ""]:
    """Contrastive loss whose positives are all others of the same label: NT-Xent where each pair has its own.

    Mean over the anchors that have a positive; the mean over positives is outside of the logarithm. Rows
    labelled -1 take no part, nor are they negatives. Khosla et al., "Supervised Contrastive Learning", 2020.
    """
    x = unit(x.astype(jnp.float32))
    known = labels >= 0
    other = known[None] & ~jnp.eye(len(x), dtype=bool)
    logits = x @ x.T / temperature
    log_p = logits - jax.nn.logsumexp(jnp.where(other, logits, -1e9), -1, keepdims=True)
    positive = other & (labels[:, None] == labels[None])
    count = jnp.sum(positive, -1)
    each = -jnp.sum(jnp.where(positive, log_p, 0), -1) / jnp.maximum(count, 1).astype(jnp.float32)
    anchor = known & (count > 0)
    return jnp.sum(jnp.where(anchor, each, 0)) / jnp.maximum(jnp.sum(anchor), 1).astype(jnp.float32)
