"""Statistics of many observations: against pairs counted one by one, derivatives by differences, and the bootstrap."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy import stats

from nas_sens.statistics import large_samples
from nas_sens.statistics.beside import _fits, beside
from nas_sens.statistics.bootstrap import MANY, mean_interval, percentile_intervals
from nas_sens.statistics.concordance import concordances
from nas_sens.statistics.correlations import _coefficients, correlations
from nas_sens.statistics.groups import difference, expected_best
from nas_sens.statistics.large_samples import kendall, mean_difference, partial, pearson, slope, spearman
from nas_sens.statistics.line_fit import line_fit
from nas_sens.statistics.permutations import _gaps_of_best, number_of_permutations, p_value_of_best

STEP = 1e-4  # of a count, for derivatives


def triples(n, seed=0, *, is_tied=False):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    x = 0.5 * z + rng.normal(size=n)
    y = 0.6 * x - 0.3 * z + rng.normal(size=n)
    return (np.round(x, 1), np.round(y), np.round(z, 1)) if is_tied else (x, y, z)


def derivatives(coefficients, n):
    """Of the coefficients of a resample by its counts, at one each: shape (k, n)."""
    up, down = (coefficients(np.ones((n, n)) + sign * STEP * np.eye(n)) for sign in (1, -1))
    return (up - down) / (2 * STEP)


@pytest.mark.parametrize("n", [2, 3, 17, 64, 150])
@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_concordances_are_those_of_all_pairs(n, decimals):
    x, y = np.round(np.random.default_rng(n).normal(size=(2, n)), decimals)
    signs = np.sign(x[:, None] - x) * np.sign(y[:, None] - y)
    np.testing.assert_array_equal(concordances(x, y), signs.sum(axis=1))


@pytest.mark.parametrize("is_tied", [False, True])
def test_coefficients_are_scipys_and_influences_their_derivatives(is_tied):
    x, y, _ = triples(60, is_tied=is_tied)
    found = pearson(x, y), spearman(x, y), kendall(x, y)
    twin = [f(x, y)[0] for f in (stats.pearsonr, stats.spearmanr, stats.kendalltau)]
    np.testing.assert_allclose([one.value for one in found], twin, atol=1e-12)
    expected = derivatives(lambda counts: _coefficients(counts, x, y), 60)
    np.testing.assert_allclose([one.influences for one in found], expected, atol=1e-6)


@pytest.mark.parametrize("is_tied", [False, True])
def test_influences_on_partial_correlations_and_slopes_are_derivatives(is_tied):
    x, y, z = triples(60, is_tied=is_tied)
    of_values, of_slope = partial(pearson(x, y), pearson(x, z), pearson(y, z))
    of_ranks, _ = partial(spearman(x, y), spearman(x, z), spearman(y, z))
    found = (of_values, of_ranks, of_slope)
    np.testing.assert_allclose([one.value for one in found], _fits(np.ones((1, 60)), x, y, z)[:, 0], atol=1e-12)
    expected = derivatives(lambda counts: _fits(counts, x, y, z), 60)
    np.testing.assert_allclose([one.influences for one in found], expected, atol=1e-6)


def bootstrapped(x, y, z, monkeypatch):
    """All intervals, once without resamples and once with very many."""
    rows = []
    for many in (MANY, x.size):
        for module in ("correlations", "beside", "line_fit", "bootstrap"):
            monkeypatch.setattr(f"nas_sens.statistics.{module}.MANY", many)
        c, b = correlations(x, y, n_resamples=3000), beside(x, y, z, n_resamples=3000)
        line, mean = line_fit(x, y, n_resamples=3000), mean_interval(y, n_resamples=3000)
        rows.append([c.pearson, c.spearman, c.kendall, b.pearson, b.spearman, b.slope, line.slope, mean])
    return rows


@pytest.mark.parametrize("is_tied", [False, True])
def test_intervals_of_many_are_what_the_bootstrap_comes_to(is_tied, monkeypatch):
    for found, twin in zip(*bootstrapped(*triples(MANY + 1, 3, is_tied=is_tied), monkeypatch), strict=True):
        width = twin.high - twin.low
        assert found.estimate == pytest.approx(twin.estimate, abs=1e-9)
        # An end of 3000 resamples has a standard deviation of 1.2 % of the width.
        assert abs(found.low - twin.low) < 0.05 * width
        assert abs(found.high - twin.high) < 0.05 * width


def test_intervals_of_many_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    held = np.zeros(3)
    truth = [0.9, 6 / np.pi * np.arcsin(0.45), 2 / np.pi * np.arcsin(0.9)]
    for _ in range(400):
        x, noise = rng.normal(size=(2, MANY + 1))
        c = correlations(x, 0.9 * x + np.sqrt(1 - 0.81) * noise)
        held += [i.low <= t <= i.high for i, t in zip((c.pearson, c.spearman, c.kendall), truth, strict=True)]
    np.testing.assert_allclose(held / 400, 0.95, atol=0.035)  # three standard errors


def test_what_is_certain_has_an_interval_of_no_width():
    x = np.arange(MANY + 1.0)
    c = correlations(x, -x)
    assert [(i.low, i.high) for i in (c.pearson, c.spearman, c.kendall)] == [(-1.0, -1.0)] * 3
    z = np.random.default_rng(0).normal(size=x.size)
    assert "cannot be told apart" in beside(x, z, 2 * x + 1).reason
    assert correlations(1e200 * x, z).pearson.estimate == pytest.approx(correlations(x, z).pearson.estimate)


def test_memory_does_not_grow_with_the_square_of_the_number():
    x, y, z = triples(4000)
    tracemalloc.start()
    correlations(x, y)
    beside(x, y, z)
    line_fit(x, y)
    mean_interval(x)
    difference(x, y[:400])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4000**2 * 8 / 3  # one number for each pair is 128 MB, one for each permuted observation 350


def test_mean_differences_and_slopes():
    a, b, _ = triples(700)
    (twin,) = percentile_intervals(lambda of_a, of_b: of_a @ a / 700 - of_b @ b[:600] / 600, 700, 600, n_resamples=3000)
    found = mean_difference(a, b[:600]).interval(0.95)
    np.testing.assert_allclose([found.low, found.high], [twin.low, twin.high], atol=0.05 * (twin.high - twin.low))
    u, v = a - a.mean(), b - b.mean()
    assert slope(u, v).value == pytest.approx(stats.linregress(u, v).slope)
    assert large_samples.slope(u, v).influences.sum() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("n_a", "n_b"), [(9, 3), (7, 7), (40, 11)])
def test_the_best_of_permuted_groups_is_that_of_each_group(n_a, n_b):
    rng = np.random.default_rng(n_a)
    pooled, k = np.sort(rng.normal(size=n_a + n_b)), min(n_a, n_b)
    places = np.array([rng.choice(n_a + n_b, k, replace=False) for _ in range(50)])
    weights = np.append(_weights(n_a, k), 0.0)
    twin = [pooled[p].min() - expected_best(np.delete(pooled, p), k) for p in places]
    np.testing.assert_allclose(_gaps_of_best(pooled, places, weights), twin, atol=1e-12)


def _weights(n, k):
    """How often each of n values is the smallest of k drawn: how often the first i hold one, less so for i - 1."""
    return np.diff(np.append(0.0, [1 - stats.hypergeom(n, k, i).pmf(0) for i in range(1, n + 1)]))


@pytest.mark.parametrize(("n_a", "n_b", "gap"), [(600, 60, 0.3), (60, 600, 0.3), (400, 400, 0.15), (590, 10, 0.0)])
def test_p_values_of_many_are_those_of_scipy(n_a, n_b, gap):
    rng = np.random.default_rng(n_a)
    a, b = rng.normal(size=n_a) - gap, np.round(rng.normal(size=n_b), 1)
    found = difference(a, b)
    twin = stats.permutation_test((a, b), _best_gap, n_resamples=3000, vectorized=True, random_state=rng).pvalue
    assert found.best_p_value == pytest.approx(twin, abs=4 * np.sqrt(max(0.001, twin * (2 - twin)) / 3000))
    assert found.p_value == pytest.approx(stats.mannwhitneyu(a, b).pvalue, rel=0.02)
    assert difference(a, b) == found


def _best_gap(a, b, axis):
    k = min(a.shape[axis], b.shape[axis])
    return expected_best(a, k, axis) - expected_best(b, k, axis)


def test_expected_best_of_thousands_equals_the_closed_form_of_ranks():
    for n, k in ((10_000, 50), (10_000, 5000), (600, 599)):
        assert expected_best(np.arange(1.0, n + 1), k) == pytest.approx((n + 1) / (k + 1))  # of the smallest rank


def test_very_many_observations_get_fewer_permutations():
    assert number_of_permutations(10_000, 9999) == 9999
    assert number_of_permutations(50_000, 9999) == 2000
    assert number_of_permutations(10**7, 9999) == 999
    ones = np.ones(300)
    assert p_value_of_best(ones, ones, np.append(1.0, np.zeros(299)), n_permutations=20, seed=0) == 1.0
