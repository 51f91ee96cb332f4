"""Training and test rows from folds and groups, and what a classifier's probe hands back."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped


class Split(NamedTuple):
    """One outer fold: its name, its training rows and its test rows."""

    name: str
    train: Int64[np.ndarray, " n_train"]
    test: Int64[np.ndarray, " n_test"]


@dataclass(frozen=True)
class Outcome:
    """Out-of-fold predictions for the clips that were tested.

    predictions, correct: one entry a clip of `tested`, in its order. tested: row numbers, rising (all rows
    with k folds; the test rows of a fixed split). chosen: what was chosen on the training rows of each fold
    (C of the linear probe; empty where nothing is chosen). classes: the sorted labels. certainty: how likely
    the probe held the true class of each clip, 0 to 1, where it can tell.
    """

    predictions: Shaped[np.ndarray, " n"]
    correct: Bool[np.ndarray, " n"]
    tested: Int64[np.ndarray, " n"]
    chosen: dict[str, float]
    classes: list[str]
    certainty: Float[np.ndarray, " n"] | None = None

    @classmethod
    def of(
        cls,
        classes: Shaped[np.ndarray, " c"],
        code: Int64[np.ndarray, " n"],
        predicted: Int64[np.ndarray, " n"],
        chosen: dict[str, float],
        certainty: Float[np.ndarray, " m"] | None = None,
    ) -> "Outcome":
        """From the true and the predicted class's place in `classes`; -1 for a clip that wasn't tested."""
        tested = np.flatnonzero(predicted >= 0)
        found = predicted[tested]
        names = [str(c) for c in classes]
        return cls(classes[found], found == code[tested], tested, chosen, names, certainty)

    @property
    def metrics(self) -> dict[str, float]:
        return {"accuracy": float(self.correct.mean())}


@dataclass(frozen=True)
class Scored:
    """Out-of-fold numbers for the clips that were tested: of several labels, or of a regression.

    scores: a row a clip of `tested`. tested: row numbers, rising. chosen: what was chosen on the training
    rows of each fold.
    """

    scores: Float[np.ndarray, "n k"]
    tested: Int64[np.ndarray, " n"]
    chosen: dict[str, float]

    def best(
        self,
        classes: Shaped[np.ndarray, " c"],
        code: Int64[np.ndarray, " m"],
        certainty: Float[np.ndarray, " n"] | None = None,
    ) -> Outcome:
        """The class of the highest score of each clip; code: of all clips the true class's place in
        `classes`."""
        predicted = np.full(len(code), -1)
        predicted[self.tested] = self.scores.argmax(1)
        return Outcome.of(classes, code, predicted, self.chosen, certainty)


def check(groups: Shaped[np.ndarray, " n"], folds: Shaped[np.ndarray, " n"]) -> None:
    """ValueError naming a group in two folds: clips of one recording would be on both sides."""
    names, group = np.unique(groups, return_inverse=True)
    fold = np.unique(folds, return_inverse=True)[1]
    low = np.full(len(names), np.iinfo(np.int64).max)
    high = np.full(len(names), -1)
    np.minimum.at(low, group, fold)
    np.maximum.at(high, group, fold)
    if (cut := np.flatnonzero(low != high)).size:
        where = sorted({str(f) for f in folds[group == cut[0]]})
        raise ValueError(
            f"folds {', '.join(where)} cut the group {str(names[cut[0]])!r} ({cut.size} of {len(names)} "
            "groups are cut): one recording would be in training and in test; make folds of whole groups"
        )


def splits(
    folds: Shaped[np.ndarray, " n"], groups: Shaped[np.ndarray, " n"], test: tuple[str, ...] | None = None
) -> Iterator[Split]:
    """The outer folds. test None: each fold is tested once; else the folds `test` against the rest.

    Raises ValueError if a group is cut, or if no rows are left to train or to test on.
    """
    if test is not None:
        folds = np.where(np.isin(folds, test), "test", "train")
    check(groups, folds)
    names = np.unique(folds)
    if len(names) < 2:
        raise ValueError(f"the only fold is {names.tolist()}: training and testing need two folds or more")
    for name in names if test is None else ("test",):
        yield Split(str(name), np.flatnonzero(folds != name), np.flatnonzero(folds == name))


def inner(
    folds: Shaped[np.ndarray, " n"], groups: Shaped[np.ndarray, " n"], split: Split
) -> list[Bool[np.ndarray, " n_train"]]:
    """Which training rows of `split` are held out to choose on, part by part: whole groups, never test rows.

    With k folds each training fold in turn; where the training rows are of one fold, or of a large one and
    one called valid (holding out the large one would choose for the small one), five parts of whole groups
    (fewer, if there are fewer groups), drawn with a fixed seed. Each row is held out once.
    """
    names, part = np.unique(folds[split.train], return_inverse=True)
    if part.max() == 0 or "valid" in names:
        group = np.unique(groups[split.train], return_inverse=True)[1]
        order = np.random.default_rng(0).permutation(group.max() + 1)
        if len(order) < 2:
            raise ValueError(
                "the training rows are one group, so none can be held out to choose hyper-parameters on; "
                "give finer groups or more folds"
            )
        part = (np.argsort(order) % min(5, len(order)))[group]
    return [part == name for name in range(part.max() + 1)]


def finite(x: Float[np.ndarray, "n d"]) -> None:
    """ValueError naming the first row with a value that isn't finite."""
    bad = np.flatnonzero(~np.isfinite(x).all(1))
    if bad.size:
        raise ValueError(
            f"embeddings: {bad.size} of {len(x)} rows have NaN or infinite values, row {bad[0]} first; "
            "look for a diverged run or a silent clip"
        )


def standardise(x: Float[np.ndarray, "n d"], rows: Int64[np.ndarray, " m"]) -> Float[np.ndarray, "n d"]:
    """All rows less the mean, over the deviation, of `rows`; float32; columns without spread become 0."""
    some = x[rows].astype(np.float64)
    mean, std = some.mean(0), some.std(0)
    # a column whose spread is rounding error carries nothing and would blow up
    scale = np.where(std > 1e-7 * (np.abs(mean) + 1e-30), 1 / np.maximum(std, 1e-300), 0.0)
    return ((x - mean) * scale).astype(np.float32)


def unit(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Rows scaled to length 1; a row of zeros stays. Of float16, whose squares overflow, float32."""
    x = x.astype(np.float32) if x.dtype == np.float16 else x
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
