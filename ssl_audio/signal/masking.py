"""Token masks: every clip keeps equally many tokens, so shapes never depend on the draw.

`*_mask` part the tokens of each clip into kept and hidden ones, always equally many. The others draw sets of
tokens as truth values, whose sizes may differ; `pick` turns those into places of a fixed count.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32, PRNGKeyArray


def random_mask(
    key: PRNGKeyArray, b: int, n: int, keep: int
) -> tuple[Int32[Array, "{b} {keep}"], Int32[Array, "{b} {n-keep}"], Int32[Array, "{b} {n}"]]:
    """Uniformly random subsets of `keep` of `n` tokens, one for each of `b` clips (MAE, He et al. 2022).

    Returns (kept, hidden, restore): the sorted positions of the kept and of the hidden tokens, and the
    permutation that puts them back: in each row, `concatenate([kept, hidden])[restore]` is `arange(n)`.
    Raises ValueError unless 1 <= keep <= n.
    """
    return _part(jax.random.uniform(key, (b, n)), keep, "random_mask")


def span_mask(
    key: PRNGKeyArray, b: int, n: int, share: float, length: int
) -> tuple[Int32[Array, "{b} k"], Int32[Array, "{b} h"], Int32[Array, "{b} {n}"]]:
    """Hide spans of `length` of n time steps: round(share * n / length) of them, one at least; they may
    overlap, so a smaller share is hidden than `share` (wav2vec 2.0, Baevski et al. 2020).

    Returns (kept, hidden, restore) as `random_mask`. `spanned` steps are hidden in each clip: where a draw
    covers more, random ones of them stay visible; where it covers fewer, random others are hidden too.
    Raises ValueError unless the spans fit and leave a step.
    """
    count = max(1, round(share * n / length))
    first, second = jax.random.split(key)
    covered = spans(first, b, n, count, length).astype(jnp.float32)
    hide = spanned(n, count, length)
    return _part(covered + jax.random.uniform(second, (b, n)), n - hide, "span_mask")


def block_mask(
    key: PRNGKeyArray, b: int, grid: tuple[int, int], keep: int, side: int, adjust: float = 0.0
) -> tuple[Int32[Array, "{b} {keep}"], Int32[Array, "{b} h"], Int32[Array, "{b} n"]]:
    """Hide square blocks of patches, `side` long, of a grid of (time steps, columns).

    Returns (kept, hidden, restore) as `random_mask`, of `keep` and n - keep patches. As many blocks are drawn
    as would cover a share of (n - keep) / n + adjust without overlap; then random patches are added or taken
    away. Raises ValueError unless 1 <= keep <= n and a block at least is drawn. Baevski et al., "data2vec
    2.0", 2022.
    """
    first, second = jax.random.split(key)
    n = grid[0] * grid[1]
    covered = _blocks(first, b, grid, (n - keep) / n + adjust, side)
    return _part(covered + jax.random.uniform(second, (b, n)), keep, "block_mask")


def inverse_block_mask(
    key: PRNGKeyArray, b: int, grid: tuple[int, int], keep: int, side: int, adjust: float = 0.0
) -> tuple[Int32[Array, "{b} {keep}"], Int32[Array, "{b} h"], Int32[Array, "{b} n"]]:
    """`block_mask` the other way round: what is kept are blocks, enough for a share of keep / n + adjust.

    Baevski et al., "data2vec 2.0", 2022; for sound Chen et al., "EAT", 2024.
    """
    first, second = jax.random.split(key)
    n = grid[0] * grid[1]
    covered = _blocks(first, b, grid, keep / n + adjust, side)
    return _part(jax.random.uniform(second, (b, n)) - covered, keep, "inverse_block_mask")


def spans(key: PRNGKeyArray, b: int, n: int, count: int, length: int) -> Bool[Array, "{b} {n}"]:
    """True within `count` spans of `length` of n steps, their starts drawn without replacement.

    Raises ValueError unless there are that many places for a span.
    """
    places = n - length + 1
    if not 1 <= count <= places:
        raise ValueError(
            f"spans: {count} spans of {length} have {max(places, 0)} places in {n} steps; give longer clips, "
            f"fewer or shorter spans"
        )
    start = jnp.argsort(jax.random.uniform(key, (b, places)), axis=1)[:, :count, None]
    step = jnp.arange(n)[None, None]
    return jnp.any((step >= start) & (step < start + length), 1)


def spanned(n: int, count: int, length: int) -> int:
    """Steps that `spans` covers in the mean, in closed form, rounded; one less than n at most."""
    places = n - length + 1
    missed = 0.0
    for step in range(n):
        over = min(step, places - 1) - max(step - length + 1, 0) + 1  # starts of the spans that cover it
        missed += math.comb(places - over, count) / math.comb(places, count)
    return min(max(round(n - missed), 1), n - 1)


def share_mask(key: PRNGKeyArray, b: int, n: int, low: float, high: float) -> Bool[Array, "{b} {n}"]:
    """True at random tokens, a share of each clip that is drawn between low and high for all together.

    Raises ValueError unless 0 < low <= high < 1.
    """
    if not 0 < low <= high < 1:
        raise ValueError(f"share_mask: shares from {low} to {high}; they must rise within 0 to 1")
    first, second = jax.random.split(key)
    count = jnp.round(n * jax.random.uniform(first, (), minval=low, maxval=high))
    rank = jnp.argsort(jnp.argsort(jax.random.uniform(second, (b, n)), axis=1), axis=1)
    return rank < jnp.clip(count, 1, n - 1).astype(rank.dtype)


def rectangles(
    key: PRNGKeyArray,
    b: int,
    grid: tuple[int, int],
    count: int,
    scale: tuple[float, float] = (0.15, 0.2),
    aspect: tuple[float, float] = (0.75, 1.5),
) -> Bool[Array, "{b} {count} n"]:
    """True within rectangles on a grid of (time steps, columns), `count` a clip, at uniform places.

    Their size is one draw for all: a share `scale` of the grid, `aspect` times as long in time as high; no
    longer than the grid. `sizes` bounds it. Assran et al., "I-JEPA", 2023.
    """
    draw, place = jax.random.split(key)
    share, ratio = jax.random.uniform(draw, (2,))
    area = (scale[0] + share * (scale[1] - scale[0])) * grid[0] * grid[1]
    ratio = aspect[0] + ratio * (aspect[1] - aspect[0])
    inside = []
    sides = jnp.sqrt(area * ratio), jnp.sqrt(area / ratio)
    for k, length, side in zip(jax.random.split(place), grid, sides, strict=True):
        side = jnp.clip(jnp.round(side), 1, length)
        start = jnp.floor(jax.random.uniform(k, (b, count, 1)) * (length - side + 1))
        step = jnp.arange(length, dtype=jnp.float32)[None, None]
        inside.append((step >= start) & (step < start + side))
    return (inside[0][..., :, None] & inside[1][..., None, :]).reshape(b, count, -1)


def sizes(
    grid: tuple[int, int],
    scale: tuple[float, float] = (0.15, 0.2),
    aspect: tuple[float, float] = (0.75, 1.5),
) -> tuple[int, int]:
    """(fewest, most): bounds of the tokens in one of the `rectangles`."""
    n = grid[0] * grid[1]
    areas = []
    for share, half in zip(scale, (-0.5, 0.5), strict=True):  # rounding moves a side by a half
        for ratio in aspect:
            sides = math.sqrt(share * n * ratio) + half, math.sqrt(share * n / ratio) + half
            areas.append(math.prod(min(max(s, 1), length) for s, length in zip(sides, grid, strict=True)))
    return max(1, math.floor(min(areas))), min(n, math.ceil(max(areas) + 1e-6))


def time_inverse_mask(
    key: PRNGKeyArray,
    b: int,
    n: int,
    targets: int = 4,
    context: tuple[float, int] = (0.65, 10),
    target: tuple[float, int] = (0.25, 10),
    cutoff: float = 0.1,
) -> tuple[Bool[Array, "{b} {n}"], Bool[Array, "{b} {targets} {n}"]]:
    """(context, targets): True at the time steps of a clip's context, and at those of each of its targets.

    A target is `spans` for a share of the steps and of a length; the context is what such spans and all
    targets leave. Of eight draws the first is taken whose context is a share `cutoff` of the steps at least,
    or else the one with the most. Yuksel et al., "WavJEPA", 2025, who draw until it is.
    """
    draws = 8
    first, second = jax.random.split(key)
    lost, aimed = (
        spans(k, rows, n, max(1, round(share * n / length)), length)
        for k, rows, (share, length) in (
            (first, draws * b, context),
            (second, draws * b * targets, target),
        )
    )
    aimed = aimed.reshape(draws, b, targets, n)
    left = ~lost.reshape(draws, b, n) & ~aimed.any(2)
    best = jnp.argmax(jnp.minimum(left.mean(-1, dtype=jnp.float32), cutoff), 0)
    clip = jnp.arange(b)
    return left[best, clip], aimed[best, clip]


def pick(mask: Bool[Array, "*b n"], k: int) -> tuple[Int32[Array, "*b {k}"], Bool[Array, "*b {k}"]]:
    """(places, there): the first k places where the mask is True, filled up with others, and which are True.

    Raises ValueError unless 1 <= k <= n.
    """
    if not 1 <= k <= mask.shape[-1]:
        raise ValueError(f"pick: cannot pick {k} of {mask.shape[-1]} tokens")
    place = jnp.argsort(~mask, axis=-1, stable=True)[..., :k].astype(jnp.int32)
    return place, jnp.take_along_axis(mask, place, -1)


def _blocks(key, b, grid, share, side) -> Float[Array, "b n"]:
    """1 within blocks that together would cover a share of the grid, 0 elsewhere; blocks end at its edges."""
    n = grid[0] * grid[1]
    count = int(n * share / side**2)
    if count < 1:
        raise ValueError(
            f"a share of {share:.2f} of {grid[0]} x {grid[1]} patches is less than a block of {side} x "
            f"{side}; give longer clips or a smaller side"
        )
    centre = jax.random.randint(key, (b, count, 1), 0, n)
    inside = []
    for length, at in zip(grid, (centre // grid[1], centre % grid[1]), strict=True):
        start = at - side // 2
        step = jnp.arange(length)[None, None]
        inside.append((step >= start) & (step < start + side))
    covered = jnp.any(inside[0][..., :, None] & inside[1][..., None, :], 1)
    return covered.reshape(b, n).astype(jnp.float32)


def _part(score, keep, name):
    """(kept, hidden, restore): those of the lowest scores are kept."""
    n = score.shape[1]
    if not 1 <= keep <= n:
        raise ValueError(f"{name}: cannot keep {keep} of {n} tokens; keep must be between 1 and {n}")
    shuffled = jnp.argsort(score, axis=1).astype(jnp.int32)
    kept = jnp.sort(shuffled[:, :keep], axis=1)
    hidden = jnp.sort(shuffled[:, keep:], axis=1)
    restore = jnp.argsort(jnp.concatenate([kept, hidden], axis=1), axis=1).astype(jnp.int32)
    return kept, hidden, restore
