"""The judge: embeddings of several systems in, records with intervals out."""

from collections.abc import Collection, Mapping
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float, Int64, Shaped

from ssl_audio.evaluate import (
    classes,
    cluster,
    detection,
    fewshot,
    knn,
    linear,
    regression,
    retrieval,
    ridge,
    stats,
    svm,
    tagging,
    verification,
)
from ssl_audio.evaluate.folds import Outcome, Scored, splits
from ssl_audio.evaluate.record import BALANCED, Sheet, protocol_of
from ssl_audio.evaluate.tasks import Task

Published = Literal[
    "hear", "hear-strict", "x-ares", "x-ares-strict", "evar", "evar-strict", "marble", "marble-strict",
    "beans", "beans-strict", "superb", "attentive",
]  # fmt: skip
More = Literal["ridge", "svm", "few-shot", "retrieval", Published]
"""Measures that are taken when they are asked for."""


def fits(task: Task, more: Collection[More], balance: linear.Balance) -> None:
    """ValueError where a task's kind doesn't have those measures, or classes to balance."""
    if task.kind == "class":
        return
    if balance != "none":
        raise ValueError(f"{task.name}: only where clips have one class each can classes be balanced")
    known = {"classes": get_args(Published), "events": detection.PUBLISHED}.get(task.kind, ())
    if other := [kind for kind in more if kind not in known]:
        raise ValueError(f"{task.name}: {', '.join(other)} can't be measured, clips don't have one class")


def majority(
    y: Shaped[np.ndarray, " n"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    test: tuple[str, ...] | None = None,
) -> Outcome:
    """Always the most frequent class of the training folds (of equals, the first in order)."""
    names, code = np.unique(y, return_inverse=True)
    predicted = np.full(len(y), -1)
    for split in splits(folds, groups, test):
        predicted[split.test] = np.bincount(code[split.train]).argmax()
    return Outcome.of(names, code, predicted, {})


def sums(
    a: Shaped[np.ndarray, " n"], b: Shaped[np.ndarray, " n"], groups: Shaped[np.ndarray, " n"]
) -> list[list[int]]:
    """[[right more often than the other, clips] of each group], for pooling over seeds (`stats.pooled`)."""
    total, size = stats.by_group(a.astype(np.float64) - b.astype(np.float64), groups)
    return [[int(t), int(s)] for t, s in zip(total, size, strict=True)]


def judge(
    task: Task,
    labels: Shaped[np.ndarray, " n"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    systems: Mapping[str, Float[np.ndarray, "rows _"]],
    ours: str | None = None,
    seed: int = 0,
    extra: Mapping[str, Any] | None = None,
    strengths: tuple[float, ...] = linear.STRENGTHS,
    known: Mapping[str, Outcome | Scored] | None = None,
    more: Collection[More] = (),
    balance: linear.Balance = "none",
    deeper: Mapping[str, Mapping[str, Float[np.ndarray, "rows _ _"]]] | None = None,
    pairs: Int64[np.ndarray, "p 2"] | None = None,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Judge embeddings on a task.

    systems: embeddings by name, a row a clip of `labels`; "majority" is added here. ours: the system whose
    paired differences to all others, the floors, are wanted. extra: goes into every record (hashes,
    versions). strengths: values of C that the linear probe chooses among. known: linear probes by system that
    need no repetition. balance: of the linear probe's classes in training.

    more: further measures. "ridge", "svm": probes, "ridge accuracy" and "svm accuracy"; "few-shot": "5-shot
    accuracy" among 5 classes; "retrieval": "mAP" and "R@1" of every clip asking for the others; those of
    `Published`: `protocols`, "HEAR compat accuracy" and so on, means over folds. deeper: for "superb" the
    "layers" [rows l d], for "attentive" the "frames" [rows t d] of each system that has them; the others
    aren't judged by these.

    Returns (records, outcomes). Metrics: "accuracy" (linear probe; where the classes are of unequal size also
    "balanced accuracy" and "macro F1"), "knn accuracy", "kmeans nmi", "kmeans ari", "kmeans accuracy", and
    "accuracy difference" of "ours - floor", where "best_floor" marks the floor with the highest linear
    accuracy and "p" is that of `stats.permutation`. Accuracies and their differences carry "by_group", the
    sums of each group, by which others can be compared with them. outcomes: the linear probe of each system.
    Tasks of another kind are judged by `tagging.judge` (classes), `regression.judge` (number) and
    `verification.judge` (pairs, of rows, None: drawn), whose outcomes are of their own kind; events, which
    need frames, by `detection.judge`. ValueError: a system's rows don't fit the labels, or a measure doesn't
    fit the kind.
    """
    if ours is not None and ours not in systems:
        raise ValueError(f"{task.name}: {ours!r} isn't among the systems {', '.join(systems)}")
    for name, x in systems.items():
        if name in ("majority", "mean"):
            raise ValueError(f"{task.name}: {name!r} is what a floor is called; rename the run or the file")
        if len(x) != len(labels):
            raise ValueError(
                f"{task.name}: {name} has {len(x)} rows for {len(labels)} labels; embed the same store"
            )
    if task.kind == "events":
        raise ValueError(f"{task.name}: events are found in frames; give the folder of a run")
    fits(task, more, balance)
    if task.kind == "classes":
        return tagging.judge(
            task, labels, folds, groups, systems, ours, seed, extra, strengths, known, more, deeper
        )
    if task.kind == "number":
        return regression.judge(task, labels, folds, groups, systems, ours, seed, extra)
    if task.kind == "pairs":
        return verification.judge(task, labels, groups, systems, ours, seed, extra, pairs)
    outcomes: dict[str, Outcome | Scored] = {}
    where = protocol_of(task)
    until = "" if len(strengths) < 4 else ", rising until two in a row are worse,"  # of three all are tried
    alike = "" if balance == "none" else f"{BALANCED} ({balance}), "
    fitted = (
        f"linear: standardised, {alike}logistic regression, C of {list(strengths)}{until} by cross-validation"
    )
    protocols = {
        "accuracy": f"{fitted} within the training folds, {where}",
        "majority": f"most frequent class of the training folds, {where}",
        "knn": f"kNN: standardised on the training folds, cosine, k=10, T=0.07, {where}",
        "kmeans": "k-means: standardised, length 1, a cluster a class, 10 starts, mean of 5 seeds, ",
        "ridge": f"ridge: standardised, alpha of {list(ridge.PENALTIES)} by cross-validation within the "
        f"training folds, {where}",
        "svm": f"SVM: standardised, Gaussian kernel, C of {list(svm.STRENGTHS)} by cross-validation within "
        f"the training folds, {where}",
        "few-shot": "few-shot: standardised, length 1, nearest mean of 5 clips of each of 5 classes, 600 "
        "tasks, other groups asked about; ci95: over tasks",
        "retrieval": "retrieval: standardised, cosine, every clip asks for those of other groups; ci95: "
        "percentile bootstrap over groups",
    }

    def interval(correct: Shaped[np.ndarray, " n"]) -> tuple[float, float]:
        return stats.bootstrap(correct, groups[tested], seed=seed)

    outcomes["majority"] = majority(labels, folds, groups, task.test)
    tested = outcomes["majority"].tested
    sheet = Sheet(task.name, len(tested), len(np.unique(groups[tested])), seed, extra)
    add = sheet.add
    ways = min(5, len(np.unique(labels[tested])))
    if "few-shot" in more:
        fewshot.check(labels[tested], groups[tested], ways=ways)  # before hours of other probes
    for name, x in systems.items():
        for kind, probe in (("ridge", ridge.probe), ("svm", svm.probe)):
            if kind in more:
                out = probe(x, labels, folds, groups, test=task.test)
                value, ci95 = out.correct.mean(), interval(out.correct)
                add(name, f"{kind} accuracy", value, ci95, protocols[kind], chosen=out.chosen)
        for kind in [kind for kind in get_args(Published) if kind in more]:
            from ssl_audio.evaluate.protocols import KINDS, classed, given  # which needs jax

            seen = given(kind, name, x, deeper)
            if seen is None:
                continue
            out = classed(kind, seen, labels, folds, groups, test=task.test, seed=seed)
            title, parts = KINDS[kind][2], [split.test for split in splits(folds, groups, task.test)]
            each = [out.correct[np.searchsorted(out.tested, rows)].mean() for rows in parts]
            # weighted so that the mean over clips is the mean over folds
            weight = np.empty(len(labels))
            for rows in parts:
                weight[rows] = len(tested) / len(parts) / len(rows)
            add(
                name,
                f"{title} accuracy",
                np.mean(each),
                stats.weighted(out.correct, weight[tested], groups[tested], seed=seed),
                f"{title}'s probe, mean over folds, {where}",
                chosen=out.chosen,
                **({"sd": float(np.std(each, ddof=1))} if len(each) > 1 else {}),
            )
        judged = x[tested], labels[tested], groups[tested]
        if "few-shot" in more:
            few = fewshot.episodes(*judged, ways=ways, seed=seed)
            add(name, "5-shot accuracy", few.metrics["accuracy"], few.ci95, protocols["few-shot"], ways=ways)
        if "retrieval" in more:
            found = retrieval.search(*judged, ks=(1,))
            asked = groups[tested][found.queries]
            for metric, values in (("mAP", found.precision), ("R@1", found.hit[1])):
                ci95 = stats.bootstrap(values, asked, seed=seed)
                add(name, metric, values.mean(), ci95, protocols["retrieval"])
        out = (known or {}).get(name)
        if out is None:
            out = linear.probe(x, labels, folds, groups, test=task.test, strengths=strengths, balance=balance)
        outcomes[name] = out
        add(
            name,
            "accuracy",
            out.correct.mean(),
            interval(out.correct),
            protocols["accuracy"],
            chosen=out.chosen,
            by_group=sums(out.correct, np.zeros(len(tested)), groups[tested]),
        )
        if classes.uneven(labels[tested]):
            each = classes.ByClass.of(out, labels, groups)
            ci95 = each.ci95(seed=seed)
            for metric in ("balanced accuracy", "macro F1"):
                add(name, metric, each.averages[metric], ci95[metric], protocols["accuracy"])
        near = knn.probe(x, labels, folds, groups, test=task.test)
        add(name, "knn accuracy", near.correct.mean(), interval(near.correct), protocols["knn"])
        found = cluster.probe(x, labels, folds, groups, test=task.test, seed=seed)
        for metric, value in found.metrics.items():
            spread = found.spread[metric]
            if metric == "accuracy":
                ci95, how = interval(found.correct.mean(0)), "clusters kept; " + where
            else:  # both are biased upwards by clips drawn twice, so no bootstrap
                ci95, how = (value - 1.96 * spread, value + 1.96 * spread), "ci95: 1.96 sd over seeds only"
            add(name, f"kmeans {metric}", value, ci95, protocols["kmeans"] + how, sd=spread)
    floor = outcomes["majority"]
    add("majority", "accuracy", floor.correct.mean(), interval(floor.correct), protocols["majority"])
    if ours is not None:
        floors = [name for name in outcomes if name != ours]
        best = max(floors, key=lambda name: outcomes[name].correct.mean())
        for name in floors:
            value, low, high = stats.paired(
                outcomes[ours].correct, outcomes[name].correct, groups[tested], seed=seed
            )
            protocol = "paired by clip; " + protocols["accuracy"]
            add(
                f"{ours} - {name}",
                "accuracy difference",
                value,
                (low, high),
                protocol,
                best_floor=name == best,
                p=stats.permutation(
                    outcomes[ours].correct, outcomes[name].correct, groups[tested], seed=seed
                ),
                by_group=sums(outcomes[ours].correct, outcomes[name].correct, groups[tested]),
            )
    return sheet.records, outcomes
