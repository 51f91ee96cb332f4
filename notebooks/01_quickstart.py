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
# # From recordings to a judged representation
#
# Listen to recorded notes and hits of 101 instruments, pretrain an encoder on them **without labels**, and find out
# whether that was better than not pretraining. Everything is in the package: no download, no account, no accelerator.
#
# As it stands the notebook trains for 100 steps, about two minutes on two CPU cores; `ssl-audio quickstart` in a
# terminal trains longer. Set the environment variable `SSL_AUDIO_TINY=1` to see in seconds that all of it works; its
# numbers then mean nothing.

# %%
import dataclasses
import os
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from IPython.display import Audio, display

from ssl_audio import config, pretrain
from ssl_audio.audio.build import build
from ssl_audio.audio.store import Store
from ssl_audio.datasets import gm_instruments
from ssl_audio.evaluate.judging import judge
from ssl_audio.evaluate.tasks import columns, find
from ssl_audio.explore import plots, project
from ssl_audio.quickstart import experiment

TINY = os.environ.get("SSL_AUDIO_TINY") == "1"
STEPS = 100
folder = Path(os.environ.get("SSL_AUDIO_RUNS") or mkdtemp())  # name a folder to resume from it later

# %% [markdown]
# ## The sounds
#
# A *store* holds decoded, resampled sound and its labels. `store[i]` is clip `i` as int16 samples.

# %%
clips = gm_instruments.clips()
if TINY:
    clips = clips[::6]
print(build(clips, folder / "store", title=gm_instruments.NAME))
store = Store(folder / "store")
family = store.values("family")


# %%
def listen(i):
    """Name, player and spectrogram of clip i."""
    print(store.name(i))
    display(Audio(store[i].astype(np.float32) / 2**15, rate=store.rate, normalize=False))
    display(plots.spectrogram(store[i], store.rate))


for name in ("piano", "reed", "drum_kit"):
    listen(int(np.flatnonzero(family == name)[0]))

# %% [markdown]
# ## Pretrain without labels
#
# Two random *views* are made of each clip (cropped, louder or softer, mixed with another clip, stretched in time and
# pitch). SimCLR trains the encoder to tell which views come from the same clip. The choices are a frozen dataclass:

# %%
chosen = dataclasses.replace(
    experiment,
    data=dataclasses.replace(experiment.data, store=str(folder / "store")),
    optim=dataclasses.replace(experiment.optim, steps=STEPS, warmup=10),
    watch_every=20,
)
if TINY:
    chosen = config.tiny(chosen)
chosen.method, chosen.encoder, chosen.views[0]

# %%
trained, graph, state = pretrain.run(chosen, folder / "run")

# %% [markdown]
# The loss should fall, and the embeddings' effective rank should stay well above 1: near 1 they have *collapsed*, that
# is, all sounds look alike to the encoder.

# %%
from ssl_audio.explore.page import metrics

plots.curves(metrics(folder / "run" / "metrics.jsonl"))

# %% [markdown]
# ## Was it worth it?
#
# Three systems embed the same clips: the pretrained encoder, the same encoder with random weights, and the mean and
# standard deviation of the log-mel spectrogram. A linear classifier on each predicts the instrument's family, on folds
# that keep all clips of an instrument on one side. Brackets are 95 % intervals, drawn over instruments.

# %%
embeddings, _, checkpoint = pretrain.systems(folder / "run", store)
task = find("gm/family")
labels, folds, groups, rows = columns(task, store)
records, outcomes = judge(task, labels, folds, groups, {k: x[rows] for k, x in embeddings.items()}, chosen.name)
pretrain.show(records)

# %% [markdown]
# The last lines are the paired differences to each floor. An interval that contains zero means: not shown to be better.

# %%
ours = outcomes[chosen.name]
found = plots.counts(labels[ours.tested], ours.predictions, ours.classes)
plots.confusion(found, ours.classes, "family")

# %% [markdown]
# ## A map of the sounds
#
# t-SNE puts clips near each other that the encoder finds alike. It never saw the labels that colour them here.
# Distances between far groups mean nothing.

# %%
x = embeddings[chosen.name]
plots.scatter(project.tsne(x, seed=0), family, "pretrained encoder, coloured by family")

# %% [markdown]
# ## Nearest neighbours, by ear
#
# Choose a clip and hear what the encoder takes for most alike.

# %%
query = int(np.flatnonzero(family == "strings")[0])
near = project.neighbours(x, 3)[query]
print("You asked for:")
listen(query)
print("Nearest:")
for i in near:
    listen(int(i))

# %% [markdown]
# ## Your own recordings
#
# ```
# ssl-audio store path/to/folder --out my_store
# ssl-audio train experiments/own_folder.py --data.store my_store
# ```
