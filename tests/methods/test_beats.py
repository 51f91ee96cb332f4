"""BEATs: labels of hidden patches, the phases and what each of them moves."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import METHODS, VIT, experiment, started

from ssl_audio.audio.batches import Batches
from ssl_audio.encoders.layers import patches
from ssl_audio.signal.masking import random_mask
from ssl_audio.train import make_refit, make_step, split

KEY, MADE = jax.random.key(3), METHODS["BEATs"]["method"]
SPEC = jnp.asarray(np.random.default_rng(0).standard_normal((4, 32, 16)), jnp.float32)


@pytest.fixture(scope="module")
def drawn():
    return split(MADE.build(VIT.build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1)))


@pytest.fixture(scope="module")
def value(drawn):
    """(params, frozen, rest, spec) -> (loss, (logs, rest)), gradients by params and frozen; compiled once."""
    graph = drawn[0]

    def loss(params, frozen, rest, spec):
        net = nnx.merge(graph, params, frozen, rest)
        loss, logs = MADE.loss(net, (spec,), {}, KEY)
        return loss, (logs, split(net)[3])

    return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))


def at(phase, drawn):
    _, params, frozen, rest = drawn
    return params, frozen, {**rest, "phase": jnp.int32(phase)}


def norm(tree):
    return sum(float(jnp.sum(g**2)) for g in jax.tree.leaves(tree))


def softmax_loss(net, chosen):
    """Cross-entropy at the hidden patches, in numpy, from the student's own parts."""
    keep, hidden, _ = (np.asarray(x) for x in random_mask(KEY, 4, 8, 4))
    x = np.asarray(net.student.encoder(SPEC, keep=jnp.asarray(keep)))
    full = np.broadcast_to(np.asarray(net.student.token[...]), (4, 8, 16)).copy()
    np.put_along_axis(full, keep[..., None], x, 1)
    place = np.stack(np.meshgrid(np.arange(4), np.arange(2), indexing="ij"), -1).reshape(-1, 2)
    logits = np.asarray(net.student.predict(jnp.asarray(full), place))
    logits = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    logits = np.take_along_axis(logits, hidden[..., None], 1)
    return -np.take_along_axis(logits, np.take_along_axis(chosen, hidden, 1)[..., None], 2).mean()


def closest(z, codes):
    z, codes = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (np.asarray(z), np.asarray(codes)))
    return ((z[..., None, :] - codes) ** 2).sum(-1).argmin(-1)


def test_labels_and_loss_of_both_iterations(drawn, value):
    net = nnx.merge(drawn[0], *at(0, drawn))
    random = closest(np.asarray(patches(SPEC, (8, 8))) @ np.asarray(net.project[...]), net.random[...])
    x = net.tokenizer.encoder(SPEC)
    z = net.tokenizer.down(jnp.tanh(net.tokenizer.up(x)))
    for phase, chosen in ((0, random), (2, closest(z, net.codebook[...]))):
        (loss, (logs, rest)), (grads, frozen) = value(*at(phase, drawn), SPEC)
        np.testing.assert_allclose(loss, softmax_loss(net, chosen), rtol=1e-4)
        share = np.bincount(chosen.ravel(), minlength=8) / chosen.size
        np.testing.assert_allclose(
            logs["perplexity"], np.exp(-(share * np.log(share + 1e-10)).sum()), rtol=1e-4
        )
        assert norm(grads["student"]) > 0 and norm(grads["tokenizer"]) == 0 == norm(frozen)
        np.testing.assert_array_equal(rest["codebook"], drawn[3]["codebook"])


def test_distillation_is_the_authors_formula(drawn, value):
    """1 - cos to the teacher + 30 mean squared distances of output and code; codes move by average."""
    net = nnx.merge(drawn[0], *at(1, drawn))
    (loss, (logs, rest)), (grads, frozen) = value(*at(1, drawn), SPEC)
    z = np.asarray(net.tokenizer.down(jnp.tanh(net.tokenizer.up(net.tokenizer.encoder(SPEC)))))
    z = z / np.linalg.norm(z, axis=-1, keepdims=True)
    codes = np.asarray(net.codebook[...])
    chosen = closest(z, codes)
    place = np.stack(np.meshgrid(np.arange(4), np.arange(2), indexing="ij"), -1).reshape(-1, 2)
    guess, wanted = (
        np.asarray(net.tokenizer.estimate(jnp.asarray(codes[chosen]), place)),
        np.asarray(net.teacher.encoder(SPEC)),
    )
    alike = (guess * wanted).sum(-1) / np.linalg.norm(guess, axis=-1) / np.linalg.norm(wanted, axis=-1)
    np.testing.assert_allclose(loss, 1 - alike.mean() + 30 * ((z - codes[chosen]) ** 2).mean(), rtol=1e-4)
    np.testing.assert_allclose(logs["teacher_cosine"], alike.mean(), rtol=1e-3)
    moved = codes.copy()
    for i in np.unique(chosen):
        mean = z[chosen == i].mean(0)
        new = 0.9 * codes[i] + 0.1 * mean / np.linalg.norm(mean)
        moved[i] = new / np.linalg.norm(new)
    np.testing.assert_allclose(rest["codebook"], moved, atol=1e-5)
    assert norm(grads["student"]) == 0 == norm(frozen)
    for name in ("encoder", "up", "down", "estimate"):  # straight through the quantiser
        assert norm(grads["tokenizer"][name]) > 0


def test_hidden_patches_do_not_reach_the_student(drawn, monkeypatch):
    net = nnx.merge(drawn[0], *at(0, drawn))
    keep, hidden, _ = (np.asarray(x) for x in random_mask(KEY, 4, 8, 4))
    kind, seen = type(net.student.encoder), []
    inner = kind.__call__
    monkeypatch.setattr(kind, "__call__", lambda *a, **k: seen.append((k, inner(*a, **k))) or seen[-1][1])

    def poke(tokens):
        spec = np.array(SPEC)
        for i, t in enumerate(tokens):
            spec[i, 8 * (t // 2) + 3, 8 * (t % 2) + 2] += 5
        return jnp.asarray(spec)

    found = []
    for spec in (SPEC, poke(hidden[:, 0]), poke(keep[:, 0])):
        net.student.encoder(spec, keep=jnp.asarray(keep))
        found.append(np.asarray(seen[-1][1]))
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2])
    seen.clear()
    jax.eval_shape(lambda s: MADE.loss(nnx.merge(drawn[0], *at(0, drawn)), (s,), {}, KEY)[0], SPEC)
    assert [x.shape for k, x in seen if "keep" in k] == [(4, 4, 16)]  # only the visible ones, in the loss too


def test_refits_move_what_their_phase_needs(drawn):
    graph, params, frozen, rest = drawn
    trained = jax.tree.map(lambda x: x + 1, params)
    net = nnx.merge(graph, trained, frozen, rest)
    rows = jnp.asarray(np.random.default_rng(1).standard_normal((64, 8)), jnp.float32)
    MADE.refit(net, rows, KEY)
    pure = lambda part: nnx.as_pure(nnx.state(part, nnx.Param))
    same = lambda a, b: jax.tree.map(np.testing.assert_array_equal, a, b)
    same(pure(net.teacher.encoder), trained["student"]["encoder"])
    same(pure(net.student), trained["student"])
    same(pure(net.tokenizer), params["tokenizer"])  # afresh
    np.testing.assert_allclose(jnp.linalg.norm(net.codebook[...], axis=1), 1, rtol=1e-5)
    codebook = np.asarray(net.codebook[...])
    nnx.update(net.tokenizer, jax.tree.map(lambda x: x + 2, params["tokenizer"]))
    MADE.refit(net, rows[::-1], KEY)
    same(pure(net.student), params["student"])  # afresh, not from the teacher
    same(pure(net.teacher.encoder), trained["student"]["encoder"])
    same(pure(net.tokenizer), jax.tree.map(lambda x: x + 2, params["tokenizer"]))
    np.testing.assert_array_equal(net.codebook[...], codebook)
    assert int(net.phase[...]) == 2
    assert [MADE.refits(i) for i in (0, MADE.distil, MADE.again, MADE.again + 1)] == [0, 1, 1, 0]


def test_what_gives_the_labels_rests(drawn):
    """In the second iteration the optimiser's decay still shrinks the tokenizer: labels mustn't drift."""
    net = nnx.merge(drawn[0], *at(1, drawn))
    nnx.update(net.tokenizer, jax.tree.map(lambda x: x * 1.5 + 0.1, drawn[1]["tokenizer"]))
    before = nnx.as_pure(nnx.state(net.tokenizer, nnx.Param))
    MADE.refit(net, jnp.ones((16, 8)), KEY)
    teacher = nnx.as_pure(nnx.state(net.teacher.tokenizer, nnx.Param))
    jax.tree.map(np.testing.assert_array_equal, teacher, before)
    loss = MADE.loss(net, (SPEC,), {}, KEY)[0]
    nnx.update(net.tokenizer, jax.tree.map(lambda x: -x, before))
    np.testing.assert_array_equal(MADE.loss(net, (SPEC,), {}, KEY)[0], loss)
    nnx.update(net.teacher.tokenizer, jax.tree.map(lambda x: -x, before))
    assert MADE.loss(net, (SPEC,), {}, KEY)[0] != loss


def test_too_few_patches_for_the_codes_are_told_at_once(drawn):
    few = dataclasses.replace(MADE, codes=4 * 8 * 2 + 1, looks=2)
    assert [few.refits(i) for i in (0, few.distil, few.again)] == [0, 2, 1]
    net = few.build(VIT.build(16, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    with pytest.raises(ValueError, match=r"65 codes of 64 patches; raise looks \(2\)"):
        few.loss(net, (SPEC,), {}, KEY)


def test_bfloat16(drawn):
    low = lambda tree: jax.tree.map(lambda x: x.astype(jnp.bfloat16), tree)
    params, frozen, rest = at(0, drawn)

    def loss(spec):
        return MADE.loss(nnx.merge(drawn[0], low(params), low(frozen), rest), (spec,), {}, KEY)

    with jax.numpy_dtype_promotion("standard"):  # flax's LayerNorm promotes
        out = jax.eval_shape(loss, SPEC.astype(jnp.bfloat16))
    for x in jax.tree.leaves(out):
        assert x.dtype == jnp.float32 and x.shape == ()


def test_refusals():
    encoder = VIT.build(16, rngs=nnx.Rngs(0))
    for changes, said in (({"hide": 1.0}, "between 0 and 1"), ({"distil": 50, "again": 40}, "order")):
        with pytest.raises(ValueError, match=said):
            dataclasses.replace(MADE, **changes).build(encoder, rngs=nnx.Rngs(0))


@pytest.mark.nightly
def test_without_commitment_the_labels_collapse(store):
    """Nothing then holds the outputs near their codes: soon all share one, and the alarm sees it."""
    last = {}
    for commit in (0.0, MADE.commit):
        chosen = experiment("BEATs", method=dataclasses.replace(MADE, again=26, commit=commit))
        graph, state = started(chosen)
        state, step, refit = jax.device_put(state), make_step(chosen, graph), make_refit(chosen, graph)
        batches = Batches(store, samples=2400, batch=16, seed=0)
        for i in range(28):
            if chosen.method.refits(i):
                state = refit(state, [batches[i]])
            state, logs = step(state, batches[i])
        last[commit] = {k: float(v) for k, v in logs.items()}
    broken, intact = last[0.0], last[MADE.commit]
    assert broken["target_std"] < 0.05 and broken["perplexity"] < 1.2, broken
    assert intact["target_std"] > 0.1 and intact["perplexity"] > 1.5, intact
