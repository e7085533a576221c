"""What a study found: its candidates, and the trained ones in their ranking."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.candidates import CURVES, TABLES, ScoredCandidate, TrainedCandidate
from ..core.errors import InvalidInputError
from ..core.figures import RANK_BY, Direction, Objective
from ..core.messages import shown
from ..storage.attribute_types import LAST_RUN, LATENCIES, OWN_DRAWS, PROSPECTS, declared_in
from ..storage.study_storage import StudyStorage
from ..study.select_spec import objective_of, ranking_figure
from ..study.stored_names import with_present_names

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class SearchResult:
    """A study's outcome.

    Attributes:
        name: Name of the study.
        protocol: The study as declared, JSON-like; ``data.task`` is the one that "auto" came to. ``last_run`` is what
            it keeps of the last time it was trained, ``latency_ms`` what was measured, by digest.
        candidates: Every candidate, in the order in which they were stored.
        trials: Every trained candidate, the best first by ``ranked_by``, failed ones last.
        ranked_by: Figure of a trained candidate.
        direction: "minimize" if less of it is better, or "maximize".
    """

    name: str
    protocol: dict[str, Any]
    candidates: tuple[ScoredCandidate, ...]
    trials: tuple[TrainedCandidate, ...]
    ranked_by: str = "val_loss"
    direction: Direction = "minimize"

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

    def plot(self, x: str = "params", y: str | None = None) -> Figure:
        """Return a matplotlib figure of trained networks, selected ones and random ones, the best one marked.

        Args:
            x: Figure of a trained network on the horizontal axis: ``params``, ``flops``, ``log10_sensitivity_before``.
            y: On the vertical axis; None for the validation error, or what is ranked by where there is none.

        Raises:
            InvalidInputError: No trained network has both.
        """
        found: Figure = _shown_by().plot(self, x, y)
        return found

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the answer with its three lights, the best networks and a figure."""
        return str(_shown_by().html(self))

    def frame(self) -> pd.DataFrame:
        """Return the trained candidates, one a row, best first; measures in columns ``measure_NAME``."""
        import pandas as pd

        rows = [t.flat() for t in self.trials]
        plain = [k for k in TrainedCandidate.__dataclass_fields__ if k not in (*CURVES, *TABLES, "code")]
        return pd.DataFrame(rows, columns=list(dict.fromkeys([*plain, *(k for row in rows for k in row)])))


def _shown_by() -> Any:
    """Return the module that shows results; the report stands above them, and is imported only when one is shown."""
    return importlib.import_module("nas_sens.report.in_notebook")


def read_result(
    storage: StudyStorage, name: str, *, by: str | None = None, direction: Direction | None = None
) -> SearchResult:
    """Return what is in the database of a study.

    Args:
        storage: The database.
        name: The study.
        by: Figure to rank trained candidates by: one of :data:`RANK_BY`, smaller first, or a figure of the study's own
            trainer; None for what the study declares as ``[select] final``.
        direction: Whether larger is better ("maximize") or smaller, where the study does not say.

    Raises:
        InvalidInputError: There is no such study, or ``by`` is unknown.
    """
    attributes = storage.attributes(name)
    protocol = with_present_names(declared_in(name, attributes))
    protocol.setdefault("data", {})["task"] = attributes.get("task", "classification")  # older studies lack it
    if drawn := attributes.get(OWN_DRAWS):
        protocol.setdefault("score", {})[OWN_DRAWS] = drawn
    if expected := attributes.get(PROSPECTS):
        protocol.setdefault("select", {})[PROSPECTS] = expected
    if kept := attributes.get(LAST_RUN):
        protocol[LAST_RUN] = kept | {"version": str(attributes.get("nas_sens_version", ""))}
    if timed := attributes.get(LATENCIES):
        protocol["latency_ms"] = {row["digest"]: row["ms"] for row in timed["rows"] if "digest" in row}
    found = storage.trained(name)
    ranking = ranking_figure(protocol) if by is None else _ranking_by(by, direction, protocol, found)
    trained = tuple(sorted(found, key=ranking_key(ranking)))
    return SearchResult(name, protocol, tuple(storage.scored(name)), trained, ranking.name, ranking.direction)


def ranking_key(by: Objective) -> Callable[[TrainedCandidate], tuple[bool, float, str]]:
    """Return what puts trained candidates into order, the best first, those that failed or lack the figure last."""

    def key(t: TrainedCandidate) -> tuple[bool, float, str]:
        value = t.figure(by.name)
        return not t.is_ok, math.inf if value is None else by.as_loss(value), t.digest

    return key


def _ranking_by(
    name: str, direction: Direction | None, protocol: Mapping[str, Any], trained: Sequence[TrainedCandidate]
) -> Objective:
    """Return what is ranked by.

    Raises:
        InvalidInputError: There is no such figure, or nobody knows which way it goes.
    """
    objective = objective_of(protocol)
    own = sorted({figure for t in trained for figure in t.figures})
    if name not in RANK_BY and name not in own:
        valid = ", ".join([*RANK_BY, *own])
        raise InvalidInputError(f"a ranking must be by one of {valid}; given {shown(name)}")
    if direction is not None:
        return Objective(name, direction == "maximize")
    if name == objective.name or name in RANK_BY:
        return objective if name == objective.name else Objective(name)
    raise InvalidInputError(
        f"a ranking by {name} must say which way it goes; give --direction minimize, or maximize where more is better"
    )


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
