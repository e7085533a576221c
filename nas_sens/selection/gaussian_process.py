"""One Gaussian process on candidates, in closed form.

Symbol, meaning, shape:

    z, v     warped outcomes, their variances by measurement                                       (n,), (n,)
    μ        what the member expects of them before anything is known                              (n,)
    K        prior covariance of the outcomes, in units of the scale σ²                            (n, n)
    L        Cholesky factor of K = L Lᵀ, lower triangular                                         (n, n)
    α        K⁻¹ (z − μ)                                                                           (n,)

K is a sum of kernels (see ``kernel``) and of the variances v. σ² has an inverse-gamma prior and is integrated out,
which makes predictions Student's t. K is factored and never inverted (Rasmussen & Williams 2006, algorithm 2.1), which
keeps the digits of small variances where points nearly coincide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from .kernel import Array, Kernels, Member, prior_mean
from .places import Places

PRIOR_SHAPE, PRIOR_RATE = 1.0, 1.0  # of 1/σ²: two observations' worth of "outcomes on this scale have variance 1"


@dataclass(frozen=True)
class Fit:
    """A Gaussian process that knows the trained candidates.

    Attributes:
        member: What it assumes.
        factor: L, shape (n, n); what is above its diagonal means nothing.
        alpha: K⁻¹ (z − μ), shape (n,).
        variance: Variance of an outcome per unit of prior variance: the variance of the t distribution of σ².
        log_evidence: Log marginal likelihood, the density of all outcomes together.
    """

    member: Member
    factor: Array
    alpha: Array
    variance: float
    log_evidence: float


def fit_members(members: Iterable[Member], places: Places, z: Array, v: Array) -> Iterator[Fit]:
    """Yield :func:`fit_member` of every member; what their kernels share is computed once."""
    kernels = Kernels(places, places)
    for member in members:
        yield _fit(member, kernels.of(member), z - prior_mean(member, places), v)


def fit_member(member: Member, places: Places, z: Array, v: Array) -> Fit:
    """Return one process that knows the trained candidates, and how well it foretold them.

    Args:
        member: What it assumes.
        places: Where the trained candidates stand, n of them; without any it is the prior.
        z: Warped outcomes, shape (n,).
        v: Their variances by measurement, shape (n,).
    """
    return next(fit_members([member], places, z, v))


def _fit(member: Member, prior: Array, unexpected: Array, v: Array) -> Fit:
    from scipy.linalg import lapack  # takes time to import, which few commands need

    n = unexpected.size
    dof = 2 * PRIOR_SHAPE + n
    if not n:
        return Fit(member, np.zeros((0, 0)), np.zeros(0), 1.0, 0.0)
    prior[np.diag_indices(n)] += member.residual + v
    # Of hundreds of small matrices, SciPy's own functions would take three times as long to check as to factor.
    factor, failed = lapack.dpotrf(prior.T, lower=1, clean=0, overwrite_a=1)
    if failed:
        raise np.linalg.LinAlgError(f"the prior covariance is not positive definite (leading minor {failed})")
    alpha, _ = lapack.dpotrs(factor, unexpected, lower=1)
    rate = PRIOR_RATE + unexpected @ alpha / 2
    return Fit(
        member=member,
        factor=factor,
        alpha=alpha,
        variance=float(2 * rate / (dof - 2)),
        log_evidence=float(
            gammaln(dof / 2)
            - gammaln(PRIOR_SHAPE)
            + PRIOR_SHAPE * np.log(PRIOR_RATE)
            - dof / 2 * np.log(rate)
            - n / 2 * np.log(2 * np.pi)
            - np.log(np.diagonal(factor)).sum()
        ),
    )


def precisions(factor: Array) -> Array:
    """Return the diagonal of K⁻¹, shape (n,), as sums of squares of L⁻¹."""
    from scipy import linalg

    return np.asarray(np.diagonal(linalg.lapack.dpotri(factor, lower=1)[0]))


def whitened(factor: Array, cross: Array) -> Array:
    """Return L⁻¹ kᵀ (n, N) for covariances k (N, n) with the trained candidates: products of columns are k K⁻¹ kᵀ."""
    from scipy.linalg import lapack

    if not len(factor) or not len(cross):
        return np.zeros((len(factor), len(cross)))
    return np.asarray(lapack.dtrtrs(factor, cross.T, lower=1)[0])
