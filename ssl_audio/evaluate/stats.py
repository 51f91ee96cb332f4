"""Intervals that know clips of one recording aren't independent: the clustered percentile bootstrap.

Whole groups are drawn with replacement, so the interval answers: what would come out on other recordings of
this kind? (Field and Welsh, "Bootstrapping clustered data", J. R. Statist. Soc. B 2007.) With few groups, say
under 20, a percentile interval is too narrow; records carry the number of groups so that a reader sees it.
"""

import numpy as np
from jaxtyping import Float, Shaped


def means(
    values: Shaped[np.ndarray, " n"], groups: Shaped[np.ndarray, " n"], n: int = 2000, seed: int = 0
) -> Float[np.ndarray, " draws"]:
    """Mean of `values` in each of n draws of whole groups. ValueError: fewer than two groups."""
    group = np.unique(groups, return_inverse=True)[1]
    size = np.bincount(group).astype(np.float64)
    total = np.bincount(group, weights=values.astype(np.float64))
    count = len(size)
    if count < 2:
        raise ValueError(f"{count} group(s): an interval over groups needs two or more; give finer groups")
    # groups with the same total and size are exchangeable: drawing how often each such kind comes
    # is the same as drawing groups one by one, and with right-or-wrong values there are few kinds
    kinds, often = np.unique(np.stack([total, size]), axis=1, return_counts=True)
    rng = np.random.default_rng(seed)
    out = np.empty(n)
    step = max(1, 4_000_000 // len(often))  # so that a million kinds don't fill the memory
    for start in range(0, n, step):
        drawn = rng.multinomial(count, often / count, size=min(step, n - start))
        totals, sizes = kinds @ drawn.T
        out[start : start + len(drawn)] = totals / sizes
    return out


def bootstrap(
    values: Shaped[np.ndarray, " n"], groups: Shaped[np.ndarray, " n"], n: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the mean of `values`, whole `groups` drawn n times; a function of the seed."""
    low, high = np.percentile(means(values, groups, n, seed), (2.5, 97.5))
    return float(low), float(high)


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
    a: Shaped[np.ndarray, "seeds n"],
    b: Shaped[np.ndarray, "more_seeds n"],
    groups: Shaped[np.ndarray, " n"],
    n: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Paired difference of two systems with several seeds each: averaged over seeds by clip, then `paired`.

    a, b: correct or not, seed by clip. Seeds are averaged, not drawn: the interval is over recordings.
    """
    return paired(a.mean(0, dtype=np.float64), b.mean(0, dtype=np.float64), groups, n, seed)
