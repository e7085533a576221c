"""The rule ``calibrated``: spread the first batch, then train what should improve on the best.

A batch is chosen one by one, each time believing what is predicted of those chosen already (kriging believer,
Ginsbourger et al. 2010): that changes no mean, but their neighbours are less uncertain, so that the batch spreads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np

from ..core.errors import InvalidInputError
from ..core.figures import Objective
from ..core.identity import derive_seed
from .acquisition import expected_hypervolume_improvement, expected_improvement, farthest_first
from .calibration import MIN_OUTCOMES, Calibration, Predicted, calibrate, checked_outcomes
from .candidates import Array, Candidate, Pick, family_numbers, feature_scale, feature_values, normal_scores
from .surrogate import Surrogate, mixture, posterior_covariances, residual_variances

SHORTLIST = 1024  # candidates among which a batch is planned: those worth most before it
LONGEST_BATCH = 128  # candidates that are planned together; what follows is in the order of worth before it
_REFERENCE_MARGIN = 0.1  # share of the range of costs by which the reference of hypervolumes lies beyond the largest
_TIE = 1e-9  # relative; what differs by less is equal, so that the last bits of a sum do not decide

# Numbers of candidates, predicted means and standard deviations, believed (number, outcome) pairs -> worth of each.
Worth = Callable[[np.ndarray, Array, Array, Sequence[tuple[int, float]]], Array]


def calibrated(
    pool: Sequence[Candidate],
    outcomes: Mapping[str, float],
    *,
    objective: Objective,
    seed: int,
    noise: Mapping[str, float] | None,
    cost: str | None,
    pending: Collection[str] = (),
) -> Iterator[Pick]:
    """Expected improvement by a model of features and families, fitted on the trained; the first batch fills the space.

    Args:
        pool: Candidates in the order of their digests, the trained ones among them.
        outcomes: Digest to outcome, smaller being better.
        objective: Their name, and whether they are those of a figure that is made large, with the sign changed.
        seed: Seed of the first pick.
        noise: Digest to standard error of the outcome.
        cost: Feature that shall be small as well: improvement is then that of the front of the two. None for outcome
            alone.
        pending: Digests of candidates whose training is under way, believed to come out as predicted.

    Yields:
        All candidates that are neither trained nor under way, in the order in which to train them. Predictions, where
        there are any, are in the unit of the outcome.
    """
    trained = [i for i, c in enumerate(pool) if c.digest in outcomes]
    y = checked_outcomes([pool[i] for i in trained], outcomes)
    costs = None if cost is None else _costs(pool, cost)
    if len(set(y.tolist())) < MIN_OUTCOMES:
        begun = [i for i, c in enumerate(pool) if c.digest in outcomes or c.digest in pending]
        yield from _explore(pool, begun, seed, n_outcomes=len(trained))
        return
    calibration = calibrate(pool, outcomes, noise=noise)
    free = np.setdiff1d(np.arange(len(pool)), trained)
    if not len(free):
        return
    worth = _improvement(calibration) if costs is None else _front_improvement(calibration, costs[trained], costs[free])
    predicted = calibration.predict([pool[i] for i in free])
    what = objective.name if cost is None else f"the front of {objective.name} and {cost}"
    slope = _slope_in_words(calibration, objective)
    first = [j for j, i in enumerate(free) if pool[i].digest in pending]
    for j, gain in _batch(calibration.surrogate, predicted, worth, first):
        mean, sd = objective.as_loss(float(predicted.mean[j])), float(predicted.sd[j])
        gained = f" {gain * calibration.outcomes.unit:.2g}" if cost is None else ""
        reason = f"expected improvement{gained} of {what}; predicted {mean:.3g} ± {sd:.2g}{slope}"
        yield Pick(pool[free[j]].digest, reason, mean, sd)


def _explore(pool: Sequence[Candidate], begun: Sequence[int], seed: int, *, n_outcomes: int) -> Iterator[Pick]:
    """Yield what is left in space-filling order over features and families, which count alike."""
    scale = feature_scale(pool)
    x = normal_scores(pool, scale) / math.sqrt(max(1, len(scale.names)))
    families = np.eye(len(scale.families))[family_numbers(pool, scale)]
    first = min(range(len(pool)), key=lambda i: derive_seed("first of a space-filling order", seed, pool[i].digest))
    why = f"too few outcomes to learn from ({n_outcomes})" if n_outcomes else "nothing is trained yet"
    for i in farthest_first(np.hstack([x, families]), begun, first):
        yield Pick(pool[i].digest, f"far from the others in features and family: {why}")


def _batch(
    surrogate: Surrogate, predicted: Predicted, worth: Worth, pending: Sequence[int]
) -> Iterator[tuple[int, float]]:
    """Yield numbers of candidates with their worth, each chosen as if those before it had come out as predicted.

    Those that are ``pending`` come before all others, and are not yielded.
    """
    mean, sd = mixture(surrogate.weights, predicted.means, predicted.variances)
    everyone = np.arange(len(mean))
    alone = worth(everyone, mean, sd, [])
    order = np.lexsort((everyone, mean, -alone))
    short = np.union1d(order[:SHORTLIST], np.asarray(pending, dtype=int))
    covariances = posterior_covariances(surrogate, predicted.x[short], predicted.groups[short])
    means, variances = predicted.means[:, short], predicted.variances[:, short]
    residuals = residual_variances(surrogate)
    believed: list[tuple[int, float]] = []
    learnt: list[Array] = []  # as in a pivoted Cholesky decomposition of the posterior covariance
    is_left = np.ones(len(short), dtype=bool)
    first = np.searchsorted(short, np.sort(np.asarray(pending, dtype=int))).tolist()
    for k in range(min(LONGEST_BATCH, len(short))):
        mean, sd = mixture(surrogate.weights, means, variances)
        if k < len(first):
            j = first[k]
        else:
            gains = worth(short, mean, sd, believed)
            j = _best(gains, mean, is_left)
            yield int(short[j]), float(gains[j])
        is_left[j] = False
        believed.append((int(short[j]), float(mean[j])))
        column = covariances(j) - sum(row * row[:, [j]] for row in learnt)
        learnt.append(column / np.sqrt(variances[:, [j]] + residuals))
        variances = np.maximum(variances - learnt[-1] ** 2, 0.0)
    planned = {i for i, _ in believed}
    yield from ((int(i), float(alone[i])) for i in order if i not in planned)


def _best(gains: Array, mean: Array, is_left: np.ndarray) -> int:
    """Return the first of those left that gain most, or are predicted best if none gains anything."""
    value = np.where(is_left, gains, -np.inf)
    if value.max() <= 0:
        value = np.where(is_left, -mean, -np.inf)
    return int(np.flatnonzero(value >= value.max() - _TIE * abs(value.max()))[0])


def _improvement(calibration: Calibration) -> Worth:
    def worth(_: np.ndarray, mean: Array, sd: Array, believed: Sequence[tuple[int, float]]) -> Array:
        best = min([float(calibration.warped.min()), *(z for _, z in believed)])
        return expected_improvement(mean, sd, best)

    return worth


def _front_improvement(calibration: Calibration, trained_costs: Array, costs: Array) -> Worth:
    everything = np.concatenate([trained_costs, costs])
    largest = float(everything.max()) + _REFERENCE_MARGIN * float(np.ptp(everything))

    def worth(numbers: np.ndarray, mean: Array, sd: Array, believed: Sequence[tuple[int, float]]) -> Array:
        return expected_hypervolume_improvement(
            mean,
            sd,
            costs[numbers],
            known_outcomes=np.append(calibration.warped, [z for _, z in believed]),
            known_costs=np.append(trained_costs, [costs[i] for i, _ in believed]),
            reference=(float(calibration.warped.max()), largest),
        )

    return worth


def _costs(pool: Sequence[Candidate], cost: str) -> Array:
    costs = feature_values(pool, cost)
    if not np.isfinite(costs).all():
        names = ", ".join(sorted({name for c in pool for name in c.features})) or "none"
        raise InvalidInputError(
            f"the cost must be a feature that every candidate has, finite; {cost!r} is not; there are: {names}"
        )
    return costs


def _slope_in_words(calibration: Calibration, objective: Objective) -> str:
    """Return what to add to a reason: which way the sensitivity, or else the clearest feature, goes."""
    slopes = calibration.slopes
    if not slopes:
        return ""
    clearest = max(slopes, key=lambda name: abs(slopes[name].mean) / slopes[name].sd)
    name = "log10_sensitivity" if "log10_sensitivity" in slopes else clearest
    slope, label = slopes[name], "S" if name == "log10_sensitivity" else name.removeprefix("log10_")
    mean = objective.as_loss(slope.mean)
    way = "smaller" if mean < 0 else "larger"
    sure = "goes" if abs(slope.mean) > 2 * slope.sd else "may go"
    return f"; larger {label} {sure} with {way} {objective.name} here (slope {mean:.2g} ± {slope.sd:.1g} sd)"
