import numpy as np
import pytest
from scipy.stats import permutation_test

from csbench.report import statistics as stats


def test_weights_are_a_bootstrap_and_always_the_same():
    weights = stats.resampling_weights(50)
    assert weights.shape == (stats.RESAMPLES, 50)
    np.testing.assert_allclose(weights.sum(1), 1)
    np.testing.assert_array_equal(weights, stats.resampling_weights(50))
    assert weights.std(0).mean() == pytest.approx(np.sqrt(49 / 50**2 / 50), rel=0.05)


def test_weighted_means_leave_out_what_is_missing():
    errors = np.array([[1.0, 4.0, np.nan], [3.0, np.nan, np.nan]])
    weights = np.array([[0.5, 0.5], [0.25, 0.75], [0.0, 1.0]])
    expected = [[2.0, 4.0, np.nan], [2.5, 4.0, np.nan], [3.0, np.nan, np.nan]]
    np.testing.assert_array_equal(stats.weighted_means(weights, errors), expected)


M = np.array([10.0, 30.0, 100.0, 300.0, 1000.0])


def errors(rng: np.random.Generator, images: int, methods: int, scale: float = 1.0) -> np.ndarray:
    """Errors of alike methods, shape [methods, images, len(M)], skewed and correlated as real ones are: their mean is
    scale / M.
    """
    image, method = rng.gamma(2.0, 0.5, (1, images, 1)), rng.gamma(4.0, 0.25, (methods, images, 1))
    return scale * image * method * rng.gamma(9.0, 1 / 9, (methods, images, len(M))) / M


def test_intervals_of_means_and_scores_cover_the_truth():
    """Over 1000 samples of 100 images."""
    rng = np.random.default_rng(1)
    weights = stats.resampling_weights(100)
    covered = np.zeros(len(M) + 1)
    for _ in range(1000):
        (own,) = errors(rng, 100, 1)
        samples = weights @ own
        low, high = stats.interval(samples)
        covered[:-1] += (low <= 1 / M) & (high >= 1 / M)
        low, high = stats.interval(stats.log_score(samples))
        covered[-1] += low <= stats.log_score(1 / M) <= high
    assert (covered / 1000 >= 0.92).all()
    assert (covered / 1000 <= 0.98).all()


def test_intervals_of_measurements_and_of_savings_cover_the_truth():
    """The curve 1/m reaches 1/50 at m = 50; one four times as high needs four times as many measurements."""
    rng = np.random.default_rng(2)
    weights = stats.resampling_weights(100)
    needed = saved = 0
    for _ in range(600):
        own, other = weights @ errors(rng, 100, 2)
        low, high = stats.censored_interval(stats.measurements_to_reach(M, own, np.full(len(own), 1 / 50)))
        needed += low <= 50 <= high
        low, high = stats.censored_interval(stats.measurements_to_reach(M, 4 * other, own[:, 1]) / 30)
        saved += low <= 4 <= high
    assert 0.92 <= needed / 600 <= 0.98
    assert 0.92 <= saved / 600 <= 0.98


def test_what_is_not_reached_is_censored_in_the_interval_too():
    """Half of the resamples get there; all of them; none of them."""
    rng = np.random.default_rng(3)
    (own,) = errors(rng, 100, 1)
    samples = stats.resampling_weights(100) @ own
    last = own.mean(0)[-1]
    for goal, expected in ((last, (False, True)), (2 * last, (False, False)), (last / 2, (True, True))):
        ends = stats.censored_interval(stats.measurements_to_reach(M, samples, np.full(len(samples), goal)))
        assert tuple(np.isinf(ends)) == expected


def test_alike_methods_are_told_apart_in_at_most_one_suite_of_twenty():
    """The family-wise error of all pairs of five methods, over 500 suites."""
    rng = np.random.default_rng(4)
    wrong = 0
    for _ in range(500):
        suite = errors(rng, 40, 5)
        ranks = stats.rank_intervals(stats.log_score(suite.mean(1)), stats.permutation_tests(suite))
        wrong += ranks != [(1, 5)] * 5
    assert wrong / 500 <= 0.05


def test_rank_intervals_hold_the_true_ranks_and_see_differences():
    """Three pairs of alike methods, each pair twice as good as the next."""
    rng = np.random.default_rng(5)
    scales = [1, 1, 2, 2, 4, 4]
    held = 0
    for _ in range(100):
        suite = errors(rng, 100, 6) * np.reshape(scales, (6, 1, 1))
        ranks = stats.rank_intervals(stats.log_score(suite.mean(1)), stats.permutation_tests(suite))
        held += ranks == [(1, 2), (1, 2), (3, 4), (3, 4), (5, 6), (5, 6)]
    assert held >= 90


def test_permutation_p_values_are_scipys():
    """One level, two methods: the difference of logarithms of means, swapped at random."""
    rng = np.random.default_rng(6)
    suite = rng.gamma(2.0, 1.0, (2, 12, 1)) * [[[1.0]], [[1.8]]]
    ours = stats.permutation_tests(suite)[0, 1]
    theirs = permutation_test(
        tuple(suite[:, :, 0]),
        lambda a, b, axis: np.log(a.mean(axis) / b.mean(axis)),
        permutation_type="samples",
        vectorized=True,
        n_resamples=2**12,  # all of them
    ).pvalue
    assert ours == pytest.approx(theirs, abs=4 * np.sqrt(theirs / 2000))


def test_missing_images_at_some_level_are_left_out():
    rng = np.random.default_rng(7)
    suite = errors(rng, 40, 2) * [[[1]], [[3]]]
    suite[:, 10:, -1] = np.nan
    p = stats.permutation_tests(suite)
    assert p[0, 1] == p[1, 0] < 0.01
    assert p[0, 0] == 1


def test_holm_multiplies_the_least_by_all_and_keeps_the_order():
    np.testing.assert_allclose(stats.holm(np.array([0.01, 0.04, 0.03])), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(stats.holm(np.array([0.9, 0.5])), [1.0, 1.0])
    assert len(stats.holm(np.empty(0))) == 0


def test_measurements_to_reach_a_known_curve():
    m = np.array([10.0, 100.0, 1000.0])
    curve = 5 / m  # a straight line in log-log
    assert stats.measurements_to_reach(m, curve, 5 / 250) == pytest.approx(250)
    assert stats.measurements_to_reach(m, curve, 5.0) == 10
    assert stats.measurements_to_reach(m, curve, 1e-9) == float("inf")
    bumpy = np.array([0.5, 0.7, 0.1])
    assert 100 < stats.measurements_to_reach(m, bumpy, 0.4) < 1000
    assert stats.measurements_to_reach(m, np.array([1.0, 0.0, 0.0]), 1e-3) < 100


def test_log_score_is_the_geometric_mean():
    assert 10 ** stats.log_score(np.array([1e-1, 1e-3])) == pytest.approx(1e-2)
    assert np.isfinite(stats.log_score(np.array([0.0, 1.0])))
