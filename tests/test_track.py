"""The offline run that wandb leaves, read back from its file."""

import json
import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ssl_audio.audio.build import build
from ssl_audio.audio.store import Clip, Store
from ssl_audio.config import Data, Experiment, to_json
from ssl_audio.encoders import AudioNTT
from ssl_audio.methods import SimCLR

wandb = pytest.importorskip("wandb", reason="wandb isn't installed")

from wandb.proto import wandb_internal_pb2  # noqa: E402

from ssl_audio import track  # noqa: E402


def records(folder: Path) -> list:
    """Records of an offline run, once its last is on disk: another process writes them in its own time."""
    wandb.teardown()
    deadline = time.monotonic() + 120
    while True:
        found = parsed(folder)
        if any(record.WhichOneof("record_type") == "exit" for record in found) or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def parsed(folder: Path) -> list:
    """Whole records of the file so far. It is LevelDB's log format: blocks of 32 KiB, of which the first
    begins with 7 bytes of header, in them chunks of crc (4 bytes), length (2), type (1: whole, 2: first,
    3: middle, 4: last).
    """
    (file,) = folder.glob("*.wandb")
    data, at, found, part = file.read_bytes(), 7, [], b""
    assert data[:4] in (b":W&B", b"")
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        if at + 7 + length > len(data):
            break
        part += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            found.append(wandb_internal_pb2.Record.FromString(part))
            part = b""
    return found


def history(found) -> dict[int, dict]:
    rows = {}
    for record in found:
        if record.WhichOneof("record_type") == "history":
            items = {(i.key or "/".join(i.nested_key)): json.loads(i.value_json) for i in record.history.item}
            rows[items["_step"]] = items
    return rows


@pytest.fixture
def experiment(tmp_path) -> Experiment:
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * rng.normal(size=1600), 16000)
    build([Clip(tmp_path / f"{n}.wav") for n in "abc"], tmp_path / "store", workers=1)
    data = Data(store=str(tmp_path / "store"))
    return Experiment("toy", SimCLR(), AudioNTT(channels=8), (), data=data, seed=7)


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """A user without account, whose home is empty, on a machine whose network leads nowhere."""
    for name in [n for n in os.environ if n.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NETRC", str(home / "none"))
    for name in ("CONFIG", "CACHE", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(home / name))
    monkeypatch.setenv("WANDB_X_DISABLE_STATS", "true")
    yield
    os.environ.pop("WANDB_ERROR_REPORTING", None)  # which track sets
    wandb.teardown()


def test_offline_run_read_back(tmp_path, experiment):
    run = tmp_path / "run"
    with track.wandb_log(run, experiment) as log:
        for step in (0, 10, 20):
            log({"step": step, "seconds": 0.5, "loss": 3.0 - step / 10})
            log({"step": step, "rankme": 5.0 + step, "collapse": False})
    (folder,) = (run / "wandb").glob("offline-run-*")
    found = records(folder)
    (about,) = [record.run for record in found if record.WhichOneof("record_type") == "run"]
    config = {item.key: json.loads(item.value_json) for item in about.config.update if item.key != "_wandb"}
    assert config == to_json(experiment)
    assert about.project == "ssl_audio" and about.display_name == "toy"
    assert about.run_id == (run / "wandb_id.txt").read_text().strip()
    rows = history(found)
    assert {step: (row["loss"], row["rankme"]) for step, row in rows.items()} == {
        0: (3.0, 5.0),
        10: (2.0, 15.0),
        20: (1.0, 25.0),
    }
    sounds = sorted(folder.glob("files/media/audio/*.wav"))
    assert len(sounds) == 3
    store = Store(experiment.data.store)
    kept = {soundfile.read(file, dtype="int16")[0].tobytes() for file in sounds}
    assert kept == {np.asarray(store[i]).tobytes() for i in range(3)}


def test_resuming_goes_on_with_the_same_run(tmp_path, experiment):
    run = tmp_path / "run"
    for step in (5, 10):
        with track.wandb_log(run, experiment) as log:
            log({"step": step, "loss": 1.0})
    ids = set()
    for folder in (run / "wandb").glob("offline-run-*"):
        ids |= {record.run.run_id for record in records(folder) if record.WhichOneof("record_type") == "run"}
    assert ids == {(run / "wandb_id.txt").read_text().strip()}


def test_the_users_mode_is_respected(monkeypatch, tmp_path):
    assert track.mode() == "offline"
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password x\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert track.mode() == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert track.mode() == "disabled"


def test_a_server_out_of_reach_is_no_obstacle(monkeypatch, tmp_path, experiment, capsys):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setattr(track.wandb, "init", refusing(track.wandb.init))
    with track.wandb_log(tmp_path / "run", experiment) as log:
        log({"step": 1, "loss": 1.0})
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*"))
    assert "not reached" in capsys.readouterr().out


def refusing(init):
    def made(mode, **options):
        if mode == "online":
            raise wandb.errors.CommError("no route to the server")
        return init(mode=mode, **options)

    return made
