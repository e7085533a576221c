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
from .candidates import Array, Candidate, in_fixed_order
from .learnt_part import learnt_part
from .outcome_scale import OutcomeScale, outcome_scale, unwarp, warp, warped_variance
from .places import Places, Scale, place, scale_of
from .surrogate import Average, fit, mixture, slope

MIN_OUTCOMES = 2  # different ones, from which on a prediction has a unit


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
        places: Where they stand on the scale of the fit.
        means: What can be explained of the warped outcome, by every member, shape (m, N).
        variances: Its variances, shape (m, N).
        mean: The outcome in its unit, by all members, shape (N,).
        sd: Its standard deviation, shape (N,).
    """

    places: Places
    means: Array
    variances: Array
    mean: Array
    sd: Array


@dataclass(frozen=True)
class Calibration:
    """A fitted relation between features and outcome.

    Attributes:
        scale: Scale of features and choices.
        outcomes: Scale of the outcomes.
        surrogate: The model on these scales.
        warped: Warped outcomes of the trained candidates in order of their digests, shape (n,).
        variances: Their variances by measurement, shape (n,).
        learnt: Which of them the regression is fitted on (see `learnt_part`), in order.
    """

    scale: Scale
    outcomes: OutcomeScale
    surrogate: Average
    warped: Array
    variances: Array
    learnt: np.ndarray

    def predict(self, candidates: Sequence[Candidate]) -> Predicted:
        """Return what is expected of candidates.

        In the better half of outcomes the scale is linear; elsewhere the mean is the transformed mean, and the
        standard deviation half of what the transformed mean ± one standard deviation spans.
        """
        places = self.place(candidates)
        means, variances = self.surrogate.predict(places)
        mean, sd = mixture(self.surrogate.weights, means, variances + self.surrogate.residuals[:, None])
        spread = unwarp(mean + sd, self.outcomes) - unwarp(mean - sd, self.outcomes)
        return Predicted(
            places=places, means=means, variances=variances, mean=unwarp(mean, self.outcomes), sd=spread / 2
        )

    def place(self, candidates: Sequence[Candidate]) -> Places:
        """Return where candidates stand on the scale of the fit."""
        return place(candidates, self.scale)

    @property
    def says_something(self) -> bool:
        """Whether outcomes differ, so that predictions have a unit."""
        return len(self.warped) > 1 and bool(self.warped.min() < self.warped.max())

    @cached_property
    def slopes(self) -> Mapping[str, Slope]:
        """Feature name to the slope of the outcome on this feature alone, within families."""
        s = self.surrogate
        z, v = self.warped[self.learnt], self.variances[self.learnt]
        return {name: Slope(*slope(j, s.places, z, v)) for j, name in enumerate(self.scale.names)}


def calibrate(
    candidates: Sequence[Candidate],
    outcomes: Mapping[str, float],
    *,
    noise: Mapping[str, float] | None = None,
) -> Calibration:
    """Return what the trained ones among the candidates say about all; without any, what is expected beforehand.

    The same input gives the same result, in whatever order it comes. With p features and n trained candidates among N
    it takes about p·n³ operations, and n²·N for every prediction. So of more than ``learnt_part.MOST`` trained ones the
    scale of the outcomes is that of all, but the regression is fitted on a random part.

    Args:
        candidates: The whole pool: its features are put on one scale by their ranks in it.
        outcomes: Digest to outcome of the trained ones; smaller is better, infinite if the training failed. Digests
            that are not in the pool are left out.
        noise: Digest to standard error of the outcome, as far as known; the others count as exact.

    Raises:
        InvalidInputError: An outcome is NaN or −∞, a standard error is negative or not finite, or two candidates have
            the same digest.
    """
    pool = in_fixed_order(candidates)
    trained = [c for c in pool if c.digest in outcomes]
    y = checked_outcomes(trained, outcomes)
    scale, of_outcomes = scale_of(pool), outcome_scale(y if y.size else np.zeros(1))
    z, v = warp(y, of_outcomes), warped_variance(y, _checked_noise(trained, noise or {}), of_outcomes)
    learnt = learnt_part(trained)
    surrogate = fit(scale.names, place([trained[i] for i in learnt], scale), z[learnt], v[learnt])
    return Calibration(scale, of_outcomes, surrogate, z, v, learnt)


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
