"""ATST-Clip and ATST-Frame: what the student sees, what it is compared with, and what keeps them from
collapse."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx

from ssl_audio.encoders import ViT
from ssl_audio.evaluate import collapse
from ssl_audio.methods import ATSTClip, ATSTFrame
from ssl_audio.methods.atst_frame import spans
from ssl_audio.train import split

CLIP = ATSTClip(hidden=16, width=8, decay=0.9, steps=20)
FRAME = ATSTFrame(span=2, hidden=16, width=8, decay=0.9, steps=20)
RNG = np.random.default_rng(0)
KEY = jax.random.key(3)
both = pytest.mark.parametrize("made", [CLIP, FRAME], ids=["clip", "frame"])


def normal(*shape):
    return jnp.asarray(RNG.standard_normal(shape), jnp.float32)


VIEWS = (normal(4, 24, 8), normal(4, 24, 8))


def build(made, patch=(2, 8), seed=0):
    encoder = ViT(width=16, depth=1, heads=2, patch=patch, cls=isinstance(made, ATSTClip))
    return made.build(encoder.build(8, rngs=nnx.Rngs(seed)), rngs=nnx.Rngs(seed + 1))


def apart(made):
    """With a teacher unlike the student."""
    net = build(made)
    nnx.update(net.teacher, nnx.state(build(made, seed=5).teacher, nnx.Param))
    return net


def unlike(predicted, target):
    """The authors' loss: 2 - 2 cos, torch."""
    p, z = (torch.nn.functional.normalize(torch.tensor(np.asarray(x)), dim=-1) for x in (predicted, target))
    return 2 - 2 * (p * z).sum(-1).mean()


def test_clip_loss_is_the_authors():
    """Class tokens after the last norm; view 1 predicts the teacher's view 2, view 2 its view 1; the mean."""
    net = apart(CLIP)
    x = jnp.concatenate(VIEWS)
    see = lambda part: part.project(part.encoder.norm(part.encoder.layers(part.encoder.cut(x))[-1])[:, 0])
    student, teacher = net.predict(see(net.student)), see(net.teacher)
    expected = (unlike(student[:4], teacher[4:]) + unlike(student[4:], teacher[:4])) / 2
    loss, logs = CLIP.loss(net, VIEWS, {}, KEY)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    assert logs["target_std"] > 0.1
    # the class token of the embedding that is judged is the token that is trained
    embedding = net.teacher.encoder.embed(x)
    tokens = net.teacher.encoder.norm(net.teacher.encoder.layers(net.teacher.encoder.cut(x))[-1])
    np.testing.assert_allclose(embedding[:, :16], tokens[:, 0], atol=1e-5)


def batch_norm(mlp, x):
    """The MLP on rows [n d], in torch's training mode."""
    x = torch.tensor(np.asarray(mlp.up(x)))
    x = torch.nn.functional.batch_norm(x, None, None, training=True)  # scale 1, bias 0 at first
    return mlp.down(jnp.asarray(torch.relu(x).numpy()))


def masked_at(columns=1):
    """The mask of the loss under KEY."""
    return np.repeat(np.asarray(spans(KEY, 4, 12, 0.65, 2)), columns, 1)


@pytest.mark.parametrize(("patch", "columns"), [((2, 8), 1), ((2, 4), 2)])
def test_frame_loss_is_the_authors(patch, columns):
    """Tokens at masked places only are picked, then go through the heads."""
    net = build(FRAME, patch)
    nnx.update(net.teacher, nnx.state(build(FRAME, patch, seed=5).teacher, nnx.Param))
    there = np.tile(masked_at(columns), (2, 1))
    x = jnp.concatenate(VIEWS)
    tokens = net.student.encoder.cut(x)
    tokens = jnp.where(there[..., None], net.token[...][None, None], tokens)
    student = net.student.encoder.norm(net.student.encoder.layers(tokens)[-1])
    teacher = net.teacher.encoder(x)
    student = batch_norm(net.predict, batch_norm(net.student.project, student[there]))
    teacher = batch_norm(net.teacher.project, teacher[there])
    half = len(student) // 2
    expected = (unlike(student[:half], teacher[half:]) + unlike(student[half:], teacher[:half])) / 2
    loss, logs = FRAME.loss(net, VIEWS, {}, KEY)
    np.testing.assert_allclose(loss, expected, rtol=2e-3)
    np.testing.assert_allclose(logs["masked"], there.mean(), rtol=1e-5)


def test_frame_student_sees_no_masked_frame_and_the_teacher_all(monkeypatch):
    net = build(FRAME)
    place = [int(row.argmax()) for row in masked_at()]
    poked = VIEWS[0].at[jnp.arange(4), 2 * jnp.array(place) + 1, 3].add(9.0)
    seen, inner = [], type(net.student.encoder).layers
    monkeypatch.setattr(
        type(net.student.encoder), "layers", lambda self, x, *a: seen.append(x) or inner(self, x, *a)
    )
    FRAME.loss(net, VIEWS, {}, KEY)
    FRAME.loss(net, (poked, VIEWS[1]), {}, KEY)
    student, teacher, student_poked, teacher_poked = (np.asarray(x) for x in seen)
    np.testing.assert_array_equal(student, student_poked)
    np.testing.assert_array_equal(
        student[:4][masked_at()], np.broadcast_to(net.token[...], (masked_at().sum(), 16))
    )
    assert np.array_equal((teacher != teacher_poked).any(-1)[:4].argmax(1), place)


def test_spans():
    mask = np.asarray(spans(jax.random.key(0), 2000, 50, 0.65, 5))
    padded = np.pad(mask, ((0, 0), (1, 1)))
    edges = np.diff(padded.astype(int), axis=1)
    first, last = np.argwhere(edges == 1), np.argwhere(edges == -1)
    assert (last[:, 1] - first[:, 1]).min() == 5  # no span is cut, at the edges either
    starts = 50 - 5 + 1
    missed = np.clip(np.minimum(np.arange(50) + 1, 50 - np.arange(50)), 1, 5)  # starts that cover a place
    share = 1 - (1 - missed / starts) ** 6.5
    np.testing.assert_allclose(mask.mean(0), share, atol=0.06)
    assert 0.4 < mask.mean() < 0.6
    assert spans(jax.random.key(0), 3, 6, 0.01, 5).any(1).all()  # one at least
    with pytest.raises(ValueError, match="span of 5"):
        spans(KEY, 2, 5, 0.65, 5)


@both
def test_gradients_and_symmetry(made):
    graph, params, frozen, rest = split(apart(made))

    @jax.jit
    def value(params, frozen, views):
        loss = lambda p, f: made.loss(nnx.merge(graph, p, f, rest), views, {}, KEY)[0]
        return jax.value_and_grad(loss, (0, 1))(params, frozen)

    loss, (student, teacher) = value(params, frozen, VIEWS)
    assert not any(np.any(g) for g in jax.tree.leaves(teacher))
    assert all(np.any(g) for g in jax.tree.leaves(student))
    assert 0 < loss < 4
    np.testing.assert_allclose(value(params, frozen, VIEWS[::-1])[0], loss, rtol=1e-4)


@both
def test_teacher_is_the_average_in_closed_form(made):
    net = apart(made)
    w, t = (np.asarray(p.encoder.stem.kernel[...]) for p in (net.student, net.teacher))
    decay = [1 - 0.1 * (1 + np.cos(np.pi * n / 20)) / 2 for n in (0, 4, 19, 20, 30)]
    assert decay[0] == 0.9 and decay[-2] == 1
    decay[-1] = 1  # past the end it stands
    for n in (0, 4, 19, 20, 30):
        made.after(net, jnp.int32(n))
    expected = w + np.prod(decay) * (t - w)
    np.testing.assert_allclose(net.teacher.encoder.stem.kernel[...], expected, rtol=1e-4, atol=1e-6)


def spreads(made, steps=200, rate=2e-2):
    """The log's `target_std` over so many steps on clips of their own, two very noisy views each."""
    graph, params, frozen, rest = split(build(made))
    clips, tx = normal(8, 24, 8), optax.adam(rate)

    @jax.jit
    def run(state):
        def one(state, step):
            params, frozen, rest, opt = state
            key, *keys = jax.random.split(jax.random.fold_in(KEY, step), 3)
            views = tuple(clips + 2.0 * jax.random.normal(k, clips.shape) for k in keys)

            def loss(p):
                net = nnx.merge(graph, p, frozen, rest)
                value, logs = made.loss(net, views, {}, key)
                return value, (logs, split(net)[3])

            grads, (logs, rest) = jax.grad(loss, has_aux=True)(params)
            with jax.numpy_dtype_promotion("standard"):
                updates, opt = tx.update(grads, opt)
            net = nnx.merge(graph, optax.apply_updates(params, updates), frozen, rest)
            made.after(net, step)
            return (*split(net)[1:], opt), logs["target_std"]

        return jax.lax.scan(one, state, jnp.arange(steps))[1]

    return np.asarray(run((params, frozen, rest, tx.init(params))))


@both
def test_without_the_predictor_it_collapses(made):
    made = dataclasses.replace(made, steps=10_000)
    whole, broken = spreads(made), spreads(dataclasses.replace(made, predictor=False))
    assert whole[-20:].mean() > 0.3
    assert broken[-20:].mean() < collapse.LEAST_TARGET


def test_refusals():
    plain = ViT(width=16, depth=1, heads=2, patch=(2, 8)).build(8, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="class token"):
        CLIP.build(plain, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="two views"):
        CLIP.loss(build(CLIP), VIEWS[:1], {}, KEY)
    with pytest.raises(ValueError, match="equal length"):
        FRAME.loss(build(FRAME), (VIEWS[0], VIEWS[1][:, :16]), {}, KEY)
    with pytest.raises(ValueError, match="transformer"):
        FRAME.build(nnx.Dict(), rngs=nnx.Rngs(0))
