"""Which candidates to train next: pure functions of what is scored and what is trained.

Every rule is an order of preference over all candidates; a selection is the first so many of it that are not trained
yet. A study that is stopped, resumed or enlarged therefore goes on where it was.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.candidates import CONTROL
from ..core.declarations import find
from ..core.errors import InvalidInputError
from ..core.figures import Direction, Objective
from ..core.identity import derive_seed
from .calibrated import calibrated
from .candidates import Candidate, Pick, in_fixed_order

LEARNING_RULES = ("calibrated",)  # which look at outcomes, and so choose in rounds
N_BANDS = 4
ROUND_SIZE = 2  # candidates that such a rule chooses at once, unless a number of rounds is declared


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a rule may look at besides the candidates.

    Attributes:
        outcomes: Digest to target of the trained candidates, smaller being better.
        objective: The target.
        seed: Seed of the rule.
        noise: Digest to standard error of the target.
        cost: Feature that shall be small as well.
        pending: Digests of candidates whose training is under way.
    """

    outcomes: Mapping[str, float]
    objective: Objective
    seed: int
    noise: Mapping[str, float] | None
    cost: str | None
    pending: Collection[str]


def select(
    candidates: Sequence[Candidate],
    outcomes: Mapping[str, float],
    *,
    rule: str,
    n: int,
    target: str = "val_error",
    direction: Direction = "minimize",
    seed: int = 0,
    noise: Mapping[str, float] | None = None,
    cost: str | None = None,
    pending: Collection[str] = (),
) -> list[Pick]:
    """Return the ``n`` candidates to train next, fewer if there are no more, best first.

    The first picks do not depend on ``n``, nor any on the order of the candidates.

    Args:
        candidates: All scored candidates that may be trained, in any order, and the trained ones.
        outcomes: Digest to target of those that are trained already, infinitely bad if the training failed; they are
            not picked again. Only ``calibrated`` looks at the values.
        rule: One of ``calibrated``, ``pareto``, ``lowest``, ``highest``, ``params``, ``random``.
        n: How many.
        target: Name of the outcome, for the reasons that ``calibrated`` gives.
        direction: ``minimize``, or ``maximize`` where larger outcomes are better.
        seed: Seed of ``random``.
        noise: Digest to standard error of the outcome, as far as known; for ``calibrated``.
        cost: A feature that shall be small as well, such as ``log10_params``: ``calibrated`` then improves the front
            of target and cost.
        pending: Digests of candidates whose training is under way: they are not picked, and ``calibrated`` believes
            that they come out as it predicts.

    Raises:
        InvalidInputError: The rule or direction is unknown, ``n`` is negative, two candidates have the same digest,
            another rule than ``calibrated`` is given a cost, or what ``calibrated`` looks at cannot be used.
    """
    order = find(RULES, rule, "selection rule")
    if direction not in ("minimize", "maximize"):
        raise InvalidInputError(f"the direction must be 'minimize' or 'maximize'; given {direction!r}")
    if n < 0:
        raise InvalidInputError(f"the number of picks must be at least 0; given {n}")
    if cost is not None and rule != "calibrated":
        raise InvalidInputError(f"a cost needs the rule 'calibrated'; given {rule!r}; leave the cost out")
    fixed = in_fixed_order(candidates)
    if not fixed:
        return []
    objective = Objective(target, is_maximized := direction == "maximize")
    losses = {d: math.inf if v == -math.inf else -v for d, v in outcomes.items()} if is_maximized else outcomes
    known = Known(outcomes=losses, objective=objective, seed=seed, noise=noise, cost=cost, pending=pending)
    begun = {*outcomes, *pending}
    return list(itertools.islice((p for p in order(fixed, known) if p.digest not in begun), n))


def round_sizes(top_k: int, rounds: int | None = None) -> list[int]:
    """Return how many candidates each round chooses, ``top_k`` in all.

    Args:
        top_k: How many all rounds choose together.
        rounds: Number of rounds, the first of which take the remainder; None for rounds of two, the last one of one
            where that is what is left.
    """
    if rounds is None:
        return [min(ROUND_SIZE, top_k - i) for i in range(0, top_k, ROUND_SIZE)]
    rounds = min(top_k, rounds)
    return [top_k // rounds + (i < top_k % rounds) for i in range(rounds)]


def control_group(candidates: Sequence[Candidate], *, n: int, seed: int = 0) -> list[Pick]:
    """Return ``n`` random candidates that are trained beside the selected ones, whatever those are."""
    picks = select(candidates, {}, rule="random", n=n, seed=derive_seed(CONTROL, seed))
    return [Pick(p.digest, "random, to compare the selected with") for p in picks]


def _random(candidates: Sequence[Candidate], known: Known) -> list[Pick]:
    """Random; the place of a candidate depends on its digest and the seed alone, not on who else is there."""
    ordered = sorted(candidates, key=lambda c: derive_seed("random selection", known.seed, c.digest))
    return [Pick(c.digest, "random") for c in ordered]


def _params(candidates: Sequence[Candidate], known: Known) -> list[Pick]:
    """Most parameters first."""
    ordered = sorted(candidates, key=lambda c: -c.features["log10_params"])
    return [Pick(c.digest, f"most parameters, rank {i}") for i, c in enumerate(ordered, 1)]


def _lowest(candidates: Sequence[Candidate], known: Known) -> list[Pick]:
    """Smallest sensitivity in each of four bands of parameter numbers, the bands in turn."""
    return _extreme(candidates, "", 1.0)


def _highest(candidates: Sequence[Candidate], known: Known) -> list[Pick]:
    """Largest sensitivity in each of four bands of parameter numbers, the bands in turn."""
    return _extreme(candidates, ", the largest first", -1.0)


def _extreme(candidates: Sequence[Candidate], order: str, sign: float) -> list[Pick]:
    by_size = sorted(candidates, key=lambda c: c.features["log10_params"])
    bands = _split(by_size, N_BANDS)
    picks: list[tuple[int, int, Pick]] = []
    for number, band in enumerate(bands, 1):
        for rank, c in enumerate(sorted(band, key=lambda c: sign * c.features["log10_sensitivity"]), 1):
            text = f"sensitivity rank {rank} of {len(band)} in parameter band {number} of {len(bands)}{order}"
            picks.append((rank, number, Pick(c.digest, text)))
    return [pick for _, _, pick in sorted(picks, key=lambda p: p[:2])]


def _calibrated(candidates: Sequence[Candidate], known: Known) -> Iterator[Pick]:
    """Expected improvement by hypotheses that the trained candidates decide between."""
    return calibrated(
        candidates,
        known.outcomes,
        objective=known.objective,
        noise=known.noise,
        cost=known.cost,
        pending=known.pending,
    )


def _split(items: list[Candidate], n: int) -> list[list[Candidate]]:
    edges = [round(i * len(items) / n) for i in range(n + 1)]
    return [items[a:b] for a, b in itertools.pairwise(edges) if b > a]


def _pareto(candidates: Sequence[Candidate], known: Known) -> Iterator[Pick]:
    """Fronts of small sensitivity against many parameters; within a front the farthest from those before first."""
    points = np.array([[c.features["log10_sensitivity"], -c.features["log10_params"]] for c in candidates])
    span = np.ptp(points, axis=0)
    unit = (points - points.min(axis=0)) / np.where(span > 0, span, 1.0)
    left = np.arange(len(points))
    front = 0
    while len(left):
        front += 1
        is_front = _non_dominated(points[left])
        for i in _farthest_first(unit, left[is_front]):
            yield Pick(candidates[i].digest, f"Pareto front {front} of low sensitivity and many parameters")
        left = left[~is_front]


def _non_dominated(points: np.ndarray) -> np.ndarray:
    """Return which of the points (n, 2) no other beats in both coordinates, smaller being better."""
    order = np.lexsort((points[:, 1], points[:, 0]))
    best = np.minimum.accumulate(points[order, 1])
    keep = np.ones(len(points), dtype=bool)
    # In order of the first coordinate a point is dominated if an earlier, different one is no worse in the second.
    earlier = points[order[1:], 1] >= best[:-1]
    same = (points[order[1:]] == points[order[:-1]]).all(axis=1)
    keep[order[1:]] = ~earlier
    for k in np.flatnonzero(same):  # equal points stand or fall together
        keep[order[k + 1]] = keep[order[k]]
    return keep


def _farthest_first(unit: np.ndarray, members: np.ndarray) -> Iterator[int]:
    """Yield the members of a front: the balanced one first, then always the one farthest from those taken."""
    points = unit[members]
    taken = int(np.argmin(points.sum(axis=1)))
    distance = np.full(len(members), np.inf)
    for _ in range(len(members)):
        yield int(members[taken])
        distance = np.minimum(distance, np.linalg.norm(points - points[taken], axis=1))
        distance[taken] = -1.0
        taken = int(np.argmax(distance))


RULES: Mapping[str, Callable[[Sequence[Candidate], Known], Iterable[Pick]]] = {
    "calibrated": _calibrated,
    "pareto": _pareto,
    "lowest": _lowest,
    "highest": _highest,
    "params": _params,
    "random": _random,
}
