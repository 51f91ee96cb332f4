"""The judge of tasks that ask for a number (a count, a rating, a pitch): ridge regression, R² and MAE."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Shaped

from ssl_audio.evaluate import ridge, stats
from ssl_audio.evaluate.folds import Scored, splits
from ssl_audio.evaluate.record import Sheet, protocol_of

if TYPE_CHECKING:
    from ssl_audio.evaluate.tasks import Task

DRAWS = 2000


def numbers(task: "Task", labels: Shaped[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The labels as numbers. ValueError names one that isn't."""
    out = np.empty(len(labels))
    for i, text in enumerate(labels):
        try:
            out[i] = float(text)
        except ValueError:
            said = f"{task.name}: {str(text)!r} in the column {task.label!r} isn't a number"
            raise ValueError(said) from None
    if not np.isfinite(out).all() or np.ptp(out) == 0:
        raise ValueError(f"{task.name}: the column {task.label!r} must have finite numbers, not all the same")
    return out


def mean(
    truth: Float[np.ndarray, " n"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    test: tuple[str, ...] | None = None,
) -> Scored:
    """The floor: every clip gets the mean of the training folds."""
    out = np.full(len(truth), np.nan)
    for split in splits(folds, groups, test):
        out[split.test] = truth[split.train].mean()
    rows = np.flatnonzero(np.isfinite(out))
    return Scored(out[rows, None], rows, {})


def resampled(
    predicted: Float[np.ndarray, " n"],
    truth: Float[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    seed: int = 0,
) -> tuple[dict[str, float], dict[str, Float[np.ndarray, " draws"]]]:
    """R² (share of the variance of these clips explained) and MAE, and both in each draw of whole groups."""
    wanted = {"n": np.ones(len(truth)), "e": abs(predicted - truth), "ee": (predicted - truth) ** 2}
    wanted |= {"t": truth - truth.mean(), "tt": (truth - truth.mean()) ** 2}
    sums = {name: stats.by_group(values, groups)[0] for name, values in wanted.items()}

    def measures(n, e, ee, t, tt):
        around = tt - t**2 / n  # of equal numbers it is rounding error
        with np.errstate(invalid="ignore", divide="ignore"):
            return {"R2": 1 - ee / np.where(around > 1e-9 * tt, around, np.nan), "MAE": e / n}

    often = np.concatenate([*stats.draws(np.ones(len(sums["n"]), np.int64), DRAWS, seed)]).astype(np.float64)
    drawn = measures(**{name: often @ values for name, values in sums.items()})
    whole = measures(**{name: values.sum() for name, values in sums.items()})
    return {name: float(v) for name, v in whole.items()}, {
        name: np.where(np.isfinite(v), v, np.nan) for name, v in drawn.items()
    }


def judge(
    task: "Task",
    labels: Shaped[np.ndarray, " n"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    systems: Mapping[str, Float[np.ndarray, "rows _"]],
    ours: str | None = None,
    seed: int = 0,
    extra: Mapping[str, Any] | None = None,
) -> tuple[list[dict[str, Any]], dict[str, Scored]]:
    """As `judging.judge`, of numbers; the floor is "mean", that of the training folds.

    Metrics: "R2", "MAE" (in the label's unit), and "R2 difference". outcomes: predictions of each system.
    """
    truth = numbers(task, labels)
    outcomes = {
        name: ridge.regress(x, truth[:, None], folds, groups, test=task.test) for name, x in systems.items()
    }
    outcomes["mean"] = mean(truth, folds, groups, task.test)
    tested = outcomes["mean"].tested
    if np.ptp(truth[tested]) == 0:
        raise ValueError(
            f"{task.name}: the tested clips all have {task.label} {truth[tested][0]:g}, so nothing varies"
        )
    wanted, group = truth[tested], groups[tested]
    where = protocol_of(task)
    fitted = (
        f"ridge regression: standardised, alpha of {list(ridge.PENALTIES)} by cross-validation within the "
        f"training folds, {where}"
    )
    sheet = Sheet(task.name, len(tested), len(np.unique(group)), seed, extra)
    value, spread = {}, {}
    for name, out in outcomes.items():
        value[name], spread[name] = resampled(out.scores[:, 0], wanted, group, seed)
        protocol = fitted if name in systems else f"mean of the training folds, {where}"
        about = {"chosen": out.chosen} if out.chosen else {}
        for metric in value[name]:
            sheet.add(name, metric, value[name][metric], spread[name][metric], protocol, **about)
    if ours is not None:
        sheet.differences(ours, "R2", value, spread, fitted)
    return sheet.records, outcomes
