"""Runs as people start them: statistics, progress, tracking around training; systems and floors around
judging."""

import contextlib
import dataclasses
import time
from collections.abc import Collection
from pathlib import Path

import jax
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ssl_audio import config, disk, provenance, report
from ssl_audio.audio.build import build
from ssl_audio.audio.store import Store
from ssl_audio.config import Experiment
from ssl_audio.datasets.fetch import cache
from ssl_audio.embed import embed, logmel, logmel_frames
from ssl_audio.evaluate import leaderboard
from ssl_audio.evaluate.collapse import look
from ssl_audio.evaluate.judging import More, fits, judge
from ssl_audio.evaluate.linear import Balance
from ssl_audio.evaluate.tasks import Task, clips_of, columns, find, pairs_of
from ssl_audio.train import TWICE, train

FIT_CLIPS = 1000
BELOW = ("balanced accuracy", "macro F1")
"""Metrics for which a table of 80 characters has no room."""


def fitted(experiment: Experiment, store: Store) -> Experiment:
    """The experiment with its frontend's mean and std from a thousand clips of the store, unless given."""
    if not bare(experiment):
        return experiment
    chosen = np.sort(np.random.default_rng(0).permutation(len(store))[:FIT_CLIPS])
    samples = round(experiment.data.seconds * store.rate)
    frontend = experiment.frontend.fit((store[int(i), 0, 10 * store.rate] for i in chosen), samples=samples)
    return dataclasses.replace(experiment, frontend=frontend)


def bare(experiment: Experiment) -> bool:
    """Whether the frontend still lacks the statistics of a store."""
    return (experiment.frontend.mean, experiment.frontend.std) == (0.0, 1.0)


def continued(experiment: Experiment, store: Store, heard: str, folder: Path) -> Experiment:
    """The experiment as the run in `folder` began with it; ValueError if that, or the store, was another."""
    before = config.load_run(folder)
    if bare(experiment):
        statistics = {"mean": before.frontend.mean, "std": before.frontend.std}
        experiment = dataclasses.replace(
            experiment, frontend=dataclasses.replace(experiment.frontend, **statistics)
        )
    told, background = experiment, before.data.background
    if bool(experiment.data.background) == bool(background):  # the same stores may have been moved
        paths = dataclasses.replace(experiment.data, store=before.data.store, background=background)
        told = dataclasses.replace(experiment, data=paths)
    if config.to_json(before) != config.to_json(told):
        raise ValueError(
            f"{folder} holds another experiment ({differences(before, told)}); choose another folder for the "
            "run or remove it"
        )
    if (folder / "store.txt").read_text(encoding="utf-8") != heard:
        raise ValueError(
            f"{store.path}{' or its background' if background else ''} has changed since {folder} "
            f"began; choose another folder for the run or remove it"
        )
    return experiment


def run(experiment: Experiment, folder: Path, *, source: Path | None = None, wandb: bool = False) -> tuple:
    """Train an experiment in a folder from where it stands, with a progress bar; returns (experiment, graph,
    state).

    The folder remembers the experiment and the store; once it has a checkpoint, going on with others is
    refused. Of several hosts all call this, with one shared folder; the first one writes and prints.
    """
    if not experiment.data.store:
        raise ValueError(
            "no store given: make one with `ssl-audio store FOLDER --out STORE`, then pass --data.store STORE"
        )
    store = Store(experiment.data.store)
    background = experiment.data.background
    heard = store.hash + "\n" + (f"{Store(background).hash}\n" if background else "")
    first = jax.process_index() == 0
    if (folder / "experiment.json").is_file() and any((folder / "checkpoints").glob("[0-9]*")):
        experiment = continued(experiment, store, heard, folder)
    else:
        experiment = fitted(experiment, store)
        folder.mkdir(parents=True, exist_ok=True)
        if first:
            with disk.alone(folder / ".lock", TWICE):
                disk.write(folder / "store.txt", heard)
                config.save_run(folder, experiment, source)
    tracker = contextlib.nullcontext(lambda line: None)
    if wandb and first:
        from ssl_audio.track import wandb_log

        tracker = wandb_log(folder, experiment)
    console = Console(quiet=not first)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} steps"),
        TextColumn("{task.fields[note]}"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        console=console, disable=not console.is_terminal,
    )  # fmt: skip
    with tracker as track, bar:
        job = bar.add_task(f"pretrain {experiment.name}", total=experiment.optim.steps, note="compiling")
        note_of: dict[str, str] = {}
        alarmed = False

        def log(line):
            nonlocal alarmed
            track(line)
            if "loss" in line:
                note_of["loss"] = f"loss {line['loss']:.3f}, {line['clips_per_second']:.0f} clips/s"
            if "rankme" in line:
                note_of["rank"] = f"rank {line['rankme']:.0f}" + (
                    f", kNN {line['online_knn']:.2f}" if "online_knn" in line else ""
                )
                note_of["alarm"] = "[red]COLLAPSED[/red]" if line["collapse"] else ""
                if line["collapse"] and not alarmed:
                    console.print(
                        f"[red]warning[/red]: collapse at step {line['step']}, of the embeddings or of what "
                        f"is predicted (embedding std {line['embedding_std']:.3f}, effective rank "
                        f"{line['rankme']:.1f}): lower the rate, strengthen the views, or check the "
                        f"predictor and teacher"
                    )
                alarmed = line["collapse"]
            bar.update(job, completed=line["step"], note=", ".join(v for v in note_of.values() if v))
            if not console.is_terminal and ("rankme" in line):
                console.print(
                    f"step {line['step']}/{experiment.optim.steps}  "
                    + ", ".join(v for v in note_of.values() if v)
                )

        graph, state = train(experiment, store, folder, look=look, log=log, say=console.print)
    return experiment, graph, state


def differences(a: Experiment, b: Experiment) -> str:
    """The names of the choices in which two experiments differ, with their values."""

    def flat(value, name=""):
        if isinstance(value, dict):
            return {
                k: v
                for key, inner in value.items()
                for k, v in flat(inner, f"{name}.{key}" if name else key).items()
            }
        return {name: value}

    one, two = flat(config.to_json(a)), flat(config.to_json(b))
    changed = [k for k in one | two if one.get(k) != two.get(k)]
    return ", ".join(f"{k}: {one.get(k)} there, {two.get(k)} here" for k in changed[:4])


def systems(run: Path | str, store: Store) -> tuple[dict[str, np.ndarray], Experiment, str]:
    """Embeddings of a store by a run, by its twin with random weights and by log-mel statistics; and the
    checkpoint's name."""
    experiment = config.load_run(run)
    if experiment.name in ("random", "logmel"):
        raise ValueError(f"{run}: {experiment.name!r} is what a floor is called; give the run another --name")
    own, random = embed(run, store), embed(run, store, random=True)
    found = {experiment.name: own.x, "random": random.x, "logmel": logmel(experiment, store)}
    return found, experiment, own.about["checkpoint"]


def deeper(run: Path, store: Store, more: Collection[str]) -> dict[str, dict[str, np.ndarray]]:
    """Layers and frames of a run and of its random twin, where measures ask for them (`judging.judge`)."""
    from ssl_audio.evaluate.protocols import INPUTS
    from ssl_audio.evaluate.protocols.attentive import pieces

    found: dict[str, dict[str, np.ndarray]] = {}
    for what in sorted({INPUTS[kind] for kind in more if kind in INPUTS}):
        own, random = (embed(run, store, what, random=twin) for twin in (False, True))
        of = (lambda made: pieces(made.x, made.starts)) if what == "frames" else (lambda made: made.x)
        found[what] = {config.load_run(run).name: of(own), "random": of(random)}
    return found


def detected(run: Path, task: Task, store: Store, corpora: dict, more: Collection[More] = ()) -> list[dict]:
    """Records of a task of events: frames of a run, of its random twin and of its log-mel spectrogram."""
    from ssl_audio.evaluate.detection import Frames
    from ssl_audio.evaluate.detection import judge as judge_events
    from ssl_audio.evaluate.events import Event

    experiment, own = config.load_run(run), embed(run, store, "frames")
    random, floor = embed(run, store, "frames", random=True), logmel_frames(experiment, store)
    _, folds, groups, rows = columns(task, store)
    corpus = corpora[task.dataset]
    clips = {clip.name or str(clip.path): clip for clip in clips_of(task, corpora)}
    events = [[Event(*e) for e in corpus.events(clips[store.name(int(i))])] for i in rows]
    named = {experiment.name: own, "random": random, "logmel": floor}
    systems = {name: Frames(e.x, e.starts, e.times).of(rows) for name, e in named.items()}
    extra = origin(run, experiment, store, own.about["checkpoint"])
    asked = experiment.name, experiment.seed, extra
    return judge_events(task, events, folds, groups, systems, *asked, more=more)[0]


def prepared(task: Task, rate: int, corpora: dict) -> Store:
    """The store of a task's corpus at a rate, in the user's cache; built the first time.

    Where another process is building it, this one waits.
    """
    name = f"{task.dataset}-{task.part}" if task.part else task.dataset
    path, told = cache() / "stores" / f"{name}-{rate}", False
    clips = clips_of(task, corpora)
    while True:
        try:
            refused = build(clips, path, rate=rate, title=name).refused
            if refused:
                first = "; ".join(f"{clip}: {reason}" for clip, reason in refused[:3])
                print(f"warning: {len(refused)} of {len(clips)} clips of {name} are left out ({first})")
            return Store(path)
        except BlockingIOError:
            if not told:
                print(f"waiting for another process, which is building {path}", flush=True)
            told = True
            time.sleep(1)


def evaluate(
    run: Path,
    tasks: tuple[str, ...],
    results: Path,
    corpora: dict,
    more: Collection[More] = (),
    page: bool = False,
    balance: Balance = "none",
    mine: tuple[Task, Store] | None = None,
) -> list[dict]:
    """Judge a run on tasks and append the records to results/<experiment>.json.

    mine: a further task (`evaluate.tasks.own`) and its store. page: also write <run>/<task>.html for each
    task, to look at and listen to.
    """
    found = [find(name) for name in tasks]  # a wrong name fails before anything is embedded
    found += [mine[0]] if mine else []
    stored = lambda task: mine[1] if mine and task is mine[0] else prepared(task, rate, corpora)
    if page and (other := [task.name for task in found if task.kind != "class"]):
        raise ValueError(f"{', '.join(other)}: a page is of tasks whose clips have one class each")
    for task in found:
        fits(task, more, balance)
    began, records, ready = config.load_run(run), [], {}
    rate = began.frontend.rate
    for task in found:
        if task.kind == "events":
            new = detected(run, task, stored(task), corpora, more)
            records += new
            report.append(results / f"{began.name}.json", new)
            show(new)
            continue
        key = task.dataset, task.part
        if key not in ready:
            store = stored(task)
            ready = {key: (store, *systems(run, store), deeper(run, store, more))}
        store, embeddings, experiment, checkpoint, inside = ready[key]
        labels, folds, groups, rows = columns(task, store)
        extra = origin(run, experiment, store, checkpoint)
        chosen = {name: x[rows] for name, x in embeddings.items()}
        pairs = pairs_of(task, corpora.get(task.dataset), (store.name(int(i)) for i in rows))
        new, outcomes = judge(
            task, labels, folds, groups, chosen, experiment.name, experiment.seed, extra, more=more,
            balance=balance, pairs=pairs,
            deeper={what: {who: x[rows] for who, x in each.items()} for what, each in inside.items()},
        )  # fmt: skip
        records += new
        report.append(results / f"{experiment.name}.json", new)
        show(new)
        if page:
            own = outcomes[experiment.name]
            x = embeddings[experiment.name]
            print(written(run, experiment, task, store, labels, rows, x, own, new, extra))
    return records


def written(
    run: Path, experiment: Experiment, task: Task, store: Store, labels, rows, x, outcome, records, extra
) -> Path:
    """The page of a task that a run was judged on."""
    from ssl_audio.explore.page import page  # draws, and so is slow to import

    every = np.full(len(store), "", labels.dtype)
    every[rows] = labels
    about = {
        "experiment": config.to_json(experiment),
        "seed": experiment.seed,
        "versions": provenance.versions(),
        "hashes": extra,
        "records": records,
    }
    outcome = dataclasses.replace(outcome, tested=rows[outcome.tested])
    return page(
        run, about, store=store, labels=every, embedding=x, outcome=outcome, label=task.label,
        file=task.name.replace("/", "-") + ".html",
    )  # fmt: skip


def origin(run: Path, experiment: Experiment, store: Store, checkpoint: str) -> dict[str, str]:
    """What made a run's records."""
    return {
        "data": store.hash,
        "model": checkpoint,
        "code": provenance.code(),
        **learnt_from(run, experiment),
    }


def learnt_from(run: Path, experiment: Experiment) -> dict[str, str]:
    """What a run was pretrained on: names of its store and of its background's, each with the start of its
    hash, no path; and whose labels it saw, if any."""
    heard = ", background ".join(f"{path.name} {digest}" for path, digest in stores_of(run, experiment))
    return {"pretrained on": heard} | ({"by labels": experiment.data.label} if experiment.data.label else {})


def stores_of(run: Path, experiment: Experiment) -> list[tuple[Path, str]]:
    """Where a run's store, and its background's, was, and the first 16 digits of its hash."""
    data = experiment.data
    paths = [data.store, *([data.background] if data.background else [])]
    digests = (run / "store.txt").read_text(encoding="utf-8").split()
    return [(Path(path), digest[:16]) for path, digest in zip(paths, digests, strict=True)]


def show(records: list[dict]) -> None:
    """Print records for people: a table a task, systems down, metrics across; then the paired differences."""
    for task in dict.fromkeys(r["task"] for r in records):
        mine = [r for r in records if r["task"] == task]
        values = [r for r in mine if not report.difference(r["metric"])]
        metrics = [m for m in dict.fromkeys(r["metric"] for r in values) if m not in BELOW]
        title, longest = f"{task}, {max(r['n'] for r in mine)} clips", max(len(r["system"]) for r in values)
        most = max(1, (Console().width - longest - 4) // 12)  # as many columns as leave words whole
        for some in (metrics[i : i + most] for i in range(0, len(metrics), most)):
            table = Table(title=title, title_justify="left")
            for name in ("", *some):
                table.add_column(name, no_wrap=not name)
            for system in dict.fromkeys(r["system"] for r in values if r["metric"] in some):
                own = [r for r in values if r["system"] == system]
                cells = {r["metric"]: "{:.3f} [{:.3f}, {:.3f}]".format(r["value"], *r["ci95"]) for r in own}
                table.add_row(system, *(cells.get(metric, "") for metric in some))
            Console().print(table)
        for metric in BELOW:
            each = ["{system} {value:.3f}".format(**r) for r in values if r["metric"] == metric]
            if each:
                print(f"  {metric}: {', '.join(each)}")
        for r in mine:
            if report.difference(r["metric"]):
                print("  " + report.plain(r))
            elif said := leaderboard.beside(r):
                print("  " + said)
