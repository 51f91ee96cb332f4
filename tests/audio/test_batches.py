"""Batches are a function of (seed, step), whatever the threads, hosts and the step they start from."""

import threading
import time

import numpy as np
import pytest
import soundfile

from ssl_audio.audio.batches import Batches, prefetch
from ssl_audio.audio.build import build
from ssl_audio.audio.store import Clip, Store

LENGTHS = [50, 7, 20, 33, 20, 1, 90, 64, 21, 19, 40]  # around the 20 samples of a row


class Made(Store):
    """A store in memory: sample j of clip i is 100 i + j, so that every sample tells where it came from."""

    def __init__(self, lengths, codes=None):
        self.path, self.rate, self.hash, self.columns = None, 16_000, "made", ("label",)
        self.lengths = np.array(lengths, np.int64)
        self._label = np.arange(len(lengths), dtype=np.int32) % 3 if codes is None else codes

    def __getitem__(self, at):
        i, start, length = at
        return (100 * i + np.arange(start, min(start + length, self.lengths[i]))).astype(np.int16)

    def codes(self, column):
        return self._label


def made(**changed):
    return Batches(Made(LENGTHS), **{"samples": 20, "batch": 4, "seed": 3} | changed)


def equal(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype
        np.testing.assert_array_equal(one[name], other[name])


def test_shapes_types_and_labels():
    batch = made(labels="label")[5]
    assert {k: (v.shape, v.dtype.name) for k, v in batch.items()} == {
        "wave": ((4, 20), "int16"),
        "valid": ((4,), "int32"),
        "index": ((4,), "int32"),
        "label": ((4,), "int32"),
    }
    np.testing.assert_array_equal(batch["label"], batch["index"] % 3)
    assert all(v.flags.writeable and v.flags.owndata for v in batch.values())


def test_same_seed_and_step_same_batch_in_any_order_of_asking():
    one, other = made(), made()
    forward = [one[step] for step in range(12)]
    for step in (11, 0, 7, 3, 7):
        equal(other[step], forward[step])


def test_seeds_epochs_and_steps_differ():
    order = lambda seed, steps: np.concatenate([made(seed=seed)[s]["index"] for s in steps])
    assert (order(0, range(11)) != order(1, range(11))).any()
    four_epochs = order(0, range(11)).reshape(4, 11)
    assert len({tuple(epoch) for epoch in four_epochs}) == 4


@pytest.mark.parametrize("batch", [1, 4, 11, 30])  # 30: a batch holds two epochs and more
def test_each_epoch_visits_every_clip_once(batch):
    batches = made(batch=batch)
    index = np.concatenate([batches[step]["index"] for step in range(-(-33 // batch))])[:33]
    for epoch in index.reshape(3, 11):
        assert sorted(epoch.tolist()) == list(range(11))


def test_subset_gives_only_its_clips_by_their_number_in_the_store():
    subset = np.array([9, 2, 6])
    index = np.concatenate([made(subset=subset)[step]["index"] for step in range(3)])
    assert [sorted(e.tolist()) for e in index.reshape(4, 3)] == [[2, 6, 9]] * 4


def test_rows_are_pieces_of_their_clip_and_short_ones_are_looped_or_padded():
    for short in ("loop", "pad"):
        batches = made(short=short, batch=11)
        for step in range(5):
            batch = batches[step]
            for wave, valid, clip in zip(batch["wave"], batch["valid"], batch["index"], strict=True):
                length, place = LENGTHS[clip], wave.astype(int) - 100 * clip
                if length >= 20:
                    assert valid == 20
                    np.testing.assert_array_equal(place, place[0] + np.arange(20))
                    assert 0 <= place[0] <= length - 20
                elif short == "loop":
                    assert valid == 20
                    np.testing.assert_array_equal(place, np.arange(20) % length)
                else:
                    assert valid == length
                    np.testing.assert_array_equal(place[:length], np.arange(length))
                    assert not wave[length:].any()


def test_crop_starts_are_uniform_over_every_place():
    batches = Batches(Made([13]), samples=10, batch=1000, seed=0)  # places 0, 1, 2, 3
    starts = np.concatenate([batches[step]["wave"][:, 0] for step in range(10)])
    count = np.bincount(starts, minlength=4)
    chi2 = ((count - 2500.0) ** 2 / 2500.0).sum()
    assert len(count) == 4
    assert chi2 < 16.3, count  # 3 degrees of freedom: 0.999 quantile


def test_crops_of_one_clip_differ_between_steps_and_rows():
    batches = Batches(Made([30_000]), samples=10, batch=8, seed=0)
    starts = np.concatenate([batches[step]["wave"][:, 0] for step in range(4)])
    assert len(set(starts.tolist())) > 28


def test_a_host_makes_exactly_its_rows():
    batches = made(batch=6, labels="label")
    for step in range(5):
        whole = batches[step]
        for rows in (slice(0, 2), slice(2, 6), slice(5, 6), slice(None)):
            equal(batches.at(step, rows), {name: whole[name][rows] for name in whole})


@pytest.mark.parametrize("threads", [0, 1, 4])
@pytest.mark.parametrize("hosts", [1, 2])
def test_prefetch_is_the_same_whatever_the_threads_and_hosts(threads, hosts):
    batches = made(batch=6)
    shares = [list(prefetch(batches, 2, 9, threads=threads, hosts=hosts, host=h)) for h in range(hosts)]
    assert [len(share) for share in shares] == [7] * hosts
    for step, parts in zip(range(2, 9), zip(*shares, strict=True), strict=True):
        equal({k: np.concatenate([p[k] for p in parts]) for k in parts[0]}, batches[step])


def test_resuming_is_a_slice_of_never_having_stopped():
    whole = list(prefetch(made(), 0, 10, threads=2))
    for now, before in zip(prefetch(made(), 6, 10, threads=3), whole[6:], strict=True):
        equal(now, before)
    assert list(prefetch(made(), 10, 10)) == []


def test_prefetch_stops_early_and_tells_errors():
    before = threading.active_count()
    running = prefetch(made(), 0, 10**6, threads=2)
    next(running)
    running.close()
    for _ in range(100):  # its threads finish the batch in hand
        if threading.active_count() <= before:
            break
        time.sleep(0.1)
    assert threading.active_count() <= before

    broken = made()
    broken.store.lengths = broken.store.lengths[:1]  # what reading a clip that is gone looks like
    with pytest.raises(IndexError):
        list(prefetch(broken, 0, 4, threads=2))


def test_a_golden_order_so_that_an_old_run_resumes_the_same_with_a_later_version():
    # printed by this code when it was written (numpy 2.4.6); Philox's stream and SeedSequence are to stay
    batch = made(seed=7)[3]
    assert batch["index"].tolist() == [6, 5, 0, 1]
    assert batch["wave"][:, 0].tolist() == [662, 500, 4, 100]


def test_wrong_arguments_are_told():
    for changed, word in [
        ({"samples": 0}, "samples=0"),
        ({"batch": 0}, "batch=0"),
        ({"seed": -1}, "seed=-1"),
        ({"subset": np.array([], int)}, "no clips"),
        ({"subset": np.array([11])}, "clip 11"),
        ({"subset": np.array([-1])}, "clip -1"),
    ]:
        with pytest.raises(ValueError, match=word):
            made(**changed)
    with pytest.raises(ValueError, match="no samples"):
        Batches(Made([5, 0]), samples=2, batch=1, seed=0)
    with pytest.raises(ValueError, match="step -1"):
        made()[-1]
    for wrong in ({"hosts": 3}, {"hosts": 2, "host": 2}):
        with pytest.raises(ValueError, match="shared out"):
            prefetch(made(), 0, 1, **wrong)
    with pytest.raises(ValueError, match="range"):
        prefetch(made(), 2, 1)


def test_from_a_store_on_disk(tmp_path):
    clips = []
    for i, length in enumerate([400, 90, 1000]):
        wave = (1000 * i + np.arange(length)).astype(np.int16)
        soundfile.write(tmp_path / f"{i}.wav", wave, 16_000)
        clips.append(Clip(tmp_path / f"{i}.wav", labels={"kind": "ab"[i % 2]}))
    build(clips, tmp_path / "store", workers=1)
    store = Store(tmp_path / "store")
    kinds = store.values("kind")
    for batch in prefetch(Batches(store, samples=200, batch=4, seed=0, labels="kind"), 0, 5, threads=2):
        for wave, i, label in zip(batch["wave"], batch["index"], batch["label"], strict=True):
            clip = np.asarray(store[i])
            places = np.lib.stride_tricks.sliding_window_view(np.resize(clip, max(len(clip), 200)), 200)
            assert (places == wave).all(axis=1).any()
            assert store.names("kind")[label] == kinds[i]


# --- a second store beneath ---

NOISES = [15, 40, 20]  # samples: one to be repeated, one to be cropped, one that just fits


def with_background(**changed):
    below = Made(NOISES)
    return made(background=below, **changed)


def test_background_is_pieces_of_another_store_and_changes_nothing_else():
    for step in range(4):
        batch, plain = with_background(batch=50)[step], made(batch=50)[step]
        background = batch.pop("background")
        equal(batch, plain)
        assert background.shape == (50, 20) and background.dtype == np.int16
        for row in background.astype(int):
            clip = row[0] // 100
            places = row - 100 * clip
            assert 0 <= places[0] <= max(NOISES[clip] - 20, 0)
            np.testing.assert_array_equal(places, (places[0] + np.arange(20)) % NOISES[clip])


def test_background_clips_and_places_are_uniform_and_independent_of_the_sound():
    batches = Batches(Made([13]), samples=10, batch=1000, seed=0, background=Made([13, 13]))
    found = [batches[step] for step in range(10)]
    sound, below = (np.concatenate([b[k][:, 0] for b in found]) for k in ("wave", "background"))
    count = np.zeros((4, 2, 4))  # place of the sound, clip and place of the background
    np.add.at(count, (sound, below // 100, below % 100), 1)
    chi2 = ((count - 10_000 / 32) ** 2 / (10_000 / 32)).sum()
    assert chi2 < 61.1, count  # 31 degrees of freedom: 0.999 quantile


def test_background_is_a_function_of_seed_and_step_on_any_host_from_any_start():
    whole = list(prefetch(with_background(batch=6), 0, 6, threads=2))
    for step, batch in enumerate(whole):
        equal(with_background(batch=6)[step], batch)
    assert (with_background(batch=6, seed=4)[0]["background"] != whole[0]["background"]).any()
    assert (whole[0]["background"] != whole[1]["background"]).any()
    shares = [prefetch(with_background(batch=6), 3, 6, threads=1, hosts=2, host=h) for h in range(2)]
    for batch, *parts in zip(whole[3:], *shares, strict=True):
        equal({k: np.concatenate([p[k] for p in parts]) for k in batch}, batch)


def test_a_background_that_does_not_fit_is_refused():
    slow = Made(NOISES)
    slow.rate = 8000
    with pytest.raises(ValueError, match="8000 Hz for sound at 16000 Hz"):
        made(background=slow)
    for lengths in ([], [5, 0]):
        with pytest.raises(ValueError, match="no samples"):
            made(background=Made(lengths))
