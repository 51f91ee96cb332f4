"""Sound events: closed forms, sed_eval's numbers on random events, events of frames."""

import numpy as np
import pytest

from ssl_audio.evaluate.events import Counts, Event, by_event, by_segment, from_frames

LABELS = ["a", "b", "c"]


def some(rng, n, near=None):
    """Random events; near: about half of them close to those."""
    events = []
    for i in range(n):
        onset, length, label = rng.uniform(0, 9), rng.uniform(0.05, 2), LABELS[rng.integers(3)]
        if near and i < len(near) and rng.random() < 0.6:
            onset, length = near[i].onset + rng.normal(0, 0.15), near[i].offset - near[i].onset
            label = near[i].label if rng.random() < 0.8 else label
        onset = max(onset, 0.0)
        events.append(Event(onset, onset + length * rng.uniform(0.6, 1.4), label))
    return events


def files(seed, count=4):
    rng = np.random.default_rng(seed)
    reference = [some(rng, rng.integers(1, 9)) for _ in range(count)]
    return reference, [some(rng, rng.integers(1, 9), near) for near in reference]


# F1 and error rate by segments of 1 s, F1 of onsets within 0.2 s, of onsets and offsets (0.5 of the length),
# macro average of the onsets': what sed_eval 0.2.1 gives with optimal matching. It imports pkg_resources,
# which is no more, so it isn't asked each time.
SED_EVAL = (
    (0, 0.52054795, 0.61904762, 0.27027027, 0.16216216, 0.22023810),
    (1, 0.43076923, 0.88571429, 0.11428571, 0.11428571, 0.11111111),
    (2, 0.56097561, 0.73809524, 0.41666667, 0.41666667, 0.42287582),
    (3, 0.52777778, 0.66666667, 0.35555556, 0.31111111, 0.30701754),
    (4, 0.57894737, 0.72972973, 0.39130435, 0.39130435, 0.37368421),
)


@pytest.mark.parametrize("seed, segments, errors, onsets, both, macro", SED_EVAL)
def test_segments_and_events_are_counted_as_by_sed_eval(seed, segments, errors, onsets, both, macro):
    reference, found = files(seed)
    by = by_segment(reference, found, LABELS)
    np.testing.assert_allclose([by.f1, by.error_rate], [segments, errors], rtol=1e-6)
    by = by_event(reference, found, LABELS)
    np.testing.assert_allclose([by.f1, np.nanmean(by.by_class)], [onsets, macro], rtol=1e-6)
    assert 2 * by.precision * by.recall / (by.precision + by.recall) == pytest.approx(onsets)
    np.testing.assert_allclose(by_event(reference, found, LABELS, offsets=0.5).f1, both, rtol=1e-6)


def test_what_is_right_scores_one_and_what_is_missing_nothing():
    reference, _ = files(0)
    assert by_event(reference, reference, LABELS, offsets=0.0).f1 == 1
    assert by_segment(reference, reference, LABELS).error_rate == 0
    nothing = by_event(reference, [[]] * 4, LABELS)
    assert nothing.f1 == 0 and np.isnan(nothing.precision) and nothing.recall == 0
    assert by_segment(reference, [[]] * 4, LABELS).error_rate == 1


def test_of_two_near_one_event_only_one_is_right():
    once, twice = [[Event(1, 2, "a")]], [[Event(0.9, 2, "a"), Event(1.1, 2, "a")]]
    assert by_event(once, twice, LABELS).precision == 0.5
    # as many pairs as can be: the first found one must not take the second reference
    one, two = [[Event(1.0, 2, "a"), Event(1.3, 2, "a")]], [[Event(1.15, 2, "a"), Event(0.85, 2, "a")]]
    assert by_event(one, two, LABELS).f1 == 1


def test_segments_by_hand():
    """Two of three segments right, one class taken for another in the second."""
    reference = [[Event(0, 1.5, "a"), Event(2, 3, "b")]]
    found = [[Event(0.2, 0.9, "a"), Event(1.0, 1.5, "c"), Event(2.1, 2.2, "b")]]
    counts = by_segment(reference, found, LABELS, lengths=[3.0])
    np.testing.assert_array_equal(counts.right, [1, 1, 0])
    assert counts.f1 == pytest.approx(4 / 6) and counts.error_rate == pytest.approx(1 / 3)
    np.testing.assert_allclose(counts.by_class, [2 / 3, 1, 0])


def test_events_of_frames():
    times = np.arange(10) * 0.1
    score = np.zeros((10, 3))
    score[2:5, 0] = 0.9
    score[7, 0] = 0.9
    score[9, 1] = 0.8
    a, late, b = from_frames(score, times, LABELS)
    assert [e.label for e in (a, late, b)] == ["a", "a", "b"]
    np.testing.assert_allclose([a[:2], late[:2], b[:2]], [[0.2, 0.4], [0.7, 0.7], [0.9, 0.9]])
    (long,) = from_frames(score, times, LABELS, least=0.15)
    assert long.label == "a" and long.onset == pytest.approx(0.2)
    for first in range(33):  # 6 frames of 10 ms: 50 ms from the first to the last
        on = np.zeros((40, 1))
        on[first : first + 6] = 1
        assert len(from_frames(on, np.arange(40) * 0.01, ["a"], least=0.05)) == 1
    smooth = from_frames(score[:9], times[:9], LABELS, smooth=0.3)
    assert [e.label for e in smooth] == ["a"]


def test_refusals():
    with pytest.raises(ValueError, match="1 files of reference, 2"):
        by_event([[]], [[], []], LABELS)
    with pytest.raises(ValueError, match="isn't among a, b, c"):
        by_segment([[Event(0, 1, "d")]], [[]], LABELS)
    with pytest.raises(ValueError, match="end after it begins"):
        by_event([[Event(1, 0, "a")]], [[]], LABELS)
    with pytest.raises(ValueError, match="by segments only"):
        Counts(np.ones(1, int), np.ones(1, int), np.ones(1, int)).error_rate  # noqa: B018
