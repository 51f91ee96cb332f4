"""Blocks that attend within windows: who sees whom, and the arithmetic of Swin V2 and of MW-MAE."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ssl_audio.encoders.layers import (
    Block,
    MultiWindowBlock,
    Transformer,
    WindowBlock,
    from_windows,
    into_windows,
    sincos,
)


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def reach(block, n, width=8):
    """[n n]: whether output i depends on input j, by gradient exactly zero or not."""
    # not jitted: XLA's CPU compiler gets the vmapped backward pass of windows wrong, as no training has it
    jacobian = jax.jacobian(lambda x: block(x[None])[0])(draw(n, width))
    return (np.asarray(jacobian) != 0).any((1, 3))


@pytest.mark.parametrize(
    "grid, window, shift",
    [((8, 4), (4, 4), (2, 0)), ((7, 5), (4, 2), (1, 1)), ((3, 4), (4, 4), (2, 0))],
)
def test_windows_go_there_and_back(grid, window, shift):
    x = draw(2, *grid, 3)
    cut = into_windows(x, window, shift)
    assert cut.shape[2] == window[0] * window[1]
    np.testing.assert_array_equal(from_windows(cut, grid, window, shift), x)
    seen = into_windows(jnp.ones((1, *grid, 1), bool), window, shift)
    assert int(seen.sum()) == grid[0] * grid[1] and bool(seen.any(2).all())


@pytest.mark.parametrize("shift", [(0, 0), (2, 0)])
def test_window_block_sees_its_window_only(shift):
    """7 steps of 2 columns, windows of 4 steps: 0-3, 4-6; moved by 2: 0-1, 2-5, 6, and none wraps around."""
    block = WindowBlock(8, 2, (4, 4), shift, 2, rngs=nnx.Rngs(0))
    step = np.arange(14) // 2
    group = (step + (2 if shift[0] else 0)) // 4
    np.testing.assert_array_equal(reach(block, 14), group[:, None] == group[None])


def test_window_block_is_swin_v2():
    """In numpy: cosine scores over a temperature, plus the function of log distance; norms after branches."""
    block, x = WindowBlock(8, 2, (2, 2), (0, 0), 2, rngs=nnx.Rngs(0)), draw(1, 4, 8)
    block.temperature[...] = jnp.array([0.5, 0.001])  # the second is held at 0.01
    a = {k: np.asarray(getattr(block, k).kernel[...]) for k in ("qkv", "out", "up", "down", "far1", "far2")}
    q, k, v = np.moveaxis((np.asarray(x[0]) @ a["qkv"]).reshape(4, 3, 2, 4), 1, 0)
    q, k = (t / np.linalg.norm(t, axis=-1, keepdims=True) for t in (q, k))
    place = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    away = place[:, None] - place[None]
    far = np.maximum(np.sign(away) * np.log1p(np.abs(away)) @ a["far1"], 0) @ a["far2"]
    score = np.einsum("ihd,jhd->hij", q, k) / np.array([0.5, 0.01])[:, None, None] + np.moveaxis(far, -1, 0)
    weight = np.exp(score - score.max(-1, keepdims=True))
    weight /= weight.sum(-1, keepdims=True)
    norm = lambda y: (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-6)
    y = np.asarray(x[0]) + norm(np.einsum("hij,jhd->ihd", weight, v).reshape(4, 8) @ a["out"])
    gelu = np.asarray(jax.nn.gelu(jnp.asarray(y @ a["up"]), approximate=False))
    np.testing.assert_allclose(block(x)[0], y + norm(gelu @ a["down"]), atol=2e-5)


def test_heads_see_their_own_windows():
    block = MultiWindowBlock(8, 2, (2, 3), rngs=nnx.Rngs(0))
    place = np.arange(7)
    expected = [place[:, None] // w == place[None] // w for w in (2, 3)]
    np.testing.assert_array_equal(np.isfinite(block.bias(7)), expected)
    np.testing.assert_array_equal(reach(block, 7), expected[0] | expected[1])
    bias = np.asarray(block.bias(7))[1]  # by distance: the same in every window
    np.testing.assert_array_equal(bias[0:3, 0:3], bias[3:6, 3:6])
    assert bias[0, 1] == bias[1, 2] != bias[1, 0]
    assert all(
        np.isfinite(g).all() for g in jax.tree.leaves(jax.grad(lambda x: block(x).sum())(draw(1, 7, 8)))
    )


def test_a_head_over_all_is_the_plain_block():
    plain, block, x = (
        Block(8, 2, rngs=nnx.Rngs(0)),
        MultiWindowBlock(8, 2, (0, 0), rngs=nnx.Rngs(0)),
        draw(2, 5, 8),
    )
    np.testing.assert_allclose(block(x), plain(x), atol=1e-6)
    tables = [t[...] for t in MultiWindowBlock(8, 2, (50, 125), rngs=nnx.Rngs(0)).tables]
    assert [t.shape for t in tables] == [(99, 1), (249, 1)]
    for t in tables:
        assert 0.8 < float(t.std()) / (0.02 / len(t)) ** 0.5 < 1.2


def test_low_precision():
    for block in (
        MultiWindowBlock(8, 2, (2, 0), rngs=nnx.Rngs(0)),
        WindowBlock(8, 2, (2, 2), (1, 0), 2, rngs=nnx.Rngs(0)),
    ):
        graph, params = nnx.split(block)
        low = jax.tree.map(lambda x: x.astype(jnp.bfloat16), nnx.as_pure(params))
        with jax.numpy_dtype_promotion("standard"):  # flax's LayerNorm promotes
            out = nnx.merge(graph, low)(draw(2, 6, 8).astype(jnp.bfloat16))
        assert out.dtype == jnp.bfloat16
        np.testing.assert_allclose(out.astype(jnp.float32), block(draw(2, 6, 8)), atol=0.15)


def test_positions_along_a_line_and_the_transformer_behind():
    codes = sincos(np.arange(6)[:, None], 4)
    angle = np.arange(6)[:, None] / np.array([1.0, 100.0])
    np.testing.assert_allclose(codes, np.concatenate([np.sin(angle), np.cos(angle)], 1), rtol=1e-5)
    with pytest.raises(ValueError, match="divisible by 2"):
        sincos(np.arange(6)[:, None], 5)
    out = Transformer(3, 8, 1, 2, 5, rngs=nnx.Rngs(0))(draw(2, 6, 3), np.arange(6)[:, None])
    assert out.shape == (2, 6, 5)


def test_refusals():
    for windows in ((2,), (1, 2), (-1, 0)):
        with pytest.raises(ValueError, match="windows"):
            MultiWindowBlock(8, 2, windows, rngs=nnx.Rngs(0))
    for window, shift in (((4, 4), (4, 0)), ((0, 4), (0, 0))):
        with pytest.raises(ValueError, match="shift"):
            WindowBlock(8, 2, window, shift, 2, rngs=nnx.Rngs(0))
