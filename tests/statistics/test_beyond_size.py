"""Statistics beyond size: pairs that are alike in a third quantity, and rank correlations given several others."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nas_sens.statistics import alike_pairs
from nas_sens.statistics.alike_pairs import MIN_PAIRS, among_alike
from nas_sens.statistics.beside import beside
from nas_sens.statistics.correlations import correlations
from nas_sens.statistics.given_several import MIN_ROWS, given_several

NUMBERS = st.lists(st.integers(0, 9).map(float), min_size=30, max_size=30)
MANY = 600  # more than of which all pairs are looked at


def by_hand(x, y, z, within):
    above = of_x = of_y = n_pairs = 0
    for i in range(len(x)):
        for j in range(i):
            if abs(z[i] - z[j]) <= within:
                sx, sy = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])
                above, of_x, of_y, n_pairs = above + sx * sy, of_x + sx * sx, of_y + sy * sy, n_pairs + 1
    return n_pairs, above / math.sqrt(of_x * of_y) if of_x and of_y else None


def residual_correlation(x, y, zs):
    ranks = [stats.rankdata(values) for values in (x, y, *zs)]
    matrix = np.column_stack([np.ones(len(x)), *ranks[2:]])
    rest = [r - matrix @ np.linalg.lstsq(matrix, r, rcond=None)[0] for r in ranks[:2]]
    return float(np.corrcoef(*rest)[0, 1])


def drawn(n, seed=0):
    rng = np.random.default_rng(seed)
    w, z = rng.normal(size=(2, n))
    common = rng.normal(size=n)
    x, y = (common + rng.normal(size=n) + z for _ in range(2))
    return x, y, z, z + 0.3 * w


@given(NUMBERS, NUMBERS, NUMBERS, st.sampled_from([0.0, 1.0, 3.0, 99.0]))
def test_tau_among_alike_is_counted_by_hand(x, y, z, within):
    found = among_alike(x, y, z, within=within, n_resamples=20)
    n_pairs, tau = by_hand(x, y, z, within)
    assert found.n_pairs == n_pairs
    if found.kendall is None:
        assert n_pairs < MIN_PAIRS or tau is None or found.n < 8
        assert found.reason
    else:
        assert found.kendall.estimate == pytest.approx(tau)


def test_where_all_are_alike_it_is_tau_b_with_the_same_interval():
    x, y, *_ = (values.round(1) for values in drawn(40))
    found, all_pairs = among_alike(x, y, np.zeros(40), within=0.0), correlations(x, y)
    assert found.n_pairs == 40 * 39 // 2
    assert vars(found.kendall) == pytest.approx(vars(all_pairs.kendall))


def test_of_many_it_is_the_same_as_long_as_none_has_too_many_partners():
    x, y, z, _ = drawn(MANY)
    within = 0.01
    n_pairs, tau = by_hand(x, y, z, within)
    found = among_alike(x, y, z, within=within)
    assert (found.n_pairs, found.kendall.estimate) == (n_pairs, pytest.approx(tau))


def test_the_interval_of_many_is_what_the_bootstrap_comes_to(monkeypatch):
    x, y, z, _ = drawn(MANY)
    many = among_alike(x, y, z, within=0.02).kendall
    monkeypatch.setattr(alike_pairs, "MANY", MANY)
    few = among_alike(x, y, z, within=0.02, n_resamples=1000).kendall
    assert many.estimate == pytest.approx(few.estimate)
    assert many.high - many.low == pytest.approx(few.high - few.low, rel=0.15)


def test_partners_are_bounded_and_are_the_nearest():
    x, y, z, _ = drawn(MANY)
    found = among_alike(x, y, z, within=99.0)
    n = alike_pairs.MOST_PARTNERS
    assert found.n_pairs == n * MANY - n * (n + 1) // 2


def test_size_alone_has_nothing_to_say_at_equal_size():
    rng = np.random.default_rng(3)
    size = rng.uniform(0, 3, 400)
    x, y = (10 * size + rng.normal(size=400) for _ in range(2))
    assert correlations(x, y).kendall.low > 0.8
    found = among_alike(x, y, size, within=math.log10(1.1)).kendall
    assert found.low < 0.15
    assert abs(given_several(x, y, [size]).spearman.estimate) < 0.15


@pytest.mark.parametrize("n", [30, MANY])
def test_given_several_is_the_correlation_of_residuals_of_ranks(n):
    x, y, *zs = drawn(n)
    found = given_several(x, y, zs).spearman
    assert found.estimate == pytest.approx(residual_correlation(x, y, zs))
    assert found.low < found.estimate < found.high
    told = given_several(x, y, [zs[0], 2 * zs[0], zs[1], zs[0] + 1]).spearman  # others that say nothing new
    assert told.estimate == pytest.approx(found.estimate)
    assert given_several(x, y, [*zs, np.ones(n)]).spearman.estimate == pytest.approx(found.estimate)


@pytest.mark.parametrize("n", [30, MANY])
def test_given_one_it_is_what_stands_beside_it(n):
    x, y, z, _ = drawn(n)
    assert vars(given_several(x, y, [z]).spearman) == pytest.approx(vars(beside(x, y, z).spearman), abs=0.02)


@pytest.mark.parametrize("n", [30, MANY])
def test_what_cannot_be_said(n):
    x, y, z, w = drawn(n)
    assert given_several(z, y, [w, z]).reason == "what is held fixed tells x or y exactly"
    assert "x is constant" in given_several(np.ones(n), y, [z]).reason
    assert among_alike(np.ones(n), y, z, within=1.0).reason.startswith("x is equal within each of ")
    assert among_alike(x, np.ones(n), z, within=1.0).reason.startswith("y is equal within each of ")
    assert among_alike(x, y, np.arange(n), within=0.5).reason.startswith("too few pairs: 0 of 0 networks")
    assert given_several(x[: MIN_ROWS - 1], y[: MIN_ROWS - 1], [z[: MIN_ROWS - 1]]).reason.startswith("too few points")


@pytest.mark.parametrize("n", [30, MANY])
def test_missing_members_leave_their_triples_out(n):
    x, y, z, w = drawn(n)
    more = [np.append(values, extra) for values, extra in ((x, np.nan), (y, 0.0), (z, 0.0), (w, 0.0))]
    assert among_alike(*more[:3], within=0.5) == among_alike(x, y, z, within=0.5)
    assert given_several(more[0], more[1], more[2:]) == given_several(x, y, [z, w])


def test_of_ten_thousand_of_one_size_it_takes_a_moment():
    x, y, *_ = drawn(10_000)
    began = time.process_time()
    assert among_alike(x, y, np.zeros(10_000), within=0.1).kendall.low > 0
    assert time.process_time() - began < 1.0


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="same length"):
        among_alike([1.0], [1.0, 2.0], [1.0], within=1.0)
    with pytest.raises(ValueError, match="same length"):
        given_several([1.0], [1.0], [[1.0, 2.0]])
