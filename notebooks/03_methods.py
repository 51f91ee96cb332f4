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
# # One clip through each pretext task
#
# Self-supervised learning sets a network a task whose answer is in the sound itself, so that nobody need label
# anything. The task is a *pretext*: what is wanted is the encoder that has to understand sound to solve it. Here one
# note of a harpsichord goes through each family of tasks. See what the network sees, hear it where that can be heard,
# and see what it is asked for.
#
# Networks train for about a minute each, on recordings that are in the package: enough to see each task at work,
# far too little for good embeddings. Set the environment variable `SSL_AUDIO_TINY=1` for a short form that shows in
# seconds that all of it runs; its networks have learnt nothing.

# %%
import os
from pathlib import Path
from tempfile import mkdtemp

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from IPython.display import Audio, display

from ssl_audio import config, pretrain
from ssl_audio.audio.build import build
from ssl_audio.audio.store import Store
from ssl_audio.config import Data, Experiment, View
from ssl_audio.datasets import gm_instruments
from ssl_audio.encoders import GRU, ViT
from ssl_audio.encoders.layers import patches, positions, sincos
from ssl_audio.explore import plots, project
from ssl_audio.losses import unit
from ssl_audio.methods import APC, MAE, BEATs, Data2Vec, VQAutoencoder
from ssl_audio.optim import Optim
from ssl_audio.quantise import kmeans, nearest, perplexity
from ssl_audio.signal import cepstrum, kaldi, masking, spectrum
from ssl_audio.signal.augment import Crop, Gain, MixupLogExp, Noise, RandomResizeCrop
from ssl_audio.signal.frontend import LogMel
from ssl_audio.signal.room import Reverb

TINY = os.environ.get("SSL_AUDIO_TINY") == "1"
RATE, SECONDS = 16_000, 2.0
CLIP = "0747"  # number of the recording
folder = Path(os.environ.get("SSL_AUDIO_RUNS") or mkdtemp())  # name a folder to resume from it later

# %% [markdown]
# ## The clip, and the others
#
# All recordings, repeated up to two seconds. What the networks see is the log-mel spectrogram: 101 frames, 20 ms
# apart, of 64 bands, normalised over all recordings. Transformers see it cut into *patches* of 4 frames x 8 bands.

# %%
clips = [clip for i, clip in enumerate(gm_instruments.clips()) if not TINY or i % 6 == 0 or clip.path.stem == CLIP]
print(build(clips, folder / "store", title=gm_instruments.NAME))
store = Store(folder / "store")
here = next(i for i in range(len(store)) if store.name(i).endswith(CLIP))
waves = np.stack([np.resize(store[i], round(SECONDS * RATE)) for i in range(len(store))]).astype(np.float32) / 2**15
frontend = LogMel(rate=RATE, hop=320, floor=1e-5).fit(waves, samples=waves.shape[1])
FRAME, PATCH, BANDS = frontend.hop / RATE, (4, 8), frontend.mels


def each(function, x, size=64):
    """A function of batches, over all rows."""
    function = jax.jit(function)
    return np.concatenate([np.asarray(function(x[i : i + size])) for i in range(0, len(x), size)])


specs = each(frontend, waves)
wave, spec = waves[here], specs[here]
GRID = (spec.shape[0] // PATCH[0], BANDS // PATCH[1])  # time steps, columns


def hear(sound, what=""):
    """A player; the level stays as it is."""
    if what:
        print(what)
    display(Audio(np.clip(np.asarray(sound), -1, 1), rate=RATE, normalize=False))


def draw(panels, width=7.0, height=1.5, columns=1, low=None, high=None):
    """Spectrograms [frames, bands] by title; (spectrogram, hidden) greys the hidden patches out; a strip of
    whole numbers [frames] or colours [time, columns, 3] is drawn as it is."""
    low, high = specs.min() if low is None else low, specs.max() if high is None else high
    lines = -(-len(panels) // columns)
    strips = [not isinstance(p, tuple) and np.ndim(p) == 1 for p in panels.values()]
    heights = [0.35 if columns == 1 and strips[i] else 1.0 for i in range(lines)]
    figure = plots.figure(width, height * sum(heights) + 0.3)
    axes = figure.subplots(lines, columns, squeeze=False, height_ratios=heights).ravel()
    for ax, (title, panel) in zip(axes, panels.items(), strict=False):
        panel, hidden = panel if isinstance(panel, tuple) else (panel, None)
        panel = np.asarray(panel)
        seconds = len(panel) * FRAME * (PATCH[0] if panel.ndim == 3 else 1)
        look = {"origin": "lower", "aspect": "auto", "extent": (0, seconds, 0, BANDS)}
        if panel.ndim == 1:
            ax.imshow(panel[None], cmap="tab20", interpolation="nearest", **look)
        elif panel.ndim == 3:
            ax.imshow(panel.swapaxes(0, 1), interpolation="nearest", **look)
        else:
            ax.imshow(panel.T, cmap="magma", vmin=low, vmax=high, **look)
        if hidden is not None:
            grey = np.kron(np.reshape(hidden, GRID), np.ones(PATCH)).T
            look["extent"] = (0, grey.shape[1] * FRAME, 0, BANDS)
            ax.imshow(np.where(grey, 0.75, np.nan), cmap="gray", vmin=0, vmax=1, interpolation="nearest", **look)
        ax.set_title(title, loc="left", fontsize=9)
        ax.set_xlim(0, seconds)
        ax.set_yticks([])
        ax.grid(False)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    for ax in axes[: len(panels)][:-columns]:
        ax.set_xticklabels([])
    for ax in axes[: len(panels)][-columns:]:
        ax.set_xlabel("seconds")
    return figure


hear(wave, store.name(here))
draw({"log-mel spectrogram": spec})

# %% [markdown]
# ## Two views: what stays the same?
#
# A *view* is the clip, changed at random: another stretch of it, louder or softer, in noise, in a room; and in the
# spectrogram, mixed with another clip, moved and stretched in time and pitch. **Contrastive** methods (SimCLR, COLA,
# MoCo) ask: which of these views is of the same clip as this one? **BYOL-A**, SimSiam and their kin only ask to predict
# the embedding of one view from the other. Barlow Twins and VICReg ask the two to be alike, and the parts of an
# embedding to tell different things. Whatever the changes alter, the encoder learns to ignore: choose them so
# that what you care about survives.

# %%
view = View(
    wave=(Crop(20_480), Gain(6.0), Noise((10.0, 40.0)), Reverb((0.1, 0.5), (3.0, 15.0))),
    spec=(MixupLogExp(0.2), RandomResizeCrop(canvas=(1.5, 1.5))),
)


@jax.jit
def change(key, waves):
    """A view of each wave, and on the way there the wave that the frontend gets."""
    heard = []
    seen = view(key, waves, frontend=lambda x: heard.append(x) or frontend(x))
    return heard[0], frontend(heard[0]), seen


few = np.concatenate([[here], np.linspace(0, len(store) - 1, 11).astype(int)])  # our clip and eleven others
pair = []
for i in range(2):
    heard, plain, seen = (np.asarray(x) for x in change(jax.random.key(i + 1), waves[few]))
    pair.append(seen)
    hear(heard[0], f"view {i + 1}: its wave, and below what the encoder sees")
    display(draw({"its log-mel": plain[0], "mixed, moved and stretched": seen[0]}, columns=2))

# %% [markdown]
# What a contrastive method is asked, for twelve clips: each row is the first view of a clip, each column the second
# view of one. The right answer is the diagonal. Here spectrograms themselves are compared, averaged over time; an
# encoder has to do better.

# %%
a, b = (x.mean(1) - x.mean((0, 1)) for x in pair)
alike = a @ b.T / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)
figure = plots.figure(4.2, 3.4)
ax = figure.add_subplot()
figure.colorbar(ax.imshow(alike, cmap="RdBu_r", vmin=-1, vmax=1), label="cosine")
ax.grid(False)
ax.set_xlabel("second view of clip")
ax.set_ylabel("first view of clip")
print(f"{np.mean(alike.argmax(1) == np.arange(len(alike))):.0%} of the first views find their partner")
figure

# %% [markdown]
# ## Masks: what is behind it?
#
# **Masked** methods hide a part and ask for it. How it is hidden sets how hard that is. Single patches can be filled
# in from their neighbours, so most of them have to be hidden; blocks and spans are harder. Grey is hidden.

# %%
key, n = jax.random.key(3), GRID[0] * GRID[1]


@jax.jit
def draws(key):
    """For one clip: places of the hidden tokens, or of hidden time steps; or rectangles as truth values."""
    return {
        "random, 75 % (MAE)": masking.random_mask(key, 1, n, n // 4)[1],
        "blocks, 60 % (data2vec 2.0)": masking.block_mask(key, 1, GRID, round(0.4 * n), 3)[1],
        "all but blocks, 80 % (EAT)": masking.inverse_block_mask(key, 1, GRID, n // 5, 5)[1],
        "spans in time (wav2vec 2.0, HuBERT, data2vec)": masking.span_mask(key, 1, GRID[0], 0.65, 5)[1],
        "four rectangles to predict (I-JEPA)": masking.rectangles(key, 1, GRID, 4).any(1),
    }


masks = {}
for title, drawn in draws(key).items():
    drawn = np.asarray(drawn)[0]
    if drawn.dtype != bool:
        drawn = np.isin(np.arange(GRID[0] if "time" in title else n), drawn)
    masks[title] = np.repeat(drawn, n // len(drawn))
draw({"nothing": spec} | {title: (spec, hidden) for title, hidden in masks.items()}, 8.0, columns=2)

# %% [markdown]
# ## A masked autoencoder: paint what is hidden
#
# The encoder, a transformer, sees a quarter of the patches. A small decoder gets its tokens, an empty one at each
# hidden place, and paints the spectrogram there. `pretrain.run` trains any method:


# %%
def train(name, method, encoder=ViT(width=96, depth=3, heads=4, patch=PATCH), steps=120, batch=64):
    """A method, and its network after so many steps on all the recordings."""
    chosen = Experiment(
        name=name, method=method, encoder=encoder, views=(View(),), frontend=frontend,
        data=Data(store=str(folder / "store"), seconds=SECONDS, batch=batch),
        optim=Optim(steps=steps, rate=2e-3, warmup=10, decay=1e-4, clip=1.0),
        watch_every=steps // 2, save_every=steps,
    )  # fmt: skip
    if TINY:
        chosen = config.tiny(chosen)
    chosen, graph, state = pretrain.run(chosen, folder / name)
    return chosen.method, nnx.merge(graph, state.params, state.frozen, state.rest)


mae, net = train("mae", MAE(hide=0.75, width=96, depth=2, heads=4, normalise=False))


# %%
def unpatch(x):
    """Patches [n, p] put together again: the inverse of `patches`."""
    return np.asarray(x).reshape(*GRID, *PATCH).transpose(0, 2, 1, 3).reshape(-1, BANDS)


@jax.jit
def paint(spec, key):
    """What the decoder makes of every patch, and which patches were hidden; as in methods/mae.py."""
    keep, hidden, restore = masking.random_mask(key, 1, n, n - round(mae.hide * n))
    x = net.enter(net.encoder(spec[None], keep=keep))
    empty = jnp.broadcast_to(net.token[...], (1, hidden.shape[1], mae.width))
    x = jnp.take_along_axis(jnp.concatenate([x, empty], 1), restore[..., None], 1)
    x = x + sincos(positions(*spec.shape, PATCH), mae.width)
    for block in net.blocks:
        x = block(x)
    return net.out(net.norm(x))[0], hidden[0]


painted, places = paint(spec, key)
hidden = np.isin(np.arange(n), np.asarray(places))
cells = np.kron(hidden.reshape(GRID), np.ones(PATCH)) > 0
whole = spec[: GRID[0] * PATCH[0]]
both = np.where(cells, unpatch(painted), whole)
draw({"the clip": whole, "what the encoder sees": (whole, hidden), "with the hidden patches painted": both})

# %% [markdown]
# To hear it, energies are spread from the 64 bands over the 513 frequencies (the mel filters' pseudo-inverse), and
# phases that fit are sought: Griffin and Lim's algorithm. The clip goes through that too, for a fair comparison: what
# the spectrogram has lost nobody can paint.


# %%
@jax.jit
def griffin_lim(size, x, rounds=50):
    """From a wave x to one whose spectrum has the magnitudes `size`, as nearly as there is one."""
    sizes = {"n_fft": frontend.n_fft, "hop": frontend.hop}

    def better(_, x):
        s = spectrum.stft(x, **sizes)
        return spectrum.istft(size * s / jnp.maximum(jnp.abs(s), 1e-9), **sizes)

    return jax.lax.fori_loop(0, rounds, better, x)


def sound(spec):
    """A wave whose log-mel is close to the normalised one [frames, bands]."""
    energy = np.maximum(np.exp(np.asarray(spec) * frontend.std + frontend.mean) - frontend.floor, 0)
    size = np.sqrt(np.maximum(energy @ np.linalg.pinv(frontend.filters()), 0)).astype(np.float32)
    noise = np.random.default_rng(0).standard_normal((len(spec) - 1) * frontend.hop)
    return griffin_lim(size, noise.astype(np.float32))


hear(wave, "the recording")
hear(sound(whole), "out of its spectrogram")
hear(sound(np.where(cells, specs.min(), whole)), "what the encoder sees")
hear(sound(both), "with the hidden patches painted")

# %% [markdown]
# ## Codes: say it with few words
#
# An **autoencoder** has to get everything through a bottleneck. In a VQ autoencoder that is a vocabulary: each token
# is replaced by the nearest of 64 *codes*, and the decoder sees nothing else. Below, a colour is a code (neighbours
# in the numbering mean nothing, and colours repeat).

# %%
vq, net = train("vq", VQAutoencoder(codes=64, code=16, hidden=256), steps=60)
some = specs[:: 3 if TINY else 8]


def look_up(x):
    """Number of the code that each token takes, and what the decoder makes of it."""
    chosen = nearest(net.enter(net.encoder(x)).reshape(-1, vq.code), net.codes[...])
    return chosen.reshape(len(x), -1), net.out(nnx.relu(net.up(net.codes[...][chosen])))


chosen, decoded = jax.jit(look_up)(spec[None])
chosen, decoded = np.asarray(chosen)[0], unpatch(decoded)
palette = plots.matplotlib.colormaps["tab20"](np.arange(64) % 20)[:, :3]
display(draw({
    "the clip": whole,
    "the code of each patch": palette[chosen].reshape(*GRID, 3),
    "what the decoder makes of the codes": decoded,
}))  # fmt: skip
hear(sound(decoded), "what the decoder makes of the codes")

shares = np.sort(np.bincount(each(lambda x: look_up(x)[0], some).ravel(), minlength=vq.codes))[::-1] / (len(some) * n)
figure = plots.figure(7.0, 1.8)
ax = figure.add_subplot()
ax.bar(range(vq.codes), 100 * shares)
ax.set_xlabel("codes, the most used first")
ax.set_ylabel("% of all tokens")
print(f"{np.sum(shares > 0)} of {vq.codes} codes are in use; used alike they would be {perplexity(shares):.0f}")
figure

# %% [markdown]
# ## Prediction: what comes next?
#
# **APC** hears the frames so far, in order, and foretells the frame 100 ms ahead. **CPC** does so too, but only has to
# tell the right continuation from wrong ones. A decaying note is easy: take the present frame for the coming one. What
# nobody can foresee is the next attack, and the error shows where it comes as a surprise.

# %%
apc, net = train("apc", APC(ahead=5), GRU(width=192, depth=2, dropout=0.0), steps=120)
told = np.asarray(jax.jit(lambda x: net.out(net.encoder(x)))(spec[None]))[0, : -apc.ahead]
then, now = spec[apc.ahead :], spec[: -apc.ahead]
quiet = np.full((apc.ahead, BANDS), specs.min())
display(draw({"what came": np.concatenate([quiet, then]), "what was foretold": np.concatenate([quiet, told])}))
figure = plots.figure(7.0, 1.8)
ax = figure.add_subplot()
seconds = (np.arange(len(then)) + apc.ahead) * FRAME
ax.plot(seconds, np.abs(told - then).mean(1), label="APC")
ax.plot(seconds, np.abs(now - then).mean(1), ls="--", label="the present frame, copied")
ax.set_xlabel("seconds")
ax.set_ylabel("error")
ax.legend()
figure

# %% [markdown]
# ## Clusters: name what is hidden
#
# One may also first sort all moments of all clips into clusters, and then ask for the cluster of a hidden moment. The
# network needn't paint detail, only know what kind of sound it is. **HuBERT** starts with clusters of MFCCs, every
# 20 ms (later of its own features). **BEATs** starts with labels that no one has learnt: each patch is projected at
# random, and named by the nearest of random codes. Even that puts patches that look alike under one name.


# %%
def cepstra(x):
    """MFCCs and their changes, every 20 ms [b f 39]: what HuBERT clusters first."""
    c = kaldi.mfcc(x, RATE, use_energy=False)
    d = cepstrum.delta(c, width=5)
    return jnp.concatenate([c, d, cepstrum.delta(d, width=5)], -1)[:, ::2]


moments = each(cepstra, waves)
rows = moments.reshape(-1, 39)[:: 4 if TINY else 2]
centres = kmeans(jax.random.key(0), rows, 20)
label = np.asarray(nearest(moments[here], centres))

beats = BEATs(codes=64, code=16, width=16, depth=1, heads=2)


@jax.jit
def tokenize(x):
    """BEATs' first label of each patch."""
    encoder = ViT(width=16, depth=1, heads=2, patch=PATCH).build(BANDS, rngs=nnx.Rngs(0))
    net = beats.build(encoder, rngs=nnx.Rngs(1))
    return nearest(unit(patches(x, PATCH)[0] @ net.project[...]), net.random[...])


names = tokenize(spec[None])
display(draw({
    "the clip": spec,
    "cluster of the MFCCs (HuBERT)": label,
    "random label of each patch (BEATs)": palette[np.asarray(names)].reshape(*GRID, 3),
}))  # fmt: skip

# %% [markdown]
# What else is in the cluster that the clip is in most of the time? A tenth of a second of up to 25 other clips, from
# where they first enter it:

# %%
most = np.bincount(label, minlength=20).argmax()
found = np.asarray(nearest(moments.reshape(-1, 39), centres)).reshape(moments.shape[:2]) == most
others = [i for i in np.argsort(-found.sum(1), kind="stable") if i != here and found[i].any()][:25]
starts = [int(found[i].argmax()) * RATE // 50 for i in others]
hear(np.concatenate([waves[i, s : s + RATE // 10] for i, s in zip(others, starts, strict=True)]), "from its cluster on")

# %% [markdown]
# ## A teacher: predict what another network makes of it
#
# **data2vec**, M2D, EAT and the JEPA methods mask too, but don't ask for sound. A *teacher*, which is a slow average
# of the network itself, hears the whole clip; the student hears a part and predicts the teacher's tokens. Nothing but
# the teacher's slowness (and normalisation) keeps the two from agreeing on a constant, so watch such runs for collapse.
# The targets have 96 numbers a token. Their three main directions over many clips are drawn as red, green and blue:
# patches of one colour are alike to the teacher.

# %%
data2vec, net = train("data2vec", Data2Vec(hide=0.65, span=3, top=3, decay=(0.99, 0.999), ramp=100), steps=40)
drawn = np.concatenate([[here], few[[3, 6, 9]]])
targets = each(lambda x: data2vec.target(net.teacher, net.encoder.cut(x)), np.concatenate([specs[drawn], some]))
main = project.pca(targets.reshape(-1, targets.shape[-1]), 3)
colours = np.clip(0.5 + main / (4 * main.std(0)), 0, 1).reshape(len(targets), *GRID, 3)
panels = {}
for k, i in enumerate(drawn):
    panels |= {store.name(i): specs[i], f"the teacher's targets, clip {k + 1}": colours[k]}
draw(panels, 8.0, 1.3, columns=2)

# %% [markdown]
# ## Which family wants what
#
# | family | methods | views | encoder | batch |
# |---|---|---|---|---|
# | contrastive | SimCLR, COLA, MoCo, SupCon (labels) | 2, strongly changed | any | large; MoCo: any, it has a queue |
# | predict a view's embedding | BYOL-A, SimSiam, DINO, ATST-Clip | 2; DINO also more | any; ATST-Clip: ViT | medium |
# | alike but not redundant | Barlow Twins, VICReg, W-MSE | 2 | any | medium; W-MSE: more clips than dimensions |
# | clusters of clips | SwAV, DeepCluster | 2; SwAV also more | any | medium |
# | autoencoders | Autoencoder, VAE, VQAutoencoder | 1, hardly changed | any | any |
# | masked: paint it, name it | MAE, BEATs | 1 | ViT | any |
# | masked: a teacher's tokens | data2vec, M2D, EAT, JEPA, ATST-Frame | 1; ATST-Frame 2 | ViT | any |
# | what comes next | APC, CPC | 1 | GRU; CPC: Context | CPC: other clips are wrong answers |
# | masked waves | Wav2Vec2Pretraining, HuBERT, WavJEPA | 1, RawFrames | Wav2Vec2 | any |
#
# ## Where to go next
#
# None of these wins on every sound. To try them on yours, give each the same minutes and compare:
#
# ```
# ssl-audio bench experiments/methods.py --task fsdd/digit-loso --minutes 3 --only simclr mae data2vec
# ```
#
# `experiments/methods.py` has a line for each; the files in `ssl_audio/methods/` are short and start with the paper's
# name. `notebooks/04_add_a_method` writes a new one.
