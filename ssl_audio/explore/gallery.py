"""A page on which every augmentation is seen, and heard where it changes the wave, on three recordings."""

import base64
import dataclasses
import importlib
import inspect
import io
import pkgutil
import re
import zlib
from html import escape
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np
from jaxtyping import Float

from ssl_audio import signal
from ssl_audio.audio.files import wave
from ssl_audio.datasets import gm_instruments
from ssl_audio.disk import write
from ssl_audio.explore.page import document, section
from ssl_audio.explore.players import address, encoded
from ssl_audio.signal.frontend import LogMel
from ssl_audio.signal.waves import extras

CLIPS = {"0473": "sustained note", "0538": "hit", "0125": "plucked string"}
"""The recordings of gm_instruments, by file, and what they are."""
LEVEL = 0.5  # of the players, so that what an augmentation makes louder isn't clipped
STRIP = 32  # rows of a picture that show the wave
STYLE = """
.cards{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:8px 22px}
.card{margin:0;display:grid;grid-template-columns:max-content minmax(0,1fr);gap:7px 8px;align-items:center}
.card img{width:100%;height:auto;display:block;image-rendering:pixelated}
.card span{color:var(--muted);font-size:.8rem}
.card figcaption{grid-column:2;font-size:.88rem}
.card audio{height:30px}
.all{columns:4 11em;font-size:.92rem;padding:0;list-style:none}
h3{margin-top:2.2em}
@media(max-width:760px){.cards{grid-template-columns:1fr}}
"""
# pictures and sounds of before are in the page once
SCRIPT = """
for (const e of document.querySelectorAll("[data-of]")) e.src = document.getElementById(e.dataset.of).src;
"""


def augmentations() -> dict[str, type]:
    """Every augmentation of `ssl_audio.signal` by its name: the dataclasses called as `augment(key, x)`."""
    found = {}
    for module in pkgutil.iter_modules(signal.__path__, f"{signal.__name__}."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if dataclasses.is_dataclass(value) and value.__module__ == module.name and axes(value):
                found[name] = value
    return found


def axes(kind: type) -> str:
    """What an augmentation takes: "b t" (waves) or "b f m" (spectrograms); "" for any other class."""
    called = any("__call__" in vars(base) for base in kind.__mro__)
    parameters = inspect.signature(kind.__call__).parameters if called else {}
    return parameters["x"].annotation.dim_str if [*parameters][1:3] == ["key", "x"] else ""


def gallery(out: Path, *, seconds: float = 2.0, seed: int = 0) -> Path:
    """Write the page, which needs nothing but itself; each augmentation as it is by default.

    out      the file; its folder must be there
    seconds  of each recording, silence behind the shorter ones; ValueError below 1
    seed     of the draws; those of an augmentation don't depend on which others there are
    """
    if seconds < 1:
        raise ValueError(f"a gallery of {seconds} s: some augmentations take a second; give 1 at least")
    paths = {clip.path.stem: clip for clip in gm_instruments.clips()}
    names = [f"{what}: {paths[stem].labels['instrument']}" for stem, what in CLIPS.items()]
    frontend = LogMel()
    waves = np.zeros((len(CLIPS), round(seconds * frontend.rate)), np.float32)
    for row, stem in zip(waves, CLIPS, strict=True):
        sound = wave(paths[stem].path, frontend.rate)[: row.size]
        row[: sound.size] = sound
    frontend = frontend.fit(waves)
    see = jax.jit(frontend)
    spectra = np.asarray(see(waves))
    span = float(spectra.min()), float(spectra.max())

    def row(name, kind):
        """The heading and the cards of an augmentation."""
        change, heard = kind(), axes(kind) == "b t"
        key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))
        more = extras(change, jnp.asarray(np.roll(waves, 1, axis=0)))
        after = np.asarray(jax.jit(change)(key, jnp.asarray(waves if heard else spectra), **more))
        seen = np.asarray(see(after)) if heard else after
        share = seen.shape[1] / spectra.shape[1]  # the same scale of time before and after
        width = f' style="width:{share:.1%}"' if share < 1 else ""
        cards = []
        for i, clip in enumerate(names):
            image = picture(seen[i], span, after[i] if heard else None)
            lines = [
                f"<figcaption>{escape(clip)}</figcaption>",
                f'<span>before</span><img data-of="{"wave" if heard else "spec"}{i}" alt="{escape(clip)}">',
                f'<span>after</span><img src="{image}" alt="{escape(clip)}, after {name}"{width}>',
            ]
            if heard:
                label = f'aria-label="{escape(clip)}'
                lines += [
                    f'<span>before</span><audio controls preload=none data-of="sound{i}" {label}"></audio>',
                    f"<span>after</span><audio controls preload=none "
                    f'src="{played(after[i], frontend.rate)}" {label}, after {name}"></audio>',
                ]
            cards.append(f"<figure class=card>{''.join(lines)}</figure>")
        what = escape(" ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split()))
        what = re.sub("`(.+?)`", r"<code>\1</code>", what)
        where = kind.__module__.rpartition(".")[2]
        return (
            f'<h3 id="{name}">{name}</h3><p>{what}<br><code>{where}.{escape(repr(change))}</code></p>'
            f"<div class=cards>{''.join(cards)}</div>"
        )

    # what every "before" shows and plays, hidden
    originals = "".join(
        f'<img id="spec{i}" src="{picture(spec, span, None)}" alt="">'
        f'<img id="wave{i}" src="{picture(spec, span, sound)}" alt="">'
        f'<audio id="sound{i}" preload=none src="{played(sound, frontend.rate)}"></audio>'
        for i, (spec, sound) in enumerate(zip(spectra, waves, strict=True))
    )
    kinds = augmentations()
    chosen = {takes: {n: k for n, k in kinds.items() if axes(k) == takes} for takes in ("b t", "b f m")}
    links = "".join(f'<li><a href="#{name}">{name}</a></li>' for takes in chosen.values() for name in takes)
    reach = f"{frontend.fmin:g} Hz to {frontend.fmax / 1000:g} kHz upwards, {seconds:g} s to the right"
    lede = (
        f"<p class=lede>{len(kinds)} augmentations, each with its defaults, one draw for each of three "
        f"recordings. The pictures are log-mel spectrograms as networks see them: {reach}, brighter is "
        f"louder, the same colours everywhere; above it, where there is one, the wave from −1 to 1. The "
        f"players are at {LEVEL:.0%} of the level, before and after alike.</p><ul class=all>{links}</ul>"
    )
    body = [
        f"<header><p class=kicker>ssl_audio</p><h1>Augmentations</h1>{lede}</header>",
        f"<div hidden>{originals}</div>",
        *(
            section(anchor, title, "\n".join(row(*pair) for pair in chosen[takes].items()))
            for anchor, title, takes in (("waves", "Waves", "b t"), ("spectra", "Spectrograms", "b f m"))
        ),
        f"<p class=note>Recordings: gm_instruments, {escape(gm_instruments.LICENCE)}; seed {seed}.</p>",
    ]
    write(out, document("Augmentations", body, STYLE, SCRIPT))
    return out


def picture(
    spec: Float[np.ndarray, "f m"], span: tuple[float, float], sound: Float[np.ndarray, " t"] | None
) -> str:
    """A spectrogram, a pixel a cell, and above it the wave, as a `data:image/png` address.

    span: values that are black and brightest.
    """
    shade = np.clip((spec.T[::-1] - span[0]) / (span[1] - span[0]), 0, 1)
    if sound is not None:
        columns = np.array_split(np.pad(sound, (0, max(0, len(spec) - len(sound)))), len(spec))
        low, high = np.array([(c.min(), c.max()) for c in columns]).T
        edges = np.linspace(1, -1, STRIP + 1)[:, None]
        strip = (low[None] <= edges[:-1]) & (high[None] >= edges[1:])
        shade = np.concatenate([0.75 * strip, np.ones((1, len(spec))), shade])
    file = io.BytesIO()
    options = {"vmin": 0, "vmax": 1, "cmap": "magma", "format": "png", "pil_kwargs": {"optimize": True}}
    matplotlib.image.imsave(file, shade, **options)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def played(sound: Float[np.ndarray, " t"], rate: int) -> str:
    """The address of a sound at LEVEL."""
    return address(encoded(np.clip(LEVEL * sound, -1, 1), rate))
