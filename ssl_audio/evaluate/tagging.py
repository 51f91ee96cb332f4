"""The judge of tasks whose clips have several labels: mAP, AUC, d' and lwlrap, with intervals over groups."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from ssl_audio.evaluate import linear, multilabel, stats
from ssl_audio.evaluate.folds import Outcome, Scored, splits
from ssl_audio.evaluate.record import Sheet, protocol_of

if TYPE_CHECKING:
    from ssl_audio.evaluate.tasks import Task

DRAWS = 1000


def table(labels: Shaped[np.ndarray, " n"]) -> tuple[list[str], Bool[np.ndarray, "n c"]]:
    """The sorted classes, and which of them each clip has. labels: "bird|wind"; "" has none."""
    each = [set(filter(None, str(text).split("|"))) for text in labels]
    classes = sorted(set().union(*each))
    at = {name: i for i, name in enumerate(classes)}
    truth = np.zeros((len(each), len(classes)), bool)
    for row, names in enumerate(each):
        truth[row, [at[name] for name in names]] = True
    return classes, truth


def prior(
    truth: Bool[np.ndarray, "n c"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    test: tuple[str, ...] | None = None,
) -> Scored:
    """The floor: every clip gets the classes' shares of the training folds."""
    found = [(s.test, np.tile(truth[s.train].mean(0), (len(s.test), 1))) for s in splits(folds, groups, test)]
    rows = np.concatenate([rows for rows, _ in found])
    order = np.argsort(rows)
    return Scored(np.concatenate([score for _, score in found])[order], rows[order], {})


def measures(score: Float[np.ndarray, "n c"], truth: Bool[np.ndarray, "n c"]) -> dict[str, float]:
    """mAP and AUC, means over the classes that have them, d' of that AUC, lwlrap."""
    area = float(np.nanmean(multilabel.auc(score, truth)))
    return {
        "mAP": float(np.nanmean(multilabel.average_precision(score, truth))),
        "AUC": area,
        "d'": multilabel.d_prime(area),
        "lwlrap": multilabel.lwlrap(score, truth),
    }


def resampled(
    score: Float[np.ndarray, "n c"],
    truth: Bool[np.ndarray, "n c"],
    groups: Shaped[np.ndarray, " n"],
    n: int = DRAWS,
    seed: int = 0,
) -> dict[str, Float[np.ndarray, " draws"]]:
    """`measures` in each of n draws of whole groups; the same seed draws the same groups."""
    names, group = np.unique(groups, return_inverse=True)
    counts = np.concatenate([*stats.draws(np.ones(len(names), np.int64), n, seed)])
    found: list[tuple] = []
    for some in np.array_split(counts, -(-n * len(group) // 4_000_000)):  # bounded memory
        each = multilabel.drawn(score, truth, some[:, group].astype(np.float64))
        found.append(tuple(np.nanmean(values, 1) for values in each))
    precision, area = (np.concatenate(values) for values in zip(*found, strict=True))
    per_clip = np.where(truth, multilabel.ranked(score, truth), 0).sum(1)
    sums = [np.bincount(group, weights=values) for values in (per_clip, truth.sum(1))]
    ranking = (counts @ sums[0]) / (counts @ sums[1])
    sharpness = np.array([multilabel.d_prime(value) for value in area])
    return {"mAP": precision, "AUC": area, "d'": sharpness, "lwlrap": ranking}


def judge(
    task: "Task",
    labels: Shaped[np.ndarray, " n"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    systems: Mapping[str, Float[np.ndarray, "rows _"]],
    ours: str | None = None,
    seed: int = 0,
    extra: Mapping[str, Any] | None = None,
    strengths: tuple[float, ...] = linear.STRENGTHS,
    known: Mapping[str, Outcome | Scored] | None = None,
    more: Collection[str] = (),
    deeper: Mapping[str, Mapping[str, Float[np.ndarray, "rows _ _"]]] | None = None,
) -> tuple[list[dict[str, Any]], dict[str, Outcome | Scored]]:
    """As `judging.judge`, of several labels a clip; the floor is "majority", the classes' shares.

    more: of `protocols.KINDS`; "HEAR compat mAP" and so on.
    """
    classes, truth = table(labels)
    if len(classes) < 2:
        raise ValueError(f"{task.name}: {len(classes)} class(es) in the column {task.label!r}; needs two")
    outcomes: dict[str, Outcome | Scored] = {name: known[name] for name in systems if known and name in known}
    for name in systems:
        if name not in outcomes:
            outcomes[name] = linear.several(
                systems[name], truth, folds, groups, test=task.test, strengths=strengths
            )
    outcomes["majority"] = prior(truth, folds, groups, task.test)
    tested = outcomes["majority"].tested
    wanted, group = truth[tested], groups[tested]
    where = protocol_of(task)
    fitted = (
        f"linear: standardised, a logistic regression a class, C of {list(strengths)} by cross-validation "
        f"within the training folds, {where}"
    )
    sheet = Sheet(task.name, len(tested), len(np.unique(group)), seed, extra)
    value, spread = {}, {}
    for name, out in outcomes.items():
        value[name] = measures(out.scores, wanted)
        spread[name] = resampled(out.scores, wanted, group, seed=seed)
        protocol = fitted if name in systems else f"classes' shares of the training folds, {where}"
        for metric in value[name]:
            about = {"chosen": out.chosen} if metric == "mAP" and out.chosen else {}
            sheet.add(name, metric, value[name][metric], spread[name][metric], protocol, **about)
    for kind in more:
        from ssl_audio.evaluate import protocols  # which needs jax

        title = protocols.KINDS[kind][2]
        for name, x in systems.items():
            seen = protocols.given(kind, name, x, deeper)
            if seen is None:
                continue
            out = protocols.scored(kind, seen, truth, folds, groups, test=task.test, seed=seed)
            found, draws = measures(out.scores, wanted), resampled(out.scores, wanted, group, seed=seed)
            protocol = f"{title}'s probe, {where}"
            sheet.add(name, f"{title} mAP", found["mAP"], draws["mAP"], protocol, chosen=out.chosen)
    if ours is not None:
        sheet.differences(ours, "mAP", value, spread, fitted)
    return sheet.records, outcomes
