"""HEAR's leaderboard beside a number of ours."""

import csv

import pytest

from ssl_audio.evaluate import TASKS, leaderboard


def test_scores_are_those_of_the_table():
    """Three that are printed in HEAR's own pages, and every column is a task of ours."""
    esc50 = leaderboard.published("esc50")
    assert esc50["OpenL3"] == pytest.approx(0.751, abs=6e-4)
    assert esc50["wav2vec2"] == pytest.approx(0.561, abs=6e-4)
    assert list(esc50.values()) == sorted(esc50.values(), reverse=True)
    assert leaderboard.published("fsd50k")["RedRice ced_base"] == pytest.approx(0.655, abs=6e-4)
    with open(leaderboard.TABLE, newline="") as file:
        assert set(leaderboard.HEAR.values()) <= set(csv.DictReader(file).fieldnames)
    assert leaderboard.HEAR.keys() <= {task.name for task in TASKS}
    assert leaderboard.published("gm/family") == {}


def test_the_place_of_a_number():
    record = {"task": "esc50", "system": "ours", "metric": "HEAR compat accuracy", "value": 0.7505}
    said = leaderboard.beside(record)
    better = sum(score > 0.7505 for score in leaderboard.published("esc50").values())
    assert f"ours with {0.7505:.3f} would be number {better + 1}" in said
    assert f"{0.9665:.3f} (RedRice ced_base)" in said
    assert leaderboard.beside(record | {"metric": "HEAR strict accuracy"}) == ""
    assert leaderboard.beside(record | {"task": "gm/family"}) == ""
