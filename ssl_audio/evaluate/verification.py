"""Verification: are two clips of one speaker (machine, bird)? Error rates over pairs, from their scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped

from ssl_audio.evaluate import stats
from ssl_audio.evaluate.folds import finite, standardise, unit
from ssl_audio.evaluate.record import Sheet

if TYPE_CHECKING:
    from ssl_audio.evaluate.tasks import Task

PRIOR, DRAWS = 0.05, 1000


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
        return float(crossing(self.miss[None], self.false[None])[0])

    def cost(self, prior: float = 0.01, miss: float = 1.0, false: float = 1.0) -> float:
        """Least normalised detection cost (minDCF), 0 to 1; 1 is what accepting all or none costs.

        prior: probability of a same pair. miss, false: cost of either error. NIST, "2016 Speaker Recognition
        Evaluation Plan", section 3; VoxCeleb's challenges take prior 0.05.
        """
        each = miss * prior * self.miss + false * (1 - prior) * self.false
        return float(each.min() / min(miss * prior, false * (1 - prior)))


def crossing(
    miss: Float[np.ndarray, "draws t"], false: Float[np.ndarray, "draws t"]
) -> Float[np.ndarray, " draws"]:
    """Where two rates, joined by lines, cross; miss falls from 1, false rises from 0; NaN where one is."""
    row, gap = np.arange(len(miss)), miss - false
    after = np.maximum(np.argmax(gap <= 0, axis=1), 1)
    high, low = gap[row, after - 1], gap[row, after]
    share = np.where(high > low, high / np.where(high > low, high - low, 1), 0)
    out = miss[row, after - 1] + share * (miss[row, after] - miss[row, after - 1])
    return np.where(np.isfinite(gap).all(1), out, np.nan)


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


def resampled(
    score: Float[np.ndarray, " p"],
    same: Bool[np.ndarray, " p"],
    speakers: Int64[np.ndarray, "p 2"],
    seed: int = 0,
) -> dict[str, Float[np.ndarray, " draws"]]:
    """EER and minDCF in each draw of whole speakers; NaN where a draw has pairs of one kind only.

    speakers: of both clips of a pair, 0, 1 ... A pair of two speakers counts as often as both were drawn
    together, the product of their numbers; a pair of one speaker as often as that one was.
    """
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
    right, pair = same[order], speakers[order]
    count, found = int(speakers.max()) + 1, []
    often = np.concatenate([*stats.draws(np.ones(count, np.int64), DRAWS, seed)])
    for some in np.array_split(often, -(-DRAWS * len(order) // 4_000_000)):  # bounded memory
        one, other = some[:, pair[:, 0]], some[:, pair[:, 1]]
        weight = np.where(pair[:, 0] == pair[:, 1], one, one * other).astype(np.float64)
        hit, every = ((weight * of).cumsum(1)[:, last] for of in (right, 1.0))
        with np.errstate(invalid="ignore", divide="ignore"):
            miss, false = 1 - hit / hit[:, -1:], (every - hit) / (every - hit)[:, -1:]
        miss, false = (np.pad(a, ((0, 0), (1, 0)), constant_values=v) for a, v in ((miss, 1.0), (false, 0.0)))
        cost = (PRIOR * miss + (1 - PRIOR) * false).min(1) / PRIOR
        found.append((crossing(miss, false), cost))
    equal, cost = (np.concatenate(values) for values in zip(*found, strict=True))
    return {"EER": equal, "minDCF": cost}


def judge(
    task: "Task",
    labels: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    systems: Mapping[str, Float[np.ndarray, "rows _"]],
    ours: str | None = None,
    seed: int = 0,
    extra: Mapping[str, Any] | None = None,
    pairs: Int64[np.ndarray, "p 2"] | None = None,
) -> tuple[list[dict[str, Any]], dict[str, Float[np.ndarray, " p"]]]:
    """Judge whether the cosine of two clips' embeddings tells if they are of one label; nothing is trained.

    pairs: rows of the clips to compare; None: `trials`, drawn by seed 0, no pair within a group. Embeddings
    are standardised over the clips that are compared, without their labels. Metrics: "EER", "minDCF" (prior
    0.05), "EER difference"; intervals are over labels (speakers). Returns (records, scores of each system's
    pairs).
    """
    chosen = trials(labels, groups) if pairs is None else pairs
    used = np.unique(chosen)
    names, speaker = np.unique(labels[used], return_inverse=True)
    at = np.searchsorted(used, chosen)
    same = labels[chosen[:, 0]] == labels[chosen[:, 1]]
    how = f"{len(chosen)} pairs, half of them of one {task.label}, " if pairs is None else ""
    protocol = (
        f"cosine, standardised over the clips compared, nothing trained, {how}{task.note}; minDCF: prior "
        f"{PRIOR}; ci95: percentile bootstrap over {task.label}s"
    )
    sheet = Sheet(task.name, len(used), len(names), seed, extra)
    scores, values, draws = {}, {}, {}
    for name, x in systems.items():
        finite(x[used])
        scores[name] = cosine(standardise(x[used], np.arange(len(used))), at)
        found = errors(scores[name], same)
        values[name] = {"EER": found.equal, "minDCF": found.cost(PRIOR)}
        draws[name] = resampled(scores[name], same, speaker[at], seed)
        for metric, value in values[name].items():
            sheet.add(name, metric, value, draws[name][metric], protocol, pairs=len(chosen))
    if ours is not None:
        sheet.differences(ours, "EER", values, draws, protocol)
    return sheet.records, scores
