"""MAE: the encoder sees visible patches only, the loss hidden ones only."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import METHODS, VIT

from ssl_audio.encoders.layers import patches, positions, sincos
from ssl_audio.methods import MAE
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


FORMS = {
    "AudioMAE": {"hide": 0.8, "window": (2, 2), "shift": (1, 0), "depth": 2},
    "MW-MAE": {"hide": 0.8, "windows": (2, 0, 5), "line": True, "normalise": False},
}


@pytest.mark.parametrize("form", FORMS)
def test_windowed_decoders(parts, form):
    """The loss by the authors' formula; a gradient for every leaf; bfloat16 goes through."""
    spec = parts[2]
    made = dataclasses.replace(METHODS["MAE"]["method"], **FORMS[form])
    net = made.build(VIT.build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    graph, params = nnx.split(net)
    value = lambda p, s: made.loss(nnx.merge(graph, p), (s,), {}, KEY)
    (loss, logs), grads = jax.jit(jax.value_and_grad(value, has_aux=True))(nnx.as_pure(params), spec)
    for path, g in jax.tree.leaves_with_path(grads):
        assert np.isfinite(g).all() and np.any(g), jax.tree_util.keystr(path)
    keep, _, restore = random_mask(KEY, 3, 8, 2)
    x = net.enter(net.encoder(spec, keep=keep))
    x = jnp.concatenate([x, jnp.broadcast_to(net.token[...], (3, 6, 16))], 1)
    x = jnp.take_along_axis(x, restore[..., None], 1)
    grid = np.arange(8)[:, None] if made.line else positions(32, 16, (8, 8))
    x = x + sincos(grid, 16)[None]
    for block in net.blocks:
        x = block(x)
    guess, target = np.asarray(net.out(net.norm(x))), np.asarray(patches(spec, (8, 8)))
    if made.normalise:
        target = (target - target.mean(-1, keepdims=True)) / np.sqrt(target.var(-1, keepdims=True) + 1e-6)
    mask = np.ones((3, 8))
    np.put_along_axis(mask, np.asarray(keep), 0, 1)
    np.testing.assert_allclose(loss, (((guess - target) ** 2).mean(-1) * mask).sum() / mask.sum(), rtol=1e-4)
    assert 0.5 < logs["target_std"] < 1.5
    low = jax.tree.map(lambda p: p.astype(jnp.bfloat16), nnx.as_pure(params))
    with jax.numpy_dtype_promotion("standard"):  # flax's LayerNorm promotes
        assert jax.eval_shape(value, low, spec.astype(jnp.bfloat16))[0].dtype == jnp.float32


def test_decoders_as_published():
    encoder = VIT.build(16, rngs=nnx.Rngs(0))
    build = lambda made: jax.eval_shape(lambda: nnx.as_pure(nnx.state(made.build(encoder, rngs=nnx.Rngs(1)))))
    audio = MAE(hide=0.8, width=512, depth=16, heads=16, window=(4, 4))
    assert [audio.block(i, 2, nnx.Rngs(0)).shift for i in range(4)] == [(0, 0), (2, 0), (0, 0), (2, 0)]
    assert len(build(audio)["blocks"]) == 16
    many = MAE(hide=0.8, width=384, depth=4, heads=8, windows=(2, 5, 10, 25, 50, 125, 0, 0))
    assert [t.shape for t in build(many)["blocks"][0]["tables"].values()] == [
        (2 * w - 1, 1) for w in many.windows[:6]
    ]
    old = build(MAE())  # names of earlier runs
    assert (
        set(old) == {"encoder", "enter", "token", "blocks", "norm", "out"}
        and "tables" not in old["blocks"][0]
    )


def test_refusals(parts):
    _, net, spec, _, _ = parts
    encoder = net.encoder
    for changes, said in (
        ({"hide": 1.0}, "between 0 and 1"),
        ({"window": (2, 2), "windows": (2, 0)}, "not both"),
        ({"windows": (2,), "heads": 2}, "each head"),
    ):
        with pytest.raises(ValueError, match=said):
            MAE(**changes).build(encoder, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="longer clips"):
        dataclasses.replace(METHODS["MAE"]["method"], hide=0.01).loss(net, (spec,), {}, KEY)
