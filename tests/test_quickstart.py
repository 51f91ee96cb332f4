"""The quickstart from the embedded recordings to the report, in its tiny form."""

import json
import math
from html.parser import HTMLParser

import pytest


@pytest.fixture(scope="module")
def patch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def done(tmp_path_factory, patch):
    from ssl_audio import quickstart
    from ssl_audio.datasets import gm_instruments

    clips = gm_instruments.clips()[::4]  # all instruments and folds are still there
    patch.setattr(gm_instruments, "clips", lambda: clips)
    folder = tmp_path_factory.mktemp("quickstart") / "run"
    return folder, quickstart.run(folder, tiny=True)


def test_what_it_leaves(done):
    folder, result = done
    assert json.loads((folder / "result.json").read_text()) == json.loads(json.dumps(result))
    for name in ("experiment.json", "metrics.jsonl", "store/manifest.json", "report.html"):
        assert (folder / name).stat().st_size > 0, name
    assert any((folder / "checkpoints").iterdir()) and any((folder / "embeddings").iterdir())
    page = (folder / "report.html").read_text("utf-8")
    HTMLParser().feed(page)
    assert (
        "http://" not in page.replace("http://www.w3.org", "") and "<script src" not in page
    )  # self-contained


def test_result_has_what_a_number_needs(done):
    _, result = done
    assert {
        "experiment",
        "command",
        "seed",
        "seconds",
        "peak_memory_mib",
        "versions",
        "hashes",
        "records",
    } <= set(result)
    assert result["seconds"] > 0 and result["peak_memory_mib"] > 100
    assert {"python", "jax", "numpy"} <= set(result["versions"])
    for record in result["records"]:
        assert {
            "task",
            "system",
            "metric",
            "value",
            "ci95",
            "n",
            "seed",
            "protocol",
            "data",
            "model",
            "code",
        } <= set(record)
        low, high = record["ci95"]
        assert all(map(math.isfinite, (record["value"], low, high))) and low <= high
        assert record["n"] > 0 and record["seed"] == 0


def test_every_comparison_is_there(done):
    _, result = done
    found = {(r["task"], r["system"], r["metric"]) for r in result["records"]}
    for task in ("gm/family", "gm/octave"):
        for system in ("quickstart", "random", "logmel", "majority"):
            assert (task, system, "accuracy") in found
        for floor in ("random", "logmel", "majority"):
            assert (task, f"quickstart - {floor}", "accuracy difference") in found
        for metric in ("knn accuracy", "kmeans nmi", "kmeans ari", "kmeans accuracy"):
            assert (task, "quickstart", metric) in found
    assert any(metric == "auc" for _, _, metric in found)
    tuned = {system for task, system, _ in found if "10 labels" in task}
    assert tuned == {"fine-tuned", "from scratch", "fine-tuned - from scratch"}
