"""Which method works on my sound? Many experiments, the same minutes of training, one protocol, one table."""

import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from ssl_audio import config, pretrain, provenance, report
from ssl_audio.audio.store import Store
from ssl_audio.config import Experiment
from ssl_audio.disk import write
from ssl_audio.embed import embed, logmel
from ssl_audio.evaluate.judging import judge
from ssl_audio.evaluate.tasks import Task, classified, columns
from ssl_audio.explore.plots import comparison
from ssl_audio.train import Diverged, batches_of, layout, make_step, parameters, start

STRENGTHS = (0.01, 0.1, 1.0)
"""Values of C of the linear probe: fewer than `ssl-audio evaluate` tries, at a third of the time."""


def timed(experiment: Experiment, store: Store, minutes: float, measured: int = 8) -> int:
    """As many steps as this machine makes in so many minutes, compilation not counted."""
    _, sharding, rows = layout(experiment, jax.devices())
    graph, state = start(experiment, sharding)
    step = make_step(experiment, graph, sharding)
    batch = jax.device_put(batches_of(experiment, store)[0], rows)

    times = []
    for _ in range(3 + measured):
        begun = time.perf_counter()
        state = jax.block_until_ready(step(state, batch))[0]
        times.append(time.perf_counter() - begun)
    # the first compiles; a median, since other work may come between
    return max(1, int(minutes * 60 / np.median(times[3:])))


def shortened(experiment: Experiment, steps: int) -> Experiment:
    """The experiment with so many steps, its warm-up, saves and looks to suit."""
    optim = dataclasses.replace(
        experiment.optim, steps=steps, warmup=min(experiment.optim.warmup, steps // 10)
    )
    rare = {"save_every": max(steps // 2, 1), "watch_every": max(steps // 8, 1)}
    return dataclasses.replace(experiment, optim=optim, **rare)


def run(
    experiments: Sequence[Experiment],
    tasks: Sequence[tuple[Task, Store]],
    *,
    minutes: float,
    seeds: Sequence[int],
    runs: Path,
    out: Path,
    title: str = "Every experiment, the same minutes",
    steps: int | None = None,
    heard: Store | None = None,
    source: Path | None = None,
) -> None:
    """Train every experiment from every seed; judge it beside its twin with random weights, itself at step 0.

    Run again, it goes on where it was; what is judged, pretrained on the same sound and for as many steps
    where these are given, is not judged again. Experiments with labels that aren't there are left out.
    tasks: each with the store of its clips; the first is the main one. out: the records, <name>.json; the
    table <name>.md, under the title, and the curves <name>.png are written beside it. steps: of each, in
    place of the minutes, so that runs of two machines can be compared. heard: what is pretrained on; None:
    the first task's store. source: the file of the experiments, whose own classes runs need.
    """
    heard = heard or tasks[0][1]
    for task, _ in tasks:
        classified(task)
    if odd := [e.name for e in experiments if e.data.label and e.data.label not in heard.columns]:
        print(f"left out, since {heard.path} hasn't the labels they learn from: {', '.join(odd)}", flush=True)
        experiments = [e for e in experiments if e.name not in odd]
    if not experiments:
        raise ValueError("no experiment is left to run")
    if minutes <= 0 or (steps or 1) < 1:
        raise ValueError(f"{minutes:g} minutes, {steps} steps: give more than none")
    judged = report.read(out) if out.exists() else []
    twins: dict = {}
    asked = {e.name: identity(e) for e in experiments}

    def left(name: str, seed: int) -> list[tuple[Task, Store]]:
        done = {
            (r["task"], r.get("data")): r
            for r in judged
            if (r["system"], r["seed"]) == (name, seed)
            and heard.hash[:16] in r.get("pretrained on", heard.hash)  # older records don't say
            and r.get("steps", steps) == (steps or r.get("steps"))
        }
        if any(r.get("experiment", asked.get(name)) != asked.get(name) for r in done.values()):
            raise ValueError(
                f"{out}: {name}, seed {seed}, was judged with other settings than it has now; give another "
                "--out and --runs, or another name"
            )
        if name in asked:
            told.update((name, seed, r["steps"], r.get("minutes", 0)) for r in done.values())
        return [(task, store) for task, store in tasks if (task.name, store.hash) not in done]

    told: set = set()
    todo = [(seed, e) for seed in seeds for e in experiments if left(e.name, seed)]
    for name, seed, made, took in sorted(told):
        print(f"{name}, seed {seed}: judged before, after {made} steps ({took:g} minutes); left as it is")
    for task, store in left("log-mel", 0):
        report.append(out, floor(experiments[0], store, task))
    for number, (seed, chosen) in enumerate(todo):
        folder = runs / f"{chosen.name}-{seed}"
        data = dataclasses.replace(chosen.data, store=str(heard.path))
        # another set has other labels than those that the file's author had in mind
        watch = next((c for c in (chosen.watch_label, tasks[0][0].label) if c in heard.columns), "")
        chosen = dataclasses.replace(chosen, seed=seed, data=data, watch_label=watch)
        if (folder / "experiment.json").is_file():  # `pretrain` compares all but the number of steps
            before = config.load_run(folder)
            began = before.optim.steps
            # what is looked at meanwhile is that of the task that it was begun for
            chosen = shortened(dataclasses.replace(chosen, watch_label=before.watch_label), steps or began)
            print(f"{folder}: began with {began} steps, and goes on with {chosen.optim.steps}", flush=True)
        else:
            chosen = pretrain.fitted(chosen, heard)
            chosen = shortened(chosen, steps or timed(chosen, heard, minutes))
        print(
            f"[{number + 1}/{len(todo)}] {chosen.name}, seed {seed}: {chosen.optim.steps} steps", flush=True
        )
        try:
            pretrain.run(chosen, folder, source=source)
        except Diverged as error:
            print(f"{chosen.name}, seed {seed}, is left out: {error}", flush=True)
            continue
        for task, store in left(chosen.name, seed):
            found = records(folder, store, task, twins)
            report.append(out, [r | {"experiment": asked[chosen.name]} for r in found])
            page(out, runs, [task for task, _ in tasks], title)
    page(out, runs, [task for task, _ in tasks], title)


def identity(experiment: Experiment) -> str:
    """What tells an experiment from another of its name, whatever it hears and for how long."""
    return config.digest((experiment.method, experiment.encoder, experiment.views, experiment.frontend))


def records(folder: Path, store: Store, task: Task, twins: dict) -> list[dict]:
    """One run's linear probe, kNN and k-means, its random twin's, and their paired difference.

    twins: probes of random networks that are known, for methods share encoders; those made here are added.
    """
    experiment, kept = config.load_run(folder), embed(folder, store)
    x = kept.x
    lines = metrics(folder)
    extra = {
        "data": store.hash,
        "model": kept.about["checkpoint"],
        "code": provenance.code(),
        **pretrain.learnt_from(folder, experiment),
        "method": type(experiment.method).__name__,
        "encoder": type(experiment.encoder).__name__,
        "parameters": parameters(experiment),
        "width": int(x.shape[1]),
        "steps": experiment.optim.steps,
        "minutes": round(lines[-1]["seconds"] / 60, 2),
        "collapse": bool([line["collapse"] for line in lines if "collapse" in line][-1]),
    }
    random = embed(folder, store, random=True).x
    labels, folds, groups, rows = columns(task, store)
    systems = {experiment.name: x[rows], twin(experiment.name): random[rows]}
    key = config.digest((experiment.encoder, experiment.frontend, experiment.seed)), task.name, store.hash
    known = {twin(experiment.name): twins[key]} if key in twins else {}
    found, outcomes = judge(
        task, labels, folds, groups, systems, experiment.name, experiment.seed, extra, STRENGTHS, known
    )
    twins[key] = outcomes[twin(experiment.name)]
    return [r for r in found if "majority" not in r["system"]]


def floor(experiment: Experiment, store: Store, task: Task) -> list[dict]:
    """The records of what no network made: log-mel statistics, the majority class."""
    labels, folds, groups, rows = columns(task, store)
    extra = {"data": store.hash, "model": "", "code": provenance.code()}
    found, _ = judge(
        task, labels, folds, groups, {"log-mel": logmel(experiment, store)[rows]}, None, 0, extra, STRENGTHS
    )
    return found


def twin(name: str) -> str:
    """What the records call an experiment's network with random weights."""
    return f"{name}, random"


def metrics(folder: Path) -> list[dict]:
    """The lines of a run's metrics.jsonl."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


# ---- the page
# ------------------------------------------------------------------------------------------------------------

HEAD = ("experiment", "encoder", "parameters", "steps", "minutes", "linear (each seed)", "kNN", "k-means NMI",
        "random weights", "difference", "collapse alarm")  # fmt: skip


def page(out: Path, runs: Path, tasks: Sequence[Task], title: str) -> None:
    """The table of all records of the newest data, best first, and the curves of the first seed's runs; where
    there are several tasks, a table of all too."""
    every = {task.name: newest(out, task) for task in tasks}
    by = every[tasks[0].name]
    judged = {name for name, metric in by if metric == "accuracy" and "method" in by[name, metric][0]}
    names = sorted((n for n in judged if twin(n) in judged), key=lambda n: -mean(by[n, "accuracy"]))
    rows = [HEAD, ["---"] * len(HEAD), *(row(name, by) for name in names)]
    for name in ("log-mel", "majority"):
        each = [f"{mean(by[name, m]):.3f}" if (name, m) in by else "" for m in ("accuracy", "knn accuracy")]
        rows.append([name, "", "", "", "", *each, "", "", "", ""])
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    protocol = by["log-mel", "accuracy"][0]["protocol"]
    if len(tasks) > 1:
        table += f"\n\n{OTHERS}\n\n{others(names, every)}"
    first = {name: sorted(runs.glob(f"{name}-*")) for name in names}
    logs = {name: metrics(folders[0]) for name, folders in first.items() if folders}
    gone = ", ".join(name for name in names if name not in logs)
    without = f"\n\nNo curves of {gone}: their runs weren't at hand when this was made." if gone else ""
    text = PAGE.format(
        title=title, task=tasks[0].name, table=table, stem=out.stem, protocol=protocol, without=without
    )
    write(out.with_suffix(".md"), text)
    if logs:
        comparison(logs).savefig(out.with_suffix(".png"), dpi=80)


def newest(out: Path, task: Task) -> dict[tuple[str, str], list[dict]]:
    """(system, metric) -> its records, one a seed, of the newest data."""
    records = [r for r in report.read(out) if r["task"] == task.name]
    chosen = report.seeds([r for r in records if r["data"] == records[-1]["data"]])
    return {(key[1], key[2]): group for key, group in chosen.items()}


def others(names: Sequence[str], every: dict[str, dict]) -> str:
    """A line a system, a column a task: accuracy, and what it is more than the random twin's."""
    rows = [["experiment", *every], ["---"] * (1 + len(every))]
    for name in (*names, "log-mel", "majority"):
        cells = [name]
        for by in every.values():
            own, gain = by.get((name, "accuracy")), by.get((f"{name} - {twin(name)}", "accuracy difference"))
            cells.append("" if own is None else f"{mean(own):.3f}")
            if gain:
                low, high = interval(gain)
                cells[-1] += (
                    f" ({mean(gain):+.3f}" + ("" if low > 0 else "; 0 within" if high > 0 else "") + ")"
                )
        rows.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def interval(gain: Sequence[dict]) -> tuple[float, float]:
    """Of a difference, the seeds pooled where there are several."""
    _, low, high = report.pooled(gain) or (0.0, *gain[0]["ci95"])
    return low, high


def row(name: str, by: dict) -> list[str]:
    """A line of the table."""
    own, gain = by[name, "accuracy"], by[f"{name} - {twin(name)}", "accuracy difference"]
    low, high = interval(gain)
    first = own[0]
    return [
        name,
        first["encoder"],
        f"{first['parameters'] / 1e6:.2f} M",
        both(r["steps"] for r in own),
        both(r["minutes"] for r in own),
        f"**{mean(own):.3f}** (" + ", ".join("{:.3f}".format(r["value"]) for r in own) + ")",
        f"{mean(by[name, 'knn accuracy']):.3f}",
        f"{mean(by[name, 'kmeans nmi']):.3f}",
        f"{mean(by[twin(name), 'accuracy']):.3f}",
        f"{mean(gain):+.3f} [{low:+.3f}, {high:+.3f}]" + ("" if low > 0 else ", not shown"),
        "RAISED" if any(r["collapse"] for r in own) else "no",
    ]


def mean(group: Sequence[dict]) -> float:
    """Over seeds."""
    return float(np.mean([r["value"] for r in group]))


def both(values) -> str:
    """'400' of equal ones, '400-420' of others."""
    values = sorted(values)
    return "-".join(dict.fromkeys(f"{v:g}" for v in (values[0], values[-1])))


OTHERS = """The same runs, each pretrained once, on all tasks: accuracy of the linear probe, in parentheses
what it is more than that of random weights ("0 within": that difference's interval holds zero)."""

PAGE = """<!-- made by `ssl-audio bench`; don't edit -->

# {title}

Task {task}. The same minutes of training, or steps, for each, then frozen embeddings of all clips under one
protocol, beside the same network with random weights. The interval of the difference is over recordings, the
seeds pooled where there are several; where it holds zero, the experiment is not shown to beat random weights.
Minutes are by the run's clock, compilation, looks at the embeddings and what a method does between steps
(clustering anew, BEATs' tokenizer) among them.

{protocol}.

{table}

Learning curves and collapse monitors of the first seed: the loss; the spread of the embeddings and of what is
predicted (1 is isotropic); the effective rank; leave-one-out kNN within the watched clips.{without}

![curves]({stem}.png)
"""
