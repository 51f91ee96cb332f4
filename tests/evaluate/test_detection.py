"""Events from frames: measures with intervals, the floor, what is chosen and on what, what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ssl_audio.evaluate import Task, detection, linear
from ssl_audio.evaluate.detection import Frames, judge
from ssl_audio.evaluate.events import Event, Timing, by_event, by_segment
from ssl_audio.evaluate.folds import splits

TASK = Task("toy", "none", "event", note="toys")
FIXED = Task("toy", "none", "event", test=("3",))
LABELS = ["a", "b", "c"]
HOP = 0.02
GROUPS = (np.arange(24) // 2).astype(str)
FOLDS = (np.arange(24) // 2 % 4).astype(str)


def clips(seed=0, shortest=0.5):
    """Events of 24 clips of 6 s, in every other second one or none of each class, at 10 ms precision."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(24):
        each = []
        for second in (0, 2, 4):
            for label in np.array(LABELS)[rng.random(3) < 0.5]:
                onset = second + rng.integers(15, 30) / 100
                each.append(Event(onset, onset + rng.integers(100 * shortest, 62) / 100, str(label)))
        out.append(sorted(each))
    return out


def framed(events, noise=0.0, seed=0):
    """Frames that are which classes sound, and noise."""
    times = np.tile((np.arange(300) + 0.5) * HOP, len(events))
    x = np.zeros((len(times), 3))
    for i, each in enumerate(events):
        for onset, offset, label in each:
            now = times[300 * i : 300 * i + 300]
            x[300 * i : 300 * i + 300][(now >= onset) & (now < offset), LABELS.index(label)] = 1
    x += noise * np.random.default_rng(seed).standard_normal(x.shape)
    return Frames(x.astype(np.float32), np.arange(len(events) + 1) * 300, times)


def table(records):
    return {(r["system"], r["metric"]): r for r in records}


@pytest.mark.parametrize("task, strengths", [(TASK, (0.1, 1.0)), (FIXED, linear.STRENGTHS)])
def test_perfect_frames_are_right_and_shuffled_ones_are_not(task, strengths):
    """Of all C none ranks them wrongly; the one that is taken must also find them at the threshold."""
    events = clips()
    right = framed(events)
    order = np.random.default_rng(1).permutation(len(right.x))
    systems = {"ours": right, "shuffled": right._replace(x=right.x[order])}
    records, found = judge(task, events, FOLDS, GROUPS, systems, "ours", 0, {"data": "abc"}, strengths)
    json.dumps(records, allow_nan=False)
    by = table(records)
    assert len(by) == len(records) == 3 * 3 + 2
    assert all(r["data"] == "abc" and r["n"] == len(found["ours"]) and r["protocol"] for r in records)
    assert by["ours", "onset F1"]["value"] == by["ours", "segment F1"]["value"] == 1
    assert by["ours", "segment error rate"]["value"] == 0
    assert by["ours", "onset F1"]["groups"] == (12 if task is TASK else 3)
    assert by["shuffled", "onset F1"]["value"] <= by["majority", "onset F1"]["value"] + 0.05 < 0.5
    for floor in ("shuffled", "majority"):
        record = by[f"ours - {floor}", "onset F1 difference"]
        assert record["value"] == pytest.approx(1 - by[floor, "onset F1"]["value"])
        assert record["ci95"][0] > 0 and record["p"] < 0.01
        assert record["best_floor"] == (floor == "majority")


def test_found_events_begin_within_a_frame_or_two_of_the_true_ones():
    """Times of events are of 10 ms, frames of 20 ms; an event has the frames whose middle is within it."""
    times = (np.arange(4) + 0.5) * HOP  # 10, 30, 50, 70 ms
    on = detection.active([Event(0.01, 0.05, "a"), Event(0.06, 0.07, "b")], times, LABELS)
    np.testing.assert_array_equal(on, [[1, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]])
    events = clips(1)
    _, found = judge(TASK, events, FOLDS, GROUPS, {"ours": framed(events)}, strengths=(1.0,))
    for wanted, given in zip(events, found["ours"], strict=True):
        assert [e.label for e in given] == [e.label for e in sorted(wanted)]
        np.testing.assert_allclose([e[:2] for e in given], [e[:2] for e in wanted], atol=2 * HOP)


def test_the_longest_class_of_the_training_clips_is_the_floor():
    """It is on all the time: to the last frame of whichever system goes on longest."""
    events = [[Event(0, 1, "a"), Event(2, 2.5, "b"), Event(3, 3.4, "b")] for _ in range(24)]
    for i in np.flatnonzero(FOLDS == "3"):
        events[i] = [Event(0, 5, "b")]  # tested, so of no weight
    long = framed(events)
    short = Frames(long.x[::2], long.starts // 2, long.times[::2])
    _, found = judge(FIXED, events, FOLDS, GROUPS, {"short": short, "long": long}, strengths=(1.0,))
    assert len(found["majority"]) == 6
    events[20:22] = [[Event(0, 5.9, "b")]] * 2  # of a training fold
    _, other = judge(FIXED, events, FOLDS, GROUPS, {"short": short}, strengths=(1.0,))
    for clip, changed in zip(found["majority"], other["majority"], strict=True):
        (event,), (instead,) = clip, changed
        assert event.label == "a" and instead.label == "b" and event.onset == 0
        assert event.offset == pytest.approx(5.99) and instead.offset == pytest.approx(5.97)


def test_nothing_is_chosen_by_the_tested_clips():
    """Their events say the opposite of what the training clips do, and nothing that is found changes."""
    rng = np.random.default_rng(5)
    events = clips(2)
    at = np.flatnonzero(FOLDS == "3")
    x, starts, times = framed(events)
    for i in range(24):  # a blip of 0.2 s that is no event
        x[300 * i + 160 : 300 * i + 170, 0] = 1
    # the first three columns have a noise that the last three have alone: only weak penalties take it away
    common = 1.5 * rng.standard_normal(x.shape)
    frames = Frames(np.concatenate([x + common, common], 1).astype(np.float32), starts, times)
    other, blips = list(events), list(events)
    for i in at:
        loud = x[300 * i : 300 * i + 300, 0] + common[300 * i : 300 * i + 300, 0] > 1
        every = [Event(t - 0.01, t + 0.01, "a") for t in times[:300][loud]]
        other[i] = [*every, Event(1.2, 1.4, "new")]
        blips[i] = [Event(3.2, 3.4, "a")]
    outcomes = [
        judge(FIXED, some, FOLDS, GROUPS, {"ours": frames}, strengths=(1e-5, 1.0))
        for some in (events, other, blips)
    ]
    for records, found in outcomes:
        assert found == outcomes[0][1]
        assert table(records)["ours", "onset F1"]["chosen"] == {"test": {"C": 1.0, "least": 0.25}}
    assert table(outcomes[0][0])["ours", "onset F1"]["value"] > 0.9


def test_the_least_duration_is_that_of_the_training_clips():
    events = [[Event(e.onset, e.onset + 0.2, e.label) for e in each] for each in clips(3)]
    records, _ = judge(TASK, events, FOLDS, GROUPS, {"ours": framed(events)}, strengths=(0.3,))
    record = table(records)["ours", "onset F1"]
    assert record["value"] > 0.99
    assert record["chosen"] == {fold: {"C": 0.3, "least": 0.125} for fold in "0123"}


def test_frames_are_drawn_where_there_are_too_many(monkeypatch):
    """Evenly: of a tenth of the frames as much is learnt; and by the seed."""
    events = clips(4)
    frames = framed(events, 0.3)
    whole, _ = judge(TASK, events, FOLDS, GROUPS, {"ours": frames}, strengths=(0.1,))
    monkeypatch.setattr(detection, "FRAMES", 500)
    seen = []
    solve = detection.linear.solve
    monkeypatch.setattr(detection.linear, "solve", lambda z, *rest: seen.append(z.copy()) or solve(z, *rest))
    few, _ = judge(TASK, events, FOLDS, GROUPS, {"ours": frames}, strengths=(0.1,))
    assert max(len(z) for z in seen) == 500
    a, b = (table(r)["ours", "onset F1"]["value"] for r in (whole, few))
    assert a > 0.9 and b > a - 0.1
    split = next(splits(FOLDS, GROUPS))
    drawn = []
    for seed in (0, 0, 1):
        seen.clear()
        detection.detect(frames, events, FOLDS, GROUPS, split, seed, (0.1,))
        drawn.append(seen[-1])
    assert (drawn[0] == drawn[1]).all() and (drawn[0] != drawn[2]).any()


def test_counts_and_intervals():
    events = clips(6)
    frames = framed(events, 0.5)
    records, found = judge(TASK, events, FOLDS, GROUPS, {"ours": frames}, strengths=(0.1,))
    for system in ("ours", "majority"):
        onset = by_event(events, found[system], LABELS, 0.2)
        segment = by_segment(events, found[system], LABELS)
        metrics = {
            "onset F1": onset.f1,
            "segment F1": segment.f1,
            "segment error rate": segment.error_rate,
        }
        for metric, value in metrics.items():
            record = table(records)[system, metric]
            assert record["value"] == pytest.approx(value, rel=1e-12)
            low, high = record["ci95"]
            assert low < value < high, (system, metric)
    each = detection.counts(events, found["ours"], LABELS, GROUPS)
    assert each.shape == (12, 7)
    first = np.flatnonzero(GROUPS == np.unique(GROUPS)[2])
    one = by_event([events[i] for i in first], [found["ours"][i] for i in first], LABELS)
    np.testing.assert_array_equal(each[2, :3], [one.right.sum(), one.reference.sum(), one.found.sum()])
    again, _ = judge(TASK, events, FOLDS, GROUPS, {"ours": frames}, strengths=(0.1,))
    assert again == records
    other, _ = judge(TASK, events, FOLDS, GROUPS, {"ours": frames}, strengths=(0.1,), seed=1)
    assert table(other)["ours", "onset F1"]["ci95"] != table(records)["ours", "onset F1"]["ci95"]


def test_draws_without_events_do_not_count():
    """Only one of two groups has events: in some draws there are none, and those don't count."""
    events = clips(7)
    groups = np.where(FOLDS == "3", np.where(np.arange(24) > 12, "x", "y"), GROUPS)
    for i in np.flatnonzero(groups == "x"):
        events[i] = []
    records, _ = judge(FIXED, events, FOLDS, groups, {"ours": framed(events)}, "ours", strengths=(1.0,))
    json.dumps(records, allow_nan=False)
    rate = table(records)["ours", "segment error rate"]
    assert rate["ci95"][0] <= rate["value"] <= rate["ci95"][1]
    assert table(records)["majority", "onset F1"]["value"] < 0.5


def test_some_clips_of_frames():
    frames = Frames(np.arange(12.0).reshape(6, 2), np.array([0, 1, 4, 6]), np.arange(6) / 10)
    x, starts, times = frames.of(np.array([2, 0]))
    np.testing.assert_array_equal(x, [[8, 9], [10, 11], [0, 1]])
    np.testing.assert_array_equal(starts, [0, 2, 3])
    np.testing.assert_allclose(times, [0.4, 0.5, 0.0])
    assert len(frames.of(np.array([], np.int64)).x) == 0


def test_what_it_refuses():
    events, none = clips(), [[] for _ in range(24)]
    frames = framed(events)

    def refused(match, events=events, groups=GROUPS, ours=None, **other):
        with pytest.raises(ValueError, match=match) as error:
            judge(FIXED, events, FOLDS, groups, {"ours": frames._replace(**other)}, ours)
        assert "\n" not in str(error.value)

    refused("no clip that is tested has events", events=none)
    refused(
        "no training frame is in an event",
        [e if f == "3" else [] for e, f in zip(events, FOLDS, strict=True)],
    )
    refused("two or more", groups=np.where(FOLDS == "3", "x", GROUPS))
    refused("'theirs' isn't among the systems ours", ours="theirs")
    refused("of 23 clips, don't fit 24 clips", starts=frames.starts[:-1])
    refused("don't fit", starts=np.where(np.arange(25) == 3, 600, frames.starts))
    refused("don't fit", times=frames.times[1:])
    refused("end after it begins", [[Event(2, 1, "a")], *events[1:]])
    for value in (np.nan, np.inf):
        x = frames.x.copy()
        x[7, 1] = value
        x[7, 2] = -value
        refused("1 of 7200 rows have NaN or infinite values, row 7 first", x=x)


def test_the_tasks_timing_is_that_of_events_and_of_onsets():
    """Frames 0.1 s late are right at 0.2 s, wrong at 0.05 s; a short event needs a short duration."""
    events = clips(2)
    late = framed(events)
    late = late._replace(x=np.concatenate([np.roll(late.x[i : i + 300], 5, 0) for i in range(0, 7200, 300)]))
    near = replace(TASK, timing=Timing(0.02, (0.05,), 0.05))
    wide = replace(TASK, timing=Timing(0.02, (0.05,), 0.2))
    value = {}
    for task in (near, wide):
        records, _ = judge(task, events, FOLDS, GROUPS, {"late": late}, strengths=(1.0,))
        value[task] = table(records)["late", "onset F1"]["value"]
        assert f"onsets within {task.timing.onset} s" in records[0]["protocol"]
    assert value[near] < 0.1 and value[wide] > 0.95
    short = [[Event(1.0, 1.08, "a"), Event(3.0, 3.08, "b"), Event(5.0, 5.08, "c")] for _ in events]
    found = {}
    for least in (0.05, 0.125):
        task = replace(TASK, timing=Timing(0.02, (least,), 0.2))
        _, made = judge(task, short, FOLDS, GROUPS, {"x": framed(short)}, strengths=(10.0,))
        found[least] = sum(map(len, made["x"]))
    assert found == {0.05: 72, 0.125: 0}
