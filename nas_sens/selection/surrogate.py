"""A regression that a handful of trained networks can carry: Gaussian processes averaged by how well they predict.

The members (see ``gaussian_process``) differ in the features that they look at (all, one or none), in the share of the
residual, and in share and length of the smooth part. Nothing is optimised: with ten points a maximum of the likelihood
is an accident, while an average over a grid is not. So useless features are noticed, few points make lines, and more
points bend them.

Members are weighted by the geometric mean of two densities, both in closed form: the marginal likelihood, which is
right if a member is, and the leave-one-out predictive density (pseudo-Bayesian model averaging; Yao et al. 2018,
arXiv:1704.02030), which is right if none is but which few points make erratic. In simulated pools of many kinds (lines,
curves, interactions, families, useless features) the mean of the two ranked about as well as the better one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .gaussian_process import Fit, fit_member, fit_members, precisions, whitened
from .kernel import OWN_SLOPES, Array, Groups, Member, kernel, prior_variance, same_group

# Shares of a unit of prior variance; what the residual leaves is split between slopes and the smooth function.
RESIDUALS = (0.7, 0.4, 0.2, 0.1, 0.03)
SMOOTHS = (0.0, 0.3, 0.8)
LENGTHS = (1.0, 2.0)  # in root mean squared distance per feature, whose standard deviation is about 1
MOST_MEMBERS, MOST_WEIGHT = 30, 0.98  # those that predictions are averaged over


@dataclass(frozen=True)
class Surrogate:
    """The average.

    Attributes:
        x: Features of the trained candidates, shape (n, p).
        groups: Their families, shape (n,).
        has_groups: Whether the pool has more than one family.
        fits: The m members that count.
        weights: Their weights, which sum to 1, shape (m,).
    """

    x: Array
    groups: Groups
    has_groups: bool
    fits: tuple[Fit, ...]
    weights: Array


def fit(x: Array, groups: Groups, z: Array, v: Array, *, has_groups: bool) -> Surrogate:
    """Return the average fitted to trained candidates.

    Time grows as p·n³ and memory as n², for n trained candidates with p features.

    Args:
        x: Features, shape (n, p).
        groups: Family numbers, shape (n,).
        z: Warped outcomes, shape (n,), n ≥ 2.
        v: Their variances by measurement, shape (n,).
        has_groups: Whether the pool has more than one family.
    """
    grid, log_prior = members(x.shape[1], has_groups=has_groups)
    # Factors are not kept: there may be hundreds of members.
    scores = [_score(one) for one in fit_members(grid, x, groups, z, v, has_groups=has_groups)]
    weights = _normalized(np.array(scores) + log_prior)
    order = np.argsort(-weights, kind="stable")
    n_kept = min(MOST_MEMBERS, 1 + int(np.searchsorted(np.cumsum(weights[order]), MOST_WEIGHT)))
    kept = order[:n_kept]
    return Surrogate(
        x=x,
        groups=groups,
        has_groups=has_groups,
        fits=tuple(fit_member(grid[i], x, groups, z, v, has_groups=has_groups) for i in kept),
        weights=weights[kept] / weights[kept].sum(),
    )


def members(n_features: int, *, has_groups: bool) -> tuple[list[Member], Array]:
    """Return the grid and its log prior: no feature, one and all are equally likely; the first looks at none."""
    none = [Member(), *(Member(residual=r) for r in RESIDUALS if has_groups)]
    one = [m for j in range(n_features) for m in _shapes((j,))]
    every = _shapes(tuple(range(n_features))) if n_features > 1 else []
    grid, log_prior = [], []
    for kind in (none, one, every):
        grid += kind
        log_prior += [-np.log(max(1, len(kind)))] * len(kind)
    return grid, np.array(log_prior)


def _shapes(columns: tuple[int, ...]) -> list[Member]:
    """Return all members that look at some features."""
    smooths = [(0.0, LENGTHS[0]), *((s, length) for s in SMOOTHS if s for length in LENGTHS)]
    return [Member(columns, residual, smooth, length) for smooth, length in smooths for residual in RESIDUALS]


def cross(surrogate: Surrogate, one: Fit, x: Array, groups: Groups) -> Array:
    """Return a member's prior covariance between candidates and the trained ones, shape (N, n)."""
    same = same_group(groups, surrogate.groups) if surrogate.has_groups else None
    return kernel(one.member, x, surrogate.x, same)


def posterior(surrogate: Surrogate, x: Array, groups: Groups) -> tuple[Array, Array]:
    """Return mean and variance of what the features explain, without residual, of every member: shapes (m, N).

    Args:
        surrogate: The average.
        x: Features of candidates, shape (N, p).
        groups: Their families, shape (N,).
    """
    means, variances = np.empty((2, len(surrogate.fits), len(x)))
    for i, one in enumerate(surrogate.fits):
        for part in _chunks(len(x)):
            k = cross(surrogate, one, x[part], groups[part])
            explained = (whitened(one.factor, k) ** 2).sum(axis=0)
            rest = prior_variance(one.member, x[part], has_groups=surrogate.has_groups) - explained
            means[i, part], variances[i, part] = k @ one.alpha, np.maximum(rest, 0.0) * one.variance
    return means, variances


def left_out_means(surrogate: Surrogate, z: Array) -> Array:
    """Return what is expected of each trained candidate's outcome by the others alone, by all members, shape (n,).

    Args:
        surrogate: The average, whose weights know all of them.
        z: The warped outcomes that it was fitted to, shape (n,).
    """
    return np.asarray(surrogate.weights @ np.array([z - one.alpha / precisions(one.factor) for one in surrogate.fits]))


def posterior_covariances(surrogate: Surrogate, x: Array, groups: Groups) -> Callable[[int], Array]:
    """Return a function from the number of one candidate to the covariances (m, N) of all of them with it.

    Like variances of :func:`posterior` they are of what the features explain. Keeps m·N·n numbers in memory.
    """
    white = [whitened(one.factor, cross(surrogate, one, x, groups)) for one in surrogate.fits]

    def with_one(j: int) -> Array:
        same = same_group(groups, groups[j : j + 1]) if surrogate.has_groups else None
        rows = [
            one.variance * (kernel(one.member, x, x[j : j + 1], same)[:, 0] - w[:, j] @ w)
            for one, w in zip(surrogate.fits, white, strict=True)
        ]
        return np.array(rows)

    return with_one


def residual_variances(surrogate: Surrogate) -> Array:
    """Return the variance of an outcome that no feature explains, of every member, shape (m, 1)."""
    return np.array([[one.member.residual * one.variance] for one in surrogate.fits])


def mixture(weights: Array, means: Array, variances: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation (N,) of an average of distributions (m, N)."""
    mean = weights @ means
    spread = (means - mean) ** 2
    return mean, np.sqrt(weights @ (variances + spread))


def slope(j: int, x: Array, groups: Groups, z: Array, v: Array, *, has_groups: bool) -> tuple[float, float]:
    """Return posterior mean and standard deviation of the slope of z on one feature alone, within families.

    Of several families it is the mean over the trained candidates of the slopes of their families. The members are
    those with slopes of this feature and nothing else; see :func:`fit` for the arguments.
    """
    grid = [m for m in _shapes((j,)) if not m.smooth]
    fits = [fit_member(m, x, groups, z, v, has_groups=has_groups) for m in grid]
    # The slope of family g is a common one plus its own, with variances 1 - own and own in units of the slopes' share.
    own = OWN_SLOPES if has_groups else 0.0
    shares = same_group(groups, groups).mean(axis=1)  # of the trained candidates, in the family of each
    prior = 1 - own + own * shares.mean()
    covariance = x[:, j] * (1 - own + own * shares)
    means, variances = np.empty((2, len(fits), 1))
    for i, one in enumerate(fits):
        share = one.member.slopes_share
        means[i] = share * covariance @ one.alpha
        explained = share**2 * (whitened(one.factor, covariance[None]) ** 2).sum()
        variances[i] = max(0.0, share * prior - explained) * one.variance
    weights = _normalized(np.array([_score(one) for one in fits]))
    mean, sd = mixture(weights, means, variances)
    return float(mean[0]), float(sd[0])


def _score(one: Fit) -> float:
    """Return the log of a member's weight before the prior."""
    return (one.log_density + one.log_evidence) / 2


def _normalized(log_weights: Array) -> Array:
    weights = np.exp(log_weights - log_weights.max())
    return np.asarray(weights / weights.sum())


def _chunks(n: int, size: int = 4096) -> list[slice]:
    return [slice(i, i + size) for i in range(0, n, size)]
