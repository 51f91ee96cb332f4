"""Matrix-product peak of this machine, and the share of it that a ViT training step reaches.

    python tests/benchmarks/peak.py [--batch 32]

The step: SimCLR on a ViT of width 192, 6 blocks, 3 heads, 16x16 patches of [b 96 64] spectrograms. Its
operations are counted by the compiler.
"""

import argparse
import os
import sys
import time

if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:  # as the command line does
    os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

import jax
import jax.numpy as jnp
import numpy as np

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import ViT
from ssl_audio.methods import SimCLR
from ssl_audio.optim import Optim
from ssl_audio.signal.frontend import LogMel
from ssl_audio.train import make_step, start


def least(run, times=8):
    run()
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        run()
        taken.append(time.perf_counter() - begun)
    return min(taken)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=32, help="clips; each has two views")
    args = parser.parse_args()
    n = 2048
    a = jax.random.normal(jax.random.key(0), (n, n))
    product = jax.jit(jnp.matmul)
    peak = 2 * n**3 / least(lambda: jax.block_until_ready(product(a, a))) / 1e9
    experiment = Experiment(
        name="bench",
        method=SimCLR(),
        encoder=ViT(width=192, depth=6, heads=3, patch=(16, 16)),
        views=(View(), View()),
        frontend=LogMel(),
        data=Data(seconds=0.96, batch=args.batch),
        optim=Optim(),
    )
    graph, state = start(experiment)
    wave = np.random.default_rng(0).integers(-(2**15), 2**15, (args.batch, 15_360)).astype(np.int16)
    batch = jax.device_put({"wave": wave})
    step = make_step(experiment, graph).lower(state, batch).compile()
    work = step.cost_analysis()["flops"] / 1e9

    def run():
        nonlocal state
        state, logs = step(state, batch)
        jax.block_until_ready((state, logs))

    seconds = least(run)
    print(f"matrix product {n} x {n}: {peak:.0f} GFLOP/s")
    print(
        f"ViT step, {args.batch} x 2 views: {seconds:.3f} s, {work:.1f} GFLOP, {work / seconds:.0f} "
        f"GFLOP/s, {work / seconds / peak:.0%} of it"
    )


if __name__ == "__main__":
    main()
