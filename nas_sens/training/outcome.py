"""What one training came to."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from ..core.candidates import STATUS_OK, USUAL_CURVE

Records = Mapping[str, Mapping[int, Mapping[str, torch.Tensor]]]  # name, epoch, field


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one training came to.

    Losses are mean cross-entropies in nats, or what ``[train] loss`` says, and errors fractions of wrong predictions.
    For regression, losses are mean squared errors in the target's own units squared, and errors fractions of
    unexplained variance, 1 - R²: 0 is perfect, 1 no better than the mean target of that set, and it can be more. All
    in evaluation mode after the last epoch.

    Attributes:
        temperature: What outputs were divided by for losses and ``sensitivity``; 1 without temperature scaling.
        status: "ok", or why there are no figures.
        figures: Figures of a trainer of the user's own, by the names that it gives them.
        curve: Validation loss after each epoch, or what ``curve_of`` says.
        curve_of: The figure that ``curve`` shows.
        curves: Further figures of each epoch: ``val_error`` after it; ``train_loss`` and ``train_error``, means over
            its batches as they were trained on, with dropout and augmentation.
        measures: What ``[train] metrics`` says of the trained network, by name, where it is finite.
        measured_epochs: Epochs after which it was measured, 0 for before training.
        measure_curves: What it said then, by name; None where it was not finite.
        measure_problems: Why a measure had no value, or a record could not be taken, by name.
        records: What ``[train] recordings`` keeps: name to epoch to arrays by field, float64 on the CPU.
        traceback: Where a trainer of the user's own failed.
        error: The exception.
        seconds: Wall-clock time.
        state: The trained weights, on the CPU.
    """

    train_loss: float = math.nan
    train_error: float = math.nan
    val_loss: float = math.nan
    val_error: float = math.nan
    test_loss: float = math.nan
    test_error: float = math.nan
    sensitivity: float = math.nan
    temperature: float = 1.0
    status: str = STATUS_OK
    figures: Mapping[str, float] = field(default_factory=dict)
    curve: tuple[float, ...] = ()
    curve_of: str = USUAL_CURVE
    curves: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)
    measured_epochs: tuple[int, ...] = ()
    measure_curves: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    measure_problems: Mapping[str, str] = field(default_factory=dict)
    records: Records = field(default_factory=dict, repr=False)
    traceback: str = field(default="", repr=False)
    error: BaseException | None = field(default=None, repr=False, compare=False)
    seconds: float = 0.0
    state: dict[str, torch.Tensor] = field(default_factory=dict, repr=False)


def mean_and_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and the sample standard deviation, None for a single value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
