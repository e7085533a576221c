"""The bootstrap: against plain loops over the same draws, and how often its intervals hold the truth."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from nas_sens.report.reliability import reliability
from nas_sens.statistics import bootstrap
from nas_sens.statistics.bootstrap import mean_interval, percentile_intervals, resamples
from nas_sens.statistics.correlations import correlations
from nas_sens.statistics.line_fit import line_fit

RHO = 0.6
# Shares of 2000 samples whose 95 % interval of 2000 resamples held the truth, by size of the sample, as the docstring
# of the module has them.
MEASURED = {
    "mean": {5: 0.92, 8: 0.94, 20: 0.95, 60: 0.95},
    "difference of means": {5: 0.93, 8: 0.93, 20: 0.94, 60: 0.95},
    "ratio of means": {5: 0.93, 8: 0.94, 20: 0.95, 60: 0.95},
    "slope of a line": {5: 0.98, 8: 0.97, 20: 0.95, 60: 0.94},
    "pearson": {5: 0.95, 8: 0.97, 20: 0.94, 60: 0.94},
    "spearman": {5: 0.93, 8: 0.97, 20: 0.96, 60: 0.95},
    "kendall": {5: 0.93, 8: 0.97, 20: 0.96, 60: 0.95},
    "reliability": {5: 0.83, 8: 0.90, 20: 0.93, 60: 0.94},
}


def loop(statistic, *samples, n_resamples, seed=0, confidence=0.95, is_rank=False):
    """The ends of the interval, one resample after the other: observations are drawn, gathered and looked at."""
    tail = (1 - confidence) / 2
    if not is_rank:
        n, freedom = min(len(s) for s in samples), sum(len(s) for s in samples) - len(samples)
        tail = stats.norm.sf(stats.t(freedom).isf(tail) * math.sqrt(n / (n - 1)))
    streams = [np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(i,))) for i in range(len(samples))]
    values = []
    for _ in range(n_resamples):
        rows = [rng.integers(len(s), size=len(s)) for s, rng in zip(samples, streams, strict=True)]
        value = statistic(*(s[r] for s, r in zip(samples, rows, strict=True)))
        if math.isfinite(value):
            values.append(value)
    return np.quantile(values, [tail, 1 - tail])


def ends(interval):
    return [interval.low, interval.high]


def paired(n, rng):
    x = rng.normal(size=n)
    return np.column_stack([x, RHO * x + math.sqrt(1 - RHO**2) * rng.normal(size=n)])


@pytest.mark.parametrize("n", [5, 8, 21])
def test_every_interval_is_that_of_a_plain_loop_over_the_same_draws(n):
    xy = np.round(paired(n, np.random.default_rng(n)), 1)  # with ties
    x, y = xy.T
    options = {"n_resamples": 300, "seed": 3}
    assert ends(mean_interval(x, **options)) == pytest.approx(loop(np.mean, x, **options))
    many = {**options, "confidence": 0.8}
    found = correlations(x, y, **many)
    for interval, coefficient, is_rank in (
        (found.pearson, stats.pearsonr, False),
        (found.spearman, stats.spearmanr, True),
        (found.kendall, stats.kendalltau, True),
    ):
        twin = loop(
            lambda s, c=coefficient: c(*s.T)[0] if np.ptp(s, axis=0).all() else math.nan, xy, is_rank=is_rank, **many
        )
        assert ends(interval) == pytest.approx(twin)
    slope = loop(lambda s: np.polyfit(*s.T, 1)[0] if np.ptp(s[:, 0]) else math.nan, xy, **many)
    assert ends(line_fit(x, y, **many).slope) == pytest.approx(slope)


def test_the_interval_of_a_reliability_is_that_of_a_plain_loop():
    rng = np.random.default_rng(0)
    networks = np.column_stack([rng.normal(size=9), rng.uniform(0.1, 0.9, 9)])
    networks[:7, 0] = 0.25  # (7/9)^9 = a tenth of the resamples hold nothing but these

    def statistic(s):
        return 1 - np.mean(s[:, 1] ** 2 / 3) / s[:, 0].var(ddof=1) if np.ptp(s[:, 0]) else math.nan

    found = reliability(*networks.T, np.full(9, 3)).value
    assert found.estimate == pytest.approx(statistic(networks))
    assert ends(found) == pytest.approx(loop(statistic, networks, n_resamples=2000))


def test_resamples_are_draws_with_replacement_of_each_sample_by_itself():
    pairs = list(resamples(6, 4, n=20_000, seed=0))
    a, b = (np.vstack(counts) for counts in zip(*pairs, strict=True))
    assert (a.shape, b.shape) == ((20_000, 6), (20_000, 4))
    for counts in (a, b):
        n = counts.shape[1]
        assert (counts.sum(axis=1) == n).all()
        np.testing.assert_allclose(counts.mean(axis=0), 1.0, atol=0.03)
        expected = stats.binom(n, 1 / n).pmf(range(n + 1))
        np.testing.assert_allclose([(counts == k).mean() for k in range(n + 1)], expected, atol=0.01)
    assert abs(np.corrcoef(a[:, 0], b[:, 0])[0, 1]) < 0.03


def test_how_many_resamples_are_held_at_once_changes_nothing(monkeypatch):
    def all_counts(n):
        return [np.vstack(counts) for counts in zip(*resamples(*n, n=50, seed=4), strict=True)]

    at_once = {n: all_counts(n) for n in ((7,), (5, 8))}
    for cells in (1, 20, 100):
        monkeypatch.setattr(bootstrap, "_CELLS", cells)
        for n, expected in at_once.items():
            for found, counts in zip(all_counts(n), expected, strict=True):
                np.testing.assert_array_equal(found, counts)


def test_memory_does_not_grow_with_the_number_of_resamples():
    values = np.random.default_rng(0).normal(size=2000)
    tracemalloc.start()
    mean_interval(values, n_resamples=3000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3000 * 2000 * 8 / 2  # all counts at once are 48 MB


def test_seed_and_confidence_do_what_they_say():
    values = np.random.default_rng(0).normal(size=12)
    assert mean_interval(values) == mean_interval(values)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)
    narrow, wide = (
        percentile_intervals(lambda counts: counts @ values / 12, 12, confidence=level)[0] for level in (0.5, 0.99)
    )
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high


def intervals_and_truths(n, rng, **options):
    """What is estimated from a sample of size n, or from two, of known distributions."""
    x, y = paired(n, rng).T
    z = 1 + 2 * rng.normal(size=n)
    seeds = x[:, None] + rng.normal(size=(n, 3))  # of variance 1 about means of variance 1
    found = correlations(x, y, **options)
    (gap,) = percentile_intervals(lambda of_x, of_z: of_x @ x / n - of_z @ z / n, n, n, **options)
    (ratio,) = percentile_intervals(lambda counts: counts @ (10 + y) / (counts @ (5 + x)), n, **options)
    return {
        "mean": (mean_interval(x, **options), 0.0),
        "difference of means": (gap, -1.0),
        "ratio of means": (ratio, 2.0),
        "slope of a line": (line_fit(x, y, **options).slope, RHO),
        "pearson": (found.pearson, RHO),
        "spearman": (found.spearman, 6 / math.pi * math.asin(RHO / 2)),
        "kendall": (found.kendall, 2 / math.pi * math.asin(RHO)),
        "reliability": (reliability(seeds.mean(1), seeds.std(1, ddof=1), np.full(n, 3)).value, 0.75),
    }


def coverage(n, n_samples, *, seed=0, **options):
    """Share of samples whose interval holds the truth, by statistic."""
    rng = np.random.default_rng([n, seed])
    held = dict.fromkeys(MEASURED, 0)
    for i in range(n_samples):
        for name, (interval, truth) in intervals_and_truths(n, rng, seed=i, **options).items():
            held[name] += interval.low <= truth <= interval.high
    return {name: count / n_samples for name, count in held.items()}


@pytest.mark.parametrize("n", [5, 8, 20, 60])
def test_intervals_hold_the_truth_about_as_often_as_they_say(n):
    for name, share in coverage(n, 300, n_resamples=400).items():
        expected = MEASURED[name][n]
        standard_error = math.sqrt(expected * (1 - expected) / 300)
        assert share == pytest.approx(expected, abs=3 * standard_error), name


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 8, 20, 60])
def test_intervals_hold_the_truth_as_often_as_the_docstring_says(n):
    for name, share in coverage(n, 2000, seed=1, n_resamples=2000).items():
        assert share == pytest.approx(MEASURED[name][n], abs=0.02), name


def test_the_docstring_says_what_was_measured():
    for name, shares in MEASURED.items():
        row = next(line for line in bootstrap.__doc__.splitlines() if line.strip().startswith(name))
        assert row.split()[-4:] == [f"{share:.2f}" for share in shares.values()]


@pytest.mark.parametrize("n", [5, 9, 40])
def test_the_interval_of_a_mean_is_about_students(n):
    values = np.random.default_rng(n).normal(size=n)
    found = mean_interval(values, n_resamples=20_000)
    low, high = stats.t(n - 1, values.mean(), values.std(ddof=1) / math.sqrt(n)).interval(0.95)
    assert found.high - found.low == pytest.approx(high - low, rel=0.15)
