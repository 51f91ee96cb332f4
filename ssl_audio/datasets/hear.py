"""The folds that HEAR makes for sets that have none, and what it draws from large ones."""

import hashlib
import random
from collections.abc import Iterable, Mapping

import numpy as np


def folds(labels: Mapping[str, str], k: int) -> dict[str, str]:
    """Key -> "fold00", "fold01".. as HEAR's hear-preprocess splits a set that has no folds.

    The sorted keys are shuffled and cut into k parts; the first of 1,000 seeds that puts every label into
    every part counts. Only the whole data set gives HEAR's folds: one key less shuffles all of them.

    Args:
        labels: key (HEAR takes the file's stem) -> its label.

    Raises:
        ValueError: if no seed will do.
    """
    keys, wanted = sorted(labels), set(labels.values())
    for seed in ("split_k_folds", *(f"split_k_folds_retry_{i}" for i in range(999))):
        shuffled = keys.copy()
        random.Random(seed).shuffle(shuffled)
        parts = [part.tolist() for part in np.array_split(shuffled, k)]
        if all({labels[key] for key in part} == wanted for part in parts):
            return {key: f"fold{i:02d}" for i, part in enumerate(parts) for key in part}
    raise ValueError(f"no seed puts each of {len(wanted)} labels into each of {k} folds; too few clips")


def drawn(keys: Iterable[str], split: str, most: int) -> set[str]:
    """The keys that HEAR keeps of a split, at most so many: the first of the sorted keys, shuffled.

    Only the whole split gives HEAR's draw. Its shuffle is pandas's `sample`, which is numpy's old generator,
    whose numbers no longer change.

    Args:
        split: HEAR's name of it, such as "train" or "fold00"; the seed is made of it.
    """
    digest = hashlib.sha1(f"SubsampleSplit({split})".encode()).hexdigest()
    order = np.random.RandomState(int(digest, 16) % (2**32 - 1)).permutation(len(names := sorted(keys)))
    return {names[i] for i in order[:most]}
