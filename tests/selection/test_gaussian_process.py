"""One Gaussian process: against element-wise kernels, scikit-learn's own, deletion of points, integrals."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from scipy import integrate, stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern

from nas_sens.selection.gaussian_process import fit_member, whitened
from nas_sens.selection.kernel import Member, kernel, prior_variance, same_group

RTOL = 1e-8
MEMBERS = [
    Member(),
    Member((1,), 0.4),
    Member((0, 1, 2), 0.1, 0.3, 2.0),
    Member((0, 2), 0.7, 0.8, 1.0),
]


def sample(n=7, p=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, p)), rng.integers(0, 3, n), rng.normal(size=n), rng.uniform(0, 0.3, n)


def kernel_by_elements(member, a, b, ga, gb, has_groups):
    """The sum of kernels, one pair at a time."""
    out = np.empty((len(a), len(b)))
    for i in range(len(a)):
        for j in range(len(b)):
            value = 1.0 + (1.0 if has_groups and ga[i] == gb[j] else 0.0)
            if member.columns:
                d = len(member.columns)
                dot = sum(a[i, c] * b[j, c] for c in member.columns) / d
                distance = math.sqrt(sum((a[i, c] - b[j, c]) ** 2 for c in member.columns) / d) / member.length
                r = math.sqrt(5) * distance
                within = 1.0 if not has_groups or ga[i] == gb[j] else 0.5
                value += (1 - member.residual) * (1 - member.smooth) * dot * within
                value += (1 - member.residual) * member.smooth * (1 + r + r * r / 3) * math.exp(-r)
            out[i, j] = value
    return out


@pytest.mark.parametrize("has_groups", [False, True])
@pytest.mark.parametrize("member", MEMBERS)
def test_the_kernel_is_the_sum_of_its_parts(member, has_groups):
    (a, ga, _, _), (b, gb, _, _) = sample(5), sample(4, seed=1)
    same = same_group(ga, gb) if has_groups else None
    expected = kernel_by_elements(member, a, b, ga, gb, has_groups)
    np.testing.assert_allclose(kernel(member, a, b, same), expected, rtol=RTOL)
    diagonal = np.diag(kernel_by_elements(member, a, a, ga, ga, has_groups))
    np.testing.assert_allclose(prior_variance(member, a, has_groups=has_groups), diagonal, rtol=RTOL)


def log_evidence_and_variance(covariance, z):
    """Integrate σ² out by hand: 1/σ² ~ Gamma(1, rate 1), z | σ² ~ N(0, σ² K)."""
    n = len(z)

    def joint(s2):
        return stats.invgamma(1, scale=1).pdf(s2) * stats.multivariate_normal(np.zeros(n), s2 * covariance).pdf(z)

    evidence = integrate.quad(joint, 0, np.inf, limit=200)[0]
    moment = integrate.quad(lambda s2: s2 * joint(s2), 0, np.inf, limit=200)[0]
    return math.log(evidence), moment / evidence


@pytest.mark.parametrize("member", MEMBERS)
def test_leaving_one_out_is_as_if_it_had_never_been_there(member):
    x, groups, z, v = sample(5)
    one = fit_member(member, x, groups, z, v, has_groups=True)
    covariance = kernel_by_elements(member, x, x, groups, groups, True) + np.diag(member.residual + v)
    whole, variance = log_evidence_and_variance(covariance, z)
    assert one.variance == pytest.approx(variance, rel=1e-5)
    assert one.log_evidence == pytest.approx(whole, rel=1e-5)
    log_density = 0.0
    for i in range(5):
        rest = [j for j in range(5) if j != i]
        without = covariance[np.ix_(rest, rest)]
        log_density += whole - log_evidence_and_variance(without, z[rest])[0]
    assert one.log_density == pytest.approx(log_density, rel=1e-5)


@pytest.mark.parametrize("member", MEMBERS[1:])
def test_predictions_are_those_of_scikit_learn(member):
    x, groups, z, v = sample(8)
    new = sample(6, seed=2)[0]
    one = fit_member(member, x, groups, z, v, has_groups=False)
    d = len(member.columns)
    columns = list(member.columns)
    theirs = (
        ConstantKernel(1.0)
        + ConstantKernel(member.slopes_share / d) * DotProduct(sigma_0=1e-9)
        + ConstantKernel(member.smooth_share or 1e-300) * Matern(member.length * math.sqrt(d), nu=2.5)
    )
    model = GaussianProcessRegressor(theirs, alpha=member.residual + v, optimizer=None).fit(x[:, columns], z)
    mean, sd = model.predict(new[:, columns], return_std=True)
    k = kernel(member, new, x, None)
    np.testing.assert_allclose(k @ one.alpha, mean, rtol=1e-6)
    variance = prior_variance(member, new, has_groups=False) - (whitened(one.factor, k) ** 2).sum(axis=0)
    np.testing.assert_allclose(variance, sd**2, rtol=1e-6)


def predictions_with_fifty_digits(covariance, cross, diagonal, z):
    """Mean and variance of every candidate, from the same covariances as the process has them."""
    n = len(z)
    with mpmath.workdps(50):
        factor = mpmath.cholesky(mpmath.matrix(covariance.tolist()))

        def white(b):
            out = []
            for i in range(n):
                out.append((mpmath.mpf(b[i]) - mpmath.fsum(factor[i, j] * out[j] for j in range(i))) / factor[i, i])
            return out

        outcomes, columns = white(z), [white(row) for row in cross]
        means = [float(mpmath.fdot(column, outcomes)) for column in columns]
        return means, [float(d - mpmath.fdot(c, c)) for d, c in zip(diagonal, columns, strict=True)]


@pytest.mark.parametrize(("residual", "digits"), [(1e-6, 1e-10), (1e-10, 1e-6)])
def test_points_that_nearly_coincide_cost_an_inverse_the_digits_that_the_factor_keeps(residual, digits):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(25, 2))
    x = np.vstack([x, x + 1e-3 * rng.normal(size=x.shape)])
    z, new, groups = np.sin(2 * x[:, 0]) + x[:, 1] / 2, rng.normal(size=(6, 2)), np.zeros(50, dtype=int)
    member = Member((0, 1), residual, 0.8, 2.0)
    covariance, cross = kernel(member, x, x, None) + residual * np.eye(50), kernel(member, new, x, None)
    diagonal = prior_variance(member, new, has_groups=False)
    exact = predictions_with_fifty_digits(covariance, cross, diagonal, z)

    def errors(means, variances):
        return [np.abs(found - truth).max() for found, truth in zip((means, variances), exact, strict=True)]

    one = fit_member(member, x, groups, z, np.zeros(50), has_groups=False)
    mean, variance = errors(cross @ one.alpha, diagonal - (whitened(one.factor, cross) ** 2).sum(axis=0))
    inverse = np.linalg.inv(covariance)
    mean_by_inverse, variance_by_inverse = errors(
        cross @ (inverse @ z), diagonal - ((cross @ inverse) * cross).sum(axis=1)
    )
    assert mean < digits
    assert variance < digits / 100
    assert mean_by_inverse > 30 * mean
    assert variance_by_inverse > 1000 * variance
    assert variance_by_inverse > digits
