"""Candidates on one scale: against the definition by ranks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nas_sens.core.errors import InvalidInputError
from nas_sens.selection.candidates import Candidate, family_numbers, feature_scale, in_fixed_order, normal_scores

TOLERANCE = 1e-12


def pool_of(values, name="s"):
    return [Candidate(f"{i:03d}", {name: v}) for i, v in enumerate(values)]


@pytest.mark.parametrize(
    "values",
    [
        [3.0, 1.0, 2.0],
        [1.0, 1.0, 5.0, 5.0, 5.0, -2.0],
        [0.5, -math.inf, 1e20, math.inf, -math.inf, -7.0],
        list(np.random.default_rng(0).normal(size=50)),
    ],
)
def test_features_become_normal_scores_of_their_ranks(values):
    pool = pool_of(values)
    places = np.unique(values, return_inverse=True)[1]  # SciPy before 1.13 takes -inf beside inf for NaN
    expected = stats.norm.ppf((stats.rankdata(places) - 0.5) / len(values))
    np.testing.assert_allclose(normal_scores(pool, feature_scale(pool))[:, 0], expected, atol=TOLERANCE)


def test_a_missing_value_is_the_median_and_does_not_count():
    pool = pool_of([3.0, math.nan, 1.0, 2.0])
    pool.append(Candidate("without", {}))
    scores = normal_scores(pool, feature_scale(pool))[:, 0]
    expected = stats.norm.ppf((np.array([3, 1, 2]) - 0.5) / 3)
    np.testing.assert_allclose(scores, [expected[0], 0, expected[1], expected[2], 0], atol=TOLERANCE)


def test_others_than_those_of_the_pool_lie_between_them():
    pool = pool_of([1.0, 2.0, 3.0, 4.0])
    scale = feature_scale(pool)
    known = normal_scores(pool, scale)[:, 0]
    new = normal_scores(pool_of([-9.0, 2.5, 99.0, math.nan]), scale)[:, 0]
    assert new[0] == known[0]
    assert new[1] == pytest.approx(stats.norm.ppf(0.5), abs=TOLERANCE)
    assert new[2] == known[3]
    assert new[3] == 0


def test_units_and_outliers_do_not_matter():
    values = np.random.default_rng(1).normal(size=30)
    plain, bent = pool_of(values), pool_of(np.exp(9 * values))
    np.testing.assert_array_equal(normal_scores(plain, feature_scale(plain)), normal_scores(bent, feature_scale(bent)))


def test_what_does_not_vary_is_left_out_and_names_are_sorted():
    pool = [Candidate(str(i), {"z": float(i), "constant": 1.0, "a": -float(i), "none": math.nan}) for i in range(3)]
    scale = feature_scale(pool)
    assert scale.names == ("a", "z")
    assert normal_scores(pool, scale).shape == (3, 2)
    assert normal_scores(pool, feature_scale(pool[:1])).shape == (3, 0)


def test_families_are_numbered_and_strangers_told_apart():
    scale = feature_scale([Candidate("1", family="fc"), Candidate("2", family="cnn"), Candidate("3", family="fc")])
    assert scale.families == ("cnn", "fc")
    strangers = [Candidate("4", family="fc"), Candidate("5", family="vgg")]
    assert family_numbers(strangers, scale).tolist() == [1, -1]


def test_the_order_is_that_of_digests_and_twins_are_refused():
    pool = pool_of([1.0, 2.0, 3.0])
    assert in_fixed_order(pool[::-1]) == pool
    with pytest.raises(InvalidInputError, match="'001' is given twice"):
        in_fixed_order([*pool, pool[1]])
