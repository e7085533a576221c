"""Selected against control where trainings of both were pruned, and so have no outcome: by ranks, those being the last.

Left out, they would flatter the group that lost more of them. A training that was pruned did worse than others by then,
so that it counts as worse than every finished one: the analysis of worst-rank scores. Ranks are mid-ranks over both
groups together, divided by their number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from ..core.candidates import Group, TrainedCandidate
from ..statistics.groups import Difference, difference
from .numbers_as_text import interval_text, p_text
from .outcomes import by_digest
from .shown_figures import ShownFigure


def needs_ranks(trained: Sequence[TrainedCandidate]) -> bool:
    """Return whether trainings of the control group were pruned, as no study of nas_sens itself does."""
    return any(t.is_pruned and t.group == "control" for t in trained)


def rank_difference(trained: Sequence[TrainedCandidate], figure: ShownFigure) -> Difference:
    """Return selected against control by ranks between 0 and 1, the best first; pruned ones are last and equal."""
    compared = [t for t in by_digest(trained) if t.group != "other" and (t.is_pruned or _has(t, figure))]
    loss = figure.objective.as_loss
    losses = [np.inf if t.is_pruned else loss(t.figure(figure.key) or 0.0) for t in compared]
    ranks = (rankdata(losses) - 0.5) / max(1, len(compared))
    groups = np.array([t.group for t in compared], dtype=object)
    return difference(ranks[groups == "selected"], ranks[groups == "control"])


def rank_text(trained: Sequence[TrainedCandidate], figure: ShownFigure, d: Difference) -> str:
    """Return the difference of mean ranks in words, with how many of each group were pruned."""
    if d.interval is None or d.p_value is None:
        return d.reason or "nothing to compare"
    return (
        f"by {figure.label}, pruned trainings last ({_pruned(trained, 'selected')} selected, "
        f"{_pruned(trained, 'control')} of the control group), the rank of a selected one minus that of a random "
        f"one is typically {interval_text(d.interval, 100, 0)} % of all ranks (rank test p = {p_text(d.p_value)})"
    )


def _pruned(trained: Sequence[TrainedCandidate], group: Group) -> str:
    of_group = [t for t in trained if t.group == group]
    return f"{sum(t.is_pruned for t in of_group)} of {len(of_group)}"


def _has(t: TrainedCandidate, figure: ShownFigure) -> bool:
    return t.is_ok and t.figure(figure.key) is not None
