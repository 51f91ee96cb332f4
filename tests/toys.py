"""What many tests share: six tones as files and as a store, small experiments, the classes of a room."""

import dataclasses
import functools
import importlib
import inspect
import pkgutil
from pathlib import Path

import jax
import numpy as np
import soundfile
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ssl_audio import methods
from ssl_audio.audio.batches import Batches
from ssl_audio.audio.build import build
from ssl_audio.audio.scan import scan
from ssl_audio.audio.store import Store
from ssl_audio.config import Data, Experiment, View
from ssl_audio.encoders import GRU, AudioNTT, Context, ViT, Wav2Vec2
from ssl_audio.evaluate.tasks import Task
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import Crop, Gain
from ssl_audio.signal.frontend import LogMel
from ssl_audio.signal.frontends import RawFrames
from ssl_audio.train import make_refit, make_step, start

RATE = 8000
TONES = (180, 320, 560, 900, 1500, 2600)  # Hz
FRONTEND = LogMel(rate=RATE, n_fft=256, win=256, hop=80, mels=16, fmin=60.0, fmax=3800.0, mean=-11.0, std=4.0)
VIEW = View(wave=(Crop(2000), Gain(3.0)))
CONV = AudioNTT(width=16, channels=4, dropout=0.0)
VIT = ViT(width=16, depth=1, heads=2, patch=(8, 8))
TALL = ViT(width=16, depth=1, heads=2, patch=(2, 8))  # more time steps
CONVS = ((10, 5), (4, 4), (4, 4))  # a token of 85 samples every 80
WAVE = Wav2Vec2(width=16, depth=1, heads=2, channels=8, convs=CONVS, dropout=0.0, layerdrop=0.0)
WAVES = RawFrames(rate=RATE, hop=80)
LABELLED = Data(seconds=0.3, batch=16, label="label")


def toy(method, encoder=CONV, views=2, **changes) -> dict:
    """What a toy experiment of a method chooses; changes are fields of Experiment."""
    return {"method": method, "encoder": encoder, "views": (VIEW,) * views} | changes


METHODS = {
    "HuBERT": toy(
        methods.HuBERT(rate=RATE, span=3, first=8, codes=6, stage=10, depth=1, looks=2, tokens=12, width=16),
        WAVE,
        1,
        frontend=WAVES,
    ),
    "Wav2Vec2Pretraining": toy(
        methods.Wav2Vec2Pretraining(span=3, codes=16, width=16, negatives=8), WAVE, 1, frontend=WAVES
    ),
    "Autoencoder": toy(methods.Autoencoder(code=8, hidden=32), views=1),
    "BYOLA": toy(methods.BYOLA(hidden=32, width=16, decay=0.9)),
    "COLA": toy(methods.COLA(width=16)),
    "BEATs": toy(
        methods.BEATs(
            hide=0.5, codes=8, code=8, width=16, depth=1, heads=2, distil=6, again=14, decay=0.9, commit=30.0
        ),
        VIT,
        1,
    ),
    "Data2Vec": toy(methods.Data2Vec(hide=0.6, span=3, decay=(0.9, 0.99), ramp=40), TALL, 1),
    "EAT": toy(
        methods.EAT(side=2, adjust=0.1, clones=3, width=16, depth=1, decay=(0.9, 0.99), ramp=40),
        ViT(width=16, depth=1, heads=2, patch=(2, 4), cls=True),
        1,
    ),
    "JEPA": toy(methods.JEPA(width=16, depth=1, heads=2, decay=(0.9, 0.99), ramp=40), TALL, 1),
    "M2D": toy(methods.M2D(hide=0.5, width=16, depth=1, heads=2, decay=(0.9, 0.99), ramp=40), TALL, 1),
    "WavJEPA": toy(
        methods.WavJEPA(
            context_span=2, target_span=2, width=16, depth=1, heads=2, decay=(0.9, 0.99), ramp=40
        ),
        TALL,
        1,
    ),
    "MAE": toy(methods.MAE(hide=0.5, width=16, depth=1, heads=2), VIT, 1),
    "APC": toy(methods.APC(ahead=3), GRU(width=16, depth=2, dropout=0.0), 1),
    "CPC": toy(methods.CPC(ahead=1, negatives=32), Context(CONV, width=16), 1),
    "VAE": toy(methods.VAE(code=8, hidden=32, anneal=20), views=1),
    "VQAutoencoder": toy(methods.VQAutoencoder(codes=16, code=8, hidden=32), views=1),
    "SimCLR": toy(methods.SimCLR(hidden=32, width=16)),
    "BarlowTwins": toy(methods.BarlowTwins(hidden=32, width=16, weight=0.02)),
    "MoCo": toy(methods.MoCo(hidden=32, width=16, queue=64, temperature=0.5, decay=0.9)),
    "SimSiam": toy(methods.SimSiam(hidden=32, width=16, bottleneck=8)),
    "SupCon": toy(methods.SupCon(hidden=32, width=16), data=LABELLED),
    "Supervised": toy(methods.Supervised(classes=6), views=1, data=LABELLED),
    "VICReg": toy(methods.VICReg(hidden=32, width=32)),
    "ATSTClip": toy(
        methods.ATSTClip(hidden=32, width=16, decay=0.9, steps=100),
        ViT(width=16, depth=1, heads=2, patch=(8, 8), cls=True),
    ),
    "ATSTFrame": toy(
        methods.ATSTFrame(span=2, hidden=32, width=16, decay=0.9, steps=100),
        ViT(width=16, depth=1, heads=2, patch=(2, 16)),
    )
    | {"views": (View(wave=(Gain(3.0),)),) * 2},  # the same stretch twice
    "DINO": toy(
        methods.DINO(
            prototypes=32, hidden=32, width=16, sharp=(0.07, 0.07), decay=0.99, steps=100, slow=0.0, freeze=2
        ),
        views=3,
    ),
    "DeepCluster": toy(methods.DeepCluster(prototypes=6, heads=2, every=20, batches=2, hidden=32, width=16)),
    "SwAV": toy(methods.SwAV(prototypes=12, freeze=2, queue=32, wait=4, hidden=32, width=16), views=3),
    "WMSE": toy(methods.WMSE(hidden=32, width=4, size=16)),
}
"""By class name. `guess` serves what isn't here."""


def wavs(folder: Path, *, takes: int = 6, seconds: float = 0.3, seed: int = 0) -> Path:
    """A folder of noisy tones, a sub-folder for each pitch."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    for hz in TONES:
        (folder / f"tone {hz}").mkdir(parents=True, exist_ok=True)
        for take in range(takes):
            tone = rng.uniform(0.1, 0.5) * np.sin(
                2 * np.pi * (hz * rng.uniform(0.97, 1.03) * time + rng.uniform())
            )
            wave = tone + 0.02 * rng.standard_normal(len(time))
            soundfile.write(folder / f"tone {hz}" / f"{take}.wav", wave, RATE)
    return folder


def make_store(folder: Path, out: Path) -> Store:
    build(scan(folder), out, rate=RATE, workers=1)
    return Store(out)


def folded(folder: Path, takes: int, folds: int) -> tuple[Store, Task]:
    """A store of tones dealt into folds, and the task of telling them apart."""
    store = make_store(wavs(folder / "wavs", takes=takes), folder / "store")
    fold, values = np.array([f"{i % folds}" for i in range(len(store))]), store.values
    store.values = lambda column: fold if column == "fold" else values(column)  # tones have no folds
    return store, Task("toy/tone", "toy", "label", "fold", None)


def experiment(method: str = "SimCLR", /, **changes) -> Experiment:
    """A tiny experiment of a method by its class's name."""
    chosen = {
        "name": f"toy-{method.lower()}",
        "frontend": FRONTEND,
        "data": Data(seconds=0.3, batch=16),
        "optim": Optim(steps=40, rate=3e-3, warmup=2, clip=5.0),
        "log_every": 1,
        "watch_every": 10,
        "watch_clips": 32,
        "save_every": 10,
    }
    return Experiment(**chosen | (METHODS.get(method) or guess(method)) | changes)


def guess(method: str):
    """A new method needs no line above if its defaults build with a convnet or ViT, one or two views."""
    made = getattr(methods, method)()
    fault = None
    for encoder, views in ((CONV, 2), (CONV, 1), (VIT, 2), (VIT, 1)):
        kept = toy(made, encoder, views)
        try:
            METHODS[method] = kept
            jax.eval_shape(lambda: first_step(method))
            return kept
        except Exception as error:
            del METHODS[method]
            fault = error
    raise AssertionError(f"{method}: give it a line in tests/toys.py; by itself it didn't build: {fault}")


def first_step(method: str, **changes):
    chosen = experiment(method, **changes)
    graph, state = start(chosen)
    b = chosen.data.batch
    batch = {"wave": np.zeros((b, 2400), np.int16), "valid": np.full(b, 2400, np.int32)}
    batch |= {"label": np.zeros(b, np.int32)} if chosen.data.label else {}
    return make_step(chosen, graph)(state, batch)[1]


def classes(module) -> dict[str, type]:
    """The dataclasses that a module or the files of a package define, by name."""
    files = [module]
    if hasattr(module, "__path__"):
        files = [
            importlib.import_module(f"{module.__name__}.{m.name}")
            for m in pkgutil.iter_modules(module.__path__)
        ]
    found = {
        n: c for f in files for n, c in inspect.getmembers(f, inspect.isclass) if c.__module__ == f.__name__
    }
    return {n: c for n, c in sorted(found.items()) if dataclasses.is_dataclass(c) and not n.startswith("_")}


def sharded(devices: int):
    """(everywhere, rows): how a state and a batch lie on so many devices."""
    mesh = Mesh(np.array(jax.devices()[:devices]), ("data",))
    return NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))


@functools.cache
def started(chosen: Experiment):
    """Graph and, on the host, the state at step 0: drawn once, put where it is wanted."""
    graph, state = start(chosen)
    return graph, jax.device_get(state)


def curve(chosen: Experiment, store: Store, steps: int, devices: int = 1):
    """(losses, last state, step function, last scalars) of the first steps on so many devices."""
    everywhere, rows = sharded(devices)
    graph, state = started(chosen)
    state, step = jax.device_put(state, everywhere), make_step(chosen, graph)
    samples, label = round(chosen.data.seconds * store.rate), chosen.data.label or None
    batches = Batches(store, samples=samples, batch=chosen.data.batch, seed=chosen.seed, labels=label)
    losses = []
    for i in range(steps):
        if count := getattr(chosen.method, "refits", lambda step: 0)(i):
            state = make_refit(chosen, graph)(
                state, [jax.device_put(batches[i + j], rows) for j in range(count)]
            )
        state, logs = step(state, jax.device_put(batches[i], rows))
        losses.append(float(logs["loss"]))
    return np.array(losses), state, step, jax.device_get(logs)


def small(encoder: type):
    """The smallest form of an encoder class, by the names of its sizes."""
    sizes = {
        "width": 16,
        "depth": 1,
        "heads": 2,
        "channels": 4,
        "dropout": 0.0,
        "patch": (8, 8),
        "convs": CONVS,
        "strides": (2, 2, 2, 2),
        "encoder": CONV,
    }
    return encoder(**{f.name: sizes[f.name] for f in dataclasses.fields(encoder) if f.name in sizes})


def same_bits(a, b) -> bool:
    """Two trees are equal to the last bit."""
    one, two = jax.tree.leaves_with_path(a), jax.tree.leaves_with_path(b)
    return [p for p, _ in one] == [p for p, _ in two] and all(
        np.asarray(x).tobytes() == np.asarray(y).tobytes() for (_, x), (_, y) in zip(one, two, strict=True)
    )
