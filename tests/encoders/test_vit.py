"""ViT: the transformer block against PyTorch's, patches, positions, what is visible."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import VIT

from ssl_audio.encoders import ViT
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


def test_remat_and_scan_are_the_same_network():
    """Same parameters by name and axes, same outputs of every block, same gradient."""
    x = draw(2, 24, 16)
    mask = jnp.array([[True] * 6, [True] * 4 + [False] * 2])
    plain = dataclasses.replace(VIT, depth=3)
    _, params = nnx.split(plain.build(16, rngs=nnx.Rngs(0)))
    params, found = nnx.as_pure(params), {}
    for remat, scan in ((False, False), (True, False), (False, True), (True, True)):
        net = dataclasses.replace(plain, remat=remat, scan=scan).build(16, rngs=nnx.Rngs(1))
        graph, own = nnx.split(net)
        assert jax.tree.map(jnp.shape, nnx.as_pure(own)) == jax.tree.map(jnp.shape, params)

        def loss(params, x, graph=graph):
            net = nnx.merge(graph, params)
            out = net.layers(net.cut(x), mask)
            return sum(jnp.sum(jnp.sin(y)) for y in out), out

        found[remat, scan] = jax.jit(jax.value_and_grad(loss, has_aux=True))(params, x)
    for other in list(found.values())[1:]:
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), other, found[False, False]
        )


def test_learned_positions_are_cut_and_stretched():
    torch = pytest.importorskip("torch", reason="the reference is PyTorch's interpolate")
    net = dataclasses.replace(VIT, positions="learned", places=3).build(16, rngs=nnx.Rngs(0))
    table = np.asarray(net.places[...])
    assert table.shape == (3, 2, 16)
    np.testing.assert_array_equal(net.places_of(4), table[:2].reshape(4, 16))
    wide = torch.nn.functional.interpolate(
        torch.tensor(table.reshape(3, 32).T[None]), size=7, mode="linear", align_corners=False
    )
    np.testing.assert_allclose(net.places_of(14), wide[0].numpy().T.reshape(14, 16), atol=1e-6)


def copied(blocks, layers, parts, torch):
    """Random weights of PyTorch's layers, under their names, in ours."""
    to = lambda p: jnp.asarray(p.detach().numpy())
    for block, layer in zip(blocks, layers, strict=True):
        get = layer.get_submodule
        for name, theirs in parts.items():
            ours, modules = getattr(block, name), [get(m) for m in theirs.split()]
            with torch.no_grad():
                for m in modules:
                    m.bias.uniform_(-0.3, 0.3)
            ours.bias[...] = jnp.concatenate([to(m.bias) for m in modules])
            if name.startswith("norm"):
                ours.scale[...] = to(modules[0].weight)
            else:
                ours.kernel[...] = jnp.concatenate([to(m.weight).T for m in modules], 1)


PARTS = {
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "qkv": "attention.q_proj attention.k_proj attention.v_proj",
    "out": "attention.o_proj",
    "up": "mlp.fc1",
    "down": "mlp.fc2",
}


def test_is_transformers_ast_with_its_overlapping_patches():
    """Patches of 8x8 every 5 frames and 4 bands; the reference's second token is left out."""
    torch = pytest.importorskip("torch", reason="the reference is PyTorch's")
    transformers = pytest.importorskip("transformers", reason="the reference is transformers' AST")
    torch.manual_seed(0)
    theirs = transformers.ASTModel(
        transformers.ASTConfig(
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            patch_size=8,
            frequency_stride=4,
            time_stride=5,
            max_length=38,
            num_mel_bins=16,
            layer_norm_eps=1e-6,
        )
    ).eval()
    made = ViT(16, 2, 2, (8, 8), cls=True, positions="learned", places=7, stride=(5, 4))
    net = made.build(16, rngs=nnx.Rngs(0))
    stem, to = theirs.embeddings.patch_embeddings.projection, lambda p: jnp.asarray(p.detach().numpy())
    net.stem.kernel[...] = to(stem.weight[:, 0].permute(2, 1, 0).reshape(64, 16))  # its patches lie on a side
    net.stem.bias[...] = to(stem.bias)
    copied(net.blocks, theirs.layers, PARTS, torch)
    x = np.random.default_rng(0).standard_normal((2, 38, 16)).astype(np.float32)
    with torch.no_grad():
        y = theirs.embeddings.patch_embeddings(torch.tensor(x))  # band-major
        y = y.reshape(2, 3, 7, 16).transpose(1, 2).reshape(2, 21, 16)
        np.testing.assert_allclose(net.cut(jnp.asarray(x)), y.numpy(), atol=1e-4)
        y = y + torch.tensor(np.array(net.places[...])).reshape(1, 21, 16)
        y = torch.cat([torch.tensor(np.array(net.cls[...])).expand(2, 1, 16), y], 1)
        for layer in theirs.layers:
            y = layer(y)
            y = y[0] if isinstance(y, tuple) else y
        y = theirs.layernorm(y).numpy()
    assert net.columns == 3 and net.steps(38) == 7 and [net.steps(n) for n in (0, 7, 8, 13)] == [0, 0, 1, 2]
    np.testing.assert_allclose(net(jnp.asarray(x)), y[:, 1:], atol=1e-4)
    np.testing.assert_allclose(net.embed(jnp.asarray(x))[:, :16], y[:, 0], atol=1e-4)


def test_is_transformers_vit_and_its_gradient():
    torch = pytest.importorskip("torch", reason="the reference is PyTorch's")
    transformers = pytest.importorskip("transformers", reason="the reference is transformers' ViT")
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        num_channels=1,
        image_size=(24, 16),
        patch_size=8,
        layer_norm_eps=1e-6,
    )
    theirs = transformers.ViTModel(config, add_pooling_layer=False).eval()
    net = ViT(16, 2, 2, (8, 8), cls=True, positions="learned", places=3).build(16, rngs=nnx.Rngs(0))
    embeddings, to = theirs.embeddings, lambda p: jnp.asarray(p.detach().numpy())
    net.stem.kernel[...] = to(embeddings.patch_embeddings.projection.weight[:, 0].reshape(16, 64).T)
    net.stem.bias[...] = to(embeddings.patch_embeddings.projection.bias)
    places = embeddings.position_embeddings[0]
    net.cls[...] = to(embeddings.cls_token[0, 0] + places[0])
    net.places[...] = to(places[1:]).reshape(3, 2, 16)
    copied(net.blocks, theirs.layers, PARTS, torch)
    x = np.random.default_rng(0).standard_normal((2, 24, 16)).astype(np.float32)
    source = torch.tensor(x[:, None], requires_grad=True)
    expected = theirs(source).last_hidden_state
    graph, params = nnx.split(net)
    run = jax.jit(lambda params, x: nnx.merge(graph, params)(x))
    params = nnx.as_pure(params)
    np.testing.assert_allclose(run(params, x), expected[:, 1:].detach().numpy(), atol=1e-4)
    torch.sin(expected[:, 1:]).sum().backward()
    to_params, to_x = jax.jit(jax.grad(lambda *a: jnp.sum(jnp.sin(run(*a))), (0, 1)))(params, x)
    np.testing.assert_allclose(to_x, source.grad[:, 0].numpy(), atol=1e-4)
    wanted = embeddings.position_embeddings.grad[0].numpy()
    np.testing.assert_allclose(to_params["cls"], wanted[0], atol=1e-4)
    np.testing.assert_allclose(to_params["places"].reshape(6, 16), wanted[1:], atol=1e-4)


@pytest.mark.parametrize(
    "size, published", [("tiny", 5_717_416), ("base", 86_567_656), ("large", 304_326_632)]
)
def test_parameters_are_the_published_less_colours_head_and_a_position(size, published):
    """224 x 224 in 16 x 16 patches, 1,000 classes; the class token's own position is part of ours."""
    made = ViT.of(size, cls=True, positions="learned", places=14)
    net = nnx.eval_shape(lambda: made.build(224, rngs=nnx.Rngs(0)))
    count = sum(x.size for x in jax.tree.leaves(nnx.state(net, nnx.Param)))
    d = made.width
    assert count == published - (d + 1) * 1000 - 2 * 16 * 16 * d - d


def test_sizes_positions_and_strides_that_are_not():
    with pytest.raises(ValueError, match="tiny, small, base, large"):
        ViT.of("huge")
    with pytest.raises(ValueError, match="skips"):
        dataclasses.replace(VIT, stride=(9, 8)).build(16, rngs=nnx.Rngs(0))
