"""AudioNTT's block against the plain order of its parts and PyTorch; its convolution's own gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ssl_audio.encoders.conv import AudioNTT, AudioNTT2, BatchNorm, ConvBlock, conv3x3

SCALE = [1.0, -2.0, 0.5, -1.0, 1.5]


def block(cin):
    made = ConvBlock(cin, 5, rngs=nnx.Rngs(0))
    made.scale[...], made.bias[...] = jnp.array(SCALE), jnp.arange(5.0) - 2
    return made


def draw(*shape):
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)


def plain_conv(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def plain(kernel, scale, bias, x):
    """Convolution, batch normalisation, ReLU, pooling, in that order."""
    y = plain_conv(x, kernel)
    y = (y - y.mean((0, 1, 2), keepdims=True)) / jnp.sqrt(y.var((0, 1, 2), keepdims=True) + 1e-5)
    y = jnp.maximum(y * scale[None, None, None] + bias[None, None, None], 0)
    return jax.lax.reduce_window(y, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


@pytest.mark.parametrize("cin, frames", [(3, 8), (3, 9), (1, 9)])
def test_block_is_the_plain_order(cin, frames):
    made, x = block(cin), draw(4, frames, 6, cin)
    graph, params, rest = nnx.split(made, nnx.Param, ...)
    params, rest = nnx.as_pure(params), nnx.as_pure(rest)

    def ours(kernel, scale, bias, x):
        return nnx.merge(graph, {"kernel": kernel, "scale": scale, "bias": bias}, rest)(x)

    args = params["kernel"], params["scale"], params["bias"], x
    weight = draw(4, frames // 2, 3, 5)

    def grads(f):
        return jax.jit(jax.value_and_grad(lambda *a: jnp.sum(f(*a) * weight), (0, 1, 2, 3)))(*args)

    np.testing.assert_allclose(ours(*args), plain(*args), atol=2e-5)
    (_, ours_g), (_, plain_g) = grads(ours), grads(plain)
    for a, b in zip(ours_g, plain_g, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4 * float(jnp.abs(b).max()))


@pytest.mark.parametrize("cin", [1, 3])
def test_convolution_and_its_gradient(cin):
    x, kernel, weight = draw(2, 7, 6, cin), draw(3, 3, cin, 4), draw(2, 7, 6, 4)
    np.testing.assert_allclose(conv3x3(x, kernel), plain_conv(x, kernel), atol=1e-5)
    grads = [
        jax.jit(jax.grad(lambda x, k, f=f: jnp.sum(f(x, k) * weight), (0, 1)))(x, kernel)
        for f in (conv3x3, plain_conv)
    ]
    for a, b in zip(*grads, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_running_averages_and_view():
    made, x = block(3), draw(4, 8, 6, 3)
    y = plain_conv(x, made.kernel[...])
    made(x)
    np.testing.assert_allclose(made.mean[...], 0.1 * y.mean((0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(made.var[...], 0.9 + 0.1 * y.var((0, 1, 2)), rtol=1e-4)
    kept = np.array(made.mean[...])
    view = nnx.view(made, use_running_average=True)
    view(x)
    np.testing.assert_array_equal(made.mean[...], kept)
    assert not made.use_running_average


def test_block_is_pytorchs():
    torch = pytest.importorskip("torch", reason="the reference is PyTorch's Conv2d, BatchNorm2d, MaxPool2d")
    made, x = block(3), draw(4, 9, 6, 3)
    conv, norm = torch.nn.Conv2d(3, 5, 3, padding=1, bias=False), torch.nn.BatchNorm2d(5)
    to = lambda a: torch.tensor(np.asarray(a))
    with torch.no_grad():
        conv.weight.copy_(to(made.kernel[...]).permute(3, 2, 0, 1))
        norm.weight.copy_(to(made.scale[...]))
        norm.bias.copy_(to(made.bias[...]))
    net = torch.nn.Sequential(conv, norm, torch.nn.ReLU(), torch.nn.MaxPool2d(2))
    theirs = lambda: net(to(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).detach().numpy()
    np.testing.assert_allclose(made(x), theirs(), atol=2e-5)
    np.testing.assert_allclose(made.mean[...], norm.running_mean.numpy(), atol=1e-6)
    # PyTorch keeps the unbiased variance: n / (n - 1) of ours
    n = 4 * 9 * 6
    np.testing.assert_allclose((made.var[...] - 0.9) * n / (n - 1), norm.running_var.numpy() - 0.9, atol=1e-6)
    net.eval()
    made.var[...] = jnp.asarray(norm.running_var.numpy())
    np.testing.assert_allclose(nnx.view(made, use_running_average=True)(x), theirs(), atol=2e-5)


def test_parameters_of_the_paper():
    """The 2048-d network of the paper, 5.3 million, less the 192 biases that batch normalisation cancels."""
    shapes = nnx.eval_shape(lambda: AudioNTT(width=2048).build(64, rngs=nnx.Rngs(0)))
    count = sum(x.size for x in jax.tree.leaves(nnx.state(shapes, nnx.Param)))
    by_hand = 9 * (64 + 2 * 64 * 64) + 3 * 2 * 64 + (64 * 8 + 1) * 2048 + (2048 + 1) * 2048
    assert count == by_hand == 5_321_664


def test_version_2_of_the_paper():
    """3,072 = 64 * 16 features of the convolutions beside 2,048 of the layers; biases as above."""
    net = nnx.eval_shape(lambda: AudioNTT2().build(64, rngs=nnx.Rngs(0)))
    count = sum(x.size for x in jax.tree.leaves(nnx.state(net, nnx.Param)))
    assert net.width == net.token == 3072 and net.steps(96) == 24
    assert count == 9 * (64 + 64 * 64) + 2 * 2 * 64 + (1024 + 1) * 2048 + (2048 + 1) * 2048


def test_version_2_is_the_authors_stack():
    """Features of both blocks, bands by channels, then the two layers' output; mean + max over time."""
    net, x = AudioNTT2(width=6, channels=2, dropout=0.0).build(8, rngs=nnx.Rngs(0)), draw(3, 9, 8)
    y = x[..., None]
    for made in net.blocks:
        y = made(y)
    y = np.asarray(y).reshape(3, 2, 4)
    z = np.maximum(y @ np.asarray(net.fc1.kernel[...]) + np.asarray(net.fc1.bias[...]), 0)
    z = np.maximum(z @ np.asarray(net.fc2.kernel[...]) + np.asarray(net.fc2.bias[...]), 0)
    tokens = np.concatenate([y, z], 2)
    np.testing.assert_allclose(net(x), tokens, atol=1e-5)
    np.testing.assert_allclose(net.embed(x), tokens.mean(1) + tokens.max(1), atol=1e-5)


def test_batch_norm_is_pytorchs():
    torch = pytest.importorskip("torch", reason="the reference is PyTorch's BatchNorm1d")
    ours, theirs, x = BatchNorm(5), torch.nn.BatchNorm1d(5), 3 + draw(40, 5)
    expected = theirs(torch.tensor(np.array(x))).detach().numpy()
    np.testing.assert_allclose(ours(x), expected, atol=1e-5)
    np.testing.assert_allclose(ours.mean[...], theirs.running_mean.numpy(), atol=1e-6)
    # PyTorch keeps the unbiased variance
    np.testing.assert_allclose((ours.var[...] - 0.9) * 40 / 39, theirs.running_var.numpy() - 0.9, atol=1e-6)
    assert ours(x.astype(jnp.bfloat16)).dtype == jnp.bfloat16


@pytest.mark.parametrize("stages", [1, 2, 3, 4, 5])
def test_stages_stand_side_by_side(stages):
    """The last is the plain network's; a block's is averaged down to 8 frames and an eighth of the bands."""
    net = AudioNTT(width=16, channels=4, dropout=0.0, stages=stages).build(16, rngs=nnx.Rngs(0))
    x = draw(3, 29, 16)
    y, made = x[..., None], []
    for conv in net.blocks:
        y = conv(y)
        f, m = y.shape[1] // 3 * 3, y.shape[2]
        made.append(y[:, :f].reshape(3, 3, f // 3, 2, m // 2, 4).mean((2, 4)).reshape(3, 3, 8))
    made.append(nnx.relu(net.fc1(made[-1])))
    made.append(nnx.relu(net.fc2(made[-1])))
    expected = np.concatenate(made[-stages:], 2)
    assert net.width == net.token == expected.shape[2]
    np.testing.assert_allclose(net(x), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(net.embed(x), expected.mean(1) + expected.max(1), rtol=1e-5, atol=1e-6)


def test_statistics_are_mean_maximum_and_deviation_whose_gradient_is_finite():
    net = AudioNTT(width=16, channels=4, dropout=0.0, stages=5, statistics=True).build(16, rngs=nnx.Rngs(0))
    x = draw(3, 32, 16)
    tokens = np.asarray(net(x))
    expected = np.concatenate([tokens.mean(1), tokens.max(1), tokens.std(1)], 1)
    assert expected.shape[1] == net.width == 3 * net.token
    np.testing.assert_allclose(net.embed(x), expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(net.read(x) ** 2, net.embed(x), rtol=1e-4, atol=1e-5)  # what is judged
    plain = AudioNTT(width=16, channels=4).build(16, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(plain.read(x), plain.embed(x))
    net = nnx.view(net, use_running_average=True)
    silent = jnp.zeros((2, 8, 16))  # one token: no deviation
    assert np.isfinite(jax.grad(lambda x: net.embed(x).sum())(silent)).all()


def test_of_padded_clips_the_valid_frames_alone_are_heard():
    made = AudioNTT(width=16, channels=4, dropout=0.0, stages=5, statistics=True)
    net = nnx.view(made.build(16, rngs=nnx.Rngs(0)), use_running_average=True)
    x = draw(2, 40, 16)
    for n in (15, 23, 24, 31):  # odd halves too
        padded = jnp.concatenate([x[:, :n], jnp.full((2, 40 - n, 16), 7.0)], 1)
        found = net.embed(padded, jnp.full(2, n, jnp.int32))
        np.testing.assert_allclose(found, net.embed(x[:, :n]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stages", [0, 6])
def test_there_are_five_stages(stages):
    with pytest.raises(ValueError, match="5 stages"):
        AudioNTT(stages=stages).build(64, rngs=nnx.Rngs(0))
