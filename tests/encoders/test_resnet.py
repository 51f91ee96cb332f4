"""ResNet against transformers' (PyTorch), its published sizes, and its padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ssl_audio.encoders import ResNet

PUBLISHED = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032}  # torchvision's, with their 1,000 classes


@pytest.mark.parametrize("layers", PUBLISHED)
def test_parameters_are_the_published_less_two_colours_and_the_head(layers):
    net = nnx.eval_shape(lambda: ResNet(layers).build(64, rngs=nnx.Rngs(0)))
    count = sum(x.size for x in jax.tree.leaves(nnx.state(net, nnx.Param)))
    assert net.width == (2048 if layers == 50 else 512)
    assert count == PUBLISHED[layers] - (net.width + 1) * 1000 - 2 * 7 * 7 * 64


def copy(conv, norm, theirs, torch):
    """Random weights and statistics in both."""
    draw = lambda like, low, high: torch.empty_like(like).uniform_(low, high)
    kernel, batch = theirs.convolution.weight, theirs.normalization
    with torch.no_grad():
        kernel.copy_(draw(kernel, -1, 1) / kernel[0].numel() ** 0.5)
        for value, low in ((batch.weight, 0.5), (batch.bias, -0.5), (batch.running_mean, -0.5)):
            value.copy_(draw(value, low, low + 1))
        batch.running_var.copy_(draw(batch.running_var, 0.5, 1.5))
    conv.kernel[...] = jnp.asarray(kernel.detach().permute(2, 3, 1, 0).numpy())
    norm.scale[...], norm.bias[...] = (jnp.asarray(p.detach().numpy()) for p in (batch.weight, batch.bias))
    norm.mean[...] = jnp.asarray(batch.running_mean.numpy())
    norm.var[...] = jnp.asarray(batch.running_var.numpy())


@pytest.mark.parametrize("layers", [18, 50])
def test_is_transformers(layers):
    torch = pytest.importorskip("torch", reason="the reference is PyTorch's")
    transformers = pytest.importorskip("transformers", reason="the reference is transformers' ResNet")
    torch.manual_seed(0)
    kind, grow = ("bottleneck", 4) if layers == 50 else ("basic", 1)
    theirs = transformers.ResNetModel(
        transformers.ResNetConfig(
            num_channels=1,
            embedding_size=4,
            hidden_sizes=[4 * grow * 2**i for i in range(4)],
            depths=[2, 2, 2, 2] if layers == 18 else [3, 4, 6, 3],
            layer_type=kind,
        )
    ).eval()
    net = ResNet(layers, channels=4).build(40, rngs=nnx.Rngs(0))
    copy(net.stem, net.stem_norm, theirs.embedder.embedder, torch)
    blocks = [block for stage in theirs.encoder.stages for block in stage.layers]
    for ours, block in zip(net.blocks, blocks, strict=True):
        for conv, norm, layer in zip(ours.convs, ours.norms, block.layer, strict=True):
            copy(conv, norm, layer, torch)
        if ours.short is not None:
            copy(ours.short, ours.short_norm, block.shortcut, torch)
    x = np.random.default_rng(0).standard_normal((2, 70, 40)).astype(np.float32)
    source = torch.tensor(x[:, None], requires_grad=True)
    expected = theirs(source).last_hidden_state
    graph, params, rest = nnx.split(nnx.view(net, use_running_average=True), nnx.Param, ...)
    params, rest = nnx.as_pure(params), nnx.as_pure(rest)
    run = jax.jit(lambda params, x: nnx.merge(graph, params, rest)(x))
    tokens = expected.mean(3).permute(0, 2, 1)
    np.testing.assert_allclose(run(params, x), tokens.detach().numpy(), rtol=1e-4, atol=1e-4)
    assert tokens.shape[1] == net.steps(70) == 3
    if layers == 18:
        (tokens**2).sum().backward()
        to_params, to_x = jax.jit(jax.grad(lambda *a: jnp.sum(run(*a) ** 2), (0, 1)))(params, x)
        for found, wanted in (
            (to_x, source.grad[:, 0]),
            (
                to_params["stem"]["kernel"],
                theirs.embedder.embedder.convolution.weight.grad.permute(2, 3, 1, 0),
            ),
        ):
            scale = float(wanted.abs().max())
            np.testing.assert_allclose(found / scale, wanted.numpy() / scale, atol=1e-4)


def test_refusals_and_steps():
    with pytest.raises(ValueError, match="18, 34, 50 layers, not 19"):
        ResNet(19).build(64, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="multiple of 8"):
        ResNet().build(12, rngs=nnx.Rngs(0))
    net = nnx.eval_shape(lambda: ResNet().build(64, rngs=nnx.Rngs(0)))
    assert [net.steps(n) for n in (0, 1, 32, 33, 96)] == [0, 1, 1, 2, 3]
    np.testing.assert_array_equal(net.steps(jnp.array([0, 1, 32, 33])), [0, 1, 1, 2])
