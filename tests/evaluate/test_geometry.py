import numpy as np
import pytest

from ssl_audio.evaluate.geometry import embedding_std, rankme


def test_rankme_of_known_spectra():
    rng = np.random.default_rng(0)
    u, v = np.linalg.qr(rng.standard_normal((50, 8)))[0], np.linalg.qr(rng.standard_normal((8, 8)))[0]
    assert rankme(3 * u @ v) == pytest.approx(8)
    assert rankme(np.outer(u[:, 0], v[0])) == pytest.approx(1)
    p = np.array([0.7, 0.2, 0.1])
    assert rankme(5 * u[:, :3] * p @ v[:3]) == pytest.approx(np.exp(-(p * np.log(p)).sum()))
    assert rankme(np.zeros((4, 3))) == 1


def test_embedding_std_of_a_cloud_and_of_a_collapse():
    x = np.random.default_rng(0).standard_normal((4000, 64))
    assert embedding_std(x) == pytest.approx(1, abs=0.02)
    assert embedding_std(x * np.arange(1, 4001)[:, None]) == pytest.approx(embedding_std(x))
    assert embedding_std(np.ones((10, 4))) == pytest.approx(0, abs=1e-12)
