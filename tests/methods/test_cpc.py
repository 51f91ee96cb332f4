"""CPC: InfoNCE over the tokens to come, whatever the negatives."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ssl_audio.encoders import AudioNTT, Context, CPCConv
from ssl_audio.methods import CPC

MADE = CPC(ahead=2, negatives=5)
B, N = 3, 6


@pytest.fixture(scope="module")
def parts():
    encoder = Context(CPCConv(width=8, strides=(2, 2)), width=6).build(4, rngs=nnx.Rngs(0))
    net = MADE.build(encoder, rngs=nnx.Rngs(1))
    return net, jnp.asarray(np.random.default_rng(0).standard_normal((B, N, 4)), jnp.float32)


def plain(net, x, others):
    """The paper's loss, place by place; others(i, place): the rows (clip, place) to tell it from."""
    z, c = (np.asarray(a, np.float64) for a in net.encoder.look(x))
    loss, hits = [], []
    for k, predict in enumerate(net.predict, 1):
        w = np.asarray(predict.kernel[...], np.float64)
        for i in range(B):
            for t in range(N - 2):
                right = c[i, t] @ w @ z[i, t + k]
                wrong = [c[i, t] @ w @ z[j, s] for j, s in others(i) if (j, s) != (i, t + k)]
                loss.append(np.log(np.exp([right, *wrong]).sum()) - right)
                hits.append(right > max(wrong))
    return np.mean(loss), np.mean(hits)


def test_loss_is_the_papers_with_the_batchs_negatives(parts):
    net, x = parts
    key = jax.random.key(3)
    drawn = np.asarray(jax.random.randint(jax.random.split(key)[1], (5,), 0, B * N))
    loss, logs = MADE.loss(net, (x,), {}, key)
    expected, hits = plain(net, x, lambda i: [divmod(int(r), N) for r in drawn])
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(logs["accuracy"], hits, rtol=1e-5)
    assert logs["target_std"] > 0.1


def test_loss_is_the_papers_with_the_clips_own_negatives(parts):
    net, x = parts
    made = dataclasses.replace(MADE, within=True)
    loss, logs = made.loss(net, (x,), {}, jax.random.key(0))
    expected, hits = plain(net, x, lambda i: [(i, s) for s in range(N)])
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(logs["accuracy"], hits, rtol=1e-5)
    # clips don't meet: each one's loss alone averages to that of all
    alone = [made.loss(net, (x[i : i + 1],), {}, jax.random.key(0))[0] for i in range(B)]
    np.testing.assert_allclose(loss, np.mean(alone), rtol=1e-5)


def test_without_a_context_it_guesses(parts):
    """Predictors of zero: every token is as likely, log(1 + negatives) where none is the one sought."""
    net, x = parts
    blank = nnx.clone(net)
    for predict in blank.predict:
        predict.kernel[...] = 0 * predict.kernel[...]
    made = dataclasses.replace(MADE, within=True)
    loss, logs = made.loss(blank, (x,), {}, jax.random.key(0))
    np.testing.assert_allclose(loss, np.log(N), rtol=1e-6)
    assert logs["accuracy"] == 0  # a tie is no hit


def test_every_step_ahead_has_its_own_map_and_what_is_judged_is_the_context(parts):
    net, x = parts
    assert [p.kernel.shape for p in net.predict] == [(6, 8)] * 2
    encoder = MADE.encoder(net)
    z, c = encoder.look(x)
    assert z.shape == (B, N, 8) and encoder.width == 6
    np.testing.assert_allclose(encoder.embed(x), c.mean(1), rtol=1e-5, atol=1e-6)


def test_collapsed_tokens_show_in_the_log(parts):
    net, x = parts
    flat = nnx.clone(net)
    norm = flat.encoder.local.norms[-1]
    norm.scale[...], norm.bias[...] = 0 * norm.scale[...], 1 + 0 * norm.bias[...]
    assert MADE.loss(flat, (x,), {}, jax.random.key(0))[1]["target_std"] < 1e-3


def test_refusals(parts):
    net, x = parts
    with pytest.raises(ValueError, match="Context"):
        MADE.build(AudioNTT(width=8, channels=2).build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="ahead"):
        MADE.loss(net, (x[:, :2],), {}, jax.random.key(0))
    with pytest.raises(ValueError, match="negatives"):
        CPC(negatives=0).build(net.encoder, rngs=nnx.Rngs(0))
