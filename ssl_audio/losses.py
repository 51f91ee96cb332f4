"""Losses as pure functions of arrays. Pairwise terms are matrix products: [b b] is the largest thing made."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def unit(x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """Scale to length 1 along the last axis; the zero vector stays zero, with a finite gradient."""
    return x * jax.lax.rsqrt(jnp.maximum(jnp.sum(x * x, -1, keepdims=True), 1e-12))


def cosine(a: Float[Array, "*b d"], b: Float[Array, "*b d"]) -> Float[Array, "*b"]:
    """Cosine similarity along the last axis, in [-1, 1]."""
    return jnp.sum(unit(a) * unit(b), -1)


def spread(x: Float[Array, "b d"]) -> Float[Array, ""]:
    """Deviation of embeddings scaled to length 1, times sqrt(d): 1 for an isotropic cloud, 0 for a point."""
    return jnp.sqrt(jnp.maximum(unit(x.astype(jnp.float32)).var(0), 0)).mean() * x.shape[1] ** 0.5


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
