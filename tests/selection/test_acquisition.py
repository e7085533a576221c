"""Acquisition functions: against integrals, areas counted by hand, and brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import integrate, stats

from nas_sens.selection.acquisition import expected_hypervolume_improvement, expected_improvement


@pytest.mark.parametrize(("mean", "sd", "best"), [(0.0, 1.0, 0.0), (1.0, 0.5, 0.3), (-2.0, 0.1, 0.0), (0.2, 3.0, -1.0)])
def test_expected_improvement_is_the_integral(mean, sd, best):
    integral = integrate.quad(
        lambda y: (best - y) * stats.norm(mean, sd).pdf(y), mean - 12 * sd, best, points=[mean], limit=200
    )[0]
    assert expected_improvement(mean, sd, best) == pytest.approx(integral, rel=1e-7)


def test_expected_improvement_without_uncertainty_is_the_improvement():
    np.testing.assert_allclose(expected_improvement([0.5, 2.0], [0.0, 0.0], 1.0), [0.5, 0.0], atol=1e-12)


def area(points, reference):
    """The area that points (outcome, cost) dominate, on the grid of all their coordinates."""
    ys = sorted({min(y, reference[0]) for y, _ in points} | {reference[0]})
    cs = sorted({min(c, reference[1]) for _, c in points} | {reference[1]})
    total = 0.0
    for (y0, y1), (c0, c1) in itertools.product(itertools.pairwise(ys), itertools.pairwise(cs)):
        if any(y <= y0 and c <= c0 for y, c in points):
            total += (y1 - y0) * (c1 - c0)
    return total


@pytest.mark.parametrize("seed", range(4))
def test_expected_hypervolume_improvement_is_the_mean_growth_of_the_area(seed):
    rng = np.random.default_rng(seed)
    n = 5 if seed else 0
    known = [tuple(p) for p in rng.uniform(0, 1, (n, 2))]
    if n:
        known.append((0.01, 1.6))  # beyond the reference in cost
    reference = (1.0, 1.2)
    mean, sd, cost = rng.uniform(0, 1, 4), rng.uniform(0.1, 0.4, 4), np.append(rng.uniform(0, 1, 3), 1.3)
    found = expected_hypervolume_improvement(
        mean,
        sd,
        cost,
        known_outcomes=np.array([y for y, _ in known]),
        known_costs=np.array([c for _, c in known]),
        reference=reference,
    )
    quantiles = (np.arange(4000) + 0.5) / 4000
    for i in range(4):
        draws = stats.norm(mean[i], sd[i]).ppf(quantiles)
        # Areas are piecewise linear in the outcome: between its knots they need not be counted again.
        grid = np.sort(np.concatenate([[-3.0, 4.0], [y for y, _ in known], [reference[0]]]))
        growth = [area([*known, (y, cost[i])], reference) - area(known, reference) for y in grid]
        assert found[i] == pytest.approx(np.interp(draws, grid, growth).mean(), abs=2e-4)
    assert found[3] == 0
