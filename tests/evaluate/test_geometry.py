import numpy as np
import pytest

from ssl_audio.evaluate import geometry
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


def turned(d, seed=3):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]


def test_participation_counts_directions():
    x = np.random.default_rng(0).standard_normal((20_000, 5))
    assert geometry.participation(x + 100) == pytest.approx(5, abs=0.02)
    assert geometry.participation(x * [2, 1, 0, 0, 0]) == pytest.approx(25 / 17, abs=0.02)
    assert geometry.participation(np.ones((9, 4))) == 1


def test_alignment_and_uniformity_of_known_clouds():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((3000, 8)), rng.standard_normal((3000, 8))
    assert geometry.alignment(x, 3 * x) == pytest.approx(0)
    assert geometry.alignment(x, -x) == pytest.approx(4)
    assert geometry.alignment(x, y) == pytest.approx(2, abs=0.05)
    assert geometry.uniformity(np.ones((5, 4))) == pytest.approx(0)
    circle = np.stack([np.cos(a := np.arange(4096) * 2 * np.pi / 4096), np.sin(a)], 1)
    assert geometry.uniformity(circle) == pytest.approx(np.log(np.i0(4) * np.exp(-4)), abs=2e-3)
    assert geometry.uniformity(x) < geometry.uniformity(x + 1) < -1
    silent = np.concatenate([x[:20], np.zeros((3, 8))])  # rows of zeros stay where they are
    unit = silent / np.maximum(np.linalg.norm(silent, axis=1, keepdims=True), 1e-12)
    far = ((unit[:, None] - unit[None]) ** 2).sum(2)[~np.eye(23, dtype=bool)]
    assert geometry.uniformity(silent) == pytest.approx(np.log(np.exp(-2 * far).mean()))
    assert geometry.uniformity(np.zeros((4, 3))) == pytest.approx(0)


def test_isotropy_of_a_ball_and_of_a_line():
    x = np.random.default_rng(0).standard_normal((20_000, 4))
    assert geometry.isotropy(x) > 0.95
    assert geometry.isotropy(x + np.array([9, 0, 0, 0])) == pytest.approx(np.exp(-2), abs=0.02)
    assert geometry.isotropy(x @ turned(4)) == pytest.approx(geometry.isotropy(x), abs=0.01)


def test_cka_sees_neither_rotation_nor_scale_but_other_maps():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4000, 6)) * [5, 4, 3, 2, 1, 1]
    assert geometry.cka(x, 7 * x @ turned(6) + 3) == pytest.approx(1)
    assert geometry.cka(x, rng.standard_normal((4000, 9))) < 0.01
    assert 0.2 < geometry.cka(x, x * [1, 1, 1, 5, 5, 5]) < 0.9
    kernels = [
        v - v.mean(0) - v.mean(1)[:, None] + v.mean()
        for v in (x[:50] @ x[:50].T, np.tanh(x[:50]) @ np.tanh(x[:50]).T)
    ]
    expected = (kernels[0] * kernels[1]).sum() / np.linalg.norm(kernels[0]) / np.linalg.norm(kernels[1])
    assert geometry.cka(x[:50], np.tanh(x[:50])) == pytest.approx(expected)


@pytest.mark.parametrize("inside", [1, 2, 5])
def test_intrinsic_dimension_of_a_cube_in_a_bigger_space(inside):
    x = np.random.default_rng(0).random((4000, inside)) @ np.random.default_rng(1).standard_normal(
        (inside, 20)
    )
    found = geometry.intrinsic_dimension(x)
    assert found == pytest.approx(inside, rel=0.07)
    assert geometry.intrinsic_dimension(np.concatenate([x, x[:3800]])) == pytest.approx(found)


def test_intrinsic_dimension_needs_three_different_clips():
    for x in (np.ones((9, 3)), np.eye(2)):
        with pytest.raises(ValueError, match="three"):
            geometry.intrinsic_dimension(x)
