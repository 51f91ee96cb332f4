"""Few labels: every system at every count, drawn from training folds; goes on where it was."""

import dataclasses
import json

import numpy as np
import pytest
from toys import experiment, folded

from ssl_audio import label_efficiency, pretrain, report
from ssl_audio.config import Data
from ssl_audio.evaluate.folds import Split
from ssl_audio.finetune import Finetune
from ssl_audio.optim import Optim


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    store, task = folded(folder, takes=4, folds=2)
    for method in ("SimCLR", "VICReg"):
        data = Data(store=str(store.path), seconds=0.3, batch=16)
        pretrain.run(experiment(method, data=data, optim=Optim(steps=2, warmup=1)), folder / method)
    out = folder / "labels.json"

    def go(counts, draws, methods=("SimCLR", "VICReg"), fold=None):
        asked = task if fold is None else dataclasses.replace(task, test=(str(fold),), note="one fold")
        recipe = Finetune(steps=3, batch=4)
        runs = [folder / method for method in methods]
        label_efficiency.run(runs, store, asked, counts=counts, draws=draws, out=out, recipe=recipe)
        return report.read(out)

    return go, out


def test_every_system_at_every_count_and_no_network_twice(judged):
    go, out = judged
    names = {f"toy-{m}, {how}" for m in ("simclr", "vicreg") for how in ("frozen", "fine-tuned")}
    names |= {f"toy-simclr's network, {how}" for how in ("random", "from scratch")}
    records = go((1, 2), 1)
    assert {(r["system"], r["labels"]) for r in records} == {(n, c) for n in names for c in (1, 2)}
    text = out.with_suffix(".md").read_text()
    assert all(f"{r['value']:.3f}" in text for r in records)
    assert out.with_suffix(".png").stat().st_size > 10_000
    assert go((1, 2), 1) == records
    told = json.loads(out.read_text())
    old = [r | {"model": "older", "value": 0.123} if "frozen" in r["system"] else r for r in told]
    out.write_text(json.dumps(old))
    records = go((1, 2), 1)
    assert len(records) == len(told) + 4 and "0.123" not in out.with_suffix(".md").read_text()
    again = go((1, 2), 1, fold=1)  # on other folds all is judged anew, and the page is of these
    assert len(again) == len(records) + len(told) and {r["n"] for r in again[len(records) :]} != {
        told[0]["n"]
    }
    assert len(go((1, 2), 1)) == len(again)
    out.write_text(json.dumps(records))
    again = go((1, 2), 2)
    assert again[: len(records)] == records and {r["seed"] for r in again[len(records) :]} == {1}


def test_two_runs_of_one_name_are_refused(judged):
    with pytest.raises(ValueError, match="two runs are called 'toy-simclr'"):
        judged[0]((1,), 1, ("SimCLR", "SimCLR"))


def test_the_probe_sees_the_drawn_labels_only():
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((40, 5)).astype(np.float32), np.array(["a", "b"] * 20)
    split, some = Split("0", np.arange(30), np.arange(30, 40)), np.array([0, 1, 2, 3])
    other = labels.copy()
    other[4:] = "c"
    expected = label_efficiency.probe(x, labels, split, some)
    np.testing.assert_array_equal(label_efficiency.probe(x, other, split, some), expected)
    assert set(expected) == {"a", "b"}
