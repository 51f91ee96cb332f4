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
# # A new method in one file
#
# From an idea in a paper to a method that trains, is watched for collapse, and keeps the project's contracts. The idea:
#
# > T. Wang and P. Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity on the
# > Hypersphere", 2020.
#
# Embeddings of length 1 lie on a sphere. Contrastive learning, they find, does two things there. **Alignment**: two
# views of a clip come to lie close together. **Uniformity**: all clips spread evenly over the sphere. So why not
# minimise just these two,
#
# $$ E\,\|x - y\|^2 \;+\; \log E\, e^{-t \|x - x'\|^2}, $$
#
# where $x$, $y$ are two views of a clip and $x$, $x'$ views of different clips?
#
# All happens in a copy of the package, so the project stays as it is. Three trainings, about a minute each. Set the
# environment variable `SSL_AUDIO_TINY=1` for a short form that runs in seconds; its numbers mean nothing.

# %%
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

TINY = os.environ.get("SSL_AUDIO_TINY") == "1"
folder = Path(os.environ.get("SSL_AUDIO_RUNS") or mkdtemp())  # name a folder to resume from it later

installed = Path(importlib.util.find_spec("ssl_audio").origin).parents[1]
places = [installed, *Path.cwd().resolve().parents]  # the project's folder, if there is one
project_folder = next((p for p in places if (p / "tests" / "test_contracts.py").is_file()), None)
copy = folder / "copy"
shutil.rmtree(copy, ignore_errors=True)
skip = shutil.ignore_patterns("__pycache__")
shutil.copytree(installed / "ssl_audio", copy / "ssl_audio", ignore=skip)
if project_folder is None:
    print("no tests/ beside the package: the last part will be skipped; clone the project to have it")
else:
    shutil.copytree(project_folder / "tests", copy / "tests", ignore=skip)
    shutil.copy(project_folder / "pyproject.toml", copy)
assert "ssl_audio" not in sys.modules, "restart the kernel: the package of before is still loaded"
sys.path.insert(0, str(copy))  # from here on `import ssl_audio` takes the copy

# %% [markdown]
# ## The file
#
# A method is a frozen dataclass of hyper-parameters with four functions.
#
# - `build(encoder, rngs)`: the encoder and whatever is trained beside it. Here a projector, as SimCLR has.
# - `loss(net, views, batch, key)`: a scalar, and scalars for the log. Views are spectrograms `[clips, frames, bands]`.
# - `after(net, step)`: moves what the optimiser doesn't. Here nothing.
# - `encoder(net)`: what is kept and judged.
#
# It is never asked on how many devices it runs: the batch it sees is the whole one. Pairwise distances are a matrix
# product, since on a sphere $\|x - y\|^2 = 2 - 2 x \cdot y$. And it logs `target_std`, the spread of what the loss
# compares: the collapse alarm watches that too.

# %%
FILE = '''"""Alignment and uniformity: views of a clip lie close together, clips spread over the sphere."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import nnx

from ssl_audio.encoders.layers import MLP
from ssl_audio.losses import spread, unit


@dataclasses.dataclass(frozen=True)
class AlignUniform:
    """Two views of a clip attract, every two clips repel each other. Two views.

    Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity on the
    Hypersphere", 2020.
    """

    push: float = 1.0
    """Weight of uniformity, where alignment has 1. With 0 all clips collapse into one point."""
    sharpness: float = 2.0
    """t of the paper: the larger, the less far clips repel each other."""
    hidden: int = 512
    width: int = 128
    """Size of the projection that the loss compares; it is thrown away after training."""

    def build(self, encoder, *, rngs):
        return nnx.Dict(encoder=encoder, project=MLP(encoder.width, self.hidden, self.width, rngs=rngs))

    def loss(self, net, views, batch, key):
        x = net.project(net.encoder.embed(jnp.concatenate(views), key=key)).astype(jnp.float32)
        a, b = jnp.split(unit(x), 2)
        align = jnp.mean(jnp.sum((a - b) ** 2, -1))
        uniform = (self.uniformity(a) + self.uniformity(b)) / 2
        return align + self.push * uniform, {"align": align, "uniform": uniform, "target_std": spread(x)}

    def uniformity(self, x):
        """Logarithm of the mean of exp(-t distance^2) over pairs of different rows: 0 for one point."""
        n = len(x)
        closeness = -self.sharpness * (2 - 2 * x @ x.T)
        closeness = jnp.where(jnp.eye(n, dtype=bool), -jnp.inf, closeness)
        return jax.nn.logsumexp(closeness) - math.log(n * (n - 1))

    def after(self, net, step):
        pass

    def encoder(self, net):
        return net.encoder
'''

methods = copy / "ssl_audio" / "methods"
written = (methods / "align_uniform.py").write_text(FILE)
# its name among the others: one line of import, one of __all__
text = (methods / "__init__.py").read_text()
line = "from ssl_audio.methods.align_uniform import AlignUniform\n"
text = text.replace("from ssl_audio.methods.apc", line + "from ssl_audio.methods.apc", 1)
written = (methods / "__init__.py").write_text(text.replace("__all__ = [\n", '__all__ = [\n    "AlignUniform",\n', 1))

# %% [markdown]
# Before it trains, closed forms: points that should give a known value. Two opposite points are 2 apart, so with t = 2
# their uniformity is -2 · 2² = -8. Any number of equal points have 0, which is the worst.

# %%
import dataclasses

import jax.numpy as jnp
import numpy as np
from IPython.display import Audio, display

from ssl_audio import config, pretrain, quickstart
from ssl_audio.audio.build import build
from ssl_audio.audio.store import Store
from ssl_audio.datasets import gm_instruments
from ssl_audio.explore import plots, project
from ssl_audio.explore.page import metrics
from ssl_audio.methods import AlignUniform, SimCLR

for what, points in {"opposite": [[1.0, 0.0], [-1.0, 0.0]], "equal": [[0.6, 0.8], [0.6, 0.8]]}.items():
    print(what, float(AlignUniform().uniformity(jnp.array(points))))

# %% [markdown]
# ## Train it, beside SimCLR
#
# On recorded notes and hits of 101 instruments, without labels: the quickstart's encoder and views, and only the
# method exchanged. The third run is broken on purpose: no uniformity. Its loss has a perfect answer that needs no
# listening: put everything in one point.

# %%
clips = gm_instruments.clips()
if TINY:
    clips = clips[::6]
print(build(clips, folder / "store", title=gm_instruments.NAME))
store = Store(folder / "store")

tried = {
    "SimCLR": SimCLR(),
    "AlignUniform": AlignUniform(),
    "no uniformity": AlignUniform(push=0.0),
}
results = {}
for name, method in tried.items():
    chosen = dataclasses.replace(
        quickstart.experiment,
        name=name,
        method=method,
        data=dataclasses.replace(quickstart.experiment.data, store=str(folder / "store"), batch=64),
        optim=dataclasses.replace(quickstart.experiment.optim, steps=80, rate=2e-3, warmup=8),
        watch_every=10,
        save_every=80,
        log_every=2,
    )
    if TINY:
        chosen = config.tiny(chosen)
    print(name)
    results[name] = pretrain.run(chosen, folder / name.replace(" ", "_"))

# %% [markdown]
# ## Has it collapsed?
#
# A falling loss proves nothing here: the broken run's falls best of all. What to look at:
#
# - **spread**, 1 for points all over the sphere and 0 for a single one: of the embeddings, and of what the loss
#   compares;
# - **effective rank**, how many directions the embeddings use; near 1 they lie on a line;
# - **online kNN**, whether a clip's nearest neighbours are of its instrument family; labels serve this look only.
#
# A red line is an alarm: the embeddings' spread below 0.05, the other below 0.1, or a rank below 2. Behind a dead
# projection the encoder may still look alive for long, so watch both spreads.

# %%
runs = {name: metrics(folder / name.replace(" ", "_") / "metrics.jsonl") for name in tried}
for name, lines in runs.items():
    looks = [line for line in lines if "collapse" in line]
    alarms = [line["step"] for line in looks if line["collapse"]]
    print(f"{name:14} last kNN {looks[-1]['online_knn']:.2f}, alarms at steps {alarms or 'none'}")
plots.comparison(runs)

# %% [markdown]
# The two terms themselves, of the runs that log them: how far apart the views of a clip are, and how evenly all clips
# are spread (the lower the more; for points drawn evenly on a sphere of many dimensions it is close to -4).

# %%
figure = plots.figure(9.0, 2.6)
for ax, term in zip(figure.subplots(1, 2), ("align", "uniform"), strict=True):
    for i, name in enumerate(list(tried)[1:]):
        ax.plot(*plots.series(runs[name], term), color=plots.COLOURS[i], ls=("-", "--")[i], label=name)
    ax.set_title(term, loc="left")
    ax.set_xlabel("step")
ax.legend()
figure

# %% [markdown]
# And by ear: a clip, and what the new method's encoder takes for most alike.

# %%
embeddings, _, _ = pretrain.systems(folder / "AlignUniform", store)
query = int(np.flatnonzero(store.values("family") == "strings")[0])
for i in [query, *project.neighbours(embeddings["AlignUniform"], 3)[query]]:
    print("you asked for:" if i == query else "near:", store.name(i))
    display(Audio(store[int(i)].astype(np.float32) / 2**15, rate=store.rate, normalize=False))

# %% [markdown]
# ## The contracts
#
# `tests/test_contracts.py` walks through `ssl_audio/methods/` and finds the new class by itself. It trains it on six
# tones, and asks of it what every method has to keep: the loss falls; one compilation; a gradient at every
# trained number and at no teacher's; eight devices draw the curve that one draws; everything stays float32;
# its choices go to JSON and back. With an unusual encoder or number of views it would need a line in `tests/toys.py`.

# %%
suite = "AlignUniform" + (" and (hyperparameters or json)" if TINY else "")
command = [sys.executable, "-m", "pytest", "-n0", "-v", "tests/test_contracts.py", "-k", suite]
if project_folder is None:
    print("skipped: no tests/ beside the package")
elif importlib.util.find_spec("pytest") is None:
    print("skipped: pytest isn't installed; pip install 'ssl-audio[test]'")
else:
    done = subprocess.run(
        command, cwd=copy, env=os.environ | {"PYTHONPATH": str(copy)}, capture_output=True, text=True
    )
    print(done.stdout[-4000:], done.stderr[-1000:])
    assert done.returncode == 0, "a contract is broken"

# %% [markdown]
# A loss that may be negative, such as this one, passes "the loss falls by a tenth" more easily than one that ends at
# zero. Such a method wants a test of its own: does the uniformity fall, does the spread stay?
#
# ## What a method may hold
#
# - **Fields**: numbers, strings, truth values and tuples of them, never arrays. They go into `experiment.json`.
# - **`nnx.Param`**: what the optimiser moves.
# - Parameters under a name that contains **`teacher`**: no gradient; `after` moves them (BYOL-A).
# - Arrays of **another `nnx.Variable` type**: queues, centres, codebooks (MoCo, VQAutoencoder). `loss`, `after` and
#   `refit` write them in place.
# - **`refits`, `gather`, `refit`**, if now and then it has to look at many clips at once (HuBERT, DeepCluster).
# - No clock, no random numbers but from `key`, no data, no other method. Twenty lines repeated are better than a base
#   class for two.
#
# ## To add it to the project
#
# 1. `ssl_audio/methods/<name>.py`, 180 lines at most: the paper's name on it, deviations told, what each field means
#    and its unit; errors that say what to give instead.
# 2. Its two lines in `ssl_audio/methods/__init__.py`.
# 3. `tests/methods/test_<name>.py`: closed forms and invariances, as above; and that the broken variant raises the
#    alarm. See each test fail once.
# 4. A line in `tests/toys.py` if the contracts don't find by themselves how to build it.
# 5. `experiments/<name>.py`, the paper's recipe, its published number and yours; a line in `experiments/methods.py`,
#    so that `ssl-audio bench` compares it.
# 6. `pytest`, and what did not work into `results/LOG.md`.
