"""Recurrent encoders and CPC's: PyTorch's numbers, which frames a token hears, padding at either end."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

from ssl_audio.encoders import CRNN, GRU, AudioNTT, Context, CPCConv, EfficientNet, Learned, ViT
from ssl_audio.encoders.recurrent import GRULayer
from ssl_audio.encoders.wave_conv import StridedConv
from ssl_audio.train import split


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def twin(layer, din, width):
    """torch.nn.GRU with a layer's weights, the gates' bias shared out between its two."""
    other = torch.nn.GRU(din, width, batch_first=True)
    hidden = np.concatenate([np.full(2 * width, 0.25, np.float32), layer.inner[...]])
    given = layer.bias[...] - np.concatenate([hidden[: 2 * width], np.zeros(width, np.float32)])
    for name, value in (("weight_ih", layer.enter[...].T), ("weight_hh", layer.back[...].T),
                        ("bias_ih", given), ("bias_hh", hidden)):  # fmt: skip
        getattr(other, f"{name}_l0").data = torch.tensor(np.asarray(value))
    return other


@pytest.mark.parametrize("reverse", [False, True])
def test_gru_is_pytorchs_and_so_is_its_gradient(reverse):
    layer, x = GRULayer(5, 7, reverse=reverse, rngs=nnx.Rngs(0)), draw(3, 9, 5)
    graph, params = nnx.split(layer)

    def loss(params, x):
        y = nnx.merge(graph, params)(x)
        return jnp.sum(jnp.sin(y)), y

    (_, y), (grads, to_x) = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(nnx.as_pure(params), x)
    other = twin(layer, 5, 7)
    there = torch.tensor(x, requires_grad=True)
    out = other(there.flip(1) if reverse else there)[0]
    out = out.flip(1) if reverse else out
    torch.sin(out).sum().backward()
    np.testing.assert_allclose(y, out.detach(), atol=1e-5)
    np.testing.assert_allclose(to_x, there.grad, atol=1e-5)
    np.testing.assert_allclose(grads["enter"], other.weight_ih_l0.grad.T, atol=2e-5)
    np.testing.assert_allclose(grads["back"], other.weight_hh_l0.grad.T, atol=2e-5)
    np.testing.assert_allclose(grads["bias"], other.bias_ih_l0.grad, atol=2e-5)
    np.testing.assert_allclose(grads["inner"], other.bias_hh_l0.grad[14:], atol=2e-5)


def test_state_stands_still_outside_the_mask():
    mask = jnp.arange(9)[None] < jnp.array([9, 4])[:, None]
    x = jnp.asarray(draw(2, 9, 5))
    junk = jnp.where(mask[..., None], x, 1e3)
    for reverse in (False, True):
        layer = GRULayer(5, 7, reverse=reverse, rngs=nnx.Rngs(0))
        y, alone = layer(junk, mask), layer(x[1:, :4])
        np.testing.assert_allclose(y[1:, :4], alone, atol=1e-6)
        rest = jnp.zeros((5, 7)) if reverse else jnp.broadcast_to(y[1:2, 3], (5, 7))
        np.testing.assert_array_equal(y[1, 4:], rest)


def test_stack_adds_a_layer_to_its_input():
    """With PyTorch's layers: x1 = gru(x), x2 = x1 + gru(x1)."""
    net, x = GRU(width=6, depth=2, dropout=0.5).build(4, rngs=nnx.Rngs(0)), draw(2, 5, 4)
    with torch.no_grad():
        one = twin(net.stack[0], 4, 6)(torch.tensor(x))[0]
        two = one + twin(net.stack[1], 6, 6)(one)[0]
    np.testing.assert_allclose(net(jnp.asarray(x)), two, atol=1e-5)
    np.testing.assert_allclose(net.embed(jnp.asarray(x)), two.mean(1), atol=1e-5)
    assert not np.allclose(net(jnp.asarray(x), key=jax.random.key(0)), two, atol=1e-3)  # dropout


def test_bfloat16_stays_near():
    layer, x = GRULayer(5, 7, rngs=nnx.Rngs(0)), jnp.asarray(draw(3, 40, 5))
    graph, params = nnx.split(layer)
    low = jax.tree.map(lambda a: a.astype(jnp.bfloat16), nnx.as_pure(params))
    y = nnx.merge(graph, low)(x.astype(jnp.bfloat16))
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(jnp.float32), layer(x), atol=0.03)


def hears(net, x, token):
    """Which frames of the first clip have any gradient to a token of it."""
    grad = jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(net(x)[0, token]))))(x)
    assert not np.any(grad[1:])
    return np.abs(grad[0]).sum(-1) > 0


def test_gru_hears_no_later_frame_and_crnn_all():
    x = jnp.asarray(draw(2, 12, 16))
    gru = GRU(width=8, depth=2, dropout=0.0).build(16, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(hears(gru, x, 4), np.arange(12) <= 4)
    assert gru.causal
    crnn = CRNN(width=4, channels=4, depth=1, dropout=0.0).build(16, rngs=nnx.Rngs(0))
    crnn = nnx.view(crnn, use_running_average=True, raise_if_not_found=False)
    assert hears(crnn, x, 0).all()
    assert not hasattr(crnn, "causal")


@pytest.mark.parametrize("stride", [5, 4, 2])
def test_strided_convolution_is_pytorchs(stride):
    conv, x = StridedConv(3, 6, stride, rngs=nnx.Rngs(0)), draw(2, 20, 3)
    conv.bias[...] = jnp.asarray(draw(6))
    other = torch.nn.Conv1d(3, 6, 2 * stride, stride, padding=(stride + 1) // 2)
    kernel = np.asarray(conv.kernel[...]).reshape(2 * stride, 3, 6).transpose(2, 1, 0)
    other.weight.data, other.bias.data = torch.tensor(kernel), torch.tensor(np.asarray(conv.bias[...]))
    with torch.no_grad():
        expected = other(torch.tensor(x).mT).mT
    np.testing.assert_allclose(conv(jnp.asarray(x)), expected, atol=1e-5)


def test_context_hears_as_far_as_its_convolutions_and_no_further():
    """Token t of the paper's convolutions: samples 160 t - 153 to 160 t + 311; its context all before too."""
    x = jnp.asarray(draw(1, 6, 160))
    z = CPCConv(width=8).build(160, rngs=nnx.Rngs(0))
    c = Context(CPCConv(width=8), width=4).build(160, rngs=nnx.Rngs(0))
    assert z(x).shape == (1, 6, 8) and c(x).shape == (1, 6, 4)
    place = np.arange(960)
    for net, first in ((z, 2 * 160 - 153), (c, 0)):
        grad = jax.jit(jax.grad(lambda x, net=net: jnp.sum(jnp.sin(net(x)[0, 2]))))(x).reshape(-1)
        assert not np.any(grad[(place < first) | (place > 2 * 160 + 311)])
        assert np.mean(grad[first : 2 * 160 + 312] != 0) > 0.9


def test_sizes_that_do_not_fit_are_refused():
    rngs = nnx.Rngs(0)
    for made, mels, words in (
        (CRNN(), 12, "multiple of 8"),
        (CPCConv(), 48, "RawFrames"),
        (CPCConv(strides=(4, 1)), 4, "strides"),
        (Context(ViT(width=8, depth=1, heads=2, patch=(4, 8))), 16, "AudioNTT"),
        (Context(CRNN(width=4, channels=4)), 16, "whole clip"),
        (Context(EfficientNet(channels=8)), 32, "whole clip"),
        (Context(Learned(encoder=ViT(width=8, depth=1, heads=2, patch=(4, 8)))), 80, "whole clip"),
        (Context(AudioNTT()), 12, "multiple of 8"),
    ):
        with pytest.raises(ValueError, match=words):
            made.build(mels, rngs=rngs)


def test_crnn_halves_bands_while_they_are_even():
    for mels, left in ((128, 1), (64, 1), (40, 5), (16, 1)):
        net = nnx.eval_shape(lambda mels=mels: CRNN(channels=8, width=4).build(mels, rngs=nnx.Rngs(0)))
        assert net.ahead[0].enter.shape == (left * 8, 12)
        assert net.width == net.token == 8 and net.steps(41) == 10


def test_crnn_runs_in_bfloat16():
    """As training casts it: parameters low, running averages in float32, no promotion of types."""
    graph, params, frozen, rest = split(CRNN(width=4, channels=4).build(16, rngs=nnx.Rngs(0)))
    low = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)
    run = lambda x, rest: nnx.merge(graph, low, frozen, rest)(x)
    out = jax.eval_shape(run, jnp.zeros((2, 16, 16), jnp.bfloat16), rest)
    assert out.dtype == jnp.bfloat16
