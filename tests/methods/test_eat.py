"""EAT: several masks of a clip share one teacher pass; the loss is local and of the whole clip."""

import dataclasses

import jax
import jax.numpy as jnp
import latent
import numpy as np
import pytest
from flax import nnx
from latent import KEY, patch_sums, std
from toys import METHODS, TALL

from ssl_audio.encoders.layers import grouped
from ssl_audio.methods import EAT
from ssl_audio.train import split


@pytest.fixture(scope="module")
def parts():
    return latent.observed("EAT", "decode")


def test_no_gradient_reaches_the_teacher(parts):
    latent.no_gradient_reaches_the_teacher(parts)


def test_teacher_is_the_average_in_closed_form(parts):
    latent.teacher_is_the_average_in_closed_form(parts)


@dataclasses.dataclass(frozen=True)
class Unnormalised(EAT):
    """The last layer as it is for a target: with the two normalisations nothing collapses in 400 steps."""

    def target(self, teacher, x):
        return teacher.norm(teacher.layers(x)[-1])[:, -x.shape[1] :]


def test_without_teacher_and_normalisation_the_targets_collapse_and_the_alarm_tells(store):
    broken = Unnormalised(**vars(METHODS["EAT"]["method"]) | {"teacher": False})
    assert (latent.alarm("EAT", store), latent.alarm("EAT", store, broken)) == (False, True)


def test_every_clone_sees_its_own_blocks_and_the_teacher_passes_once(parts):
    _made, _, spec, look = parts
    (_, (_, calls)), (_, _, grad) = look(spec)
    student, _, teacher = calls
    assert student["out"][-1].shape == (12, 1 + 10, 16) and teacher["out"][-1].shape == (4, 1 + 48, 16)
    kept = np.asarray(student["keep"])
    assert len(np.unique(kept, axis=0)) > 6
    seen = np.zeros((12, 48), bool)
    np.put_along_axis(seen, kept, True, 1)
    np.testing.assert_array_equal(patch_sums(grad, (2, 4)) > 0, seen.reshape(4, 3, 48).any(1))
    poked = np.array(spec)
    poked[0, 2 * (kept[0, 0] // 4), 4 * (kept[0, 0] % 4)] += 5  # a patch that the first clone of clip 0 sees
    again = look(jnp.asarray(poked))[0][1][1][0]["out"][-1]
    moved = np.abs(again - student["out"][-1]).max((1, 2)) > 1e-4
    np.testing.assert_array_equal(moved, seen[:, kept[0, 0]] & (np.arange(12) < 3))


def test_loss_is_the_authors(parts):
    """Squared errors times sqrt(d), of hidden patches and of the class token against the mean of all."""
    _made, net, spec, look = parts
    (loss, (logs, calls)), _ = look(spec)
    student, decoder, teacher = calls
    top = std(teacher["out"][-1][:, 1:], 1, 1e-5)  # one layer
    target = np.repeat(std(top, -1, 1e-5), 3, 0)
    hidden = np.ones((12, 48), bool)
    np.put_along_axis(hidden, np.asarray(student["keep"]), False, 1)
    local = ((np.asarray(decoder["guess"]) - target)[hidden] ** 2).sum(-1).mean() / 4
    token = np.asarray(net.encoder.norm(student["out"][-1]))[:, 0]
    utterance = ((token - target.mean(1)) ** 2).sum(-1).mean() / 4
    np.testing.assert_allclose([logs["local"], logs["utterance"]], [local, utterance], rtol=1e-4)
    np.testing.assert_allclose(loss, local + utterance, rtol=1e-4)


def test_decoder_is_the_authors():
    """Grouped convolutions, layer normalisation without scale, GELU, residual, in torch."""
    torch = pytest.importorskip("torch")
    from torch.nn import functional as F

    made = EAT(width=16, depth=2, groups=4, noise=0.0, utterance=0.0)
    net = made.build(TALL.build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    x = np.random.default_rng(0).standard_normal((2, 5, 16)).astype(np.float32)
    restore = jnp.tile(jnp.arange(12, dtype=jnp.int32)[::-1][None], (2, 1))
    found = made.decode(net, jnp.asarray(x), restore, (4, 3), KEY)
    y = torch.tensor(np.concatenate([x, np.zeros((2, 7, 16), np.float32)], 1)[:, ::-1].copy())
    y = y.transpose(1, 2).reshape(2, 16, 4, 3)
    for conv in net.blocks:
        kernel = torch.tensor(np.asarray(conv.kernel[...]).transpose(3, 2, 0, 1).copy())
        z = F.conv2d(y, kernel, torch.tensor(np.asarray(conv.bias[...])), padding=1, groups=4)
        y = y + F.gelu(F.layer_norm(z.permute(0, 2, 3, 1), (16,))).permute(0, 3, 1, 2)
    out = y.reshape(2, 16, 12).transpose(1, 2).numpy() @ np.asarray(net.out.kernel[...])
    np.testing.assert_allclose(found, out, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("side", [3, 4])
def test_grouped_convolution_is_flaxs_with_its_gradients(side):
    conv = nnx.Conv(12, 8, (side, side), feature_group_count=4, rngs=nnx.Rngs(0))
    conv.bias[...] = jnp.arange(8.0)
    graph, params = nnx.split(conv)
    x = jax.random.normal(KEY, (2, 7, 5, 12))
    results = [
        jax.jit(jax.value_and_grad(lambda p, x, f=f: jnp.sum(jnp.sin(f(nnx.merge(graph, p), x))), (0, 1)))(
            nnx.as_pure(params), x
        )
        for f in (lambda conv, x: conv(x), grouped)
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), *results)


def test_utterance_loss_needs_a_class_token_and_may_be_left_out():
    made = dataclasses.replace(METHODS["EAT"]["method"], clones=1)
    encoder = dataclasses.replace(METHODS["EAT"]["encoder"], cls=False)
    net = made.build(encoder.build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    graph, *arrays = split(net)
    run = lambda made: jax.eval_shape(
        lambda spec: made.loss(nnx.merge(graph, *arrays), (spec,), {}, KEY), jnp.zeros((2, 24, 16))
    )
    with pytest.raises(ValueError, match="class token"):
        run(made)
    assert "utterance" not in run(dataclasses.replace(made, utterance=0.0))[1]
    with pytest.raises(ValueError, match="groups"):
        EAT(groups=5).build(encoder.build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
