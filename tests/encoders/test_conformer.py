"""Conformer's block against transformers' (PyTorch); what is kept, padded, and how far a token reaches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ssl_audio.encoders import Conformer
from ssl_audio.encoders.conformer import ConformerBlock, waves

SMALL = Conformer(width=16, depth=1, heads=2, kernel=5)


def draw(*shape):
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)


def test_block_and_its_gradient_are_transformers():
    torch = pytest.importorskip("torch", reason="the reference is PyTorch's")
    transformers = pytest.importorskip("transformers", reason="the reference is transformers' Conformer")
    from transformers.models.wav2vec2_conformer import modeling_wav2vec2_conformer as reference

    torch.manual_seed(0)
    config = transformers.Wav2Vec2ConformerConfig(
        hidden_size=16,
        num_attention_heads=2,
        intermediate_size=64,
        hidden_act="swish",
        conv_depthwise_kernel_size=5,
        position_embeddings_type="relative",
        attn_implementation="eager",
    )
    theirs = reference.Wav2Vec2ConformerEncoderLayer(config).eval()
    with torch.no_grad():
        for name, p in [*theirs.named_parameters(), *theirs.named_buffers()]:
            if p.is_floating_point():
                low = 0.5 if "norm.weight" in name or "var" in name else -0.4
                p.copy_(torch.empty_like(p).uniform_(low, low + 0.8))
    block = ConformerBlock(SMALL, rngs=nnx.Rngs(0))
    to = lambda p: jnp.asarray(p.detach().numpy())

    def linear(ours, *layers):
        ours.kernel[...] = jnp.concatenate([to(m.weight).T for m in layers], 1)
        if ours.bias is not None:
            ours.bias[...] = jnp.concatenate([to(m.bias) for m in layers])

    def norm(ours, layer):
        ours.scale[...], ours.bias[...] = to(layer.weight), to(layer.bias)

    for ours, name in ((block.before, "ffn1"), (block.after, "ffn2")):
        norm(ours.norm, getattr(theirs, f"{name}_layer_norm"))
        linear(ours.up, getattr(theirs, name).intermediate_dense)
        linear(ours.down, getattr(theirs, name).output_dense)
    attention, convolution = theirs.self_attn, theirs.conv_module
    norm(block.attention.norm, theirs.self_attn_layer_norm)
    linear(block.attention.qkv, attention.linear_q, attention.linear_k, attention.linear_v)
    linear(block.attention.out, attention.linear_out)
    linear(block.attention.far, attention.linear_pos)
    block.attention.u[...], block.attention.v[...] = to(attention.pos_bias_u), to(attention.pos_bias_v)
    norm(block.convolution.norm, convolution.layer_norm)
    block.convolution.gate.kernel[...] = to(convolution.pointwise_conv1.weight[..., 0].T)
    block.convolution.kernel[...] = to(convolution.depthwise_conv.weight.permute(2, 1, 0))
    norm(block.convolution.batch, convolution.batch_norm)
    block.convolution.batch.mean[...] = to(convolution.batch_norm.running_mean)
    block.convolution.batch.var[...] = to(convolution.batch_norm.running_var)
    block.convolution.out.kernel[...] = to(convolution.pointwise_conv2.weight[..., 0].T)
    norm(block.norm, theirs.final_layer_norm)

    x, weight = draw(2, 9, 16), draw(2, 9, 16)[::-1]
    source = torch.tensor(np.asarray(x), requires_grad=True)
    codes = reference.Wav2Vec2ConformerRelPositionalEmbedding(config)(source)
    np.testing.assert_allclose(waves(9, 16), codes[0].numpy(), atol=1e-6)
    found = theirs(source, relative_position_embeddings=codes)
    expected = found[0] if isinstance(found, tuple) else found
    block = nnx.view(block, use_running_average=True)
    graph, arrays = nnx.split(block)
    run = jax.jit(lambda a, x: nnx.merge(graph, a)(x))
    arrays = nnx.as_pure(arrays)
    np.testing.assert_allclose(run(arrays, x), expected.detach().numpy(), atol=1e-4)
    (expected * torch.tensor(np.asarray(weight))).sum().backward()
    to_arrays, to_x = jax.jit(jax.grad(lambda *a: jnp.sum(run(*a) * weight), (0, 1)))(arrays, x)
    for ours, wanted in (
        (to_x, source.grad),
        (to_arrays["attention"]["far"]["kernel"], attention.linear_pos.weight.grad.T),
        (to_arrays["attention"]["v"], attention.pos_bias_v.grad),
        (to_arrays["convolution"]["kernel"], convolution.depthwise_conv.weight.grad.permute(2, 1, 0)),
    ):
        scale = float(wanted.abs().max())
        np.testing.assert_allclose(ours / scale, wanted.numpy() / scale, atol=1e-4)


def test_parameters_of_the_published_sizes():
    """The paper counts a decoder too: 10.3, 30.7 and 118.8 million in all. The encoders by hand."""
    for width, depth, heads, whole in ((144, 16, 4, 10.3e6), (256, 16, 4, 30.7e6), (512, 17, 8, 118.8e6)):
        made = Conformer(width, depth, heads)
        net = nnx.eval_shape(lambda made=made: made.build(80, rngs=nnx.Rngs(0)))
        count = sum(x.size for x in jax.tree.leaves(nnx.state(net, nnx.Param)))
        d = width
        forward = 2 * d + (d + 1) * 4 * d + (4 * d + 1) * d
        attention = 2 * d + 4 * (d + 1) * d + d * d + 2 * d
        convolution = 2 * d + 2 * d * d + 32 * d + 2 * d + d * d
        stem = 9 * d + d + 9 * d * d + d + (20 * d + 1) * d
        assert count == stem + depth * (2 * forward + attention + convolution + 2 * d)
        assert 0.75 * whole < count < whole


def evaluated():
    net = nnx.view(SMALL.build(16, rngs=nnx.Rngs(0)), use_running_average=True)
    graph, arrays = nnx.split(net)
    arrays = nnx.as_pure(arrays)
    return net, jax.jit(lambda x, keep: nnx.merge(graph, arrays)(x, keep=keep))


def test_keep_takes_tokens_with_their_distances():
    net, run = evaluated()
    x = draw(2, 24, 16)
    order = jnp.array([[3, 1, 0, 2, 5, 4], [5, 4, 3, 2, 1, 0]])
    whole = np.asarray(net(x))
    np.testing.assert_allclose(
        run(x, order), np.take_along_axis(whole, np.asarray(order)[..., None], 1), atol=1e-5
    )
    # a token that isn't kept has no part: its own frames, 17 and later, are no other kept token's
    changed = x.at[:, 17:].set(9.0)
    np.testing.assert_array_equal(
        run(x, order[:1, :3].repeat(2, 0)), run(changed, order[:1, :3].repeat(2, 0))
    )


def test_a_token_reaches_three_frames_back_and_four_on():
    net, _ = evaluated()
    grad = jax.jit(jax.grad(lambda x: jnp.sum(net.cut(x)[:, 3] ** 2)))(draw(1, 32, 16))
    assert np.flatnonzero(np.abs(np.asarray(grad)).sum((0, 2))).tolist() == list(range(9, 16))


def test_what_is_not_kept_is_not_heard():
    """A token's convolutions reach three frames back: into a patch that a method hides."""
    net, run = evaluated()
    x, keep = draw(2, 24, 16), jnp.array([[1, 4], [0, 2]])
    there = jax.grad(lambda x: jnp.sum(run(x, keep) ** 2))(x)
    heard = np.abs(there).sum(2) > 0
    for row, kept in zip(heard, np.asarray(keep), strict=True):
        assert {int(f) // 4 for f in np.flatnonzero(row)} == set(kept.tolist())
    whole = jnp.broadcast_to(jnp.arange(6), (2, 6))
    np.testing.assert_allclose(run(x, whole), net(x), atol=1e-5)
