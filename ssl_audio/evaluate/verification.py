"""Verification: are two clips of one speaker (machine, bird)? Error rates over pairs, from their scores."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped

from ssl_audio.evaluate.folds import unit


@dataclass(frozen=True)
class Errors:
    """Both error rates at every threshold, from "refuse all" to "accept all".

    miss: share of same pairs refused, falling from 1 to 0. false: share of different pairs accepted, rising
    from 0 to 1. threshold: the least score that is accepted there; inf accepts none.
    """

    miss: Float[np.ndarray, " t"]
    false: Float[np.ndarray, " t"]
    threshold: Float[np.ndarray, " t"]

    @property
    def equal(self) -> float:
        """Equal error rate, 0 to 1: where the two rates, joined by lines, cross."""
        gap = self.miss - self.false
        after = int(np.argmax(gap <= 0))
        if gap[after] == 0 or after == 0:
            return float(self.miss[after])
        share = gap[after - 1] / (gap[after - 1] - gap[after])
        return float(self.miss[after - 1] + share * (self.miss[after] - self.miss[after - 1]))

    def cost(self, prior: float = 0.01, miss: float = 1.0, false: float = 1.0) -> float:
        """Least normalised detection cost (minDCF), 0 to 1; 1 is what accepting all or none costs.

        prior: probability of a same pair. miss, false: cost of either error. NIST, "2016 Speaker Recognition
        Evaluation Plan", section 3; VoxCeleb's challenges take prior 0.05.
        """
        each = miss * prior * self.miss + false * (1 - prior) * self.false
        return float(each.min() / min(miss * prior, false * (1 - prior)))


def errors(score: Float[np.ndarray, " p"], same: Bool[np.ndarray, " p"]) -> Errors:
    """Error rates of pairs. score: higher: likelier the same. ValueError: not finite, or all of one kind."""
    if not np.isfinite(score).all():
        raise ValueError("verification: a score isn't finite; look for silent clips or a diverged run")
    if same.all() or not same.any():
        raise ValueError("verification: needs pairs of the same and pairs of different speakers")
    order = np.argsort(-score, kind="stable")
    ordered, right = score[order], same[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # equal scores are accepted together
    accepted = right.cumsum()[last]
    miss = np.append(1.0, 1 - accepted / accepted[-1])
    false = np.append(0.0, (last + 1 - accepted) / (len(right) - accepted[-1]))
    return Errors(miss, false, np.append(np.inf, ordered[last].astype(np.float64)))


def cosine(x: Float[np.ndarray, "n d"], pairs: Int64[np.ndarray, "p 2"]) -> Float[np.ndarray, " p"]:
    """Cosine similarity of pairs of rows."""
    z = unit(x.astype(np.float64))
    return np.einsum("pd,pd->p", z[pairs[:, 0]], z[pairs[:, 1]])


def trials(
    y: Shaped[np.ndarray, " n"], groups: Shaped[np.ndarray, " n"], count: int = 10_000, seed: int = 0
) -> Int64[np.ndarray, "p 2"]:
    """Pairs of rows to verify, half of them of one label, drawn without repetition; no pair within a group.

    At most `count`, and as many of either kind. For corpora without a published list of trials. ValueError:
    no pair of one of the kinds.
    """
    rng = np.random.default_rng(seed)
    code, group = (np.unique(a, return_inverse=True)[1] for a in (y, groups))
    n, half, size = len(code), count // 2, np.bincount(code)
    order, begin = np.argsort(code, kind="stable"), np.cumsum(size) - size
    kinds = []
    for same in (True, False):
        keys = np.zeros(0, np.int64)
        for _ in range(20):  # each round finds new ones, until there are enough or hardly any are left
            i = rng.integers(n, size=4 * half)
            one = order[begin[code[i]] + rng.integers(size[code[i]])]
            j = one if same else rng.integers(n, size=4 * half)
            kept = (group[i] != group[j]) & ((code[i] == code[j]) == same)
            keys = np.union1d(keys, np.minimum(i, j)[kept] * n + np.maximum(i, j)[kept])
            if len(keys) >= half:
                break
        if not len(keys):
            what = "one label" if same else "two labels"
            raise ValueError(f"verification: no pair of {what} in two groups; give finer groups")
        kinds.append(keys)
    half = min(half, *(len(keys) for keys in kinds))
    chosen = np.concatenate([rng.choice(keys, half, replace=False) for keys in kinds])
    return np.stack([chosen // n, chosen % n], axis=1)
