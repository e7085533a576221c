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
from nas_sens.selection.kernel import CHOICES, FEATURES, TREND_SD, Kernels, Member, prior_mean, prior_variance
from nas_sens.selection.places import Places

RTOL = 1e-8
MEMBERS = [
    Member(),
    Member((1,), 0.4),
    Member((FEATURES,), 0.1, 0.3, 2.0),
    Member((CHOICES,), 0.7, 0.8, 1.0),
    Member((FEATURES, CHOICES), 0.3, 0.5, 1.5, trend=0.9),
    Member((2,), 0.2, 0.5, 1.5, trend=-0.7, along=2),
    Member((), 0.5, trend=0.9),
]
N_CHOICES = 2  # a number, and a word of three


def sample(n=7, p=3, seed=0, has_groups=True):
    """Places of n candidates, their outcomes and the variances of these."""
    rng = np.random.default_rng(seed)
    places = Places(
        x=rng.normal(size=(n, p)),
        choices=np.column_stack([rng.normal(size=n), np.eye(3)[rng.integers(0, 3, n)]]),
        n_choices=N_CHOICES,
        capacity=rng.normal(size=n),
        groups=rng.integers(0, 3, n),
        has_groups=has_groups,
    )
    return places, rng.normal(size=n), rng.uniform(0, 0.3, n)


def columns_by_hand(member, group, places):
    if group == FEATURES:
        return places.x, places.x.shape[1]
    return (places.choices, N_CHOICES) if group == CHOICES else (places.x[:, [group]], 1)


def trend_by_hand(member, places):
    return places.capacity if member.along is None else places.x[:, member.along]


def kernel_by_elements(member, a, b):
    """The sum of kernels, one pair at a time."""
    out = np.empty((len(a), len(b)))
    for i in range(len(a)):
        for j in range(len(b)):
            is_same = a.groups[i] == b.groups[j]
            value = 1.0 + (1.0 if a.has_groups and is_same else 0.0)
            within = 1.0 if not a.has_groups or is_same else 0.5
            for group in member.groups:
                (left, d), (right, _) = columns_by_hand(member, group, a), columns_by_hand(member, group, b)
                each = (1 - member.residual) / len(member.groups)
                dot = sum(u * v for u, v in zip(left[i], right[j], strict=True)) / d
                squared = sum((u - v) ** 2 for u, v in zip(left[i], right[j], strict=True)) / d
                r = math.sqrt(5 * squared) / member.length
                value += each * (1 - member.smooth) * dot * within
                value += each * member.smooth * (1 + r + r * r / 3) * math.exp(-r)
            if member.trend:
                product = trend_by_hand(member, a)[i] * trend_by_hand(member, b)[j]
                value += (1 - member.residual) * TREND_SD**2 * product
            out[i, j] = value
    return out


@pytest.mark.parametrize("has_groups", [False, True])
@pytest.mark.parametrize("member", MEMBERS)
def test_the_kernel_is_the_sum_of_its_parts(member, has_groups):
    (a, _, _), (b, _, _) = sample(5, has_groups=has_groups), sample(4, seed=1, has_groups=has_groups)
    np.testing.assert_allclose(Kernels(a, b).of(member), kernel_by_elements(member, a, b), rtol=RTOL)
    np.testing.assert_allclose(prior_variance(member, a), np.diag(kernel_by_elements(member, a, a)), rtol=RTOL)


def test_kernels_share_parts_and_leave_them_as_they_are():
    (a, _, _), (b, _, _) = sample(5), sample(4, seed=1)
    shared = Kernels(a, b)
    for member in (*MEMBERS, *MEMBERS):
        np.testing.assert_array_equal(shared.of(member), Kernels(a, b).of(member))


def test_a_trend_expects_smaller_outcomes_of_larger_ones():
    places, _, _ = sample()
    capacity = Member((), 0.36, trend=0.5)
    np.testing.assert_allclose(prior_mean(capacity, places), -0.5 * 0.8 * places.capacity, rtol=RTOL)
    other_way = Member((1,), 0.19, trend=-0.5, along=1)
    np.testing.assert_allclose(prior_mean(other_way, places), 0.5 * 0.9 * places.x[:, 1], rtol=RTOL)
    assert not prior_mean(Member((1,), 0.2), places).any()


def log_evidence_and_variance(covariance, z):
    """Integrate σ² out by hand: 1/σ² ~ Gamma(1, rate 1), z | σ² ~ N(0, σ² K)."""
    n = len(z)

    def joint(s2):
        return stats.invgamma(1, scale=1).pdf(s2) * stats.multivariate_normal(np.zeros(n), s2 * covariance).pdf(z)

    evidence = integrate.quad(joint, 0, np.inf, limit=200)[0]
    moment = integrate.quad(lambda s2: s2 * joint(s2), 0, np.inf, limit=200)[0]
    return math.log(evidence), moment / evidence


@pytest.mark.parametrize("member", MEMBERS)
def test_evidence_and_variance_are_integrals_over_the_scale(member):
    places, z, v = sample(5)
    one = fit_member(member, places, z, v)
    covariance = kernel_by_elements(member, places, places) + np.diag(member.residual + v)
    unexpected = z + member.trend * math.sqrt(1 - member.residual) * trend_by_hand(member, places)
    whole, variance = log_evidence_and_variance(covariance, unexpected)
    assert one.variance == pytest.approx(variance, rel=1e-5)
    assert one.log_evidence == pytest.approx(whole, rel=1e-5)


def test_without_anything_trained_a_fit_is_its_prior():
    places, z, v = sample(5)
    nothing = fit_member(MEMBERS[4], places.part(slice(0, 0)), z[:0], v[:0])
    assert (nothing.variance, nothing.log_evidence) == (1.0, 0.0)
    assert whitened(nothing.factor, np.zeros((5, 0))).shape == (0, 5)


@pytest.mark.parametrize("member", [MEMBERS[1], MEMBERS[2]])
def test_predictions_are_those_of_scikit_learn(member):
    places, z, v = sample(8, has_groups=False)
    new = sample(6, seed=2, has_groups=False)[0]
    one = fit_member(member, places, z, v)
    (x, d), (x_new, _) = (columns_by_hand(member, member.groups[0], p) for p in (places, new))
    share = 1 - member.residual
    theirs = (
        ConstantKernel(1.0)
        + ConstantKernel(share * (1 - member.smooth) / d) * DotProduct(sigma_0=1e-9)
        + ConstantKernel(share * member.smooth or 1e-300) * Matern(member.length * math.sqrt(d), nu=2.5)
    )
    model = GaussianProcessRegressor(theirs, alpha=member.residual + v, optimizer=None).fit(x, z)
    mean, sd = model.predict(x_new, return_std=True)
    k = Kernels(new, places).of(member)
    np.testing.assert_allclose(k @ one.alpha, mean, rtol=1e-6)
    variance = prior_variance(member, new) - (whitened(one.factor, k) ** 2).sum(axis=0)
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
    z, member = np.sin(2 * x[:, 0]) + x[:, 1] / 2, Member((FEATURES,), residual, 0.8, 2.0)
    known, new = (
        Places(
            x=rows,
            choices=np.zeros((len(rows), 0)),
            n_choices=0,
            capacity=np.zeros(len(rows)),
            groups=np.zeros(len(rows), dtype=int),
            has_groups=False,
        )
        for rows in (x, rng.normal(size=(6, 2)))
    )
    covariance, cross = Kernels(known, known).of(member) + residual * np.eye(50), Kernels(new, known).of(member)
    diagonal = prior_variance(member, new)
    exact = predictions_with_fifty_digits(covariance, cross, diagonal, z)

    def errors(means, variances):
        return [np.abs(found - truth).max() for found, truth in zip((means, variances), exact, strict=True)]

    one = fit_member(member, known, z, np.zeros(50))
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
