"""Every file in experiments/ loads, goes to JSON and back, says what it is, and trains in its tiny form.

Nightly, those of many experiments are traced, and all are compiled at their own scale for eight devices.
"""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from toys import wavs

from ssl_audio import config
from ssl_audio.audio.batches import Batches
from ssl_audio.audio.build import build
from ssl_audio.audio.scan import scan
from ssl_audio.audio.store import Store
from ssl_audio.plan import lower, plan
from ssl_audio.train import make_refit, make_step, start

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


EXPERIMENTS = {f"{f.stem}/{e.name}": (f, e) for f in FILES for e in config.load_many(f)}
ALONE = [f for f in FILES if len(config.load_many(f)) == 1]


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_file_says_what_it_is_and_goes_to_json_and_back(file):
    module = config.execute(file)
    assert module.__doc__ and "ssl-audio" in module.__doc__, (
        f"{file.name}: paper or purpose, command, numbers"
    )
    for chosen in config.load_many(file):
        assert config.from_json(json.loads(json.dumps(config.to_json(chosen))), module) == chosen


@pytest.mark.nightly
@pytest.mark.parametrize("name", [n for n, (f, _) in EXPERIMENTS.items() if f not in ALONE])
def test_one_of_many_is_traced(name):
    _, chosen = EXPERIMENTS[name]
    lowered, state = lower(chosen, 1)
    assert "stablehlo" in lowered.as_text()[:10_000] and jax.tree.leaves(state.params)


@pytest.mark.nightly
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_compiles_at_its_own_scale_for_eight_devices(name):
    file, chosen = EXPERIMENTS[name]
    devices = 8 if chosen.data.batch % 8 == 0 else 1
    with jax.numpy_dtype_promotion("standard"):  # as users have it: flax's own normalisation mixes types
        found = plan(chosen, devices)
    assert found.memory < 80 * 2**30, f"{file.name}: {found.memory / 2**30:.0f} GiB a device"
    assert found.flops > 0 and found.encoder <= found.trained + found.frozen


@pytest.mark.parametrize("file", ALONE, ids=lambda f: f.stem)
def test_tiny_form_takes_a_real_step(file, stores):
    chosen, _ = config.load(file)
    store = stores(chosen.frontend.rate)
    small = config.tiny(chosen)
    data = dataclasses.replace(small.data, label="label" if small.data.label else "")
    small = dataclasses.replace(
        small, frontend=dataclasses.replace(small.frontend, mean=-11.0, std=4.0), data=data
    )
    samples, label = round(data.seconds * store.rate), data.label or None
    batches = Batches(store, samples=samples, batch=data.batch, seed=0, short=data.short, labels=label)
    graph, state = start(small)
    # flax normalises bfloat16 by float32 statistics
    with jax.numpy_dtype_promotion("standard" if small.precision == "bfloat16" else "strict"):
        if count := getattr(small.method, "refits", lambda step: 0)(0):
            state = make_refit(small, graph)(state, [batches[i] for i in range(count)])
        state, logs = make_step(small, graph)(state, batches[0])
    assert int(state.step) == 1 and all(np.isfinite(x).all() for x in jax.tree.leaves((state, logs)))
