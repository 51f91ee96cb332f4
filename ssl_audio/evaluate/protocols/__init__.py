"""Probes as benchmarks publish them: `compat` with the faults of their programs, `strict` without."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Shaped

from ssl_audio.evaluate.folds import Outcome, Scored
from ssl_audio.evaluate.protocols import attentive, beans, evar, hear, marble, superb, xares

KINDS = {
    "hear": (hear.predict, "compat", "HEAR compat"),
    "hear-strict": (hear.predict, "strict", "HEAR strict"),
    "x-ares": (xares.predict, "compat", "X-ARES compat"),
    "x-ares-strict": (xares.predict, "strict", "X-ARES strict"),
    "evar": (evar.predict, "compat", "EVAR compat"),
    "evar-strict": (evar.predict, "strict", "EVAR strict"),
    "marble": (marble.predict, "compat", "MARBLE compat"),
    "marble-strict": (marble.predict, "strict", "MARBLE strict"),
    "beans": (beans.predict, "compat", "BEANS compat"),
    "beans-strict": (beans.predict, "strict", "BEANS strict"),
    "superb": (superb.predict, "compat", "SUPERB"),
    "attentive": (attentive.predict, "strict", "attentive"),
}
"""Probe, form and what records call it."""
INPUTS = {"superb": "layers", "attentive": "frames"}
"""What a probe looks at where that isn't an embedding a clip."""


def given(
    kind: str,
    name: str,
    x: Float[np.ndarray, "n _"],
    deeper: Mapping[str, Mapping[str, Float[np.ndarray, "n _ _"]]] | None,
) -> Float[np.ndarray, "n ..."] | None:
    """What a probe of a system looks at: x, or its layers or frames of `deeper`; None where it has none."""
    return x if kind not in INPUTS else (deeper or {}).get(INPUTS[kind], {}).get(name)


def scored(
    kind: str,
    x: Float[np.ndarray, "n ..."],
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
    x: Float[np.ndarray, "n ..."],
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
