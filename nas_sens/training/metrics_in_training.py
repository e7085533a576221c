"""Measures of a network while it is trained, and after."""

from __future__ import annotations

import math

import torch
from torch import nn

from ..core.candidates import ON_TRAIN
from ..core.identity import make_generator
from ..data import Splits
from ..data.subset import part_of
from ..metrics.measurement import measure
from ..metrics.stiffness import shared_cosines
from ..study.train_spec import TrainSpec


def measure_in_training(
    model: nn.Module, splits: Splits, spec: TrainSpec, *, y_train: torch.Tensor, seed: int
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Return what ``[train] metrics`` says of a network as it is, and what it cannot say.

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
    sets = {
        "validation": {"": (splits.x_val, splits.y_val)},
        "train": {"": (splits.x_train, y_train)},
        "both": {"": (splits.x_val, splits.y_val), ON_TRAIN: (splits.x_train, y_train)},
    }[spec.metrics_on]
    values: dict[str, float | None] = {}
    problems: dict[str, str] = {}
    reference = splits.x_train[0]  # whichever set is measured
    for ending, (x, y) in sets.items():
        generator = make_generator("measures in training", seed)
        x, y = part_of(x, y, spec.metrics_inputs, generator=make_generator("inputs of measures", seed))
        with shared_cosines():  # by far the dearest part of all measures that take them
            found = measure(model, x, y, metrics=spec.metrics, reference=reference, generator=generator)
        for m in found:
            values[m.name + ending] = m.value if m.value is not None and math.isfinite(m.value) else None
            if values[m.name + ending] is None:
                problems[m.name + ending] = m.problem
    return values, problems
