"""APC: the frame to come, by its L1 error, from what was before."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ssl_audio.encoders import CRNN, GRU
from ssl_audio.methods import APC

MADE = APC(ahead=3)


@pytest.fixture(scope="module")
def parts():
    net = MADE.build(GRU(width=16, depth=2, dropout=0.0).build(8, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    return net, jnp.asarray(np.random.default_rng(0).standard_normal((4, 12, 8)), jnp.float32)


def test_loss_is_the_distance_to_the_frame_that_comes(parts):
    net, x = parts
    loss, logs = MADE.loss(net, (x,), {}, jax.random.key(0))
    guess, spec = np.asarray(net.out(net.encoder(x))), np.asarray(x)
    expected = np.mean([np.abs(guess[:, t] - spec[:, t + 3]).mean() for t in range(9)])
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(logs["copy"], np.abs(spec[:, 3:] - spec[:, :-3]).mean(), rtol=1e-5)


def test_what_is_foretold_has_heard_nothing_later(parts):
    """Exactly zero gradient from frame t + 1 on, though the target lies there."""
    net, x = parts
    to_x = jax.jit(jax.grad(lambda x, t: jnp.sum(net.out(net.encoder(x))[:, t] ** 2)))
    for t in (0, 5, 11):
        grad = to_x(x, t)
        assert not np.any(grad[:, t + 1 :]) and np.all(np.abs(grad[:, : t + 1]).sum(-1) > 0)


def test_a_still_sound_is_foretold_by_copying(parts):
    """Frames that never change: `copy` is 0, and so is the loss of a map to that very frame."""
    net, x = parts
    still = jnp.broadcast_to(x[:1, :1], (4, 12, 8))
    sure = nnx.clone(net)
    sure.out.kernel[...], sure.out.bias[...] = 0 * sure.out.kernel[...], x[0, 0]
    loss, logs = MADE.loss(sure, (still,), {}, jax.random.key(0))
    assert loss == logs["copy"] == 0


def test_refusals(parts):
    net, x = parts
    with pytest.raises(ValueError, match="causal"):
        MADE.build(CRNN(width=4, channels=4).build(8, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="ahead"):
        MADE.loss(net, (x[:, :3],), {}, jax.random.key(0))
    with pytest.raises(ValueError, match="ahead"):
        APC(ahead=0).build(net.encoder, rngs=nnx.Rngs(0))
