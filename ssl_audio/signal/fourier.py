"""Fourier transforms of the rows of [... t], each done where its row lies, and lengths that suit them.

XLA gathers a batch that is split over devices and has every device transform all of it. These are told that
rows are independent, and the gradient: the maps are linear, so it is the transpose.
"""

import functools

import jax
import jax.numpy as jnp
import scipy.fft
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Complex, Float


def fast_length(n: int) -> int:
    """The smallest length of at least `n` with small prime factors only."""
    return scipy.fft.next_fast_len(n, real=True)


def rfft(x: Float[Array, "*b t"], n: int) -> Complex[Array, "*b {1+n//2}"]:
    """`jnp.fft.rfft(x, n)` along the rows: cut, or zeros behind, to n samples first."""
    return _along("rfft", x, n)


def irfft(s: Complex[Array, "*b k"], n: int) -> Float[Array, "*b {n}"]:
    """`jnp.fft.irfft(s, n)` along the rows."""
    return _along("irfft", s, n)


def fft(x: Complex[Array, "*b t"], n: int) -> Complex[Array, "*b {n}"]:
    """`jnp.fft.fft(x, n)` along the rows: cut, or zeros behind, to n samples first."""
    return _along("fft", x, n)


def ifft(s: Complex[Array, "*b k"], n: int) -> Complex[Array, "*b {n}"]:
    """`jnp.fft.ifft(s, n)` along the rows."""
    return _along("ifft", s, n)


def _along(name, x, n):
    y = _rows(name, n)(x.reshape(-1, x.shape[-1]))
    return y.reshape(*x.shape[:-1], y.shape[-1])


@functools.cache
def _rows(name, n):
    transform = functools.partial(getattr(jnp.fft, name), n=n)
    partitioned = custom_partitioning(lambda x: transform(x))
    split = jax.custom_batching.custom_vmap(lambda x: partitioned(x))

    @split.def_vmap
    def _(size, batched, x):  # more clips are a longer batch; custom_partitioning has no such rule
        y = split(x.reshape(-1, x.shape[2]))
        return y.reshape(*x.shape[:2], y.shape[1]), True

    def partition(mesh, operands, result):
        spec = (*operands[0].sharding.spec, None)
        sharding = NamedSharding(mesh, PartitionSpec(spec[0], None))
        return mesh, transform, sharding, (sharding,)

    partitioned.def_partition(partition, sharding_rule="b t -> b k", need_replication_factors=("t", "k"))

    @jax.custom_vjp
    def rows(x):
        return split(x)

    like = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype)
    rows.defvjp(lambda x: (split(x), x), lambda x, g: jax.linear_transpose(transform, like(x))(g))
    return rows
