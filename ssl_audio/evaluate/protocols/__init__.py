"""Probes as benchmarks publish them: `compat` with the faults of their programs, `strict` without."""

import numpy as np
from jaxtyping import Bool, Float, Shaped

from ssl_audio.evaluate.folds import Outcome, Scored
from ssl_audio.evaluate.protocols import hear, xares

KINDS = {
    "hear": (hear.predict, "compat", "HEAR compat"),
    "hear-strict": (hear.predict, "strict", "HEAR strict"),
    "x-ares": (xares.predict, "compat", "X-ARES compat"),
    "x-ares-strict": (xares.predict, "strict", "X-ARES strict"),
}
"""Probe, form and what records call it."""


def scored(
    kind: str,
    x: Float[np.ndarray, "n d"],
    truth: Bool[np.ndarray, "n c"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    *,
    test: tuple[str, ...] | None = None,
    seed: int = 0,
    several: bool = True,
) -> Scored:
    """Out-of-fold scores of a probe. several: labels a clip; else the classes exclude one another."""
    predict, form, _ = KINDS[kind]
    out, chosen = predict(
        x, truth.astype(np.float32), folds, groups, test=test, seed=seed, several=several, form=form
    )
    tested = np.flatnonzero(np.isfinite(out).all(1))
    return Scored(out[tested], tested, chosen)


def classed(
    kind: str,
    x: Float[np.ndarray, "n d"],
    y: Shaped[np.ndarray, " n"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    *,
    test: tuple[str, ...] | None = None,
    seed: int = 0,
) -> Outcome:
    """Out-of-fold classes by a probe. Arguments as `linear.probe`."""
    classes, code = np.unique(y, return_inverse=True)
    truth = np.arange(len(classes)) == code[:, None]
    out = scored(kind, x, truth, folds, groups, test=test, seed=seed, several=False)
    return out.best(classes, code)
