"""An experiment: all that is chosen before a run, as frozen dataclasses that go to JSON and back."""

import dataclasses
import hashlib
import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import jax

from ssl_audio.disk import write
from ssl_audio.optim import Optim
from ssl_audio.signal.frontend import Frontend, LogMel
from ssl_audio.signal.waves import extras


@dataclasses.dataclass(frozen=True)
class View:
    """What one branch of a method sees: augmentations of the wave, the frontend, augmentations of the
    spectrogram."""

    wave: tuple[Any, ...] = ()
    """Applied to waves [b t] in order; one that takes a `background` gets the batch's, uncut."""
    spec: tuple[Any, ...] = ()
    """Applied to normalised spectrograms [b f m] in order."""

    def __call__(self, key, wave, frontend, background=None):
        """int16-scaled float waves [b t] in [-1, 1], and sound to mix in, if any -> spectrogram [b f m]."""
        keys = iter(jax.random.split(key, len(self.wave) + len(self.spec) + 1))
        for change in self.wave:
            wave = change(next(keys), wave, **extras(change, background))
        spec = frontend(wave)
        for change in self.spec:
            spec = change(next(keys), spec)
        return spec


@dataclasses.dataclass(frozen=True)
class Data:
    """Where the sound comes from and how it is cut into batches."""

    store: str = ""
    """Folder of a store, made by `ssl-audio store`."""
    seconds: float = 1.0
    """Length of the crop that a batch holds of each clip; views may crop further."""
    batch: int = 128
    """Clips in a batch, over all devices and hosts together."""
    short: Literal["loop", "pad"] = "loop"
    """What fills a clip shorter than the crop: its own repetition, or zeros."""
    label: str = ""
    """Column of the store that a supervised method learns from, e.g. `digit`; empty: none."""
    background: str = ""
    """Folder of a store, of the same rate, that views may mix in (`StoreBackground`)."""
    threads: int = 2
    """Threads that prepare batches ahead."""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One run: data, signal path, encoder, method, optimiser, seed."""

    name: str
    """Names the run's folder and its line in every table."""
    method: Any
    encoder: Any
    views: tuple[View, ...]
    frontend: Frontend = LogMel()
    data: Data = Data()
    optim: Optim = Optim()
    seed: int = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the forward and backward pass; parameters and optimiser are always float32."""
    log_every: int = 20
    """Steps between two lines of metrics.jsonl."""
    watch_every: int = 100
    """Steps between two looks at the embeddings for collapse (and the online kNN, if there are labels)."""
    watch_clips: int = 512
    """Clips that those looks embed."""
    watch_label: str = ""
    """Label column for the online kNN, e.g. `digit`; empty: no kNN. Never used to train or to choose."""
    save_every: int = 200
    """Steps between two checkpoints."""
    keep: int = 2
    """Checkpoints kept."""


def tiny(experiment: Experiment) -> Experiment:
    """The same experiment in a form that runs in seconds: narrow, short, a few steps. For tests and first
    looks."""
    replace, sizes = dataclasses.replace, {"width": 48, "depth": 2, "heads": 3, "channels": 8}

    def small(encoder):
        changes = {k: min(v, getattr(encoder, k)) for k, v in sizes.items() if hasattr(encoder, k)}
        if hasattr(encoder, "encoder"):  # one behind a trained frontend
            changes["encoder"] = small(encoder.encoder)
        return replace(encoder, **changes)

    limits = {
        "hidden": 64,
        "code": 64,
        "width": 48,
        "depth": 2,
        "heads": 3,
        "prototypes": 32,
        "codes": 32,
        "queue": 32,
        "batches": 8,
        "looks": 4,
    }
    method = {k: min(v, limits[k]) for k, v in vars(experiment.method).items() if k in limits}
    return replace(
        experiment,
        encoder=small(experiment.encoder),
        method=replace(experiment.method, **method),
        data=replace(experiment.data, batch=8),
        optim=replace(
            experiment.optim,
            steps=6,
            warmup=min(2, experiment.optim.warmup),
            accumulate=min(2, experiment.optim.accumulate),
        ),
        log_every=1,
        watch_every=3,
        watch_clips=16,
        save_every=3,
    )


# ---- JSON
# -------------------------------------------------------------------------------------------------------


OWN = "experiment"
"""The module of the classes of an experiment's own file."""


def to_json(value: Any) -> Any:
    """Dataclasses (with their class's name), tuples, numbers, strings and None as what `json.dumps` takes."""
    if dataclasses.is_dataclass(value):
        fields = {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
        where = type(value).__module__
        where = OWN if where.startswith(f"{OWN}_") else where  # a run's copy of the file has another name
        return {"class": f"{where}.{type(value).__qualname__}"} | fields
    if isinstance(value, (tuple, list)):
        return [to_json(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"an experiment holds dataclasses, tuples, numbers and strings; got {type(value).__name__}: {value!r}"
    )


def from_json(value: Any, module: ModuleType | None = None) -> Any:
    """The inverse of `to_json`. Classes come from this package, or from `module`, the run's own experiment
    file."""
    if isinstance(value, list):
        return tuple(from_json(v, module) for v in value)
    if not isinstance(value, dict):
        return value
    where, _, name = value["class"].rpartition(".")
    if where.startswith("ssl_audio."):
        cls = getattr(importlib.import_module(where), name)
    elif module is not None and hasattr(module, name):
        cls = getattr(module, name)
    else:
        raise ValueError(f"class {value['class']} is neither in ssl_audio nor in the experiment's file")
    known = {f.name for f in dataclasses.fields(cls)}
    return cls(**{k: from_json(v, module) for k, v in value.items() if k in known})


def digest(value: Any) -> str:
    """Short hash of a configuration: the same for the same choices, on any machine."""
    return hashlib.sha256(json.dumps(to_json(value), sort_keys=True).encode()).hexdigest()[:16]


# ---- files
# ------------------------------------------------------------------------------------------------------


def load(path: Path | str) -> tuple[Experiment, ModuleType]:
    """The `experiment` of a Python file, and the file as a module."""
    module = execute(path)
    if not isinstance(getattr(module, "experiment", None), Experiment):
        raise ValueError(f"{path}: an experiment file sets `experiment = Experiment(...)`; this one doesn't")
    return module.experiment, module


def load_many(path: Path | str) -> tuple[Experiment, ...]:
    """The `experiments` of a Python file, or its one `experiment`."""
    module = execute(path)
    found = tuple(getattr(module, "experiments", ())) or (getattr(module, "experiment", None),)
    if not all(isinstance(e, Experiment) for e in found) or len({e.name for e in found}) < len(found):
        raise ValueError(f"{path}: needs `experiments = (Experiment(...), ...)` with a name of its own each")
    return found


def execute(path: Path | str) -> ModuleType:
    """An experiment file as a module."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such experiment file; the project's own are in experiments/")
    spec = importlib.util.spec_from_file_location(f"{OWN}_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


def save_run(run: Path, experiment: Experiment, source: Path | None) -> None:
    """Leave the experiment in its run's folder, as JSON and as the file that it was written in."""
    run.mkdir(parents=True, exist_ok=True)
    if source is not None:
        write(run / "experiment.py", Path(source).read_text(encoding="utf-8"))
    write(run / "experiment.json", json.dumps(to_json(experiment), indent=1) + "\n")


def load_run(run: Path | str) -> Experiment:
    """The experiment of a run's folder, frontend statistics included.

    The run's experiment.py is executed only where the experiment uses classes of its own.
    """
    run = Path(run)
    if not (run / "experiment.json").is_file():
        raise FileNotFoundError(f"{run}: no run here (experiment.json is missing)")
    about = json.loads((run / "experiment.json").read_text(encoding="utf-8"))
    try:
        return from_json(about)
    except ValueError:
        if not (run / "experiment.py").is_file():
            raise
        return from_json(about, execute(run / "experiment.py"))
