"""The average of Gaussian processes: against one by one, weight-space regression, and fits from scratch."""

from __future__ import annotations

import numpy as np
import pytest

from nas_sens.selection.gaussian_process import fit_member
from nas_sens.selection.kernel import Member, kernel, same_group
from nas_sens.selection.surrogate import (
    LENGTHS,
    MOST_MEMBERS,
    RESIDUALS,
    fit,
    members,
    mixture,
    posterior,
    posterior_covariances,
    slope,
)

RTOL = 1e-8


def sample(n=9, p=3, seed=0, n_groups=3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p))
    return x, rng.integers(0, n_groups, n), x[:, 0] + 0.3 * rng.normal(size=n), rng.uniform(0, 0.2, n)


def test_no_feature_one_and_all_are_equally_likely():
    grid, log_prior = members(4, has_groups=True)
    prior = np.exp(log_prior)
    assert grid[0] == Member()
    assert grid[0].residual == 1
    for count in (0, 1, 4):
        assert sum(p for m, p in zip(grid, prior, strict=True) if len(m.columns) == count) == pytest.approx(1)
    assert {m.columns for m in grid} == {(), (0,), (1,), (2,), (3,), (0, 1, 2, 3)}
    assert len(set(grid)) == len(grid)
    assert len(members(1, has_groups=False)[0]) == 1 + len(RESIDUALS) * (1 + 2 * len(LENGTHS))
    assert members(0, has_groups=False)[0] == [Member()]
    assert {m.residual for m in members(0, has_groups=True)[0]} == {1.0, *RESIDUALS}


def test_members_are_weighted_by_evidence_and_by_what_they_predict_of_points_left_out():
    x, groups, z, v = sample(n=30)
    average = fit(x, groups, z, v, has_groups=True)
    grid, log_prior = members(3, has_groups=True)
    fits = [fit_member(m, x, groups, z, v, has_groups=True) for m in grid]
    weights = np.exp([(f.log_density + f.log_evidence) / 2 + p for f, p in zip(fits, log_prior, strict=True)])
    weights /= weights.sum()
    assert len(average.fits) <= MOST_MEMBERS
    kept = {f.member: w for f, w in zip(average.fits, average.weights, strict=True)}
    assert sum(kept.values()) == pytest.approx(1)
    by_weight = sorted(zip(weights, grid, strict=True), key=lambda pair: -pair[0])[: len(kept)]
    total = sum(w for w, _ in by_weight)
    for weight, member in by_weight:
        assert kept[member] == pytest.approx(weight / total)


def test_a_feature_that_decides_is_found_and_useless_ones_are_noticed():
    x, groups, z, v = sample(n=25)
    average = fit(x, groups, z, v, has_groups=False)
    assert all(one.member.columns for one in average.fits)
    assert average.fits[0].member.columns == (0,)
    average = fit(x, groups, np.random.default_rng(5).normal(size=25), v, has_groups=False)
    assert sum(w for one, w in zip(average.fits, average.weights, strict=True) if not one.member.columns) > 0.3


@pytest.mark.parametrize("has_groups", [False, True])
def test_mean_variance_and_covariance_of_the_posterior(has_groups):
    x, groups, z, v = sample()
    new, new_groups, _, _ = sample(6, seed=3)
    average = fit(x, groups, z, v, has_groups=has_groups)
    means, variances = posterior(average, new, new_groups)
    covariances = posterior_covariances(average, new, new_groups)
    for i, one in enumerate(average.fits):

        def k(a, b, ga, gb, one=one):
            return kernel(one.member, a, b, same_group(ga, gb) if has_groups else None)

        known = k(x, x, groups, groups) + np.diag(one.member.residual + v)
        cross = k(new, x, new_groups, groups)
        expected = one.variance * (k(new, new, new_groups, new_groups) - cross @ np.linalg.solve(known, cross.T))
        np.testing.assert_allclose(means[i], cross @ np.linalg.solve(known, z), rtol=RTOL, atol=RTOL)
        np.testing.assert_allclose(variances[i], np.diag(expected), rtol=1e-6)
        for j in range(6):
            np.testing.assert_allclose(covariances(j)[i], expected[:, j], rtol=1e-6, atol=RTOL)


def test_many_candidates_are_predicted_in_parts_as_at_once():
    x, groups, z, v = sample()
    average = fit(x, groups, z, v, has_groups=True)
    many, many_groups, _, _ = sample(5000, seed=4)
    means, variances = posterior(average, many, many_groups)
    for part in (slice(0, 10), slice(4090, 4100), slice(4990, 5000)):
        few = posterior(average, many[part], many_groups[part])
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
    x, groups, z, v = sample(n=12, n_groups=2)
    for j in range(2):
        means, variances, logs = [], [], []
        for residual in RESIDUALS:
            one = fit_member(Member((j,), residual), x, groups, z, v, has_groups=True)
            mean, variance = slope_by_weights(j, x, groups, z, v, residual)
            means.append(mean)
            variances.append(variance * one.variance)
            logs.append((one.log_density + one.log_evidence) / 2)
        weights = np.exp(np.array(logs) - max(logs))
        weights /= weights.sum()
        mean = weights @ means
        sd = np.sqrt(weights @ (np.array(variances) + (np.array(means) - mean) ** 2))
        np.testing.assert_allclose(slope(j, x, groups, z, v, has_groups=True), (mean, sd), rtol=1e-6)


def test_the_slope_of_a_line_is_found_and_its_uncertainty_shrinks():
    rng = np.random.default_rng(0)
    sds = []
    for n in (10, 40, 160):
        x = rng.normal(size=(n, 1))
        z = -0.8 * x[:, 0] + 0.6 * rng.normal(size=n)
        mean, sd = slope(0, x, np.zeros(n, dtype=int), z, np.zeros(n), has_groups=False)
        assert abs(mean + 0.8) < 3 * sd
        sds.append(sd)
    assert sds[0] > 1.5 * sds[1] > 2.25 * sds[2]


def test_what_is_measured_badly_counts_less():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(12, 1))
    z = x[:, 0].copy()
    z[0] += 5.0  # one that is far off
    groups = np.zeros(12, dtype=int)
    exact = fit(x, groups, z, np.zeros(12), has_groups=False)
    noisy = fit(x, groups, z, np.eye(12)[0] * 25.0, has_groups=False)

    def error(average):
        mean, _ = mixture(average.weights, *posterior(average, x, groups))
        return np.abs(mean[1:] - x[1:, 0]).mean()

    assert error(noisy) < 0.5 * error(exact)
