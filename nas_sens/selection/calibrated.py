"""The rule ``calibrated``: train what should improve on the best, by hypotheses that what is trained decides between.

Every other training is what is expected to be best, by all hypotheses together; the ones between are those that are
worth most, by expected improvement. The former are never far behind the rule that is right; the latter find out which
one that is. Before anything is trained the prior of the hypotheses chooses.

A batch is chosen one by one, each time believing what is predicted of those chosen already (kriging believer,
Ginsbourger et al. 2010): that changes no mean, but their neighbours are less uncertain, so that the batch spreads.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np

from ..core.errors import InvalidInputError
from ..core.figures import Objective
from .acquisition import expected_hypervolume_improvement, expected_improvement
from .calibration import Calibration, Predicted, calibrate
from .candidates import Array, Candidate, Pick, feature_values
from .surrogate import Surrogate

SHORTLIST = 1024  # candidates among which a batch is planned: those worth most before it
LONGEST_BATCH = 128  # candidates that are planned together; what follows is in the order of worth before it
_REFERENCE_MARGIN = 0.1  # share of the range of costs by which the reference of hypervolumes lies beyond the largest
_TIE = 1e-9  # relative; what differs by less is equal, so that the last bits of a sum do not decide
_GOOD = -1.0  # the warped outcome that is to be improved on before there is any: a standard deviation below the mean

# Numbers of N candidates, means and variances (m, N) by every member, believed (number, outcome) pairs -> worth (m, N).
Worth = Callable[[np.ndarray, Array, Array, Sequence[tuple[int, float]]], Array]


def calibrated(
    pool: Sequence[Candidate],
    outcomes: Mapping[str, float],
    *,
    objective: Objective,
    noise: Mapping[str, float] | None,
    cost: str | None,
    pending: Collection[str] = (),
    calibration: Calibration | None = None,
) -> Iterator[Pick]:
    """Expected improvement by an average of hypotheses on features and choices, weighted by what is trained.

    Every hypothesis says what each candidate is worth, and their votes count as much as they are probable: one that
    is sure of a champion is heard before it is proved.

    Args:
        pool: Candidates in the order of their digests, the trained ones among them.
        outcomes: Digest to outcome, smaller being better.
        objective: Their name, and whether they are those of a figure that is made large, with the sign changed.
        noise: Digest to standard error of the outcome.
        cost: Feature that shall be small as well: improvement is then that of the front of the two. None for outcome
            alone.
        pending: Digests of candidates whose training is under way, believed to come out as predicted.
        calibration: What :func:`~nas_sens.selection.calibration.calibrate` makes of these, if it is there already.

    Yields:
        All candidates that are neither trained nor under way, in the order in which to train them. Predictions, where
        outcomes differ, are in the unit of the outcome.
    """
    trained = [i for i, c in enumerate(pool) if c.digest in outcomes]
    costs = None if cost is None else _costs(pool, cost)
    free = np.setdiff1d(np.arange(len(pool)), trained)
    if not len(free):
        return
    calibration = calibration or calibrate(pool, outcomes, noise=noise)
    is_front = bool(costs is not None and trained)
    worth = _improvement(calibration)
    if costs is not None and trained:
        worth = _front_improvement(calibration, costs[trained], costs[free])
    predicted = calibration.predict([pool[i] for i in free])
    what = f"the front of {objective.name} and {cost}" if is_front else objective.name
    slope = _slope_in_words(calibration, objective) if calibration.says_something else ""
    first = [j for j, i in enumerate(free) if pool[i].digest in pending]
    best_first = None if is_front else len(trained)
    for j, gain in _batch(calibration.surrogate, predicted, worth, first, best_first=best_first):
        if not calibration.says_something:
            yield Pick(pool[free[j]].digest, _beforehand(len(trained)))
            continue
        mean, sd = objective.as_loss(float(predicted.mean[j])), float(predicted.sd[j])
        gained = "" if is_front or gain is None else f" {gain * calibration.outcomes.unit:.2g}"
        why = f"best {what} expected of all" if gain is None else f"expected improvement{gained} of {what}"
        yield Pick(pool[free[j]].digest, f"{why}; predicted {mean:.3g} ± {sd:.2g}{slope}", mean, sd)


def _beforehand(n_trained: int) -> str:
    why = f"too few outcomes to learn from ({n_trained})" if n_trained else "nothing is trained yet"
    return f"promising by what is usual elsewhere, more capacity being better mostly: {why}"


def _batch(
    surrogate: Surrogate, predicted: Predicted, worth: Worth, pending: Sequence[int], *, best_first: int | None
) -> Iterator[tuple[int, float | None]]:
    """Yield numbers of candidates with their worth, each chosen as if those before it had come out as predicted.

    Those that are ``pending`` come before all others, and are not yielded. Counted from ``best_first``, those with even
    numbers are what is expected to be best, without a worth; none is if it is None.
    """
    mean = surrogate.weights @ predicted.means
    everyone = np.arange(len(mean))
    alone = surrogate.weights @ worth(everyone, predicted.means, predicted.variances, [])
    order = np.lexsort((everyone, mean, -alone))
    best = np.lexsort((everyone, mean))[:LONGEST_BATCH]
    short = np.union1d(np.union1d(order[:SHORTLIST], best), np.asarray(pending, dtype=int))
    covariances = surrogate.covariances(predicted.places.part(short))
    means, variances = predicted.means[:, short], predicted.variances[:, short]
    mean, residuals = mean[short], surrogate.residuals[:, None]
    believed: list[tuple[int, float]] = []
    learnt: list[Array] = []  # as in a pivoted Cholesky decomposition of the posterior covariance
    is_left = np.ones(len(short), dtype=bool)
    first = np.searchsorted(short, np.sort(np.asarray(pending, dtype=int))).tolist()
    for k in range(min(LONGEST_BATCH, len(short))):
        if k < len(first):
            j = first[k]
        else:
            is_best = best_first is not None and (best_first + k) % 2 == 0
            gains = np.zeros(len(short)) if is_best else surrogate.weights @ worth(short, means, variances, believed)
            j = _best(gains, mean, is_left)
            yield int(short[j]), None if is_best else float(gains[j])
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
    known = float(calibration.warped.min()) if len(calibration.warped) else _GOOD

    def worth(_: np.ndarray, means: Array, variances: Array, believed: Sequence[tuple[int, float]]) -> Array:
        return expected_improvement(means, np.sqrt(variances), min([known, *(z for _, z in believed)]))

    return worth


def _front_improvement(calibration: Calibration, trained_costs: Array, costs: Array) -> Worth:
    everything = np.concatenate([trained_costs, costs])
    largest = float(everything.max()) + _REFERENCE_MARGIN * float(np.ptp(everything))

    def worth(numbers: np.ndarray, means: Array, variances: Array, believed: Sequence[tuple[int, float]]) -> Array:
        rows = [
            expected_hypervolume_improvement(
                mean,
                np.sqrt(variance),
                costs[numbers],
                known_outcomes=np.append(calibration.warped, [z for _, z in believed]),
                known_costs=np.append(trained_costs, [costs[i] for i, _ in believed]),
                reference=(float(calibration.warped.max()), largest),
            )
            for mean, variance in zip(means, variances, strict=True)
        ]
        return np.array(rows)

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
