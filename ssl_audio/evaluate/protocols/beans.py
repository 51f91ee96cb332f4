"""BEANS's logistic regression: C of 0.1, 1 and 10 on standardised embeddings, chosen on validation rows.

Hagiwara et al., "BEANS: The Benchmark of Animal Sounds", 2022. Its features are statistics of MFCCs, here
they are the embeddings; the optimum is scikit-learn's. Of several labels each class is a regression of its
own, and the program takes the average precision of decisions, 0 or 1, not of scores: `compat` does so too,
`strict` of scores. Of one label a clip both are the same. Validation rows as for HEAR
(`protocols.parts`), on which the tested regression isn't fitted.
"""

import numpy as np
from jaxtyping import Float, Shaped

from ssl_audio.evaluate.folds import finite, standardise
from ssl_audio.evaluate.linear import precise, right, rotate, solve
from ssl_audio.evaluate.protocols.hear import Form
from ssl_audio.evaluate.protocols.parts import each, parts

STRENGTHS = (0.1, 1.0, 10.0)


def predict(
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "n c"],
    folds: Shaped[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    *,
    test: tuple[str, ...] | None = None,
    seed: int = 0,
    several: bool = False,
    form: Form = "compat",
) -> tuple[Float[np.ndarray, "n c"], dict[str, float]]:
    """Scores of the test rows (NaN for the others; compat, several labels: 1 or 0), and each fold's C.

    Arguments as `protocols.hear.predict`; seed: unused, the optimum is unique. ValueError: a group is cut, or
    a value isn't finite.
    """
    finite(x)
    label, good = (y > 0.5, precise) if several else (y.argmax(1), right)
    said = (lambda s: (s > 0).astype(np.float32)) if several and form == "compat" else (lambda s: s)

    def one(number, part):
        z = rotate(standardise(x, part.train), part.train)
        w, fits = None, []
        for strength in STRENGTHS:
            w = solve(z[part.train], label[part.train], y.shape[1], strength, w)
            fits.append((good(said(z[part.valid] @ w), label[part.valid]), strength, w))
        _, strength, w = max(fits, key=lambda f: f[0])  # of equals the first
        return said(z[part.test] @ w), strength

    return each("BEANS", parts(folds, groups, test), y, one)
