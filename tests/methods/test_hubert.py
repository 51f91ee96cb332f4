"""HuBERT: the authors' loss in numpy, labels that fit the tokens, two stages, an alarm for one label."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import CONV, METHODS, WAVE, experiment, started

from ssl_audio.encoders import Wav2Vec2
from ssl_audio.methods import HuBERT
from ssl_audio.quantise import nearest
from ssl_audio.signal.kaldi import mfcc
from ssl_audio.signal.masking import spans
from ssl_audio.train import split

METHOD = dataclasses.replace(METHODS["HuBERT"]["method"], dropout=0.0)


def waves(b=4, seed=0):
    """Noise whose colour and level change from one 50 ms to the next."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((b, 2000)) * rng.uniform(0.01, 0.3, (b, 5)).repeat(400, 1)
    slow = np.cumsum(x, 1) * 0.1
    return jnp.asarray(
        np.where(rng.random((b, 5)).repeat(400, 1) < 0.5, x, slow).reshape(b, 25, 80), jnp.float32
    )


@pytest.fixture(scope="module")
def made():
    """Before and after the looks: (nothing, first, second) states; the jitted loss and its gradients."""
    chosen = experiment("HuBERT", method=METHOD)
    graph, state = started(chosen)
    merge = lambda s: nnx.merge(graph, s.params, s.frozen, s.rest)

    @jax.jit
    def refit(state, key):
        net = merge(state)
        rows = METHOD.gather(net, (jnp.concatenate([waves(seed=1), waves(seed=2)]),), {}, key)
        METHOD.refit(net, rows, key)
        _, params, frozen, rest = split(net)
        return state.replace(params=params, frozen=frozen, rest=rest)

    @jax.jit
    def loss(state, x):
        of = lambda p, f: METHOD.loss(nnx.merge(graph, p, f, state.rest), (x,), {}, jax.random.key(0))
        (value, logs), grads = jax.value_and_grad(of, (0, 1), has_aux=True)(state.params, state.frozen)
        net = merge(state)
        first = nearest(METHOD.cepstra(net.encoder, x, 24), net.centres.first[...])
        later = nearest(METHOD.features(net.teacher, x), net.centres.features[...])
        return value, logs, grads, (first, later)

    one = refit(state, jax.random.key(0))
    moved = jax.tree.map(lambda x: 0.9 * x + 0.01, one.params)  # some training
    return (state, one, refit(one.replace(params=moved), jax.random.key(1))), loss


def perplexity(label, codes):
    counts = np.bincount(np.asarray(label), minlength=codes) / len(label)
    return np.exp(-np.sum(counts * np.log(counts + 1e-10)))


def test_logits_are_cosines_of_the_stage_clusters():
    b, n = 4, 24
    rng = np.random.default_rng(0)
    guess = rng.standard_normal((b, n, METHOD.width)).astype(np.float32)
    names = rng.standard_normal((METHOD.first + METHOD.codes, METHOD.width)).astype(np.float32)
    for later, chosen in ((False, slice(METHOD.first)), (True, slice(METHOD.first, None))):
        found = np.asarray(METHOD.logits(jnp.asarray(guess), jnp.asarray(names), jnp.asarray(later)))
        length = np.linalg.norm(guess, axis=-1)[..., None] * np.linalg.norm(names[chosen], axis=-1)
        expected = guess @ names[chosen].T / length / METHOD.temperature
        np.testing.assert_allclose(found[..., chosen], expected, rtol=1e-4, atol=1e-4)
        assert np.isinf(found).sum() == found.size - expected.size


def test_loss_is_the_cross_entropy_of_masked_tokens(made):
    """Of the own cluster, the mean over masked tokens; and the features' size times its weight."""
    (_, state, _), loss = made
    value, logs, _, (label, _) = loss(state, waves())
    chosen = experiment("HuBERT", method=METHOD)
    net = nnx.merge(started(chosen)[0], state.params, state.frozen, state.rest)

    @jax.jit
    def logits(x):
        key = jax.random.split(jax.random.key(0), 3)[0]
        tokens = net.encoder.cut(x)
        mask = spans(key, 4, 24, max(1, round(METHOD.start * 24)), METHOD.span)
        tokens = jnp.where(mask[..., None], net.token[...][None, None], tokens)
        guess = net.guess(net.encoder.norm(net.encoder.layers(tokens)[-1]))
        return METHOD.logits(guess, net.names[...], jnp.asarray(False)), mask

    found, mask = (np.asarray(x) for x in logits(waves()))
    found, label = found[..., : METHOD.first][mask], np.asarray(label).reshape(4, 24)[mask]
    each = np.log(np.exp(found).sum(-1)) - found[np.arange(len(label)), label]
    assert mask.any(1).all() and not mask.all()
    np.testing.assert_allclose(value, each.mean() + METHOD.penalty * logs["feature_size"], rtol=1e-4)
    np.testing.assert_allclose(logs["accuracy"], (found.argmax(-1) == label).mean(), rtol=1e-5)


def test_labels_are_of_the_middle_of_the_token():
    """At 16 kHz every other 10 ms frame, as the published label rate of 100 for 50 tokens a second has it."""
    net = nnx.eval_shape(lambda: Wav2Vec2().build(160, rngs=nnx.Rngs(0)))
    n = net.steps(100)
    place = (np.arange(n) * net.stride + (net.field - 400) // 2) // 160
    np.testing.assert_array_equal(place, 2 * np.arange(n))
    x = 0.1 * np.random.default_rng(0).standard_normal((1, 16_000)).astype(np.float32)
    c = np.asarray(mfcc(jnp.asarray(x), 16_000, use_energy=False))[0]

    def slope(c):  # least squares through five frames, the outer ones repeated
        c = np.pad(c, ((2, 2), (0, 0)), "edge")
        return sum(i * (c[2 + i : len(c) - 2 + i] - c[2 - i : len(c) - 2 - i]) for i in (1, 2)) / 10

    expected = np.concatenate([c, slope(c), slope(slope(c))], 1)[2 * np.arange(n)]
    found = jax.jit(lambda x: HuBERT().cepstra(net, x, n))(jnp.asarray(x).reshape(1, 100, 160))
    np.testing.assert_allclose(found[3:-3], expected[3:-3], rtol=1e-3, atol=1e-3)


def test_first_stage_learns_cepstra_and_second_features(made):
    (_, one, two), loss = made
    for state, codes, mine, other, place in (
        (one, METHOD.first, slice(METHOD.first), slice(METHOD.first, None), 0),
        (two, METHOD.codes, slice(METHOD.first, None), slice(METHOD.first), 1),
    ):
        value, logs, (grads, teacher), labels = loss(state, waves())
        names = np.asarray(grads["names"])
        assert np.isfinite(value) and names[mine].any() and not names[other].any()
        used = perplexity(labels[place], codes)
        np.testing.assert_allclose(logs["target_perplexity"], used, rtol=1e-3)
        np.testing.assert_allclose(logs["target_std"], np.log(used) / np.log(codes), rtol=1e-3)
        assert used > 2 and not any(np.any(g) for g in jax.tree.leaves(teacher))
        assert all(np.any(g) for g in jax.tree.leaves(grads["encoder"]))
    same = lambda a, b: all(jax.tree.leaves(jax.tree.map(np.array_equal, a, b)))
    assert same(one.rest["centres"]["first"], two.rest["centres"]["first"])
    assert not np.any(one.rest["centres"]["features"]) and np.any(two.rest["centres"]["features"])
    assert same(two.frozen["teacher"], two.params["encoder"]) and int(two.rest["refits"]) == 2
    # the teacher stands still while the encoder moves
    moved = two.replace(params=jax.tree.map(lambda x: x + 0.1, two.params))
    np.testing.assert_array_equal(loss(moved, waves())[3][1], loss(two, waves())[3][1])


def test_one_label_alarms(made):
    """Silence, or no look yet: all is guessed right before long, and target_std is 0."""
    (none, one, _), loss = made
    assert loss(one, waves())[1]["target_std"] > 0.3
    for logs in (loss(one, jnp.zeros((4, 25, 80)))[1], loss(none, waves())[1]):
        np.testing.assert_allclose(logs["target_std"], 0, atol=1e-3)
        np.testing.assert_allclose(logs["target_perplexity"], 1, rtol=1e-3)


def test_looks_before_the_first_step_and_before_the_stage():
    assert [HuBERT(stage=7, looks=3).refits(s) for s in range(9)] == [3, 0, 0, 0, 0, 0, 0, 3, 0]
    assert [HuBERT(stage=0, looks=3).refits(s) for s in range(3)] == [3, 0, 0]


def test_refusals():
    with pytest.raises(ValueError, match="RawFrames"):
        METHOD.build(CONV.build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="no block"):
        dataclasses.replace(METHOD, depth=2).build(WAVE.build(80, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))
