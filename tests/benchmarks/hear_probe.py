"""The HEAR probe here against the same probe in PyTorch: same embeddings, folds and threads, in one run.

    python tests/benchmarks/hear_probe.py EMBEDDINGS.npz [--column category] [--folds fold] [--points 8]
    python tests/benchmarks/hear_probe.py --synthetic
    python tests/benchmarks/hear_probe.py --synthetic --points 2 --epochs 6 --clips 200    # to try it
    python tests/benchmarks/hear_probe.py --synthetic --kit KIT/bin/python    # and hear-eval-kit itself

EMBEDDINGS.npz: as `ssl-audio embed` writes it (x, label_category, label_fold). --synthetic: 2,000 clips of 50
classes in 5 folds, 1,024 dimensions, a mean a class and noise, so that about 0.7 are right.

Both sides: the points drawn on the first split, the best by validation score on all others; fold i tests,
fold i + 1 validates, the rest trains, in one fixed order. In turn: ours cold (compilation is within its time;
no compiled program is read from disk), PyTorch after one untimed step, ours again. Initial weights and
dropout are drawn by each side's own generator, so training doesn't end after the same epochs; the epochs of
all fits are printed. A fit that is never stopped early ends after 498 epochs here, the last that are scored,
and after 500 in PyTorch. The standard deviation is of the folds' accuracies (n - 1).

The PyTorch side is a DataLoader and a loop. What hear-eval-kit does besides isn't in it: Lightning's loop,
logging, files of embeddings and checkpoints, the second forward pass and the loss of each validation, and its
start. It is a lower bound of the kit's time.

--kit: the Python of an environment that has the kit, which then runs in a process of its own on the same
embeddings, written as it wants them. Its time is with its start, as its command's is; with "of it" its own
count, from the start of its grid. What it wants of old versions can't be had with Python 3.11, this runs:

    pip install torch 'pytorch-lightning==1.9.5' 'setuptools<81' more-itertools python-slugify torchinfo \
        spotty intervaltree click pandas pynvml tqdm scikit-learn scipy dcase_util sed_eval
    pip install --no-deps heareval==2021.1.3

It draws with one seed always; --seed changes the order of the clips, and with that its results.
"""

import argparse
import copy
import csv
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:  # as the command line does, for both sides
    os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

from typing import NamedTuple

import jax
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ssl_audio.evaluate import protocols
from ssl_audio.evaluate.protocols import hear

SPREAD = 0.195
"""Deviation of the synthetic classes' means in each dimension; of the noise it is 1."""


class Data(NamedTuple):
    """Embeddings, the class of each clip as a number, how many classes there are, and folds."""

    x: np.ndarray
    code: np.ndarray
    classes: int
    folds: np.ndarray


class Result(NamedTuple):
    """What a side made: seconds, accuracy of each fold, epochs of all fits, the chosen point."""

    seconds: float
    accuracy: np.ndarray
    epochs: int
    point: hear.Point


def synthetic(clips: int = 2000, classes: int = 50, folds: int = 5, dims: int = 1024) -> Data:
    rng, number = np.random.default_rng(0), np.arange(clips)
    code = number % classes
    means = SPREAD * rng.standard_normal((classes, dims))
    x = means[code] + rng.standard_normal((clips, dims))
    return Data(x.astype(np.float32), code, classes, ((number // classes + code) % folds).astype(str))


def read(path: str, column: str, folds: str, clips: int | None) -> Data:
    with np.load(path) as file:
        if missing := [n for n in ("x", f"label_{column}", f"label_{folds}") if n not in file.files]:
            raise ValueError(f"{path}: no {', '.join(missing)}; there are {', '.join(file.files)}")
        x, y, fold = (file[name] for name in ("x", f"label_{column}", f"label_{folds}"))
    if x.ndim != 2 or len(x) != len(y):
        raise ValueError(f"{path}: x is {x.shape}; wanted is one vector for each of {len(y)} clips")
    if clips is not None:
        some = np.sort(np.random.default_rng(0).permutation(len(x))[:clips])
        x, y, fold = x[some], y[some], fold[some]
    classes, code = np.unique(y, return_inverse=True)
    return Data(x.astype(np.float32), code, len(classes), fold.astype(str))


def by_fold(right: np.ndarray, folds: np.ndarray) -> np.ndarray:
    return np.array([right[folds == name].mean() for name in np.unique(folds)])


def ours(data: Data, points: list[hear.Point], seed: int) -> Result:
    predict, form, _ = protocols.KINDS["hear"]
    fit, trained = hear.fit, []

    def counted(*args, **options):
        made = fit(*args, **options)
        trained.append(made.epochs)
        return made

    hear.fit = counted  # which doesn't tell the epochs itself
    try:
        begun = time.perf_counter()
        truth = np.eye(data.classes, dtype=np.float32)[data.code]
        groups = np.arange(len(data.x)).astype(str)
        scores, chosen = predict(data.x, truth, data.folds, groups, seed=seed, form=form, points=points)
        seconds = time.perf_counter() - begun
    finally:
        hear.fit = fit
    best = hear.Point(int(chosen["layers"]), chosen["rate"], bool(chosen["uniform"]))
    epochs = sum(int(each) for each in trained)
    return Result(seconds, by_fold(scores.argmax(1) == data.code, data.folds), epochs, best)


def network(dims: int, classes: int, point: hear.Point) -> nn.Sequential:
    draw = nn.init.xavier_uniform_ if point.uniform else nn.init.xavier_normal_
    modules, width, gain = [], dims, 1.0
    for _ in range(point.layers):
        linear = nn.Linear(width, hear.HIDDEN)
        draw(linear.weight, gain=gain)
        modules += [linear, nn.BatchNorm1d(hear.HIDDEN), nn.Dropout(hear.DROPOUT), nn.ReLU()]
        width, gain = hear.HIDDEN, 2**0.5
    last = nn.Linear(width, classes)
    draw(last.weight, gain=gain)
    return nn.Sequential(*modules, last)


def warm_up():
    """One step: what PyTorch loads on the first isn't in its time."""
    net = network(8, 2, hear.GRID[0])
    adam = torch.optim.Adam(net.parameters())
    nn.CrossEntropyLoss()(net(torch.randn(4, 8)), torch.tensor([0, 1, 0, 1])).backward()
    adam.step()


def right_of(net: nn.Module, loader: DataLoader) -> np.ndarray:
    net.eval()
    with torch.no_grad():
        return torch.cat([net(x).argmax(1) == y for x, y in loader]).numpy()


def fit_in_torch(
    point: hear.Point, train: DataLoader, valid: DataLoader, classes: int
) -> tuple[float, int, nn.Module]:
    """Best validation accuracy, epochs that were trained, and the network of that accuracy."""
    net = network(train.dataset.tensors[0].shape[1], classes, point)
    adam, loss = torch.optim.Adam(net.parameters(), lr=point.rate), nn.CrossEntropyLoss()
    most, kept, waited, epoch = -1.0, None, 0, 0
    while epoch < hear.EPOCHS and waited < hear.PATIENCE:
        epoch += 1
        net.train()
        for x, y in train:
            if len(x) > 1:  # batch normalisation can't train on a single clip
                adam.zero_grad()
                loss(net(x), y).backward()
                adam.step()
        if epoch % hear.EVERY == 0:
            score = float(right_of(net, valid).mean())
            if score > most:
                most, kept, waited = score, copy.deepcopy(net.state_dict()), 0
            else:
                waited += 1
    net.load_state_dict(kept)
    return most, epoch, net


def theirs(data: Data, points: list[hear.Point], seed: int) -> Result:
    torch.manual_seed(seed)
    begun = time.perf_counter()
    x, code = torch.from_numpy(data.x), torch.from_numpy(data.code)
    names, best, epochs = np.unique(data.folds), None, 0
    right = np.zeros(len(x), bool)
    for i, name in enumerate(names):
        test, valid = data.folds == name, data.folds == names[(i + 1) % len(names)]
        order = np.random.default_rng(0).permutation(np.flatnonzero(~test & ~valid))
        loaders = [
            DataLoader(TensorDataset(x[rows], code[rows]), batch_size=hear.BATCH, shuffle=False)
            for rows in (order, np.flatnonzero(valid), np.flatnonzero(test))
        ]
        most, net = -1.0, None
        for point in points if best is None else [best]:
            score, trained, made = fit_in_torch(point, *loaders[:2], data.classes)
            epochs += trained
            if score > most:
                most, net, chosen = score, made, point
        best = chosen
        right[test] = right_of(net, loaders[2])
    return Result(time.perf_counter() - begun, by_fold(right, data.folds), epochs, best)


def by_the_kit(data: Data, python: str, points: int, seed: int) -> tuple[Result, float]:
    """The kit's result, in a process of its own, and the seconds that it counts itself."""
    with tempfile.TemporaryDirectory() as home:
        task = Path(home) / "task"
        task.mkdir()
        splits = [f"fold{i:02d}" for i in range(len(np.unique(data.folds)))]
        rng = np.random.default_rng(seed)
        for split, name in zip(splits, np.unique(data.folds), strict=True):
            rows = rng.permutation(np.flatnonzero(data.folds == name))
            (task / f"{split}.embedding-dimensions.json").write_text(json.dumps([len(rows), data.x.shape[1]]))
            (task / f"{split}.embeddings.npy").write_bytes(np.ascontiguousarray(data.x[rows]).tobytes())
            labels = [[f"class {code}"] for code in data.code[rows]]
            (task / f"{split}.target-labels.pkl").write_bytes(pickle.dumps(labels))
        vocabulary = [f"{i},class {i}" for i in range(data.classes)]
        (task / "labelvocabulary.csv").write_text("\n".join(["idx,label", *vocabulary]) + "\n")
        about = {
            "task_name": "benchmark", "embedding_type": "scene", "prediction_type": "multiclass",
            "split_mode": "new_split_kfold", "splits": splits, "evaluation": ["top1_acc"],
        }  # fmt: skip
        (task / "task_metadata.json").write_text(json.dumps(about))
        # its own checkpoints hold classes, which newer versions of PyTorch read only when told to
        known = os.environ | {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1", "CUDA_VISIBLE_DEVICES": ""}
        command = [python, "-m", "heareval.predictions.runner", str(task), "--grid-points", str(points)]
        begun = time.perf_counter()
        done = subprocess.run(command, cwd=home, env=known, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - begun
        if done.returncode:
            sys.exit(f"the kit failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        scores = json.loads((task / "test.predicted-scores.json").read_text())
        within = json.loads((task / "prediction-done.json").read_text())["time"]
        epochs = 0
        for log in task.rglob("metrics.csv"):
            with open(log, encoding="utf-8", newline="") as file:
                epochs += max(int(row["epoch"]) for row in csv.DictReader(file) if row["epoch"]) + 1
    accuracy = np.array([scores[split]["test_top1_acc"] for split in splits])
    chosen = scores["hparams"]
    point = hear.Point(chosen["hidden_layers"], chosen["lr"], "uniform" in chosen["initialization"])
    return Result(seconds, accuracy, epochs, point), within


def told(name: str, result: Result, more: str = "") -> None:
    point = result.point
    print(
        f"{name:>16}: {result.seconds:8.1f} s{more}, accuracy {result.accuracy.mean():.4f} (sd "
        f"{result.accuracy.std(ddof=1):.4f} over folds), {result.epochs:,} epochs; chosen: "
        f"{point.layers} hidden, rate {point.rate:g}, {'uniform' if point.uniform else 'normal'}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("embeddings", nargs="?", help=".npz of `ssl-audio embed`, one vector a clip")
    parser.add_argument("--synthetic", action="store_true", help="drawn embeddings instead")
    parser.add_argument("--column", default="category", help="the column of the classes")
    parser.add_argument("--folds", default="fold", help="the column of the folds, three or more")
    parser.add_argument("--points", type=int, default=8, help="points of the grid that are tried")
    parser.add_argument("--epochs", type=int, default=hear.EPOCHS, help="at most; 3 or more")
    parser.add_argument("--clips", type=int, help="so many clips; of a file, drawn from it")
    parser.add_argument("--kit", help="the Python of an environment with hear-eval-kit")
    parser.add_argument("--seed", type=int, default=0, help="of weights and dropout on both sides")
    args = parser.parse_args()
    if (args.embeddings is None) != args.synthetic:
        parser.error("give a file of embeddings or --synthetic")
    if args.synthetic:
        data = synthetic(args.clips or 2000)
    else:
        data = read(args.embeddings, args.column, args.folds, args.clips)
    if args.kit and args.epochs != hear.EPOCHS:
        parser.error(f"the kit always trains up to {hear.EPOCHS} epochs; leave --epochs out")
    if args.epochs < hear.EVERY or args.points < 1:
        parser.error("3 epochs and 1 point are the least")
    names, counts = np.unique(data.folds, return_counts=True)
    if len(names) < 3:
        parser.error(f"folds are {', '.join(names)}; three or more are needed")
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch.set_num_threads(threads)
    jax.config.update("jax_enable_compilation_cache", False)
    warm_up()
    hear.EPOCHS, points = args.epochs, hear.drawn(args.points)
    print(
        f"{len(data.x):,} clips x {data.x.shape[1]:,}, {data.classes} classes, {len(names)} folds of "
        f"{counts.min()} to {counts.max()}; {len(points)} points, at most {args.epochs} epochs, {threads} "
        f"threads, seed {args.seed}"
    )
    made = {}
    for name, side in (("ssl_audio, cold", ours), ("PyTorch", theirs), ("ssl_audio, warm", ours)):
        made[name] = side(data, points, args.seed)
        told(name, made[name])
    cold, torchs, warm = made.values()
    print(
        f"{'ratio':>16}: {torchs.seconds / cold.seconds:.2f} cold, {torchs.seconds / warm.seconds:.2f} warm "
        "(PyTorch / ssl_audio, seconds)"
    )
    more = 100 * (warm.accuracy.mean() - torchs.accuracy.mean())
    print(f"{'difference':>16}: {more:+.2f} points of accuracy (ssl_audio less PyTorch)")
    if args.kit:
        kit, within = by_the_kit(data, args.kit, args.points, args.seed)
        told("hear-eval-kit", kit, f" ({within:.1f} s of it)")
        more = 100 * (warm.accuracy.mean() - kit.accuracy.mean())
        print(
            f"{'ratio':>16}: {kit.seconds / cold.seconds:.2f} cold, {kit.seconds / warm.seconds:.2f} warm; "
            f"{more:+.2f} points of accuracy (ssl_audio less the kit)"
        )


if __name__ == "__main__":
    main()
