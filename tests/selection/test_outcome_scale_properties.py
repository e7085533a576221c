"""The scale of outcomes, whatever the outcomes: an increasing map, its inverse, and no look at the order of them."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from nas_sens.selection.outcome_scale import outcome_scale, unwarp, warp

TOLERANCE = 1e-9
ERRORS = st.integers(0, 1000).map(lambda n: n / 1000)  # as of a thousand inputs, often equal
LOSSES = st.floats(1e-6, 1e6)
OUTCOMES = st.lists(ERRORS | LOSSES | st.just(math.inf), min_size=1, max_size=25)


def finite(outcomes):
    return [y for y in outcomes if math.isfinite(y)]


@given(OUTCOMES)
@example([0.1, 0.1, 0.1, 1e6])
@example([1e-6, 1e6, math.inf])
def test_better_outcomes_are_warped_to_smaller_numbers_and_failures_to_the_largest(outcomes):
    z = warp(outcomes, outcome_scale(outcomes))
    assert np.isfinite(z).all()
    for a, za in zip(outcomes, z, strict=True):
        for b, zb in zip(outcomes, z, strict=True):
            if a < b:
                assert za < zb or math.isclose(a, b, rel_tol=1e-9)
            elif a == b:
                assert za == zb
    assert abs(z.mean()) < TOLERANCE
    assert z.std() < TOLERANCE or abs(z.std() - 1) < TOLERANCE


@given(OUTCOMES, st.lists(st.floats(-5, 5), min_size=1, max_size=10))
@example([0.1, 0.1, 0.1, 1e6], [0.0])
def test_warping_and_unwarping_undo_each_other(outcomes, warped):
    scale = outcome_scale(outcomes)
    there = np.array(finite(outcomes) or [0.0])
    size = max(1.0, np.abs(there).max())
    np.testing.assert_allclose(unwarp(warp(there, scale), scale), there, atol=TOLERANCE * size)
    z = np.sort(warped)
    y = unwarp(z, scale)
    assert (np.diff(y) >= 0).all()
    # A step of the outcome that its size in floating point cannot hold is lost.
    slack = TOLERANCE + 8 * np.finfo(float).eps * np.abs(y).max() * _steepest(scale)
    np.testing.assert_allclose(warp(y, scale), z, atol=slack)


def _steepest(scale):
    """Return the largest change of the warped outcome for a change of 1 in the outcome."""
    steps = np.diff(scale.y)
    return max([1 / scale.unit, *(np.diff(scale.z)[steps > 0] / steps[steps > 0])])


@given(OUTCOMES.flatmap(lambda y: st.tuples(st.just(y), st.permutations(y))))
def test_the_scale_does_not_depend_on_the_order_of_outcomes(pair):
    one, other = (outcome_scale(y) for y in pair)
    np.testing.assert_array_equal(one.y, other.y)
    np.testing.assert_allclose(one.z, other.z, atol=TOLERANCE)
    np.testing.assert_allclose(one.unit, other.unit, rtol=TOLERANCE)
