import numpy as np
import pytest
import scipy.stats

from ssl_audio.evaluate.stats import bootstrap, by_group, holm, means, paired, permutation, pooled, weighted


def test_coverage_of_the_clustered_interval():
    """Recordings with their own level: the interval holds the truth 95 times in 100, a naive one far less."""
    rng = np.random.default_rng(0)
    inside = naive = 0
    for trial in range(400):
        size = rng.integers(1, 8, 80)
        groups = np.repeat(np.arange(80), size)
        values = rng.standard_normal(80)[groups] + 0.5 * rng.standard_normal(len(groups))
        low, high = bootstrap(values, groups, 400, trial)
        inside += low <= 0 <= high
        low, high = bootstrap(values, np.arange(len(groups)), 400, trial)
        naive += low <= 0 <= high
    assert 0.92 <= inside / 400 <= 0.98
    assert naive / 400 < 0.8


def test_single_clip_groups_give_the_textbook_error():
    values = np.random.default_rng(0).standard_normal(400)
    draws = means(*by_group(values, np.arange(400)), 4000)
    assert draws.std() == pytest.approx(values.std() / 20, rel=0.05)
    assert draws.mean() == pytest.approx(values.mean(), abs=0.005)


def test_draws_are_ratios_of_whole_groups():
    values, groups = np.array([1.0, 1, 1, 0]), np.array(["a", "a", "a", " b"])
    assert set(np.round(means(*by_group(values, groups), 200), 6)) == {0.0, 0.75, 1.0}


def test_a_function_of_the_seed_and_not_of_the_order():
    rng = np.random.default_rng(0)
    values, groups = rng.standard_normal(100), rng.integers(20, size=100).astype(str)
    assert (
        bootstrap(values, groups, seed=1)
        == bootstrap(values, groups, seed=1)
        != bootstrap(values, groups, seed=2)
    )
    order = rng.permutation(100)
    assert bootstrap(values[order], groups[order]) == pytest.approx(bootstrap(values, groups))


def test_paired_knows_that_the_clips_are_the_same():
    rng = np.random.default_rng(0)
    hard = rng.random(300) < 0.5
    a, b = hard.copy(), hard.copy()
    b[:15] = False
    groups = np.arange(300)
    difference, low, high = paired(a, b, groups)
    assert difference == pytest.approx(a.mean() - b.mean())
    assert 0 < low < difference < high
    assert high - low < 0.5 * np.subtract(*bootstrap(a, groups)[::-1])
    assert paired(a, a, groups) == (0, 0, 0)
    assert paired(b, a, groups) == pytest.approx((-difference, -high, -low))


def test_pooled_is_the_mean_over_seeds():
    rng = np.random.default_rng(0)
    a, b, groups = rng.random((3, 200)) < 0.7, rng.random((3, 200)) < 0.5, np.arange(200) // 4
    seeds = [by_group(x.astype(float) - y, groups) for x, y in zip(a, b, strict=True)]
    difference, low, high = pooled(np.stack([total for total, _ in seeds]), seeds[0][1])
    assert difference == pytest.approx(a.mean() - b.mean()) and low < difference < high
    one = pooled(seeds[0][0][None], seeds[0][1])
    assert one == pytest.approx(paired(a[0], b[0], groups))
    # seeds differ by luck, which shrinks when they are averaged
    assert high - low < one[2] - one[1]


def test_one_group_is_refused():
    with pytest.raises(ValueError, match="two or more"):
        bootstrap(np.ones(5), np.full(5, "a"))


@pytest.mark.parametrize("count", [6, 40])  # all changes of signs, and some drawn
def test_permutation_is_scipys(count):
    rng = np.random.default_rng(count)
    groups = rng.integers(count, size=300)
    a, b = rng.random(300) < 0.6, rng.random(300) < 0.52
    total, _ = by_group(a.astype(float) - b, groups)
    mean = lambda x, y, axis: np.mean(x - y, axis)
    outside = scipy.stats.permutation_test(
        (total, np.zeros(count)), mean, permutation_type="samples", n_resamples=20_000, rng=rng
    )
    assert permutation(a, b, groups) == pytest.approx(outside.pvalue, abs=1e-9 if count == 6 else 0.015)
    assert permutation(b, a, groups) == permutation(a, b, groups)
    assert permutation(a, a, groups) == 1


def test_permutation_cries_wolf_as_often_as_it_says():
    """Without a difference 5 of 100 are below 0.05, though clips of a group go together."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 10)
    level = lambda: (rng.standard_normal(30)[groups] + 0.5 * rng.standard_normal(300) > 0).astype(float)
    p = np.array([permutation(level(), level(), groups, 400, trial) for trial in range(500)])
    assert 0.03 <= (p <= 0.05).mean() <= 0.08
    assert permutation(np.ones(6), np.zeros(6), np.arange(6)) == 2 / 64


def test_holm_of_a_worked_example():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])).tolist() == [1, 1]


def test_a_weighted_mean_has_the_weights_drawn_too():
    """Where all values are one so is every draw; with equal weights it is the plain bootstrap."""
    groups, values = np.repeat(np.arange(20), 5), np.random.default_rng(0).random(100)
    heavy = np.where(np.arange(100) < 90, 0.5, 5.0)
    assert weighted(np.ones(100), heavy, groups) == (1.0, 1.0)
    np.testing.assert_allclose(weighted(values, np.full(100, 3.0), groups), bootstrap(values, groups))
    low, high = weighted(values, heavy, groups)
    assert low < np.average(values, weights=heavy) < high
