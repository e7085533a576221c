"""What trained networks cost and how good they are, the Pareto front of both, and which of many are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...core.candidates import ScoredCandidate, TrainedCandidate
from ...core.figures import Objective
from ...study.constraints import LATENCY
from ..shown_figures import Shown, ShownFigure
from ..text import ranked

MOST_POINTS = 1_500
_MOST_BEST = 500  # of the best ones, every one is drawn


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a network costs.

    Attributes:
        key: Its name in scripts.
        label: What it is called on an axis, with its unit.
        get: A network's value; None where it has none.
    """

    key: str
    label: str
    get: Callable[[TrainedCandidate], float | None]


COSTS = (
    Cost(key="params", label="parameters", get=lambda t: t.params),
    Cost(key="flops", label="FLOPs of one input", get=lambda t: t.flops),
    Cost(key="latency", label="latency of one input (ms)", get=lambda t: t.figure(LATENCY)),
)


def quality_of(shown: Shown) -> ShownFigure:
    """Return the figure that is drawn against costs: the validation error, or what decides of a user's own."""
    return shown.target if shown.is_own else next(f for f in shown.figures if f.key == "val_error")


def drawable(trained: Sequence[TrainedCandidate], by: Objective, quality: ShownFigure) -> list[TrainedCandidate]:
    """Return the ranked networks that have a finite quality, in the order of their ranking."""
    return [t for t in ranked(trained, by) if (v := t.figure(quality.key)) is not None and math.isfinite(v)]


def costs_of(networks: Sequence[TrainedCandidate]) -> list[Cost]:
    """Return the costs that all networks have, positive as their axes are logarithmic."""
    return [cost for cost in COSTS if networks and all((cost.get(t) or 0) > 0 for t in networks)]


def front(costs: Sequence[float], losses: Sequence[float]) -> list[int]:
    """Return the places of the Pareto front of two numbers of which less is better, the cheapest first.

    Of equals the first is on it.
    """
    order = np.lexsort((np.arange(len(costs)), np.asarray(losses), np.asarray(costs)))
    on, best = [], math.inf
    for i in order:
        if losses[i] < best:
            best = losses[i]
            on.append(int(i))
    return on


def most_telling(networks: Sequence[TrainedCandidate], fronts: Sequence[Sequence[int]]) -> list[int]:
    """Return the places of at most some ``MOST_POINTS`` networks: fronts, the best, evenly spaced ones of the others.

    Args:
        networks: In the order of their ranking.
        fronts: Places of those that are on a front.
    """
    n = len(networks)
    if n <= MOST_POINTS:
        return list(range(n))
    rest = np.linspace(_MOST_BEST, n - 1, MOST_POINTS - _MOST_BEST).round().astype(int)
    return sorted({*range(_MOST_BEST), *rest.tolist(), *(i for places in fronts for i in places)})


def n_scored(candidates: Sequence[ScoredCandidate]) -> int:
    """Return how many candidates could have been trained."""
    return sum(c.is_ok for c in candidates)
