"""Few-shot classification: many small tasks, in each the nearest class mean of a handful of labelled clips.

Snell et al., "Prototypical Networks for Few-shot Learning", 2017, with nothing trained; embeddings are
standardised and of length 1, after Wang et al., "SimpleShot", 2019. Each task deals the groups (recordings,
speakers) anew into those that give labelled clips and those that are asked about, so that no answer is a
recording known again.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from ssl_audio.evaluate.folds import finite, standardise, unit


@dataclass(frozen=True)
class Episodes:
    """Accuracy of each small task."""

    accuracy: Float[np.ndarray, " e"]

    @property
    def metrics(self) -> dict[str, float]:
        """Mean accuracy, 0 to 1."""
        return {"accuracy": float(self.accuracy.mean())}

    @property
    def ci95(self) -> tuple[float, float]:
        """Of the mean over other draws of tasks; of other recordings it says nothing."""
        half = 1.96 * self.accuracy.std(ddof=1) / np.sqrt(len(self.accuracy))
        return float(self.accuracy.mean() - half), float(self.accuracy.mean() + half)


def episodes(
    x: Float[np.ndarray, "n d"],
    y: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    *,
    ways: int = 5,
    shots: int = 5,
    queries: int = 15,
    count: int = 600,
    seed: int = 0,
) -> Episodes:
    """Draw tasks of `ways` classes with `shots` labelled clips each, and ask about `queries` others of each.

    x: embeddings, finite; standardised over all rows, which needs no labels. y: labels. groups: strings.
    count: tasks, two or more. ValueError: a value isn't finite, or too few classes have clips enough on both
    sides.
    """
    finite(x)
    if min(ways, count) < 2 or min(shots, queries) < 1:
        raise ValueError(f"few-shot: {ways} ways and {count} tasks must be 2 or more, shots and queries 1")
    z, rng = unit(standardise(x, np.arange(len(x)))), np.random.default_rng(seed)
    code, group = (np.unique(a, return_inverse=True)[1] for a in (y, groups))
    accuracy = np.empty(count)
    for e in range(count):
        support, asked = deal(rng, code, group, ways, shots, queries)
        mean = z[support].mean(1)
        distance = (mean * mean).sum(1) - 2 * z[asked] @ mean.T  # less the query's own square, equal for all
        accuracy[e] = (distance.argmin(2) == np.arange(ways)[:, None]).mean()
    return Episodes(accuracy)


def check(
    y: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    *,
    ways: int = 5,
    shots: int = 5,
    queries: int = 15,
) -> None:
    """ValueError where no such task can be drawn."""
    code, group = (np.unique(a, return_inverse=True)[1] for a in (y, groups))
    deal(np.random.default_rng(0), code, group, ways, shots, queries)


def deal(rng, code, group, ways, shots, queries):
    """Rows [ways shots] and [ways queries] of a task, of groups dealt into two halves."""
    for _ in range(10_000):  # of few groups most halves don't fit
        gives = rng.permutation(group.max() + 1) < (group.max() + 1) // 2
        sides = [np.flatnonzero(side) for side in (gives[group], ~gives[group])]
        held = np.stack([np.bincount(code[rows], minlength=code.max() + 1) for rows in sides])
        fit = np.flatnonzero((held[0] >= shots) & (held[1] >= queries))
        if len(fit) >= ways:
            chosen = rng.choice(fit, ways, replace=False)
            return [
                np.stack([rng.choice(rows[code[rows] == c], size, replace=False) for c in chosen])
                for rows, size in zip(sides, (shots, queries), strict=True)
            ]
    raise ValueError(
        f"few-shot: fewer than {ways} classes have {shots} clips in one half of the groups and {queries} in "
        "the other; take fewer ways, shots or queries, or leave few-shot out"
    )
