"""Which measures of the trained networks are compared with which outcomes, and the statistics of all their pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.candidates import Group, ScoredCandidate, TrainedCandidate
from ..statistics.beside import Beside, beside
from ..statistics.bootstrap import MANY, Array
from ..statistics.correlations import Correlations, as_floats, correlations, log10_or_nan
from ..statistics.groups import Difference, difference
from ..statistics.interval import Interval
from .shown_figures import ShownFigure

SENSITIVITY, RELATIVE, SENSITIVITY_AFTER = "log₁₀ S before training", "log₁₀ relative S", "log₁₀ S after training"
PARAMETERS, FLOPS, PREDICTED = "log₁₀ parameters", "log₁₀ FLOPs", "log₁₀ predicted loss"

N_RESAMPLES = 2000
_WORK = 2e8  # resamples times pairs of networks, so that hundreds of networks take seconds, too

Table = Mapping[str, Mapping[str, Correlations]]
BesideTable = Mapping[str, Mapping[str, Beside]]


@dataclass(frozen=True)
class Trained:
    """The successfully trained networks, in an order that does not depend on the caller's, as columns of numbers.

    Attributes:
        measures: Name to log10 of a measure, shape (n,); NaN where it is missing.
        outcomes: Label to a figure, shape (n,); losses as log10, errors as fractions.
        groups: Whether each network was selected, is of the control group, or neither.
        n_resamples: How many bootstrap resamples so many networks can have; more than ``MANY`` have none.
    """

    measures: Mapping[str, Array]
    outcomes: Mapping[str, Array]
    groups: Sequence[Group]
    n_resamples: int


def in_order(trained: Sequence[TrainedCandidate]) -> list[TrainedCandidate]:
    """Return the successfully trained networks in an order that does not depend on the caller's."""
    return by_digest([t for t in trained if t.is_ok])


def by_digest(trained: Sequence[TrainedCandidate]) -> list[TrainedCandidate]:
    """Return networks, successful or not, in such an order."""
    return sorted(trained, key=lambda t: (t.digest, t.chosen_by, t.number or 0))


def columns(
    candidates: Sequence[ScoredCandidate],
    trained: Sequence[TrainedCandidate],
    figures: Sequence[ShownFigure],
    *,
    drops_empty: bool = False,
) -> Trained:
    """Return the measures and outcomes of the networks that were trained successfully.

    Args:
        candidates: The scored candidates.
        trained: The trained ones.
        figures: The outcomes.
        drops_empty: Whether measures that no network has are left out, but S before training and parameters.
    """
    ok = in_order(trained)
    digests = {t.digest for t in ok}
    scored = {c.digest: c for c in candidates if c.digest in digests}
    relative = {d: c.log10_relative_sensitivity for d, c in scored.items()}
    further = sorted({name for c in scored.values() for name in c.measures})
    after = sorted({name for t in ok for name in t.measures})
    measures = {
        SENSITIVITY: as_floats([t.log10_sensitivity_before for t in ok]),
        RELATIVE: as_floats([relative.get(t.digest) for t in ok]),
        SENSITIVITY_AFTER: as_floats([t.log10_sensitivity_after for t in ok]),
        PARAMETERS: log10_or_nan([t.params for t in ok]),
        FLOPS: log10_or_nan([t.flops for t in ok]),
        PREDICTED: log10_or_nan([t.predicted_loss for t in ok]),
        **{
            name: as_floats([c.measures.get(name) if (c := scored.get(t.digest)) else None for t in ok])
            for name in further
        },
        **{f"{name} after training": as_floats([t.measures.get(name) for t in ok]) for name in after},
    }
    if drops_empty:
        kept = (SENSITIVITY, PARAMETERS)
        measures = {name: x for name, x in measures.items() if name in kept or np.isfinite(x).any()}
    return Trained(
        measures=measures,
        outcomes={figure.label: figure.scaled(ok) for figure in figures},
        groups=[t.group for t in ok],
        n_resamples=int(min(N_RESAMPLES, max(200, _WORK // max(1, min(len(ok), MANY) ** 2)))),
    )


def correlation_table(data: Trained) -> Table:
    """Return the correlations of every measure with every outcome."""
    return {
        measure: {outcome: correlations(x, y, n_resamples=data.n_resamples) for outcome, y in data.outcomes.items()}
        for measure, x in data.measures.items()
    }


def beside_table(data: Trained) -> BesideTable:
    """Return what every measure but the number of parameters says of every outcome beside the number of parameters."""
    z = data.measures[PARAMETERS]
    return {
        measure: {outcome: beside(x, y, z, n_resamples=data.n_resamples) for outcome, y in data.outcomes.items()}
        for measure, x in data.measures.items()
        if measure != PARAMETERS
    }


def group_differences(data: Trained, figures: Sequence[ShownFigure]) -> dict[str, Difference]:
    """Return selected against control for every outcome; losses as log10, errors as fractions.

    Less is better: a figure of which more is better has its sign turned.
    """
    return {figure.label: group_difference(data, figure) for figure in figures}


def group_difference(data: Trained, figure: ShownFigure) -> Difference:
    """Return selected against control for one outcome; see :func:`group_differences`."""
    groups = np.array(data.groups, dtype=object)
    losses = (-1.0 if figure.is_maximized else 1.0) * data.outcomes[figure.label]
    return difference(losses[groups == "selected"], losses[groups == "control"])


def intervals(*tables: Table | BesideTable) -> Iterator[Interval]:
    """Yield every interval of tables of correlations and fits, so that a reader can be told how many there are."""
    for table in tables:
        for row in table.values():
            for cell in row.values():
                found = (getattr(cell, key, None) for key in ("pearson", "spearman", "kendall", "slope"))
                yield from (interval for interval in found if interval is not None)
