"""Figures of sounds, embeddings and runs: each function gives a matplotlib Figure; pyplot isn't touched."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float, Float32, Int, Num, Shaped
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.signal import ShortTimeFFT

# Okabe and Ito's colours (less the yellow, too light on white) and two of Tol's: told apart by colour-blind
# people as far as ten colours can be; the shape that goes with each tells the rest.
COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#332288", "#882255", "#999933",
    "#666666",
)  # fmt: skip
SHAPES = ("o", "s", "^", "D", "v", "P", "X")
INK, MUTED, GRID = "#1b1f24", "#5b6570", "#e3e6ea"
STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": "#9aa3ad",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "ssl_audio",
}


def styled(i: int) -> tuple[str, str]:
    """(colour, matplotlib marker) of class i: no two of the first 70 classes share both."""
    return COLOURS[i % len(COLOURS)], SHAPES[i % len(SHAPES)]


class Picture(Figure):
    """A figure that Jupyter shows by itself, which it does for pyplot's figures only."""

    def _repr_png_(self) -> bytes:
        return base64.b64decode(png(self).partition(",")[2])


def figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, laid out without overlaps, drawn by Agg."""
    with matplotlib.rc_context(STYLE):
        made = Picture(figsize=(width, height), layout="constrained", facecolor="white")
        FigureCanvasAgg(made)
        return made


def spectrum(
    wave: Num[np.ndarray, " t"], rate: int, bands: int = 96, fmin: float = 60.0, dynamic: float = 75.0
) -> tuple[Float32[np.ndarray, "bands f"], Float[np.ndarray, " bands"], float]:
    """(dB below the loudest point; centre of each band, Hz; seconds a frame), bands evenly spaced in log.

    int16 or float samples; dynamic: dB that are shown. For eyes only: what networks hear is
    `signal.frontend`.
    """
    x = wave / 2**15 if wave.dtype == np.int16 else wave
    size, hop = 2 ** round(np.log2(rate * 0.064)), max(1, round(rate * 0.010))
    x = np.pad(x.astype(np.float64), (0, max(0, size - len(x))))
    transform = ShortTimeFFT(np.hanning(size), hop, rate, fft_mode="onesided")
    power = np.abs(transform.stft(x, p0=0)) ** 2  # the first frame's middle is the first sample
    edges = np.geomspace(min(fmin, rate / 8), rate / 2, bands + 1)
    centres = np.sqrt(edges[1:] * edges[:-1])
    total = np.concatenate([np.zeros((1, power.shape[1])), np.cumsum(power, 0)])
    # mean power between two edges, by interpolating the running sum: wide bands average, narrow ones
    # interpolate
    at = np.arange(len(total)) - 0.5
    place = edges / transform.delta_f
    summed = np.stack([np.interp(place, at, column) for column in total.T], 1)
    band = np.diff(summed, axis=0) / np.diff(place)[:, None]
    level = 10 * np.log10(np.maximum(band, 1e-20))
    level = np.maximum(level - level.max(), -dynamic) if band.max() > 1e-18 else np.full_like(level, -dynamic)
    return level.astype(np.float32), centres, hop / rate


def spectrogram(
    wave: Num[np.ndarray, " t"], rate: int, title: str = "", width: float = 3.2, height: float = 1.7
) -> Figure:
    """Picture of a sound: time in seconds, frequency in Hz on a log axis, level in dB as brightness."""
    level, centres, step = spectrum(wave, rate)
    with matplotlib.rc_context(STYLE | {"font.size": 8}):
        made = figure(width, height)
        ax = made.add_subplot()
        seconds = min(level.shape[1] * step, max(len(wave) / rate, step))
        ax.imshow(
            level,
            origin="lower",
            aspect="auto",
            cmap="magma",
            extent=(-step / 2, (level.shape[1] - 0.5) * step, 0, len(level)),
        )
        ax.set_xlim(0, seconds)
        ticks = [f for f in (125, 500, 2000, 8000, 20000) if centres[0] <= f <= rate / 2]
        edge = np.log(centres[1] / centres[0])
        places = [min(np.log(f / centres[0]) / edge + 0.5, len(level)) for f in ticks]
        ax.set_yticks(places, [f"{f // 1000} kHz" if f >= 1000 else f"{f} Hz" for f in ticks])
        ax.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4))
        ax.xaxis.set_major_formatter("{x:g} s")
        ax.grid(False)
        ax.tick_params(length=2)
        if title:
            ax.set_title(title, loc="left", fontsize=9)
        return made


def scatter(xy: Float[np.ndarray, "n 2"], labels: Shaped[np.ndarray, " n"], title: str = "") -> Figure:
    """Points of the plane with a colour and a shape for each label, and a legend."""
    with matplotlib.rc_context(STYLE):
        made = figure(9.0, 6.0)
        ax = made.add_subplot()
        for i, name in enumerate(np.unique(labels)):
            colour, marker = styled(i)
            mine = xy[labels == name]
            ax.scatter(
                *mine.T,
                s=26,
                c=colour,
                marker=marker,
                label=str(name),
                alpha=0.85,
                linewidths=0.4,
                edgecolors="w",
            )
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_visible(False)
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=1.3)
        ax.set_title(title, loc="left")
        return made


def counts(
    truth: Shaped[np.ndarray, " n"], predictions: Shaped[np.ndarray, " n"], classes: Sequence[str]
) -> Int[np.ndarray, "c c"]:
    """Confusion matrix: clips by true class (row) and predicted class (column).

    ValueError: an unknown class.
    """
    place = {str(name): i for i, name in enumerate(classes)}
    unknown = {str(v) for v in (*truth, *predictions)} - set(place)
    if unknown:
        raise ValueError(f"labels {sorted(unknown)[:3]} aren't among the classes {list(place)[:5]} ...")
    found = np.zeros((len(place), len(place)), np.int64)
    np.add.at(found, ([place[str(v)] for v in truth], [place[str(v)] for v in predictions]), 1)
    return found


def confusion(found: Int[np.ndarray, "c c"], classes: Sequence[str], label: str = "class") -> Figure:
    """Confusion matrix in per cent of each true class: a row adds to 100; its clips are beside its name."""
    sums = found.sum(1)
    share = found / np.maximum(sums, 1)[:, None]
    c = len(classes)
    side = min(12.0, 2.4 + 0.46 * c)
    with matplotlib.rc_context(STYLE | {"font.size": 9.5 if c <= 20 else 6}):
        made = figure(side + 1.6, side)
        ax = made.add_subplot()
        ax.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        words = {"parse_math": False}  # a name may have a dollar in it
        ax.set_xticks(range(c), classes, rotation=45, ha="right", rotation_mode="anchor", **words)
        ax.set_yticks(range(c), [f"{name}  ({n})" for name, n in zip(classes, sums, strict=True)], **words)
        ax.set_xlabel(f"predicted {label}", **words)
        ax.set_ylabel(f"true {label} (clips)", **words)
        ax.grid(False)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        for i in range(c if c <= 20 else 0):
            for j in np.flatnonzero(found[i]):
                bold = {"weight": "bold"} if i == j else {}
                ink = "white" if share[i, j] > 0.55 else INK
                ax.text(j, i, f"{100 * share[i, j]:.0f}", ha="center", va="center", color=ink, **bold)
        return made


def series(lines: Sequence[Mapping[str, Any]], name: str) -> Float[np.ndarray, "2 n"]:
    """Steps and values of a quantity in the lines of metrics.jsonl."""
    found = [(line["step"], line[name]) for line in lines if isinstance(line.get(name), (int, float))]
    return np.array(found, float).reshape(-1, 2).T


def comparison(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Small multiples, a row a run: its loss, and the monitors of collapse beside it, on shared axes."""
    columns = {
        "loss": "loss",
        "embedding_std": "spread of embeddings",
        "target_std": "spread of targets",
        "rankme": "effective rank",
        "online_knn": "online kNN",
    }
    shared = ("embedding_std", "target_std", "online_knn")
    with matplotlib.rc_context(STYLE | {"font.size": 8}):
        made = figure(11.0, 0.9 * len(runs) + 0.6)
        axes = made.subplots(len(runs), len(columns), squeeze=False)
        for row, (name, lines) in zip(axes, runs.items(), strict=True):
            row[0].set_ylabel(name, rotation=0, ha="right", va="center")
            for ax, (key, title) in zip(row, columns.items(), strict=True):
                steps, values = series(lines, key)
                ax.plot(steps, values, color=COLOURS[0], lw=1.2)
                if not len(steps):
                    ax.text(0.5, 0.5, "none", color=MUTED, ha="center", va="center", transform=ax.transAxes)
                    ax.set_xticks([])
                if key in shared:
                    ax.set_ylim(0, max(1.0, values.max(initial=0) * 1.05))
                elif key == "rankme":
                    ax.set_ylim(bottom=0)
                for line in lines:
                    if line.get("collapse"):
                        ax.axvline(line["step"], color="#b00020", lw=1, alpha=0.5)
                if ax in axes[0]:
                    ax.set_title(title, loc="left", fontsize=9)
                ax.tick_params(labelsize=7)
        return made


def efficiency(systems: Mapping[str, Mapping[int, Sequence[float]]]) -> Figure:
    """Accuracy by labels a class, a line a system: the mean over draws of labels, and their range.

    systems: for each the accuracies (0 to 1) at each count of labels. Dashed: "..., from scratch"; dotted:
    "..., random".
    """
    with matplotlib.rc_context(STYLE):
        made = figure(8.5, 4.6)
        ax = made.subplots()
        for i, (name, found) in enumerate(systems.items()):
            counts = [count for count, values in found.items() if len(values)]
            mean = [float(np.mean(found[count])) for count in counts]
            low, high = ([f(found[count]) for count in counts] for f in (min, max))
            colour, marker = styled(i)
            style = "--" if name.endswith("from scratch") else ":" if name.endswith("random") else "-"
            ax.plot(counts, mean, color=colour, marker=marker, ms=5, lw=1.8, ls=style, label=name)
            ax.fill_between(counts, low, high, color=colour, alpha=0.12, lw=0)
        ticks = sorted({count for found in systems.values() for count in found})
        ax.set_xscale("log")
        ax.set_xticks(ticks, [str(count) for count in ticks])
        ax.minorticks_off()
        ax.set_ylim(0, 1)
        ax.set_xlabel("labels a class")
        ax.set_ylabel("accuracy")
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9)
        return made


def choices(ks: Sequence[int], silhouette: Sequence[float], bic: Sequence[float], k: int) -> Figure:
    """Silhouette and BIC by the number of clusters; a line at the k that was taken."""
    with matplotlib.rc_context(STYLE):
        made = figure(10.5, 3.0)
        axes = made.subplots(1, 2)
        for i, (ax, values, title) in enumerate(
            zip(axes, (silhouette, bic), ("Silhouette", "Bayesian information criterion"), strict=True)
        ):
            ax.plot(ks, values, color=COLOURS[i], lw=1.6, marker="o", ms=3.5)
            ax.axvline(k, color="#b00020", lw=1, alpha=0.5)
            ax.set_title(title + " (higher is better)", loc="left")
            ax.set_xlabel("clusters")
        return made


def curves(lines: Sequence[Mapping[str, Any]]) -> Figure:
    """Learning curves out of the lines of metrics.jsonl: loss, spread of the embeddings, online kNN."""
    knn = series(lines, "online_knn")
    with matplotlib.rc_context(STYLE):
        made = figure(10.5, 3.0)
        axes = made.subplots(1, 3 if knn.size else 2)
        made.get_layout_engine().set(wspace=0.06)
        axes[0].plot(*series(lines, "loss"), color=COLOURS[0], lw=1.6)
        axes[0].set_title("Loss", loc="left")
        axes[1].set_title("Effective rank of the embeddings (RankMe)", loc="left", fontsize=10)
        axes[1].plot(*series(lines, "rankme"), color=COLOURS[2], lw=1.6, marker="o", ms=3.5, label="RankMe")
        axes[1].set_ylim(bottom=0)
        std = series(lines, "embedding_std")
        if std.size:
            other = axes[1].twinx()
            other.plot(
                *std, color=COLOURS[3], lw=1.4, ls="--", marker="s", ms=3, label="standard deviation (right)"
            )
            other.set_ylim(bottom=0)
            other.grid(False)
            other.spines["right"].set_visible(True)
            handles = [*axes[1].get_lines(), *other.get_lines()]
            axes[1].legend(handles=handles, loc="lower right", fontsize=8)
        if knn.size:
            axes[2].plot(*knn, color=COLOURS[7], lw=1.6, marker="o", ms=3.5)
            axes[2].set_title("Online kNN accuracy", loc="left")
            axes[2].set_ylim(0, 1)
        collapsed = [line["step"] for line in lines if line.get("collapse")]
        for ax in axes:
            ax.set_xlabel("step")
            for step in collapsed:
                ax.axvline(step, color="#b00020", lw=1, alpha=0.5)
        return made


# ---- pictures as text --------------------------------------------------------------------------------------


def svg(made: Figure, alt: str) -> str:
    """A figure as an <svg> element for a page, the same text for the same figure. alt: what it shows."""
    file = io.StringIO()
    with matplotlib.rc_context(STYLE):
        made.savefig(
            file, format="svg", metadata={"Creator": None, "Date": None, "Format": None, "Type": None}
        )
    text = file.getvalue()
    text = text[text.index("<svg") :]  # no XML prologue, whose DTD is an address
    text = text.replace("'DejaVu Sans'", "system-ui, sans-serif")
    head, _, rest = text.partition(">")
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{escape(alt)}">{rest}'


def png(made: Figure, dpi: int = 100) -> str:
    """A figure as a `data:image/png;base64,` address."""
    file = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        made.savefig(file, format="png", dpi=dpi, metadata={"Software": None}, pil_kwargs={"optimize": True})
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
