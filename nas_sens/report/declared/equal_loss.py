"""What a measure of a network was when its training loss came down to a value (fort2019, figure 6, lower half)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

from ...core.candidates import TrainedCandidate
from ...study.figure_spec import FigureSpec
from ..numbers_as_text import number
from .curves import course


def value_at_loss(t: TrainedCandidate, spec: FigureSpec) -> float:
    """Return the figure's y where the training loss first comes down to its ``train_loss``; nan where it never does."""
    epoch = epoch_of_loss(course(t, "train_loss"), spec.train_loss or math.nan)
    return value_between(course(t, spec.y), epoch)


def epoch_of_loss(losses: Mapping[int, float], target: float) -> float:
    """Return when a loss first comes down to ``target``, its logarithm running straight between epochs; nan for never.

    A loss that begins below it never comes down to it: how it got there is not known.
    """
    for (before, high), (after, low) in itertools.pairwise(sorted(losses.items())):
        if high > target >= low:
            share = 1.0 if low <= 0 else math.log(high / target) / math.log(high / low)
            return before + share * (after - before)
    return math.nan


def value_between(values: Mapping[int, float], epoch: float) -> float:
    """Return a value at a time between epochs, running straight between them; nan outside of them."""
    for (before, first), (after, second) in itertools.pairwise(sorted(values.items())):
        if before <= epoch <= after:
            return first + (second - first) * (epoch - before) / (after - before)
    return math.nan


def at_loss_text(spec: FigureSpec) -> str:
    """Return at which training loss a figure compares networks, for its axis; empty for other kinds of figures."""
    return f"at a training loss of {number(spec.train_loss)}" if spec.train_loss is not None else ""
