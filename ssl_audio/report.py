"""From records to what people read: a run's report.html, and the tables of results/ and the README.

A record is one measured number with all that it needs to be believed: task, system, metric, value, ci95, n,
groups, seed, protocol, and hashes of data, model and code. results/<experiment>.json is a list of them.
"""

import base64
import contextlib
import io
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Float, Int64, Shaped

from ssl_audio.evaluate.folds import Outcome
from ssl_audio.explore import plots, project

try:
    import fcntl
except ImportError:  # Windows: no lock, so two runs must not append to one file at once
    fcntl = None

NAMES = {
    "random": "the same encoder with random weights",
    "logmel": "log-mel mean + std",
    "majority": "majority class",
    "from scratch": "the same network from scratch",
}
"""Systems in words."""
METRICS = {
    "accuracy": "accuracy",
    "knn accuracy": "kNN accuracy",
    "kmeans accuracy": "k-means accuracy",
    "kmeans nmi": "k-means NMI",
    "kmeans ari": "k-means ARI",
    "auc": "AUC (chance 0.5)",
}
"""Metrics in words, in the order of the tables; others follow as they are called."""
DIFFERENCE = "accuracy difference"
IDENTITY = ("task", "system", "metric", "seed", "protocol", "model", "data")
"""What makes two records the same measurement."""
SOUND_BYTES, MOST_POINTS = 3_900_000, 2000
"""Limits of a page: base64 characters of sound, points of the map."""


def write(path: Path | str, text: str) -> None:
    """Write a text file whole or not at all."""
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)


# ---- records in results/
# ----------------------------------------------------------------------------------------


def read(path: Path | str) -> list[dict[str, Any]]:
    """The records of a file. ValueError: it isn't a JSON list of objects."""
    try:
        records = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: damaged ({error}); mend it or take it from the last commit") from None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ValueError(f"{path}: must be a JSON list of records")
    return records


def append(path: Path | str, records: Iterable[Mapping[str, Any]]) -> None:
    """Add records to results/<experiment>.json, atomically; two processes may do so at once.

    A record that is the same measurement as an earlier one (IDENTITY) takes its place at the end of the file.
    ValueError: the file is damaged, or a number isn't finite; the file is then as it was.
    """
    path, records = Path(path), [dict(record) for record in records]
    for record in records:
        for needed in ("task", "system", "metric", "value", "ci95", "seed"):
            if needed not in record:
                raise ValueError(f"{path}: a record without {needed!r}: {record}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f".{path.name}.lock")):
        kept = {identity(record): record for record in (read(path) if path.exists() else [])}
        for record in records:
            kept.pop(identity(record), None)
            kept[identity(record)] = record
        try:
            text = ",\n".join(json.dumps(record, allow_nan=False) for record in kept.values())
        except ValueError:
            raise ValueError(f"{path}: a record's number isn't finite; nothing was written") from None
        write(path, f"[\n{text}\n]\n")


def identity(record: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(json.dumps(record.get(name), sort_keys=True) for name in IDENTITY)


@contextlib.contextmanager
def locked(path: Path):
    """One process at a time; the kernel lets go of the lock however the process ends. The file stays."""
    with open(path, "a") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


# ---- Markdown ----------------------------------------------------------------------------------------------


def summary(results_dir: Path | str) -> str:
    """Markdown tables of every results/*.json: a section a file, a table a task, means over seeds.

    Of several records of one seed (same task, system, metric, protocol and data) the newest counts.
    ValueError: a file is damaged.
    """
    parts = [LEGEND, headline(results_dir)]
    for path in sorted(Path(results_dir).glob("*.json")):
        parts.append(f"## {path.stem}")
        records = read(path)
        for task in unique(record["task"] for record in records):
            chosen = seeds([record for record in records if record["task"] == task])
            parts.append(f"### {task}\n\n" + sizes(chosen))
            parts += [systems_table(chosen), differences_table(chosen), protocols_list(chosen)]
    return "\n\n".join(part for part in parts if part) + "\n"


def headline(results_dir: Path | str) -> str:
    """One Markdown table for the README: by experiment and task ours, the best floor, their difference.

    The best floor is the one with the highest mean accuracy over seeds.
    """
    rows = []
    for path in sorted(Path(results_dir).glob("*.json")):
        chosen = seeds(read(path))
        accuracy = {(k[0], k[1], k[4]): group for k, group in chosen.items() if k[2] == "accuracy"}
        best: dict[tuple, tuple] = {}
        for key, group in chosen.items():
            if key[2] == DIFFERENCE:
                ours, floor = (accuracy.get((key[0], name, key[4])) for name in key[1].split(" - ", 1))
                level = np.mean([record["value"] for record in floor or []] or [-np.inf])
                place = key[0], key[1].split(" - ", 1)[0], key[4]
                if place not in best or level > best[place][0]:
                    best[place] = level, key[1].split(" - ", 1)[1], ours, floor, group
        for (task, name, _), (_, other, ours, floor, group) in best.items():
            sure = f"{sum(record['ci95'][0] > 0 for record in group)} of {len(group)}"
            left, right = (over_seeds(g) if g else "" for g in (ours, floor))
            cells = [
                path.stem,
                task,
                f"{name} {left}",
                f"{other} {right}",
                over_seeds(group, sign=True),
                sure,
            ]
            rows.append(f"| {' | '.join(cells)} |")
    if not rows:
        return "No results yet."
    head = "| experiment | task | accuracy | best floor | paired difference | interval above 0 |"
    return "\n".join([head, "|---" * 6 + "|", *rows])


def refresh(root: Path | str) -> None:
    """Write results/README.md and the README's block between `<!-- results -->` and `<!-- /results -->` anew.

    Twice is the same as once. ValueError: the README has no such block; nothing is written then.
    """
    root = Path(root)
    readme, results = root / "README.md", root / "results"
    if not results.is_dir():
        raise FileNotFoundError(f"{results}: no such folder; run this at the root of the repository")
    text = readme.read_text(encoding="utf-8")
    block = re.compile(r"(<!-- results -->\n).*?(<!-- /results -->)", re.DOTALL)
    if len(block.findall(text)) != 1:
        raise ValueError(f"{readme}: needs one block from a line <!-- results --> to <!-- /results -->")
    # a function, since a backslash in a table would be taken for a reference to a group
    new = block.sub(lambda found: f"{found[1]}\n{headline(results)}\n\n{found[2]}", text)
    made = "<!-- made by `ssl-audio report` from *.json; don't edit -->\n\n# Results\n\n" + summary(results)
    write(results / "README.md", made)
    if new != text:
        write(readme, new)


LEGEND = """\
Each number is the mean over seeds; ± is the standard deviation over them (n - 1), in parentheses the lowest
and the highest. With one seed the brackets are its 95 % interval, as its protocol says. Differences are
paired, clip by clip. `random` is the same encoder with random weights, `logmel` the mean and standard
deviation of the log-mel spectrogram, `majority` the most frequent class."""


def unique(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def seeds(records: Sequence[Mapping[str, Any]]) -> dict[tuple[str, ...], list[Mapping[str, Any]]]:
    """(task, system, metric, protocol, data) -> its newest record of each seed, by seed."""
    found: dict[tuple[str, ...], dict[Any, Mapping[str, Any]]] = defaultdict(dict)
    for record in records:
        key = tuple(str(record.get(name, "")) for name in ("task", "system", "metric", "protocol", "data"))
        found[key][record["seed"]] = record
    return {key: [group[seed] for seed in sorted(group, key=str)] for key, group in found.items()}


def over_seeds(group: Sequence[Mapping[str, Any]], sign: bool = False) -> str:
    """'0.512 ± 0.010 (0.501 to 0.524)' over seeds, or '0.512 [0.450, 0.574]' of one."""
    values = np.array([record["value"] for record in group])
    plus = "+" if sign else ""
    if len(values) == 1:
        return f"{values[0]:{plus}.3f} [{group[0]['ci95'][0]:.3f}, {group[0]['ci95'][1]:.3f}]"
    return f"{values.mean():{plus}.3f} ± {values.std(ddof=1):.3f} ({values.min():.3f} to {values.max():.3f})"


def sizes(chosen: Mapping[tuple, Sequence[Mapping]]) -> str:
    """Clips, groups and seeds of a task's records, in words."""
    every = [record for group in chosen.values() for record in group]
    clips, groups = ({r.get(name) for r in every} - {None} for name in ("n", "groups"))
    words = [f"{'/'.join(map(str, sorted(clips)))} clips"] if clips else []
    words += [f"{'/'.join(map(str, sorted(groups)))} groups"] if groups else []
    counts = sorted({len(group) for group in chosen.values()})
    plural = "" if counts == [1] else "s"
    return (
        ", ".join([*words, f"{'-'.join(str(c) for c in unique((counts[0], counts[-1])))} seed{plural}"]) + "."
    )


def ordered(metrics: Iterable[str]) -> list[str]:
    found = unique(metrics)
    return [m for m in METRICS if m in found] + [m for m in found if m not in METRICS and m != DIFFERENCE]


def systems_table(chosen: Mapping[tuple, Sequence[Mapping]]) -> str:
    """A row a system, a column a metric; a line for each protocol and data, if there are several."""
    metrics = ordered(key[2] for key in chosen)
    cells = defaultdict(list)
    for key, group in chosen.items():
        if key[2] != DIFFERENCE:
            cells[key[1], key[2]].append(over_seeds(group))
    lines = [
        "| system | " + " | ".join(METRICS.get(m, m) for m in metrics) + " |",
        "|---" * (len(metrics) + 1) + "|",
    ]
    for system in unique(system for system, _ in cells):
        lines.append(f"| {system} | " + " | ".join("<br>".join(cells[system, m]) for m in metrics) + " |")
    return "\n".join(lines) if cells else ""


def differences_table(chosen: Mapping[tuple, Sequence[Mapping]]) -> str:
    lines = ["| difference | over seeds | 95 % interval of each seed | above zero |", "|---|---|---|---|"]
    for key, group in chosen.items():
        if key[2] == DIFFERENCE:
            each = ", ".join("[{:.3f}, {:.3f}]".format(*record["ci95"]) for record in group)
            sure = sum(record["ci95"][0] > 0 for record in group)
            best = " (best floor)" if any(record.get("best_floor") for record in group) else ""
            mean = over_seeds(group, sign=True) if len(group) > 1 else f"{group[0]['value']:+.3f}"
            lines.append(f"| {key[1]}{best} | {mean} | {each} | {sure} of {len(group)} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def protocols_list(chosen: Mapping[tuple, Sequence[Mapping]]) -> str:
    """What was done, a bullet a protocol, with the metrics that it gave."""
    found = defaultdict(list)
    for key in chosen:
        if key[3]:
            found[key[3]].append(METRICS.get(key[2], key[2]))
    return "\n".join(f"- {', '.join(unique(metrics))}: {protocol}" for protocol, metrics in found.items())


def plain(record: Mapping[str, Any]) -> str:
    """A difference in words: 'a is better than b by 0.10 [0.04, 0.16]', or that none is shown."""
    ours, other = (NAMES.get(name, name) for name in record["system"].split(" - ", 1))
    value, (low, high) = record["value"], record["ci95"]
    if low > 0:
        return f"{ours} is better than {other} by {value:.3f} [{low:.3f}, {high:.3f}]"
    if high < 0:
        return f"{ours} is worse than {other} by {-value:.3f} [{-high:.3f}, {-low:.3f}]"
    return (
        f"{ours} is not shown to differ from {other}: difference {value:+.3f} [{low:+.3f}, {high:+.3f}], "
        "the interval contains zero"
    )


# ---- a run's page ------------------------------------------------------------------------------------------


def page(
    run: Path | str,
    result: dict[str, Any],
    *,
    store: Any,
    labels: Shaped[np.ndarray, " n"],
    embedding: Float[np.ndarray, "n d"],
    outcome: Outcome,
    clips: int = 12,
    label: str = "family",
) -> Path:
    """Write run/report.html, which needs nothing but itself: tables, map of the sounds, players, provenance.

    result: as result.json ("records", "experiment", "seed", "versions", "hashes", ...). store, labels,
    embedding: of the same clips in the same order; labels are strings, "" for none, and `label` is what they
    are called.
    outcome: our system's linear probe, whose `tested` are rows of those. clips: how many get a player and a
    picture. Learning curves come from run/metrics.jsonl, if it is there. Returns the page's path. ValueError:
    the lengths differ.
    """
    run = Path(run)
    if not len(store) == len(labels) == len(embedding):
        raise ValueError(
            f"{len(store)} clips, {len(labels)} labels and {len(embedding)} embeddings: a page needs one "
            f"of each a clip"
        )
    seed = int(result.get("seed", 0))
    predicted = np.full(len(labels), -1)
    place = {name: i for i, name in enumerate(outcome.classes)}
    predicted[outcome.tested] = [place[str(p)] for p in outcome.predictions]
    rows = shown(labels, outcome.tested, clips, seed)
    points = some(len(store), rows, seed)
    sounds = recordings(store, points, rows)
    lines = metrics(run / "metrics.jsonl")
    records = result.get("records", [])
    name = result.get("experiment", {}).get("name", run.name)
    body = [
        f"<header><p class=kicker>ssl_audio "
        f"report</p><h1>{escape(name)}</h1>{lede(result, store, embedding)}</header>",
        collapsed(lines),
        section("results", "Results", results_html(records, name)),
        section(
            "map",
            "Map of the sounds",
            map_html(store, labels, embedding, predicted, outcome, points, sounds, label, seed),
        ),
        section("clips", "Listen", clips_html(store, labels, predicted, outcome, rows, sounds, label)),
        section("confusion", "Confusion matrix", confusion_html(labels, outcome, label)),
        section("training", "Training", curves_html(lines)) if lines else "",
        section("provenance", "Provenance", provenance_html(result, records, store)),
    ]
    inline = "style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    policy = f"default-src 'none'; img-src data:; media-src data:; {inline}"
    text = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{escape(name)} · ssl_audio report</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + f"\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )
    write(run / "report.html", text)
    return run / "report.html"


def section(anchor: str, title: str, inner: str) -> str:
    return f'<section id="{anchor}"><h2>{escape(title)}</h2>\n{inner}\n</section>'


def metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl; none if there is no such file; a last line cut short is left out."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        with contextlib.suppress(json.JSONDecodeError):
            lines.append(json.loads(text))
    return lines


def shown(labels, tested: Int64[np.ndarray, " n"], clips: int, seed: int) -> list[int]:
    """Clips to show, by class: drawn by seed among the tested ones, one a class in turn."""
    rng = np.random.default_rng(seed)
    queues = {
        name: list(rng.permutation(tested[labels[tested] == name])) for name in np.unique(labels[tested])
    }
    names, chosen = list(rng.permutation(list(queues))), []
    while len(chosen) < clips and any(queues.values()):
        for name in names:
            if queues[name] and len(chosen) < clips:
                chosen.append(int(queues[name].pop()))
    return sorted(chosen, key=lambda i: (labels[i], i))


def some(n: int, first: list[int], seed: int) -> Int64[np.ndarray, " m"]:
    """Rows of the map: all, or MOST_POINTS of them; `first`, then the others in an order drawn by seed."""
    others = np.setdiff1d(np.arange(n), first)
    drawn = np.random.default_rng(seed).permutation(others)[: max(0, MOST_POINTS - len(first))]
    return np.concatenate([np.array(first, np.int64), drawn])


def excerpt(wave, rate: int, seconds: float):
    """The loudest stretch of a clip of that length, faded out where it was cut."""
    length = round(seconds * rate)
    if len(wave) <= length:
        return np.array(wave)
    power = np.concatenate([[0.0], np.cumsum(wave.astype(np.float64) ** 2)])
    begin = int(np.argmax(power[length:] - power[:-length]))
    cut = wave[begin : begin + length].astype(np.float32)
    fade = min(length, rate // 50)
    cut[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return cut.astype(np.int16)


def encoded(wave, rate: int) -> str:
    """Sound as base64: MP3, which every browser plays, some 3 KB a second; WAV where libsndfile can't."""
    file = io.BytesIO()
    if "MP3" in soundfile.available_formats() and rate in (
        8000,
        11025,
        12000,
        16000,
        22050,
        24000,
        32000,
        44100,
        48000,
    ):
        options = {
            "format": "MP3",
            "subtype": "MPEG_LAYER_III",
            "bitrate_mode": "CONSTANT",
            "compression_level": 0.9,
        }
    else:
        options = {"format": "WAV", "subtype": "PCM_16"}
    soundfile.write(file, wave, rate, **options)
    return base64.b64encode(file.getvalue()).decode()


def recordings(store, points, rows: list[int]) -> dict[int, str]:
    """Clip -> sound as base64: 5 s of the listed ones, 1 s of as many others as fit, in order."""
    listed, sounds, left = set(rows), {}, SOUND_BYTES

    def one(i):
        return encoded(excerpt(store[i], store.rate, 5.0 if i in listed else 1.0), store.rate)

    with ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1))) as pool:
        for begin in range(0, len(points), 64):
            some = [int(i) for i in points[begin : begin + 64]]
            for i, text in zip(some, pool.map(one, some), strict=True):
                if len(text) <= left:
                    sounds[i] = text
                    left -= len(text)
            if left < 10_000:
                break
    return sounds


def address(text: str) -> str:
    """The data: address of an encoded sound."""
    kind = "wav" if text.startswith("UklGR") else "mpeg"  # "RIFF" in base64
    return f"data:audio/{kind};base64,{text}"


def lede(result: Mapping[str, Any], store, embedding) -> str:
    """What was done, in a paragraph, out of the experiment."""
    experiment = result.get("experiment", {})

    def kind(name):
        return str(experiment.get(name, {}).get("class", name)).rpartition(".")[2]

    minutes = np.asarray(store.lengths, np.int64).sum() / store.rate / 60
    sounds = f"{len(store):,} clips ({minutes:,.0f} minutes of sound)"
    if not experiment:
        return f"<p class=lede>{sounds}.</p>"
    optim, data = experiment.get("optim", {}), experiment.get("data", {})
    first = (
        f"{kind('encoder')} was pretrained by {kind('method')} without any label: "
        f"{optim.get('steps', '?')} steps, each on "
        f"{data.get('batch', '?')} crops of {data.get('seconds', '?')} s."
    )
    second = (
        f"Then it was frozen, and its embeddings of {sounds}, {embedding.shape[1]} numbers a clip, were "
        f"judged "
        "with labels on clips that the judge had not seen, beside what needs no pretraining."
    )
    took = f" All of it took {clock(result['seconds'])}." if "seconds" in result else ""
    return f"<p class=lede>{escape(first)} {escape(second)}{escape(took)}</p>"


def clock(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def collapsed(lines: Sequence[Mapping[str, Any]]) -> str:
    steps = [str(line["step"]) for line in lines if line.get("collapse")]
    if not steps:
        return ""
    return (
        f"<p class=alarm><strong>Collapse alarm</strong> at step {', '.join(steps[:8])}: the embeddings "
        f"lay in one point "
        "or along one line, so what follows may say little about the method.</p>"
    )


# ---- parts of the page -------------------------------------------------------------------------------------


def whisker(value: float, low: float, high: float) -> str:
    """A point and its interval on a scale from 0 to 1, as an inline picture."""
    x = [round(4 + 112 * min(max(v, 0.0), 1.0), 1) for v in (low, value, high)]
    return (
        '<svg class=whisker viewBox="0 0 120 14" aria-hidden="true"><path d="M4 7H116" class=axis />'
        f'<path d="M{x[0]} 7H{x[2]}" class=bar /><circle cx="{x[1]}" cy="7" r="4"/></svg>'
    )


def results_html(records: Sequence[Mapping[str, Any]], name: str) -> str:
    """A table and the differences in words for each task."""
    parts = [
        "<p>In brackets: 95 % intervals. The line beside a number draws it from 0 to 1. How each was "
        "measured is told "
        'under <a href="#provenance">provenance</a>.</p>'
    ]
    for task in unique(record["task"] for record in records):
        mine = [record for record in records if record["task"] == task]
        parts.append(
            f"<h3>{escape(task)}</h3><p class=note>{escape(sizes(seeds(mine)).replace(', 1 seed', ''))}</p>"
        )
        columns = ordered(record["metric"] for record in mine)
        probed = any(
            str(r.get("protocol", "")).startswith("linear") for r in mine if r["metric"] == "accuracy"
        )
        titles = [("linear accuracy" if m == "accuracy" and probed else METRICS.get(m, m)) for m in columns]
        head = "".join(
            f"<th scope=col{' colspan=2' if i == 0 else ''}>{escape(t)}</th>" for i, t in enumerate(titles)
        )
        table = [f"<div class=wide><table><thead><tr><th scope=col>system</th>{head}</tr></thead><tbody>"]
        values = {(r["system"], r["metric"]): r for r in mine}
        for system in unique(r["system"] for r in mine if r["metric"] != DIFFERENCE):
            cells = []
            for i, metric in enumerate(columns):
                record = values.get((system, metric))
                if record is None:
                    cells.append("<td>–</td>" + "<td></td>" * (i == 0))
                    continue
                low, high = record["ci95"]
                cells.append(
                    f"<td><b>{record['value']:.3f}</b><span class=ci>[{low:.3f}, {high:.3f}]</span></td>"
                    + (f"<td>{whisker(record['value'], low, high)}</td>" if i == 0 else "")
                )
            ours = " class=ours" if system in (name, "fine-tuned") else ""
            title = f"{system}: pretrained, frozen" if system == name else NAMES.get(system, system)
            table.append(f"<tr{ours}><th scope=row>{escape(title)}</th>{''.join(cells)}</tr>")
        parts.append("".join(table) + "</tbody></table></div>")
        differences = sorted(
            (r for r in mine if r["metric"] == DIFFERENCE), key=lambda r: not r.get("best_floor", False)
        )
        said = [verdict(record) for record in differences]
        if said:
            parts.append(f"<ul class=verdicts>{''.join(said)}</ul>")
    return "\n".join(parts)


def verdict(record: Mapping[str, Any]) -> str:
    low, high = record["ci95"]
    kind, mark = ("yes", "▲") if low > 0 else ("no", "▼") if high < 0 else ("open", "◇")
    best = " <span class=tag>best floor</span>" if record.get("best_floor") else ""
    words = escape(plain(record))
    return f'<li class={kind}><span aria-hidden="true">{mark}</span><span>{words}.{best}</span></li>'


# shapes of `plots.SHAPES` as paths around (0, 0), of like area
PATHS = {
    "o": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z",
    "s": "M-4.4-4.4H4.4V4.4H-4.4Z",
    "^": "M0-5.8L5.6 4.4H-5.6Z",
    "D": "M0-6L6 0L0 6L-6 0Z",
    "v": "M0 5.8L5.6-4.4H-5.6Z",
    "P": "M-2-5.5H2V-2H5.5V2H2V5.5H-2V2H-5.5V-2H-2Z",
    "X": "M-5.4-2.6L-2.6-5.4L0-2.8L2.6-5.4L5.4-2.6L2.8 0L5.4 2.6L2.6 5.4L0 2.8L-2.6 5.4L-5.4 2.6L-2.8 0Z",
}


def script_json(value: Any) -> str:
    """JSON that can stand inside <script>: no text in it can end the element."""
    return (
        json.dumps(value, separators=(",", ":"))
        .replace("<", "\\u003c")
        .replace("\u2028", "")
        .replace("\u2029", "")
    )


def map_html(store, labels, embedding, predicted, outcome, points, sounds, label: str, seed: int) -> str:
    """t-SNE of the embeddings as an SVG that a script brings to life, its legend, and its data."""
    xy = project.tsne(embedding[points], seed)
    spread = np.maximum(xy.max(0) - xy.min(0), 1e-9)
    xy = np.round(20 + (xy - xy.min(0)) / spread * np.array([960, 660])).astype(int)
    names = sorted(set(labels.tolist()) - {""}) + [""] * bool((labels == "").any())
    near = project.neighbours(embedding[points], 5)
    groups, buttons = [], []
    for c, name in enumerate(names):
        colour, shape = plots.styled(c)
        at = np.flatnonzero(labels[points] == name)
        marks = "".join(
            f'<use href="#m{plots.SHAPES.index(shape)}" x="{xy[j, 0]}" y="{xy[j, 1]}" id="p{j}"/>' for j in at
        )
        groups.append(f'<g fill="{colour}" data-c="{c}">{marks}</g>')
        icon = (
            f'<svg viewBox="-7 -7 14 14" aria-hidden="true"><path d="{PATHS[shape]}" fill="{colour}"/></svg>'
        )
        buttons.append(
            f'<button type=button data-c="{c}" aria-pressed=false>{icon}{escape(name or "no label")} '
            f"<small>{len(at)}</small></button>"
        )
    data = {
        "xy": xy.tolist(),
        "label": [names.index(v) for v in labels[points].tolist()],
        "labels": [name or "no label" for name in names],
        "guess": predicted[points].tolist(),
        "classes": outcome.classes,
        "name": [store.name(i)[-120:] for i in points],
        "near": near.tolist(),
        "sound": [sounds.get(int(i), "") for i in points],
        "what": label,
    }
    shapes = "".join(f'<path id="m{k}" d="{PATHS[s]}"/>' for k, s in enumerate(plots.SHAPES))
    playable = len(sounds)
    alt = (
        f"Map of {len(points)} sounds, one mark a clip, by t-SNE of the embeddings; colour and shape show "
        f"the {label}, "
        f"of which there are {len(names)}."
    )
    part = "" if len(points) == len(store) else f" {len(points):,} of {len(store):,} clips are drawn."
    return (
        f"<p>A mark is a clip; near marks are clips that the encoder finds alike (t-SNE; labels only "
        f"colour it, and distances "
        f"between far groups mean nothing).{part} Point at a mark for its name, click to hear it "
        f"({playable:,} excerpts are in "
        f"this page) and to see its nearest neighbours. Click a {escape(label)} in the legend to single it "
        f"out.</p>"
        f"<div class=legend id=legend>{''.join(buttons)}</div>"
        f'<div class=map id=stage><svg id=plot viewBox="0 0 1000 700" role="img" aria-label="{escape(alt)}">'
        f'<defs>{shapes}</defs><g id=links></g>{"".join(groups)}<circle id=ring r="11" cx="-99" '
        f'cy="-99"/></svg>'
        "<div id=tip role=status></div></div>"
        "<div id=player class=player><p class=note>Click a mark to hear it.</p></div>"
        f'<script type="application/json" id=data>{script_json(data)}</script>'
    )


def clips_html(store, labels, predicted, outcome, rows, sounds, label: str) -> str:
    """Players with spectrograms."""
    cards = []
    for i in rows:
        true, guess = str(labels[i]), outcome.classes[predicted[i]]
        seconds = len(store[i]) / store.rate
        picture = plots.png(plots.spectrogram(store[i, 0, 5 * store.rate], store.rate), dpi=110)
        right = true == guess
        said = f"predicted <b>{escape(guess)}</b> {'✓' if right else '✗'}"
        cards.append(
            f'<figure class=clip><img src="{picture}" width=352 height=187 alt="Spectrogram of '
            f"{escape(store.name(i))}: "
            f"{seconds:.1f} s from left to right, 60 Hz to {store.rate / 2000:g} kHz from bottom to top, "
            f'louder is brighter.">'
            f"<figcaption><span class=name>{escape(store.name(i))}</span>"
            f"<span class={'right' if right else 'wrong'}>true "
            f"<b>{escape(true)}</b><br>{said}</span></figcaption>"
            f'<audio controls preload=none src="{address(sounds[i])}" '
            f'aria-label="{escape(store.name(i))}"></audio></figure>'
        )
    return (
        f"<p>Drawn at random, one a {escape(label)} in turn; each was predicted by the linear probe while "
        f"its group was held "
        f"out.</p><div class=clips>{''.join(cards)}</div>"
    )


def confusion_html(labels, outcome, label: str) -> str:
    found = plots.counts(labels[outcome.tested], outcome.predictions, outcome.classes)
    share = found / np.maximum(found.sum(1, keepdims=True), 1)
    off = np.where(np.eye(len(found), dtype=bool), 0, share)
    i, j = np.unravel_index(off.argmax(), off.shape)
    mistaken = f"{100 * off[i, j]:.0f} % of {outcome.classes[i]} for {outcome.classes[j]}"
    worst = f"the most frequent mistake takes {mistaken}"
    alt = f"Confusion matrix of {len(found)} classes; accuracy {outcome.correct.mean():.3f}; {worst}."
    picture = plots.svg(plots.confusion(found, outcome.classes, label), alt)
    return (
        f"<p>Each row is a true {escape(label)}; the numbers are per cent of its clips, by the linear "
        f"probe on held-out folds. "
        f"{escape(worst[0].upper() + worst[1:])}.</p><div class='wide figure square'>{picture}</div>"
    )


def curves_html(lines: Sequence[Mapping[str, Any]]) -> str:
    losses = [line["loss"] for line in lines if "loss" in line]
    looks = [line for line in lines if "rankme" in line]
    words = [f"loss from {losses[0]:.3f} to {losses[-1]:.3f}"] if losses else []
    words += [f"effective rank from {looks[0]['rankme']:.1f} to {looks[-1]['rankme']:.1f}"] if looks else []
    if looks and "online_knn" in looks[-1] and "online_knn" in looks[0]:
        words.append(
            f"online kNN accuracy from {looks[0]['online_knn']:.2f} to {looks[-1]['online_knn']:.2f}"
        )
    picture = plots.svg(plots.curves(lines), f"Learning curves: {'; '.join(words)}.")
    return (
        "<p>Over the steps of pretraining. The effective rank (RankMe) and the standard deviation tell a "
        "collapse: both would "
        "fall towards zero. The online kNN looks at labels only to be watched; nothing is chosen by it.</p>"
        f"<div class='wide figure'>{picture}</div><p class=note>{escape('; '.join(words))}.</p>"
    )


def provenance_html(result: Mapping[str, Any], records: Sequence[Mapping[str, Any]], store) -> str:
    """Command, time, memory, hashes, versions; protocols; the whole experiment."""
    about = {"command": result.get("command"), "seed": result.get("seed")}
    about["time"] = clock(result["seconds"]) if "seconds" in result else None
    about["peak memory"] = f"{result['peak_memory_mib']:,} MiB" if "peak_memory_mib" in result else None
    about |= {f"hash of {k}": v for k, v in result.get("hashes", {}).items()}
    about["licences of the sounds"] = ", ".join(v for v in store.names("licence") if v)[:300] or None
    about |= result.get("versions", {})
    cells = "".join(
        f"<dt>{escape(k)}</dt><dd><code>{escape(str(v))}</code></dd>"
        for k, v in about.items()
        if v is not None
    )
    found = defaultdict(list)
    for r in records:
        if r.get("protocol"):
            found[r["protocol"]].append(f"{r['task']}: {METRICS.get(r['metric'], r['metric'])}")
    items = "".join(
        f"<li>{escape(p)} <span class=note>({escape('; '.join(unique(w)))})</span></li>"
        for p, w in found.items()
    )
    experiment = escape(json.dumps(result.get("experiment", {}), indent=1))
    return (
        f"<dl>{cells}</dl><details open><summary>How it was measured</summary><ul "
        f"class=protocols>{items}</ul></details>"
        f"<details><summary>The whole experiment</summary><pre>{experiment}</pre></details>"
    )


CSS = """
:root{color-scheme:light;--ink:#1b1f24;--muted:#5b6570;--line:#dfe3e8;--soft:#f6f8fa;--blue:#0072B2}
*{box-sizing:border-box}
body{margin:0;background:#fff;color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;
-webkit-text-size-adjust:100%}
main{max-width:1080px;margin:0 auto;padding:32px 24px 80px}
header{border-bottom:1px solid var(--line);padding-bottom:14px}
h1{font-size:2.1rem;line-height:1.2;margin:.1em 0 .35em;letter-spacing:-.01em}
h2{font-size:1.4rem;margin:2.4em 0 .5em}
h3{font-size:1.06rem;margin:1.9em 0 0}
p{max-width:46em;margin:.5em 0 .9em}
a{color:var(--blue)}
.kicker{margin:0;color:var(--muted);font-size:.85rem;letter-spacing:.04em}
.lede{font-size:1.08rem}
.note,.ci,small{color:var(--muted)}
.note{font-size:.88rem;margin:.15em 0 .6em}
.alarm{border-left:4px solid #b00020;background:#fdf1f2;padding:10px 14px}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums;width:100%}
th,td{text-align:left;padding:6px 16px 6px 0;border-bottom:1px solid var(--line);
vertical-align:middle;white-space:nowrap}
thead th{font-weight:600;color:var(--muted);font-size:.82rem;border-bottom:1.5px solid #b8c0c8}
tbody th{font-weight:400;white-space:normal;min-width:11em}
.ours th,.ours td{background:#eef6fb}
.ours th{font-weight:600}
.ours th:first-child{box-shadow:inset 3px 0 var(--blue);padding-left:10px}
td b{font-weight:600}
.ci{font-size:.8rem;display:block;line-height:1.25}
.whisker{width:120px;height:14px;display:block}
.whisker .axis{stroke:#d5dae0;stroke-width:1}
.whisker .bar{stroke:var(--blue);stroke-width:2.5;opacity:.55}
.whisker circle{fill:var(--blue)}
.verdicts{list-style:none;padding:0;margin:.8em 0;font-size:.95rem}
.verdicts li{margin:.3em 0;display:flex;gap:.7em;align-items:baseline}
.yes span[aria-hidden]{color:#00745a}
.no span[aria-hidden]{color:#b04a00}
.open span[aria-hidden]{color:var(--muted)}
.tag{background:#e8ecf0;border-radius:3px;padding:1px 7px;font-size:.78rem;color:var(--muted);
white-space:nowrap}
.legend{display:flex;flex-wrap:wrap;gap:6px;margin:.6em 0}
.legend button,.player button{font:inherit;font-size:.86rem;color:inherit;background:#fff;
border:1px solid var(--line);border-radius:15px;padding:2px 11px 2px 7px;cursor:pointer;display:inline-flex;
align-items:center;gap:5px;min-height:30px}
.legend svg{width:14px;height:14px}
.legend button:hover,.player button:hover{border-color:#8a949e}
.legend button[aria-pressed=true]{background:var(--ink);color:#fff;border-color:var(--ink)}
.legend button[aria-pressed=true] small{color:#cfd5db}
:focus-visible{outline:2px solid var(--blue);outline-offset:2px}
.map{position:relative;border:1px solid var(--line);border-radius:6px;background:#fcfdfe}
.map svg{display:block;width:100%;height:auto;cursor:pointer;touch-action:manipulation}
.map use{opacity:.86;stroke:#fff;stroke-width:.6}
.map.single g[data-c] use{opacity:.07}
.map.single g.on use{opacity:.95}
#ring{fill:none;stroke:var(--ink);stroke-width:2}
#links{stroke:var(--ink);stroke-width:1.2;opacity:.75}
#tip{position:absolute;pointer-events:none;display:none;background:var(--ink);color:#fff;
font-size:.82rem;line-height:1.4;padding:6px 10px;border-radius:5px;max-width:min(320px,70%);z-index:2}
#tip b{display:block}
.player{border:1px solid var(--line);border-top:0;border-radius:0 0 6px 6px;padding:10px 14px;
min-height:58px;background:var(--soft)}
.player p{margin:.1em 0 .4em}
.clips{display:grid;grid-template-columns:repeat(auto-fill,minmax(240px,1fr));gap:20px}
.clip{margin:0;border:1px solid var(--line);border-radius:6px;padding:10px;display:flex;
flex-direction:column;gap:6px}
.clip img{width:100%;height:auto;display:block}
.clip figcaption{font-size:.88rem;line-height:1.4;flex:1}
.clip .name{display:block;color:var(--muted);font-size:.82rem;overflow-wrap:anywhere}
.clip .wrong{color:#9a3f00}
.clip .right{color:#00624c}
audio{width:100%;height:36px}
.figure svg{display:block;width:100%;height:auto;min-width:640px}
.figure.square svg{max-width:820px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:3px 18px;font-size:.9rem}
dt{color:var(--muted)}
dd{margin:0;overflow-wrap:anywhere}
code,pre{font:0.87em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
pre{background:var(--soft);border:1px solid var(--line);border-radius:6px;padding:12px;overflow-x:auto}
details{margin:1em 0}
summary{cursor:pointer;font-weight:600}
.protocols{font-size:.9rem;padding-left:1.2em}
.protocols li{margin:.4em 0}
@media(max-width:640px){main{padding:20px 14px 60px}h1{font-size:1.7rem}.clips{grid-template-columns:1fr}
.whisker{width:80px}dl{grid-template-columns:1fr}dd{margin-bottom:.4em}tbody th{min-width:8em}}
@media print{.player,.legend button[aria-pressed]{break-inside:avoid}audio{display:none}}
"""

# Of the map only: without it the page still shows every table, figure and player.
SCRIPT = """
(() => {
const $ = id => document.getElementById(id), D = JSON.parse($('data').textContent);
const plot = $('plot'), stage = $('stage'), tip = $('tip'), ring = $('ring');
const links = $('links'), player = $('player');
const sound = new Audio(); let single = -1;
const fit = () => {  // marks keep their size on a small screen
  const k = Math.min(2.2, Math.max(1, 700 / plot.clientWidth));
  plot.querySelectorAll('defs path').forEach(p => p.setAttribute('transform', 'scale(' + k + ')'));
  ring.setAttribute('r', 11 * k);
};
addEventListener('resize', fit); fit();
const nearest = e => {
  const box = plot.getBoundingClientRect(), k = 1000 / box.width;
  const x = (e.clientX - box.left) * k, y = (e.clientY - box.top) * k;
  let best = -1, least = (22 * k) ** 2;
  D.xy.forEach(([a, b], i) => {
    if (single >= 0 && D.label[i] !== single) return;
    const d = (a - x) ** 2 + (b - y) ** 2;
    if (d < least) { least = d; best = i; }
  });
  return best;
};
const guess = i => D.guess[i] < 0 ? '' : 'predicted ' + D.classes[D.guess[i]]
  + (D.classes[D.guess[i]] === D.labels[D.label[i]] ? ' \\u2713' : ' \\u2717');
const add = (parent, kind, text) => {
  const e = document.createElement(kind); e.textContent = text; parent.append(e); return e;
};
const mark = i => { ring.setAttribute('cx', D.xy[i][0]); ring.setAttribute('cy', D.xy[i][1]); };
const pick = i => {
  mark(i); links.replaceChildren();
  D.near[i].forEach(j => {
    const l = document.createElementNS('http://www.w3.org/2000/svg', 'line');
    const ends = {x1: D.xy[i][0], y1: D.xy[i][1], x2: D.xy[j][0], y2: D.xy[j][1]};
    Object.entries(ends).forEach(([a, v]) => l.setAttribute(a, v));
    links.append(l);
  });
  player.replaceChildren();
  const line = add(player, 'p', '');
  add(line, 'b', D.name[i]);
  line.append(': ' + D.what + ' ' + D.labels[D.label[i]] + (guess(i) ? ', ' + guess(i) : '')
    + (D.sound[i] ? '' : ' (its sound is not in this page)'));
  const row = add(player, 'div', ''); row.className = 'legend';
  const again = add(row, 'button', '\\u25b6 again'); again.onclick = () => play(i);
  const words = add(row, 'span', 'nearest:'); words.className = 'note';
  D.near[i].forEach(j => { const b = add(row, 'button', D.name[j]); b.onclick = () => { pick(j); }; });
  play(i);
};
const play = i => {
  if (!D.sound[i]) return;
  const kind = D.sound[i].startsWith('UklGR') ? 'wav' : 'mpeg';
  sound.src = 'data:audio/' + kind + ';base64,' + D.sound[i];
  sound.play().catch(() => {});
};
plot.addEventListener('pointermove', e => {
  const i = nearest(e);
  if (i < 0) { tip.style.display = 'none'; return; }
  mark(i); tip.replaceChildren(); add(tip, 'b', D.name[i]);
  tip.append(D.what + ' ' + D.labels[D.label[i]] + (guess(i) ? ', ' + guess(i) : ''));
  tip.style.display = 'block';
  const box = stage.getBoundingClientRect(), x = e.clientX - box.left, y = e.clientY - box.top;
  tip.style.left = Math.max(4, Math.min(x + 14, box.width - tip.offsetWidth - 6)) + 'px';
  tip.style.top = (y > tip.offsetHeight + 24 ? y - tip.offsetHeight - 14 : y + 18) + 'px';
});
plot.addEventListener('pointerleave', () => { tip.style.display = 'none'; });
plot.addEventListener('click', e => { const i = nearest(e); if (i >= 0) pick(i); });
$('legend').querySelectorAll('button').forEach(b => b.onclick = () => {
  const c = +b.dataset.c; single = single === c ? -1 : c;
  stage.classList.toggle('single', single >= 0);
  plot.querySelectorAll('g[data-c]').forEach(g => g.classList.toggle('on', +g.dataset.c === single));
  $('legend').querySelectorAll('button').forEach(o =>
    o.setAttribute('aria-pressed', +o.dataset.c === single));
});
})();
"""
