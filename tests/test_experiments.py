"""Every file in experiments/ loads, goes to JSON and back, says what it is, and trains in its tiny form."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from toys import wavs

from ssl_audio import config
from ssl_audio.audio.build import build
from ssl_audio.audio.scan import scan
from ssl_audio.audio.store import Store
from ssl_audio.evaluate.collapse import look
from ssl_audio.train import train

FILES = sorted((Path(__file__).parents[1] / "experiments").glob("*.py"))


@pytest.fixture(scope="session")
def stores(tmp_path_factory):
    """The toy sounds at the rate that an experiment wants."""
    folder = wavs(tmp_path_factory.mktemp("experiments") / "wavs", takes=2)
    made = {}

    def at(rate):
        if rate not in made:
            build(scan(folder), folder.parent / str(rate), rate=rate, workers=1)
            made[rate] = Store(folder.parent / str(rate))
        return made[rate]

    return at


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_experiment(file, stores, tmp_path):
    chosen, module = config.load(file)
    assert module.__doc__, f"{file.name} needs a docstring: paper or purpose, command, numbers"
    text = json.loads(json.dumps(config.to_json(chosen)))
    assert config.from_json(text, module) == chosen
    store = stores(chosen.frontend.rate)
    small = config.tiny(chosen)
    small = dataclasses.replace(
        small,
        frontend=dataclasses.replace(small.frontend, mean=-11.0, std=4.0),
        optim=dataclasses.replace(small.optim, steps=2, warmup=min(1, small.optim.warmup)),
        watch_every=2,
        watch_label="label" if small.watch_label else "",
    )
    _, state = train(small, store, tmp_path, look=look, say=lambda text: None, devices=jax.devices()[:1])
    assert int(state.step) == 2
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state))
