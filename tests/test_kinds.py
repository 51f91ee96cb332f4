"""A run judged on tasks of every kind: numbers, pairs, events; by its layers and frames."""

import types

import jax
import numpy as np
import pytest
import soundfile
from toys import FRONTEND, RATE, experiment, started

from ssl_audio import pretrain, report
from ssl_audio.audio.scan import scan
from ssl_audio.audio.store import Clip
from ssl_audio.checkpoint import Checkpoints
from ssl_audio.config import save_run
from ssl_audio.embed import logmel_frames
from ssl_audio.encoders import ViT
from ssl_audio.evaluate import leaderboard
from ssl_audio.evaluate.protocols import attentive, hear, superb

CHOSEN = experiment("MAE", encoder=ViT(width=16, depth=2, heads=2, patch=(8, 8)))
PITCH = {"low": 300.0, "high": 1500.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory, tones):
    """A run that was never trained, of a transformer."""
    folder = tmp_path_factory.mktemp("kinds") / "run"
    save_run(folder, CHOSEN, None)
    (folder / "store.txt").write_text("0123456789abcdef0\n")
    with Checkpoints(folder, CHOSEN) as checkpoints:
        checkpoints.save(3, jax.device_put(started(CHOSEN)[1]))
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "kinds-cache"))


def corpus(clips, **more):
    return types.SimpleNamespace(clips=lambda: clips, LICENCE="CC0", **more)


def tone(hz, seconds, rng):
    t = np.arange(int(seconds * RATE)) / RATE
    return 0.4 * np.sin(2 * np.pi * hz * t + rng.uniform()) + 0.01 * rng.standard_normal(len(t))


def test_numbers_pairs_layers_and_frames(tmp_path, run, tones, monkeypatch):
    for module, name, value in ((superb, "STEPS", 40), (superb, "EVERY", 20), (attentive, "EPOCHS", 3)):
        monkeypatch.setattr(module, name, value)
    clips = [
        Clip(
            path=clip.path,
            labels={"octave": f"{i % 6}", "speaker": f"s{i % 6}", "digit": f"{i // 6}"},
            fold=f"{i // 12}",
            group=f"{i}",
            name=f"{i}.wav",
        )
        for i, clip in enumerate(sorted(scan(tones), key=lambda clip: str(clip.path)[::-1]))
    ]
    corpora = {name: corpus(clips) for name in ("gm_instruments", "fsdd")}
    tasks = ("gm/height", "fsdd/verification", "gm/octave")
    with pytest.raises(ValueError, match="gm/height: superb can't be measured"):
        pretrain.evaluate(run, ("gm/octave", "gm/height"), tmp_path / "none", corpora, ("superb",))
    assert not (tmp_path / "none").exists()  # before anything is judged
    records = pretrain.evaluate(run, tasks[:2], tmp_path, corpora)
    records += pretrain.evaluate(run, tasks[2:], tmp_path, corpora, ("superb", "attentive"))
    table = {(r["task"], r["system"], r["metric"]) for r in records}
    for name in (CHOSEN.name, "random", "logmel"):
        assert {("gm/height", name, "R2"), ("fsdd/verification", name, "EER")} <= table
        inside = {("gm/octave", name, f"{title} accuracy") for title in ("SUPERB", "attentive")}
        assert inside <= table if name != "logmel" else not inside & table
    layers = next(r for r in records if r["metric"] == "SUPERB accuracy")["chosen"]
    assert len(layers) == 2 and sum(layers.values()) == pytest.approx(1)
    assert "fsdd/verification (EER)" in report.headline(tmp_path)
    with pytest.raises(ValueError, match="one class each"):
        pretrain.evaluate(run, ("fsdd/verification",), tmp_path, corpora, page=True)


def test_events(tmp_path, run, monkeypatch):
    """Mixtures of two pitches; a network at random and the log-mel spectrogram both hear them."""
    monkeypatch.setattr(hear, "EPOCHS", 20)
    monkeypatch.setattr(hear, "drawn", lambda: hear.GRID[:1])
    rng, clips, notes = np.random.default_rng(0), [], {}
    for i, split in enumerate(("train", "train", "train", "valid", "valid", "test", "test", "test")):
        wave, at, mine = 0.01 * rng.standard_normal(int(6 * RATE)), 0.5, []
        while at < 5:
            label, seconds = ("low", "high")[int(rng.integers(2))], rng.uniform(0.4, 0.8)
            start = int(at * RATE)
            part = tone(PITCH[label], seconds, rng)
            wave[start : start + len(part)] += part
            mine.append((at, at + seconds, label))
            at += seconds + rng.uniform(0.4, 0.8)
        soundfile.write(tmp_path / f"{i}.wav", wave, RATE)
        notes[f"{i}.wav"] = mine
        labels = {"event": "high|low", "hear_split": split}
        clips.append(Clip(path=tmp_path / f"{i}.wav", labels=labels, fold="dev", name=f"{i}.wav"))
    clips.append(Clip(path=tmp_path / "0.wav", labels={"event": "low", "hear_split": ""}, name="single"))
    corpora = {"dcase2016_task2": corpus(clips, events=lambda clip: notes[clip.name])}
    records = pretrain.evaluate(run, ("dcase2016_task2",), tmp_path / "results", corpora, more=("hear",))
    table = {(r["system"], r["metric"]): r for r in records}
    assert table["logmel", "onset F1"]["value"] > 0.8
    assert table["logmel", "segment error rate"]["value"] < 0.3
    own = table[CHOSEN.name, "onset F1"]
    assert own["n"] == 3 and own["groups"] == 3 and own["model"].startswith("3-")
    assert own["value"] == pytest.approx(table["random", "onset F1"]["value"])  # it was never trained
    assert (f"{CHOSEN.name} - logmel", "onset F1 difference") in table
    published = table["logmel", "HEAR compat onset F1"]
    assert published["value"] > 0.5 and published["chosen"]["test, least"] in (0.125, 0.25)
    assert "would be number" in leaderboard.beside(published)


def test_frames_of_the_log_mel_stand_where_the_sound_is(tmp_path):
    from ssl_audio.audio.build import build
    from ssl_audio.audio.store import Store

    wave = np.zeros(2 * RATE)
    wave[RATE : RATE + 800] = tone(1000.0, 0.1, np.random.default_rng(0))
    soundfile.write(tmp_path / "one.wav", wave, RATE)
    build(scan(tmp_path), tmp_path / "store", rate=RATE, workers=1)
    found = logmel_frames(CHOSEN, Store(tmp_path / "store"))
    x, times = found.frames(0)
    loud = times[x.max(1) > x.max() - 3]
    assert x.shape[1] == FRONTEND.mels and loud.min() == pytest.approx(1.0, abs=0.02)
    assert loud.max() == pytest.approx(1.1, abs=0.02)


def test_every_number_is_seen_on_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    base = {"task": "gm/octave", "ci95": [0.25, 0.75], "n": 36, "seed": 0}
    titles = ("EVAR compat", "MARBLE compat", "BEANS compat", "attentive", "", "knn", "kmeans nmi", "SUPERB")
    records = [
        base | {"system": system, "metric": f"{title} accuracy".strip(), "value": i / 1000 + 0.1 * (j + 1)}
        for j, system in enumerate(("a-name-of-some-length", "random"))
        for i, title in enumerate(titles)
    ]
    pretrain.show(records)
    shown = capsys.readouterr().out
    assert "…" not in shown and all(f"{r['value']:.3f}" in shown for r in records)
    assert shown.count("gm/octave, 36 clips") == 2
