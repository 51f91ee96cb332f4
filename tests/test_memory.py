"""Pairwise terms are matrix products: what a loss and its gradient need in memory stays within bounds."""

import jax
import jax.numpy as jnp
import pytest

from ssl_audio import losses
from ssl_audio.quantise import nearest, sinkhorn

ROWS, WIDTH = 1024, 128
PAIRS = (2 * ROWS) ** 2 * 4  # bytes of all pairs of two views, float32

x = jax.ShapeDtypeStruct((ROWS, WIDTH), jnp.float32)
labels = jax.ShapeDtypeStruct((2 * ROWS,), jnp.int32)
LOSSES = {
    "nt_xent": (losses.nt_xent, (x, x)),
    "info_nce": (lambda a, b: losses.info_nce(a @ b.T), (x, x)),
    "barlow_twins": (losses.barlow_twins, (x, x)),
    "vicreg": (lambda a, b: sum(losses.vicreg(a, b)), (x, x)),
    "w_mse": (lambda a, b: losses.w_mse(jnp.stack([a, b]), 256), (x, x)),
    "sup_con": (lambda a, b, y: losses.sup_con(jnp.concatenate([a, b]), y), (x, x, labels)),
    "cosine": (lambda a, b: losses.cosine(a, b).mean(), (x, x)),
}


def temporary(f, shapes) -> int:
    """Bytes that the compiled function needs beside arguments and results."""
    return jax.jit(f).lower(*shapes).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_and_its_gradient_make_no_more_than_a_few_matrices_of_pairs(name):
    loss, shapes = LOSSES[name]
    used = temporary(jax.value_and_grad(loss, (0, 1)), shapes)
    assert used < 5 * PAIRS, f"{used / 2**20:.0f} MiB, a matrix of all pairs has {PAIRS / 2**20:.0f}"


def test_the_bound_tells_a_broadcast_from_a_product():
    broadcast = lambda a, b: jnp.sum(jnp.log(jnp.sum(jnp.abs(a[:, None] - b[None]) ** 1.5, -1) + 1))
    gradient = jax.value_and_grad(lambda a, b: broadcast(a, b), (0, 1))
    assert temporary(gradient, (x, x)) > 5 * PAIRS


def test_every_loss_is_bounded():
    """A loss that joins the room joins this list."""
    known = {
        "unit",
        "spread",
        "off_diagonal",
        "standardise",
        "whiten",
        "assigned",
        "pairs",
        "restoration",
    }  # parts of others, of their own size
    names = {
        n for n, f in vars(losses).items() if callable(f) and getattr(f, "__module__", "") == losses.__name__
    }
    assert names - known == set(LOSSES)


def test_codes_are_found_and_balanced_in_the_size_of_rows_times_codes():
    codes = jax.ShapeDtypeStruct((4096, WIDTH), jnp.float32)
    assert temporary(nearest, (x, codes)) < 4 * ROWS * 4096 * 4
    scores = jax.ShapeDtypeStruct((ROWS, 4096), jnp.float32)
    assert temporary(lambda s: sinkhorn(s, 0.05), (scores,)) < 4 * ROWS * 4096 * 4
