"""MAE: the encoder sees visible patches only, the loss hidden ones only."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import METHODS, VIT

from ssl_audio.encoders.layers import patches
from ssl_audio.signal.masking import random_mask

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def parts():
    made = METHODS["MAE"]["method"]
    net = made.build(VIT.build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    spec = jnp.asarray(np.random.default_rng(0).standard_normal((3, 32, 16)), jnp.float32)
    keep, hidden, _ = random_mask(KEY, 3, 8, 4)  # the draw of the loss under the same key
    return made, net, spec, np.asarray(keep), np.asarray(hidden)


def poke(spec, tokens, value=5.0):
    """Change one bin in the named patch of each clip."""
    spec = np.array(spec)
    for i, t in enumerate(tokens):
        spec[i, 8 * (t // 2) + 3, 8 * (t % 2) + 2] += value
    return jnp.asarray(spec)


def test_hidden_patches_do_not_reach_the_encoder(parts, monkeypatch):
    made, net, spec, keep, hidden = parts
    seen = []
    inner = type(net.encoder).__call__
    monkeypatch.setattr(
        type(net.encoder), "__call__", lambda *a, **k: seen.append(inner(*a, **k)) or seen[-1]
    )
    made.loss(net, (spec,), {}, KEY)
    made.loss(net, (poke(spec, hidden[:, 0]),), {}, KEY)
    made.loss(net, (poke(spec, keep[:, 0]),), {}, KEY)
    assert seen[0].shape == (3, 4, 16)
    np.testing.assert_array_equal(seen[0], seen[1])
    assert not np.allclose(seen[0], seen[2])


def test_loss_counts_hidden_patches_only(parts):
    """A decoder that says nothing errs by the mean square of the standardised hidden patches: 1."""
    made, net, spec, keep, hidden = parts
    silent = nnx.clone(net)
    silent.out.kernel[...] = 0 * silent.out.kernel[...]
    loss, _ = made.loss(silent, (spec,), {}, KEY)
    np.testing.assert_allclose(loss, 1.0, rtol=1e-3)
    raw = dataclasses.replace(made, normalise=False)
    target = np.take_along_axis(np.asarray(patches(spec, (8, 8))), hidden[..., None], 1)
    value = lambda x: float(raw.loss(silent, (x,), {}, KEY)[0])
    np.testing.assert_allclose(value(spec), (target**2).mean(), rtol=1e-5)
    np.testing.assert_allclose(value(poke(spec, keep[:, 0])), value(spec), rtol=1e-7)
    assert value(poke(spec, hidden[:, 0])) > value(spec) * 1.01


def test_tokens_return_to_their_places(parts):
    """A decoder without blocks sees each place's own token: no visible patch can help with a hidden one."""
    made, net, spec, keep, hidden = parts
    bare = nnx.clone(net)
    bare.blocks = nnx.List([])
    raw = dataclasses.replace(made, normalise=False)
    grad = jax.grad(lambda s: raw.loss(bare, (s,), {}, KEY)[0])(spec)
    grad = np.asarray(patches(grad, (8, 8)))
    assert not np.take_along_axis(grad, keep[..., None], 1).any()
    assert np.take_along_axis(grad, hidden[..., None], 1).all()


@pytest.mark.parametrize("hide, kept", [(0.75, 2), (0.5, 4), (0.1, 7)])
def test_share_that_is_hidden(parts, hide, kept, monkeypatch):
    _, net, spec, _, _ = parts
    shapes = []
    inner = type(net.encoder).__call__
    monkeypatch.setattr(
        type(net.encoder), "__call__", lambda *a, **k: shapes.append(k["keep"].shape) or inner(*a, **k)
    )
    dataclasses.replace(METHODS["MAE"]["method"], hide=hide).loss(net, (spec,), {}, KEY)
    assert shapes == [(3, kept)]
