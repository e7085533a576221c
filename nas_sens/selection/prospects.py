"""When to stop: how much better the best outcome is expected to become by the next training, and by the next ten.

What the rule would choose is drawn from its own predictive distribution, together with what no feature explains, since
that decides between networks as well; the gain is the mean of how far the best draw is below the best outcome so far.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.figures import Objective
from .calibrated import calibrated
from .calibration import Calibration, calibrate
from .candidates import Array, Candidate, in_fixed_order
from .outcome_scale import unwarp, warp

AHEAD = 10  # trainings
_N_DRAWS = 4096  # the standard error of a gain is below a fiftieth of the spread of what is drawn
_JITTER = 1e-9


@dataclass(frozen=True)
class Prospects:
    """What further trainings are expected to gain, in the unit of the outcome.

    Attributes:
        next_one: By the next training.
        next_ten: By the next ten, or by as many as there are.
    """

    next_one: float
    next_ten: float


def prospects(
    candidates: Sequence[Candidate],
    outcomes: Mapping[str, float],
    *,
    objective: Objective,
    noise: Mapping[str, float] | None = None,
) -> Prospects | None:
    """Return what training on by ``calibrated`` is expected to gain; None as long as outcomes do not differ.

    Args:
        candidates: All that may be trained, and the trained ones.
        outcomes: Digest to outcome of those trained, smaller being better, infinite if the training failed.
        objective: Their name, for what ``calibrated`` says.
        noise: Digest to standard error of the outcome, as far as known.

    Raises:
        InvalidInputError: As :func:`~nas_sens.selection.calibration.calibrate`.
    """
    pool = in_fixed_order(candidates)
    calibration = calibrate(pool, outcomes, noise=noise)
    if not calibration.says_something:
        return None
    picks = calibrated(pool, outcomes, objective=objective, noise=noise, cost=None, calibration=calibration)
    by_digest = {c.digest: c for c in pool}
    chosen = [by_digest[pick.digest] for pick in itertools.islice(picks, AHEAD)]
    if not chosen:
        return Prospects(0.0, 0.0)
    best = min(outcomes[c.digest] for c in pool if c.digest in outcomes)
    drawn = _drawn(calibration, chosen)
    # On the scale of the outcomes, as the warped scale is bent above the median.
    gains = np.maximum(best - unwarp(np.minimum(drawn, warp([best], calibration.outcomes)), calibration.outcomes), 0.0)
    return Prospects(float(gains[:, 0].mean()), float(gains.max(axis=1).mean()))


def _drawn(calibration: Calibration, chosen: Sequence[Candidate]) -> Array:
    """Return draws of warped outcomes of candidates, shape (n_draws, n): of every member as many as it has weight."""
    surrogate, places = calibration.surrogate, calibration.place(chosen)
    means, _ = surrogate.predict(places)
    with_one = surrogate.covariances(places)
    covariances = np.stack([with_one(j) for j in range(len(chosen))], axis=2)
    normals = np.random.default_rng(0).standard_normal((_N_DRAWS, len(chosen)))
    ends = np.round(np.cumsum(surrogate.weights) * _N_DRAWS).astype(int)
    draws, start = np.empty_like(normals), 0
    for mean, covariance, residual, end in zip(means, covariances, surrogate.residuals, ends, strict=True):
        total = covariance + (residual + _JITTER) * np.eye(len(chosen))
        draws[start:end] = mean + normals[start:end] @ np.linalg.cholesky(total).T
        start = end
    return draws
