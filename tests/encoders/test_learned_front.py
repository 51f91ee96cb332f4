import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import CONV, VIT

from ssl_audio.encoders import AudioNTT, ViT
from ssl_audio.encoders.layers import pace
from ssl_audio.encoders.learned import Learned
from ssl_audio.signal.frontends import RawFrames
from ssl_audio.signal.learned import LEAF, MelPCEN, SincNet

RATE, HOP = 8000, 80
FRONTS = [
    LEAF(rate=RATE, mels=16, taps=65, window=81, fmax=3800.0),
    SincNet(rate=RATE, mels=16, taps=65, fmax=3800.0),
    MelPCEN(rate=RATE, mels=16, n_fft=256, fmax=3800.0),
]


def waves(b=3, t=2400):
    rng = np.random.default_rng(0)
    return jnp.asarray(
        0.2 * rng.standard_normal((b, t)) * rng.uniform(0, 1, (b, t // 80)).repeat(80, 1), jnp.float32
    )


@pytest.mark.parametrize("front", FRONTS, ids=lambda f: type(f).__name__)
@pytest.mark.parametrize("inner", [CONV, VIT], ids=lambda e: type(e).__name__)
def test_from_a_wave_to_an_embedding_with_a_gradient_everywhere(front, inner):
    raw = RawFrames(rate=RATE, hop=HOP)
    net = Learned(front, inner).build(raw.mels, rngs=nnx.Rngs(0))
    graph, params, rest = nnx.split(net, nnx.Param, ...)
    target = jnp.asarray(np.random.default_rng(1).standard_normal((3, net.width)), jnp.float32)

    @jax.jit
    def gradient(params, x):
        run = lambda params: nnx.merge(graph, params, nnx.as_pure(rest)).embed(raw(x))
        return jax.grad(lambda params: jnp.sum(run(params) * target))(params)

    for path, leaf in jax.tree.leaves_with_path(gradient(nnx.as_pure(params), waves())):
        assert np.isfinite(leaf).all() and np.any(leaf), f"no gradient at {jax.tree_util.keystr(path)}"
    assert net.embed(raw(waves())).shape == (3, net.width)


def test_features_are_normalised_over_each_clip_and_louder_is_the_same_to_sincnet():
    net = Learned(FRONTS[1], CONV).build(HOP, rngs=nnx.Rngs(0))
    x = RawFrames(rate=RATE, hop=HOP)(waves())
    features = np.asarray(net.features(x))
    np.testing.assert_allclose(features.mean((1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(features.std((1, 2)), 1, atol=0.01)
    np.testing.assert_allclose(net.features(x * 3), features, rtol=0.02, atol=0.02)
    # over the frames of sound only
    padded = np.asarray(net.features(x, jnp.array([30, 12, 30])))
    np.testing.assert_allclose(padded[1, :12].mean(), 0, atol=1e-4)


def test_the_inner_encoder_refuses_bands_that_it_cannot_take():
    with pytest.raises(ValueError, match="multiple of 8"):
        Learned(dataclasses.replace(FRONTS[0], mels=12), CONV).build(HOP, rngs=nnx.Rngs(0))


def test_what_the_inner_encoder_says_of_itself_is_said():
    """Its pace, and how it is judged."""
    vit = ViT(width=8, depth=1, heads=2, patch=(4, 8), stride=(2, 8))
    net = Learned(encoder=vit, front=LEAF(rate=16_000, mels=16)).build(80, rngs=nnx.Rngs(0))
    assert pace(net) == (2, 1.5)
    conv = AudioNTT(width=8, channels=2, dropout=0.0, statistics=True)
    net = Learned(encoder=conv, front=LEAF(rate=16_000, mels=16)).build(80, rngs=nnx.Rngs(0))
    net = nnx.view(net, use_running_average=True)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 24, 80)), jnp.float32)
    np.testing.assert_allclose(net.read(x) ** 2, net.embed(x), rtol=1e-4, atol=1e-5)
