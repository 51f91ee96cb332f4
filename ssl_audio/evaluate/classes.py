"""A classifier class by class: precision, recall, F1, their averages with intervals, and what is taken for
what."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64, Shaped

from ssl_audio.evaluate.folds import Outcome
from ssl_audio.evaluate.stats import draws


@dataclass(frozen=True)
class ByClass:
    """Counts of tested clips by class. right: of the class and found to be; true: of it; found: said to be of
    it. Each a row a group of clips, a column a class.
    """

    classes: list[str]
    right: Int64[np.ndarray, "g c"]
    true: Int64[np.ndarray, "g c"]
    found: Int64[np.ndarray, "g c"]

    @classmethod
    def of(
        cls, outcome: Outcome, labels: Shaped[np.ndarray, " n"], groups: Shaped[np.ndarray, " n"]
    ) -> "ByClass":
        """From out-of-fold predictions; labels, groups: of all clips, as the probe was given them."""
        group = np.unique(groups[outcome.tested], return_inverse=True)[1]
        true, found = places(outcome, labels)
        counts = np.zeros((3, group.max() + 1, len(outcome.classes)), np.int64)
        for table, rows, klass in (
            (counts[0], outcome.correct, true),
            (counts[1], slice(None), true),
            (counts[2], slice(None), found),
        ):
            np.add.at(table, (group[rows], klass[rows]), 1)
        return cls(outcome.classes, *counts)

    @property
    def precision(self) -> Float[np.ndarray, " c"]:
        """Share of what was said to be of a class that is of it; NaN where nothing was."""
        return ratio(self.right.sum(0), self.found.sum(0))

    @property
    def recall(self) -> Float[np.ndarray, " c"]:
        """Share of a class that was found; NaN for a class without tested clips."""
        return ratio(self.right.sum(0), self.true.sum(0))

    @property
    def f1(self) -> Float[np.ndarray, " c"]:
        """Harmonic mean of the two; NaN for a class that is neither tested nor found."""
        return f1(self.right.sum(0), self.true.sum(0), self.found.sum(0))

    @property
    def averages(self) -> dict[str, float]:
        """Over classes: balanced accuracy (the mean recall), macro precision, macro F1; 0 to 1.

        A class that isn't tested counts in none of them. Precision of a class that nothing was said to be of
        counts as 0, as in scikit-learn. The micro averages of all three are the accuracy.
        """
        return {name: float(f(*(t.sum(0) for t in self.counts))) for name, f in AVERAGES.items()}

    def ci95(self, n: int = 2000, seed: int = 0) -> dict[str, tuple[float, float]]:
        """95 % intervals of the averages: percentile bootstrap, whole groups drawn n times.

        Of these the draws that hold every tested class, where there are a hundred; without a rare class,
        which often is the worst, an average would be too high.
        """
        each: dict[str, list] = {name: [] for name in AVERAGES}
        held, tested = [], self.true.any(0)
        groups, c = self.true.shape
        table = np.concatenate(self.counts, axis=1).astype(np.float64)
        for drawn in draws(np.ones(groups, np.int64), n, seed):
            sums = (drawn @ table).reshape(len(drawn), 3, c).swapaxes(0, 1)
            held.append((sums[1] > 0)[:, tested].all(1))
            for name, f in AVERAGES.items():
                each[name].append(f(*sums))
        kept = np.concatenate(held)
        kept = kept if kept.sum() >= 100 else np.full(len(kept), True)
        edges = {name: np.percentile(np.concatenate(v)[kept], (2.5, 97.5)) for name, v in each.items()}
        return {name: (float(low), float(high)) for name, (low, high) in edges.items()}

    @property
    def counts(self) -> tuple[Int64[np.ndarray, "g c"], ...]:
        return self.right, self.true, self.found


def ratio(part, whole):
    """part / whole, NaN where whole is 0."""
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def f1(right, true, found):
    return ratio(2 * right, true + found)


def over_tested(f: Callable) -> Callable:
    """The mean of f over the classes that are tested; arrays [.. c] -> [..]."""

    def mean(right, true, found):
        tested = true > 0
        return np.where(tested, np.nan_to_num(f(right, true, found)), 0).sum(-1) / tested.sum(-1)

    return mean


AVERAGES = {
    "balanced accuracy": over_tested(lambda right, true, found: ratio(right, true)),
    "macro precision": over_tested(lambda right, true, found: ratio(right, found)),
    "macro F1": over_tested(f1),
}


def confusion(outcome: Outcome, labels: Shaped[np.ndarray, " n"]) -> Int64[np.ndarray, "c c"]:
    """Tested clips by true class (rows) and by what they were taken for (columns), in `outcome.classes`'
    order."""
    table = np.zeros((len(outcome.classes), len(outcome.classes)), np.int64)
    np.add.at(table, places(outcome, labels), 1)
    return table


def places(outcome: Outcome, labels) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted class of the tested clips, as places in `outcome.classes`."""
    at = {name: i for i, name in enumerate(outcome.classes)}
    return tuple(np.array([at[str(v)] for v in a]) for a in (labels[outcome.tested], outcome.predictions))


def uneven(labels: Shaped[np.ndarray, " n"]) -> bool:
    """Whether the largest class has over half as many clips again as the smallest: accuracy then isn't
    enough."""
    sizes = np.unique(labels, return_counts=True)[1]
    return bool(sizes.max() > 1.5 * sizes.min())
