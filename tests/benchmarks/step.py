"""One BYOL-A training step here against the same network in PyTorch: same batch, same threads, in turn, one
run.

    python tests/benchmarks/step.py [--batch 32] [--rounds 7]

Both sides: two given views [b 96 64], online network with projector and predictor, teacher, symmetric loss,
backward, Adam 3e-4, moving average 0.99. No data, no augmentation. PyTorch runs eagerly, channels last (its
faster layout here).
"""

import argparse
import os
import statistics
import sys
import time

if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:  # as the command line does, for both sides
    os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

import dataclasses

import jax
import numpy as np
import torch
from torch import nn

from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import AudioNTT
from ssl_audio.methods import BYOLA
from ssl_audio.optim import Optim
from ssl_audio.train import make_step, start


@dataclasses.dataclass(frozen=True)
class Given:
    """A frontend that passes a flat 'wave' on as the spectrogram that it is."""

    mels: int = 64

    def __call__(self, wave):
        return wave.reshape(len(wave), -1, self.mels)


def ours(batch):
    experiment = Experiment(
        name="bench",
        method=BYOLA(),
        encoder=AudioNTT(),
        views=(View(), View()),
        frontend=Given(),
        data=Data(batch=batch),
        optim=Optim(rate=3e-4, cosine=False),
    )
    graph, state = start(experiment)
    step = make_step(experiment, graph)
    wave = np.random.default_rng(0).integers(-(2**15), 2**15, (batch, 96 * 64)).astype(np.int16)
    data = jax.device_put({"wave": wave})

    def run():
        nonlocal state
        state, logs = step(state, data)
        jax.block_until_ready((state, logs))

    return run


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        blocks = [
            (nn.Conv2d(i, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2))
            for i in (1, 64, 64)
        ]
        self.convs = nn.Sequential(*[layer for block in blocks for layer in block])
        self.fc = nn.Sequential(
            nn.Linear(512, 512), nn.ReLU(), nn.Dropout(0.3), nn.Linear(512, 512), nn.ReLU()
        )
        self.project = nn.Sequential(
            nn.Linear(512, 4096), nn.BatchNorm1d(4096), nn.ReLU(), nn.Linear(4096, 256)
        )

    def forward(self, x):
        x = self.convs(x).permute(
            0, 2, 3, 1
        )  # [b f m c], so that the reshape sees frequency and channel together
        x = self.fc(x.reshape(x.shape[0], x.shape[1], -1))
        return self.project(x.mean(1) + x.amax(1))


def theirs(batch):
    torch.set_num_threads(os.cpu_count())
    online, teacher = Net().to(memory_format=torch.channels_last), Net().to(memory_format=torch.channels_last)
    predict = nn.Sequential(nn.Linear(256, 4096), nn.BatchNorm1d(4096), nn.ReLU(), nn.Linear(4096, 256))
    optimiser = torch.optim.Adam([*online.parameters(), *predict.parameters()], lr=3e-4)
    both = torch.randn(2 * batch, 1, 96, 64).contiguous(memory_format=torch.channels_last)

    def run():
        with torch.no_grad():
            target = teacher(both).roll(batch, 0)
        loss = 4 - 4 * nn.functional.cosine_similarity(predict(online(both)), target).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            for new, old in zip(online.parameters(), teacher.parameters(), strict=True):
                old.lerp_(new, 0.01)

    return run


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=32, help="clips; each has two views")
    parser.add_argument("--rounds", type=int, default=7, help="timed steps of each side, in turn")
    args = parser.parse_args()
    sides = {"ssl_audio": ours(args.batch), "torch": theirs(args.batch)}
    times = {name: [] for name in sides}
    for turn in range(args.rounds + 2):  # two to warm up
        for name, run in sides.items():
            begun = time.perf_counter()
            run()
            if turn >= 2:
                times[name].append(time.perf_counter() - begun)
    for name, taken in times.items():
        print(
            f"{name:>10}: median {statistics.median(taken):.3f} s, least {min(taken):.3f} s a step "
            f"of {args.batch} x 2 views"
        )
    ratios = sorted(t / o for o, t in zip(*times.values(), strict=True))
    print(
        f"     ratio: {statistics.median(ratios):.2f} (torch / ssl_audio, median of {len(ratios)}; "
        f"{ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


if __name__ == "__main__":
    main()
