"""Random crops from a store against decoding them on the fly, in one run.

python tests/benchmarks/loader.py [FOLDER]

FOLDER: sound files; without one, 5 s of noise are written as FLAC and WAV at 44.1 kHz.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from ssl_audio.audio.build import build
from ssl_audio.audio.files import wave
from ssl_audio.audio.scan import scan
from ssl_audio.audio.store import Store


def synthetic(folder: Path, suffix: str, count: int = 40) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(count):
        soundfile.write(folder / f"{i}.{suffix}", rng.standard_normal(5 * 44_100) * 0.1, 44_100)
    return folder


def seconds_a_crop(crop, store: Store, length: int, budget: float) -> float:
    """Mean over random crops for `budget` seconds; every sample is read, as a batch would."""
    rng = np.random.default_rng(0)
    done, begin = 0, time.perf_counter()
    while (spent := time.perf_counter() - begin) < budget:
        i = int(rng.integers(len(store)))
        crop(i, int(rng.integers(max(1, store.lengths[i] - length)))).sum(dtype=np.float64)
        done += 1
    return spent / done


def measure(folder: Path, out: Path, seconds: float, budget: float) -> tuple[str, ...]:
    build(scan(folder), out)
    store = Store(out)
    length = int(seconds * store.rate)
    stored = seconds_a_crop(lambda i, at: store[i, at, length], store, length, budget)
    path = lambda i: folder / store.name(i)
    cut = seconds_a_crop(
        lambda i, at: wave(path(i), store.rate, at / store.rate, seconds), store, length, budget
    )
    whole = seconds_a_crop(lambda i, at: wave(path(i), store.rate)[at : at + length], store, length, budget)
    times = [f"{1e6 * t:,.0f}" for t in (stored, cut, whole)]
    return (f"{folder.name} ({len(store)} clips)", *times, f"{cut / stored:,.0f}x", f"{whole / stored:,.0f}x")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="sound files; none: noise is written")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a crop")
    parser.add_argument("--budget", type=float, default=2.0, help="seconds of measuring, each")
    arguments = parser.parse_args()
    table = Table(
        title=f"crops of {arguments.seconds:g} s: microseconds a crop, and how many times the store's"
    )
    for column in ("sounds", "store", "decode crop", "decode file", "crop / store", "file / store"):
        table.add_column(column, justify="left" if column == "sounds" else "right")
    with tempfile.TemporaryDirectory() as scratch:
        folders = (
            [arguments.folder]
            if arguments.folder
            else [synthetic(Path(scratch, s), s) for s in ("flac", "wav")]
        )
        for j, folder in enumerate(folders):
            table.add_row(*measure(folder, Path(scratch, f"store{j}"), arguments.seconds, arguments.budget))
    Console().print(table)


if __name__ == "__main__":
    main()
