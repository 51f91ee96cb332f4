"""Two systems on the same clips: is one better, task by task, and is it more than luck?"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from rich.console import Console
from rich.table import Table

from ssl_audio import config, outside, provenance, report
from ssl_audio.audio.store import Store
from ssl_audio.embed import embed
from ssl_audio.evaluate import stats
from ssl_audio.evaluate.judging import judge
from ssl_audio.evaluate.tasks import Task, clips_of, columns, find, pairs_of
from ssl_audio.pretrain import prepared


class Found:
    """A system's embeddings of a task's clips, with what the task says of them, in the order of their
    names."""

    def __init__(self, source: Path, task: Task, corpora: dict[str, Any], own: Store | None = None):
        if source.is_file():
            listed = outside.Listed(clips_of(task, corpora)) if own is None else outside.Stored(own)
            names, x = outside.read(source, {task.label})
            labels, folds, groups, rows = columns(task, listed)
            x, named = x[outside.matched(source, names, listed, rows)], np.array(listed.names)[rows]
            self.model = hashlib.sha256(np.ascontiguousarray(x)).hexdigest()[:16]
        else:
            store = own or prepared(task, config.load_run(source).frontend.rate, corpora)
            made = embed(source, store)
            labels, folds, groups, rows = columns(task, store)
            x, named = made.x[rows], np.array([store.name(int(i)) for i in rows])
            self.model = made.about["checkpoint"]
        order = np.argsort(named, kind="stable")
        self.x: Float[np.ndarray, "n d"] = x[order]
        self.names, self.labels, self.folds = named[order], labels[order], folds[order]
        self.groups: Shaped[np.ndarray, " n"] = groups[order]


def run(
    first: Path,
    second: Path,
    tasks: Sequence[str],
    corpora: dict[str, Any],
    out: Path | None = None,
    mine: tuple[Task, Store] | None = None,
) -> list[dict]:
    """Judge both by the linear probe on every task, print the paired differences and return their records.

    first, second: folders of runs or files of embeddings. out: a .json that gets the records. mine: a further
    task (`evaluate.tasks.own`) and its store. p is that of the permutation of whole groups; over several
    tasks Holm's stands beside it, "p holm" in the records. ValueError: the two don't have the same clips.
    """
    found: list[tuple[Task, Store | None]] = [(find(name), None) for name in tasks]
    found += [mine] if mine else []
    records, differences = [], []
    name, other = titles(first, second)
    for task, own in found:
        a, b = (Found(source, task, corpora, own) for source in (first, second))
        if not np.array_equal(a.names, b.names):
            only = sorted(set(a.names) ^ set(b.names))
            raise ValueError(f"{task.name}: {first} and {second} have other clips, such as {only[0]}")
        data = hashlib.sha256("\n".join(a.names).encode()).hexdigest()
        extra = {"data": data, "model": f"{a.model} and {b.model}", "code": provenance.code()}
        pairs = pairs_of(task, corpora.get(task.dataset), a.names)
        new, _ = judge(
            task, a.labels, a.folds, a.groups, {name: a.x, other: b.x}, name, 0, extra, pairs=pairs
        )
        records += new
        differences += [r for r in new if r["system"] == f"{name} - {other}"]
    for record, p in zip(differences, stats.holm(np.array([r["p"] for r in differences])), strict=True):
        record["p holm"] = float(p)
    if out is not None:
        report.append(out, records)
    show(records, differences, name, other)
    return records


def titles(first: Path, second: Path) -> tuple[str, str]:
    """What two systems are called: their files' or folders' names, with the folder above where those are
    one."""
    names = [
        source.resolve().stem if source.is_file() else source.resolve().name for source in (first, second)
    ]
    if names[0] == names[1]:
        names = [f"{s.resolve().parent.name}/{n}" for s, n in zip((first, second), names, strict=True)]
    if names[0] == names[1]:
        raise ValueError(f"{first} and {second} are called alike; rename one")
    return names[0], names[1]


def show(records: Sequence[dict], differences: Sequence[dict], name: str, other: str) -> None:
    """A line a task: both numbers, the paired difference with its interval, p and Holm's p."""
    table = Table("task", name, other, "difference", "p", "p (Holm)")
    value = {(r["task"], r["metric"], r["system"]): r["value"] for r in records}
    for r in differences:
        metric = r["metric"].removesuffix(" difference")
        table.add_row(
            r["task"] if metric == "accuracy" else f"{r['task']} ({metric})",
            *(f"{value[r['task'], metric, system]:.3f}" for system in (name, other)),
            "{:+.3f} [{:+.3f}, {:+.3f}]".format(r["value"], *r["ci95"]),
            f"{r['p']:.4f}",
            f"{r['p holm']:.4f}",
        )
    Console().print(table)
    for r in differences:
        print("  " + r["task"] + ": " + report.plain(r))
