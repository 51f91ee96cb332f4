"""A run's report.html: one self-contained page with tables, curves, a map of the sounds, and players."""

import contextlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int64, Shaped

from ssl_audio.evaluate.classes import ByClass
from ssl_audio.evaluate.folds import Outcome
from ssl_audio.explore import plots, project
from ssl_audio.explore.players import address, excerpt, recordings
from ssl_audio.report import METRICS, NAMES, difference, ordered, plain, seeds, sizes, unique, write

MOST_POINTS = 2000
"""Points of the map, at most."""
CSS, SCRIPT = (Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))


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
    file: str = "report.html",
) -> Path:
    """Write a page into a run, which needs nothing but itself: tables, map of the sounds, players and so on.

    result: as result.json ("records", "experiment", "seed", "versions", "hashes", ...). store, labels,
    embedding: of the same clips in the same order; labels are strings, "" for none, and `label` is what they
    are called. outcome: our system's linear probe, whose `tested` are rows of those. clips: how many get a
    player and a picture, and at most as many of the hardest, which were got wrong. Learning curves come from
    run/metrics.jsonl, if it is there. Returns the page's path. ValueError: the lengths differ.
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
    hard = hardest(outcome, clips)
    points = some(len(store), [*dict.fromkeys([*rows, *hard])], seed)
    sounds = recordings(store, points, [*rows, *hard])
    lines = metrics(run / "metrics.jsonl")
    records = result.get("records", [])
    name = result.get("experiment", {}).get("name", run.name)
    cards = lambda rows: clips_html(store, labels, predicted, outcome, rows, sounds)
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
        section("clips", "Listen", DRAWN.format(escape(label)) + cards(rows)),
        section("hardest", "Hardest clips", HARDEST.format(escape(label)) + cards(hard)) if hard else "",
        section("confusion", "Confusion matrix", confusion_html(labels, outcome, label)),
        section("classes", "Class by class", classes_html(labels, outcome, label)),
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
    write(run / file, text)
    return run / file


ONE_AT_A_TIME = """
document.addEventListener("play", event => {
  for (const e of document.querySelectorAll("audio")) if (e !== event.target) e.pause();
}, true);
"""


def document(title: str, body: list[str], style: str = "", script: str = "") -> str:
    """A page that needs nothing but itself, in the look of a run's report; one player plays at a time."""
    inline = "style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    policy = f"default-src 'none'; img-src data:; media-src data:; {inline}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{escape(title)} · ssl_audio</title>\n<style>{CSS}{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + f"\n</main>\n<script>{script}{ONE_AT_A_TIME}</script>\n</body>\n</html>\n"
    )


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
        f"{kind('encoder')} was pretrained by {kind('method')} "
        f"{'with the labels ' + data['label'] if data.get('label') else 'without any label'}: "
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
        f"<p class=alarm><strong>Collapse alarm</strong> at step {', '.join(steps[:8])}"
        f"{' and later' if len(steps) > 8 else ''}: the embeddings, or what is predicted, lay in one point "
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
        for system in unique(r["system"] for r in mine if not difference(r["metric"])):
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
            (r for r in mine if difference(r["metric"])), key=lambda r: not r.get("best_floor", False)
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


DRAWN = (
    "<p>Drawn at random, one a {} in turn; each was predicted by the linear probe while its group was held "
    "out.</p>"
)
HARDEST = (
    "<p>Those whose true {} the linear probe held least likely: sounds that are hard, or labels that are "
    "wrong.</p>"
)


def hardest(outcome: Outcome, clips: int) -> list[int]:
    """The clips that were got most wrong, worst first."""
    if outcome.certainty is None:
        return []
    order = np.argsort(outcome.certainty, kind="stable")
    return [int(outcome.tested[i]) for i in order[:clips] if not outcome.correct[i]]


def classes_html(labels, outcome: Outcome, label: str) -> str:
    """Precision, recall and F1 of each class, the worst first."""
    each = ByClass.of(outcome, labels, np.arange(len(labels)).astype(str))
    number = lambda value: "–" if np.isnan(value) else f"{value:.2f}"
    rows = [
        f"<tr><th scope=row>{escape(each.classes[c])}</th><td>{each.true[:, c].sum()}</td>"
        + "".join(f"<td>{number(m[c])}</td>" for m in (each.precision, each.recall, each.f1))
        + f"<td>{whisker(*3 * [float(np.nan_to_num(each.f1[c]))])}</td></tr>"
        for c in np.argsort(np.nan_to_num(each.f1), kind="stable")
    ]
    head = "".join(
        f"<th scope=col>{escape(t)}</th>" for t in (label, "clips", "precision", "recall", "F1", "")
    )
    return (
        "<p>By the linear probe on held-out folds, the worst first.</p><div class=wide><table><thead><tr>"
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def clips_html(store, labels, predicted, outcome, rows, sounds) -> str:
    """Players with spectrograms."""
    cards = []
    for i in rows:
        true, guess = str(labels[i]), outcome.classes[predicted[i]]
        heard = excerpt(store[i], store.rate, 5.0)
        seconds = len(heard) / store.rate
        picture = plots.png(plots.spectrogram(heard, store.rate), dpi=110)
        player = ""
        if i in sounds:  # else the page has no room for it
            name = escape(store.name(i))
            player = f'<audio controls preload=none src="{address(sounds[i])}" aria-label="{name}"></audio>'
        right = true == guess
        said = f"predicted <b>{escape(guess)}</b> {'✓' if right else '✗'}"
        cards.append(
            f'<figure class=clip><img src="{picture}" width=352 height=187 alt="Spectrogram of '
            f"{escape(store.name(i))}: "
            f"{seconds:.1f} s from left to right, 60 Hz to {store.rate / 2000:g} kHz from bottom to top, "
            f'louder is brighter.">'
            f"<figcaption><span class=name>{escape(store.name(i))}</span>"
            f"<span class={'right' if right else 'wrong'}>true "
            f"<b>{escape(true)}</b><br>{said}</span></figcaption>{player}</figure>"
        )
    return f"<div class=clips>{''.join(cards)}</div>"


def confusion_html(labels, outcome, label: str) -> str:
    found = plots.counts(labels[outcome.tested], outcome.predictions, outcome.classes)
    share = found / np.maximum(found.sum(1, keepdims=True), 1)
    off = np.where(np.eye(len(found), dtype=bool), 0, share)
    i, j = np.unravel_index(off.argmax(), off.shape)
    mistaken = f"{100 * off[i, j]:.0f} % of {outcome.classes[i]} for {outcome.classes[j]}"
    worst = f"the most frequent mistake takes {mistaken}" if off[i, j] else "there is no mistake"
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
