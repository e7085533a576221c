"""Candidates on one scale: against the definition by ranks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nas_sens.core.errors import InvalidInputError
from nas_sens.selection.candidates import Candidate, in_fixed_order
from nas_sens.selection.places import place, scale_of

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
    np.testing.assert_allclose(place(pool, scale_of(pool)).x[:, 0], expected, atol=TOLERANCE)


def test_a_missing_value_is_the_median_and_does_not_count():
    pool = pool_of([3.0, math.nan, 1.0, 2.0])
    pool.append(Candidate("without", {}))
    scores = place(pool, scale_of(pool)).x[:, 0]
    expected = stats.norm.ppf((np.array([3, 1, 2]) - 0.5) / 3)
    np.testing.assert_allclose(scores, [expected[0], 0, expected[1], expected[2], 0], atol=TOLERANCE)


def test_others_than_those_of_the_pool_lie_between_them():
    pool = pool_of([1.0, 2.0, 3.0, 4.0])
    scale = scale_of(pool)
    known = place(pool, scale).x[:, 0]
    new = place(pool_of([-9.0, 2.5, 99.0, math.nan]), scale).x[:, 0]
    assert new[0] == known[0]
    assert new[1] == pytest.approx(stats.norm.ppf(0.5), abs=TOLERANCE)
    assert new[2] == known[3]
    assert new[3] == 0


def test_units_and_outliers_do_not_matter():
    values = np.random.default_rng(1).normal(size=30)
    plain, bent = pool_of(values), pool_of(np.exp(9 * values))
    np.testing.assert_array_equal(place(plain, scale_of(plain)).x, place(bent, scale_of(bent)).x)


def test_what_does_not_vary_is_left_out_and_names_are_sorted():
    pool = [Candidate(str(i), {"z": float(i), "constant": 1.0, "a": -float(i), "none": math.nan}) for i in range(3)]
    scale = scale_of(pool)
    assert scale.names == ("a", "z")
    assert place(pool, scale).x.shape == (3, 2)
    assert place(pool, scale_of(pool[:1])).x.shape == (3, 0)


def test_families_are_numbered_and_strangers_told_apart():
    scale = scale_of([Candidate("1", family="fc"), Candidate("2", family="cnn"), Candidate("3", family="fc")])
    assert scale.families == ("cnn", "fc")
    strangers = [Candidate("4", family="fc"), Candidate("5", family="vgg")]
    assert place(strangers, scale).groups.tolist() == [1, -1]
    assert place(strangers, scale).has_groups
    assert not place(strangers, scale_of(strangers[:1])).has_groups


def chosen(*choices):
    return [Candidate(f"{i}", choices=c) for i, c in enumerate(choices)]


def test_numbers_that_were_chosen_become_scores_and_words_columns():
    pool = chosen(
        {"width": 16, "pool": True, "op": "conv", "fixed": 3, "word": "same"},
        {"width": 64, "pool": False, "op": "skip", "fixed": 3, "word": "same"},
        {"width": 32, "pool": True, "op": None, "fixed": 3, "word": "same"},
        {"pool": True, "op": "conv", "fixed": 3, "word": "same"},
    )
    places = place(pool, scale_of(pool))
    assert places.n_choices == 3
    score = stats.norm.ppf(np.array([0.5, 2.5, 1.5]) / 3)
    expected = [
        [score[0], 1, 0, 0, 1],  # width; op = conv, skip; pool = False, True
        [score[1], 0, 1, 1, 0],
        [score[2], 0, 0, 0, 1],
        [0, 1, 0, 0, 1],
    ]
    np.testing.assert_allclose(places.choices, expected, atol=TOLERANCE)
    stranger = place(chosen({"width": 999, "pool": "never seen", "op": "skip"}), scale_of(pool))
    np.testing.assert_allclose(stranger.choices, [[score[1], 0, 1, 0, 0]], atol=TOLERANCE)


def test_a_choice_of_some_candidates_alone_tells_them_from_the_others():
    pool = chosen({"fc.depth": 2}, {"fc.depth": 2}, {"cnn.depth": 2}, {})
    assert place(pool, scale_of(pool)).n_choices == 2
    alike = chosen({"depth": 2}, {"depth": 2})
    assert place(alike, scale_of(alike)).choices.shape == (2, 0)


def test_capacity_is_the_mean_rank_of_what_grows_with_it():
    rng = np.random.default_rng(0)
    features = [
        dict(zip(("log10_params", "naswot", "other"), map(float, r), strict=True)) for r in rng.normal(size=(9, 3))
    ]
    pool = [Candidate(f"{i}", f) for i, f in enumerate(features)]
    places = place(pool, scale_of(pool))
    ranks = [stats.rankdata([f[name] for f in features]) for name in ("log10_params", "naswot")]
    mean = stats.rankdata(np.mean(ranks, axis=0))
    np.testing.assert_allclose(places.capacity, stats.norm.ppf((mean - 0.5) / 9), atol=TOLERANCE)
    others = [Candidate(f"{i}", {"other": float(i)}) for i in range(4)]
    assert not place(others, scale_of(others)).capacity.any()
    with_none = place([*pool, Candidate("none")], scale_of(pool)).capacity
    assert abs(with_none[-1]) < 0.5  # nothing is known of it: in the middle


def test_a_part_of_places_is_those_of_a_part():
    pool = [Candidate(f"{i}", {"depth": float(i)}, "ab"[i % 2], {"pool": bool(i % 3)}) for i in range(7)]
    scale = scale_of(pool)
    part, few = place(pool, scale).part([4, 1]), place([pool[4], pool[1]], scale)
    assert len(part) == 2
    for name in ("x", "choices", "capacity", "groups"):
        np.testing.assert_array_equal(getattr(part, name), getattr(few, name))
    assert (part.n_choices, part.has_groups) == (few.n_choices, few.has_groups)


def test_the_order_is_that_of_digests_and_twins_are_refused():
    pool = pool_of([1.0, 2.0, 3.0])
    assert in_fixed_order(pool[::-1]) == pool
    with pytest.raises(InvalidInputError, match="'001' is given twice"):
        in_fixed_order([*pool, pool[1]])
