"""Embeddings of a store: every clip in its place, whatever its length; kept beside the checkpoint."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile
from toys import FRONTEND, RATE, experiment, make_store, started

from ssl_audio import embeddings
from ssl_audio.checkpoint import Checkpoints
from ssl_audio.config import digest, save_run
from ssl_audio.embed import by_state, embed, logmel, restore
from ssl_audio.embeddings import Embeddings, Windows, compute, pieces
from ssl_audio.encoders import ViT
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
    monkeypatch.setattr(embeddings, "WINDOW", 0.5)


@pytest.fixture(scope="module")
def alone():
    """What the encoder says of one wave without any padding."""
    graph, state = started(CHOSEN)
    net = encoder(CHOSEN, graph, jax.device_put(state))
    return lambda wave: np.asarray(net.embed(FRONTEND(jnp.asarray(wave, jnp.float32)[None] / 2**15)))[0]


def test_pieces_cover_every_sample_once(mixed):
    seen = {i: np.zeros(n, int) for i, n in enumerate(LENGTHS)}
    shapes = set()
    for piece in pieces(mixed, 4000, 3):
        shapes.add(piece.wave.shape)
        for clip, begin, row, n in zip(*piece, strict=True):
            if clip >= 0:
                np.testing.assert_array_equal(mixed[int(clip), int(begin), 4000], row[:n])
                seen[int(clip)][begin : begin + n] += 1
                assert not row[n:].any()
    assert all((s == 1).all() for s in seen.values())
    assert {b for b, _ in shapes} == {3} and max(t for _, t in shapes) == 4000
    chosen = np.zeros(len(mixed), bool)
    chosen[[1, 4]] = True
    assert {int(c) for piece in pieces(mixed, 4000, 3, chosen) for c in piece.clips} == {-1, 1, 4}


def test_pieces_can_be_skipped_and_be_of_one_length(mixed):
    all_of_them = list(pieces(mixed, 4000, 3))
    later = list(pieces(mixed, 4000, 3, skip=2))
    assert len(later) == len(all_of_them) - 2
    for a, b in zip(later, all_of_them[2:], strict=True):
        assert (a.clips == b.clips).all() and (a.wave == b.wave).all()
    for piece in pieces(mixed, 4000, 3, exact=True):
        assert (piece.clips >= 0).all() and set(piece.valid) == {piece.wave.shape[1]}


def test_every_clip_is_embedded_as_if_alone(mixed, alone):
    """Order, padding and windows: a long clip is the mean of its windows, weighted by their lengths."""
    graph, state = started(CHOSEN)
    x = by_state(CHOSEN, graph, jax.device_put(state), mixed).x
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
    found = embed(run, mixed)
    name = found.about["checkpoint"]
    assert name.startswith("3-")
    (folder,) = (p for p in (run / "embeddings").iterdir() if p.is_dir())
    assert name in folder.name and mixed.hash[:16] in folder.name
    assert sorted(p.name for p in folder.iterdir()) == ["about.json", "x.npy"]
    with monkeypatch.context() as patch:
        patch.setattr(embeddings, "_computed", lambda *a, **k: pytest.fail("embedded twice"))
        again = embed(run, mixed)
    np.testing.assert_array_equal(found.x, again.x)
    random = embed(run, mixed, random=True)
    assert random.about["checkpoint"].startswith("random-0-")
    np.testing.assert_allclose(random.x, found.x, rtol=1e-5)  # this run was never trained
    with monkeypatch.context() as patch:  # the network's code has changed
        patch.setattr("ssl_audio.provenance.code", lambda *rooms: "another")
        assert embed(run, mixed).about["code"] == "another"
    heads = dataclasses.replace(CHOSEN, method=dataclasses.replace(CHOSEN.method, temperature=0.7))
    assert digest((heads.encoder, heads.method)) != found.about["network"]  # the same arrays, another network
    with Checkpoints(run, CHOSEN) as checkpoints:  # training went on: a new checkpoint, new embeddings
        state = jax.device_put(started(CHOSEN)[1])
        checkpoints.save(4, dataclasses.replace(state, params=jax.tree.map(lambda p: p * 1.1, state.params)))
    newer = embed(run, mixed)
    assert newer.about["checkpoint"].startswith("4-") and not np.allclose(newer.x, found.x)


def level(wave, valid):
    """Embeddings to check by hand: mean and greatest value."""
    return np.stack([wave.sum(1) / valid, wave.max(1)], 1).astype(np.float32)


def by_hand(store, samples=4000):
    cuts = [[store[i, b, samples] for b in range(0, n, samples)] for i, n in enumerate(LENGTHS)]
    each = [np.array([[c.mean(), max(c.max(), 0)] for c in clip]) for clip in cuts]
    weight = [np.array([len(c) for c in clip]) for clip in cuts]
    return np.array([w @ e / w.sum() for w, e in zip(weight, each, strict=True)])


def test_on_disk_is_as_in_memory_and_killed_it_goes_on(mixed, tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "SAVED", -1.0)
    np.testing.assert_allclose(compute(level, mixed, {}, batch=3).x, by_hand(mixed), rtol=1e-5, atol=1e-3)
    calls = []

    def dies(wave, valid):
        calls.append(len(wave))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return level(wave, valid)

    with pytest.raises(KeyboardInterrupt):
        compute(dies, mixed, {"a": 1}, tmp_path / "kept", batch=3)
    assert not (tmp_path / "kept").exists()

    def counted(wave, valid):
        calls.append(len(wave))
        return level(wave, valid)

    total = len(list(pieces(mixed, 4000, 3)))
    before = len(calls)
    found = compute(counted, mixed, {"a": 1}, tmp_path / "kept", batch=3)
    assert len(calls) - before == total - 2  # of three that were begun one had not been fetched
    np.testing.assert_allclose(found.x, by_hand(mixed), rtol=1e-5, atol=1e-3)
    assert not list(tmp_path.glob("*.part"))
    compute(counted, mixed, {"a": 1}, tmp_path / "kept", batch=3)
    assert len(calls) - before == total - 2  # taken as they lie
    compute(counted, mixed, {"a": 2}, tmp_path / "kept", batch=3)
    assert len(calls) - before == 2 * total - 2  # something else made them


def test_what_another_began_is_begun_anew(mixed, tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "SAVED", -1.0)

    def dies(wave, valid):
        if list(tmp_path.glob("kept.part/left.json")):
            raise KeyboardInterrupt
        return level(wave, valid)

    with pytest.raises(KeyboardInterrupt):
        compute(dies, mixed, {}, tmp_path / "kept", batch=3)
    found = compute(lambda w, v: 2 * level(w, v), mixed, {"other": 1}, tmp_path / "kept", batch=3)
    np.testing.assert_allclose(found.x, 2 * by_hand(mixed), rtol=1e-5, atol=1e-3)


def test_float16_says_when_it_is_too_small(mixed):
    assert compute(level, mixed, {}, dtype="float16").x.dtype == np.float16
    with pytest.raises(ValueError, match="float32"), np.errstate(over="ignore"):
        compute(lambda w, v: 1e6 * level(w, v), mixed, {}, dtype="float16")


def test_longer_clips_must_have_as_many_numbers(mixed, tmp_path):
    for folder in (None, tmp_path / "made"):
        with pytest.raises(ValueError, match="give as many of each"):
            compute(lambda w, v: w[:, ::500].astype(np.float32), mixed, {}, folder, exact=True)


def test_windows_are_counted_clip_by_clip(mixed):
    first, lengths, begins = Windows.of(mixed, 4000)
    for i, n in enumerate(LENGTHS):
        mine = slice(first[i], first[i + 1])
        assert begins[mine].tolist() == list(range(0, n, 4000)) and lengths[mine].sum() == n


def test_frames_have_times_and_layers_their_place(mixed, tmp_path):
    """Frames of a long clip go on from window to window; their mean is the embedding of a short one."""
    chosen = experiment("SimCLR", encoder=ViT(width=12, depth=2, heads=2, patch=(4, 8)))
    graph, state = started(chosen)
    state = jax.device_put(state)
    x = by_state(chosen, graph, state, mixed).x
    found = by_state(chosen, graph, state, mixed, what="frames", folder=tmp_path / "frames")
    assert found.x.shape[1] == x.shape[1]
    layers = by_state(chosen, graph, state, mixed, what="layers").x
    assert layers.shape == (len(LENGTHS), 2, x.shape[1])
    np.testing.assert_allclose(layers[:, -1], x, rtol=1e-4, atol=1e-5)
    for i, n in enumerate(LENGTHS):
        frames, times = found.frames(i)
        if n <= 4000:
            np.testing.assert_allclose(frames.mean(0), x[i], rtol=1e-4, atol=1e-5)
        assert len(frames) == len(times) and (np.diff(times) > 0).all() and times[-1] < n / RATE + 0.05
        # a patch is of 4 frames: its middle is that of frames 1 and 2
        assert times[0] == pytest.approx(1.5 * FRONTEND.hop / RATE)
        # evenly from window to window, for these are of whole patches
        np.testing.assert_allclose(np.diff(times), 4 * FRONTEND.hop / RATE, rtol=1e-9)
    same = Embeddings.open(tmp_path / "frames")
    np.testing.assert_array_equal(same.frames(6)[0], found.frames(6)[0])
    with pytest.raises(ValueError, match="ask for frames"):
        by_state(chosen, graph, state, mixed).frames(0)
    with pytest.raises(ValueError, match="no layers"):
        by_state(CHOSEN, *started(CHOSEN), mixed, what="layers")


def test_many_devices_embed_as_one(mixed):
    graph, state = started(CHOSEN)
    state = jax.device_put(state)
    one, eight = (by_state(CHOSEN, graph, state, mixed, devices=d).x for d in (jax.devices()[:1], None))
    assert jax.device_count() == 8
    np.testing.assert_allclose(one, eight, rtol=1e-4, atol=1e-5)


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


def test_the_rest_of_a_long_clip_is_never_too_short_for_a_network(tmp_path):
    """0.5 s windows of 1.01 s leave 80 samples: padded to a quarter of a second, and of little weight."""
    (tmp_path / "wavs").mkdir()
    rng = np.random.default_rng(0)
    for i, n in enumerate((8080, 8003, 4000)):
        soundfile.write(tmp_path / "wavs" / f"{i}.wav", 0.1 * rng.standard_normal(n), RATE)
    store = make_store(tmp_path / "wavs", tmp_path / "store")
    assert {piece.wave.shape[1] for piece in pieces(store, 4000, 3)} == {2000, 4000}
    assert {n for piece in pieces(store, 4000, 3) for n in piece.valid if n < 2000} == {3, 80}
    graph, state = started(CHOSEN)
    assert np.isfinite(by_state(CHOSEN, graph, jax.device_put(state), store).x).all()
    assert np.isfinite(logmel(CHOSEN, store)).all()


def test_a_damaged_mark_of_what_is_left_begins_anew(mixed, tmp_path, monkeypatch):
    part = tmp_path / "kept.part"
    for mark in ("", "[{}, 2]", '[{"seconds": 0.5, "dtype": "float32", "batch": 3}, 2]'):  # rows are missing
        part.mkdir()
        (part / "left.json").write_text(mark)
        found = compute(level, mixed, {}, tmp_path / "kept", batch=3)
        np.testing.assert_allclose(found.x, by_hand(mixed), rtol=1e-5, atol=1e-3)
        shutil.rmtree(tmp_path / "kept")
