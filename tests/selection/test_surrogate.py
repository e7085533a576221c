"""The average of Gaussian processes: against one by one, weight-space regression, and fits from scratch."""

from __future__ import annotations

import numpy as np
import pytest

from nas_sens.selection.gaussian_process import fit_member
from nas_sens.selection.hypotheses import RESIDUALS, hypotheses
from nas_sens.selection.kernel import CHOICES, FEATURES, Kernels, Member, prior_mean
from nas_sens.selection.places import Places
from nas_sens.selection.surrogate import MOST_MEMBERS, fit, mixture, slope

RTOL = 1e-8
NAMES = ("log10_flops", "log10_sensitivity", "naswot")


def at(x, groups=None, choices=None, capacity=None):
    """Places by their features."""
    n = len(x)
    return Places(
        x=x,
        choices=np.zeros((n, 0)) if choices is None else choices,
        n_choices=0 if choices is None else choices.shape[1],
        capacity=np.zeros(n) if capacity is None else capacity,
        groups=np.zeros(n, dtype=int) if groups is None else groups,
        has_groups=groups is not None,
    )


def sample(n=9, seed=0, has_groups=True):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    groups = rng.integers(0, 3, n) if has_groups else None
    places = at(x, groups, rng.normal(size=(n, 2)), rng.normal(size=n))
    return places, x[:, 0] + 0.3 * rng.normal(size=n), rng.uniform(0, 0.2, n)


def test_every_hypothesis_is_there_and_larger_is_better_is_likelier_where_it_is_usual():
    grid, log_prior = hypotheses(NAMES, 2, has_groups=True)
    prior = np.exp(log_prior)
    looks = [(), (0,), (1,), (2,), (FEATURES,), (CHOICES,), (FEATURES, CHOICES)]
    assert list(dict.fromkeys(m.groups for m in grid)) == looks
    assert len(set(grid)) == len(grid)

    def probability(groups, sign):
        return sum(p for m, p in zip(grid, prior, strict=True) if m.groups == groups and np.sign(m.trend) == sign)

    for groups in looks:  # all that can be looked at are equally likely
        assert sum(probability(groups, sign) for sign in (-1, 0, 1)) == pytest.approx(1)
        odds = probability(groups, 1) / probability(groups, -1)
        assert odds == pytest.approx(1 if groups == (1,) else 2.5)
    along = {m.groups: m.along for m in grid if m.trend}
    assert along == {groups: groups[0] if groups in looks[1:4] else None for groups in looks}
    assert {m.residual for m in grid} == {*RESIDUALS}
    plain = hypotheses((), 0, has_groups=False)[0]
    assert plain[0] == Member()
    assert all(m.trend and not m.groups for m in plain[1:])
    assert {m.groups for m in hypotheses(("depth",), 0, has_groups=False)[0]} == {(), (0,)}
    assert {m.groups for m in hypotheses((), 3, has_groups=False)[0]} == {(), (CHOICES,)}


def test_members_are_weighted_by_prior_and_evidence():
    places, z, v = sample(n=30)
    average = fit(NAMES, places, z, v)
    grid, log_prior = hypotheses(NAMES, 2, has_groups=True)
    weights = np.exp([fit_member(m, places, z, v).log_evidence + p for m, p in zip(grid, log_prior, strict=True)])
    weights /= weights.sum()
    assert len(average.fits) <= MOST_MEMBERS
    kept = {f.member: w for f, w in zip(average.fits, average.weights, strict=True)}
    assert sum(kept.values()) == pytest.approx(1)
    by_weight = sorted(zip(weights, grid, strict=True), key=lambda pair: -pair[0])[: len(kept)]
    total = sum(w for w, _ in by_weight)
    for weight, member in by_weight:
        assert kept[member] == pytest.approx(weight / total)


def test_without_outcomes_all_hypotheses_speak_with_their_prior():
    places, z, v = sample(n=12)
    average = fit(NAMES, places.part(slice(0, 0)), z[:0], v[:0])
    grid, log_prior = hypotheses(NAMES, 2, has_groups=True)
    assert len(average.fits) == len(grid)
    means, variances = average.predict(places)
    expected = np.exp(log_prior) @ np.array([prior_mean(m, places) for m in grid]) / np.exp(log_prior).sum()
    np.testing.assert_allclose(average.weights @ means, expected, rtol=1e-6)
    assert (variances > 0).all()
    assert average.covariances(places)(3).shape == (len(grid), 12)


def test_outcomes_overrule_the_prior_in_a_few_trainings():
    """Where more capacity is worse, that is believed after eight trainings that say so clearly, whatever was usual."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 1))
    places = at(x, capacity=x[:, 0])
    for sign in (-1, 1):
        z = sign * x[:8, 0] + 0.2 * rng.normal(size=8)
        average = fit(("log10_params",), places.part(slice(0, 8)), z / z.std(), np.zeros(8))
        assert np.corrcoef(average.weights @ average.predict(places)[0], x[:, 0])[0, 1] * sign > 0.9


def test_a_feature_that_decides_is_found_and_useless_ones_are_noticed():
    places, z, v = sample(n=25, has_groups=False)
    average = fit(NAMES, places, z, v)
    by_look = {}
    for one, weight in zip(average.fits, average.weights, strict=True):
        by_look[one.member.groups] = by_look.get(one.member.groups, 0) + weight
    assert max(by_look, key=by_look.get) == (0,)
    assert by_look.get((), 0) < 0.01
    average = fit(NAMES, places, np.random.default_rng(5).normal(size=25), v)
    useless = sum(w for one, w in zip(average.fits, average.weights, strict=True) if one.member.residual >= 0.4)
    assert useless > 0.8


def test_a_choice_that_decides_is_found_where_no_feature_tells_it():
    rng = np.random.default_rng(2)
    pooled = rng.integers(0, 2, 30).astype(float)
    places = at(rng.normal(size=(30, 3)), choices=np.column_stack([pooled, 1 - pooled, rng.normal(size=30)]))
    z = 2 * pooled - 1 + 0.2 * rng.normal(size=30)
    average = fit(NAMES, places.part(slice(0, 14)), z[:14], np.zeros(14))
    assert sum(w for one, w in zip(average.fits, average.weights, strict=True) if CHOICES in one.member.groups) > 0.8
    predicted = average.weights @ average.predict(places.part(slice(14, 30)))[0]
    assert ((predicted > 0) == (pooled[14:] == 1)).all()


@pytest.mark.parametrize("has_groups", [False, True])
def test_mean_variance_and_covariance_of_the_posterior(has_groups):
    places, z, v = sample(has_groups=has_groups)
    new, _, _ = sample(6, seed=3, has_groups=has_groups)
    average = fit(NAMES, places, z, v)
    means, variances = average.predict(new)
    covariances = average.covariances(new)
    for i, one in enumerate(average.fits):
        known = Kernels(places, places).of(one.member) + np.diag(one.member.residual + v)
        cross = Kernels(new, places).of(one.member)
        unexpected = z - prior_mean(one.member, places)
        mean = prior_mean(one.member, new) + cross @ np.linalg.solve(known, unexpected)
        expected = one.variance * (Kernels(new, new).of(one.member) - cross @ np.linalg.solve(known, cross.T))
        np.testing.assert_allclose(means[i], mean, rtol=RTOL, atol=RTOL)
        np.testing.assert_allclose(variances[i], np.diag(expected), rtol=1e-6)
        assert average.residuals[i] == pytest.approx(one.variance * one.member.residual)
        for j in range(6):
            np.testing.assert_allclose(covariances(j)[i], expected[:, j], rtol=1e-6, atol=RTOL)


def test_what_the_others_say_of_one_is_a_fit_without_it():
    places, z, v = sample()
    average = fit(NAMES, places, z, v)
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        expected = 0.0
        for one, weight in zip(average.fits, average.weights, strict=True):
            left = fit_member(one.member, places.part(others), z[others], v[others])
            cross = Kernels(places.part([i]), places.part(others)).of(one.member)
            expected += weight * (prior_mean(one.member, places.part([i])) + cross @ left.alpha)[0]
        assert average.left_out_means(z)[i] == pytest.approx(expected, rel=1e-6)


def test_many_candidates_are_predicted_in_parts_as_at_once():
    places, z, v = sample()
    average = fit(NAMES, places, z, v)
    many, _, _ = sample(5000, seed=4)
    means, variances = average.predict(many)
    for part in (slice(0, 10), slice(4090, 4100), slice(4990, 5000)):
        few = average.predict(many.part(part))
        np.testing.assert_allclose(means[:, part], few[0], rtol=RTOL, atol=RTOL)
        np.testing.assert_allclose(variances[:, part], few[1], rtol=1e-6)


def test_a_mixture_has_the_moments_of_its_parts():
    rng = np.random.default_rng(0)
    weights, means, sds = np.array([0.2, 0.5, 0.3]), rng.normal(size=(3, 2)), rng.uniform(0.5, 2, (3, 2))
    which = rng.choice(3, size=400_000, p=weights)
    draws = means[which] + sds[which] * rng.normal(size=(400_000, 2))
    mean, sd = mixture(weights, means, sds**2)
    np.testing.assert_allclose(mean, draws.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(sd, draws.std(axis=0), rtol=0.02)


def slope_by_weights(j, x, groups, z, v, residual):
    """Bayesian regression on offset, family offsets, common slope and family slopes, in the space of their weights."""
    families = sorted(set(groups.tolist()))
    own = np.array([[float(g == f) for f in families] for g in groups])
    share = 1 - residual
    design = np.column_stack([np.ones(len(z)), own, x[:, j], own * x[:, [j]]])
    k = len(families)
    prior = np.array([1.0] + [1.0] * k + [0.5 * share] + [0.5 * share] * k)
    noise = residual + v
    precision = design.T @ (design / noise[:, None]) + np.diag(1 / prior)
    covariance = np.linalg.inv(precision)
    weights = covariance @ design.T @ (z / noise)
    functional = np.concatenate([np.zeros(1 + k), [1.0], own.mean(axis=0)])  # mean slope of the trained candidates
    return functional @ weights, functional @ covariance @ functional


def test_slopes_are_those_of_regression_in_weight_space():
    rng = np.random.default_rng(0)
    x, groups, v = rng.normal(size=(12, 3)), rng.integers(0, 2, 12), rng.uniform(0, 0.2, 12)
    z, places = x[:, 0] + 0.3 * rng.normal(size=12), at(x, groups)
    for j in range(2):
        means, variances, logs = [], [], []
        for residual in RESIDUALS:
            one = fit_member(Member((j,), residual), places, z, v)
            mean, variance = slope_by_weights(j, x, groups, z, v, residual)
            means.append(mean)
            variances.append(variance * one.variance)
            logs.append(one.log_evidence)
        weights = np.exp(np.array(logs) - max(logs))
        weights /= weights.sum()
        mean = weights @ means
        sd = np.sqrt(weights @ (np.array(variances) + (np.array(means) - mean) ** 2))
        np.testing.assert_allclose(slope(j, places, z, v), (mean, sd), rtol=1e-6)


def test_the_slope_of_a_line_is_found_and_its_uncertainty_shrinks():
    rng = np.random.default_rng(0)
    sds = []
    for n in (10, 40, 160):
        x = rng.normal(size=(n, 1))
        z = -0.8 * x[:, 0] + 0.6 * rng.normal(size=n)
        mean, sd = slope(0, at(x), z, np.zeros(n))
        assert abs(mean + 0.8) < 3 * sd
        sds.append(sd)
    assert sds[0] > 1.5 * sds[1] > 2.25 * sds[2]


def test_what_is_measured_badly_counts_less():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(12, 1))
    z, places = x[:, 0].copy(), at(x)
    z[0] += 5.0  # one that is far off
    exact = fit(("other",), places, z, np.zeros(12))
    noisy = fit(("other",), places, z, np.eye(12)[0] * 25.0)

    def error(average):
        return np.abs((average.weights @ average.predict(places)[0])[1:] - x[1:, 0]).mean()

    assert error(noisy) < 0.5 * error(exact)
