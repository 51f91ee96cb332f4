"""How many labels does it take? Runs, frozen and fine-tuned, against the same network without pretraining."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssl_audio import config, provenance, report
from ssl_audio.audio.store import Store
from ssl_audio.disk import write
from ssl_audio.embed import embed, restore
from ssl_audio.evaluate import linear, stats
from ssl_audio.evaluate.folds import splits, standardise
from ssl_audio.evaluate.record import protocol_of
from ssl_audio.evaluate.tasks import Task, classified, columns
from ssl_audio.explore.plots import efficiency
from ssl_audio.finetune import Finetune, few, finetune
from ssl_audio.signal.augment import Crop
from ssl_audio.train import start

COUNTS = (1, 5, 10, 50)
"""Labels a class."""
RECIPE = Finetune(steps=200)
"""Of fine-tuning and of training from scratch: more steps than ten labels need, for fifty do."""
STRENGTH = 1.0
"""C of the frozen networks' probe: fixed, for one label a class leaves none to choose it on."""


def run(
    folders: Sequence[Path],
    store: Store,
    task: Task,
    *,
    counts: Sequence[int] = COUNTS,
    draws: int = 1,
    out: Path,
    recipe: Finetune = RECIPE,
) -> None:
    """Judge runs with few labels a class of each training fold, tested on the whole test fold.

    folders: runs, each with a name of its own. draws: how often labels are drawn, by seeds 0, 1, ... out: the
    records, .json; the table .md and the figure .png are written beside it. A network without pretraining is
    judged once for each kind of encoder. Run again, it goes on where it was. ValueError: two runs have one
    name.
    """
    experiments = [config.load_run(folder) for folder in folders]
    names = [experiment.name for experiment in experiments]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(
            f"two runs are called {min(twice)!r}: records tell them apart by name; give one of them"
        )
    classified(task)
    known = report.known(out, "system", "task", "seed", "data", "model", "protocol")
    protocol = PROTOCOL.format(strength=STRENGTH, recipe=recipe, where=protocol_of(task))
    labels, folds, groups, rows = columns(task, store)
    every = np.full(len(store), "", dtype=labels.dtype)
    every[rows] = labels
    todo = list(splits(folds, groups, task.test))
    tested = np.sort(np.concatenate([split.test for split in todo]))
    kinds = set()
    for folder, experiment in zip(folders, experiments, strict=True):
        data = experiment.data  # a twin from scratch is trained on the same crops
        heard = [c for c in experiment.views[0].wave if isinstance(c, Crop)], data.seconds, data.short
        kind = config.digest((experiment.encoder, experiment.frontend, experiment.seed, *heard))
        # by name: pretrained? fine-tuned?
        systems = {
            f"{experiment.name}, frozen": (True, False),
            f"{experiment.name}, fine-tuned": (True, True),
        }
        if new := kind not in kinds:
            network = f"{experiment.name}'s network"
            systems |= {f"{network}, random": (False, False), f"{network}, from scratch": (False, True)}
        kinds.add(kind)
        _, graph, state, name = restore(folder)
        made = {True: name, False: kind}  # who made the embeddings: a checkpoint, or a kind of network
        wanted = [
            (draw, count, system)
            for draw, count, system in itertools.product(range(draws), counts, systems)
            if (system, scarce(task, count), draw, store.hash, made[systems[system][0]], protocol)
            not in known
        ]
        if not wanted:
            continue
        states = {True: state, False: start(experiment)[1]}
        x = {True: embed(folder, store).x[rows]}
        if new:
            x[False] = embed(folder, store, random=True).x[rows]
        for draw, count, system in wanted:
            pretrained, tuned = systems[system]
            guess = np.full(len(labels), "", dtype=labels.dtype)
            for split in todo:
                some = few(labels, split.train, count, draw)
                if tuned:
                    guess[split.test] = finetune(
                        experiment, states[pretrained], graph, store, every, rows[some], rows[split.test],
                        recipe=recipe, seed=draw, title=f"{system}, {count} labels",
                    )  # fmt: skip
                else:
                    guess[split.test] = probe(x[pretrained], labels, split, some)
            right = (guess == labels)[tested]
            record = {
                "task": scarce(task, count),
                "labels": count,
                "system": system,
                "metric": "accuracy",
                "value": float(right.mean()),
                "ci95": list(stats.bootstrap(right, groups[tested], seed=draw)),
                "n": len(tested),
                "groups": len(np.unique(groups[tested])),
                "seed": draw,
                "protocol": protocol,
                "data": store.hash,
                "model": made[pretrained],
                "code": provenance.code(),
            }
            report.append(out, [record])
            print(f"{record['task']}, {system}, draw {draw}: {record['value']:.3f}", flush=True)
    page(out, task, protocol)


PROTOCOL = (
    "labels drawn from the training folds; frozen: standardised on all training clips, logistic regression, "
    "C = {strength:g}; else all weights, {recipe.steps} steps of {recipe.batch}; {where}"
)


def scarce(task: Task, count: int) -> str:
    """What the records call a task with so many labels a class."""
    return f"{task.name}, {count} label{'s' if count > 1 else ''} a class"


def probe(x, labels, split, some) -> np.ndarray:
    """Labels of the test rows by a logistic regression on the rows `some`; standardising needs no labels."""
    z = linear.rotate(standardise(x, split.train), some)
    classes, code = np.unique(labels[some], return_inverse=True)
    w = linear.solve(z[some], code, len(classes), STRENGTH)
    return classes[(z[split.test] @ w).argmax(1)]


def page(out: Path, task: Task, protocol: str) -> None:
    """The table, mean over draws and their range, and the figure of the newest record of each draw."""
    records = [r for r in report.read(out) if "labels" in r and r["protocol"] == protocol]
    records = [r for r in records if r["task"].startswith(f"{task.name}, ")]
    records = [r for r in records if r["data"] == records[-1]["data"]]
    newest = {r["system"]: r["model"] for r in records}  # another checkpoint's numbers don't mix with it
    records = [r for r in records if r["model"] == newest[r["system"]]]
    records = list({(r["system"], r["labels"], r["seed"]): r for r in records}.values())
    counts = sorted({r["labels"] for r in records})
    values = {
        system: {c: [r["value"] for r in own if r["labels"] == c] for c in counts}
        for system in dict.fromkeys(r["system"] for r in records)
        if (own := [r for r in records if r["system"] == system])
    }
    lines = [["system", *(f"{c} a class" for c in counts)], ["---"] * (len(counts) + 1)]
    for system, found in sorted(values.items(), key=lambda item: -np.mean(item[1][counts[-1]] or 0)):
        cells = [
            f"{np.mean(v):.3f}" + (f" ({min(v):.3f} to {max(v):.3f})" if len(v) > 1 else "") if v else ""
            for v in found.values()
        ]
        lines.append([system, *cells])
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    write(out.with_suffix(".md"), PAGE.format(task=task.name, table=table, protocol=protocol, stem=out.stem))
    efficiency(values).savefig(out.with_suffix(".png"), dpi=110)


PAGE = """<!-- made by `ssl-audio labels`; don't edit -->

# How many labels does it take? {task}

Accuracy by labels a class; of several draws of labels the mean and the range.

{table}

{protocol}.

![accuracy by labels a class]({stem}.png)
"""
