"""Batches of int16 sound as a pure function of (seed, step): nothing is stored, resuming is arithmetic.

The order of an epoch is a function of (seed, epoch), the place of a crop one of (seed, step, row). Both are
drawn from the raw bits of Philox, a counter-based generator (Salmon et al., 2011) whose stream numpy keeps:
neither the number of threads, devices or hosts nor the version of numpy changes a batch.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Integer

from ssl_audio.audio.store import Store

ORDER, CROP, BACKGROUND, BACKGROUND_CROP = 0, 1, 2, 3  # what random bits are for; part of their key


class Batches:
    """All batches of a training run: `batches[step]` for any step >= 0, epoch after epoch without a seam.

    Each epoch visits every clip once, in an order of its own; a batch may hold the end of one epoch and the
    beginning of the next. A clip longer than `samples` is cropped at a random place, each place equally
    likely.

    Args:
        store: a `Store`, or anything with its `lengths`, `codes(column)` and `[i, start, length]`.
        samples: length of every row.
        batch: rows of the whole batch, over all hosts.
        seed: >= 0.
        short: what fills the row of a shorter clip: "loop" repeats the clip, "pad" leaves zeros after it.
        subset: indices of the clips to use (for instance without a test fold); None: all.
        labels: a column of the store whose codes come along as "label" (-1: empty).
        background: another store of the same rate, of which every row gets a random stretch of a random clip
            (each clip equally likely; a shorter one is repeated).

    `batches[step]` and `batches.at(step, rows)` return a dict of new arrays:
        "wave" int16 [b t]; "valid" int32 [b], samples of the row that are sound (all of them when looped);
        "index" int32 [b], clip in the store; and, if asked for, "label" int32 [b] and "background" int16
        [b t].

    Raises:
        ValueError: for a size below 1, an empty or wrong subset, a clip without samples, a step below 0, a
            background of another rate.
    """

    def __init__(
        self,
        store: Store,
        *,
        samples: int,
        batch: int,
        seed: int,
        short: Literal["loop", "pad"] = "loop",
        subset: Integer[np.ndarray, " n"] | None = None,
        labels: str | None = None,
        background: Store | None = None,
    ):
        if samples < 1 or batch < 1 or seed < 0:
            raise ValueError(
                f"samples={samples} and batch={batch} must be at least 1, seed={seed} at least 0"
            )
        if short not in ("loop", "pad"):
            raise ValueError(f'short={short!r}: it must be "loop" or "pad"')
        lengths = np.asarray(store.lengths)
        clips = np.arange(len(lengths)) if subset is None else np.asarray(subset)
        if len(clips) == 0:
            raise ValueError("there are no clips to make batches of: the store or the subset is empty")
        if clips.min() < 0 or clips.max() >= len(lengths):
            raise ValueError(
                f"the subset names clip {clips.min()} or {clips.max()} of a store of {len(lengths)}"
            )
        if lengths[clips].min() < 1:
            raise ValueError(f"clip {clips[lengths[clips].argmin()]} has no samples; build the store again")
        if background is not None:
            if background.rate != store.rate:
                raise ValueError(
                    f"{background.path}: a background at {background.rate} Hz for sound at {store.rate} Hz; "
                    f"build its store at that rate"
                )
            if len(background.lengths) == 0 or np.min(background.lengths) < 1:
                raise ValueError(f"{background.path}: a background without clips, or with one of no samples")
        self.background = background
        self.store, self.samples, self.batch, self.seed, self.short = store, samples, batch, seed, short
        self._clips = clips.astype(np.int32)
        self._codes = None if labels is None else np.asarray(store.codes(labels))
        # a batch touches one epoch or two; a million clips take a tenth of a second and 8 MB to order
        self._order = lru_cache(maxsize=2)(
            lambda epoch: np.argsort(self._bits(ORDER, epoch, len(clips)), kind="stable")
        )

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        return self.at(step)

    def at(self, step: int, rows: slice = slice(None)) -> dict[str, np.ndarray]:
        """The rows `rows` of batch `step`: that slice of the whole batch, without making the others."""
        if step < 0:
            raise ValueError(f"step {step}: steps count from 0")
        wanted = np.arange(self.batch)[rows]
        epochs, places = np.divmod(step * self.batch + wanted, len(self._clips))
        order = {epoch: self._order(epoch) for epoch in np.unique(epochs).tolist()}
        index = np.array(
            [self._clips[order[e][p]] for e, p in zip(epochs.tolist(), places, strict=True)], np.int32
        )
        uniform = lambda purpose: (self._bits(purpose, step, self.batch)[wanted] >> np.uint64(11)) * 2.0**-53
        wave, valid = self._cut(self.store, index, uniform(CROP), self.short)
        batch = {"wave": wave, "valid": valid, "index": index}
        if self.background is not None:
            chosen = (uniform(BACKGROUND) * len(self.background.lengths)).astype(np.int64)
            batch["background"], _ = self._cut(self.background, chosen, uniform(BACKGROUND_CROP), "loop")
        if self._codes is not None:
            batch["label"] = self._codes[index].astype(np.int32)
        return batch

    def _cut(self, store, index, uniform, short):
        """A row of each clip at a place given in [0, 1), and how many samples of it are sound."""
        wave = np.zeros((len(index), self.samples), np.int16)
        valid = np.empty(len(index), np.int32)
        for row, (i, u) in enumerate(zip(index.tolist(), uniform.tolist(), strict=True)):
            places_to_start = max(int(store.lengths[i]) - self.samples, 0) + 1
            clip = store[i, int(u * places_to_start), self.samples]
            if len(clip) < self.samples and short == "loop":
                clip = np.resize(clip, self.samples)
            wave[row, : len(clip)] = clip
            valid[row] = len(clip)
        return wave, valid

    def _bits(self, purpose: int, number: int, n: int) -> np.ndarray:
        key = np.random.SeedSequence((self.seed, purpose, number)).generate_state(2, np.uint64)
        return np.random.Philox(key=key).random_raw(n)


def prefetch(
    batches: Batches, first_step: int, last_step: int, *, threads: int = 2, hosts: int = 1, host: int = 0
) -> Iterator[dict[str, np.ndarray]]:
    """The batches of the steps first_step <= step < last_step in order, made ahead by threads (grain).

    The iterator has a `close()`, which stops the threads; dropping it does so too.

    Args:
        threads: >= 0; 0 makes each batch when it is asked for. It never changes what comes.
        hosts, host: this process's share, rows host * b/hosts and on; the batch must divide evenly.

    Raises:
        ValueError: for a range or a share that is none. What goes wrong in a thread is raised here.
    """
    import grain  # here: it imports jax, and whoever only makes batches needn't wait for that

    if not 0 <= first_step <= last_step or threads < 0:
        raise ValueError(f"steps {first_step} to {last_step} with {threads} threads: there is no such range")
    if not 0 <= host < hosts or batches.batch % hosts:
        raise ValueError(f"host {host} of {hosts}: a batch of {batches.batch} cannot be shared out like that")
    share = batches.batch // hosts
    rows = slice(host * share, (host + 1) * share)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    steps = grain.MapDataset.range(first_step, last_step)
    return iter(steps.map(lambda step: batches.at(step, rows)).to_iter_dataset(options))
