"""Embeddings of a store by a checkpoint: computed once, kept beside the checkpoint."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ssl_audio import checkpoint, provenance
from ssl_audio.config import Experiment, digest, load_run
from ssl_audio.embeddings import Embeddings, Steps, compute
from ssl_audio.encoders.layers import masked_mean, pace, within
from ssl_audio.train import State, encoder, start

What = Literal["clip", "layers", "frames"]
"""One vector a clip, one a layer of a transformer and clip, or one a time step."""


def shared(devices: Sequence | None, batch: int = 64) -> tuple[Callable, Callable, int]:
    """(puts rows on the devices, puts the same on all of them, a batch that they can share); None: all."""
    mesh = Mesh(np.array(jax.local_devices() if devices is None else devices), ("data",))
    put = lambda spec: functools.partial(jax.device_put, device=NamedSharding(mesh, spec))
    return put(PartitionSpec("data")), put(PartitionSpec()), -(-batch // mesh.size) * mesh.size


def made(experiment: Experiment, graph, what: What) -> Callable:
    """Jitted (state, int16 [b t], valid [b]) -> [b d], [b l d] or [b steps d]; padding is masked, batch
    normalisation uses running averages."""

    @jax.jit
    def f(state, wave, valid):
        spec = experiment.frontend(wave.astype(jnp.float32) / 2**15)
        frames, net = experiment.frontend.valid_frames(valid), encoder(experiment, graph, state)
        if what == "clip":
            return getattr(net, "read", net.embed)(spec, frames)
        if what == "frames":
            return beside(net, net(spec, frames))
        x = net.cut(spec, frames)
        mask = net.visible(frames, x.shape[1])
        layers = net.layers(x, mask)
        layers[-1] = net.norm(layers[-1])
        layers = [beside(net, y[:, y.shape[1] - x.shape[1] :]) for y in layers]  # without a class token
        return jnp.stack([masked_mean(y, mask[:, :: net.columns]) for y in layers], 1)

    return f


def beside(net, x):
    """Tokens of one time step side by side: [b n d] -> [b steps d]."""
    return x.reshape(len(x), -1, net.columns * x.shape[-1])


def steps_of(experiment: Experiment, net) -> Steps:
    """How a network cuts time."""
    frontend, (every, middle) = experiment.frontend, pace(net)

    def count(samples):
        frames = frontend.valid_frames(np.asarray(samples, np.int32))
        return np.maximum(np.asarray(net.steps(np.asarray(frames))), 1).astype(np.int64)

    return Steps(count, every * frontend.step, frontend.centre + middle * frontend.step)


def by_state(
    experiment: Experiment,
    graph,
    state: State,
    store,
    title: str = "embedding",
    *,
    what: What = "clip",
    about: dict[str, Any] | None = None,
    folder: Path | None = None,
    dtype: str = "float32",
    devices: Sequence | None = None,
) -> Embeddings:
    """Embeddings of a store by a training state. folder, about, dtype: as of `embeddings.compute`.

    ValueError: another rate than the frontend's, or layers of a network that isn't a transformer.
    """
    same_rate(experiment, store)
    net = jax.eval_shape(lambda state: encoder(experiment, graph, state), state)
    if what == "layers" and not hasattr(net, "layers"):
        raise ValueError(
            f"{type(experiment.encoder).__name__} has no layers of one width, as transformers have; take "
            "clip or frames, or leave superb out"
        )
    rows, everywhere, batch = shared(devices)
    f = functools.partial(made(experiment, graph, what), everywhere(state))
    steps = steps_of(experiment, net) if what == "frames" else None
    return compute(
        f, store, {"what": what, **(about or {})}, folder, title=title, batch=batch, put=rows, steps=steps,
        dtype=dtype,
    )  # fmt: skip


def logmel_frames(experiment: Experiment, store) -> Embeddings:
    """The floor of frames: the experiment's own log-mel."""
    same_rate(experiment, store)
    frontend = experiment.frontend

    @jax.jit
    def f(wave, valid):
        return frontend.raw(wave.astype(jnp.float32) / 2**15)

    def count(samples):
        frames = np.asarray(frontend.valid_frames(np.asarray(samples, np.int32)))
        return np.maximum(frames, 1).astype(np.int64)

    rows, _, batch = shared(None)
    steps = Steps(count, frontend.step, float(frontend.centre))
    return compute(f, store, {}, title="log-mel frames", batch=batch, put=rows, steps=steps)


def logmel(experiment: Experiment, store) -> np.ndarray:
    """The floor: mean and standard deviation over time of the experiment's own log-mel, [n 2m]."""
    same_rate(experiment, store)

    @jax.jit
    def f(wave, valid):
        x = experiment.frontend.raw(wave.astype(jnp.float32) / 2**15)
        seen = within(experiment.frontend.valid_frames(valid), x.shape[1])[..., None].astype(x.dtype)
        n = jnp.maximum(seen.sum(1, keepdims=True), 1)  # what is left of a long clip may be less than a frame
        mean = jnp.sum(x * seen, 1, keepdims=True) / n
        var = jnp.sum((x - mean) ** 2 * seen, 1) / n[:, 0]
        return jnp.concatenate([mean[:, 0], jnp.sqrt(var)], -1)

    rows, _, batch = shared(None)
    return compute(f, store, {}, title="log-mel floor", batch=batch, put=rows).x


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


def embed(
    run: Path | str,
    store,
    what: What = "clip",
    *,
    random: bool = False,
    dtype: str = "float32",
    devices: Sequence | None = None,
    warn: Callable[[str], None] = print,
) -> Embeddings:
    """Embeddings of a store by a run's newest checkpoint, or by the random weights it began with.

    They are kept in the run's folder, named by checkpoint, store and kind; another frontend, network, store,
    checkpoint or code makes them anew. `about["checkpoint"]` is the checkpoint's name.
    """
    if random:
        experiment = load_run(run)
        graph, state = start(experiment)
        name = f"random-{checkpoint.name(0, state)}"
    else:
        experiment, graph, state, name = restore(run, warn)
    about = {
        "checkpoint": name,
        "store": store.hash,
        "frontend": experiment.frontend.hash,
        "network": digest((experiment.encoder, experiment.method)),
        "code": provenance.code("encoders", "methods", "signal", "losses.py", "embed.py", "embeddings.py"),
    }
    folder = Path(run) / "embeddings" / f"{name}-{store.hash[:16]}-{what}-{dtype}"
    title = "embedding, random weights" if random else "embedding"
    return by_state(
        experiment, graph, state, store, title, what=what, about=about, folder=folder, dtype=dtype,
        devices=devices,
    )  # fmt: skip


def same_rate(experiment: Experiment, store) -> None:
    """Refuse a store that was not sampled as the frontend expects."""
    if store.rate != experiment.frontend.rate:
        raise ValueError(
            f"{store.path} is sampled at {store.rate} Hz, but {experiment.name} hears at "
            f"{experiment.frontend.rate} Hz: "
            f"build the store anew with --rate {experiment.frontend.rate}"
        )
