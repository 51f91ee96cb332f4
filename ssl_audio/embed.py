"""Embeddings of a store by a checkpoint: computed once, kept beside the checkpoint."""

import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ssl_audio import checkpoint
from ssl_audio.config import Experiment, load_run
from ssl_audio.encoders.layers import within
from ssl_audio.train import State, encoder, start

WINDOW = 10.0
"""Seconds: a longer clip is embedded in windows of this length, whose mean, weighted by length, is its
embedding."""


def pieces(
    store, samples: int, batch: int, chosen: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(clips, int16 waves [b t], valid samples) over a store, or over the clips where `chosen` [n] is True.

    Clips of like length go together; a length is rounded up to the next of a grid that grows by a quarter, so
    that little is compiled.
    """
    lengths = np.asarray(store.lengths)
    grid = [store.rate // 4]
    while grid[-1] < samples:
        grid.append(min(samples, int(grid[-1] * 1.25)))
    waiting: dict[int, list] = {t: [] for t in grid}
    order = np.argsort(lengths, kind="stable")
    for i in order if chosen is None else order[chosen[order]]:
        for begin in range(0, int(lengths[i]), samples):
            valid = min(samples, int(lengths[i]) - begin)
            t = grid[int(np.searchsorted(grid, valid))]
            waiting[t].append((int(i), begin, valid))
            if len(waiting[t]) == batch:
                yield fill(store, waiting[t], t, batch)
                waiting[t] = []
    for t, rows in waiting.items():
        if rows:
            yield fill(store, rows, t, batch)


def fill(store, rows, t, batch):
    """Rows (clip, begin, valid) as arrays of fixed shape; clip -1 marks the rows that only fill up."""
    clips, wave, valid = np.full(batch, -1), np.zeros((batch, t), np.int16), np.full(batch, t, np.int32)
    for r, (i, begin, n) in enumerate(rows):
        clips[r], wave[r, :n], valid[r] = i, store[i, begin, n], n
    return clips, wave, valid


def apply(f, store, title: str, *, batch: int = 64) -> np.ndarray:
    """Embed every clip: f(int16 [b t], valid [b]) -> [b d], jitted. Returns float32 [n d] in the store's
    order."""
    total, weight, samples = None, np.zeros(len(store)), int(WINDOW * store.rate)
    windows = int(np.sum(-(-np.asarray(store.lengths) // samples)))
    with bar() as progress:
        job = progress.add_task(title, total=windows)
        for clips, wave, valid in pieces(store, samples, batch):
            x = np.asarray(jax.device_get(f(jax.device_put(wave), jax.device_put(valid))), np.float64)
            if total is None:
                total = np.zeros((len(store), x.shape[1]))
            real = clips >= 0
            np.add.at(total, clips[real], x[real] * valid[real, None])
            np.add.at(weight, clips[real], valid[real])
            progress.advance(job, int(real.sum()))
    return (total / weight[:, None]).astype(np.float32)


def bar() -> Progress:
    """A progress bar with count and time left on a terminal, nothing elsewhere."""
    columns = TextColumn("{task.description:>24}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, transient=True, disable=not os.isatty(1))


def by_state(experiment: Experiment, graph, state: State, store, title: str = "embedding") -> np.ndarray:
    """Embeddings [n d] of a store by a training state, batch normalisation by running averages, padding
    masked."""
    same_rate(experiment, store)

    @jax.jit
    def f(state, wave, valid):
        spec = experiment.frontend(wave.astype(jnp.float32) / 2**15)
        return encoder(experiment, graph, state).embed(spec, experiment.frontend.valid_frames(valid))

    return apply(functools.partial(f, state), store, title)


def logmel(experiment: Experiment, store) -> np.ndarray:
    """The floor: mean and standard deviation over time of the experiment's own log-mel, [n 2m]."""
    same_rate(experiment, store)

    @jax.jit
    def f(wave, valid):
        x = experiment.frontend.raw(wave.astype(jnp.float32) / 2**15)
        seen = within(experiment.frontend.valid_frames(valid), x.shape[1])[..., None].astype(x.dtype)
        n = seen.sum(1, keepdims=True)
        mean = jnp.sum(x * seen, 1, keepdims=True) / n
        var = jnp.sum((x - mean) ** 2 * seen, 1) / n[:, 0]
        return jnp.concatenate([mean[:, 0], jnp.sqrt(var)], -1)

    return apply(f, store, "log-mel floor")


def restore(run: Path | str, warn=print) -> tuple[Experiment, object, State, str]:
    """A run's experiment, network structure, newest whole state, and the name of that checkpoint
    (step-digest)."""
    experiment = load_run(run)
    graph, state = start(experiment)
    with checkpoint.Checkpoints(run, experiment) as checkpoints:
        found = checkpoints.restore(state, warn=warn)
    if found is None:
        raise FileNotFoundError(f"{run}: no finished checkpoint yet; run `ssl-audio train` first")
    step, state = found
    return experiment, graph, state, checkpoint.name(step, state)


def embed(run: Path | str, store, warn=print) -> tuple[np.ndarray, str]:
    """Embeddings of a store by a run's newest checkpoint, from the run's cache if they are there; and the
    checkpoint's name."""
    experiment, graph, state, name = restore(run, warn)
    folder = Path(run) / "embeddings"
    path = folder / f"{name}-{store.hash[:16]}.npz"
    if path.is_file():
        with np.load(path) as kept:
            return kept["x"], name
    x = by_state(experiment, graph, state, store)
    about = {"checkpoint": name, "store": store.hash, "frontend": experiment.frontend.hash, "seconds": WINDOW}
    write(path, x=x, about=np.array(json.dumps(about)))
    return x, name


def write(path: Path, **arrays: np.ndarray) -> None:
    """Write an .npz of named arrays whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{os.getpid()}.{path.name}")
    with open(aside, "wb") as file:  # a file, or numpy puts .npz behind any other name
        np.savez(file, **arrays)
    os.replace(aside, path)


def same_rate(experiment: Experiment, store) -> None:
    """Refuse a store that was not sampled as the frontend expects."""
    if store.rate != experiment.frontend.rate:
        raise ValueError(
            f"{store.path} is sampled at {store.rate} Hz, but {experiment.name} hears at "
            f"{experiment.frontend.rate} Hz: "
            f"build the store anew with --rate {experiment.frontend.rate}"
        )
