"""Rules of search_quality.py that train many networks for a quarter of the epochs first, and the best of them fully.

With the epochs of ``n`` full trainings, 2.5 n networks are trained for a quarter of theirs and the best half n of these
to the end: 2.5 / 4 + 0.5 × 3 / 4 = 1. ``capacity_early`` takes the largest, ``calibrated_early`` those that ours
chooses by the early outcomes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from quality_tables import World

from nas_sens.selection import select
from nas_sens.selection.places import place, scale_of

_SHORT, _FULL = 2.5, 0.5  # of the trainings that the epochs would do for
_EACH = 4


def by_capacity(world: World) -> list[int]:
    """Return all of the pool that a study would train, the largest first."""
    candidates = [world.table.candidates[i] for i in world.alive]
    order = np.argsort(-place(candidates, scale_of(candidates)).capacity, kind="stable")
    return [world.alive[i] for i in order]


def by_ours(world: World) -> list[int]:
    """Return most of the pool as ``calibrated`` would train it if a quarter of the epochs were all."""
    table, number = world.table, {c.digest: i for i, c in enumerate(world.table.candidates)}
    assert table.early is not None
    pool, trained = [table.candidates[i] for i in world.alive], list[int]()
    while len(trained) < min(len(pool), round(40 * _SHORT)):
        known = {table.candidates[i].digest: float(table.early[i]) for i in trained}
        trained += [number[p.digest] for p in select(pool, known, rule="calibrated", n=_EACH)]
    return trained


def finished(world: World, order: list[int], most: int) -> list[int]:
    """Return the network that is found with the epochs of 1, 2, …, ``most`` full trainings."""
    assert world.table.early is not None
    early, found = world.table.early, list[int]()
    for n in range(1, most + 1):
        short = order[: max(1, round(_SHORT * n))]
        best = sorted(short, key=lambda i: early[i])[: max(1, round(_FULL * n))]
        found.append(min(best, key=lambda i: world.table.losses[i]))
    return found


RULES: Mapping[str, Callable[[World, int], list[int]]] = {
    "capacity_early": lambda world, most: finished(world, by_capacity(world), most),
    "calibrated_early": lambda world, most: finished(world, by_ours(world), min(most, 40)),
}
