"""HEAR's probe of events: its perceptron on frames, stopped and chosen by the onsets that are found.

Turian et al., "HEAR: Holistic Evaluation of Audio Representations", 2022, as its program hear-eval-kit does
it. Training is `hear`'s, with several labels a frame; what is scored on the validation fold is the F1 of
onsets after the frames have become events, by the best of the task's least durations, which is then also the
test's. In `compat` a batch has frames in a row: clips are brought into an order once, their frames follow
one another. `strict` shuffles the frames in each epoch and chooses a point anew in each fold.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped
from scipy.special import expit

from ssl_audio.evaluate.detection import Frames, active
from ssl_audio.evaluate.events import Event, Timing, by_event, from_frames, lasting
from ssl_audio.evaluate.protocols import hear
from ssl_audio.evaluate.protocols.parts import Part, each, parts

CHUNK = 65_536
"""As many frames go through the network at once."""
train = jax.jit(hear.epochs, static_argnames=("count", "several", "form"))
forward = jax.jit(lambda net, x: hear.forward(net, x)[0])


def predict(
    frames: Frames,
    events: Sequence[Sequence[Event]],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    *,
    timing: Timing,
    test: tuple[str, ...] | None = None,
    seed: int = 0,
    form: hear.Form = "compat",
    points: Sequence[hear.Point] | None = None,
) -> tuple[dict[int, list[Event]], dict[str, Any]]:
    """(events found, by number of each tested clip; the point and the least durations that were chosen).

    timing: of the task. points: the grid; None: `hear.drawn()`. ValueError: a group is cut, or the probe
    diverged.
    """
    labels = sorted({event.label for clip in events for event in clip})
    clips = range(len(events))
    bounds = [slice(*frames.starts[i : i + 2]) for i in clips]
    y = np.concatenate([active(events[i], frames.times[bounds[i]], labels) for i in clips], dtype=np.float32)
    todo = parts(folds, groups, test)
    search, found = hear.Search(form, points), {}

    def scores(net, rows):
        some = np.split(rows, range(CHUNK, len(rows), CHUNK))
        return np.concatenate([np.asarray(forward(net, jnp.asarray(frames.x[r], jnp.float32))) for r in some])

    def made(score, clips):
        """The events of clips, however short; their frames' scores come after one another."""
        cuts = np.cumsum([bounds[i].stop - bounds[i].start for i in clips])[:-1]
        split = np.split(expit(score), cuts)
        return [
            from_frames(p, frames.times[bounds[i]], labels, 0.5, timing.smooth)
            for i, p in zip(clips, split, strict=True)
        ]

    def one(number, part):
        clips = todo[number]
        order = hear.kept_order(folds, clips.train)  # of clips
        rows = frames.rows(order)
        x, truth = jnp.asarray(frames.x[rows], jnp.float32), jnp.asarray(y[rows])
        wanted = [events[i] for i in clips.valid]

        def fitted(point):
            key = jax.random.fold_in(jax.random.key(seed), 1000 * number + hear.GRID.index(point))
            sizes = (x.shape[1], *point.layers * [hear.HIDDEN], len(labels))
            net = hear.init(key, sizes, jnp.bool_(point.uniform))
            state, best, waited = (net, hear.TX.init(net.layers)), (-1.0, None, 0.0), 0
            for done in range(0, hear.EPOCHS - timing.every + 1, timing.every):
                state = train(
                    state, x, truth, key, jnp.int32(done), jnp.float32(point.rate),
                    count=timing.every, several=True, form=form,
                )  # fmt: skip
                given = made(scores(state[0], part.valid), clips.valid)
                quality, least = max(  # of equals the longer, as the kit
                    (f1(wanted, [lasting(clip, least) for clip in given], labels, timing), least)
                    for least in timing.least
                )
                waited = 0 if quality > best[0] else waited + 1
                best = (quality, state[0], least) if quality > best[0] else best
                if waited == hear.PATIENCE:
                    break
            return best[0], best[1:]

        (net, least), point = search.of(fitted)
        score = scores(net, part.test)
        given = [lasting(clip, least) for clip in made(score, clips.test)]
        found.update(zip(clips.test.tolist(), given, strict=True))
        return score, (point, least)

    rows = [Part(p.name, *map(frames.rows, p[1:])) for p in todo]
    _, chosen = each("HEAR", rows, y, one)
    leasts = {f"{name}, least": least for name, (_, least) in chosen.items()}
    return found, search.said({name: point for name, (point, _) in chosen.items()}) | leasts


def f1(wanted, given, labels, timing) -> float:
    """F1 of onsets; 0 where there is nothing to count."""
    return float(np.nan_to_num(by_event(wanted, given, labels, timing.onset).f1))
