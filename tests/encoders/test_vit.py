"""ViT: the transformer block against PyTorch's, patches, positions, what is visible."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import VIT

from ssl_audio.encoders.layers import Block, masked_max, masked_mean, patches, positions, sincos


def draw(*shape):
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)


@pytest.mark.parametrize("masked", [False, True])
def test_block_is_pytorchs(masked):
    torch = pytest.importorskip("torch", reason="the reference is PyTorch's TransformerEncoderLayer")
    block, x = Block(12, 3, rngs=nnx.Rngs(0)), draw(2, 5, 12)
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool) if masked else None
    layer = torch.nn.TransformerEncoderLayer(12, 3, 48, 0.0, "gelu", 1e-6, batch_first=True, norm_first=True)
    to = lambda a: torch.tensor(np.asarray(a))
    parts = {
        "self_attn.in_proj": block.qkv, "self_attn.out_proj": block.out,
        "linear1": block.up, "linear2": block.down,
    }  # fmt: skip
    weights = {}
    for name, linear in parts.items():
        joint = "_" if name.endswith("in_proj") else "."
        linear.bias[...] = draw(*linear.bias.shape)
        weights |= {
            f"{name}{joint}weight": to(linear.kernel[...]).T,
            f"{name}{joint}bias": to(linear.bias[...]),
        }
    for name, norm in {"norm1": block.norm1, "norm2": block.norm2}.items():
        norm.scale[...] = 1 + 0.3 * draw(12)
        weights |= {f"{name}.weight": to(norm.scale[...]), f"{name}.bias": to(norm.bias[...])}
    layer.load_state_dict(weights)
    layer.train()  # in eval() PyTorch takes a fused path, whose padding differs
    expected = layer(to(x), src_key_padding_mask=None if mask is None else to(~mask)).detach().numpy()
    np.testing.assert_allclose(block(x, None if mask is None else jnp.asarray(mask)), expected, atol=3e-5)


def test_patches_tile_the_spectrogram():
    x = jnp.arange(2 * 9 * 6, dtype=jnp.float32).reshape(2, 9, 6)
    p = patches(x, (4, 3))
    assert p.shape == (2, 4, 12)
    for i, (f, m) in enumerate(positions(9, 6, (4, 3))):
        np.testing.assert_array_equal(p[1, i].reshape(4, 3), x[1, 4 * f : 4 * f + 4, 3 * m : 3 * m + 3])


def test_positions_tell_patches_apart():
    codes = sincos(positions(40, 32, (8, 8)), 16)
    assert codes.shape == (20, 16) and codes.dtype == np.float32
    distance = np.abs(codes[:, None] - codes[None]).max(-1)
    assert distance[~np.eye(20, dtype=bool)].min() > 1e-3
    np.testing.assert_allclose((codes**2).sum(1), 8, rtol=1e-5)  # sin² + cos²
    longer = sincos(positions(80, 32, (8, 8)), 16)
    np.testing.assert_array_equal(longer[:20], codes)  # any length: the beginning stays
    with pytest.raises(ValueError, match="divisible by 4"):
        sincos(positions(8, 8, (8, 8)), 18)


def test_order_of_patches_matters():
    net = VIT.build(16, rngs=nnx.Rngs(0))
    x = draw(1, 32, 16)
    turned = jnp.concatenate([x[:, 16:], x[:, :16]], 1)
    assert not np.allclose(net.embed(x), net.embed(turned), atol=1e-4)


def test_keep_takes_tokens_with_their_positions():
    """Keeping all, in another order, permutes the tokens; keeping some is not keeping others."""
    net, x = VIT.build(16, rngs=nnx.Rngs(0)), draw(2, 24, 16)
    order = jnp.array([[3, 1, 0, 2, 5, 4], [5, 4, 3, 2, 1, 0]])
    np.testing.assert_allclose(
        net(x, keep=order), jnp.take_along_axis(net(x), order[..., None], 1), atol=1e-5
    )
    changed = x.at[:, :8, :8].set(9.0)  # patch 0
    np.testing.assert_array_equal(net(x, keep=order[:, :2]), net(changed, keep=order[:, :2]))
    assert not np.allclose(net(x, keep=order[:, 2:]), net(changed, keep=order[:, 2:]))


def test_masked_pooling():
    x, mask = draw(2, 5, 3), jnp.array([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]], bool)
    np.testing.assert_allclose(masked_mean(x, mask)[0], x[0, :2].mean(0), rtol=1e-5)
    np.testing.assert_allclose(masked_max(x, mask)[0], x[0, :2].max(0))
    np.testing.assert_allclose(masked_mean(x, mask)[1], masked_mean(x, None)[1], rtol=1e-5)
    np.testing.assert_allclose(masked_max(-1 - x**2, mask)[0], (-1 - x[0, :2] ** 2).max(0))  # all below zero


def test_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match="heads"):
        dataclasses.replace(VIT, heads=3).build(16, rngs=nnx.Rngs(0))
