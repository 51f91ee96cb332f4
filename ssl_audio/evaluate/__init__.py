"""Judging embeddings, anybody's: arrays in, metrics with intervals out. numpy, scipy and scikit-learn only.

Each evaluator is a module with `probe(x, y, folds, groups, *, test=None, seed=0)`, whose result has
`.metrics`, a dict in which perfect embeddings have 1. Measures that need no folds, or other labels, are
functions: `geometry`, `retrieval`, `verification`, `multilabel`.
"""

from ssl_audio.evaluate.folds import Outcome
from ssl_audio.evaluate.geometry import embedding_std, rankme
from ssl_audio.evaluate.judging import judge
from ssl_audio.evaluate.stats import bootstrap, paired, pooled
from ssl_audio.evaluate.tasks import TASKS, Task, columns, find

__all__ = [
    "TASKS",
    "Outcome",
    "Task",
    "bootstrap",
    "columns",
    "embedding_std",
    "find",
    "judge",
    "paired",
    "pooled",
    "rankme",
]
