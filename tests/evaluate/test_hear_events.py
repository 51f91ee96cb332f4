"""HEAR's probe of events: what it trains on and in which order, what it chooses by, what is recorded."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_detection import FIXED, FOLDS, GROUPS, LABELS, TASK, clips, framed, table

from ssl_audio.evaluate import detection, judging
from ssl_audio.evaluate.detection import judge
from ssl_audio.evaluate.events import Timing, by_event
from ssl_audio.evaluate.protocols import hear, hear_events

POINTS = [hear.Point(1, 3.2e-3, True), hear.Point(1, 1e-4, False)]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(hear, "HIDDEN", 16)
    monkeypatch.setattr(hear, "BATCH", 512)
    monkeypatch.setattr(hear, "EPOCHS", 20)
    monkeypatch.setattr(hear, "drawn", lambda: POINTS)
    hear_events.train.clear_cache()
    yield
    hear_events.train.clear_cache()


def test_what_is_heard_is_found_and_noise_is_not():
    events = clips()
    right = framed(events, 0.2)
    shuffled = right._replace(x=right.x[np.random.default_rng(1).permutation(len(right.x))])
    systems = {"ours": right, "shuffled": shuffled}
    task = replace(TASK, timing=Timing(every=5))
    records, _ = judge(task, events, FOLDS, GROUPS, systems, strengths=(0.1,), more=("hear",))
    by = table(records)
    assert by["ours", "HEAR compat onset F1"]["value"] > 0.8
    assert by["shuffled", "HEAR compat onset F1"]["value"] < 0.3
    record = by["ours", "HEAR compat onset F1"]
    assert record["ci95"][0] <= record["value"] <= record["ci95"][1]
    assert record["chosen"]["rate"] == pytest.approx(3.2e-3) and record["chosen"]["0, least"] in (0.125, 0.25)
    assert record["protocol"].startswith("HEAR compat's probe, mean over folds")


def test_a_batch_has_frames_in_a_row_and_training_is_that_of_clips(monkeypatch):
    """Whole clips follow one another, as the kit's files; from there on it is HEAR's training."""
    events, seen = clips(1), []
    frames = framed(events, 0.5)
    real = hear_events.train

    def spy(state, x, y, *rest, **more):
        seen.append((state, x, y, rest, more, real(state, x, y, *rest, **more)))
        return seen[-1][-1]

    spy.clear_cache = real.clear_cache
    monkeypatch.setattr(hear_events, "train", spy)
    found, _ = hear_events.predict(
        frames, events, FOLDS, GROUPS, timing=Timing(every=10), test=("3",), points=POINTS[:1]
    )
    state, x, y, (key, done, rate), more, _ = seen[0]
    assert len(x) % 300 == 0
    order = []
    for start in range(0, len(x), 300):
        (i,) = [
            i for i in range(24)
            if (np.asarray(x[start : start + 300]) == frames.x[300 * i : 300 * i + 300]).all()
        ]  # fmt: skip
        order.append(i)
        times = frames.times[300 * i : 300 * i + 300]
        np.testing.assert_array_equal(y[start : start + 300], detection.active(events[i], times, LABELS))
    assert sorted(order) != order and not set(FOLDS[order]) & {"3"}
    assert set(found) == set(np.flatnonzero(FOLDS == "3"))
    # an epoch is hear.step on batches of 512 in that order
    net, opt = state
    assert int(done) == 0 and more == {"count": 10, "several": True, "form": "compat"}
    epoch = jax.jit(hear.epochs, static_argnames=("count", "several", "form"))(
        state, x, y, key, jnp.int32(0), rate, count=1, several=True, form="compat"
    )
    keys = jax.random.split(jax.random.fold_in(key, 0), len(x) // 512)
    for b in range(len(x) // 512):
        rows = slice(512 * b, 512 * b + 512)
        net, opt = hear.step(net, opt, x[rows], y[rows], keys[b], rate, True)
    last = jax.random.fold_in(jax.random.fold_in(key, 0), len(x) // 512)
    net, opt = hear.step(net, opt, x[512 * (b + 1) :], y[512 * (b + 1) :], last, rate, True)
    # a bias before batch normalisation has no gradient but rounding: compared by statistics of the batch
    ours, theirs = (hear.forward(n, x[:512], jax.random.key(0))[0] for n in (epoch[0], net))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("form, looks", [("compat", 2 + 3 * 1), ("strict", 4 * 2)])
def test_a_point_is_chosen_once_or_in_each_fold(monkeypatch, form, looks):
    fitted = []
    init = hear.init
    monkeypatch.setattr(hear, "init", lambda *a: fitted.append(1) or init(*a))
    events = clips(2)
    found, chosen = hear_events.predict(
        framed(events), events, FOLDS, GROUPS, timing=Timing(every=10), form=form, points=POINTS
    )
    assert len(fitted) == looks and sorted(found) == list(range(24))
    assert ("rate" in chosen) == (form == "compat")


def test_nothing_is_chosen_by_the_tested_clips():
    events = clips(3)
    frames = framed(events, 0.5)
    other = list(events)
    for i in np.flatnonzero(FOLDS == "3"):
        other[i] = [event._replace(label="a") for event in events[i]]
    made = [
        hear_events.predict(frames, some, FOLDS, GROUPS, timing=Timing(every=10), test=("3",), points=POINTS)
        for some in (events, other)
    ]
    assert made[0] == made[1]


def test_the_best_look_counts_and_twenty_worse_end_it(monkeypatch):
    """Validation scores that rise to the third look: its network and its least duration are tested."""
    monkeypatch.setattr(hear, "EPOCHS", 100)
    monkeypatch.setattr(hear, "PATIENCE", 4)
    scores = iter([0.1, 0.2, 0.3, 0.3, 0.6, 0.5, *[0.4] * 100])  # two durations a look
    monkeypatch.setattr(hear_events, "f1", lambda *a: next(scores))
    events, looks = clips(4), []
    real = hear_events.train
    spy = lambda *a, **k: looks.append(real(*a, **k)) or looks[-1]
    spy.clear_cache = real.clear_cache
    monkeypatch.setattr(hear_events, "train", spy)
    frames = framed(events, 0.5)
    timing = Timing(every=1)
    found, chosen = hear_events.predict(
        frames, events, FOLDS, GROUPS, timing=timing, test=("3",), points=POINTS[:1]
    )
    assert len(looks) == 3 + 4 and chosen["test, least"] == 0.125
    i = int(np.flatnonzero(FOLDS == "3")[0])
    rows = slice(300 * i, 300 * i + 300)
    p = jax.nn.sigmoid(hear.forward(looks[2][0], jnp.asarray(frames.x[rows]))[0])
    assert found[i] == hear_events.from_frames(np.asarray(p), frames.times[rows], LABELS, 0.5, 0.25, 0.125)


def test_the_mean_over_folds():
    events = clips(5)
    found = judge(TASK, events, FOLDS, GROUPS, {"x": framed(events, 0.8)}, strengths=(0.01,))[1]["x"]
    each = detection.counts(events, found, LABELS, GROUPS)
    names = np.unique(GROUPS)
    parts = [np.isin(names, GROUPS[FOLDS == f]) for f in "0123"]
    mean = detection.over(np.ones((1, len(names)), np.int64), each, parts)
    by_hand = [
        by_event(*([some[i] for i in np.flatnonzero(FOLDS == f)] for some in (events, found)), LABELS, 0.2).f1
        for f in "0123"
    ]
    assert mean[0] == pytest.approx(np.mean(by_hand)) and 0 < mean[0] < 1
    one = np.zeros((1, len(names)), np.int64)
    one[0, np.flatnonzero(parts[2])] = 1  # only groups of one fold are drawn: it alone counts
    assert detection.over(one, each, parts)[0] == pytest.approx(by_hand[2])


def test_other_probes_are_refused():
    task = replace(FIXED, kind="events")
    judging.fits(task, ("hear", "hear-strict"), "none")
    with pytest.raises(ValueError, match="x-ares can't be measured"):
        judging.fits(task, ("hear", "x-ares"), "none")
