# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From a checkpoint to a paper's table
#
# Which numbers tell whether an encoder of sound is good, how sure are they, and what changes under another protocol?
# One encoder, pretrained for about two minutes on recorded instruments that are in the package, is judged in all the
# ways of this package. To judge your own, set `RUN` to a folder of `ssl-audio train`: it isn't trained again.
#
# Set the environment variable `SSL_AUDIO_TINY=1` to see in seconds that all of it works; its numbers mean nothing.

# %%
import dataclasses
import os
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from IPython.display import Audio, Markdown, display

from ssl_audio import config, pretrain, report
from ssl_audio.audio.build import build
from ssl_audio.audio.store import Store
from ssl_audio.card import card
from ssl_audio.datasets import gm_instruments
from ssl_audio.embed import embed
from ssl_audio.evaluate import classes, cluster, clusterings, fewshot, geometry, protocols, stats
from ssl_audio.evaluate.judging import judge
from ssl_audio.evaluate.tasks import columns, find
from ssl_audio.explore import plots
from ssl_audio.quickstart import experiment

TINY = os.environ.get("SSL_AUDIO_TINY") == "1"
folder = Path(os.environ.get("SSL_AUDIO_RUNS") or mkdtemp())  # name a folder to resume from it later
RUN = folder / "evaluated"

# %%
clips = gm_instruments.clips()
print(build(clips[::6] if TINY else clips, folder / "store", title=gm_instruments.NAME))
store = Store(folder / "store")
chosen = dataclasses.replace(
    experiment,
    data=dataclasses.replace(experiment.data, store=str(folder / "store")),
    optim=dataclasses.replace(experiment.optim, steps=100, warmup=10),
)
if RUN.parent == folder:
    pretrain.run(config.tiny(chosen) if TINY else chosen, RUN)
trained = config.load_run(RUN)

# %% [markdown]
# ## Embeddings, once
#
# They are computed once for a checkpoint and a store, and kept beside the checkpoint. The twin with random weights and
# the log-mel spectrogram's mean and deviation are the floors: what needs no pretraining.

# %%
systems, _, checkpoint = pretrain.systems(RUN, store)
frames = embed(RUN, store, "frames")  # also a vector a time step, with its time
print({name: x.shape for name, x in systems.items()}, f"{len(frames.x):,} frames")

# %% [markdown]
# ## A number and how sure it is
#
# Folds keep all clips of an instrument on one side, or the probe would know instruments again. Intervals are drawn over
# instruments, not over clips, since clips of one instrument say nearly the same. C of the linear probe is chosen
# within the training folds.

# %%
task = find("gm/family")
labels, folds, groups, rows = columns(task, store)
systems = {name: x[rows] for name, x in systems.items()}
more = ("ridge", "few-shot", "retrieval") if not TINY else ()
records, outcomes = judge(task, labels, folds, groups, systems, trained.name, extra={"model": checkpoint}, more=more)
pretrain.show(records)

# %% [markdown]
# The last lines compare clip by clip with each floor. An interval that contains zero means: not shown to be better.
# The same says the permutation test, which changes the signs of whole instruments:

# %%
tested = outcomes[trained.name].tested
right = {name: out.correct for name, out in outcomes.items()}
floors = [name for name in outcomes if name != trained.name]
p = [stats.permutation(right[trained.name], right[name], groups[tested]) for name in floors]
for name, one, adjusted in zip(floors, p, stats.holm(np.array(p)), strict=True):
    print(f"{trained.name} against {name}: p = {one:.4f}, of {len(floors)} tests at once (Holm) {adjusted:.4f}")

# %% [markdown]
# ## Class by class
#
# Families have unequal numbers of clips, so beside accuracy stand the averages over classes.

# %%
ours = outcomes[trained.name]
each = classes.ByClass.of(ours, labels, groups)
intervals = each.ci95()
for name, value in each.averages.items():
    print(f"{name}: {value:.3f} [{intervals[name][0]:.3f}, {intervals[name][1]:.3f}]")
plots.confusion(plots.counts(labels[ours.tested], ours.predictions, ours.classes), ours.classes, "family")

# %% [markdown]
# ## The hardest clips, by ear
#
# Those whose true family the probe held least likely. Is the encoder deaf to something, or is the label odd?


# %%
def listen(i):
    """Name, player and spectrogram of clip i."""
    print(store.name(i), "is", labels[np.flatnonzero(rows == i)[0]])
    display(Audio(store[i].astype(np.float32) / 2**15, rate=store.rate, normalize=False))
    display(plots.spectrogram(store[i], store.rate))


for place in np.argsort(ours.certainty)[:2]:
    print("taken for", ours.predictions[place])
    listen(int(rows[ours.tested[place]]))

# %% [markdown]
# ## The same embeddings under published protocols
#
# HEAR's and X-ARES's programs have faults that move numbers: X-ARES, for one, keeps the epoch that is best on the very
# fold that it tests. `compat` does what they do, `strict` mends it; a record always says which.

# %%
kinds = ("x-ares", "x-ares-strict") if TINY else ("hear", "hear-strict", "x-ares", "x-ares-strict")
print(f"{'linear probe':>14} {right[trained.name].mean():.3f}")
for kind in kinds:
    out = protocols.classed(kind, systems[trained.name], labels, folds, groups)
    low, high = stats.bootstrap(out.correct, groups[out.tested])
    print(f"{kind:>14} {out.correct.mean():.3f} [{low:.3f}, {high:.3f}]")

# %% [markdown]
# ## Few labels
#
# Many small tasks of five families, each shown by few clips; other instruments are asked about.

# %%
if not TINY:
    for shots in (1, 5, 10):
        found = {n: fewshot.episodes(x, labels, groups, shots=shots, count=200) for n, x in systems.items()}
        print(f"{shots:>2} clips a family:", {n: round(few.metrics["accuracy"], 3) for n, few in found.items()})

# %% [markdown]
# ## No labels: clusters
#
# k-means with as many clusters as families. Accuracy is that of the best pairing of clusters with families; five
# seeds.

# %%
for name, x in systems.items():
    found = cluster.probe(x, labels, folds, groups)
    print(f"{name:>12}", {metric: f"{v:.3f} ± {found.spread[metric]:.3f}" for metric, v in found.metrics.items()})

# %% [markdown]
# What is in a cluster? The clip nearest to its middle, to hear:

# %%
x = systems[trained.name]
k_means = next(iter(clusterings.clusterings(x, 8, seeds=1)))
middle = clusterings.medoids(x, k_means.found[0], 1)
for number, near in list(middle.items())[:2]:  # the two largest
    names, counts = np.unique(labels[k_means.found[0] == number], return_counts=True)
    print(f"cluster {number}: {counts.sum()} clips,", dict(zip(names.tolist(), counts.tolist(), strict=True)))
    listen(int(rows[near[0]]))

# %% [markdown]
# ## The shape of the cloud
#
# Without labels, too: how many directions do the embeddings use (RankMe), how evenly do they fill the sphere
# (uniformity; -4 is even, 0 a point), and how far has pretraining moved them from random weights (CKA; 1 is not at
# all)?

# %%
for name, x in systems.items():
    shape = {f.__name__: round(f(x), 2) for f in (geometry.rankme, geometry.uniformity, geometry.intrinsic_dimension)}
    print(f"{name:>12}", shape, "CKA with random weights", round(geometry.cka(x, systems["random"]), 2))

# %% [markdown]
# ## The table, and a card for whoever gets the checkpoint
#
# Records are kept with all they need to be believed: protocol, hashes of data, weights and code, seed, interval.

# %%
report.append(folder / "results" / f"{trained.name}.json", records)
display(Markdown(report.summary(folder / "results")))

# %%
print(card(RUN, folder / "results").read_text()[:1500])

# %% [markdown]
# The same from a terminal:
#
# ```
# ssl-audio evaluate RUN --tasks gm/family --more ridge few-shot hear hear-strict --page
# ssl-audio compare RUN OTHER --tasks gm/family gm/octave
# ssl-audio clusters RUN --store STORE --label family
# ssl-audio card RUN
# ```
