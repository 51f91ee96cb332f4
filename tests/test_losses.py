"""Losses against optax and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from toys import experiment

from ssl_audio import methods
from ssl_audio.encoders import ResNet
from ssl_audio.losses import (
    barlow_twins,
    cosine,
    info_nce,
    nt_xent,
    off_diagonal,
    sup_con,
    unit,
    vicreg,
    w_mse,
    whiten,
)


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


@pytest.mark.parametrize("b, d, temperature", [(2, 3, 1.0), (33, 5, 0.07)])
def test_nt_xent_is_optax_ntxent(b, d, temperature):
    a, c = draw(0, b, d), draw(1, b, d)
    labels = jnp.tile(jnp.arange(b), 2)
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        reference = lambda a, c: optax.losses.ntxent(jnp.concatenate([a, c]), labels, temperature)
        value, grads = jax.jit(jax.value_and_grad(reference, (0, 1)))(a, c)
    ours, ours_grads = jax.jit(jax.value_and_grad(lambda a, c: nt_xent(a, c, temperature), (0, 1)))(a, c)
    np.testing.assert_allclose(ours, value, rtol=1e-5)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=2e-6), ours_grads, grads)


def test_nt_xent_closed_forms():
    b, t = 6, 0.5
    one = jnp.ones((b, 4))
    np.testing.assert_allclose(nt_xent(one, one, t), np.log(2 * b - 1), rtol=1e-6)  # nothing to tell apart
    eye = jnp.eye(b)  # partners at similarity 1, all others at 0
    np.testing.assert_allclose(nt_xent(eye, 3 * eye, t), np.log(np.exp(1 / t) + 2 * b - 2) - 1 / t, rtol=1e-5)
    a, c = draw(0, b, 4), draw(1, b, 4)
    np.testing.assert_allclose(nt_xent(a, c, t), nt_xent(c, a, t), rtol=1e-6)
    np.testing.assert_allclose(nt_xent(a, c, t), nt_xent(7 * a, c, t), rtol=1e-5)
    assert nt_xent(a, a, t) < nt_xent(a, c, t)


def test_info_nce_closed_forms():
    x = draw(0, 5, 5)
    expected = -np.mean(np.log(np.diag(np.exp(x) / np.exp(x).sum(1, keepdims=True))))
    np.testing.assert_allclose(info_nce(x), expected, rtol=1e-6)
    np.testing.assert_allclose(info_nce(jnp.zeros((7, 7))), np.log(7), rtol=1e-6)
    np.testing.assert_allclose(info_nce(x + 100), info_nce(x), rtol=1e-4)
    assert abs(float(info_nce(x) - info_nce(x.T))) > 1e-3  # rows pick columns, one direction
    assert info_nce(100 * jnp.eye(5)) < 1e-6


def test_unit_and_cosine():
    a, c = draw(0, 9, 4), draw(1, 9, 4)
    np.testing.assert_allclose(jnp.linalg.norm(unit(a), axis=-1), 1, rtol=1e-6)
    expected = np.sum(np.asarray(a) * c, 1) / np.linalg.norm(a, axis=1) / np.linalg.norm(c, axis=1)
    np.testing.assert_allclose(cosine(a, c), expected, rtol=1e-5)
    zero = jnp.zeros((1, 4))
    assert (unit(zero) == 0).all()
    assert jnp.isfinite(jax.grad(lambda x: cosine(x, c[:1]).sum())(zero)).all()


# wide and tall: off-diagonal sums go through [b b] or [d d], whichever is smaller
shapes = pytest.mark.parametrize("b, d", [(6, 11), (40, 5)])


@shapes
def test_off_diagonal_is_the_plain_sum(b, d):
    x, y = draw(0, b, d), draw(1, b, d)
    product = np.asarray(x, np.float64).T @ np.asarray(y, np.float64)
    expected = (product**2).sum() - (np.diag(product) ** 2).sum()
    np.testing.assert_allclose(off_diagonal(x, y), expected, rtol=1e-5)


def test_the_largest_thing_made_is_the_smaller_product():
    for b, d in ((8, 512), (512, 8)):
        shape = jax.ShapeDtypeStruct((b, d), jnp.float32)
        made = jax.make_jaxpr(jax.grad(lambda x, y: barlow_twins(x, y) + sum(vicreg(x, y))))(shape, shape)
        sizes = [v.aval.size for e in made.eqns for v in e.outvars]
        assert max(sizes) <= b * d


def torch_barlow(a, b, weight):
    """Correlation of batch-normalised embeddings, as in the paper's listing."""
    torch = pytest.importorskip("torch")
    a, b = (torch.nn.functional.batch_norm(x, None, None, training=True) for x in (a, b))
    c = a.T @ b / len(a)
    away = (c - torch.eye(c.shape[0])) ** 2
    return torch.where(torch.eye(c.shape[0], dtype=bool), away, weight * away).sum()


def torch_vicreg(a, b):
    torch = pytest.importorskip("torch")
    loss = 25 * torch.nn.functional.mse_loss(a, b)
    for x in (a, b):
        loss = loss + 25 * torch.relu(1 - torch.sqrt(x.var(0) + 1e-4)).mean() / 2
        c = torch.cov(x.T)
        loss = loss + (c - torch.diag(torch.diagonal(c))).square().sum() / x.shape[1]
    return loss


def torch_w_mse(a, b, size):
    torch = pytest.importorskip("torch")
    whole = []
    for x in (a, b):
        parts = []
        for part in x.split(size):
            inverse = torch.linalg.inv(torch.linalg.cholesky(torch.cov(part.T)))
            parts.append((part - part.mean(0)) @ inverse.T)
        whole.append(torch.nn.functional.normalize(torch.cat(parts)))
    return (whole[0] - whole[1]).square().sum(1).mean()


@pytest.mark.parametrize(
    "ours, theirs",
    [
        (lambda a, b: barlow_twins(a, b, 0.01), lambda a, b: torch_barlow(a, b, 0.01)),
        (
            lambda a, b: sum(w * x for w, x in zip((25, 25, 1), vicreg(a, b), strict=True)),
            lambda a, b: torch_vicreg(a, b),
        ),
        (lambda a, b: w_mse(jnp.stack([a, b]), 20), lambda a, b: torch_w_mse(a, b, 20)),
    ],
    ids=["barlow_twins", "vicreg", "w_mse"],
)
@shapes
def test_parity_with_torch_of_value_and_gradient(ours, theirs, b, d, request):
    torch = pytest.importorskip("torch")
    if "w_mse" in request.node.name and b < d:
        return  # has no covariance to invert
    x, y = 0.7 * draw(0, b, d), 0.7 * draw(1, b, d) + 0.3
    value, grads = jax.value_and_grad(ours, (0, 1))(x, y)
    p, q = (torch.tensor(np.asarray(v), requires_grad=True) for v in (x, y))
    reference = theirs(p, q)
    reference.backward()
    np.testing.assert_allclose(value, reference.item(), rtol=1e-4)
    for ours_grad, v in zip(grads, (p, q), strict=True):
        np.testing.assert_allclose(ours_grad, v.grad.numpy(), rtol=2e-3, atol=1e-5)


@shapes
def test_barlow_twins_does_not_see_affine_maps_of_a_dimension(b, d):
    x, y = draw(0, b, d), draw(1, b, d)
    scale, shift = 1 + jnp.abs(draw(2, 1, d)), draw(3, 1, d)
    np.testing.assert_allclose(barlow_twins(x * scale + shift, y), barlow_twins(x, y), rtol=1e-3)
    np.testing.assert_allclose(barlow_twins(x, y), barlow_twins(y, x), rtol=1e-5)


def test_barlow_twins_closed_forms():
    x = whiten(draw(0, 64, 5))
    np.testing.assert_allclose(barlow_twins(x, x), 0, atol=1e-6)
    np.testing.assert_allclose(barlow_twins(x, -x), 4 * 5, rtol=1e-4)  # each (1 - -1)²
    one = jnp.tile(x[:, :1], (1, 5))  # all dimensions say the same
    np.testing.assert_allclose(barlow_twins(one, one, 0.1), 0.1 * 5 * 4, rtol=1e-3)


def test_vicreg_closed_forms():
    x = whiten(draw(0, 64, 5))
    for term in vicreg(1.1 * x, 1.1 * x):  # alike, spread wide, uncorrelated
        np.testing.assert_allclose(term, 0, atol=1e-6)
    point = jnp.ones((8, 5))
    invariance, variance, covariance = vicreg(point, point + 2)
    np.testing.assert_allclose((invariance, variance, covariance), (4, 1 - 1e-2, 0), rtol=1e-5)
    one = jnp.tile(x[:, :1], (1, 5))
    np.testing.assert_allclose(vicreg(one, one)[2], 2 * 5 * 4 / 5, rtol=1e-4)
    moved = vicreg(x + 3, x[::-1] + 3)
    np.testing.assert_allclose(moved, vicreg(x, x[::-1]), rtol=1e-4, atol=1e-5)


def test_whitened_batches_have_identity_covariance():
    x = draw(0, 3, 64, 5) @ draw(1, 1, 5, 5) + 4
    z = np.asarray(whiten(x))
    for part in z:
        np.testing.assert_allclose(part.mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(np.cov(part.T), np.eye(5), atol=1e-4)
    np.testing.assert_allclose(whiten(x, 0.5)[0], whiten(x[0], 0.5), rtol=1e-4, atol=1e-5)


def test_w_mse_closed_forms():
    x, y = draw(0, 24, 4), draw(1, 24, 4)
    np.testing.assert_allclose(w_mse(jnp.stack([x, x]), 12), 0, atol=1e-5)
    np.testing.assert_allclose(w_mse(jnp.stack([x, -x]), 12), 4, rtol=1e-5)
    # whitening leaves nothing of a scale or a shift
    np.testing.assert_allclose(w_mse(jnp.stack([5 * x + 1, y]), 12), w_mse(jnp.stack([x, y]), 12), rtol=1e-4)
    three = [w_mse(jnp.stack(pair), 12) for pair in ((x, y), (y, x[::-1]), (x, x[::-1]))]
    np.testing.assert_allclose(w_mse(jnp.stack([x, y, x[::-1]]), 12), np.mean(three), rtol=1e-5)
    with pytest.raises(ValueError, match="24 clips don't divide into sub-batches of 10"):
        w_mse(jnp.stack([x, y]), 10)


def test_sup_con_is_the_papers_sum():
    """L_out, by loops: anchor by anchor, mean over positives of -log of their share among all others."""
    x, labels, t = np.asarray(unit(draw(0, 9, 4)), np.float64), [0, 1, 0, 2, -1, 1, 0, -1, 3], 0.2
    known = [i for i in range(9) if labels[i] >= 0]
    terms = []
    for i in known:
        others = [a for a in known if a != i]
        positives = [p for p in others if labels[p] == labels[i]]
        if positives:
            total = sum(np.exp(x[i] @ x[a] / t) for a in others)
            terms.append(-np.mean([np.log(np.exp(x[i] @ x[p] / t) / total) for p in positives]))
    assert len(terms) == 5
    loss = jax.jit(jax.value_and_grad(lambda z: sup_con(z, jnp.array(labels), t)))
    value, grad = loss(draw(0, 9, 4))
    np.testing.assert_allclose(value, np.mean(terms), rtol=1e-5)
    assert not np.any(grad[4]) and not np.any(grad[7]) and np.all(np.any(grad, 1)[:4])


def test_sup_con_of_distinct_labels_is_nt_xent():
    a, c = draw(0, 6, 4), draw(1, 6, 4)
    both = jnp.concatenate([a, c])
    np.testing.assert_allclose(sup_con(both, jnp.tile(jnp.arange(6), 2), 0.3), nt_xent(a, c, 0.3), rtol=1e-6)
    value, grad = jax.value_and_grad(lambda x: sup_con(x, jnp.full(12, -1), 0.3))(both)
    assert value == 0 and not np.any(grad)  # nothing is labelled


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: nt_xent(x, x[::-1]),
        lambda x: info_nce(x @ x.T),
        lambda x: barlow_twins(x, x[::-1]),
        lambda x: sum(vicreg(x, x[::-1])),
        lambda x: w_mse(jnp.stack([x, x[::-1]]), 64, 1e-3),
        lambda x: sup_con(x, jnp.arange(64) % 7),
    ],
)
def test_bfloat16_is_summed_in_float32(loss):
    x = draw(0, 64, 16)
    low = loss(x.astype(jnp.bfloat16))
    assert low.dtype == jnp.float32
    np.testing.assert_allclose(low, loss(x), rtol=0.05)


@pytest.mark.parametrize("method", ["BYOLA", "BarlowTwins", "COLA", "MoCo", "SimCLR", "SimSiam", "VICReg"])
def test_methods_of_two_views_refuse_others(method):
    """One view cut in half would pair strangers, and learn from it without a word."""
    chosen = experiment(method)
    net = chosen.method.build(chosen.encoder.build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    view = jnp.zeros((4, 24, 16))
    for views in ((view,), (view,) * 3, (view, view[:, :16])):
        with pytest.raises(ValueError, match=r"compares two views of one length; the experiment's have 24"):
            chosen.method.loss(net, views, {}, jax.random.key(0))


@pytest.mark.parametrize("method", ["Autoencoder", "VAE", "VQAutoencoder"])
def test_tokens_of_a_clips_rest_are_told(method):
    """51 frames are two tokens of a ResNet but one patch of 32: the second would restore the first."""
    net = getattr(methods, method)()
    built = lambda: net.build(ResNet(channels=8).build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    go = lambda spec: net.loss(built(), (spec,), {}, jax.random.key(0))[0]
    with pytest.raises(ValueError, match=r"2 tokens of a view that has 1 whole .* multiple of 32 frames"):
        jax.eval_shape(go, jnp.zeros((2, 51, 16)))
    assert jax.eval_shape(go, jnp.zeros((2, 64, 16))).shape == ()
