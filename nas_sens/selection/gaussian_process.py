"""One Gaussian process on the features of candidates, in closed form.

Symbol, meaning, shape:

    x, g     features on one scale, family number of each candidate                                (n, p), (n,)
    z, v     warped outcomes, their variances by measurement                                       (n,), (n,)
    K        prior covariance of the outcomes, in units of the scale σ²                            (n, n)
    L        Cholesky factor of K = L Lᵀ, lower triangular                                         (n, n)
    α        K⁻¹ z                                                                                 (n,)

K is a sum of kernels (see ``kernel``) and of the variances v. σ² has an inverse-gamma prior and is integrated out,
which makes predictions Student's t. K is factored and never inverted (Rasmussen & Williams 2006, algorithm 2.1), which
keeps the digits of small variances where points nearly coincide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from scipy.special import gammaln

from .kernel import Array, Groups, Member, feature_kernel, kernel, same_group

PRIOR_SHAPE, PRIOR_RATE = 1.0, 1.0  # of 1/σ²: two observations' worth of "outcomes on this scale have variance 1"


@dataclass(frozen=True)
class Fit:
    """A Gaussian process that knows the trained candidates.

    Attributes:
        member: What it assumes.
        factor: L, shape (n, n); what is above its diagonal means nothing.
        alpha: K⁻¹ z, shape (n,).
        variance: Variance of an outcome per unit of prior variance: the variance of the t distribution of σ².
        log_density: Leave-one-out log predictive density, summed over the trained candidates.
        log_evidence: Log marginal likelihood, the density of all of them together.
    """

    member: Member
    factor: Array
    alpha: Array
    variance: float
    log_density: float
    log_evidence: float


def fit_members(
    members: Iterable[Member], x: Array, groups: Groups, z: Array, v: Array, *, has_groups: bool
) -> Iterator[Fit]:
    """Yield :func:`fit_member` of every member; neighbours that differ in the residual alone share most of a kernel."""
    same = same_group(groups, groups) if has_groups else None
    for _, alike in groupby(members, key=lambda m: (m.columns, m.smooth, m.length)):
        features = None
        for member in alike:
            features = feature_kernel(member, x, x, same) if features is None else features
            yield _fit(member, kernel(member, x, x, same, features), z, v)


def fit_member(member: Member, x: Array, groups: Groups, z: Array, v: Array, *, has_groups: bool) -> Fit:
    """Return one process that knows the trained candidates, and how well it predicts each from the others.

    Args:
        member: What it assumes.
        x: Features, shape (n, p).
        groups: Family numbers, shape (n,).
        z: Warped outcomes, shape (n,), n ≥ 2.
        v: Their variances by measurement, shape (n,).
        has_groups: Whether the pool has more than one family.
    """
    return next(fit_members([member], x, groups, z, v, has_groups=has_groups))


def _fit(member: Member, prior: Array, z: Array, v: Array) -> Fit:
    from scipy import linalg  # takes time to import, which few commands need

    factor, _ = linalg.cho_factor(prior + np.diag(member.residual + v), lower=True, check_finite=False)
    alpha = linalg.cho_solve((factor, True), z, check_finite=False)
    precision = precisions(factor)
    # Without point i its residual is α_i / precision_i, and zᵀK⁻¹z loses α_i² / precision_i.
    residuals = alpha / precision
    rest = np.maximum(z @ alpha - alpha * residuals, 0.0)
    dof = 2 * PRIOR_SHAPE + z.size
    rate = PRIOR_RATE + z @ alpha / 2
    scale = np.sqrt((2 * PRIOR_RATE + rest) / (dof - 1) / precision)
    return Fit(
        member=member,
        factor=factor,
        alpha=alpha,
        variance=float(2 * rate / (dof - 2)),
        log_density=float(_log_t(residuals / scale, dof - 1).sum() - np.log(scale).sum()),
        log_evidence=float(
            gammaln(dof / 2)
            - gammaln(PRIOR_SHAPE)
            + PRIOR_SHAPE * np.log(PRIOR_RATE)
            - dof / 2 * np.log(rate)
            - z.size / 2 * np.log(2 * np.pi)
            - np.log(np.diagonal(factor)).sum()
        ),
    )


def precisions(factor: Array) -> Array:
    """Return the diagonal of K⁻¹, shape (n,), as sums of squares of L⁻¹."""
    from scipy import linalg

    return np.asarray(np.diagonal(linalg.lapack.dpotri(factor, lower=1)[0]))


def whitened(factor: Array, cross: Array) -> Array:
    """Return L⁻¹ kᵀ (n, N) for covariances k (N, n) with the trained candidates: products of columns are k K⁻¹ kᵀ."""
    from scipy.linalg import solve_triangular

    return np.asarray(solve_triangular(factor, cross.T, lower=True, check_finite=False))


def _log_t(t: Array, dof: float) -> Array:
    """Return the log density of Student's t, shape (n,)."""
    constant = gammaln((dof + 1) / 2) - gammaln(dof / 2) - np.log(dof * np.pi) / 2
    return np.asarray(constant - (dof + 1) / 2 * np.log1p(t**2 / dof))
