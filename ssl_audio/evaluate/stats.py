"""Intervals and tests that know that clips of one recording aren't independent: all is by whole groups.

The clustered percentile bootstrap draws groups with replacement, so the interval answers: what would come out
on other recordings of this kind? (Field and Welsh, "Bootstrapping clustered data", J. R. Statist. Soc. B
2007.) With few groups, say under 20, a percentile interval is too narrow; records carry the number of groups
so that a reader sees it.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int64, Shaped


def by_group(
    values: Shaped[np.ndarray, " n"], groups: Shaped[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " g"], Float[np.ndarray, " g"]]:
    """Sum of `values` and number of clips in each group, by sorted group: all that the intervals look at."""
    group = np.unique(groups, return_inverse=True)[1]
    return np.bincount(group, weights=values.astype(np.float64)), np.bincount(group).astype(np.float64)


def means(
    total: Float[np.ndarray, " g"], size: Float[np.ndarray, " g"], n: int = 2000, seed: int = 0
) -> Float[np.ndarray, " draws"]:
    """Mean over clips in each of n draws of whole groups. ValueError: fewer than two groups."""
    # groups with the same total and size are exchangeable: drawing how often each such kind comes
    # is the same as drawing groups one by one, and with right-or-wrong values there are few kinds
    kinds, often = np.unique(np.stack([total, size]), axis=1, return_counts=True)
    sums = (kinds @ drawn.T for drawn in draws(often, n, seed))
    return np.concatenate([totals / sizes for totals, sizes in sums])


def draws(
    often: Int64[np.ndarray, " kinds"], n: int = 2000, seed: int = 0
) -> Iterator[Int64[np.ndarray, "some kinds"]]:
    """How often each kind of group comes in each of n draws of as many groups as there are, some at a time.

    often: groups of each kind. ValueError: fewer than two groups.
    """
    rng, count = np.random.default_rng(seed), int(often.sum())
    if count < 2:
        raise ValueError(f"{count} group(s): an interval over groups needs two or more; give finer groups")
    step = max(1, 4_000_000 // len(often))  # so that a million kinds don't fill the memory
    for start in range(0, n, step):
        yield rng.multinomial(count, often / count, size=min(step, n - start))


def interval(
    total: Float[np.ndarray, " g"], size: Float[np.ndarray, " g"], n: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the mean over clips, from the sum and the number of clips of each group."""
    low, high = np.percentile(means(total, size, n, seed), (2.5, 97.5))
    return float(low), float(high)


def bootstrap(
    values: Shaped[np.ndarray, " n"], groups: Shaped[np.ndarray, " n"], n: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the mean of `values`, whole `groups` drawn n times; a function of the seed."""
    return interval(*by_group(values, groups), n, seed)


def weighted(
    values: Shaped[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    n: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """`bootstrap` of a weighted mean."""
    total, size = (by_group(each, groups)[0] for each in (values * weight, weight))
    return interval(total, size, n, seed)


def paired(
    a: Shaped[np.ndarray, " n"],
    b: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    n: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Mean of a - b on the same clips, and its 95 % interval: (difference, low, high)."""
    difference = a.astype(np.float64) - b.astype(np.float64)
    return float(difference.mean()), *bootstrap(difference, groups, n, seed)


def pooled(
    totals: Float[np.ndarray, "seeds g"], size: Float[np.ndarray, " g"], n: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """A difference over several seeds: (mean, low, high) from each seed's sums by group (`by_group`).

    Seeds are averaged, not drawn: the interval is over recordings.
    """
    total = totals.mean(0)
    return float(total.sum() / size.sum()), *interval(total, size, n, seed)


def permutation(
    a: Shaped[np.ndarray, " n"],
    b: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    n: int = 10_000,
    seed: int = 0,
) -> float:
    """p-value, two-sided, of a and b being equally good on the same clips, by changing signs of whole groups.

    Exact up to 13 groups (of g groups it can't be less than 2 / 2^g), else by n draws. Fisher, "The Design of
    Experiments", 1935, section 21.
    """
    return permuted(by_group(a.astype(np.float64) - b.astype(np.float64), groups)[0], n, seed)


def permuted(total: Float[np.ndarray, " g"], n: int = 10_000, seed: int = 0) -> float:
    """`permutation` from the sums of a - b over the clips of each group."""
    total = total[total != 0]  # the rest is the same with either sign
    seen = abs(total.sum()) - 1e-9 * np.abs(total).sum()
    if len(total) <= 13:
        signs = (np.arange(2 ** len(total))[:, None] >> np.arange(len(total)) & 1) * 2 - 1
        return float((np.abs(signs @ total) >= seen).mean())
    rng, above = np.random.default_rng(seed), 0
    step = max(1, 4_000_000 // len(total))
    for start in range(0, n, step):
        signs = rng.integers(0, 2, (min(step, n - start), len(total)), dtype=np.int8) * 2 - 1
        above += int((np.abs(signs @ total) >= seen).sum())
    return (above + 1) / (n + 1)


def holm(p: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """p-values of m tests made at once: the least times m, the next times m - 1, ..., never falling.

    Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    order = np.argsort(p, kind="stable")
    out = np.empty(len(p))
    out[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return out
