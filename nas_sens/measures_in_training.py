"""Measures of a network while it is trained, and after."""

from __future__ import annotations

import math

import torch
from torch import nn

from .data import Splits
from .identity import make_generator
from .measure import measure
from .train_spec import TrainSpec


def measure_in_training(
    model: nn.Module, splits: Splits, spec: TrainSpec, *, y_train: torch.Tensor, seed: int
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Return what ``[train] measure`` says of a network as it is, and what it cannot say.

    Inputs and noise are the same whenever it is asked, so that a course over epochs is one of the network alone.

    Args:
        model: The network; left as it is.
        splits: Data, on the device of the network.
        spec: Which measures, and how many inputs of which set.
        y_train: The labels that are trained on.
        seed: Seed of the training.

    Returns:
        Name to value, None where there is no finite one; name to the reason, in one line, for these.
    """
    x, y = (splits.x_train, y_train) if spec.measure_on == "train" else (splits.x_val, splits.y_val)
    generator = make_generator("measures in training", seed)
    found = measure(
        model, x[: spec.measure_inputs], y[: spec.measure_inputs], metrics=spec.measure, generator=generator
    )
    values = {m.name: m.value if m.value is not None and math.isfinite(m.value) else None for m in found}
    return values, {m.name: m.problem for m in found if values[m.name] is None}
