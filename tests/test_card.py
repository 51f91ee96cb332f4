"""The model card: its front matter is what the hub reads, its numbers those of the records."""

import dataclasses
import json

import pytest
from toys import experiment, make_store, wavs

from ssl_audio import card


def record(metric="accuracy", value=0.5, **changes):
    base = {"task": "esc50", "system": "mine", "metric": metric, "value": value, "seed": 0, "n": 90}
    base |= {"ci95": [value - 0.1, value + 0.1], "groups": 9, "protocol": "linear: p", "data": "d"}
    return base | changes


RECORDS = [
    record(value=0.123456),
    record("knn accuracy", 0.25),
    record(value=0.1, system="random"),
    record("accuracy difference", 0.0234, system="mine - random"),
    record(task="fsdd/digit", value=0.75),
    record(task="fsdd/digit, 10 labels a class", value=0.9),
    record(task="my sounds/kind", value=0.5),
]


def test_the_hub_reads_the_results():
    hub = pytest.importorskip("huggingface_hub.repocard_data")
    index = json.loads(json.dumps([{"name": "mine", "results": card.indexed(RECORDS, "mine")}]))
    name, results = hub.model_index_to_eval_results(index)
    assert name == "mine"
    found = {(r.dataset_type, r.task_name, r.metric_type): r.metric_value for r in results}
    assert found == {
        ("esc50", "esc50", "accuracy"): 0.1235,
        ("esc50", "esc50", "knn_accuracy"): 0.25,
        ("fsdd", "fsdd/digit", "accuracy"): 0.75,
        ("my sounds", "my sounds/kind", "accuracy"): 0.5,
    }


def test_the_background_was_heard_too(tmp_path):
    """A store that is still there is described, of one that is gone the name and the hash."""
    store = make_store(wavs(tmp_path / "wavs", takes=1), tmp_path / "sounds")
    (tmp_path / "store.txt").write_text(f"{store.hash}\n{'b' * 64}\n")
    data = dataclasses.replace(experiment().data, store=str(store.path), background="gone/rain")
    words = card.sound(tmp_path, dataclasses.replace(experiment(), data=data))
    assert words.startswith(f"sounds (hash {store.hash[:16]}), {len(store)} clips")
    assert words.endswith(f"; background: rain (hash {'b' * 16})")


def test_the_table_holds_the_floors_and_the_differences_in_words():
    text = card.table(RECORDS)
    for wanted in (
        "### esc50",
        "0.123 [0.023, 0.223]",
        "| random | 0.100",
        "not shown to differ",
        "linear: p",
    ):
        assert wanted in text, wanted
    assert card.table([]) == ""


def test_of_one_measure_judged_twice_the_newest_stands():
    (found,) = card.indexed([record(value=0.4, protocol="old"), record(value=0.6, protocol="new")], "mine")
    assert [m["value"] for m in found["metrics"]] == [0.6]
