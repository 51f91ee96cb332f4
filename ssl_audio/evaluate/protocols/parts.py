"""Outer folds of a published probe: what trains, what validates, what is tested, and the loop over them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int64, Shaped

from ssl_audio.embeddings import bar
from ssl_audio.evaluate.folds import inner, splits


class Part(NamedTuple):
    """An outer fold: its name and its rows."""

    name: str
    train: Int64[np.ndarray, " n_train"]
    valid: Int64[np.ndarray, " n_valid"]
    test: Int64[np.ndarray, " n_test"]


def parts(
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    test: tuple[str, ...] | None,
) -> list[Part]:
    """Outer folds, where the next fold validates, one called valid, or a fifth of the groups."""
    names, out = [str(name) for name in np.unique(folds)], []
    for split in splits(folds, groups, test):
        inside = folds[split.train].astype(str)
        if test is None and len(names) > 2:
            held = inside == names[(names.index(split.name) + 1) % len(names)]
        elif "valid" in inside:
            held = inside == "valid"
        else:
            held = inner(folds, groups, split)[0]
        out.append(Part(split.name, split.train[~held], split.train[held], split.test))
    return out


def each(
    title: str,
    todo: Sequence[Part],
    y: Float[np.ndarray, "n c"],
    one: Callable[[int, Part], tuple[Float[np.ndarray, "m c"], Any]],
) -> tuple[Float[np.ndarray, "n c"], dict[str, Any]]:
    """(scores of the test rows, NaN for the others; what was chosen by fold), with a progress bar.

    one: (number of a fold, the fold) -> scores of its test rows, what was chosen. ValueError: a score isn't
    finite.
    """
    out, chosen = np.full(y.shape, np.nan, np.float32), {}
    with bar() as progress:
        job = progress.add_task(f"{title}, folds", total=len(todo))
        for number, part in enumerate(todo):
            out[part.test], chosen[part.name] = one(number, part)
            if not np.isfinite(out[part.test]).all():
                raise ValueError(
                    f"{title}'s probe diverged in fold {part.name}; are the embeddings very large?"
                )
            progress.advance(job)
    return out, chosen
