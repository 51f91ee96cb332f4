"""Two systems on the same clips: the better one is told, equal ones aren't, and what can't be compared is
refused."""

import json

import numpy as np
import pytest
from test_outside import CLIPS, KNOWN, embeddings, write

from ssl_audio import compare, report


def test_the_better_is_told_and_equals_are_not(tmp_path, capsys):
    names, x = [c.name for c in CLIPS], embeddings()
    order = np.random.default_rng(1).permutation(len(x))
    good = write(tmp_path / "good.npz", [names[i] for i in order], x[order])
    noise = write(tmp_path / "noise.npz", names, np.random.default_rng(2).standard_normal(x.shape))
    same = write(tmp_path / "same.csv", names, x)
    records = compare.run(good, noise, ["esc50"], KNOWN, tmp_path / "out.json")
    (difference,) = (r for r in records if r["system"] == "good - noise")
    assert difference["ci95"][0] > 0 and difference["p"] < 0.01
    assert difference["p holm"] == difference["p"]  # of one task
    kept = [r | {"schema": report.SCHEMA} for r in json.loads(json.dumps(records))]
    assert report.read(tmp_path / "out.json") == kept
    assert "good is better than noise" in capsys.readouterr().out
    for record in compare.run(good, noise, ["esc50", "esc50"], KNOWN):
        if "p holm" in record:  # over two tasks
            assert record["p holm"] == pytest.approx(2 * record["p"])
    capsys.readouterr()
    records = compare.run(good, same, ["esc50", "esc50"], KNOWN)
    assert [r["value"] for r in records if r["system"] == "good - same"] == [0, 0]
    assert "not shown to differ" in capsys.readouterr().out


def test_what_cannot_be_compared_is_refused(tmp_path):
    names, x = [c.name for c in CLIPS], embeddings()
    (tmp_path / "a").mkdir()
    one, two = write(tmp_path / "a" / "x.npz", names, x), write(tmp_path / "x.npz", names, x)
    assert compare.titles(one, two) == ("a/x", f"{tmp_path.name}/x")
    with pytest.raises(ValueError, match="called alike"):
        compare.titles(one, one)
