"""What a run would take, before it runs: parameters, memory a device, operations a step, days."""

import dataclasses
import math

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from ssl_audio.config import Experiment
from ssl_audio.train import layout, make_step, parameters, structure


@dataclasses.dataclass(frozen=True)
class Plan:
    """Sizes of one training step on each of `devices` devices, from the compiler. Bytes, operations."""

    devices: int
    trained: int
    """Parameters that the optimiser moves."""
    frozen: int
    """Parameters of teachers."""
    encoder: int
    """Parameters of the encoder that is judged."""
    state: int
    """Bytes of weights, teacher, statistics and optimiser on a device."""
    batch: int
    """Bytes of sound on a device."""
    temporary: int
    """Bytes of activations and gradients at the step's peak on a device."""
    flops: float
    """Operations of a step, all devices together; a multiplication and an addition are two."""

    @property
    def memory(self) -> int:
        """Bytes that a device must have."""
        return self.state + self.batch + self.temporary


def lower(experiment: Experiment, devices: int):
    """The step of an experiment on a mesh of `devices`, traced and lowered, with the shapes of its state; no
    array is made.

    ValueError: fewer devices than that are there, or the batch doesn't divide by them.
    """
    if len(jax.devices()) < devices:
        raise ValueError(f"{devices} devices asked for, {len(jax.devices())} here")
    if experiment.data.batch % devices:
        raise ValueError(
            f"a batch of {experiment.data.batch} can't be shared by {devices} devices; choose a multiple"
        )
    state, sharding, rows = layout(experiment, jax.devices()[:devices])
    state = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), state, sharding)
    data = experiment.data
    sound = (data.batch, round(data.seconds * experiment.frontend.rate))
    shapes = {"wave": (sound, np.int16), "valid": (sound[:1], np.int32), "index": (sound[:1], np.int32)}
    shapes |= {"background": (sound, np.int16)} if data.background else {}
    shapes |= {"label": (sound[:1], np.int32)} if data.label else {}
    batch = {k: jax.ShapeDtypeStruct(shape, kind, sharding=rows) for k, (shape, kind) in shapes.items()}
    return make_step(experiment, structure(experiment), sharding).lower(state, batch), state


def plan(experiment: Experiment, devices: int) -> Plan:
    """Lower and compile the step of an experiment for so many devices, and read off what it takes.

    The memory is what this compiler plans; another accelerator's may differ by some tens of percent. A
    recurrent network's operations are too few: its loop over time counts once.
    """
    lowered, state = lower(experiment, devices)
    memory = lowered.compile().memory_analysis()
    size = lambda tree: sum(x.size for x in jax.tree.leaves(tree))
    share = lambda x: math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize
    held = sum(share(x) for x in jax.tree.leaves(state))
    # of one device: what is written device by device, as the spectra are, counts once in a program of many
    # and of a whole batch and all layers one by one, since what a loop repeats counts once too
    whole = dataclasses.replace(experiment, optim=dataclasses.replace(experiment.optim, accumulate=1))
    if getattr(experiment.encoder, "scan", False):
        whole = dataclasses.replace(whole, encoder=dataclasses.replace(experiment.encoder, scan=False))
    one = lowered if devices == 1 and whole == experiment else lower(whole, 1)[0]
    return Plan(
        devices,
        size(state.params),
        size(state.frozen),
        parameters(experiment),
        held,
        max(memory.argument_size_in_bytes - held, 0),
        memory.temp_size_in_bytes,
        float(one.cost_analysis()["flops"]),
    )


def show(
    experiment: Experiment, found: Plan, *, memory: float, peak: float, utilisation: float, hours: float
) -> None:
    """Print a plan for people. memory: bytes of a device; peak: operations a second of a device; utilisation:
    the share of it that is reached; hours: of sound in the store, 0: unknown."""
    table = Table(
        title=f"{experiment.name} on {found.devices} devices", title_justify="left", show_header=False
    )
    table.add_column(no_wrap=True)
    table.add_column()
    million, giga = lambda n: f"{n / 1e6:.2f} M", lambda n: f"{n / 2**30:.2f} GiB"
    data, optim = experiment.data, experiment.optim
    table.add_row("encoder", million(found.encoder))
    table.add_row("trained parameters", million(found.trained))
    table.add_row("teacher's parameters", million(found.frozen))
    table.add_row("weights and optimiser, a device", giga(found.state))
    table.add_row("activations at the peak, a device", giga(found.temporary))
    fits = found.memory <= memory
    verdict = "fits into" if fits else "does NOT fit into"
    table.add_row("memory, a device", f"{giga(found.memory)}: {verdict} {giga(memory)}")
    table.add_row("operations a step", f"{found.flops / 1e12:.2f} TFLOP")
    seconds = found.flops / (found.devices * peak * utilisation)
    table.add_row(
        "a step", f"{seconds * 1e3:.1f} ms at {utilisation:.0%} of {peak / 1e12:g} TFLOP/s a device"
    )
    heard = optim.steps * data.batch * data.seconds / 3600
    epochs = f", {heard / hours:.1f} times a store of {hours:g} h" if hours else ""
    table.add_row("sound heard", f"{heard:,.0f} h in {optim.steps:,} steps of {data.batch}{epochs}")
    table.add_row("the whole run", f"{optim.steps * seconds / 86400:.2f} days")
    Console().print(table)
    if not fits:
        whole = found.temporary * optim.accumulate
        parts = next((n for n in range(optim.accumulate + 1, data.batch + 1)
                      if data.batch % (n * found.devices) == 0
                      and found.state + whole / n <= memory), None)  # fmt: skip
        hint = f"--optim.accumulate {parts}" if parts else "more devices"
        low = "" if experiment.precision == "bfloat16" else "--precision bfloat16, "
        hint += " (a loss over the batch then sees that part of it)" if "accumulate" in hint else ""
        print(f"to make it fit: {low}{hint}, a smaller --data.batch, or an encoder with remat=True")
