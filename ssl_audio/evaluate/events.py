"""Sound events in time: were they found, at the right moment? F1 by segments and by single events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64
from scipy.ndimage import median_filter
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from ssl_audio.evaluate.classes import f1, ratio


class Event(NamedTuple):
    """A sound from onset to offset, seconds."""

    onset: float
    offset: float
    label: str


class Timing(NamedTuple):
    """How events are made of frames and judged, seconds: the median filter over the frames, the least
    durations that are chosen among, how far an onset may be off; and after how many epochs each HEAR's probe
    looks."""

    smooth: float = 0.25
    least: tuple[float, ...] = (0.125, 0.25)
    onset: float = 0.2
    every: int = 3


@dataclass(frozen=True)
class Counts:
    """Right ones, those of the reference and those found, of each class; errors over all classes.

    errors: substitutions, deletions and insertions together, segment by segment; None where they aren't
    counted.
    """

    right: Int64[np.ndarray, " c"]
    reference: Int64[np.ndarray, " c"]
    found: Int64[np.ndarray, " c"]
    errors: int | None = None

    @property
    def precision(self) -> float:
        """Share of what was found that is right; NaN where nothing was found."""
        return float(ratio(self.right.sum(), self.found.sum()))

    @property
    def recall(self) -> float:
        """Share of the reference that was found; NaN for an empty reference."""
        return float(ratio(self.right.sum(), self.reference.sum()))

    @property
    def f1(self) -> float:
        """Over all events of all classes (micro average), 0 to 1; NaN where there are none at all."""
        return float(f1(self.right.sum(), self.reference.sum(), self.found.sum()))

    @property
    def by_class(self) -> Float[np.ndarray, " c"]:
        """F1 of each class, NaN where there are none; `numpy.nanmean` of it is the macro average."""
        return f1(self.right, self.reference, self.found)

    @property
    def error_rate(self) -> float:
        """Errors for each active segment and class of the reference: 0 is right, above 1 is possible."""
        if self.errors is None:
            raise ValueError("the error rate is counted by segments only")
        return float(ratio(self.errors, self.reference.sum()))


def by_segment(
    reference: Sequence[Sequence[Event]],
    found: Sequence[Sequence[Event]],
    labels: Sequence[str],
    seconds: float = 1.0,
    lengths: Sequence[float] | None = None,
) -> Counts:
    """Compare file by file which classes are active in each segment of so many seconds.

    reference, found: the events of each file. lengths: of the files, seconds; None: to the last event of
    either. A segment that an event touches is active. Mesaros, Heittola & Virtanen, "Metrics for Polyphonic
    Sound Event Detection", 2016.
    """
    matched(reference, found, labels)
    total, errors = np.zeros((3, len(labels)), np.int64), 0
    for i, (wanted, given) in enumerate(zip(reference, found, strict=True)):
        end = max((e.offset for e in (*wanted, *given)), default=0.0) if lengths is None else lengths[i]
        n = int(np.ceil(end / seconds))
        a, b = active(wanted, labels, seconds, n), active(given, labels, seconds, n)
        total += np.stack([(a & b).sum(0), a.sum(0), b.sum(0)])
        # the more numerous less the right: in each segment substitutions, and deletions or insertions
        errors += int((np.maximum(a.sum(1), b.sum(1)) - (a & b).sum(1)).sum())
    return Counts(*total, errors)


def active(events: Sequence[Event], labels: Sequence[str], seconds: float, n: int) -> Bool[np.ndarray, "n c"]:
    """Which classes sound in each of n segments."""
    out = np.zeros((n, len(labels)), bool)
    for onset, offset, label in events:
        out[int(np.floor(onset / seconds)) : int(np.ceil(offset / seconds)), labels.index(label)] = True
    return out


def by_event(
    reference: Sequence[Sequence[Event]],
    found: Sequence[Sequence[Event]],
    labels: Sequence[str],
    collar: float = 0.2,
    offsets: float | None = None,
) -> Counts:
    """Pair events of a class, as many as can be, whose onsets differ by at most `collar` seconds.

    offsets: None: the end of an event doesn't matter; else it may differ by `collar` or by that share of the
    reference's length, whichever is more. Mesaros, Heittola & Virtanen, 2016.
    """
    matched(reference, found, labels)
    total = np.zeros((3, len(labels)), np.int64)
    for wanted, given in zip(reference, found, strict=True):
        for c, label in enumerate(labels):
            a, b = (
                np.array([(e.onset, e.offset) for e in events if e.label == label]).reshape(-1, 2)
                for events in (wanted, given)
            )
            near = np.abs(a[:, None, 0] - b[None, :, 0]) <= collar
            if offsets is not None:
                allowed = np.maximum(collar, offsets * (a[:, 1] - a[:, 0]))
                near &= np.abs(a[:, None, 1] - b[None, :, 1]) <= allowed[:, None]
            pairs = (maximum_bipartite_matching(csr_array(near)) >= 0).sum() if near.size else 0
            total[:, c] += pairs, len(a), len(b)
    return Counts(*total)


def matched(reference, found, labels) -> None:
    """ValueError where files don't correspond, a label is unknown, or an event ends before it begins."""
    if len(reference) != len(found):
        raise ValueError(f"events: {len(reference)} files of reference, {len(found)} of what was found")
    for event in (e for events in (*reference, *found) for e in events):
        if event.label not in labels:
            raise ValueError(f"events: {event} has a label that isn't among {', '.join(labels)}")
        if not 0 <= event.onset <= event.offset < np.inf:
            raise ValueError(f"events: {event} must begin at 0 s or later and end after it begins")


def from_frames(
    score: Float[np.ndarray, "n c"],
    times: Float[np.ndarray, " n"],
    labels: Sequence[str],
    threshold: float = 0.5,
    smooth: float = 0.0,
    least: float = 0.0,
) -> list[Event]:
    """The events of frame-wise scores: runs of frames above the threshold.

    times: seconds of the frames, evenly spaced. smooth: seconds of a median filter over the scores before.
    least: runs whose last frame comes less than so many seconds after their first are left out. An event
    lasts from its first frame's time to its last's. As HEAR's (Turian et al., 2022).
    """
    hop = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    size = max(1, round(smooth / hop))
    on = median_filter(score, size=(size, 1)) > threshold
    edges = np.diff(np.pad(on, ((1, 1), (0, 0))).astype(np.int8), axis=0)
    out = []
    for c, label in enumerate(labels):
        for first, end in zip(np.flatnonzero(edges[:, c] > 0), np.flatnonzero(edges[:, c] < 0), strict=True):
            out.append(Event(float(times[first]), float(times[end - 1]), label))
    return lasting(sorted(out), least)


def lasting(events: Sequence[Event], least: float) -> list[Event]:
    """Those of at least so many seconds, to a microsecond: as seconds 0.06 - 0.01 is less than 0.05."""
    return [event for event in events if event.offset - event.onset >= least - 1e-6]
