"""The page of clusters: what is heard of them, and how much."""

import re

import numpy as np
import pytest
from toys import folded

from ssl_audio.explore import clusters


@pytest.mark.parametrize(
    "most, each, said", [(300, 5, ""), (12, 2, ""), (4, 1, "The 4 largest of 6 clusters")]
)
def test_sounds_are_bounded(tmp_path, monkeypatch, most, each, said):
    store, _ = folded(tmp_path, takes=6, folds=2)
    _, code = np.unique(store.values("label"), return_inverse=True)
    count = len(set(code))
    assert count == 6 and np.bincount(code).min() >= 5
    monkeypatch.setattr(clusters, "MOST", most)
    x = np.random.default_rng(0).standard_normal((len(store), 3)).astype(np.float32)
    page = clusters.heard(x, code, store, None, 5)
    assert page.count("<audio") == each * min(count, most) and said in page
    assert len(re.findall("<h3>", page)) == min(count, most) and ("largest" in page) == bool(said)
