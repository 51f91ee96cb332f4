"""What is in the clusters? A page to listen to: ways to cluster, how many clusters, and each one's middle."""

import csv
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int64, Shaped

from ssl_audio.disk import aside, write
from ssl_audio.embeddings import bar
from ssl_audio.evaluate.clusterings import WAYS, Clustering, Count, agreement, clusterings, counts, medoids
from ssl_audio.explore.page import document, section
from ssl_audio.explore.players import address, encoded, excerpt
from ssl_audio.explore.plots import choices, svg

SHOWN = "standardised, length 1"
"""The space whose k-means is listened to."""
STYLE = """
.ways{overflow-x:auto;font-size:.84rem}
.ways th,.ways td{white-space:nowrap;padding-right:1em;min-width:0;width:auto}
.clips{display:grid;grid-template-columns:repeat(auto-fill,minmax(15em,1fr));gap:8px 18px;margin:.4em 0 1.6em}
.clips figure{margin:0}
.clips audio{width:100%;height:30px}
.clips figcaption{font-size:.82rem;color:var(--muted);overflow-wrap:anywhere}
"""
MOST = 300
"""Sounds on a page, so that a browser opens it: with many clusters fewer of each."""
COLUMNS = ("NMI", "AMI", "ARI", "purity", "accuracy")


def clusters(
    x: Float[np.ndarray, "n d"],
    store: Any,
    out: Path,
    *,
    label: str = "",
    k: int | None = None,
    near: int = 5,
    seed: int = 0,
    title: str = "",
) -> tuple[list[Clustering], int]:
    """Cluster in several ways; write the page `out` and beside it the .csv of k-means' clusters.

    x: embeddings of the store's clips. label: a column of the store to compare with, or none. k: clusters;
    None: as many as labels, without labels the k of the highest silhouette. near: clips to hear of each
    cluster, fewer where that makes more than MOST. Returns the clusterings and k. ValueError: fewer than
    three clips, or more clusters than clips.
    """
    if len(x) < 3 or (k is not None and not 1 < k <= len(x)):
        raise ValueError(
            f"{len(x)} clips in {k or 'some'} clusters: give two clusters or more, and more clips"
        )
    labels = store.values(label) if label else None
    known = np.full(len(x), True) if labels is None else labels != ""
    if not known.any():
        raise ValueError(f"no clip has the label {label!r} filled in; leave it out, or name another column")
    with bar() as progress:
        progress.add_task("how many clusters", total=None)
        found = counts(x, seed=seed)
    if k is None:
        best = max(found, key=lambda c: -np.inf if np.isnan(c.silhouette) else c.silhouette)
        k = best.k if labels is None else len(np.unique(labels[known]))
        if k < 2:
            raise ValueError(f"all clips have one {label!r}, so there is nothing to compare with; give --k")
    ways = []
    with bar() as progress:
        job = progress.add_task("ways to cluster", total=WAYS)
        for way in clusterings(x, k, seed=seed):
            ways.append(way)
            progress.advance(job)
    shown = next(way for way in ways if way.space == SHOWN).found[0]
    body = [
        f"<h1>{escape(title or 'Clusters')}</h1>",
        f"<p>{len(x):,} clips, {x.shape[1]:,} dimensions, {k} clusters"
        + (f", as many as there are values of {escape(label)}" if labels is not None else "")
        + ("" if known.all() else f", which {known.sum():,} of the clips have")
        + ". Nothing was trained on labels.</p>",
        section("ways", "Ways to cluster", table(ways, labels)),
        section("number", "How many clusters?", number(found, k)),
        section("heard", "What is in them", heard(x, shown, store, labels, near)),
    ]
    write(out, document(title or "Clusters", body, STYLE))
    listed(out.with_suffix(".csv"), store, shown)
    return ways, k


def spread(values: Float[np.ndarray, " seeds"]) -> str:
    """'0.51 ± 0.02' over seeds, '0.51' of one."""
    return f"{values.mean():.3f}" + (f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else "")


def rows(
    ways: Sequence[Clustering], labels: Shaped[np.ndarray, " n"] | None, form: Callable = spread
) -> list[list[str]]:
    """A line a way: name, space, clusters, clips in none, silhouette, agreement with labels; `form` of what
    the seeds gave."""
    out = []
    for way in ways:
        cells = [
            way.name,
            way.space,
            f"{way.clusters:g}",
            f"{(way.found < 0).mean():.0%}",
            form(way.silhouette),
        ]
        if labels is not None:
            known = labels != ""
            each = [agreement(one[known], labels[known]) for one in way.found]
            cells += [form(np.array([e[name] for e in each])) for name in COLUMNS]
        out.append(cells)
    return out


def head(labels) -> list[str]:
    return ["", "space", "clusters", "in none", "silhouette", *(COLUMNS if labels is not None else ())]


def table(ways, labels) -> str:
    cell = lambda tag, text: f"<{tag}>{escape(text)}</{tag}>"
    line = lambda tag, cells: "<tr>" + "".join(cell(tag, c) for c in cells) + "</tr>"
    body = "\n".join(line("td", cells) for cells in rows(ways, labels))
    note = (
        "NMI (the V-measure is the same number), AMI and ARI are 1 where clusters are labels, the last two 0 "
        "by chance; accuracy is that of the best one-to-one matching. "
        if labels is not None
        else ""
    )
    lines = f"<table>{line('th', head(labels))}\n{body}</table>"
    return (
        f"<p>{note}Silhouette, -1 to 1, compares within one space only. k-means: mean ± deviation over "
        f'{len(ways[0].found)} seeds, 3 starts each.</p><div class="ways">{lines}</div>'
    )


def number(found: Sequence[Count], k: int) -> str:
    columns = [list(c) for c in zip(*found, strict=True)]
    best = {
        name: found[int(np.nanargmax(c))].k
        for name, c in zip(("silhouette", "BIC"), columns[1:], strict=True)
        if np.isfinite(c).any()  # embeddings that are all the same have no silhouette
    }
    said = (
        ", ".join(f"by {name} {value}" for name, value in best.items()) or "by nothing: no two clips differ"
    )
    alt = f"silhouette and BIC for 2 to {found[-1].k} clusters"
    return f"<p>Best {said}; {k} were taken.</p>" + svg(choices(*columns, k), alt)


def heard(x, shown: Int64[np.ndarray, " n"], store, labels, near: int) -> str:
    """Each cluster of k-means, the largest first: its size, its labels, and the clips nearest to its mean."""
    parts, many = [], len(np.unique(shown))
    found = medoids(x, shown, max(1, min(near, MOST // many)))
    if many > MOST:
        parts.append(f"<p>The {MOST} largest of {many:,} clusters; the .csv beside this page has all.</p>")
    for cluster, some in itertools.islice(found.items(), MOST):
        size = int((shown == cluster).sum())
        of = ""
        if labels is not None:
            most = Counter(labels[shown == cluster].tolist()).most_common(3)
            of = ": " + ", ".join(f"{escape(name or 'none')} ({n / size:.0%})" for name, n in most)
        clips = "".join(
            f'<figure><audio controls preload="none" src="{sound(store, int(i))}"></audio>'
            f"<figcaption>{escape(store.name(int(i)))}</figcaption></figure>"
            for i in some
        )
        parts.append(f'<h3>Cluster {cluster}, {size} clips{of}</h3><div class="clips">{clips}</div>')
    return "\n".join(parts)


def sound(store, i: int) -> str:
    return address(encoded(excerpt(store[i], store.rate, 2.0), store.rate))


def listed(path: Path, store, shown: Int64[np.ndarray, " n"]) -> None:
    """A table of names and clusters."""
    with aside(path) as beside, open(beside, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "cluster"])
        writer.writerows([store.name(i), int(c)] for i, c in enumerate(shown))
