"""RefineSpec: from which study, and from what, a study trains on; written by ``nas-sens refine``, not by hand."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as declared

_CONFIG = ConfigDict(extra="forbid", strict=True)
Start = Literal["weights", "scratch"]


@declared(frozen=True, kw_only=True, config=_CONFIG)
class Finalist:
    """A trained network of the earlier study.

    Args:
        rank: Its place there.
        trial: Number of its training.
        digest: Identity of the candidate.
        value: What it came to there, the figure by which was ranked.
        standard_error: Of that over seeds; None with one.
    """

    rank: int
    trial: int
    digest: str
    value: float
    standard_error: float | None = None


@declared(frozen=True, kw_only=True, config=_CONFIG)
class RefineSpec:
    """What is trained on.

    Args:
        study: The earlier study.
        start: ``weights`` of the best training there, or ``scratch``.
        figure: What was ranked by there.
        n_trained: How many trained networks were ranked there.
        optimism: How much better than it is the first of them was expected to look, in the unit of the figure; None
            where the spread over seeds is not known.
        optimism_at_most: The same if all differences had been noise.
        changed: Keys of ``[train]`` and ``[data]`` that are other ones here, with their values there.
        finalists: The networks.
    """

    study: str
    start: Start
    figure: str
    n_trained: int
    optimism: float | None
    optimism_at_most: float
    changed: Annotated[dict[str, object], Field(default_factory=dict)]
    finalists: Annotated[tuple[Finalist, ...], Field(strict=False)]

    def trial_of(self, digest: str) -> int:
        """Return the number of a candidate's training in the earlier study."""
        return next(f.trial for f in self.finalists if f.digest == digest)
