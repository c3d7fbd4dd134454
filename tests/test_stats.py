import numpy as np
import pytest

from csbench import stats


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


def test_interval_covers_the_mean():
    """Coverage of the 95% interval over 400 samples of 100 skewed errors, like errors are."""
    rng = np.random.default_rng(1)
    weights = stats.resampling_weights(100)
    covered = 0
    for _ in range(400):
        low, high = stats.interval(weights @ rng.gamma(2.0, 1.0, 100))
        covered += low <= 2.0 <= high
    assert 0.91 <= covered / 400 <= 0.98


def test_tie_test_is_rarely_wrong_about_equals_and_sees_differences():
    rng = np.random.default_rng(2)
    weights = stats.resampling_weights(100)
    apart = [not stats.includes_zero(weights @ rng.normal(0, 1, 100)) for _ in range(400)]
    assert np.mean(apart) < 0.09
    assert not stats.includes_zero(weights @ rng.normal(1, 1, 100))


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
