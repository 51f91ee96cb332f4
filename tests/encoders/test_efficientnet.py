"""EfficientNet-B0 against transformers' (PyTorch), and its published size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ssl_audio.encoders import EfficientNet
from ssl_audio.encoders.efficientnet import scaled


def test_parameters_are_the_published_less_two_colours_and_the_head():
    net = nnx.eval_shape(lambda: EfficientNet().build(64, rngs=nnx.Rngs(0)))
    count = sum(x.size for x in jax.tree.leaves(nnx.state(net, nnx.Param)))
    published = 5_288_548  # torchvision's, with 1,000 classes
    assert net.width == 1280 and len(net.blocks) == 16
    assert count == published - (1280 + 1) * 1000 - 2 * 3 * 3 * 32


def test_rounding_of_channels():
    assert [scaled(32, f) for f in (1.0, 1.1, 2.0, 0.1)] == [32, 32, 64, 8]
    assert scaled(16, 1.24) == 24  # 16 would be more than a tenth below 19.8


def test_is_transformers():
    """With a row and a column of zeros in front, where its stem has padding at the end only."""
    torch = pytest.importorskip("torch", reason="the reference is PyTorch's")
    transformers = pytest.importorskip("transformers", reason="the reference is transformers' EfficientNet")
    torch.manual_seed(0)
    strided = [1, 3, 5, 11]  # blocks of stride 2, padded on both sides
    theirs = transformers.EfficientNetModel(
        transformers.EfficientNetConfig(
            num_channels=1,
            width_coefficient=0.25,
            depth_coefficient=1.0,
            depthwise_padding=strided,
            hidden_dim=320,
            batch_norm_eps=1e-3,
        )
    ).eval()
    draw = lambda like, low: torch.empty_like(like).uniform_(low, low + 1)
    net = EfficientNet(channels=8).build(40, rngs=nnx.Rngs(0))
    to = lambda p: jnp.asarray(p.detach().numpy())

    def copy(conv, norm, their_conv, their_norm):
        with torch.no_grad():
            kernel = their_conv.weight
            kernel.copy_(draw(kernel, -0.5) * 2 / kernel[0].numel() ** 0.5)
            for value, low in (
                (their_norm.weight, 0.5),
                (their_norm.bias, -0.5),
                (their_norm.running_mean, -0.5),
            ):
                value.copy_(draw(value, low))
            their_norm.running_var.copy_(draw(their_norm.running_var, 0.5))
        conv.kernel[...] = to(kernel.permute(2, 3, 1, 0))
        norm.scale[...], norm.bias[...] = to(their_norm.weight), to(their_norm.bias)
        norm.mean[...], norm.var[...] = to(their_norm.running_mean), to(their_norm.running_var)

    copy(net.stem, net.stem_norm, theirs.embeddings.convolution, theirs.embeddings.batchnorm)
    copy(net.top, net.top_norm, theirs.encoder.top_conv, theirs.encoder.top_bn)
    for ours, block in zip(net.blocks, theirs.encoder.blocks, strict=True):
        if ours.expand is not None:
            copy(ours.expand, ours.expand_norm, block.expansion.expand_conv, block.expansion.expand_bn)
        deep = block.depthwise_conv
        copy(ours.depth, ours.depth_norm, deep.depthwise_conv, deep.depthwise_norm)
        copy(ours.project, ours.project_norm, block.projection.project_conv, block.projection.project_bn)
        for linear, conv in ((ours.reduce, "reduce"), (ours.excite, "expand")):
            conv = getattr(block.squeeze_excite, conv)
            with torch.no_grad():
                conv.weight.copy_(draw(conv.weight, -0.5))
                conv.bias.copy_(draw(conv.bias, -0.5))
            linear.kernel[...], linear.bias[...] = to(conv.weight[:, :, 0, 0].T), to(conv.bias)
    x = np.random.default_rng(0).standard_normal((2, 70, 40)).astype(np.float32)
    padded = torch.tensor(np.pad(x, ((0, 0), (1, 0), (1, 0)))[:, None])
    with torch.no_grad():
        expected = theirs.encoder(theirs.embeddings(padded)).last_hidden_state
    graph, arrays = nnx.split(nnx.view(net, use_running_average=True))
    found = jax.jit(lambda a, x: nnx.merge(graph, a)(x))(nnx.as_pure(arrays), x)
    np.testing.assert_allclose(found, expected.mean(3).permute(0, 2, 1).numpy(), rtol=1e-4, atol=1e-4)
    assert found.shape[1] == net.steps(70) == 3
