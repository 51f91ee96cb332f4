"""The loop: resuming is never having stopped; stops, faults and alarms say what they are."""

import dataclasses
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import METHODS, experiment, make_store, same_bits, wavs

from ssl_audio.audio.batches import Batches
from ssl_audio.checkpoint import Checkpoints
from ssl_audio.config import View, tiny
from ssl_audio.embed import restore
from ssl_audio.evaluate.collapse import look
from ssl_audio.methods import SimCLR
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import (
    Crop,
    FrequencyShift,
    Gain,
    MixupLogExp,
    Noise,
    RandomResizeCrop,
    SpecAugment,
)
from ssl_audio.signal.waves import StoreBackground
from ssl_audio.train import Diverged, Keys, alike, fresh, start, train, trim

ROOT = Path(__file__).parents[1]
QUIET = {"say": lambda text: None}
# views so unlike that without a predictor the cheapest agreement is to say the same of all
HARD = View(
    wave=(Crop(1000), Gain(6.0), Noise((-10.0, 0.0))),
    spec=(MixupLogExp(0.6), RandomResizeCrop(), SpecAugment(8, 8), FrequencyShift(8)),
)


def one_device():
    return jax.devices()[:1]


def brief(method="BYOLA", /, **changes):
    """Twelve steps; saves at 4, 8, 12."""
    optim = changes.pop("optim", Optim(steps=12, rate=3e-3, warmup=2))
    return experiment(method, **({"optim": optim, "save_every": 4, "watch_every": 6} | changes))


def lines(run):
    """metrics.jsonl without the clock."""
    read = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "clips_per_second")} for line in read]


@pytest.fixture(scope="module")
def whole(store, tmp_path_factory):
    """An uninterrupted run: its folder, last state and messages."""
    run, said = tmp_path_factory.mktemp("whole") / "run", []
    _, state = train(brief(), store, run, look=look, say=said.append, devices=one_device())
    return run, state, said


def test_what_a_run_leaves(whole):
    run, state, said = whole
    found = lines(run)
    assert not said
    assert [x["step"] for x in found if "loss" in x] == list(range(1, 13))
    assert [x["step"] for x in found if "rankme" in x] == [0, 6, 12]
    assert {"loss", "rate", "grad_norm", "target_std"} <= set(found[1])
    np.testing.assert_allclose([x["rate"] for x in found if "loss" in x][:3], [0, 1.5e-3, 3e-3], rtol=1e-5)
    raw = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    assert sorted(x["seconds"] for x in raw) == [x["seconds"] for x in raw]
    assert int(state.step) == 12
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["12", "8"]


@pytest.mark.parametrize("at", [2, 7])
def test_resumed_is_uninterrupted_bit_for_bit(whole, store, tmp_path, at):
    """A crash between two saves (at 2 there is none yet), then the same call."""
    said = []

    def crash(line):
        if line["step"] == at:
            raise OSError("a crash")

    with pytest.raises(OSError, match="a crash"):
        train(brief(), store, tmp_path, look=look, log=crash, devices=one_device(), **QUIET)
    _, state = train(brief(), store, tmp_path, look=look, say=said.append, devices=one_device())
    assert [s for s in said if "resuming" in s] == (
        [] if at == 2 else [f"resuming {tmp_path} at step 4 of 12"]
    )
    assert same_bits(state, whole[1])
    assert lines(tmp_path) == lines(whole[0])
    # finished: once more trains nothing and changes nothing
    _, again = train(brief(), store, tmp_path, look=look, devices=one_device(), **QUIET)
    assert same_bits(again, state) and lines(tmp_path) == lines(whole[0])


def test_damaged_newest_checkpoint_is_named_and_passed_over(whole, store, tmp_path):
    run, said = shutil.copytree(whole[0], tmp_path / "run"), []
    big = max(
        (f for f in (run / "checkpoints" / "12").rglob("*") if f.is_file()), key=lambda f: f.stat().st_size
    )
    big.write_bytes(big.read_bytes()[:-200])
    _, state = train(brief(), store, run, look=look, say=said.append, devices=one_device())
    assert "12 is damaged" in said[0] and "at step 8 of 12" in said[1]
    assert same_bits(state, whole[1]) and lines(run) == lines(whole[0])
    with Checkpoints(run, brief()) as checkpoints:  # step 12 was saved anew
        found = checkpoints.restore(state, warn=said.append)
    assert found[0] == 12 and len(said) == 2


@dataclasses.dataclass(frozen=True)
class Poisoned(SimCLR):
    """Not a number as soon as a clip is in the batch: in its loss, or in its gradient only."""

    clip: int = 0
    gradient_only: bool = False

    def loss(self, net, views, batch, key):
        loss, logs = super().loss(net, views, batch, key)
        hit = jnp.any(batch["index"] == self.clip)
        if self.gradient_only:  # the root's slope at 0 is infinite
            return loss + jnp.sqrt(
                jnp.where(hit, 0.0, 1.0) * jnp.sum(net.project.down.kernel[...] ** 2)
            ), logs
        return jnp.where(hit, jnp.nan, loss), logs


@pytest.mark.parametrize("gradient_only", [False, True])
def test_nan_stops_the_run_and_names_step_and_checkpoint(store, tmp_path, gradient_only):
    batches = Batches(store, samples=2400, batch=16, seed=0)
    clip = int(
        batches[2]["index"][0]
    )  # 36 clips, 16 a batch: the first of the last four appears in the third step
    assert clip not in batches[0]["index"] and clip not in batches[1]["index"]
    chosen = brief(
        "SimCLR", method=Poisoned(hidden=32, width=16, clip=clip, gradient_only=gradient_only), save_every=1
    )
    word = "grad_norm" if gradient_only else "loss"
    with pytest.raises(Diverged, match=f"{word} is nan at step 3; last good checkpoint: step 2 in"):
        train(chosen, store, tmp_path, devices=one_device(), **QUIET)
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["1", "2"]
    with Checkpoints(tmp_path, chosen) as checkpoints:
        _, state = checkpoints.restore(start(chosen)[1])
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state))


@pytest.mark.parametrize("predictor", [True, False])
def test_collapse_is_seen(store, tmp_path, predictor):
    """BYOL without its predictor collapses, behind an encoder that looks alive, and the alarm goes."""
    method = dataclasses.replace(METHODS["BYOLA"]["method"], predictor=predictor)
    optim = Optim(steps=80, rate=1e-2, cosine=False)
    chosen = brief(
        method=method, views=(HARD, HARD), optim=optim, watch_every=40, save_every=1000, log_every=40
    )
    train(chosen, store, tmp_path, look=look, devices=one_device(), **QUIET)
    looks = [x for x in lines(tmp_path) if "collapse" in x]
    assert (looks[0]["collapse"], looks[-1]["collapse"]) == (False, not predictor), looks
    assert looks[-1]["embedding_std"] > 0.1
    spread = [x["target_std"] for x in lines(tmp_path) if "target_std" in x]
    assert (spread[-1] > 0.1) == predictor, spread


@pytest.mark.parametrize("method", ["BYOLA", "MAE"])
def test_bfloat16_stays_finite_and_close(method, store, tmp_path, whole):
    chosen = brief(method, precision="bfloat16", optim=Optim(steps=4, rate=3e-3), save_every=100)
    with jax.numpy_dtype_promotion("standard"):  # flax normalises bfloat16 by float32 statistics
        _, state = train(chosen, store, tmp_path, look=look, devices=one_device(), **QUIET)
    assert {x.dtype for x in jax.tree.leaves(state)} == {np.dtype("float32"), np.dtype("int32")}
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state))
    losses = [x["loss"] for x in lines(tmp_path) if "loss" in x]
    assert len(losses) == 4 and np.isfinite(losses).all()
    if method == "BYOLA":
        full = next(x["loss"] for x in lines(whole[0]) if "loss" in x)
        assert losses[0] != full
        np.testing.assert_allclose(losses[0], full, rtol=0.03)


def test_online_knn_only_where_labels_are(store, tmp_path):
    chosen = brief(watch_label="label", optim=Optim(steps=1, rate=1e-3))
    train(chosen, store, tmp_path, look=look, devices=one_device(), **QUIET)
    assert all(0 <= x["online_knn"] <= 1 for x in lines(tmp_path) if "rankme" in x)


def test_what_train_refuses(store, tmp_path):
    chosen = brief()
    with pytest.raises(ValueError, match="sampled at 8000 Hz, but the frontend takes 16000"):
        train(
            dataclasses.replace(chosen, frontend=dataclasses.replace(chosen.frontend, rate=16000)),
            store,
            tmp_path,
        )
    with pytest.raises(ValueError, match="can't be shared by 8 devices"):
        train(dataclasses.replace(chosen, data=dataclasses.replace(chosen.data, batch=12)), store, tmp_path)


def test_a_run_with_a_background_resumes_bit_for_bit(store, tmp_path):
    below = make_store(wavs(tmp_path / "wavs", takes=1, seconds=0.5, seed=9), tmp_path / "below")
    view = View(wave=(Crop(2000), StoreBackground((0.0, 5.0))))
    chosen = brief(
        "SimCLR", views=(view, view), optim=Optim(steps=5, warmup=2), save_every=2, watch_every=9, log_every=5
    )
    with pytest.raises(ValueError, match=r"set data\.background"):
        train(chosen, store, tmp_path / "none", devices=one_device(), **QUIET)
    chosen = dataclasses.replace(chosen, data=dataclasses.replace(chosen.data, background=str(below.path)))
    _, whole = train(chosen, store, tmp_path / "run", devices=one_device(), **QUIET)
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "5")  # what a crash after step 4 leaves
    _, state = train(chosen, store, tmp_path / "run", devices=one_device(), **QUIET)
    assert same_bits(state, whole)


def test_a_run_that_refits_resumes_bit_for_bit(store, tmp_path):
    """Saved at the very step at which it clusters, the resumed run clusters again and alike."""
    method = dataclasses.replace(METHODS["DeepCluster"]["method"], every=2, batches=2)
    chosen = brief("DeepCluster", method=method, optim=Optim(steps=5, warmup=2), save_every=2, watch_every=9)
    _, whole = train(chosen, store, tmp_path, devices=one_device(), **QUIET)
    curve = [x["loss"] for x in lines(tmp_path) if "loss" in x]
    shutil.rmtree(tmp_path / "checkpoints" / "5")  # what a crash after step 4 leaves
    _, state = train(chosen, store, tmp_path, devices=one_device(), **QUIET)
    assert same_bits(state, whole)
    assert [x["loss"] for x in lines(tmp_path) if "loss" in x] == curve
    none = dataclasses.replace(method, every=100)  # clusters before the first step only
    _, once = train(
        dataclasses.replace(chosen, method=none), store, tmp_path / "once", devices=one_device(), **QUIET
    )
    assert not same_bits(once, whole)


@pytest.mark.parametrize("method", ["BYOLA", "DeepCluster"])
def test_devices_share_out_a_large_state(method, store, tmp_path, monkeypatch):
    """Each holds a share of weights, teacher and optimiser; nothing else changes, and one device goes on."""
    chosen = brief(method, optim=Optim(steps=4, warmup=2), save_every=2, watch_every=2)
    train(chosen, store, tmp_path / "whole", devices=one_device(), look=look, **QUIET)
    monkeypatch.setattr("ssl_audio.train.SHARE", 0)
    _, state = train(chosen, store, tmp_path / "shared", devices=jax.devices()[:4], look=look, **QUIET)
    for tree in (state.params, state.frozen, state.opt):
        arrays = [x for x in jax.tree.leaves(tree) if x.size >= 16]
        held = sum(x.addressable_shards[0].data.size for x in arrays)
        assert held <= 0.3 * sum(x.size for x in arrays)
    shutil.rmtree(tmp_path / "shared" / "checkpoints" / "4")
    train(chosen, store, tmp_path / "shared", devices=one_device(), look=look, **QUIET)
    for one, two in zip(lines(tmp_path / "whole"), lines(tmp_path / "shared"), strict=True):
        assert one == pytest.approx(two, rel=2e-3, abs=1e-5)


def test_trim(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert trim(path, 3) == 0.0
    text = "".join(json.dumps({"step": s, "seconds": s * 1.5}) + "\n" for s in (1, 2, 3, 4))
    path.write_text(text + '{"step": 5, "sec')  # cut by a kill
    assert trim(path, 3) == 4.5
    assert [json.loads(x)["step"] for x in path.read_text().splitlines()] == [1, 2, 3]
    assert trim(path, 0) == 0.0 and path.read_text() == ""


# --- real processes ---

FILE = '''"""Written by a test."""
from toys import experiment as make
from ssl_audio.optim import Optim
from ssl_audio.signal.augment import (
    Crop,
    FrequencyShift,
    Gain,
    MixupLogExp,
    Noise,
    RandomResizeCrop,
    SpecAugment,
)
experiment = make("BYOLA", optim=Optim(steps={steps}, rate=3e-3, warmup=5), save_every=10, watch_every=25)
'''
STEPS = 300


def environment() -> dict:
    """One real device, and no setting of the tests' own but the compilation cache."""
    kept = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    return kept | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    }


def spawn(file, run, store, *more, **env):
    code = "from ssl_audio.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        code,
        "train",
        str(file),
        "--data.store",
        str(store.path),
        "--run",
        str(run),
        *more,
    ]
    pipe = subprocess.PIPE
    env = environment() | env
    return subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True, cwd=file.parent)


def stop_at(process, run, step, number):
    """Send a signal as soon as metrics.jsonl holds a step; what the process said and its exit code."""
    metrics, deadline = run / "metrics.jsonl", time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        found = re.findall(r'"step": (\d+)', metrics.read_text()) if metrics.exists() else []
        if found and int(found[-1]) >= step:
            process.send_signal(number)
            break
        time.sleep(0.002)
    out, err = process.communicate(timeout=120)
    return out, err, process.returncode


def test_killed_and_stopped_processes_resume_bit_for_bit(store, tmp_path):
    """kill -9 twice at random, SIGTERM, Ctrl-C, on to the end: losses and weights as if never stopped."""
    file, run, reference = tmp_path / "killed.py", tmp_path / "run", tmp_path / "reference"
    file.write_text(FILE.format(steps=STEPS))
    other = spawn(file, reference, store)
    dice = random.Random(time.time_ns())
    points = [
        dice.randrange(15, 60),
        dice.randrange(75, 120),
        dice.randrange(135, 180),
        dice.randrange(195, 240),
    ]
    signals = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT]
    for point, number in zip(points, signals, strict=True):
        out, err, code = stop_at(spawn(file, run, store), run, point, number)
        story = f"{number.name} at {point} of {points}: exit {code}\n{out}\n{err}"
        if number == signal.SIGKILL:
            assert code == -signal.SIGKILL, story
            continue
        assert code == (0 if number == signal.SIGTERM else 1), story
        stopped = int(re.search(r"stopped at step (\d+) of", out)[1])
        assert (run / "checkpoints" / str(stopped)).is_dir(), story
        assert "Traceback" not in err, story
        if number == signal.SIGINT:
            assert "the same command goes on" in err, story
    out, err = spawn(file, run, store).communicate(timeout=120)
    assert f"resuming {run} at step {stopped}" in out.replace("\n", ""), out + err
    out, err = other.communicate(timeout=120)
    assert other.returncode == 0, out + err
    assert lines(run) == lines(reference), points
    (_, _, one, name), (_, _, two, same) = restore(run), restore(reference)
    assert name == same and same_bits(one, two)
    assert int(one.step) == STEPS


def test_two_hosts_train_as_two_devices_of_one_do(store, tmp_path):
    """Two processes on loopback, one folder: the first writes and speaks; run again, both go on."""
    file, run, reference = tmp_path / "hosts.py", tmp_path / "run", tmp_path / "reference"
    file.write_text(FILE.format(steps=8))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    for said in ("done: ", "resuming "):
        told = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2"}
        both = [spawn(file, run, store, "--distributed", **told, JAX_PROCESS_ID=str(i)) for i in range(2)]
        (out, err), (other, fault) = (process.communicate(timeout=240) for process in both)
        assert [process.returncode for process in both] == [0, 0], err + fault
        assert said in out and "step" not in other
    two = spawn(file, reference, store, XLA_FLAGS="--xla_force_host_platform_device_count=2")
    assert two.wait(240) == 0, two.communicate()[1]
    ours, theirs = ([line["loss"] for line in lines(folder) if "loss" in line] for folder in (run, reference))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    assert int(restore(run)[2].step) == 8


def test_a_start_that_failed_is_no_run(store, tmp_path):
    """The corrected command isn't refused as another experiment's."""
    from ssl_audio import pretrain

    chosen = tiny(brief("MAE", data=dataclasses.replace(brief().data, store=str(store.path))))
    wrong = dataclasses.replace(chosen, frontend=dataclasses.replace(chosen.frontend, rate=2 * store.rate))
    with pytest.raises(ValueError, match="sampled at"):
        pretrain.run(wrong, tmp_path)
    pretrain.run(chosen, tmp_path)
    assert lines(tmp_path)[-1]["step"] == 6


def test_pieces_for_a_look_are_of_one_size():
    rows = np.arange(70)[:, None]
    parts = alike(rows, 32)
    assert [len(part) for part in parts] == [24, 24, 24]
    np.testing.assert_array_equal(np.concatenate(parts)[:70], rows)
    assert len(alike(rows[:64], 64)) == 1


def test_a_run_remembers_its_experiment_and_store(store, tmp_path):
    from ssl_audio import pretrain

    chosen = tiny(
        brief("SimCLR", data=dataclasses.replace(brief().data, store=str(store.path)), views=(View(), View()))
    )
    run = tmp_path / "run"
    pretrain.run(chosen, run)
    with pytest.raises(ValueError, match=r"another experiment \(optim.rate: 0.003 there, 0.1 here\)"):
        pretrain.run(dataclasses.replace(chosen, optim=dataclasses.replace(chosen.optim, rate=0.1)), run)
    with pytest.raises(ValueError, match=r"another experiment .frontend\.mean"):
        pretrain.run(
            dataclasses.replace(chosen, frontend=dataclasses.replace(chosen.frontend, mean=-9.0)), run
        )
    other = make_store(wavs(tmp_path / "wavs", takes=2, seed=1), tmp_path / "store")
    with pytest.raises(ValueError, match="has changed since"):
        pretrain.run(
            dataclasses.replace(chosen, data=dataclasses.replace(chosen.data, store=str(other.path))), run
        )
    with pytest.raises(ValueError, match="no store given"):
        pretrain.run(
            dataclasses.replace(chosen, data=dataclasses.replace(chosen.data, store="")), tmp_path / "x"
        )
    unfitted = dataclasses.replace(chosen, frontend=dataclasses.replace(chosen.frontend, mean=0.0, std=1.0))
    fitted = pretrain.fitted(unfitted, store).frontend
    assert fitted.std > 0.5 and fitted.mean < -1
    assert pretrain.fitted(chosen, store) is chosen


def test_weights_are_drawn_as_by_flax(monkeypatch):
    chosen = experiment("MAE")
    drawn = lambda: jax.jit(lambda: fresh(chosen))().params
    ours = drawn()
    monkeypatch.setattr("ssl_audio.train.Keys", nnx.Rngs)
    jax.tree.map(np.testing.assert_array_equal, ours, drawn())
    keys = Keys(0)
    assert jax.random.key_data(keys.dropout()).tolist() != jax.random.key_data(Keys(0).params()).tolist()
