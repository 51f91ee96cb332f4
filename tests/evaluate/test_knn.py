import numpy as np

from ssl_audio.evaluate import knn
from ssl_audio.evaluate.folds import standardise


def test_votes_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=90)
    x = (rng.standard_normal((3, 5))[y] + 1.5 * rng.standard_normal((90, 5))).astype(np.float32)
    folds = (np.arange(90) % 3).astype(str)
    out = knn.probe(x, y, folds, np.arange(90).astype(str))
    for row in range(90):
        train = np.flatnonzero(folds != folds[row])
        z = standardise(x, train).astype(np.float64)
        z /= np.linalg.norm(z, axis=1, keepdims=True)
        similar = z[train] @ z[row]
        best = np.argsort(-similar)[:10]
        weight = np.exp(similar[best] / 0.07) / np.exp(similar[best] / 0.07).sum()
        assert out.predictions[row] == np.bincount(y[train][best], weight).argmax()


def test_fewer_training_clips_than_k():
    x = np.eye(6, dtype=np.float32)[[0, 1, 0, 1, 0, 1]]
    y = np.array(["a", " b"] * 3)
    out = knn.probe(x, y, np.array(list("112233")), np.arange(6).astype(str))
    assert out.correct.all() and out.predictions.tolist() == y.tolist()
