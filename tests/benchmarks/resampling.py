"""Quality of resampling by `Sound.blocks` (soxr HQ, block by block): pass band, alias rejection, joints.

    python tests/benchmarks/resampling.py [--out results]

Sines go through real files (64-bit float wav) and the blocks that decoding uses. Pass band: the level of
sines from 0.01 to 0.9 of the lower Nyquist frequency, as largest deviation from 0 dB, both ways; images: the
loudest thing beside such a sine. Alias rejection: what is left of sines that the new rate can't hold, from
the lower Nyquist frequency + 10 % up to 0.98 of the file's, as the loudest against the sine. Joints: the
largest difference, against full scale, between noise in blocks and noise resampled at once. Writes
resampling.json (records), resampling.md (the table) and resampling.png. Nothing in it is random but the
noise, so a record's interval is its value.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import scipy
import soundfile
import soxr

from ssl_audio import provenance, report
from ssl_audio.audio.files import Sound

PAIRS = (
    (44_100, 16_000),
    (48_000, 16_000),
    (44_100, 32_000),
    (96_000, 16_000),
    (22_050, 16_000),
    (16_000, 8_000),
    (8_000, 16_000),
    (16_000, 44_100),
)
SECONDS = 12  # several blocks
METRICS = ("ripple to 0.8 N (dB)", "ripple to 0.9 N (dB)", "images (dB)", "aliases (dB)", "joints (largest)")


def through(x: np.ndarray, rate: int, to: int) -> list[np.ndarray]:
    """The blocks of a wave from a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.wav")
        soundfile.write(path, x, rate, subtype="DOUBLE")
        with Sound(path) as sound:
            return list(sound.blocks(to))


def db(ratio: float) -> float:
    return float(20 * np.log10(max(ratio, 1e-12)))


def spectrum(y: np.ndarray) -> np.ndarray:
    """Amplitudes by frequency; the window's sidelobes are 200 dB down."""
    window = scipy.signal.windows.kaiser(len(y), 40)
    return np.abs(np.fft.rfft(y.astype(np.float64) * window)) * 2 / window.sum()


def middle(y: np.ndarray) -> np.ndarray:
    return y[len(y) // 8 : -(len(y) // 8)]  # filters ring at the ends


def measure(rate: int, to: int, count: int) -> dict:
    """Sines through one pair of rates."""
    lower, t = min(rate, to) / 2, np.arange(SECONDS * rate) / rate
    passed, images, aliases = [], [], []
    for hz in np.linspace(0.01, 0.9, count) * lower:
        y = middle(np.concatenate(through(0.5 * np.sin(2 * np.pi * hz * t), rate, to)))
        found = spectrum(y)
        at = round(hz * len(y) / to)
        level = 2 * np.abs(np.mean(_window(y) * np.exp(-2j * np.pi * hz / to * np.arange(len(y)))))
        passed.append((hz / lower, db(level / 0.5)))
        found[max(at - 60, 0) : at + 60] = 0
        images.append(db(found.max() / 0.5))
    if to < rate:
        for hz in np.linspace(1.1 * lower, 0.98 * rate / 2, count):
            y = middle(np.concatenate(through(0.5 * np.sin(2 * np.pi * hz * t), rate, to)))
            aliases.append((hz / lower, db(spectrum(y).max() / 0.5)))
    noise = np.random.default_rng(0).uniform(-1, 1, SECONDS * rate)
    blocks = through(noise, rate, to)
    at_once = soxr.resample(noise.astype(np.float32), rate, to, "HQ")
    joined = np.concatenate(blocks)
    assert len(blocks) > 2 and len(joined) == len(at_once)
    return {
        "from": rate,
        "to": to,
        METRICS[1]: max(abs(level) for _, level in passed),
        METRICS[0]: max(abs(level) for share, level in passed if share <= 0.8),
        METRICS[2]: max(images),
        METRICS[3]: max((level for _, level in aliases), default=None),
        METRICS[4]: float(np.abs(joined - at_once).max()),
        "passed": passed,
        "aliases": aliases,
    }


def _window(y: np.ndarray) -> np.ndarray:
    window = scipy.signal.windows.kaiser(len(y), 40)
    return y * window / window.mean()


def draw(rows: list[dict], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for row in rows:
        name = f"{row['from'] / 1000:g} to {row['to'] / 1000:g} kHz"
        (line,) = left.plot(*zip(*row["passed"], strict=True), label=name)
        if row["aliases"]:
            right.plot(*zip(*row["aliases"], strict=True), color=line.get_color())
    left.set(xlabel="frequency / lower Nyquist frequency", ylabel="level, dB", title="Pass band")
    right.set(xlabel="frequency / lower Nyquist frequency", ylabel="what is left, dB", title="Aliases")
    left.legend(fontsize="small", ncols=2, loc="lower left")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder")
    parser.add_argument("--count", type=int, default=24, help="sines in each band")
    arguments = parser.parse_args()
    rows = [measure(rate, to, arguments.count) for rate, to in PAIRS]
    versions = {
        "soxr": soxr.__version__,
        "libsoxr": soxr.__libsoxr_version__,
        "soundfile": soundfile.__version__,
        "libsndfile": soundfile.__libsndfile_version__,
        "numpy": np.__version__,
    }
    command = "python tests/benchmarks/resampling.py"
    command += f" --count {arguments.count}" if arguments.count != parser.get_default("count") else ""
    records = [
        {
            "task": f"{row['from']} to {row['to']} Hz",
            "system": "soxr HQ in blocks",
            "metric": metric,
            "value": row[metric],
            "ci95": [row[metric], row[metric]],
            "seed": 0,
            "protocol": f"{command}: see its docstring",
            "versions": versions,
            "code": provenance.code(),
        }
        for row in rows
        for metric in METRICS
        if row[metric] is not None
    ]
    (arguments.out / "resampling.json").unlink(missing_ok=True)
    report.append(arguments.out / "resampling.json", records)
    draw(rows, arguments.out / "resampling.png")
    lines = [
        "# Resampling",
        "",
        f"`{command}`, quality HQ, {', '.join(f'{name} {version}' for name, version in versions.items())}.",
        "Sines through files and the blocks that decoding uses; N is the lower of the two Nyquist",
        "frequencies. Level: largest deviation of a sine; images: the loudest thing beside it; aliases: what",
        "is left of sines from 1.1 N on; joints: blocks against resampling at once, of full scale.",
        "",
        "| from Hz | to Hz | level to 0.8 N, dB | level to 0.9 N, dB | images, dB | aliases, dB | joints |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        flat, ripple, images, aliases, joints = (row[metric] for metric in METRICS)
        left = "none" if aliases is None else f"{aliases:.0f}"
        cells = f"±{flat:.5f} | ±{ripple:.4f} | {images:.0f} | {left} | {joints:.1e}"
        lines.append(f"| {row['from']} | {row['to']} | {cells} |")
    lines += ["", "![Pass band and aliases](resampling.png)"]
    (arguments.out / "resampling.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
