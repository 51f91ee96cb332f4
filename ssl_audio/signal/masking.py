"""Static-count token masks: every clip keeps equally many tokens, so shapes never depend on the draw."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32, PRNGKeyArray


def random_mask(
    key: PRNGKeyArray, b: int, n: int, keep: int
) -> tuple[Int32[Array, "{b} {keep}"], Int32[Array, "{b} {n-keep}"], Int32[Array, "{b} {n}"]]:
    """Uniformly random subsets of `keep` of `n` tokens, one for each of `b` clips (MAE, He et al. 2022).

    Returns (kept, hidden, restore): the sorted positions of the kept and of the hidden tokens, and the
    permutation that puts them back: in each row, `concatenate([kept, hidden])[restore]` is `arange(n)`.
    Raises ValueError unless 1 <= keep <= n.
    """
    if not 1 <= keep <= n:
        raise ValueError(f"random_mask: cannot keep {keep} of {n} tokens; keep must be between 1 and {n}")
    shuffled = jnp.argsort(jax.random.uniform(key, (b, n)), axis=1).astype(jnp.int32)
    kept = jnp.sort(shuffled[:, :keep], axis=1)
    hidden = jnp.sort(shuffled[:, keep:], axis=1)
    restore = jnp.argsort(jnp.concatenate([kept, hidden], axis=1), axis=1).astype(jnp.int32)
    return kept, hidden, restore
