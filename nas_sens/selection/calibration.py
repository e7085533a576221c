"""What the features of candidates say about outcomes in this study: fitted on trained candidates, with uncertainty.

Sign and slope of sensitivity belong to the space, the data and the target. So they are not assumed but fitted, from the
first few trained candidates on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..core.errors import InvalidInputError
from .candidates import Array, Candidate, FeatureScale, family_numbers, feature_scale, in_fixed_order, normal_scores
from .learnt_part import learnt_part
from .outcome_scale import OutcomeScale, outcome_scale, unwarp, warp, warped_variance
from .surrogate import Surrogate, fit, mixture, posterior, residual_variances, slope

MIN_OUTCOMES = 2


@dataclass(frozen=True)
class Slope:
    """Change of the outcome with one feature, both in standard deviations, on the scales that they are fitted on.

    Attributes:
        mean: Posterior mean; negative if larger values go with smaller (better) outcomes.
        sd: Posterior standard deviation.
    """

    mean: float
    sd: float


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What is expected of N candidates.

    Attributes:
        x: Their features on the scale of the fit, shape (N, p).
        groups: Their family numbers, shape (N,).
        means: What the features explain of the warped outcome, by every member, shape (m, N).
        variances: Its variances, shape (m, N).
        mean: The outcome in its unit, by all members, shape (N,).
        sd: Its standard deviation, shape (N,).
    """

    x: Array
    groups: np.ndarray
    means: Array
    variances: Array
    mean: Array
    sd: Array


@dataclass(frozen=True)
class Calibration:
    """A fitted relation between features and outcome.

    Attributes:
        features: Scale of the features.
        outcomes: Scale of the outcomes.
        surrogate: The regression on these scales.
        warped: Warped outcomes of the trained candidates in order of their digests, shape (n,).
        variances: Their variances by measurement, shape (n,).
        learnt: Which of them the regression is fitted on (see `learnt_part`), in order.
    """

    features: FeatureScale
    outcomes: OutcomeScale
    surrogate: Surrogate
    warped: Array
    variances: Array
    learnt: np.ndarray

    def predict(self, candidates: Sequence[Candidate]) -> Predicted:
        """Return what is expected of candidates.

        In the better half of outcomes the scale is linear; elsewhere the mean is the transformed mean, and the
        standard deviation half of what the transformed mean ± one standard deviation spans.
        """
        x, groups = self.place(candidates)
        means, variances = posterior(self.surrogate, x, groups)
        mean, sd = mixture(self.surrogate.weights, means, variances + residual_variances(self.surrogate))
        spread = unwarp(mean + sd, self.outcomes) - unwarp(mean - sd, self.outcomes)
        return Predicted(
            x=x,
            groups=groups,
            means=means,
            variances=variances,
            mean=unwarp(mean, self.outcomes),
            sd=spread / 2,
        )

    def place(self, candidates: Sequence[Candidate]) -> tuple[Array, np.ndarray]:
        """Return features (N, p) and family numbers (N,) of candidates on the scale of the fit."""
        return normal_scores(candidates, self.features), family_numbers(candidates, self.features)

    @cached_property
    def slopes(self) -> Mapping[str, Slope]:
        """Feature name to the slope of the outcome on this feature alone, within families."""
        s = self.surrogate
        arguments = (s.x, s.groups, self.warped[self.learnt], self.variances[self.learnt])
        return {
            name: Slope(*slope(j, *arguments, has_groups=s.has_groups)) for j, name in enumerate(self.features.names)
        }


def calibrate(
    candidates: Sequence[Candidate],
    outcomes: Mapping[str, float],
    *,
    noise: Mapping[str, float] | None = None,
) -> Calibration:
    """Return what the trained ones among the candidates say about all.

    The same input gives the same result, in whatever order it comes. With p features and n trained candidates among N
    it takes about p·n³ operations, and n²·N for every prediction. So of more than ``learnt_part.MOST`` trained ones the
    scale of the outcomes is that of all, but the regression is fitted on a random part.

    Args:
        candidates: The whole pool: its features are put on one scale by their ranks in it.
        outcomes: Digest to outcome of the trained ones; smaller is better, infinite if the training failed. Digests
            that are not in the pool are left out.
        noise: Digest to standard error of the outcome, as far as known; the others count as exact.

    Raises:
        InvalidInputError: Fewer than two different outcomes, an outcome is NaN or −∞, a standard error is negative or
            not finite, or two candidates have the same digest.
    """
    pool = in_fixed_order(candidates)
    trained = [c for c in pool if c.digest in outcomes]
    y = checked_outcomes(trained, outcomes)
    if len(set(y.tolist())) < MIN_OUTCOMES:
        raise InvalidInputError(
            f"a calibration needs at least {MIN_OUTCOMES} trained candidates with different outcomes; "
            f"given {len(y)} with {len(set(y.tolist()))} different; train more candidates"
        )
    features, scale = feature_scale(pool), outcome_scale(y)
    z, v = warp(y, scale), warped_variance(y, _checked_noise(trained, noise or {}), scale)
    learnt = learnt_part(trained)
    part = [trained[i] for i in learnt]
    x, groups = normal_scores(part, features), family_numbers(part, features)
    surrogate = fit(x, groups, z[learnt], v[learnt], has_groups=len(features.families) > 1)
    return Calibration(features, scale, surrogate, z, v, learnt)


def checked_outcomes(trained: Sequence[Candidate], outcomes: Mapping[str, float]) -> Array:
    """Return the outcomes of trained candidates, shape (n,).

    Raises:
        InvalidInputError: One is NaN or −∞.
    """
    for c in trained:
        if math.isnan(outcomes[c.digest]) or outcomes[c.digest] == -math.inf:
            raise InvalidInputError(
                f"an outcome must be a number, or inf for a failed training; given {outcomes[c.digest]} for {c.digest}"
            )
    return np.array([outcomes[c.digest] for c in trained], dtype=np.float64)


def _checked_noise(trained: Sequence[Candidate], noise: Mapping[str, float]) -> Array:
    for digest, error in noise.items():
        if not (math.isfinite(error) and error >= 0):
            raise InvalidInputError(
                f"a standard error must be finite and at least 0; given {error} for {digest}; leave it out if unknown"
            )
    return np.array([noise.get(c.digest, 0.0) for c in trained], dtype=np.float64)
