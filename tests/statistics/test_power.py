"""How many trainings would tell: more power with more of them, and the power that simulations have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from nas_sens.statistics.power import (
    POWER,
    networks_for_reliability,
    power_of_ranks,
    power_of_reliability,
    size_for_correlation,
    sizes_for_ranks,
)
from nas_sens.statistics.rank_shift import rank_shift

SIZES = st.integers(0, 40)
SHARES = st.floats(0.0, 1.0)


@given(n=SIZES, m=SIZES, better=SHARES)
@settings(max_examples=100, deadline=None)
def test_the_sizes_are_enough_and_one_less_is_not(n, m, better):
    wanted = sizes_for_ranks(n, m, better)
    if wanted is None:
        assert abs(better - 0.5) < 0.08
        return
    assert wanted[0] >= n
    assert wanted[1] >= m
    assert power_of_ranks(*wanted, better) >= POWER
    if sum(wanted) > n + m:
        total = sum(wanted) - 1
        n_then = min(max(n, total // 2), total - m)
        assert power_of_ranks(n_then, total - n_then, better) < POWER


@given(n=st.integers(4, 200), m=st.integers(4, 200), better=st.floats(0.5, 1.0), more=st.floats(0.0, 0.4))
@settings(max_examples=100, deadline=None)
def test_power_grows_with_the_effect_and_is_alike_in_both_directions(n, m, better, more):
    assert power_of_ranks(n, m, min(1.0, better + more)) >= power_of_ranks(n, m, better)
    assert power_of_ranks(n, m, 1 - better) == pytest.approx(power_of_ranks(n, m, better), abs=1e-6)
    assert power_of_ranks(n, m, better) == power_of_ranks(m, n, better)


@given(r=st.floats(0.02, 0.95), k=st.integers(0, 5), more=st.floats(0.01, 0.04))
@settings(max_examples=60, deadline=None)
def test_smaller_correlations_need_more_networks(r, k, more):
    small, large = size_for_correlation(r, k), size_for_correlation(r + more, k)
    assert large is None or small is None or small >= large
    assert size_for_correlation(-r, k) == small
    if small is not None:
        assert small > 3 + k


@given(r=st.floats(0.6, 0.99), n=st.integers(2, 30), seeds=st.integers(2, 5))
@settings(max_examples=40, deadline=None)
def test_networks_for_a_reliability_are_enough_and_one_less_is_not(r, n, seeds):
    wanted = networks_for_reliability(n, seeds, r, 0.5)
    if wanted is None:
        assert r < 0.62
        return
    assert power_of_reliability(wanted, seeds, r, 0.5) >= POWER
    if wanted > n:
        assert power_of_reliability(wanted - 1, seeds, r, 0.5) < POWER


@pytest.mark.parametrize("better", [0.75, 0.85])
def test_so_many_networks_find_what_they_are_said_to_find(better):
    n, m = sizes_for_ranks(6, 3, better)
    rng, shift = np.random.default_rng(0), ndtri(better) * np.sqrt(2)
    found = [rank_shift(rng.normal(-shift, 1.0, n), rng.normal(size=m)).interval.excludes_zero for _ in range(600)]
    assert 0.75 < np.mean(found) < 0.95


def test_the_power_of_a_reliability_is_that_of_simulations():
    n, n_seeds, true, mark = 14, 2, 0.8, 0.5
    rng, found = np.random.default_rng(0), []
    upper, within = power_of_reliability(n, n_seeds, true, mark), 1.0
    between = np.sqrt(within / n_seeds * true / (1 - true))
    from scipy.stats import f

    for _ in range(2000):
        values = rng.normal(0, between, (n, 1)) + rng.normal(size=(n, n_seeds))
        ratio = n_seeds * values.mean(axis=1).var(ddof=1) / values.var(axis=1, ddof=1).mean()
        found.append(1 - f(n - 1, n * (n_seeds - 1)).ppf(0.975) / ratio > mark)
    assert np.mean(found) == pytest.approx(upper, abs=0.03)


def test_nothing_tells_groups_that_are_alike_or_too_small():
    assert sizes_for_ranks(5, 5, 0.5) is None
    assert power_of_ranks(3, 3, 1.0) == power_of_ranks(0, 50, 1.0) == 0.0
    assert size_for_correlation(0.0) is None
    assert networks_for_reliability(5, 1, 0.9, 0.5) is None
