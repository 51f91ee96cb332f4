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
# # From a microphone's file to a model's input
#
# Three recordings, and all that may happen to them before a network hears them: features, cleaning, augmentation.
# Listen and look. The recordings are in the package, so nothing is downloaded. Put a file of your own into `OWN` below.
#
# Set the environment variable `SSL_AUDIO_TINY=1` for a short form that runs in seconds.

# %%
import os

import jax
import numpy as np
from IPython.display import Audio, display

from ssl_audio.audio import denoise, levels
from ssl_audio.audio.clean import clean
from ssl_audio.audio.files import wave
from ssl_audio.datasets import gm_instruments
from ssl_audio.explore import gallery, plots
from ssl_audio.signal import cepstrum, descriptors, pitch, spectrum
from ssl_audio.signal.frontend import LogMel
from ssl_audio.signal.waves import extras

TINY = os.environ.get("SSL_AUDIO_TINY") == "1"
RATE = 16_000
OWN = ""  # path of a sound file of yours

paths = {clip.path.stem: clip.path for clip in gm_instruments.clips()}
sounds = {what: wave(paths[stem], RATE) for stem, what in gallery.CLIPS.items()}
if OWN:
    sounds = {OWN: wave(OWN, RATE)} | sounds


def hear(sound):
    """A player; the level stays as it is."""
    display(Audio(np.clip(sound, -1, 1), rate=RATE, normalize=False))


for name, sound in sounds.items():
    print(name)
    hear(sound)
    display(plots.spectrogram(sound, RATE))

# %% [markdown]
# ## Features
#
# All take a batch of waves `[clips, samples]` or one wave, on whatever device JAX runs on, and give frames before
# features. Each equals its reference (librosa, Kaldi, scipy) within a tolerance that the tests state.


# %%
def rows(features):
    """The features of one clip as (title, [frames, values]) pairs, to be drawn below one another."""
    figure = plots.figure(7.0, 1.25 * len(features))
    axes = np.atleast_1d(figure.subplots(len(features), 1, sharex=True))
    for ax, (title, values) in zip(axes, features.items(), strict=True):
        values = np.asarray(values)
        seconds = len(values) * 512 / RATE
        if values.ndim == 1:
            ax.plot(np.linspace(0, seconds, len(values)), values)
        else:
            ax.imshow(values.T, origin="lower", aspect="auto", cmap="magma", extent=(0, seconds, 0, values.shape[1]))
            ax.grid(False)
        ax.set_title(title, loc="left", fontsize=9)
    axes[-1].set_xlabel("seconds")
    return figure


def features(x):
    log_mel = LogMel(rate=RATE, n_fft=2048, win=2048, hop=512, mels=64).raw(x[None])[0]
    return {
        "spectrogram, dB": spectrum.to_db(spectrum.power(spectrum.stft(x))),
        "log-mel": log_mel,
        "MFCC": cepstrum.mfcc(x, RATE),
        "GFCC": cepstrum.gfcc(x, RATE, n_fft=2048, hop=512),
        "chroma": pitch.chroma_stft(x, RATE),
        "spectral contrast, dB": descriptors.spectral_contrast(x, RATE, n_bands=5),
        "spectral centroid, Hz": descriptors.spectral_centroid(x, RATE),
        "RMS": descriptors.rms(x),
    }


for name, sound in list(sounds.items())[: 1 if TINY else None]:
    print(name)
    display(rows(features(sound)))

# %% [markdown]
# ## Cleaning
#
# Noise is added here at 10 dB and taken away again. `ssl-audio store FOLDER --out STORE --clean dc gate loudness:-23`
# does the like to a whole folder. Cleaning is no free gain: `results/cleaning.md` says where it helps and where it hurts.

# %%
name, sound = next(iter(sounds.items()))
rng = np.random.default_rng(0)
noise = rng.standard_normal(sound.size).astype(np.float32)
noisy = sound + noise * np.sqrt(np.mean(sound**2) / np.mean(noise**2) / 10)
chains = {
    "noisy": (),
    "spectral gate": (denoise.SpectralGate(),),
    "Wiener filter": (denoise.Wiener(),),
    "band-pass 100 to 4000 Hz": (levels.BandPass(100.0, 4000.0),),
    "gate, then loudness -23 LUFS": (denoise.SpectralGate(), levels.Loudness(-23.0)),
}
for title, chain in chains.items():
    cleaned, _ = clean(noisy, RATE, chain)
    print(title)
    hear(cleaned)
    display(plots.spectrogram(cleaned, RATE))

# %% [markdown]
# ## Augmentation
#
# What makes two *views* of one sound. Each is `augment(key, x)`: the same key gives the same draw, different clips of a
# batch different ones. Those of waves are heard; those of spectrograms are only seen. `ssl-audio gallery` writes all of
# them into one page.

# %%
x = np.stack([np.resize(sound, 2 * RATE) for sound in sounds.values()]).astype(np.float32)
log_mel = LogMel(rate=RATE).fit(x)
spectra = np.asarray(log_mel(x))
found = gallery.augmentations()
for name in list(found)[:: 12 if TINY else 1]:
    change = found[name]()
    heard = gallery.axes(found[name]) == "b t"
    more = extras(change, np.roll(x, 1, axis=0))
    y = np.asarray(jax.jit(change)(jax.random.key(0), x if heard else spectra, **more))
    print(name, "·", (found[name].__doc__ or "").split("\n")[0])
    if heard:
        hear(y[0])
    image = plots.figure(6.0, 1.3)
    for ax, values in zip(image.subplots(1, 2), (spectra[0], log_mel(y)[0] if heard else y[0]), strict=True):
        ax.imshow(np.asarray(values).T, origin="lower", aspect="auto", cmap="magma", vmin=-2, vmax=2)
        ax.set_axis_off()
    display(image)
