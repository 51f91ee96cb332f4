"""The folds that HEAR makes for sets that have none."""

import random
from collections.abc import Mapping

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
