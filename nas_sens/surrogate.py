"""A regression that a handful of trained networks can carry: Gaussian processes averaged by how well they predict.

Symbol, meaning, shape:

    x, g     features on one scale, family number of each candidate                                (n, p), (n,)
    z, v     warped outcomes, their variances by measurement                                       (n,), (n,)
    K        prior covariance of the outcomes of a member, in units of its scale σ²                (n, n)
    α        K⁻¹ z                                                                                 (n,)

A member of the average says that an outcome is

    z = offset + offset of the family + slopes · x + slopes of the family · x + smooth function of x + residual

with normal priors, so that K is a sum of kernels: 1, [same family], shares of a linear and of a Matérn-5/2 kernel
(Rasmussen & Williams 2006, section 4.2), and the identity. Members differ in the features they look at (all, one or
none), in the share of the residual, and in share and length of the smooth part. σ² has an inverse-gamma prior and is
integrated out, which makes predictions Student's t. Nothing is optimised: with ten points a maximum of the likelihood
is an accident, while an average over a grid is not, and its members have a closed form. Members are weighted by their
leave-one-out predictive density (pseudo-Bayesian model averaging; Yao et al. 2018, arXiv:1704.02030), itself in closed
form (Rasmussen & Williams 2006, section 5.4.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.gaussian_process.kernels import Matern

Array = NDArray[np.float64]
Groups = NDArray[np.int64]

# Shares of a unit of prior variance; what the residual leaves is split between slopes and the smooth function.
RESIDUALS = (0.7, 0.4, 0.2, 0.1, 0.03)
SMOOTHS = (0.0, 0.3, 0.8)
LENGTHS = (1.0, 2.0)  # in root mean squared distance per feature, whose standard deviation is about 1
OWN_SLOPES = 0.5  # share of the slopes' variance that belongs to the families
PRIOR_SHAPE, PRIOR_RATE = 1.0, 1.0  # of 1/σ²: two observations' worth of "outcomes on this scale have variance 1"
MOST_MEMBERS, MOST_WEIGHT = 30, 0.98  # those that predictions are averaged over


@dataclass(frozen=True)
class Member:
    """One Gaussian process of the average.

    Attributes:
        columns: The features it looks at.
        residual: Share of the prior variance that no feature explains, in (0, 1].
        smooth: Share of the rest that is a smooth function rather than slopes, in [0, 1].
        length: Length scale of the smooth function.
    """

    columns: tuple[int, ...] = ()
    residual: float = 1.0
    smooth: float = 0.0
    length: float = 1.0

    @property
    def slopes_share(self) -> float:
        """Share of the prior variance that slopes have."""
        return (1 - self.residual) * (1 - self.smooth)

    @property
    def smooth_share(self) -> float:
        """Share of the prior variance that the smooth function has."""
        return (1 - self.residual) * self.smooth


@dataclass(frozen=True)
class Fit:
    """A member that knows the trained candidates.

    Attributes:
        member: What it assumes.
        inverse: K⁻¹, shape (n, n).
        alpha: K⁻¹ z, shape (n,).
        variance: Posterior mean of σ².
        left_out: Prediction of every trained candidate from the others, shape (n,).
        log_density: Leave-one-out log predictive density, summed over the trained candidates.
    """

    member: Member
    inverse: Array
    alpha: Array
    variance: float
    left_out: Array
    log_density: float


@dataclass(frozen=True)
class Surrogate:
    """The average.

    Attributes:
        x: Features of the trained candidates, shape (n, p).
        groups: Their families, shape (n,).
        has_groups: Whether there is more than one family in the pool.
        fits: The members that count.
        weights: Their weights, which sum to 1, shape (m,).
        slopes: Posterior mean and standard deviation of the slope of every feature alone, shape (p, 2).
        left_out: Prediction of every trained candidate from the others, shape (n,).
        null_weight: Weight of the member that looks at no feature, among all.
    """

    x: Array
    groups: Groups
    has_groups: bool
    fits: tuple[Fit, ...]
    weights: Array
    slopes: Array
    left_out: Array
    null_weight: float
