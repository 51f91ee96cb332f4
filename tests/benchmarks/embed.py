"""How much sound an hour `ssl-audio embed` works through, against the network's forward pass alone.

    python tests/benchmarks/embed.py RUN STORE [--clips 2000] [--rounds 5]
    python tests/benchmarks/embed.py --make [--clips 500]    # noise and random weights

Embedding: from the store into a fresh temporary folder (TMPDIR says where), float32, one vector a clip and
one a time step. Forward: the same compiled function on the same batches, which lie on the device already; no
store, no disk, results are dropped. Both are compiled before timing and run in turn, and both hand the device
a batch before they wait for the one before it. Ratio: forward seconds / embedding seconds, 1 without any
overhead. The store's files are in memory after the first, untimed pass.

Not in it: restoring the checkpoint, compilation, and the file for other tools that the command writes at the
end. Batches are of fixed shapes, so a share of the samples only fills them up; both sides bear it, and it is
printed.

--make: a store of 5 s clips of noise at 16 kHz, and experiments/esc50_simclr.py before its first step.
"""

import argparse
import contextlib
import functools
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:  # as the command line does
    os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

import jax
import numpy as np
import soundfile

from ssl_audio import config, embed, embeddings, train
from ssl_audio.audio.build import build
from ssl_audio.audio.store import Clip, Store

RATE, SECONDS = 16_000, 5.0
EXPERIMENT = Path(__file__).parents[2] / "experiments" / "esc50_simclr.py"


class Some:
    """So many clips of a store, evenly over it."""

    def __init__(self, store: Store, clips: int):
        self.store, self.rate = store, store.rate
        self.rows = np.arange(min(clips, len(store))) * len(store) // min(clips, len(store))
        self.lengths = np.asarray(store.lengths)[self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, at):
        i, begin, length = at
        return self.store[self.rows[i], begin, length]


def noise(folder: Path, clips: int) -> Store:
    rng, made = np.random.default_rng(0), []
    for i in range(clips):
        file = folder / f"{i:05d}.wav"
        soundfile.write(file, 0.1 * rng.standard_normal(int(SECONDS * RATE)), RATE)
        made.append(Clip(file, name=file.name))
    build(made, folder / "store", rate=RATE, workers=1)
    return Store(folder / "store")


def sides(experiment, graph, state, store, what: embed.What):
    """(embeds into a folder, forward pass alone), and the share of samples that only fill up batches."""
    rows, everywhere, batch = embed.shared(None)
    f = functools.partial(embed.made(experiment, graph, what), everywhere(state))
    net = jax.eval_shape(lambda state: train.encoder(experiment, graph, state), state)
    steps = embed.steps_of(experiment, net) if what == "frames" else None
    samples = int(embeddings.WINDOW * store.rate)
    if steps is not None:
        samples = max(samples // steps.every, 1) * steps.every  # as `embeddings` cuts windows
    batches = [(rows(p.wave), rows(p.valid)) for p in embeddings.pieces(store, samples, batch)]
    jax.block_until_ready(batches)

    def whole(folder: Path):
        embeddings.compute(f, store, {"what": what}, folder, batch=batch, put=rows, steps=steps)

    def forward(_):
        last = None
        for wave, valid in batches:
            made = f(wave, valid)
            if last is not None:
                last.block_until_ready()
            last = made
        last.block_until_ready()

    return (whole, forward), 1 - np.sum(store.lengths) / sum(wave.size for wave, _ in batches)


def measure(runs, rounds: int) -> list[list[float]]:
    """Seconds of each side, in turn; the first turn isn't counted."""
    times: list[list[float]] = [[] for _ in runs]
    for turn in range(rounds + 1):
        for run, taken in zip(runs, times, strict=True):
            with tempfile.TemporaryDirectory() as scratch:
                begun = time.perf_counter()
                run(Path(scratch) / "embeddings")
                if turn:
                    taken.append(time.perf_counter() - begun)
    return times


def spread(values, form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def line(experiment, graph, state, store, what: embed.What, rounds: int) -> str:
    runs, padding = sides(experiment, graph, state, store, what)
    whole, alone = measure(runs, rounds)
    sound = np.sum(store.lengths) / store.rate
    rates = [[sound / seconds for seconds in taken] for taken in (whole, alone)]
    ratios = [b / a for a, b in zip(whole, alone, strict=True)]
    return (
        f"{what:>8}: embedding {spread(rates[0], ',.0f')}, forward alone {spread(rates[1], ',.0f')}, "
        f"ratio {spread(ratios, '.3f')}; {padding:.0%} of the samples fill up batches"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", nargs="?", type=Path, help="folder of a run that has a checkpoint")
    parser.add_argument("store", nargs="?", type=Path, help="folder of a store at the run's rate")
    parser.add_argument("--make", action="store_true", help="noise and random weights instead")
    parser.add_argument("--clips", type=int, help="so many clips; 2000 of a store, 500 of noise")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of both sides")
    args = parser.parse_args()
    if (args.store is None) != args.make or (args.run is None) != args.make:
        parser.error("give RUN and STORE, or --make")
    with contextlib.ExitStack() as stack:
        if args.make:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            store = noise(folder, args.clips or 500)
            experiment, _ = config.load(EXPERIMENT)
            graph, state = train.start(experiment)
        else:
            store = Store(args.store)
            experiment, graph, state, _ = embed.restore(args.run)
        embed.same_rate(experiment, store)
        store = Some(store, args.clips or 2000)
        sound = np.sum(store.lengths) / store.rate
        where = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
        print(
            f"{experiment.name}, {type(experiment.encoder).__name__}, on {where}: {len(store):,} clips, "
            f"{sound:,.0f} s of sound; hours of sound an hour, median of {args.rounds} (range)"
        )
        for what in ("clip", "frames"):
            print(line(experiment, graph, state, store, what, args.rounds), flush=True)


if __name__ == "__main__":
    main()
