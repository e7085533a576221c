"""A search space that is only some members of another one: the finalists that are trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from optuna.distributions import IntDistribution
from optuna.samplers import RandomSampler

from .constraints import unbounded
from .search_space import SearchSpace


@dataclass(frozen=True, kw_only=True, eq=False)
class Finalists(SearchSpace):
    """Some members of a search space, with its distributions.

    Args:
        points: The parameters of each, as a trial has them.
    """

    points: tuple[Mapping[str, Any], ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return the declaration as JSON-like values."""
        return {**super().to_dict(), "points": [dict(point) for point in self.points]}

    @cached_property
    def cardinality(self) -> int | None:
        """Number of members."""
        return len(self.points)

    def enumerate(self) -> Iterator[dict[str, Any]]:
        """Yield the trial parameters of every member."""
        yield from map(dict, self.points)

    def draw(self, sampler: RandomSampler) -> dict[str, Any]:
        """Return the parameters of a random member."""
        nobody: Any = None
        place = sampler.sample_independent(nobody, nobody, "point", IntDistribution(0, len(self.points) - 1))
        return dict(self.points[place])


def finalists_of(space: SearchSpace, points: tuple[Mapping[str, Any], ...]) -> Finalists:
    """Return some members of a space, whose parameters are given.

    They have met its constraints, of which it is only kept how latency and memory are had.
    """
    return Finalists(
        name=f"finalists of {space.name}",
        families=space.families,
        constraints=unbounded(space.constraints),
        training=space.training,
        description=space.description,
        points=points,
    )
