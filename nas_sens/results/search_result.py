"""What a study found: its candidates, and the trained ones in their ranking."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.candidates import CURVES, ScoredCandidate, TrainedCandidate
from ..core.errors import InvalidInputError
from ..core.figures import RANK_BY
from ..storage.attribute_types import OWN_DRAWS, declared_in
from ..storage.study_storage import StudyStorage
from ..study.select_spec import ranking_figure
from ..study.stored_names import with_present_names

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SearchResult:
    """A study's outcome.

    Attributes:
        name: Name of the study.
        protocol: The study as declared, JSON-like; ``data.task`` is the one that "auto" came to.
        candidates: Every candidate, in the order in which they were stored.
        trials: Every trained candidate, the best first by ``ranked_by``, failed ones last.
        ranked_by: Figure of a trained candidate, smaller being better.
    """

    name: str
    protocol: dict[str, Any]
    candidates: tuple[ScoredCandidate, ...]
    trials: tuple[TrainedCandidate, ...]
    ranked_by: str = "val_loss"

    @property
    def best(self) -> TrainedCandidate:
        """The trained candidate of the first rank.

        Raises:
            InvalidInputError: Nothing is trained yet.
        """
        if not self.trials or not self.trials[0].is_ok:
            raise InvalidInputError(
                f"the study {self.name!r} has no trained candidate yet; run a search or train first"
            )
        return self.trials[0]

    def frame(self) -> pd.DataFrame:
        """Return the trained candidates, one a row, best first; measures in columns ``measure_NAME``."""
        import pandas as pd

        rows = [t.flat() for t in self.trials]
        plain = [k for k in TrainedCandidate.__dataclass_fields__ if k not in (*CURVES, "measures", "training")]
        return pd.DataFrame(rows, columns=list(dict.fromkeys([*plain, *(k for row in rows for k in row)])))


def read_result(storage: StudyStorage, name: str, *, by: str | None = None) -> SearchResult:
    """Return what is in the database of a study.

    Args:
        storage: The database.
        name: The study.
        by: Figure to rank trained candidates by, smaller first; one of :data:`RANK_BY`, or None for what the study
            declares as ``[select] final``.

    Raises:
        InvalidInputError: There is no such study, or ``by`` is unknown.
    """
    if by is not None and by not in RANK_BY:
        raise InvalidInputError(f"a ranking must be by one of {', '.join(RANK_BY)}; given {by!r}")
    attributes = storage.attributes(name)
    protocol = with_present_names(declared_in(name, attributes))
    protocol.setdefault("data", {})["task"] = attributes.get("task", "classification")  # older studies lack it
    if drawn := attributes.get(OWN_DRAWS):
        protocol.setdefault("score", {})[OWN_DRAWS] = drawn
    if by is None:
        by = ranking_figure(protocol)
    trained = sorted(storage.trained(name), key=lambda t: (not t.is_ok, _key(getattr(t, by)), t.digest))
    return SearchResult(name, protocol, tuple(storage.scored(name)), tuple(trained), by)


def _key(value: float | None) -> float:
    return math.inf if value is None else value


def trial_of_rank(result: SearchResult, rank: int) -> TrainedCandidate:
    """Return the trained candidate at a rank, 1 being the best.

    Raises:
        InvalidInputError: There is no such rank.
    """
    ranked = [t for t in result.trials if t.is_ok]
    if not 1 <= rank <= len(ranked):
        there = f"1 to {len(ranked)}" if ranked else "none, as nothing is trained yet"
        raise InvalidInputError(f"rank {rank} of study {result.name!r} does not exist; ranks: {there}")
    return ranked[rank - 1]
