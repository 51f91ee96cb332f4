"""M2D: the online encoder sees visible patches, the teacher the hidden ones, and each nothing else."""

import jax.numpy as jnp
import latent
import numpy as np
import pytest
from flax import nnx
from latent import patch_sums, std
from toys import TALL

from ssl_audio.encoders.layers import positions, sincos


@pytest.fixture(scope="module")
def parts():
    return latent.observed("M2D", "predict")


def test_no_gradient_reaches_the_teacher(parts):
    latent.no_gradient_reaches_the_teacher(parts)


def test_teacher_is_the_average_in_closed_form(parts):
    latent.teacher_is_the_average_in_closed_form(parts)


def test_without_a_teacher_the_targets_collapse_and_the_alarm_tells(store):
    latent.without_a_teacher_the_alarm_goes("M2D", store)


def test_each_encoder_sees_its_own_patches_only(parts):
    _, _, spec, look = parts
    (_, (_, calls)), (_, _, grad) = look(spec)
    student, _, teacher = calls
    kept, hidden = np.asarray(student["keep"]), np.asarray(teacher["keep"])
    assert kept.shape == hidden.shape == (4, 12)
    np.testing.assert_array_equal(
        np.sort(np.concatenate([kept, hidden], 1), 1), np.tile(np.arange(24), (4, 1))
    )
    reached = patch_sums(grad, TALL.patch) > 0
    np.testing.assert_array_equal(reached, [np.isin(np.arange(24), row) for row in kept])
    for tokens, moved, still in ((hidden, teacher, student), (kept, student, teacher)):
        poked = np.array(spec)
        for i, t in enumerate(tokens[:, 0]):
            poked[i, 2 * (t // 2), 8 * (t % 2)] += 5
        other = {id(c): d for c, d in zip(calls, look(jnp.asarray(poked))[0][1][1], strict=True)}
        np.testing.assert_array_equal(still["out"][-1], other[id(still)]["out"][-1])
        assert (np.abs(moved["out"][-1] - other[id(moved)]["out"][-1]).max((1, 2)) > 1e-3).all()


def test_loss_is_the_distance_of_unit_vectors(parts):
    _, net, spec, look = parts
    (loss, (logs, (_, predictor, teacher))), _ = look(spec)
    target = std(net.teacher.norm(teacher["out"][-1]), -1, 1e-6)
    guess = np.asarray(predictor["guess"], np.float64)
    target, guess = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (target, guess))
    np.testing.assert_allclose(loss, ((target - guess) ** 2).sum(-1).mean(), rtol=1e-5)
    rows = target.reshape(-1, 16)
    np.testing.assert_allclose(logs["target_std"], rows.std(0).mean() * 4, rtol=1e-4)


def test_predictor_without_blocks_knows_the_place_only(parts):
    """What it says of a hidden patch then is a function of mask token and position."""
    made, net, _, _ = parts
    bare = nnx.clone(net)
    bare.blocks = nnx.List([])
    hidden = jnp.asarray([[1, 3], [0, 2]], jnp.int32)
    restore = jnp.asarray([[0, 2, 1, 3], [2, 0, 3, 1]], jnp.int32)
    seen = jnp.asarray(np.random.default_rng(0).standard_normal((2, 2, 16)), jnp.float32)
    guess = made.predict(bare, seen, hidden, restore)
    place = sincos(positions(2, 2, (1, 1)), 16)
    expected = bare.out(bare.norm(bare.token[...][None, None] + jnp.asarray(place)[hidden]))
    np.testing.assert_allclose(guess, expected, rtol=1e-4, atol=1e-5)
