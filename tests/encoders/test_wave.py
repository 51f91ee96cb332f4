"""The wave's transformer: equal to another's implementation, blind to padding, no larger than published."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import CONVS, WAVE

from ssl_audio.encoders import Wav2Vec2

SMALL = Wav2Vec2(width=32, depth=2, heads=4, channels=12, convs=((10, 5), (3, 2), (2, 2)))
LARGE = dataclasses.replace(SMALL, norm="layer")
TOTAL = 24  # frames of 20 samples


def spec(b=3, f=TOTAL, hop=20, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal((b, f, hop)), jnp.float32)


@pytest.fixture(scope="module")
def models():
    return {c.norm: other(c) for c in (SMALL, LARGE)}


def other(c: Wav2Vec2):
    """transformers' model of that shape with random weights, and ours with the same."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    torch.manual_seed(0)
    large = c.norm == "layer"
    config = transformers.Wav2Vec2Config(
        hidden_size=c.width, num_hidden_layers=c.depth, num_attention_heads=c.heads,
        intermediate_size=4 * c.width, conv_dim=(c.channels,) * len(c.convs), attn_implementation="eager",
        conv_kernel=[k for k, _ in c.convs], conv_stride=[s for _, s in c.convs], conv_bias=large,
        num_feat_extract_layers=len(c.convs), feat_extract_norm=c.norm, do_stable_layer_norm=large,
    )  # fmt: skip
    model = transformers.Wav2Vec2Model(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    net = c.build(20, rngs=nnx.Rngs(0))
    get = lambda t: jnp.asarray(t.detach().numpy())

    def affine(to, of):
        to.bias[...] = get(of.bias)
        if isinstance(to, nnx.Linear):
            to.kernel[...] = get(of.weight).T
        else:
            to.scale[...] = get(of.weight)

    for i, layer in enumerate(model.feature_extractor.conv_layers):
        net.kernels[i][...] = get(layer.conv.weight).transpose(2, 1, 0)
        if large:
            net.biases[i][...] = get(layer.conv.bias)
        if large or i == 0:
            net.scales[i][...], net.shifts[i][...] = get(layer.layer_norm.weight), get(layer.layer_norm.bias)
    affine(net.front_norm, model.feature_projection.layer_norm)
    affine(net.project, model.feature_projection.projection)
    conv = model.encoder.pos_conv_embed.conv
    net.places.direction[...] = get(conv.parametrizations.weight.original1).transpose(2, 1, 0)
    net.places.length[...] = get(conv.parametrizations.weight.original0).reshape(-1)
    net.places.bias[...] = get(conv.bias)
    affine(net.last_norm, model.encoder.layer_norm)
    for block, layer in zip(net.blocks, model.encoder.layers, strict=True):
        qkv = [getattr(layer.attention, f"{x}_proj") for x in "qkv"]
        block.qkv.kernel[...] = jnp.concatenate([get(x.weight).T for x in qkv], 1)
        block.qkv.bias[...] = jnp.concatenate([get(x.bias) for x in qkv])
        for to, of in (
            (block.out, layer.attention.out_proj), (block.up, layer.feed_forward.intermediate_dense),
            (block.down, layer.feed_forward.output_dense), (block.norm1, layer.layer_norm),
            (block.norm2, layer.final_layer_norm),
        ):  # fmt: skip
            affine(to, of)
    return model, net


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_equal_to_transformers(models, norm):
    import torch

    model, net = models[norm]
    x = spec()
    with torch.no_grad():
        found = model(torch.tensor(np.asarray(x).reshape(3, -1)))
    np.testing.assert_allclose(net.features(x), found.extract_features, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(net(x), found.last_hidden_state, rtol=1e-4, atol=1e-4)


def test_gradients_equal_to_transformers(models):
    """Of the wave, and of a convolution, the positions' weights and the last block."""
    import torch

    model, net = models["group"]
    x = spec()
    wave = torch.tensor(np.asarray(x).reshape(3, -1), requires_grad=True)
    weight = np.random.default_rng(1).standard_normal(net(x).shape).astype(np.float32)
    (model(wave).last_hidden_state * torch.tensor(weight)).sum().backward()
    graph, params = nnx.split(net)
    loss = lambda p, x: jnp.sum(nnx.merge(graph, p)(x) * weight)
    params, wave_grad = jax.jit(jax.grad(loss, (0, 1)))(nnx.as_pure(params), x)
    near = lambda ours, theirs: np.testing.assert_allclose(
        ours, theirs.grad.numpy(), rtol=1e-3, atol=1e-4 * float(theirs.grad.abs().max())
    )
    near(np.asarray(wave_grad).reshape(3, -1), wave)
    near(params["kernels"][0].transpose(2, 1, 0), model.feature_extractor.conv_layers[0].conv.weight)
    parts = model.encoder.pos_conv_embed.conv.parametrizations.weight
    near(params["places"]["direction"].transpose(2, 1, 0), parts.original1)
    near(params["places"]["length"].reshape(1, 1, -1), parts.original0)
    near(params["blocks"][1]["down"]["kernel"].T, model.encoder.layers[1].feed_forward.output_dense.weight)


def test_base_has_as_many_parameters_as_published():
    """94.37 million; 95.04 with the quantiser and the two layers of pretraining."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    net = nnx.eval_shape(lambda: Wav2Vec2().build(160, rngs=nnx.Rngs(0)))
    count = sum(np.prod(x.shape, dtype=int) for x in jax.tree.leaves(nnx.state(net, nnx.Param)))
    with torch.device("meta"):
        theirs = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config())
    assert count == sum(p.numel() for n, p in theirs.named_parameters() if n != "masked_spec_embed")
    assert round(count / 1e6, 2) == 94.37
    quantiser = 512 * 640 + 640 + 640 * 128
    heads = 256 * 256 + 256 + 768 * 256 + 256
    assert round((count + 768 + quantiser + heads) / 1e6, 2) == 95.04


def test_tokens_of_the_published_convolutions():
    """25 ms every 20 ms: one second of 16 kHz gives 49, as everywhere."""
    net = nnx.eval_shape(lambda: Wav2Vec2().build(160, rngs=nnx.Rngs(0)))
    assert (net.field, net.stride, net.patch, net.columns) == (400, 320, (2, 160), 1)
    assert [net.steps(f) for f in (0, 2, 3, 4, 5, 100)] == [0, 0, 1, 1, 2, 49]
    np.testing.assert_array_equal(net.steps(np.array([0, 3, 100])), [0, 1, 49])


def test_a_token_hears_its_samples_only_before_the_transformer():
    """Exactly zero gradient outside of field samples from the token's start; layer normalisation is local."""
    net = dataclasses.replace(LARGE, depth=1).build(20, rngs=nnx.Rngs(0))
    grad = jax.grad(lambda x: jnp.sum(net.cut(x)[:, 5] ** 2))(spec(1)).reshape(-1)
    heard = np.flatnonzero(grad)
    assert (heard[0], heard[-1]) == (5 * net.stride, 5 * net.stride + net.field - 1)


@pytest.mark.parametrize("norm", ["group", "layer"])
@pytest.mark.parametrize("positions", ["conv", "sincos"])
def test_padding_changes_no_token(norm, positions):
    net = dataclasses.replace(SMALL, norm=norm, positions=positions, depth=1).build(20, rngs=nnx.Rngs(0))
    x, frames = spec(), jnp.array([24, 17, 9])
    for junk in (3.0, np.nan):  # not even what isn't a number, once the tokens are cut
        padded = jnp.where((jnp.arange(TOTAL)[None] < frames[:, None])[..., None], x, junk)
        tokens = net(padded, frames)
        for i, f in enumerate([24, 17, 9]):
            alone = net(x[i : i + 1, :f])[0]
            assert len(alone) == net.steps(f)
            np.testing.assert_allclose(tokens[i, : len(alone)], alone, rtol=1e-4, atol=1e-5)
    long = net.embed(jnp.pad(x, ((0, 0), (0, 30), (0, 0))), frames)
    np.testing.assert_allclose(long, net.embed(padded, frames), rtol=1e-4, atol=1e-5)


def test_some_tokens_only():
    net = dataclasses.replace(SMALL, positions="sincos", depth=1).build(20, rngs=nnx.Rngs(0))
    x = spec()
    n = net.steps(TOTAL)
    every = jnp.tile(jnp.arange(n)[None], (3, 1))
    np.testing.assert_allclose(net(x, keep=every), net(x), rtol=1e-5, atol=1e-6)
    seen = net.layers(net.cut(x), keep=every[:, ::2])[-1]
    other = net.layers(net.cut(x).at[:, 1::2].set(7.0), keep=every[:, ::2])[-1]
    np.testing.assert_array_equal(seen, other)
    order = every[:, ::-1]  # places come with the tokens
    np.testing.assert_allclose(net(x, keep=order)[:, ::-1], net(x), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="sincos"):
        SMALL.build(20, rngs=nnx.Rngs(0))(x, keep=every)


def test_dropout_and_layerdrop_need_a_key():
    x = spec()
    net = SMALL.build(20, rngs=nnx.Rngs(0))
    one, two = (net(x, key=jax.random.key(i)) for i in (0, 1))
    assert not np.allclose(one, two)
    none = dataclasses.replace(SMALL, dropout=0.0, layerdrop=1.0).build(20, rngs=nnx.Rngs(0))
    layers = none.layers(none.cut(x), key=jax.random.key(0))
    np.testing.assert_array_equal(layers[0], layers[1])
    assert not np.allclose(layers[0], none.layers(none.cut(x))[0])


def test_level_of_the_wave_does_not_matter_to_base():
    net = dataclasses.replace(SMALL, depth=1).build(20, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(net(5 * spec()), net(spec()), rtol=2e-3, atol=2e-3)


def test_bfloat16():
    net = WAVE.build(80, rngs=nnx.Rngs(0))
    graph, params = nnx.split(net)
    low = jax.tree.map(lambda x: x.astype(jnp.bfloat16), nnx.as_pure(params))
    x = spec(2, 25, 80)
    frames = jnp.array([25, 20])
    with jax.numpy_dtype_promotion("standard"):  # flax's layer normalisation asks for it
        found = jax.jit(lambda p, x: nnx.merge(graph, p).embed(x, frames, jax.random.key(0)))(
            low, x.astype(jnp.bfloat16)
        )
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype(jnp.float32), net.embed(x, frames), atol=0.1)


@pytest.mark.parametrize(
    "made, message",
    [
        (dataclasses.replace(SMALL, heads=5), "heads"),
        (dataclasses.replace(SMALL, width=24), "groups"),
        (dataclasses.replace(WAVE, convs=(*CONVS, (3, 3))), None),
    ],
)
def test_refusals(made, message):
    if message is None:
        with pytest.raises(ValueError, match="no token"):
            made.build(80, rngs=nnx.Rngs(0)).embed(spec(1, 2, 80))
    else:
        with pytest.raises(ValueError, match=message):
            made.build(20, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="multiple"):
        made.build(7, rngs=nnx.Rngs(0))
