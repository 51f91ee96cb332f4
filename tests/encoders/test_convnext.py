"""ConvNeXt against transformers' (PyTorch), and its published sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ssl_audio.encoders import ConvNeXt

PUBLISHED = {(96, 9): 28_589_128, (96, 27): 50_223_688, (128, 27): 88_591_464, (192, 27): 197_767_336}


@pytest.mark.parametrize("channels, depth", PUBLISHED)
def test_parameters_are_the_published_less_two_colours_and_the_head(channels, depth):
    """Tiny, Small, Base, Large of torchvision, with 1,000 classes."""
    net = nnx.eval_shape(lambda: ConvNeXt(channels, depth).build(64, rngs=nnx.Rngs(0)))
    count = sum(x.size for x in jax.tree.leaves(nnx.state(net, nnx.Param)))
    assert net.width == 8 * channels
    assert count == PUBLISHED[channels, depth] - (net.width + 1) * 1000 - 2 * 4 * 4 * channels


def test_is_transformers():
    torch = pytest.importorskip("torch", reason="the reference is PyTorch's")
    transformers = pytest.importorskip("transformers", reason="the reference is transformers' ConvNeXt")
    torch.manual_seed(0)
    theirs = transformers.ConvNextModel(
        transformers.ConvNextConfig(
            num_channels=1, hidden_sizes=[8, 16, 32, 64], depths=[2, 2, 2, 2], layer_norm_eps=1e-6
        )
    ).eval()
    with torch.no_grad():
        for name, p in theirs.named_parameters():
            if "layernorm" in name or "layer_scale" in name:
                p.copy_(torch.empty_like(p).uniform_(0.2, 1.2))
            else:
                p.copy_(torch.empty_like(p).uniform_(-1, 1) / max(p[0].numel(), 4) ** 0.5)
    net = ConvNeXt(8, 2).build(64, rngs=nnx.Rngs(0))
    to = lambda p: jnp.asarray(p.detach().numpy())

    def conv(ours, layer):
        ours.kernel[...], ours.bias[...] = to(layer.weight.permute(2, 3, 1, 0)), to(layer.bias)

    def norm(ours, layer):
        ours.scale[...], ours.bias[...] = to(layer.weight), to(layer.bias)

    conv(net.cuts[0], theirs.embeddings.patch_embeddings)
    norm(net.norms[0], theirs.embeddings.layernorm)
    norm(net.norm, theirs.layernorm)
    for k, stage in enumerate(theirs.encoder.stages):
        if k:
            norm(net.norms[k], stage.downsampling_layer[0])
            conv(net.cuts[k], stage.downsampling_layer[1])
        for ours, layer in zip(net.stages[k], stage.layers, strict=True):
            conv(ours, layer.dwconv)
            norm(ours.norm, layer.layernorm)
            for mine, linear in ((ours.up, layer.pwconv1), (ours.down, layer.pwconv2)):
                mine.kernel[...], mine.bias[...] = to(linear.weight.T), to(linear.bias)
            ours.scale[...] = to(layer.layer_scale_parameter)
    x = np.random.default_rng(0).standard_normal((2, 96, 64)).astype(np.float32)
    with torch.no_grad():
        expected = theirs(torch.tensor(x[:, None]))
    graph, arrays = nnx.split(net)
    run = jax.jit(lambda a, x: (nnx.merge(graph, a).raw(x, None), nnx.merge(graph, a).embed(x)))
    tokens, embedding = run(nnx.as_pure(arrays), x)
    np.testing.assert_allclose(
        tokens, expected.last_hidden_state.mean(3).permute(0, 2, 1).numpy(), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(embedding, expected.pooler_output.numpy(), rtol=1e-4, atol=1e-4)
