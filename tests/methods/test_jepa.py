"""JEPA: from what the context encoder sees, the teacher's features at the places asked for."""

import dataclasses

import jax
import jax.numpy as jnp
import latent
import numpy as np
import pytest
from latent import patch_sums, std
from toys import TALL


@pytest.fixture(scope="module")
def parts():
    return latent.observed("JEPA", "predict")


def test_no_gradient_reaches_the_teacher(parts):
    latent.no_gradient_reaches_the_teacher(parts)


def test_teacher_is_the_average_in_closed_form(parts):
    latent.teacher_is_the_average_in_closed_form(parts)


def test_without_a_teacher_the_targets_collapse_and_the_alarm_tells(store):
    latent.without_a_teacher_the_alarm_goes("JEPA", store)


def toy_predictor(parts, g=2):
    """Arguments of `predict` with random tokens, 3 of 5 context places true and 2 of 3 of each target."""
    _, net, _, _ = parts
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 5, 16)), jnp.float32)
    context = jnp.asarray([[0, 3, 7, 8, 9], [1, 2, 4, 10, 20]], jnp.int32)
    seen = jnp.asarray([[1, 1, 1, 0, 0]] * 2, bool)
    targets = jnp.asarray([[[5, 6, 11], [12, 13, 14]]] * 2, jnp.int32)[:, :g]
    return net, x, context, seen, targets, jnp.asarray([[[1, 1, 0]] * g] * 2, bool), 24


def test_predictor_sees_the_context_and_one_target_at_a_time(parts):
    made = parts[0]
    net, x, context, seen, targets, aimed, n = toy_predictor(parts)
    guess = np.asarray(made.predict(net, x, context, seen, targets, aimed, n))
    unseen = made.predict(net, x.at[:, 3:].set(99.0), context, seen, targets, aimed, n)
    np.testing.assert_allclose(unseen[:, :, :2], guess[:, :, :2], rtol=1e-4, atol=1e-5)
    moved = made.predict(net, x, context, seen, targets.at[:, 1].add(3), aimed, n)
    np.testing.assert_allclose(moved[:, 0], guess[:, 0], rtol=1e-4, atol=1e-5)
    assert np.abs(moved[:, 1] - guess[:, 1]).max() > 1e-3
    told = made.predict(net, x.at[:, 0].add(1.0), context, seen, targets, aimed, n)
    assert (np.abs(told - guess)[:, :, :2].max((2, 3)) > 1e-4).all()


def test_what_is_hidden_reaches_the_teacher_only(parts):
    _, _, spec, look = parts
    (_, (logs, calls)), (_, _, grad) = look(spec)
    student, predictor, teacher = calls
    _, context, seen, targets, aimed, _ = predictor["args"]
    visible, hidden = np.zeros((4, 24), bool), np.zeros((4, 24), bool)
    np.put_along_axis(visible, np.asarray(context), np.asarray(seen), 1)
    np.put_along_axis(hidden, np.asarray(targets)[:, 0], np.asarray(aimed)[:, 0], 1)
    np.testing.assert_array_equal(visible, ~hidden)
    assert len(set(hidden.sum(1))) == 1 and 9 <= hidden.sum(1)[0] <= 15
    np.testing.assert_array_equal(patch_sums(grad, TALL.patch) > 0, visible)
    np.testing.assert_allclose(logs["context"], visible.mean(), rtol=1e-6)
    poked = np.array(spec)
    for i in range(4):
        t = np.flatnonzero(hidden[i])[0]
        poked[i, 2 * (t // 2), 8 * (t % 2)] += 5
    again = look(jnp.asarray(poked))[0][1][1]
    keep = np.asarray(seen)
    np.testing.assert_array_equal(np.asarray(again[0]["out"][-1])[keep], np.asarray(student["out"][-1])[keep])
    assert (np.abs(again[2]["out"][-1] - teacher["out"][-1]).max((1, 2)) > 1e-3).all()


def test_loss_is_the_distance_of_unit_vectors(parts):
    _, net, spec, look = parts
    (loss, (_, (_, predictor, teacher))), _ = look(spec)
    targets, aimed = (np.asarray(a)[:, 0] for a in predictor["args"][3:5])
    whole = std(net.teacher.norm(teacher["out"][-1]), -1, 1e-6)
    target = np.take_along_axis(whole, targets[..., None], 1)
    guess = np.asarray(predictor["guess"], np.float64)[:, 0]
    target, guess = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (target, guess))
    np.testing.assert_allclose(loss, ((target - guess) ** 2).sum(-1)[aimed].mean(), rtol=1e-5)


def test_rectangles_are_apart_from_the_context(parts):
    made = dataclasses.replace(parts[0], blocks=3)
    for i in range(5):
        context, seen, targets, aimed = (np.asarray(a) for a in made.masks(jax.random.key(i), 6, (16, 8)))
        visible, hidden = np.zeros((6, 128), bool), np.zeros((6, 3, 128), bool)
        np.put_along_axis(visible, context, seen, 1)
        np.put_along_axis(hidden, targets, aimed, 2)
        np.testing.assert_array_equal(visible, ~hidden.any(1))
        assert (hidden.sum(2) == aimed.sum(2)).all() and 12 <= hidden.sum(2).min() <= hidden.sum(
            2
        ).max() <= 30
