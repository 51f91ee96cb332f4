"""Pretraining: the state, the step, the loop. No line here knows which method it trains."""

import contextlib
import functools
import json
import math
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ssl_audio.audio.batches import Batches, prefetch
from ssl_audio.audio.store import Store
from ssl_audio.checkpoint import Checkpoints
from ssl_audio.config import Experiment
from ssl_audio.disk import alone, write
from ssl_audio.optim import renewed

SHARE = 2**31
"""Bytes of weights, teachers and optimiser above which several devices share them out."""
TWICE = "another process is training this run; wait for it, or stop it"
TRAINED = nnx.All(nnx.Param, lambda path, value: not any("teacher" in str(part) for part in path))


class Diverged(RuntimeError):
    """The loss is no longer finite."""


@flax.struct.dataclass
class State:
    """All that a run carries from one step to the next: arrays only."""

    step: Any
    params: Any
    """What the optimiser moves."""
    frozen: Any
    """Parameters that only the method moves: teachers."""
    rest: Any
    """Statistics that the forward pass moves: batch normalisation, queues."""
    opt: Any


def split(net):
    """Graph, trained parameters, frozen parameters, the rest; the last three as pure arrays."""
    graph, *parts = nnx.split(net, TRAINED, nnx.Param, ...)
    return graph, *(nnx.as_pure(p) for p in parts)


class Keys(nnx.Rngs):
    """The keys that nnx.Rngs(seed) gives to parameters, counted in Python.

    nnx counts in an array. Traced, each key then takes time in proportion to all that was traced before: a
    ViT-B with AudioMAE's decoder was built in 15 s in place of 2.
    """

    def __init__(self, seed: int):
        super().__init__(jax.random.fold_in(jax.random.key(seed), 2**32 - 1))  # whatever else is asked for
        self.seed, self.drawn = seed, 0

    def params(self):
        """The next key."""
        self.drawn += 1
        return jax.random.fold_in(jax.random.key(self.seed), self.drawn - 1)


def build(experiment: Experiment):
    """The method's whole network, freshly drawn from the experiment's seed."""
    rngs = Keys(experiment.seed)
    return experiment.method.build(experiment.encoder.build(experiment.frontend.mels, rngs=rngs), rngs=rngs)


def fresh(experiment: Experiment) -> State:
    """The state of step 0. To be traced: inside jit no two leaves can share a buffer."""
    _, params, frozen, rest = split(build(experiment))
    return State(jnp.zeros((), jnp.int32), params, frozen, rest, experiment.optim.build().init(params))


def structure(experiment: Experiment):
    """The network's structure, no array drawn."""
    return split(nnx.eval_shape(lambda: build(experiment)))[0]


def parameters(experiment: Experiment) -> int:
    """How many parameters the encoder that is judged has."""
    net = jax.eval_shape(lambda: split(experiment.method.encoder(build(experiment)))[1:3])
    return sum(x.size for x in jax.tree.leaves(net))


def start(experiment: Experiment, sharding=None) -> tuple[Any, State]:
    """The network's structure and the state of step 0."""
    return structure(experiment), jax.jit(lambda: fresh(experiment), out_shardings=sharding)()


def placed(state: State, mesh: Mesh) -> State:
    """Where the arrays of a state lie: whole on every device, or, if they are many, each device's share of
    them (Rajbhandari et al., "ZeRO", 2020).

    state: arrays or their shapes. What is shared out is cut along its longest axis that divides by the
    devices; a step puts weights together in the precision it computes in.
    """
    whole = NamedSharding(mesh, PartitionSpec())
    much = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state)) > SHARE

    def place(x):
        axes = [i for i in range(x.ndim) if x.shape[i] % mesh.size == 0]
        if not (much and axes):
            return whole
        longest = max(axes, key=lambda i: x.shape[i])
        return NamedSharding(mesh, PartitionSpec(*longest * [None], "data"))

    cut = jax.tree.map(place, (state.params, state.frozen, state.opt))
    return State(whole, *cut[:2], jax.tree.map(lambda _: whole, state.rest), cut[2])


def computing(experiment: Experiment):
    """Functions of the experiment's precision: a tree cast to it, and a batch's views in it."""
    low = jnp.dtype(experiment.precision)

    def compute(tree):
        return jax.tree.map(lambda x: x.astype(low) if x.dtype == jnp.float32 else x, tree)

    def see(batch, key):
        sound = {k: batch[k].astype(jnp.float32) / 2**15 for k in ("wave", "background") if k in batch}
        keys = jax.random.split(key, len(experiment.views))
        return tuple(
            compute(v(k, frontend=experiment.frontend, **sound))
            for v, k in zip(experiment.views, keys, strict=True)
        )

    return compute, see


def make_step(experiment: Experiment, graph, sharding: State | None = None):
    """The jitted step: (state, batch) -> (state, scalars). The old state is donated.

    sharding: where the arrays of the state lie (`placed`); None: whole on every device.
    """
    tx, schedule, parts = experiment.optim.build(), experiment.optim.schedule(), experiment.optim.accumulate
    if experiment.data.batch % parts:
        raise ValueError(f"a batch of {experiment.data.batch} can't be cut into {parts} micro-batches")
    compute, see = computing(experiment)

    def whole(tree):  # in the precision of computing, so that the devices send each other half the bytes
        low = compute(tree)
        return low if sharding is None else jax.lax.with_sharding_constraint(low, sharding.step)

    def gradient(state, rest, batch, key):
        view_key, loss_key = jax.random.split(key)
        views = see(batch, view_key)

        def loss_of(params):
            net = nnx.merge(graph, whole(params), whole(state.frozen), rest)
            loss, logs = experiment.method.loss(net, views, batch, loss_key)
            logs = jax.tree.map(lambda x: x.astype(jnp.float32), {"loss": loss, **logs})
            return logs["loss"], (logs, split(net)[3])

        grads, (logs, rest) = jax.grad(loss_of, has_aux=True)(state.params)
        return grads, logs, rest

    @functools.partial(jax.jit, donate_argnums=0, out_shardings=sharding and (sharding, sharding.step))
    def step(state, batch):
        key = jax.random.fold_in(jax.random.key(experiment.seed), state.step)
        if parts == 1:
            grads, logs, rest = gradient(state, state.rest, batch, key)
        else:  # interleaved rows, so that each device's share of a micro-batch is its share of the batch
            cut = jax.tree.map(lambda x: x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), batch)

            def one(carry, xs):
                rest, sums = carry
                grads, logs, rest = gradient(state, rest, *xs)
                return (rest, jax.tree.map(jnp.add, sums, grads)), logs

            none = jax.tree.map(jnp.zeros_like, state.params)
            (rest, sums), each = jax.lax.scan(one, (state.rest, none), (cut, jax.random.split(key, parts)))
            grads = jax.tree.map(lambda x: x / parts, sums)
            logs = jax.tree.map(lambda x: x.mean(0), each)
        updates, opt = tx.update(grads, state.opt, state.params)
        net = nnx.merge(graph, optax.apply_updates(state.params, updates), state.frozen, rest)
        experiment.method.after(net, state.step)
        _, params, frozen, rest = split(net)
        logs |= {"rate": jnp.asarray(schedule(state.step), jnp.float32), "grad_norm": optax.tree.norm(grads)}
        return State(state.step + 1, params, frozen, rest, opt), logs

    return step


def make_refit(experiment: Experiment, graph, sharding: State | None = None):
    """(state, batches) -> state, for a method that looks at many clips at once; the old state is donated.

    sharding: as of `make_step`.
    """
    method, (compute, see) = experiment.method, computing(experiment)

    def keys(step, i):  # apart from the step's own keys
        own = jax.random.fold_in(jax.random.key(experiment.seed), 2**31)
        return jax.random.split(jax.random.fold_in(jax.random.fold_in(own, step), i))

    @jax.jit
    def gather(state, batch, i):
        view_key, key = keys(state.step, i)
        net = nnx.merge(graph, compute(state.params), compute(state.frozen), state.rest)
        return method.gather(net, see(batch, view_key), batch, key)

    @functools.partial(jax.jit, donate_argnums=0, out_shardings=sharding)
    def refit(state, rows):
        net = nnx.merge(graph, state.params, state.frozen, state.rest)
        method.refit(net, jnp.concatenate(rows), keys(state.step, len(rows))[0])
        _, params, frozen, rest = split(net)
        opt = renewed(state.opt, state.params, params)
        return state.replace(params=params, frozen=frozen, rest=rest, opt=opt)

    def go(state, batches):
        return refit(state, [gather(state, batch, np.int32(i)) for i, batch in enumerate(batches)])

    return go


def encoder(experiment: Experiment, graph, state: State):
    """The encoder that is judged, with batch normalisation by its running averages."""
    net = nnx.merge(graph, state.params, state.frozen, state.rest)
    return nnx.view(experiment.method.encoder(net), use_running_average=True, raise_if_not_found=False)


def make_watch(experiment: Experiment, graph, sharding=None):
    """Jitted (state, int16 waves [b t]) -> embeddings [b d], for the looks at collapse."""

    @functools.partial(jax.jit, out_shardings=sharding)
    def watch(state, wave):
        return encoder(experiment, graph, state).embed(experiment.frontend(wave.astype(jnp.float32) / 2**15))

    return watch


LOOK = 64
"""As many clips are embedded at once for a look: of all 512 a large network's activations fill the memory."""


def train(
    experiment: Experiment,
    store,
    run: Path,
    *,
    look: Callable[[np.ndarray, np.ndarray | None, float | None], dict] = lambda x, labels, target_std: {},
    log: Callable[[dict], None] = lambda line: None,
    say: Callable[[str], None] = print,
    devices: list | None = None,
) -> tuple[Any, State]:
    """Train to the experiment's last step, from the newest checkpoint of `run` if it has one.

    `look` turns embeddings [n d], label codes (or None) and the last step's `target_std` (or None) into
    scalars, `collapse` among them; `log` gets every line of metrics.jsonl; `say` gets messages for people.
    Raises Diverged when the loss isn't finite, and leaves through `SystemExit(0)` on SIGTERM and
    `KeyboardInterrupt` on Ctrl-C, both after saving.
    """
    run.mkdir(parents=True, exist_ok=True)
    if store.rate != experiment.frontend.rate:
        raise ValueError(
            f"{store.path}: sampled at {store.rate} Hz, but the frontend takes {experiment.frontend.rate} Hz"
        )
    if len(store) < 2:
        raise ValueError(f"{store.path}: {len(store)} clip; pretraining needs two at least")
    _, sharding, rows = layout(experiment, jax.devices() if devices is None else devices)
    everywhere, size = sharding.step, rows.mesh.size
    data, last = experiment.data, experiment.optim.steps
    if data.batch % size:
        raise ValueError(f"a batch of {data.batch} can't be shared by {size} devices; choose a multiple")
    batches = batches_of(experiment, store)
    graph, state = start(experiment, sharding)
    step_fn, watch_fn = make_step(experiment, graph, sharding), make_watch(experiment, graph, everywhere)
    refits = getattr(experiment.method, "refits", lambda step: 0)
    refit_fn = make_refit(experiment, graph, sharding) if hasattr(experiment.method, "refits") else None
    watched = watch_batch(experiment, store, round(data.seconds * store.rate))
    waves = [jax.device_put(part, everywhere) for part in alike(watched["wave"], LOOK)]

    def put(batch):  # every host holds its rows; together they are the global batch
        return {k: jax.make_array_from_process_local_data(rows, v) for k, v in batch.items()}

    hosts, host = jax.process_count(), jax.process_index()

    def record(step, line):
        if host:  # the folder is shared: the first host writes
            return
        line = {"step": step, "seconds": round(seconds + time.time() - begun, 2)} | line
        with open(run / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        log(line)

    only = contextlib.nullcontext() if host else alone(run / ".lock", TWICE)
    with only, Checkpoints(run, experiment) as checkpoints, stoppable() as stop:
        # resume > scratch: the newest whole checkpoint, else the seed
        found = checkpoints.restore(state, warn=say)
        first = 0
        if found is not None:
            first, state = found
            say(f"resuming {run} at step {first} of {last}")
        seconds, begun = 0.0 if host else trim(run / "metrics.jsonl", first), time.time()
        saved, pending, mark, spread = first, [], (first, time.time()), None

        def flush(upto):
            """Look at finished steps' scalars: stop on a loss that isn't finite, write the lines that are
            due."""
            nonlocal mark, spread
            while pending and pending[0][0] <= upto:
                at, logs = pending.pop(0)
                logs = {k: float(v) for k, v in jax.device_get(logs).items()}
                bad = [k for k in ("loss", "grad_norm") if not math.isfinite(logs[k])]
                if bad:  # without a finite gradient the weights are lost already, though this loss still was
                    good = (
                        f"last good checkpoint: step {saved} in {checkpoints.folder}"
                        if saved
                        else "no checkpoint yet"
                    )
                    raise Diverged(
                        f"{bad[0]} is {logs[bad[0]]} at step {at}; {good}. Lower the rate, clip, or "
                        f"look at the data"
                    )
                spread = logs.get("target_std")
                if at % experiment.log_every == 0 or at == last:
                    now = time.time()
                    speed = (at - mark[0]) * data.batch / max(now - mark[1], 1e-9)
                    mark = (at, now)
                    record(at, logs | {"clips_per_second": round(speed, 1)})

        feed = iter(prefetch(batches, first, last, threads=data.threads, hosts=hosts, host=host))
        # Order, each turn: watch and save the state that stands → stop if asked → refit (after saving: a
        # resumed run does it again, and alike) → next batch → step → last turn's scalars
        for step in range(first, last + 1):
            if step % experiment.watch_every == 0 or step == last:
                flush(step)
                if step > first or first == 0:
                    seen = np.concatenate([jax.device_get(watch_fn(state, wave)) for wave in waves])
                    record(step, look(seen[: len(watched["wave"])], watched.get("label"), spread))
            asked = agreed(stop, step, hosts)
            due = step % experiment.save_every == 0 or step == last or asked
            if due and step > saved:
                flush(step)  # never save a state whose loss wasn't finite
                checkpoints.save(step, state)
                saved = step
            if asked:
                checkpoints.manager.wait_until_finished()
                say(f"stopped at step {step} of {last}; the same command goes on from there")
                raise (stop or [SystemExit(0)])[0]
            if step == last:
                break
            if count := refits(step):
                share = data.batch // hosts
                rows_here = slice(host * share, (host + 1) * share)
                state = refit_fn(state, (put(batches.at(step + i, rows_here)) for i in range(count)))
            batch = put(next(feed))
            with jax.transfer_guard("disallow"):
                state, logs = step_fn(state, batch)
            pending.append((step + 1, logs))
            flush(step)
    return graph, state


def layout(experiment: Experiment, devices: Sequence) -> tuple[State, State, NamedSharding]:
    """(shapes of the state, where its arrays lie, where a batch's rows lie) on devices that share a batch."""
    mesh, shapes = Mesh(np.array(devices), ("data",)), jax.eval_shape(lambda: fresh(experiment))
    return shapes, placed(shapes, mesh), NamedSharding(mesh, PartitionSpec("data"))


def batches_of(experiment: Experiment, store) -> Batches:
    """What an experiment hears of a store, with its background and its labels."""
    data = experiment.data
    noise = Store(data.background) if data.background else None
    return Batches(
        store, samples=round(data.seconds * store.rate), batch=data.batch, seed=experiment.seed,
        short=data.short, background=noise, labels=data.label or None,
    )  # fmt: skip


def alike(rows: np.ndarray, most: int) -> list[np.ndarray]:
    """Rows in pieces of one size, at most so many each; the first rows again fill up the last piece."""
    parts = -(-len(rows) // most)
    size = -(-len(rows) // parts)
    return np.split(np.resize(rows, (parts * size, *rows.shape[1:])), parts)


def watch_batch(experiment: Experiment, store, samples: int) -> dict:
    """The clips that every look embeds: the same ones, cut the same way, through the whole run."""
    count = min(len(store), experiment.watch_clips)
    chosen = np.sort(np.random.default_rng(experiment.seed).permutation(len(store))[:count])
    label = experiment.watch_label or None
    batch = Batches(
        store, samples=samples, batch=count, seed=0, short=experiment.data.short, subset=chosen, labels=label
    )
    return batch[0]


def trim(path: Path, step: int) -> float:
    """Drop the lines after `step` from a metrics file, which a resumed run writes again; returns its seconds
    so far."""
    if not path.exists():
        return 0.0
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(json.JSONDecodeError):  # a kill may have cut the last line
            line = json.loads(text)
            if line["step"] <= step:
                lines.append(line)
    if step == 0:
        lines = []
    write(path, "".join(json.dumps(line) + "\n" for line in lines))
    return lines[-1]["seconds"] if lines else 0.0


def agreed(stop: list, step: int, hosts: int) -> bool:
    """Whether to stop at this step: of several hosts all do, every eighth step, once one was asked to."""
    if hosts == 1:
        return bool(stop)
    return step % 8 == 0 and bool(multihost_utils.process_allgather(np.array([bool(stop)])).any())


@contextlib.contextmanager
def stoppable():
    """A list that SIGTERM and SIGINT fill with what to raise once the step is done and saved; a second one
    raises at once."""
    stop = []

    def handle(number, _):
        reason = SystemExit(0) if number == signal.SIGTERM else KeyboardInterrupt()
        if stop:
            raise reason
        stop.append(reason)

    try:
        old = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not the main thread, as in a notebook's worker: its owner stops it
        old = {}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
