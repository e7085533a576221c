"""The rank test of two groups and its interval: scipy's test, and one decision by both."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nas_sens.statistics import rank_shift as module
from nas_sens.statistics.rank_shift import critical, rank_shift

VALUES = st.lists(st.integers(-6, 6), min_size=1, max_size=12)


@given(a=VALUES, b=VALUES)
@settings(max_examples=150, deadline=None)
def test_the_interval_excludes_zero_where_the_test_rejects_and_only_there(a, b):
    found = rank_shift(np.array(a, dtype=float), np.array(b, dtype=float))
    rejects = found.p_value <= 0.05
    assert rejects is (found.interval is not None and found.interval.excludes_zero)
    if found.interval is not None:
        assert found.interval.low <= found.estimate <= found.interval.high
    turned = rank_shift(np.array(b, dtype=float), np.array(a, dtype=float))
    assert (turned.p_value, turned.estimate) == (found.p_value, -found.estimate)
    assert found.smaller + turned.smaller == pytest.approx(1.0)


@given(a=VALUES, b=VALUES, by=st.integers(-50, 50))
@settings(max_examples=50, deadline=None)
def test_a_shift_of_one_group_shifts_the_interval(a, b, by):
    a, b = np.array(a, dtype=float), np.array(b, dtype=float)
    here, there = rank_shift(a, b), rank_shift(a + by, b)
    assert there.estimate == here.estimate + by
    if here.interval is not None:
        assert (there.interval.low, there.interval.high) == (here.interval.low + by, here.interval.high + by)


@pytest.mark.parametrize(("n", "m"), [(4, 4), (6, 3), (20, 7), (1, 39), (30, 20), (60, 40)])
def test_without_ties_the_test_is_scipys(n, m):
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=n), rng.normal(0.7, 1.0, m)
    method = "exact" if n + m <= 50 else "asymptotic"
    assert rank_shift(a, b).p_value == pytest.approx(stats.mannwhitneyu(a, b, method=method).pvalue)
    assert rank_shift(a, b).estimate == pytest.approx(np.median(np.subtract.outer(a, b)))


@pytest.mark.parametrize(
    ("n", "m", "c"), [(3, 3, -1), (4, 4, 0), (6, 3, 1), (6, 4, 2), (1, 38, -1), (1, 39, 0), (20, 20, 127)]
)
def test_critical_numbers_are_those_of_the_printed_tables(n, m, c):
    assert critical(n, m) == critical(m, n) == c


def test_large_groups_have_the_same_differences_without_all_of_them(monkeypatch):
    rng = np.random.default_rng(0)
    a, b = np.round(rng.normal(size=300), 2), np.round(rng.normal(0.1, 1.0, 200), 2)
    all_at_once = rank_shift(a, b)
    monkeypatch.setattr(module, "_AT_ONCE", 1)
    found = rank_shift(a, b)
    ends = [found.estimate, found.interval.low, found.interval.high]
    assert ends == pytest.approx([all_at_once.estimate, all_at_once.interval.low, all_at_once.interval.high], abs=1e-9)


def test_groups_that_are_alike_are_told_apart_one_time_in_twenty_at_most():
    rng = np.random.default_rng(1)
    draws = [rank_shift(rng.exponential(size=6), rng.exponential(size=4)) for _ in range(1500)]
    assert 0.02 < np.mean([d.interval.excludes_zero for d in draws]) < 0.065
