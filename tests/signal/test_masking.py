import jax
import numpy as np
import pytest

from ssl_audio.signal.masking import random_mask


def test_kept_and_hidden_are_a_sorted_partition():
    kept, hidden, _ = random_mask(jax.random.key(0), 5, 12, 4)
    assert kept.shape == (5, 4) and hidden.shape == (5, 8)
    assert (np.diff(kept, axis=1) > 0).all() and (np.diff(hidden, axis=1) > 0).all()
    both = np.sort(np.concatenate([kept, hidden], axis=1), axis=1)
    np.testing.assert_array_equal(both, np.broadcast_to(np.arange(12), (5, 12)))


def test_restore_puts_the_tokens_back():
    tokens = np.random.default_rng(0).normal(size=(3, 10))
    kept, hidden, restore = random_mask(jax.random.key(1), 3, 10, 3)
    parts = [np.take_along_axis(tokens, np.asarray(index), axis=1) for index in (kept, hidden)]
    back = np.take_along_axis(np.concatenate(parts, axis=1), np.asarray(restore), axis=1)
    np.testing.assert_array_equal(back, tokens)


def test_every_token_is_kept_equally_often():
    kept, _, _ = random_mask(jax.random.key(2), 8000, 10, 3)
    share = np.bincount(np.asarray(kept).ravel(), minlength=10) / 8000
    # binomial with p = 0.3: standard error 0.0051
    np.testing.assert_allclose(share, 0.3, atol=4 * 0.0051)


def test_clips_and_keys_differ_and_the_same_key_repeats():
    first, _, _ = random_mask(jax.random.key(3), 4, 50, 25)
    again, _, _ = jax.jit(random_mask, static_argnums=(1, 2, 3))(jax.random.key(3), 4, 50, 25)
    other, _, _ = random_mask(jax.random.key(4), 4, 50, 25)
    np.testing.assert_array_equal(first, again)
    assert (np.asarray(first) != np.asarray(other)).any()
    assert len(np.unique(first, axis=0)) == 4


def test_all_may_be_kept_but_not_none_or_more():
    kept, hidden, _ = random_mask(jax.random.key(0), 2, 6, 6)
    assert kept.shape == (2, 6) and hidden.shape == (2, 0)
    for keep in (0, 7):
        with pytest.raises(ValueError, match=f"cannot keep {keep} of 6"):
            random_mask(jax.random.key(0), 2, 6, keep)
