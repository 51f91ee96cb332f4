"""HEAR's leaderboard, to stand beside numbers that were made by its protocol.

data/hear_leaderboard.csv: the 34 systems on hearbenchmark.com of 26 September 2023 (Apache 2.0), four digits;
an empty cell is a task that a system has no score for.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

TABLE = Path(__file__).parent / "data" / "hear_leaderboard.csv"
HEAR = {
    "beijing_opera": "Beijing Opera",
    "dcase2016_task2": "DCASE 2016",
    "esc50": "ESC-50",
    "fsd50k": "FSD50K",
    "gunshot": "Gunshot",
    "libricount": "Libricount",
    "maestro/notes": "Maestro 5h",
    "mridangam/stroke": "Mridangam Stroke",
    "mridangam/tonic": "Mridangam Tonic",
    "speech_commands/hear-5h": "Speech commands 5h",
    "speech_commands/hear-full": "Speech commands full",
    "voxlingua107/top10": "VoxLingua107 top 10",
}
"""Our task -> the leaderboard's column, where clips, folds and measure are the same."""


def published(task: str) -> dict[str, float]:
    """System -> score (accuracy, of fsd50k mAP, of events the F1 of onsets), best first; empty for a task
    that isn't there."""
    if task not in HEAR:
        return {}
    with open(TABLE, encoding="utf-8", newline="") as file:
        found = {row["system"]: float(row[HEAR[task]]) for row in csv.DictReader(file) if row[HEAR[task]]}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def beside(record: Mapping[str, Any]) -> str:
    """A record by HEAR's probe in words, beside the leaderboard; "" for any other record."""
    others = published(record["task"]) if str(record["metric"]).startswith("HEAR compat ") else {}
    if not others:
        return ""
    best, scores = next(iter(others)), np.array(list(others.values()))
    place = int((scores > record["value"]).sum()) + 1
    return (
        f"HEAR's leaderboard on {record['task']}: {len(scores)} systems from {scores.min():.3f} to "
        f"{scores.max():.3f} ({best}), median {np.median(scores):.3f}; {record['system']} with "
        f"{record['value']:.3f} would be number {place}"
    )
