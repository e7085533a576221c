"""Predicted against observed: the loss of the bias–variance relation, and what the rule expected when it chose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from ..core.candidates import TrainedCandidate
from ..statistics.bootstrap import mean_interval
from ..statistics.correlations import MIN_POINTS, Correlations, Observations, as_floats, correlations, log10_or_nan
from ..statistics.interval import Interval
from .numbers_as_text import interval_text, number, number_interval_text
from .outcomes import in_order
from .shown_figures import ShownFigure

Z95 = float(ndtri(0.975))


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """How predictions met ``n`` observations; None, with the ``reason`` in words, where that cannot be said.

    Attributes:
        n: Number of pairs of a prediction and an observation.
        offset: Mean of observed minus predicted, with a bootstrap interval.
        order: Correlations of predicted and observed.
        inside: Share of the observations inside the 95 % interval of their prediction, with its exact binomial
            (Clopper–Pearson) interval; None where predictions came without a standard deviation.
        reason: Why there are no numbers.
    """

    n: int
    offset: Interval | None = None
    order: Correlations | None = None
    inside: Interval | None = None
    reason: str | None = None


def prediction(
    predicted: Observations, observed: Observations, sds: Observations | None = None, *, seed: int = 0
) -> Prediction:
    """Return how predictions met observations.

    Args:
        predicted: Shape (n,); None and non-finite values are left out.
        observed: Shape (n,), in the unit of ``predicted``.
        sds: Standard deviations of the predictions, shape (n,).
        seed: Seed of the bootstrap.
    """
    p, o = as_floats(predicted), as_floats(observed)
    s = np.full(p.shape, np.inf) if sds is None else as_floats(sds)
    is_pair = np.isfinite(p) & np.isfinite(o) & ~np.isnan(s)
    p, o, s = p[is_pair], o[is_pair], s[is_pair]
    n = p.size
    if n < MIN_POINTS:
        return Prediction(n=n, reason=f"too few predicted networks: {n}, at least {MIN_POINTS} needed")
    errors = o - p
    inside = None
    if sds is not None:
        from scipy import stats  # takes a second, which reports of few networks can save

        found = stats.binomtest(int(np.count_nonzero(np.abs(errors) <= Z95 * s)), n)
        ends = found.proportion_ci(0.95, method="exact")
        inside = Interval(float(found.statistic), float(ends.low), float(ends.high))
    return Prediction(n=n, offset=mean_interval(errors, seed=seed), order=correlations(p, o, seed=seed), inside=inside)


def loss_prediction(trained: Sequence[TrainedCandidate]) -> Prediction:
    """Return how the predicted losses met the test losses, both as log10."""
    ok = in_order(trained)
    return prediction(log10_or_nan([t.predicted_loss for t in ok]), log10_or_nan([t.test_loss for t in ok]))


def rule_prediction(trained: Sequence[TrainedCandidate], target: ShownFigure) -> Prediction | None:
    """Return how what the rule expected of its target met it; None if the rule expected nothing of any.

    Args:
        trained: The trained candidates.
        target: What the rule made better.
    """
    ok = in_order(trained)
    means, sds = [t.predicted_mean for t in ok], [t.predicted_sd for t in ok]
    if all(mean is None for mean in means):
        return None
    return prediction(means, [t.figure(target.key) for t in ok], None if all(sd is None for sd in sds) else sds)


def loss_text(p: Prediction, equation: str) -> str:
    """Return in words how the losses predicted by an equation met the test losses."""
    if p.offset is None or p.order is None:
        return f"Predicted against observed loss: cannot be said ({p.reason})."
    low, middle, high = (number(10**v, 3) for v in (p.offset.low, p.offset.estimate, p.offset.high))
    return (
        f"The observed test loss was {middle} times [{low}, {high}] what {equation} predicts (geometric mean of "
        f"{p.n} networks); {_order_text(p.order)}"
    )


def rule_text(p: Prediction, target: ShownFigure, loss_unit: str) -> str:
    """Return in words how what the rule expected of its target met what was found."""
    if p.offset is None or p.order is None:
        return f"What the rule expected against what was found: cannot be said ({p.reason})."
    bias = f"{interval_text(p.offset, 100)} percentage points"
    if target.kind == "number":
        bias = number_interval_text(p.offset)
    elif target.kind == "loss":
        bias = f"{interval_text(p.offset, digits=3)} {loss_unit}".rstrip()
    return (
        f"{_inside_text(p.inside, p.n)}Observed minus expected {target.label} was {bias} in the "
        f"mean of {p.n} networks; {_order_text(p.order)}"
    )


def _inside_text(inside: Interval | None, n: int) -> str:
    if inside is None:
        return ""
    share, low, high = (f"{100 * v:.0f}" for v in (inside.estimate, inside.low, inside.high))
    judged = "which agrees with that"
    if inside.high < 0.95:
        judged = "fewer than that: the rule was too sure of itself"
    elif inside.low > 0.95:
        judged = "more than that: the rule was less sure than it could be"
    return f"{share} % [{low}, {high}] of {n} networks came out inside the rule’s own 95 % interval, {judged}. "


def _order_text(c: Correlations) -> str:
    if c.spearman is None:
        return f"their order cannot be compared ({c.reason})."
    return f"Spearman of predicted and observed {interval_text(c.spearman)}."
