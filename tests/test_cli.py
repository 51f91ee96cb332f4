"""The command line as people use it: from a folder to judged embeddings, help, errors in one line."""

import csv
import fcntl
import json
import os
import re
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toys import RATE, TONES

from ssl_audio import __version__, cli, outside, pretrain
from ssl_audio.audio.scan import scan
from ssl_audio.datasets.fetch import cache
from ssl_audio.evaluate.tasks import Task

FILE = '''"""The test's experiment."""
import dataclasses
from toys import experiment as make
experiment = make("SimCLR", frontend=dataclasses.replace(make().frontend, mean=0.0, std=1.0), name="own")
'''


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """In a folder of its own, with a cache of its own, and jax's settings left alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(cli, "compilation_cache", lambda: None)
    Path("own.py").write_text(FILE)
    return tmp_path


def fault(*args) -> str:
    """What people read when it goes wrong: one line, no traceback."""
    with pytest.raises(SystemExit) as left:
        cli.main(list(args))
    assert isinstance(left.value.code, str)
    assert left.value.code.startswith("ssl-audio") and "\n" not in left.value.code
    return left.value.code


def test_usage_and_version(capsys):
    for args in ([], ["--help"], ["-h"]):
        cli.main(args)
        text = capsys.readouterr().out
        assert all(re.search(rf"^  {verb} ", text, re.M) for verb in cli.VERBS)
    cli.main(["--version"])
    assert capsys.readouterr().out.strip() == f"ssl-audio {__version__}"


def test_the_verbs():
    verbs = {"quickstart", "store", "train", "embed", "evaluate", "report", "features", "gallery"}
    verbs |= {"plan", "bench", "labels", "tasks", "compare", "clusters", "audit", "card"}
    assert verbs == set(cli.VERBS)


@pytest.mark.parametrize("verb", cli.VERBS)
def test_help_of_each_verb(verb, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main([verb, *(["own.py"] if verb in ("train", "plan") else []), "--help"])
    assert left.value.code in (0, None)
    text = capsys.readouterr().out
    assert f"usage: ssl-audio {verb}" in text
    if verb == "train":
        for option in (
            "--data.store",
            "--optim.steps",
            "--tiny",
            "--run",
            "--track",
            "--seed",
            "--precision",
        ):
            assert option in text, option


def test_errors_of_store(tones):
    Path("empty").mkdir()
    assert "no sound files under it" in fault("store", "empty", "--out", "s")
    Path("bad").mkdir()
    Path("bad/a.wav").write_bytes(b"not a sound")
    assert "a.wav: not a sound file" in fault("store", "bad", "--out", "s")
    assert "no such folder" in fault("store", "nowhere", "--out", "s")
    assert "--part bats is of data sets" in fault("store", "bad", "--part", "bats", "--out", "s")
    assert "this data set has no parts" in fault("store", "gm_instruments", "--part", "x", "--out", "s")
    assert "'x': no set of beans; it has watkins" in fault("store", "beans", "--part", "x", "--out", "s")
    assert not Path("s/manifest.json").exists()


def test_errors_of_train_and_after(tones):
    assert "no such experiment file" in fault("train", "nowhere.py")
    Path("wrong.py").write_text("x = 1")
    assert "sets `experiment" in fault("train", "wrong.py")
    assert "no store given" in fault("train", "own.py")
    assert "no store here" in fault("train", "own.py", "--data.store", "nowhere")
    cli.main(["store", str(tones), "--out", "fast", "--rate", "16000", "--workers", "1"])
    assert "16000 Hz" in fault("train", "own.py", "--data.store", "fast", "--tiny")
    assert "no store here" in fault("embed", "nowhere", "--store", "nowhere")
    assert "no run here" in fault("embed", "nowhere", "--store", "fast")
    assert "isn't a task" in fault("evaluate", "nowhere", "--tasks", "gm/shoe-size")
    with pytest.raises(SystemExit, match="no verb 'trian'"):
        cli.main(["trian"])
    with pytest.raises(SystemExit, match="usage: ssl-audio train"):
        cli.main(["train", "--tiny"])


def speakers(folder: Path) -> Path:
    """Four digits by three speakers, five takes each, as a CSV: a corpus of the kind of FSDD."""
    rng, rows = np.random.default_rng(0), []
    time = np.arange(int(0.3 * RATE)) / RATE
    folder.mkdir()
    for digit, hz in enumerate(TONES[:4]):
        for speaker in range(3):
            for take in range(5):
                path = f"{digit}_{speaker}_{take}.wav"
                wave = 0.3 * np.sin(
                    2 * np.pi * hz * (1 + 0.05 * speaker) * time + take
                ) + 0.01 * rng.standard_normal(len(time))
                soundfile.write(folder / path, wave, RATE)
                rows.append(
                    {
                        "path": path,
                        "digit": digit,
                        "speaker": f"s{speaker}",
                        "fold": "test" if take < 2 else "train",
                        "group": f"s{speaker}",
                    }
                )
    with open(folder / "labels.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder / "labels.csv"


def test_from_a_folder_to_records(tones, capsys, monkeypatch):
    """store, train --tiny, embed, evaluate; each verb twice, as people do."""
    for known in ("known from before 0", "unchanged"):
        cli.main(["store", str(tones), "--out", "sounds", "--rate", str(RATE), "--workers", "1"])
        text = capsys.readouterr().out
        assert "36 clips" in text and known in text

    cli.main(["train", "own.py", "--data.store", "sounds", "--tiny", "--run", "run", "--seed", "3"])
    text = capsys.readouterr().out
    assert "step 6/6" in text and "done: run" in text
    left = json.loads(Path("run/experiment.json").read_text())
    assert left["seed"] == 3 and left["data"]["store"] == "sounds" and left["frontend"]["std"] > 1
    assert Path("run/experiment.py").read_text() == FILE
    metrics = Path("run/metrics.jsonl").read_text()
    cli.main(["train", "own.py", "--data.store", "sounds", "--tiny", "--run", "run", "--seed", "3"])
    assert "resuming run at step 6 of 6" in capsys.readouterr().out
    assert Path("run/metrics.jsonl").read_text() == metrics
    assert "another experiment (seed: 3 there, 4 here)" in fault(
        "train", "own.py", "--data.store", "sounds", "--tiny", "--run", "run", "--seed", "4"
    )

    capsys.readouterr()
    cli.main(["embed", "run", "--store", "sounds"])
    assert re.search(r"36 clips x \d+ numbers, by checkpoint 6-", capsys.readouterr().out)
    with np.load("run/sounds.npz") as kept:
        assert len(kept["x"]) == 36 and np.isfinite(kept["x"]).all()
        assert kept["label_label"].tolist() == [str(n).split("/")[0] for n in kept["name"]]
    cli.main(["embed", "run", "--store", "sounds", "--what", "frames"])  # beside the clips', not over them
    assert len(np.load("run/sounds-frames.npz")["x"]) > 36 and len(np.load("run/sounds.npz")["x"]) == 36
    cli.main(["embed", "run", "--store", "sounds", "--out", "elsewhere/any"])
    assert Path("elsewhere/any").is_file()
    cli.main(
        ["embed", "run", "--store", "sounds", "--what", "frames", "--dtype", "float16", "--out", "f.npz"]
    )
    assert re.search(r"\d+ frames of 36 clips", capsys.readouterr().out)
    with np.load("f.npz") as kept:
        assert len(kept["x"]) == len(kept["times"]) == kept["starts"][-1] and kept["x"].dtype == np.float16
    Path("mine.py").write_text(
        "import numpy as np\n\ndef f(wave, rate):\n    return np.stack([wave.std(1), wave.max(1)], 1)\n"
        "\ndef nothing(wave, rate):\n    return np.full((len(wave), 3), np.nan)\n"
    )
    cli.main(["embed", "--by", "mine:f", "--store", "sounds", "--out", "mine.parquet"])
    names, x = outside.read(Path("mine.parquet"))
    np.savez("few.npz", name=names[:-2], x=x[:-2])
    assert len(names) == 36 and x.shape == (36, 2) and (x > 0).all()
    assert not list(Path().glob(".mine*"))
    for given, said in (
        ((), "give a run's folder"),
        (("run", "--by", "mine:f"), "give a run's folder"),
        (("--by", "mine:f"), "needs --out"),
        (("--by", "mine:g", "--out", "g.npz"), "has no attribute"),
        (("--by", "mine:nothing", "--out", "g.npz"), "isn't finite"),
        (("--by", "mine:f", "--what", "layers", "--out", "g.npz"), "one vector a clip"),
        (("run", "--what", "layers"), "no layers"),
        (("run", "--what", "frames", "--out", "g.parquet"), "a row a clip"),
    ):
        assert said in fault("embed", *given, "--store", "sounds")

    cli.main(["evaluate", "run", "--store", "sounds", "--page"])
    records = json.loads(Path("results/own.json").read_text())
    (mine,) = [r for r in records if (r["system"], r["metric"]) == ("own", "accuracy")]
    assert (mine["task"], mine["n"]) == ("sounds/label", 36) and "folds drawn, 5 at most" in mine["protocol"]
    assert Path("run/sounds-label.html").stat().st_size > 10_000
    for verb in (
        ("evaluate", "run"),
        ("compare", "run", "mine.parquet"),
        ("labels", "run"),
        ("bench", "x.py"),
    ):
        assert "name tasks (`ssl-audio tasks` lists them), or a --store" in fault(*verb)
    assert "of a --store of your own" in fault("evaluate", "run", "--tasks", "esc50", "--label", "kind")
    assert "no column 'kind'" in fault("evaluate", "run", "--store", "sounds", "--label", "kind")
    assert "clips of the task have no embedding" in fault("evaluate", "few.npz", "--store", "sounds")
    cli.main(["evaluate", "mine.parquet", "--store", "sounds"])
    records = json.loads(Path("results/mine.json").read_text())
    (theirs,) = [r for r in records if (r["system"], r["metric"]) == ("mine", "accuracy")]
    assert (theirs["task"], theirs["data"], theirs["n"]) == (mine["task"], mine["data"], 36)
    cli.main(["compare", "run", "mine.parquet", "--store", "sounds", "--out", "both.json"])
    records = json.loads(Path("both.json").read_text())
    values = {r["system"]: r["value"] for r in records if r["metric"] == "accuracy"}
    assert values["run"] == pytest.approx(mine["value"]) and values["mine"] == pytest.approx(theirs["value"])
    assert "p (Holm)" in capsys.readouterr().out
    assert "one of them" in fault("labels", "run", "--store", "sounds", "--task", "esc50")
    with monkeypatch.context() as instead:  # it trains for minutes, and has tests of its own
        instead.setattr("ssl_audio.label_efficiency.run", lambda *given, **options: print(given, options))
        cli.main(["labels", "run", "--store", "sounds"])
    assert re.search(r"36 clips at 8000 Hz.*sounds/label.*sounds-labels\.json", capsys.readouterr().out)
    Path("several.py").write_text(FILE + "experiments = (experiment,)\ndel experiment\n")
    cli.main(["bench", "several.py", "--store", "sounds", "--steps", "4"])
    page = Path("results/sounds-several.md").read_text()
    assert "# several on sounds" in page and "Task sounds/label" in page
    assert json.loads(Path("runs/bench/sounds/own-0/experiment.json").read_text())["watch_label"] == "label"

    cli.main(["clusters", "run", "--store", "sounds", "--label", "label", "--out", "c.html"])
    assert "6 clusters" in capsys.readouterr().out
    page = Path("c.html").read_text()
    assert page.count("Cluster ") == 6 and 6 < page.count("<audio") <= 30 and "tone" in page
    with open("c.csv", newline="") as file:
        assert len({row["name"] for row in csv.DictReader(file)}) == 36
    assert "no column" in fault("clusters", "run", "--store", "sounds", "--label", "nothing")

    table = speakers(Path("spoken"))
    corpus = types.SimpleNamespace(clips=lambda: scan(table), LICENCE="CC BY-NC 3.0")
    monkeypatch.setattr("ssl_audio.datasets.corpora", lambda: {"fsdd": corpus})
    for more in ((), ("--page",)):  # the same measurement twice is one record
        cli.main(["evaluate", "run", "--tasks", "fsdd/digit", "fsdd/digit-loso", *more])
        records = json.loads(Path("results/own.json").read_text())
        found = [r for r in records if r["metric"] == "accuracy" and r["task"] == "fsdd/digit-loso"]
        assert sorted(r["system"] for r in found) == sorted(["own", "random", "logmel", "majority"])
    for record in found:
        assert record["n"] == 60 and record["groups"] == 3 and record["seed"] == 3
        assert record["model"].startswith("6-") and record["data"] and record["code"]
        assert re.fullmatch(r"sounds [0-9a-f]{16}", record["pretrained on"])  # and no path
    assert "note: fsdd: no commercial use (CC BY-NC 3.0)" in capsys.readouterr().out
    pages = [Path(f"run/fsdd-{name}.html").read_text() for name in ("digit", "digit-loso")]
    for page in pages:
        assert page.count("<audio") >= 12 and "Class by class" in page and "fsdd/digit" in page
    assert "a page is of a run" in fault("evaluate", "mine.parquet", "--tasks", "esc50", "--page")
    cli.main(["card", "run", "--licence", "cc0-1.0"])
    card = Path("run/README.md").read_text()
    for wanted in ('license: "cc0-1.0"', "sounds (hash", "36 clips", "8000 Hz", "### fsdd/digit-loso"):
        assert wanted in card, wanted
    assert all(f"{r['value']:.3f}" in card for r in found) and str(tones) not in card
    value = {r["system"]: r["value"] for r in found}
    assert value["majority"] == pytest.approx(0.25) and value["logmel"] > 0.9


def test_process_says_errors_without_a_traceback(here):
    code = "from ssl_audio.cli import main; main()"
    root = Path(cli.__file__).parents[1]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", code, "embed", "x", "--store", "y"], capture_output=True, text=True, env=env
    )
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        == "ssl-audio embed: y: no store here (no manifest.json); make one: ssl-audio store"
    )


def test_a_store_that_another_process_builds_is_waited_for(tones, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = cache() / "stores" / "toy-8000"
    path.mkdir(parents=True)
    task = Task("toy/tone", "toy", "label", "fold", None)
    corpora = {"toy": types.SimpleNamespace(clips=lambda: scan(tones))}
    pretrain.prepared(task, 8000, corpora)
    with open(path / ".lock", "a") as file, ThreadPoolExecutor() as pool:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = pool.submit(pretrain.prepared, task, 8000, corpora)
        with pytest.raises(TimeoutError):
            found.result(0.5)
        fcntl.flock(file, fcntl.LOCK_UN)
        assert len(found.result(60)) == 36
    assert capsys.readouterr().out.count("waiting for another process") == 1
