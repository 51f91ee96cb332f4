"""Records of one task: measured numbers with intervals, differences of systems on the same draws."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from ssl_audio.evaluate.tasks import Task

BALANCED = "classes balanced in training"
"""In the protocol of a linear probe that was trained so."""
LOWER = frozenset({"EER", "minDCF", "MAE", "segment error rate"})
"""Metrics of which less is better; of all others more."""


def protocol_of(task: "Task") -> str:
    """What a record's protocol says of folds and interval."""
    return (f"{task.note}; " if task.note else "") + "ci95: percentile bootstrap over groups"


@dataclass
class Sheet:
    """The records of a task, all with the same n, groups, seed and `extra`."""

    task: str
    n: int
    groups: int
    seed: int
    extra: Mapping[str, Any] | None = None
    records: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        system: str,
        metric: str,
        value: float,
        ci95: tuple[float, float] | Float[np.ndarray, " draws"],
        protocol: str,
        **more: Any,
    ) -> None:
        """Add a record. ci95: the edges, or draws of a bootstrap, of which NaN don't count (a draw in which
        there is nothing to measure). What is infinite (d' of a perfect AUC) isn't recorded."""
        drawn = np.asarray(ci95)[~np.isnan(ci95)]
        if not np.isfinite([value, *drawn]).all() or not len(drawn):
            return
        low, high = np.percentile(drawn, (2.5, 97.5)) if isinstance(ci95, np.ndarray) else ci95
        self.records.append(
            {
                "task": self.task,
                "system": system,
                "metric": metric,
                "value": float(value),
                "ci95": [float(low), float(high)],
                "n": self.n,
                "groups": self.groups,
                "seed": self.seed,
                "protocol": protocol,
                **more,
                **(self.extra or {}),
            }
        )

    def differences(
        self,
        ours: str,
        metric: str,
        values: Mapping[str, Mapping[str, float]],
        draws: Mapping[str, Mapping[str, Float[np.ndarray, " draws"]]],
        protocol: str,
    ) -> None:
        """Add "ours - other" of every other system: the same groups are drawn for both, p is the bootstrap's.

        values, draws: by system and metric. The best of the others gets "best_floor".
        """
        others = [name for name in values if name != ours]
        sign = -1 if metric in LOWER else 1
        best = max(others, key=lambda name: sign * values[name][metric], default=None)
        for name in others:
            gain = draws[ours][metric] - draws[name][metric]
            gain = gain[~np.isnan(gain)]
            if not len(gain):
                continue
            p = min(1.0, 2 * min((gain <= 0).mean(), (gain >= 0).mean()) + 1 / len(gain))
            self.add(
                f"{ours} - {name}",
                f"{metric} difference",
                values[ours][metric] - values[name][metric],
                gain,
                f"paired by draw, p by the bootstrap; {protocol}",
                best_floor=name == best,
                p=float(p),
            )
