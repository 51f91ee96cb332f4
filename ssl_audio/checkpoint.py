"""Checkpoints of a run, by orbax: written beside and renamed, in the background, checked when read."""

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.sharding import NamedSharding, PartitionSpec

from ssl_audio.config import Experiment, digest


@jax.jit
def checksum(tree: Any) -> jax.Array:
    """One number over all bits of all arrays, the same however they are sharded: tells a damaged file."""

    def mixed(x):
        """The sum of a hash of each word and its place: integers wrap, so the order of adding doesn't
        matter."""
        x = x.astype(jnp.uint8) if x.dtype == bool else x
        w = jax.lax.bitcast_convert_type(x, f"uint{8 * x.dtype.itemsize}").ravel().astype(jnp.uint32)
        w = w ^ (jnp.arange(w.size, dtype=jnp.uint32) * jnp.uint32(0x9E3779B9))
        for shift, factor in (
            (16, 0x85EBCA6B),
            (13, 0xC2B2AE35),
        ):  # MurmurHash3's finaliser: all bits count, signs too
            w = (w ^ (w >> shift)) * jnp.uint32(factor)
        return jnp.sum(w ^ (w >> 16), dtype=jnp.uint32)

    return functools.reduce(lambda a, x: a * jnp.uint32(31) + mixed(x), jax.tree.leaves(tree), jnp.uint32(1))


class Checkpoints:
    """The checkpoints of one run's folder. Use as a context: leaving it waits for the last write."""

    def __init__(self, run: Path | str, experiment: Experiment):
        self.folder = (Path(run) / "checkpoints").absolute()
        self.about = {"frontend": experiment.frontend.hash, "experiment": digest(experiment)}
        options = ocp.CheckpointManagerOptions(max_to_keep=experiment.keep)
        self.manager = ocp.CheckpointManager(self.folder, options=options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.manager.close()

    def save(self, step: int, state: Any) -> None:
        """Save in the background; `state` may be donated as soon as this returns."""
        tree = {"state": state, "checksum": checksum(state)}
        args = ocp.args.Composite(arrays=ocp.args.StandardSave(tree), about=ocp.args.JsonSave(self.about))
        if step in self.manager.all_steps():  # a damaged one, which this run passed over when it resumed
            self.manager.delete(step)
        self.manager.save(step, args=args, force=True)

    def steps(self) -> list[int]:
        """Steps that have a finished checkpoint, oldest first."""
        return sorted(self.manager.all_steps())

    def restore(self, like: Any, warn=print) -> tuple[int, Any] | None:
        """The newest checkpoint that is whole, as (step, state shaped and placed as `like`); None if there is
        none.

        A damaged one is named through `warn` and the one before it used; if all are damaged that is an error,
        since to begin anew in silence would overwrite what may still be mended. So is another frontend.
        """
        where = [x.sharding for x in jax.tree.leaves(like) if getattr(x, "sharding", None) is not None]
        # of each array: without it orbax looks for the devices that saved it, which may be another pod's
        every = where[0] if where else None
        if isinstance(every, NamedSharding):
            every = NamedSharding(every.mesh, PartitionSpec())
        target = {"state": like, "checksum": jax.ShapeDtypeStruct((), jnp.uint32, sharding=every)}
        target = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=getattr(x, "sharding", every)), target
        )
        steps, other = self.steps(), False
        for step in reversed(steps):
            try:
                args = ocp.args.Composite(
                    arrays=ocp.args.StandardRestore(target), about=ocp.args.JsonRestore()
                )
                kept = self.manager.restore(step, args=args)
                whole = int(checksum(kept["arrays"]["state"])) == int(kept["arrays"]["checksum"])
                reason = "" if whole else "its arrays do not match their checksum"
            except (MemoryError, PermissionError, jax.errors.JaxRuntimeError):
                raise  # says nothing about the file
            except Exception as error:  # whatever orbax says of a broken file, the answer is the same
                whole, reason = False, " ".join(str(error).split())[:200]
                other |= self.of_another(step)
            if whole:
                if kept["about"]["frontend"] != self.about["frontend"]:
                    raise ValueError(
                        f"{self.folder / str(step)}: trained with another frontend "
                        f"({kept['about']['frontend']}) than this "
                        f"experiment's ({self.about['frontend']}); use the run's own "
                        f"experiment.json, or another run folder"
                    )
                return step, kept["arrays"]["state"]
            warn(f"checkpoint {self.folder / str(step)} is damaged ({reason}); trying the one before it")
        if other:
            raise ValueError(
                f"{self.folder}: made by another experiment or version of this package, whose network has "
                "other arrays; go on with that, or choose another run folder"
            )
        if steps:
            raise ValueError(
                f"{self.folder}: all checkpoints are damaged (the oldest: {reason}); mend the files, or move "
                "the run's folder away to begin anew"
            )
        return None

    def of_another(self, step: int) -> bool:
        """Whether a checkpoint says that another experiment made it."""
        try:
            about = self.manager.restore(step, args=ocp.args.Composite(about=ocp.args.JsonRestore()))["about"]
        except Exception:  # damaged
            return False
        return about["experiment"] != self.about["experiment"]


def name(step: int, state: Any) -> str:
    """What names a checkpoint in records and caches: its step and the checksum of its arrays."""
    return f"{step}-{int(checksum(state)):08x}"
