"""What every augmentation of ssl_audio.signal costs, beside a training step on the same batch, in one run.

    python tests/benchmarks/augment.py [--batch 64] [--repeats 9] [--threads 2] [--json PATH]

Waves of 1 s at 16 kHz [64 16000], spectrograms [64 100 64], each augmentation by its defaults, jitted by
itself. The step: MAE on a ViT-small (width 384, 12 blocks, 6 heads, patches of 16 x 16) on 64 spectrograms.
The chain of BYOL-A (log-mixup-exp, random resize crop, random linear fader) on both views [32 96 64] beside
BYOL-A's step. No step here augments or computes spectrograms. All take turns; numbers are medians.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:  # as the command line does
    os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

import dataclasses


@dataclasses.dataclass(frozen=True)
class Given:
    """A frontend that passes a flat 'wave' on as the spectrogram that it is."""

    mels: int = 64

    def __call__(self, wave):
        return wave.reshape(len(wave), -1, self.mels)


def training(method, encoder, views: int, batch: int, frames: int):
    """A function that takes one step on spectrograms [batch, frames, 64]."""
    import jax
    import numpy as np

    from ssl_audio.config import Data, Experiment, View
    from ssl_audio.optim import Optim
    from ssl_audio.train import make_step, start

    experiment = Experiment(
        name="bench",
        method=method,
        encoder=encoder,
        views=(View(),) * views,
        frontend=Given(),
        data=Data(batch=batch),
        optim=Optim(),
    )
    graph, state = start(experiment)
    step = make_step(experiment, graph)
    wave = np.random.default_rng(0).integers(-(2**15), 2**15, (batch, frames * 64)).astype(np.int16)
    data = jax.device_put({"wave": wave})

    def run():
        nonlocal state
        state, logs = step(state, data)
        jax.block_until_ready((state, logs))

    return run


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=64, help="clips (BYOL-A: half as many)")
    parser.add_argument("--repeats", type=int, default=9, help="timed calls of each, in turn")
    parser.add_argument("--threads", type=int, default=2, help="cores that all may use")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # before jax starts its threads
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])

    import jax
    from rich.console import Console
    from rich.table import Table

    from ssl_audio.encoders import AudioNTT, ViT
    from ssl_audio.explore.gallery import augmentations, axes
    from ssl_audio.methods import BYOLA, MAE
    from ssl_audio.signal.augment import MixupLogExp, RandomLinearFader, RandomResizeCrop
    from ssl_audio.signal.waves import extras

    def calls(change, *inputs, **more):
        """A function that applies a jitted augmentation to each of the inputs."""
        compiled, key = jax.jit(lambda key, xs: [change(key, x, **more) for x in xs]), jax.random.key(1)
        return lambda: jax.block_until_ready(compiled(key, inputs))

    def chain(key, x):
        for i, change in enumerate((MixupLogExp(), RandomResizeCrop(), RandomLinearFader())):
            x = change(jax.random.fold_in(key, i), x)
        return x

    batch, half, kinds = args.batch, max(args.batch // 2, 2), augmentations()
    normal = lambda i, *shape: jax.random.normal(jax.random.key(i), shape)
    x = {"b t": 0.1 * normal(0, batch, 16_000), "b f m": normal(1, batch, 100, 64)}
    runs = {n: calls(k(), x[axes(k)], **extras(k(), 0.1 * x["b t"])) for n, k in kinds.items()}
    runs["MAE step"] = training(MAE(), ViT(width=384, depth=12, heads=6, patch=(16, 16)), 1, batch, 100)
    runs["BYOL-A chain"] = calls(chain, normal(2, half, 96, 64), normal(3, half, 96, 64))
    runs["BYOL-A step"] = training(BYOLA(), AudioNTT(), 2, half, 96)
    times = {name: [] for name in runs}
    for turn in range(args.repeats + 2):  # two to compile and warm up
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            if turn >= 2:
                times[name].append(time.perf_counter() - begun)
    median = {name: statistics.median(taken) for name, taken in times.items()}

    about = {
        "device": jax.devices()[0].device_kind,
        "threads": args.threads,
        "repeats": args.repeats,
        "batch": batch,
        "mae_step_seconds": median["MAE step"],
        "byol_a": {
            "batch": half,
            "step_seconds": median["BYOL-A step"],
            "chain_seconds": median["BYOL-A chain"],
            "chain_share": median["BYOL-A chain"] / median["BYOL-A step"],
        },
        "augmentations": {
            name: {
                "of": "waves" if axes(kind) == "b t" else "spectrograms",
                "seconds": median[name],
                "clips_per_second": batch / median[name],
                "share_of_mae_step": median[name] / median["MAE step"],
            }
            for name, kind in sorted(kinds.items(), key=lambda pair: median[pair[0]])
        },
    }
    table = Table(title=f"{batch} clips of 1 s on {about['device']}, {args.threads} cores")
    for column in ("augmentation", "of", "ms a batch", "clips a second", "of a MAE step"):
        left = column in ("augmentation", "of")
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    for name, row in about["augmentations"].items():
        numbers = f"{1e3 * row['seconds']:.2f}", f"{row['clips_per_second']:,.0f}"
        table.add_row(name, row["of"], *numbers, f"{row['share_of_mae_step']:.1%}")
    Console().print(table)
    print(f"ViT-small MAE step on {batch} x [100 64]: {median['MAE step']:.3f} s")
    print(
        f"BYOL-A chain on 2 x [{half} 96 64]: {1e3 * median['BYOL-A chain']:.1f} ms, "
        f"{about['byol_a']['chain_share']:.1%} of its step of {median['BYOL-A step']:.3f} s"
    )
    if args.json:
        args.json.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
