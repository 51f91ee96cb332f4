"""The judge of tasks whose clips have events in time, from embeddings of frames: onset F1, F1 and error rate
of segments, with intervals over groups.

The events are made of frames as HEAR's are (Turian et al., "HEAR: Holistic Evaluation of Audio
Representations", 2022), the frames are judged by a linear probe, and by HEAR's own where it is asked for.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped
from scipy.special import expit

from ssl_audio.evaluate import linear, stats
from ssl_audio.evaluate.classes import f1, ratio
from ssl_audio.evaluate.events import Event, Timing, by_event, by_segment, from_frames, lasting
from ssl_audio.evaluate.folds import Split, finite, inner, splits, standardise
from ssl_audio.evaluate.record import Sheet, protocol_of
from ssl_audio.evaluate.tagging import DRAWS

if TYPE_CHECKING:
    from ssl_audio.evaluate.tasks import Task

FRAMES = 50_000
"""As many of a fold's training frames, at most, are trained on."""
CHUNK = 16_384
"""As many frames are standardised at once."""
TIMING = Timing()
PUBLISHED = ("hear", "hear-strict")
"""Published probes that look at frames."""


class Frames(NamedTuple):
    """Embeddings of frames, clip after clip: rows starts[i] to starts[i + 1] are of clip i.

    times: the middle of each frame, seconds from its clip's beginning.
    """

    x: Float[np.ndarray, "total d"]
    starts: Int64[np.ndarray, " n_and_one"]
    times: Float[np.ndarray, " total"]

    def of(self, clips: Int64[np.ndarray, " m"]) -> "Frames":
        """Only those clips, in that order."""
        rows = self.rows(clips)
        starts = np.concatenate([[0], np.cumsum(np.diff(self.starts)[clips])])
        return Frames(self.x[rows], starts, self.times[rows])

    def rows(self, clips: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " some"]:
        """Row numbers of those clips, clip after clip."""
        count = np.diff(self.starts)[clips]
        return np.arange(count.sum()) + np.repeat(self.starts[clips] - np.cumsum(count) + count, count)


def active(
    events: Sequence[Event], times: Float[np.ndarray, " f"], labels: Sequence[str]
) -> Bool[np.ndarray, "f c"]:
    """Which classes have an event going on at each time: onset <= time < offset."""
    out = np.zeros((len(times), len(labels)), bool)
    for onset, offset, label in events:
        out[:, labels.index(label)] |= (onset <= times) & (times < offset)
    return out


def detect(
    frames: Frames,
    events: Sequence[Sequence[Event]],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    split: Split,
    seed: int = 0,
    strengths: tuple[float, ...] = linear.STRENGTHS,
    timing: Timing = TIMING,
) -> tuple[list[list[Event]], dict[str, float]]:
    """(events found in each test clip, the "C" and "least" duration chosen); sees no event of a test clip.

    ValueError: no frame of the training clips is in an event.
    """
    labels = sorted({event.label for i in split.train for event in events[i]})
    rows = frames.rows(split.train)
    rows = np.sort(np.random.default_rng(seed).choice(rows, min(len(rows), FRAMES), replace=False))
    cuts = np.searchsorted(rows, frames.starts)
    truth = np.concatenate(
        [active(events[i], frames.times[rows[cuts[i] : cuts[i + 1]]], labels) for i in split.train]
    )
    if not truth.any():
        raise ValueError(
            f"fold {split.name}: no training frame is in an event, so none can be learnt; give longer events"
        )
    x = frames.x[rows]
    mean, deviation = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
    # two rows of the same mean and deviation stand for the training frames, so that a clip costs little
    two = np.stack([mean - deviation, mean + deviation])

    def standard(x):
        some = np.array_split(x, -(-len(x) // CHUNK))
        return np.concatenate([standardise(np.concatenate([two, part]), np.arange(2))[2:] for part in some])

    # what the rotation makes of unit vectors is the rotation itself: it brings weights back to plain frames
    units = np.eye(x.shape[1], dtype=np.float32)
    z = linear.rotate(np.concatenate([standard(x), units]), np.arange(len(x)))
    z, basis = z[: len(x)], z[len(x) :, :-1]

    def found(clips, w, *leasts) -> list[list[list[Event]]]:
        """Of each clip the events by each least duration."""
        plain, out = basis @ w[:-1], []
        for rows in (slice(frames.starts[i], frames.starts[i + 1]) for i in clips):
            p = expit(standard(frames.x[rows]) @ plain + w[-1])
            each = from_frames(p, frames.times[rows], labels, 0.5, timing.smooth)
            out.append([lasting(each, least) for least in leasts])
        return out

    parts = inner(folds, groups, split)
    clip = np.searchsorted(split.train, np.searchsorted(frames.starts, rows, "right") - 1)
    held = [part[clip] for part in parts]
    wanted = [events[i] for part in parts for i in split.train[part]]
    tried, fits = [], [None] * len(parts)
    for strength in strengths:  # from the strongest penalty, as `linear`: each optimum starts the next
        fits = [
            linear.solve(z[~out], truth[~out], len(labels), strength, w, 1e-4)
            for out, w in zip(held, fits, strict=True)
        ]
        each = [found(split.train[part], w, *timing.least) for part, w in zip(parts, fits, strict=True)]
        by_least = zip(*(clip for clips in each for clip in clips), strict=True)
        right = [by_event(wanted, clips, labels, timing.onset).f1 for clips in by_least]
        best = int(np.argmax(right))  # of equals the shorter
        tried.append((right[best], strength, timing.least[best]))
        quality = [f1 for f1, *_ in tried]
        if max(quality[-2:]) < max(quality):  # twice worse than the best
            break
    # of equals the weakest penalty, whose probabilities are the furthest from 0.5
    _, strength, least = tried[int(np.flatnonzero(np.equal(quality, max(quality)))[-1])]
    w = linear.solve(z, truth, len(labels), strength)
    return [clip for (clip,) in found(split.test, w, least)], {"C": strength, "least": least}


def longest(events: Sequence[Sequence[Event]], clips: Int64[np.ndarray, " m"]) -> str:
    """The class that sounds longest in those clips, all its events together; of equals the first in order."""
    seconds: Counter[str] = Counter()
    for event in (event for i in clips for event in events[i]):
        seconds[event.label] += event.offset - event.onset
    return max(sorted(seconds), key=lambda label: seconds[label])


def counts(
    reference: Sequence[Sequence[Event]],
    found: Sequence[Sequence[Event]],
    labels: Sequence[str],
    groups: Shaped[np.ndarray, " n"],
    collar: float = 0.2,
) -> Int64[np.ndarray, "g 7"]:
    """Of each group: right, of the reference and found, by onset and by segment of 1 s; errors by segment."""
    out = []
    for name in np.unique(groups):
        rows = np.flatnonzero(groups == name)
        pair = [reference[i] for i in rows], [found[i] for i in rows]
        onset, segment = by_event(*pair, labels, collar), by_segment(*pair, labels)
        sums = [table.sum() for c in (onset, segment) for table in (c.right, c.reference, c.found)]
        out.append([*sums, segment.errors])
    return np.array(out, np.int64)


def measures(total: Int64[np.ndarray, "*some 7"]) -> dict[str, Float[np.ndarray, "*some"]]:
    """The metrics of sums of `counts`; NaN where there is nothing to count."""
    *onset, right, reference, found, errors = np.moveaxis(total, -1, 0)
    return {
        "onset F1": f1(*onset),
        "segment F1": f1(right, reference, found),
        "segment error rate": ratio(errors, reference),
    }


def judge(
    task: "Task",
    events: Sequence[Sequence[Event]],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    systems: Mapping[str, Frames],
    ours: str | None = None,
    seed: int = 0,
    extra: Mapping[str, Any] | None = None,
    strengths: tuple[float, ...] = linear.STRENGTHS,
    more: Collection[str] = (),
) -> tuple[list[dict[str, Any]], dict[str, list[list[Event]]]]:
    """As `judging.judge`, of events: those of each clip, seconds; the floor is "majority" (`longest`).

    Returns (records, found): by system the events found in each tested clip, in the clips' order. Metrics:
    "onset F1" (onsets as near as the task's timing says), "segment F1" and "segment error rate" (segments of
    1 s). Mesaros, Heittola & Virtanen, "Metrics for Polyphonic Sound Event Detection", 2016. more: "hear" or
    "hear-strict" for HEAR's probe, "HEAR compat onset F1", the mean over folds. ValueError:
    frames don't fit the clips or aren't finite, no clip has events, or there are fewer than two groups.
    """
    todo = list(splits(folds, groups, task.test))
    tested = np.sort(np.concatenate([split.test for split in todo]))
    wanted, group = [events[i] for i in tested], groups[tested]
    check(task, events, wanted, group, systems, ours)
    labels = sorted({event.label for clip in events for event in clip})
    ends = np.max([frames.times[frames.starts[1:] - 1] for frames in systems.values()], axis=0)
    found, chosen = {}, {name: {} for name in systems}
    for name in (*systems, "majority"):
        each = {}
        for split in todo:
            if name in systems:
                clips, what = detect(
                    systems[name], events, folds, groups, split, seed, strengths, task.timing
                )
                chosen[name][split.name] = what
            else:
                label = longest(events, split.train)
                clips = [[Event(0.0, float(ends[i]), label)] for i in split.test]
            each |= dict(zip(split.test, clips, strict=True))
        found[name] = [each[i] for i in tested]
    where = protocol_of(task)
    smooth, least, near, _ = task.timing
    fitted = (
        f"frames: standardised, a logistic regression a class on at most {FRAMES:,} training frames, evenly "
        f"drawn by the seed; C of {list(strengths)}, rising until two in a row are worse, and the least "
        f"duration of {list(least)} s by onset F1, by cross-validation within the training folds; threshold "
        f"0.5 after a median filter of {smooth} s; onsets within {near} s, offsets ignored; segments of 1 s; "
        f"{where}"
    )
    floor = f"the class with the most seconds in the training folds, all the time, {where}"
    sheet = Sheet(task.name, len(tested), len(np.unique(group)), seed, extra)
    value, spread = {}, {}
    for name, clips in found.items():
        table = counts(wanted, clips, labels, group, near)
        often = stats.draws(np.ones(len(table), np.int64), DRAWS, seed)
        value[name] = {metric: float(v) for metric, v in measures(table.sum(0)).items()}
        spread[name] = measures(np.concatenate([some @ table for some in often]))
        for metric in value[name]:
            about = {"chosen": chosen[name]} if metric == "onset F1" and name in chosen else {}
            protocol = fitted if name in systems else floor
            sheet.add(name, metric, value[name][metric], spread[name][metric], protocol, **about)
    parts = [np.isin(np.unique(group), groups[split.test]) for split in todo]
    for kind in [kind for kind in PUBLISHED if kind in more]:
        from ssl_audio.evaluate.protocols import KINDS  # which needs jax
        from ssl_audio.evaluate.protocols.hear_events import predict

        _, form, title = KINDS[kind]
        for name, frames in systems.items():
            clips, what = predict(
                frames, events, folds, groups, timing=task.timing, test=task.test, seed=seed, form=form
            )
            table = counts(wanted, [clips[i] for i in tested], labels, group, near)
            often = stats.draws(np.ones(len(table), np.int64), DRAWS, seed)
            drawn = np.concatenate([over(some, table, parts) for some in often])
            mean = float(over(np.ones((1, len(table)), np.int64), table, parts)[0])
            said = f"{title}'s probe, mean over folds, {where}"
            sheet.add(name, f"{title} onset F1", mean, drawn, said, chosen=what)
    if ours is not None:
        sheet.differences(ours, "onset F1", value, spread, fitted)
    return sheet.records, found


def over(
    times: Int64[np.ndarray, "draws g"],
    table: Int64[np.ndarray, "g 7"],
    parts: Sequence[Bool[np.ndarray, " g"]],
) -> Float[np.ndarray, " draws"]:
    """Mean over folds of the onset F1 of `counts`, each group taken so often. parts: the groups of a fold."""
    each = [measures(times[:, part] @ table[part])["onset F1"] for part in parts]
    some = ~np.isnan(each)  # a fold that nothing is drawn of doesn't count
    return ratio(np.nansum(each, 0), some.sum(0))


def check(task, events, wanted, group, systems, ours) -> None:
    """ValueError where frames, clips and groups don't fit, or nothing can be found."""
    if ours is not None and ours not in systems:
        raise ValueError(f"{task.name}: {ours!r} isn't among the systems {', '.join(systems)}")
    if not any(wanted):
        raise ValueError(f"{task.name}: no clip that is tested has events, so none can be found; give them")
    if (several := len(np.unique(group))) < 2:
        raise ValueError(f"{several} group(s): an interval over groups needs two or more; give finer groups")
    for name, (x, starts, times) in systems.items():
        fits = len(starts) == len(events) + 1 and np.diff(starts).min() > 0
        if not fits or (starts[0], starts[-1], len(times)) != (0, len(x), len(x)):
            raise ValueError(
                f"{task.name}: the {len(x)} frames of {name}, of {len(starts) - 1} clips, don't fit "
                f"{len(events)} clips with a frame or more each; embed the same store"
            )
        with np.errstate(invalid="ignore"):  # a sum is finite if all its values are, and needs less memory
            finite(x.sum(1, dtype=np.float64, keepdims=True))
