"""Statistics against scipy, closed form and simulated coverage."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats

from nas_sens.statistics import (
    MIN_POINTS,
    Correlations,
    Interval,
    _coefficients,
    best_so_far,
    correlations,
    difference,
    log10_or_nan,
)

TOLERANCE = 1e-12


def _slow_twin(x, y):
    return stats.pearsonr(x, y)[0], stats.spearmanr(x, y)[0], stats.kendalltau(x, y)[0]


def _estimates(c: Correlations):
    return c.pearson.estimate, c.spearman.estimate, c.kendall.estimate


def _pairs(n, seed, is_tied=False):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    y = x + rng.normal(size=n)
    return (np.round(x), np.round(y)) if is_tied else (x, y)


@pytest.mark.parametrize("n", [5, 12, 60])
@pytest.mark.parametrize("is_tied", [False, True])
def test_estimates_equal_scipy(n, is_tied):
    x, y = _pairs(n, seed=n, is_tied=is_tied)
    np.testing.assert_allclose(_estimates(correlations(x, y)), _slow_twin(x, y), atol=TOLERANCE)


@pytest.mark.parametrize("scale", [1e-200, 1e-5, 1e5, 1e200])
def test_estimates_do_not_depend_on_scale_or_offset(scale):
    x, y = _pairs(12, seed=0)
    expected = _estimates(correlations(x, y))
    np.testing.assert_allclose(_estimates(correlations(scale * x, y)), expected, atol=1e-9)
    np.testing.assert_allclose(_estimates(correlations(x + 1e3, -y)), [-e for e in expected], atol=1e-9)


def test_a_resample_as_counts_equals_scipy_on_the_repeated_pairs():
    x, y = _pairs(9, seed=3, is_tied=True)
    counts = np.random.default_rng(1).multinomial(9, np.full(9, 1 / 9), size=50)
    found = _coefficients(counts.astype(float), x, y)
    for i, row in enumerate(counts):
        resampled_x, resampled_y = np.repeat(x, row), np.repeat(y, row)
        if np.ptp(resampled_x) == 0 or np.ptp(resampled_y) == 0:
            assert np.isnan(found[:, i]).all()
        else:
            np.testing.assert_allclose(found[:, i], _slow_twin(resampled_x, resampled_y), atol=TOLERANCE)


def test_constant_resamples_are_dropped_from_the_interval():
    found = _coefficients(np.array([[5.0, 0, 0, 0, 0], [0, 0, 2, 2, 1]]), np.arange(5.0), np.array([0.1, 1, 2, 2, 2]))
    assert np.isnan(found).all()
    # Four equal values: (4/5)^5 = a third of the resamples are constant.
    c = correlations([0, 0, 0, 0, 1], [1, 2, 3, 4, 5])
    assert all(np.isfinite([i.low, i.high]).all() for i in (c.pearson, c.spearman, c.kendall))


def test_intervals_agree_with_scipy_bootstrap():
    x, y = _pairs(30, seed=5)
    c = correlations(x, y, n_resamples=20_000)
    for found, statistic in ((c.pearson, stats.pearsonr), (c.spearman, stats.spearmanr), (c.kendall, stats.kendalltau)):
        twin = stats.bootstrap(
            (x, y),
            lambda a, b, s=statistic: s(a, b)[0],
            paired=True,
            vectorized=False,
            n_resamples=2000,
            method="percentile",
            random_state=np.random.default_rng(0),
        ).confidence_interval
        np.testing.assert_allclose([found.low, found.high], twin, atol=0.04)
        assert found.low < found.estimate < found.high


def test_interval_covers_the_true_correlation_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    n_covered = 0
    for _ in range(200):
        x = rng.normal(size=40)
        y = 0.6 * x + 0.8 * rng.normal(size=40)
        interval = correlations(x, y, n_resamples=400).pearson
        n_covered += interval.low <= 0.6 <= interval.high
    assert 0.87 <= n_covered / 200 <= 0.99


def test_confidence_widens_the_interval():
    x, y = _pairs(20, seed=2)
    narrow, wide = (correlations(x, y, confidence=level).spearman for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_same_seed_same_interval():
    x, y = _pairs(12, seed=1)
    assert correlations(x, y) == correlations(x, y)
    assert correlations(x, y, seed=1) != correlations(x, y, seed=2)


@pytest.mark.parametrize("n", range(MIN_POINTS))
def test_too_few_points_give_a_reason_and_no_number(n):
    c = correlations(np.arange(n), np.arange(n))
    assert (c.pearson, c.spearman, c.kendall) == (None, None, None)
    assert c.n == n
    assert c.reason == f"too few points: {n}, at least 5 needed"


def test_constant_variable_gives_a_reason_and_no_number():
    c = correlations(np.full(8, 0.1), np.arange(8))
    assert c.spearman is None
    assert "x is constant" in c.reason
    assert "y is constant" in correlations(np.arange(8), np.full(8, 0.1)).reason


def test_pairs_with_missing_values_are_left_out():
    x, y = _pairs(12, seed=4)
    with_holes = [None, *x, 3.0, np.nan], [1.0, *y, np.inf, 2.0]
    assert correlations(*with_holes) == correlations(x, y)
    assert correlations([None] * 6, [1.0] * 6).reason.startswith("too few points: 0")


def test_different_lengths_are_refused():
    with pytest.raises(ValueError, match="same length, got 6 and 5"):
        correlations(np.arange(6), np.arange(5))


def test_a_table_of_forty_pairs_takes_under_two_seconds():
    tables = [_pairs(60, seed=s) for s in range(40)]
    start = time.process_time()
    for x, y in tables:
        correlations(x, y)
    assert time.process_time() - start < 2.0 * 2  # twice the target: shared machines are slow at times


def test_difference_equals_means_and_exact_permutation_test():
    a, b = [1.0, 2.0, 4.0, 3.0], [5.0, 6.0, 9.0, 7.0]
    d = difference(a, b)
    assert (d.n_a, d.n_b, d.mean_a, d.mean_b) == (4, 4, 2.5, 6.75)
    assert d.interval.estimate == -4.25
    assert d.interval.low < -4.25 < d.interval.high < 0
    assert d.p_value == pytest.approx(2 / 70)  # C(8, 4) = 70 splits, none more extreme
    assert d.smallest_p_value == pytest.approx(2 / 70)
    assert d.verdict == -1
    assert difference(b, a).verdict == 1


def test_difference_of_like_groups_shows_nothing():
    rng = np.random.default_rng(0)
    d = difference(rng.normal(size=12), rng.normal(size=12))
    assert d.verdict == 0
    assert d.p_value > 0.05


def test_separated_groups_of_three_are_too_few_to_show_anything():
    d = difference([1, 2, 3], [11, 12, 13])
    assert d.interval.excludes_zero
    assert d.p_value == pytest.approx(0.1)
    assert d.verdict is None


@pytest.mark.parametrize(("a", "b"), [([1.0], [2.0, 3.0]), ([1.0, 2.0], [None, 3.0]), ([], [])])
def test_difference_needs_two_in_each_group(a, b):
    d = difference(a, b)
    assert (d.interval, d.p_value, d.verdict) == (None, None, None)
    assert d.reason.startswith("too few points")
    assert d.mean_a == (np.mean(a) if a else None)


def test_difference_is_deterministic():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=20), rng.normal(size=20)
    assert difference(a, b, seed=3) == difference(a, b, seed=3)


def test_best_so_far_is_the_running_minimum_of_finite_values():
    np.testing.assert_array_equal(
        best_so_far([None, np.inf, 3.0, np.nan, 5.0, 1.0, -np.inf, 2.0]), [np.nan, np.nan, 3, 3, 3, 1, 1, 1]
    )
    assert best_so_far([]).shape == (0,)


def test_log10_or_nan():
    np.testing.assert_array_equal(log10_or_nan([100.0, 0.0, -1.0, None, np.inf, 0.1]), [2, *[np.nan] * 4, -1])


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.1, False), (0.0, 0.1, False)]
)
def test_excludes_zero(low, high, expected):
    assert Interval(0.0, low, high).excludes_zero is expected
