"""Embeddings of a store: every clip in its place, whatever its length; kept beside the checkpoint."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile
from toys import FRONTEND, RATE, experiment, make_store, started

from ssl_audio import embed as module
from ssl_audio.checkpoint import Checkpoints
from ssl_audio.config import save_run
from ssl_audio.embed import by_state, embed, logmel, pieces, restore, write
from ssl_audio.train import encoder

LENGTHS = (2400, 9000, 2000, 2401, 5200, 2000, 13000, 2100)  # samples; some longer than the window of 4000
CHOSEN = experiment("SimCLR")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("mixed"), np.random.default_rng(0)
    for i, n in enumerate(LENGTHS):
        soundfile.write(folder / f"{i}.wav", 0.1 * (1 + i) * rng.uniform(-1, 1, n), RATE)
    return make_store(folder, folder / "store")


@pytest.fixture(autouse=True)
def short_window(monkeypatch):
    monkeypatch.setattr(module, "WINDOW", 0.5)


@pytest.fixture(scope="module")
def alone():
    """What the encoder says of one wave without any padding."""
    graph, state = started(CHOSEN)
    net = encoder(CHOSEN, graph, jax.device_put(state))
    return lambda wave: np.asarray(net.embed(FRONTEND(jnp.asarray(wave, jnp.float32)[None] / 2**15)))[0]


def test_pieces_cover_every_sample_once(mixed):
    seen = {i: np.zeros(n, int) for i, n in enumerate(LENGTHS)}
    shapes = set()
    for clips, wave, valid in pieces(mixed, 4000, 3):
        shapes.add(wave.shape)
        for clip, row, n in zip(clips, wave, valid, strict=True):
            if clip >= 0:
                (at,) = [
                    b
                    for b in range(0, LENGTHS[clip], 4000)
                    if np.array_equal(mixed[int(clip), b, 4000], row[:n])
                ]
                seen[int(clip)][at : at + n] += 1
                assert not row[n:].any()
    assert all((s == 1).all() for s in seen.values())
    assert {b for b, _ in shapes} == {3} and max(t for _, t in shapes) == 4000
    chosen = np.zeros(len(mixed), bool)
    chosen[[1, 4]] = True
    assert {int(c) for clips, _, _ in pieces(mixed, 4000, 3, chosen) for c in clips} == {-1, 1, 4}


def test_every_clip_is_embedded_as_if_alone(mixed, alone):
    """Order, padding and windows: a long clip is the mean of its windows, weighted by their lengths."""
    graph, state = started(CHOSEN)
    x = by_state(CHOSEN, graph, jax.device_put(state), mixed)
    assert x.shape == (len(LENGTHS), 16) and x.dtype == np.float32
    for i, n in enumerate(LENGTHS):
        cuts = [mixed[i, b, 4000] for b in range(0, n, 4000)]
        cuts = [(c, len(c)) for c in cuts if len(c) >= 640]  # below 8 frames the encoder refuses a wave alone
        if sum(n for _, n in cuts) == n:
            expected = sum(alone(c) * n for c, n in cuts) / n
            np.testing.assert_allclose(x[i], expected, rtol=1e-3, atol=1e-4)


def test_logmel_floor_is_the_statistics_of_each_clip(mixed):
    x = logmel(CHOSEN, mixed)
    assert x.shape == (len(LENGTHS), 32)
    for i in (0, 2, 3):
        raw = np.asarray(FRONTEND.raw(jnp.asarray(mixed[i], jnp.float32)[None] / 2**15))[0]
        np.testing.assert_allclose(x[i], np.concatenate([raw.mean(0), raw.std(0)]), rtol=1e-3, atol=1e-3)


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    save_run(folder, CHOSEN, None)
    with Checkpoints(folder, CHOSEN) as checkpoints:
        checkpoints.save(3, jax.device_put(started(CHOSEN)[1]))
    return folder


def test_cache_is_hit_by_the_same_and_missed_by_another(run, mixed, monkeypatch):
    x, name = embed(run, mixed)
    assert name.startswith("3-")
    (file,) = (run / "embeddings").iterdir()
    assert name in file.name and mixed.hash[:16] in file.name
    with monkeypatch.context() as patch:
        patch.setattr(module, "by_state", lambda *a, **k: pytest.fail("embedded twice"))
        again, same = embed(run, mixed)
    assert same == name
    np.testing.assert_array_equal(x, again)
    with Checkpoints(run, CHOSEN) as checkpoints:  # training went on: a new checkpoint, new embeddings
        state = jax.device_put(started(CHOSEN)[1])
        checkpoints.save(4, dataclasses.replace(state, params=jax.tree.map(lambda p: p * 1.1, state.params)))
    newer, name = embed(run, mixed)
    assert name.startswith("4-") and not np.allclose(newer, x)
    assert len(list((run / "embeddings").iterdir())) == 2


def test_errors_are_told(tmp_path, mixed):
    with pytest.raises(FileNotFoundError, match="no run here"):
        restore(tmp_path)
    save_run(tmp_path, CHOSEN, None)
    with pytest.raises(FileNotFoundError, match="no finished checkpoint"):
        restore(tmp_path)
    other = dataclasses.replace(CHOSEN, frontend=dataclasses.replace(FRONTEND, rate=16000))
    for wrong in (lambda: by_state(other, *started(CHOSEN), mixed), lambda: logmel(other, mixed)):
        with pytest.raises(ValueError, match=r"sampled at 8000 Hz.*--rate 16000"):
            wrong()


def test_write_takes_any_name_and_leaves_nothing_else(tmp_path):
    for name in ("x.npz", "plain"):
        write(tmp_path / "new" / name, x=np.arange(3))
        with np.load(tmp_path / "new" / name) as kept:
            np.testing.assert_array_equal(kept["x"], np.arange(3))
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["plain", "x.npz"]
