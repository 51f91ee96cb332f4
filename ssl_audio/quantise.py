"""Codebooks as pure functions of arrays: k-means, nearest codes, balanced assignment, use of the codes."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ssl_audio.losses import unit


def nearest(x: Float[Array, "n d"], codes: Float[Array, "k d"]) -> Int[Array, " n"]:
    """Index of the code nearest to each row (Euclidean), by one matrix product, in float32."""
    x, codes = x.astype(jnp.float32), codes.astype(jnp.float32)
    middle = codes.mean(0, keepdims=True)  # far from the origin the squares would drown the differences
    x, codes = x - middle, codes - middle
    # "highest": with TF32 or bfloat16 on accelerators near neighbours change places
    product = jnp.matmul(x, codes.T, precision="highest")
    return jnp.argmax(2 * product - jnp.sum(codes * codes, -1)[None], -1).astype(jnp.int32)


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def kmeans(
    key: Array, x: Float[Array, "n d"], k: int, rounds: int = 20, spherical: bool = False
) -> Float[Array, "{k} d"]:
    """Centres of Lloyd's k-means from k-means++ seeds (Arthur & Vassilvitskii, 2007).

    A centre that loses all its rows moves to the row that is farthest from its own centre. spherical: rows
    have length 1, and so have the centres after every round (Dhillon & Modha, 2001). Raises ValueError for
    fewer rows than centres.
    """
    if len(x) < k:
        raise ValueError(f"k-means: {k} centres of {len(x)} rows; gather more batches or ask for fewer codes")
    x = x.astype(jnp.float32)

    def distance(centre):
        return jnp.sum((x - centre[None]) ** 2, -1)

    first = x[jax.random.randint(key, (), 0, len(x))]

    def seed(i, carry):
        centres, best = carry
        row = jax.random.categorical(jax.random.fold_in(key, i), jnp.log(best + 1e-30))
        return centres.at[i].set(x[row]), jnp.minimum(best, distance(x[row]))

    centres = jnp.zeros((k, x.shape[1])).at[0].set(first)
    centres, _ = jax.lax.fori_loop(1, k, seed, (centres, distance(first)))

    def lloyd(_, centres):
        chosen = nearest(x, centres)
        count = jnp.zeros(k).at[chosen].add(1.0)
        total = jnp.zeros_like(centres).at[chosen].add(x)
        away = jnp.sum((x - centres[chosen]) ** 2, -1)
        far = jax.lax.top_k(away, k)[1]  # one for each centre that may be empty
        place = jnp.cumsum(count == 0) - 1
        mean = unit(total) if spherical else total / jnp.maximum(count, 1)[:, None]
        return jnp.where((count > 0)[:, None], mean, x[far[place]])

    return jax.lax.fori_loop(0, rounds, lloyd, centres)


def sinkhorn(scores: Float[Array, "b k"], temperature: float, rounds: int = 3) -> Float[Array, "b k"]:
    """Soft assignments of b rows to k codes, each row a distribution, the codes used about equally.

    Alternating normalisation of exp(scores / temperature), in logarithms (Cuturi, 2013; Caron et al., "SwAV",
    2020).
    """
    log_q = scores.astype(jnp.float32) / temperature
    for _ in range(rounds):
        log_q = log_q - jax.nn.logsumexp(log_q, 0, keepdims=True)
        log_q = log_q - jax.nn.logsumexp(log_q, 1, keepdims=True)
    return jnp.exp(log_q)


def perplexity(p: Float[Array, "*b k"]) -> Float[Array, "*b"]:
    """exp of the entropy of distributions over k codes: k when all are used alike, 1 when one is."""
    p = p.astype(jnp.float32)
    return jnp.exp(-jnp.sum(p * jnp.log(p + 1e-10), -1))
