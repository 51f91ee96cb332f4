import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_audio.signal import masking
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


# --- spans, blocks, rectangles ---

PARTS = {
    "span_mask": lambda key, b: masking.span_mask(key, b, 40, 0.6, 5),
    "block_mask": lambda key, b: masking.block_mask(key, b, (10, 4), 20, 3),
    "inverse_block_mask": lambda key, b: masking.inverse_block_mask(key, b, (10, 4), 10, 3, 0.1),
}


@pytest.mark.parametrize("name", PARTS)
def test_masks_part_the_tokens_equally_in_every_clip(name):
    kept, hidden, restore = PARTS[name](jax.random.key(0), 7)
    assert kept.shape[1] == {"span_mask": 40 - masking.spanned(40, 5, 5), "block_mask": 20}.get(name, 10)
    assert (np.diff(kept, axis=1) > 0).all() and (np.diff(hidden, axis=1) > 0).all()
    both = np.concatenate([kept, hidden], axis=1)
    np.testing.assert_array_equal(
        np.take_along_axis(both, np.asarray(restore), 1), np.tile(np.arange(40), (7, 1))
    )
    again, _, _ = jax.jit(PARTS[name], static_argnums=1)(jax.random.key(0), 7)
    np.testing.assert_array_equal(kept, again)
    assert len(np.unique(kept, axis=0)) == 7
    assert (np.asarray(PARTS[name](jax.random.key(1), 7)[0]) != np.asarray(kept)).any()


def test_spans_cover_what_their_starts_say():
    covered = np.asarray(masking.spans(jax.random.key(0), 500, 20, 3, 4))
    assert covered.sum(1).min() >= 6 and covered.sum(1).max() == 12  # distinct starts; three apart
    runs = np.diff(np.pad(covered, ((0, 0), (1, 1))).astype(int), axis=1)
    starts, ends = np.nonzero(runs == 1), np.nonzero(runs == -1)
    assert (ends[1] - starts[1] >= 4).all()
    # all 17 places are alike
    share = np.bincount(
        np.asarray(jnp.argmax(masking.spans(jax.random.key(1), 17000, 20, 1, 4), 1)), minlength=17
    )
    np.testing.assert_allclose(share / 17000, 1 / 17, atol=4 * 0.0018)


def test_spanned_is_the_mean_of_what_spans_cover():
    for n, count, length in ((20, 3, 4), (100, 6, 10), (9, 2, 4)):
        mean = np.asarray(masking.spans(jax.random.key(n), 4000, n, count, length)).sum(1).mean()
        assert abs(masking.spanned(n, count, length) - mean) < 0.55
    assert masking.spanned(200, 13, 10) in range(97, 101)  # 0.65 of the steps, less what overlaps


def test_span_mask_hides_whole_spans_but_for_what_evens_the_counts():
    _, hidden, _ = masking.span_mask(jax.random.key(0), 200, 100, 0.6, 10)
    mask = np.zeros((200, 100), bool)
    np.put_along_axis(mask, np.asarray(hidden), True, 1)
    inside = mask[:, 1:-1] & mask[:, :-2] & mask[:, 2:]
    assert inside.sum() / mask.sum() > 0.5  # independent tokens at this share: 0.2


def test_blocks_lie_together_and_keep_is_exact():
    for draw, hide in ((masking.block_mask, True), (masking.inverse_block_mask, False)):
        kept, hidden, _ = draw(jax.random.key(0), 100, (16, 8), 64, 4)
        mask = np.zeros((100, 128), bool)
        np.put_along_axis(mask, np.asarray(hidden if hide else kept), True, 1)
        grid = mask.reshape(100, 16, 8)
        pairs = (grid[:, 1:] == grid[:, :-1]).mean()
        assert pairs > 0.65, (draw, pairs)  # independent patches: 0.5
    one, _, _ = masking.inverse_block_mask(
        jax.random.key(3), 50, (12, 12), 9, 3
    )  # one block of exactly that size
    row, column = np.asarray(one) // 12, np.asarray(one) % 12
    whole = (np.ptp(row, axis=1) == 2) & (np.ptp(column, axis=1) == 2)
    assert 0.4 < whole.mean()  # those whose centre isn't at an edge: (10 / 12)²


def test_share_mask_draws_one_count_for_all():
    counts = set()
    for i in range(40):
        mask = np.asarray(masking.share_mask(jax.random.key(i), 6, 20, 0.4, 0.6))
        assert len(set(mask.sum(1))) == 1 and len(np.unique(mask, axis=0)) > 1
        counts.add(int(mask.sum(1)[0]))
    assert counts == {8, 9, 10, 11, 12}
    share = np.asarray(masking.share_mask(jax.random.key(0), 8000, 10, 0.5, 0.5)).mean(0)
    np.testing.assert_allclose(share, 0.5, atol=4 * 0.0056)


def test_rectangles_are_rectangles_within_their_bounds():
    for grid in ((16, 8), (40, 3), (12, 1)):
        fewest, most = masking.sizes(grid)
        seen = set()
        draw = jax.jit(masking.rectangles, static_argnums=(1, 2, 3))
        for i in range(20):
            mask = np.asarray(draw(jax.random.key(i), 5, grid, 4)).reshape(20, *grid)
            high, long = mask.any(1).sum(1), mask.any(2).sum(1)
            assert (mask.sum((1, 2)) == high * long).all()
            assert len(set(high)) == len(set(long)) == 1
            assert fewest <= high[0] * long[0] <= most
            seen.add(high[0] * long[0])
        assert len(seen) > 1
    # a place is as likely as another: the centre of a grid lies in more rectangles than its corner
    mask = np.asarray(masking.rectangles(jax.random.key(0), 2000, (16, 8), 2)).mean((0, 1)).reshape(16, 8)
    np.testing.assert_allclose(mask, mask[::-1], atol=0.05)
    np.testing.assert_allclose(mask, mask[:, ::-1], atol=0.05)


def test_time_inverse_mask_keeps_context_and_targets_apart():
    context, targets = (np.asarray(m) for m in masking.time_inverse_mask(jax.random.key(0), 60, 200))
    assert context.shape == (60, 200) and targets.shape == (60, 4, 200)
    assert not (context[:, None] & targets).any()
    assert (context.mean(1) >= 0.1).all()
    assert (targets.sum(2) <= 50).all() and (targets.sum(2) >= 14).all()
    np.testing.assert_allclose(targets.mean(), 1 - (1 - 10 / 191) ** 5, atol=0.03)
    assert 0.12 < context.mean() < 0.35


def test_pick_takes_what_is_there_in_order():
    mask = jnp.asarray([[0, 1, 0, 1, 1], [0, 0, 0, 0, 1], [1, 1, 1, 1, 1]], bool)
    place, there = masking.pick(mask, 3)
    np.testing.assert_array_equal(place, [[1, 3, 4], [4, 0, 1], [0, 1, 2]])
    np.testing.assert_array_equal(there, [[1, 1, 1], [1, 0, 0], [1, 1, 1]])


def test_masks_refuse_what_does_not_fit():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="places in 8 steps"):
        masking.span_mask(key, 2, 8, 0.5, 10)
    with pytest.raises(ValueError, match="less than a block"):
        masking.inverse_block_mask(key, 2, (4, 4), 2, 3)
    with pytest.raises(ValueError, match="cannot keep 0 of 16"):
        masking.block_mask(key, 2, (4, 4), 0, 2)
    with pytest.raises(ValueError, match="must rise"):
        masking.share_mask(key, 2, 8, 0.6, 0.4)
    with pytest.raises(ValueError, match="cannot pick 9 of 8"):
        masking.pick(jnp.ones((2, 8), bool), 9)
