"""Fine-tuning: few labels, drawn and used as told; it learns, and leaves the caller's state alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import experiment, same_bits, started

from ssl_audio.config import View
from ssl_audio.finetune import Finetune, few, finetune, programs
from ssl_audio.train import split


def test_few_takes_so_many_of_each_class_from_the_rows_given():
    labels = np.array(list("aaaaaabbbbcc"))
    rows = np.array([0, 1, 2, 3, 6, 7, 8, 9, 10])
    chosen = few(labels, rows, 3, seed=0)
    assert set(chosen) <= set(rows) and np.all(np.diff(chosen) > 0)
    assert {c: int((labels[chosen] == c).sum()) for c in "abc"} == {"a": 3, "b": 3, "c": 1}
    np.testing.assert_array_equal(chosen, few(labels, rows, 3, seed=0))
    assert any(not np.array_equal(chosen, few(labels, rows, 3, seed=s)) for s in range(1, 9))


@pytest.fixture(scope="module")
def tuned(store):
    """(predictions, their truth, the state before and after) of a short fine-tuning from random weights."""
    chosen = experiment("BYOLA")
    graph, before = started(chosen)
    state = jax.device_put(before)
    labels = store.values("label")
    train = few(labels, np.arange(len(store)), 4, seed=0)
    test = np.setdiff1d(np.arange(len(store)), train)[::-1]
    recipe = Finetune(steps=40, batch=16, rate=1e-2, encoder_rate=1.0)
    go = lambda **k: finetune(
        chosen, state, graph, store, labels, train, test, recipe=dataclasses.replace(recipe, **k)
    )
    return go, go(), labels[test], before, state


def test_it_learns_and_predicts_in_the_order_of_test(tuned):
    _, guess, truth, _, _ = tuned
    assert guess.shape == truth.shape
    assert np.mean(guess == truth) > 0.6  # six tones: chance is 1/6


def test_the_state_given_is_neither_changed_nor_donated(tuned):
    _, _, _, before, state = tuned
    assert same_bits(before, jax.device_get(state))


def test_without_steps_it_is_chance_and_the_same_seed_is_the_same(tuned):
    go, guess, truth, _, _ = tuned
    np.testing.assert_array_equal(go(), guess)
    assert np.mean(go(steps=1, rate=0.0) == truth) < 0.5


def test_what_fills_up_a_clip_is_not_heard_and_averages_reach_those_of_the_clips():
    """No view crops: noise behind a clip's end changes nothing. After 40 steps at 0 the averages of the last
    normalisation are those of the embeddings, which the test is normalised by."""
    chosen = experiment("MAE", views=(View(),))
    graph, state = started(chosen)
    net = nnx.merge(graph, *jax.device_put((state.params, state.frozen, state.rest)))
    body = nnx.clone(chosen.method.encoder(net))
    norm = nnx.BatchNorm(body.width, momentum=0.9, rngs=nnx.Rngs(0))
    parts = nnx.Dict(body=body, norm=norm, head=nnx.Linear(body.width, 2, rngs=nnx.Rngs(0)))
    graph, params, frozen, rest = split(parts)
    tx, step, _ = programs(chosen, Finetune(steps=40, rate=0.0), graph)
    wave = np.random.default_rng(0).integers(-9000, 9000, (8, 4800)).astype(np.int16)
    wave[:, 1600:2400] = 0  # a frame or a patch may reach beyond a clip's end
    valid, target = np.full(8, 1600, np.int32), np.arange(8) % 2
    padded = np.where(np.arange(4800) < 1600, wave, 0).astype(np.int16)
    found = []
    for sound in (wave, padded):
        own, opt = jax.tree.map(np.copy, rest), tx.init(params)
        for _ in range(40):
            _, own, opt = step(
                jax.tree.map(np.copy, params), own, opt, frozen, sound, valid, target, jax.random.key(0)
            )
        found.append(own["norm"])
    a, b = (jax.tree.leaves(each) for each in found)
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    frames = chosen.frontend.valid_frames(valid)
    x = np.asarray(body.embed(chosen.frontend(jnp.asarray(padded, jnp.float32) / 2**15), frames))
    np.testing.assert_allclose(found[1]["mean"], x.mean(0), atol=0.05 * abs(x).max())
