"""Tasks, one line each, and the judge: embeddings of several systems in, records with intervals out."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float, Int64, Shaped

from ssl_audio.evaluate import (
    classes,
    cluster,
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
from ssl_audio.evaluate.record import Sheet, protocol_of

Published = Literal[
    "hear", "hear-strict", "x-ares", "x-ares-strict", "evar", "evar-strict", "marble", "marble-strict",
    "beans", "beans-strict", "superb", "attentive",
]  # fmt: skip
Kind = Literal["class", "classes", "number", "pairs", "events"]
"""What a task asks for: a class, several classes ("bird|wind"), a number, whether two clips have one label,
or which events there are when (from frames)."""
More = Literal["ridge", "svm", "few-shot", "retrieval", Published]
"""Measures that are taken when they are asked for."""


@dataclass(frozen=True)
class Task:
    """What is predicted, on which folds.

    label, fold, group: columns of the store; group None: every clip is its own. test: None for k folds, else
    the values of the fold column that are the test set. values_per_fold: so many neighbouring values of the
    fold column, in order, make one fold. where: (column, value), keep only those clips. without: values of
    the fold column that take no part. kind: what is asked for. note: what a reader of the number must know.
    """

    name: str
    dataset: str
    label: str
    fold: str = "fold"
    group: str | None = "group"
    test: tuple[str, ...] | None = None
    values_per_fold: int = 1
    where: tuple[str, str] | None = None
    without: tuple[str, ...] = ()
    kind: Kind = "class"
    note: str = ""


TASKS = (
    Task("gm/family", "gm_instruments", "family", note="5 folds grouped by instrument"),
    Task("gm/octave", "gm_instruments", "octave", note="5 folds grouped by instrument"),
    Task(
        "fsdd/digit",
        "fsdd",
        "digit",
        group=None,
        test=("test",),
        note="takes 0-4 test, speakers on both sides",
    ),
    Task("fsdd/digit-loso", "fsdd", "digit", "speaker", "speaker", note="leave one speaker out"),
    Task(
        "fsdd/speaker",
        "fsdd",
        "speaker",
        "digit",
        "digit",
        values_per_fold=2,
        note="5 folds of 2 unseen digits",
    ),
    Task(
        "gm/height",
        "gm_instruments",
        "octave",
        kind="number",
        note="the octave as a number, 5 folds grouped by instrument",
    ),
    Task(
        "fsdd/verification",
        "fsdd",
        "speaker",
        "digit",
        "digit",
        kind="pairs",
        note="the digits of a pair differ",
    ),
    Task("esc50", "esc50", "category", note="5 official folds"),
    Task("esc10", "esc50", "category", where=("esc10", "True"), note="ESC-10, 5 official folds"),
    Task("fsd50k", "fsd50k", "labels", test=("test",), kind="classes", note="official evaluation set"),
    Task(
        "audioset/20k",
        "audioset",
        "mids",
        "subset",
        test=("eval",),
        without=("unbalanced_train",),
        kind="classes",
        note="balanced_train and eval; clips found are in n",
    ),
    Task("urbansound8k", "urbansound8k", "class", note="10 official folds"),
    Task("speech_commands", "speech_commands", "word", test=("test",), note="35 words, official test list"),
    Task(
        "nsynth/family",
        "nsynth",
        "family",
        test=("test",),
        without=("valid",),
        note="official test; valid, which has the same instruments, left out",
    ),
    Task(
        "nsynth/pitch",
        "nsynth",
        "pitch",
        test=("test",),
        without=("valid",),
        note="official test; valid, which has the same instruments, left out",
    ),
    Task("gtzan", "gtzan", "genre", test=("test",), without=("",), note="fault-filtered split"),
    Task("gtzan/random", "gtzan", "genre", "random_fold", note="10 random folds, artists on both sides"),
    Task(
        "crema_d",
        "crema_d",
        "emotion",
        "evar",
        test=("test",),
        without=("",),
        note="EVAR's split by speaker",
    ),
    Task("ravdess", "ravdess", "emotion", "speaker", values_per_fold=6, note="4 folds of 6 speakers"),
    Task("iemocap", "iemocap", "emotion", note="4 emotions, leave one session out"),
    *(
        Task(f"iemocap/{rating}", "iemocap", rating, kind="number", note="1 to 5, leave one session out")
        for rating in ("valence", "activation", "dominance")
    ),
    Task("vocalsound", "vocalsound", "category", test=("test",), note="official split by speaker"),
    Task("voxceleb1/speaker", "voxceleb1", "speaker", test=("test",), note="official identification split"),
    Task(
        "voxceleb1/verification",
        "voxceleb1",
        "speaker",
        where=("verification", "test"),
        kind="pairs",
        note="the published trials of veri_test.txt",
    ),
    Task("librispeech/sex", "librispeech", "sex", test=("test",), note="dev and train for training"),
    Task("libricount", "libricount", "count", "hear_fold", None, note="HEAR's 5 folds, speakers in several"),
    Task(
        "libricount/number",
        "libricount",
        "count",
        "hear_fold",
        None,
        kind="number",
        note="HEAR's 5 folds, speakers in several",
    ),
    Task("surge", "surge", "pitch", test=("test",), note="EVAR's split by preset"),
    Task("beijing_opera", "beijing_opera", "instrument", "hear_fold", note="HEAR's 5 folds"),
    Task("mridangam/stroke", "mridangam", "stroke", "hear_fold_stroke", note="HEAR's 5 folds, one player"),
    Task("mridangam/tonic", "mridangam", "tonic", "hear_fold_tonic", note="HEAR's 5 folds, one player"),
    Task(
        "dcase2016_task2",
        "dcase2016_task2",
        "event",
        "hear_split",
        test=("test",),
        without=("",),
        kind="events",
        note="trained on the 18 mixtures of dev, tested on the published 54",
    ),
    Task("gunshot", "gunshot", "microphone", note="HEAR's 7 folds by firearm"),
    Task("beehive", "beehive", "queen", "hive", note="leave one hive out"),
    Task(
        "vocal_imitations",
        "vocal_imitations",
        "reference",
        "hear_fold",
        None,
        note="HEAR's 3 folds, which cut participants",
    ),
)


def find(name: str) -> Task:
    """The task of that name. ValueError lists the names there are."""
    for task in TASKS:
        if task.name == name:
            return task
    raise ValueError(f"{name!r} isn't a task; there are {', '.join(task.name for task in TASKS)}")


def classified(task: Task) -> None:
    """ValueError where clips don't have one class each, for those who compare by accuracy."""
    if task.kind != "class":
        raise ValueError(f"{task.name}: this compares accuracies, of tasks whose clips have one class each")


def fits(task: Task, more: Collection[More], balance: linear.Balance) -> None:
    """ValueError where a task's kind doesn't have those measures, or classes to balance."""
    if task.kind == "class":
        return
    if balance != "none":
        raise ValueError(f"{task.name}: only where clips have one class each can classes be balanced")
    known = get_args(Published) if task.kind == "classes" else ()
    if other := [kind for kind in more if kind not in known]:
        raise ValueError(f"{task.name}: {', '.join(other)} can't be measured, clips don't have one class")


def columns(
    task: Task, store: Any
) -> tuple[
    Shaped[np.ndarray, " n"], Shaped[np.ndarray, " n"], Shaped[np.ndarray, " n"], Int64[np.ndarray, " n"]
]:
    """(labels, folds, groups, rows) of a task from a store, or from anything with values(column) -> strings.

    rows: which clips of the store take part, those that have the label (and match `where`). ValueError: none
    has.
    """
    labels = np.asarray(store.values(task.label))
    kept = labels != ""
    if task.where is not None:
        kept &= np.asarray(store.values(task.where[0])) == task.where[1]
    rows = np.flatnonzero(kept)
    if not len(rows):
        raise ValueError(f"{task.name}: no clip of the store has the label column {task.label!r} filled in")
    folds = np.asarray(store.values(task.fold))[rows]
    if task.without:
        kept = ~np.isin(folds, task.without)
        rows, folds = rows[kept], folds[kept]
    if task.values_per_fold > 1:
        names, code = np.unique(folds, return_inverse=True)
        first = code // task.values_per_fold * task.values_per_fold
        last = np.minimum(first + task.values_per_fold, len(names)) - 1
        folds = np.array([f"{a}-{b}" for a, b in zip(names[first], names[last], strict=True)])
    if task.group is None:
        groups = rows.astype(str)
    else:
        groups = np.asarray(store.values(task.group))[rows]
        # a clip without a group is a group of its own, not one of a big nameless group
        groups = np.where(groups == "", np.char.add("clip ", rows.astype(str)), groups)
    return labels[rows], folds, groups, rows


def pairs_of(task: Task, corpus: Any, names: Iterable[str]) -> Int64[np.ndarray, "p 2"] | None:
    """The published trials of a task of pairs as rows of `names`; None: it has none, or is of another kind.

    ValueError: a clip of the trials isn't among the names.
    """
    if task.kind != "pairs" or not hasattr(corpus, "trials"):
        return None
    at = {name: i for i, name in enumerate(names)}
    pairs = [(one, other) for _, one, other in corpus.trials()]
    if missing := {name for pair in pairs for name in pair} - at.keys():
        raise ValueError(f"{len(missing)} clips of the trials aren't here, such as {min(missing)}")
    return np.array([[at[one], at[other]] for one, other in pairs])


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
    alike = "" if balance == "none" else f"classes balanced in training ({balance}), "
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
                interval(out.correct * weight[tested]),
                f"{title}'s probe, mean over folds, {where}",
                sd=float(np.std(each)),
                chosen=out.chosen,
            )
        judged = x[tested], labels[tested], groups[tested]
        if "few-shot" in more:
            ways = min(5, len(np.unique(labels[tested])))
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
