"""The scale of outcomes: against its definition, and what must hold of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nas_sens.selection.outcome_scale import outcome_scale, warp, warped_variance

TOLERANCE = 1e-9
CASES = {
    "two": [0.3, 0.1],
    "three": [0.3, 0.1, 0.2],
    "long tail": [0.1, 0.11, 0.12, 0.15, 0.3, 0.9, 55.0],
    "equal ones": [0.1, 0.2, 0.2, 0.2, 0.3, 0.3, 0.4],
    "best equal": [0.1, 0.1, 0.1, 0.1, 0.2],
    "a failed one": [0.1, 0.2, math.inf, 0.15, 0.4, 0.35],
    "mostly failed": [0.1, math.inf, math.inf, math.inf],
    "random": list(np.random.default_rng(0).lognormal(size=40)),
}


def by_definition(values):
    """Half-rank warping step by step: better half as it is, worse half by normal scores, then mean 0 and sd 1."""
    finite = [v for v in values if math.isfinite(v)]
    filled = [v if math.isfinite(v) else max(finite) + ((max(finite) - min(finite)) or 1.0) for v in values]
    median, n = float(np.median(filled)), len(filled)
    deviations = [v - median for v in filled if v <= median]
    unit = math.sqrt(sum(d * d for d in deviations) / len(deviations))
    if unit == 0:
        unit = math.sqrt(sum((v - median) ** 2 for v in filled) / n)
    scores = []
    for v in filled:
        rank = sum(o < v for o in filled) + (1 + sum(o == v for o in filled)) / 2
        scores.append(stats.norm.ppf((rank - 0.375) / (n + 0.25)))
    good = [s for s, v in zip(scores, filled, strict=True) if v <= median]
    spread = math.sqrt(sum(s * s for s in good) / len(good)) or 1.0
    z = [(v - median) / unit if v <= median else s / spread for v, s in zip(filled, scores, strict=True)]
    mean = sum(z) / n
    sd = math.sqrt(sum((a - mean) ** 2 for a in z) / n)
    return [(a - mean) / sd for a in z]


@pytest.mark.parametrize("values", CASES.values(), ids=CASES)
def test_warped_outcomes_are_those_of_the_definition(values):
    np.testing.assert_allclose(warp(values, outcome_scale(values)), by_definition(values), atol=TOLERANCE)


@pytest.mark.parametrize("values", CASES.values(), ids=CASES)
def test_the_scale_has_the_unit_of_the_outcome(values):
    scale, percent = outcome_scale(values), outcome_scale(100 * np.array(values))
    np.testing.assert_allclose(percent.z, scale.z, atol=TOLERANCE)
    if sum(math.isfinite(v) for v in set(values)) > 1:  # else nothing says what the unit is
        assert percent.unit == pytest.approx(100 * scale.unit)


def test_the_better_half_keeps_its_distances_and_the_worse_half_only_its_order():
    values = np.array([0.1, 0.11, 0.13, 0.2, 0.5, 0.6, 0.7])
    scale = outcome_scale(values)
    z = warp(values, scale)
    np.testing.assert_allclose(np.diff(z[:4]) / np.diff(values[:4]), 1 / scale.unit)
    worse = np.array([0.1, 0.11, 0.13, 0.2, 0.5, 60.0, math.inf])
    np.testing.assert_allclose(warp(worse, outcome_scale(worse)), z)


def test_equal_outcomes_and_failures_alone_give_zeros():
    for values in ([0.2, 0.2, 0.2], [math.inf, math.inf], [0.5]):
        assert warp(values, outcome_scale(values)).tolist() == [0.0] * len(values)


def test_noise_is_scaled_as_outcomes_are_there():
    values = np.linspace(0.1, 0.5, 9)
    scale = outcome_scale(values)
    assert warped_variance([0.15], [0.02], scale)[0] == pytest.approx((0.02 / scale.unit) ** 2)
    assert warped_variance([0.15], [0.0], scale)[0] == 0
    both_ways = (warp([0.44], scale) - warp([0.40], scale)) / 2
    assert warped_variance([0.42], [0.02], scale)[0] == pytest.approx(both_ways[0] ** 2)
