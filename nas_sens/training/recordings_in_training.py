"""Records of a network while it is trained, and after; of several trainings as one."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ..core.device import memory_guard, model_where_doubles_are
from ..core.errors import InvalidInputError, OutOfMemoryError, first_line
from ..core.identity import make_generator
from ..data import Splits
from ..recordings import Recorded, recordings
from ..study.train_spec import TrainSpec
from .outcome import Records


def record_in_training(
    model: nn.Module, splits: Splits, spec: TrainSpec, *, y_train: torch.Tensor, seed: int
) -> tuple[dict[str, dict[str, torch.Tensor]], dict[str, str]]:
    """Return what ``[train] recordings`` keeps of a network as it is, and what it cannot keep.

    Args:
        model: The network; left as it is.
        splits: Data, on the device of the network.
        spec: Which records, and of how many inputs.
        y_train: The labels that are trained on.
        seed: Seed of the training.

    Returns:
        Name to arrays by field, float64 on the CPU; name to the reason, in one line, for those that cannot be taken.
    """
    records, problems = {}, {}
    model = model_where_doubles_are(model, y_train.device)
    for name in spec.recordings:
        recorded = Recorded(
            splits=splits,
            y_train=y_train,
            n_inputs=spec.recording_inputs,
            loss=spec.loss_for(splits.task),
            generator=make_generator("records in training", name, seed),
        )
        try:
            with memory_guard():
                found = recordings()[name].function(model, recorded)
        except InvalidInputError as error:
            problems[name] = str(error)
        except OutOfMemoryError:
            problems[name] = "out of memory; lower recording_inputs"
        except (RuntimeError, ValueError) as error:  # as of measures: what PyTorch's layers cannot do
            problems[name] = first_line(error)
        else:
            records[name] = {field: values.detach().to("cpu", torch.float64) for field, values in found.items()}
    return records, problems


def combined_records(trainings: Sequence[Records]) -> dict[str, Any]:
    """Return the records of several trainings of one architecture as one, as they are stored.

    A training that stopped earlier keeps its last record, as its curves do. A record that a training lacks is left out.

    Args:
        trainings: For each, name to epoch to arrays by field.

    Returns:
        Name to epoch to field to nested tuples of six digits, None for what is not finite. The epochs are those that
        are declared, and the last one of the training that took longest.
    """
    combined: dict[str, Any] = {}
    for name in trainings[0]:
        if all(one.get(name) for one in trainings):
            epochs = _epochs([sorted(one[name]) for one in trainings])
            combined[name] = {epoch: _combined(name, [_at(one[name], epoch) for one in trainings]) for epoch in epochs}
    return combined


def _epochs(taken: Sequence[Sequence[int]]) -> list[int]:
    """Return the epochs to keep: those that all which went on so far have, and the last of all."""
    last = max(epochs[-1] for epochs in taken)
    union = sorted({e for epochs in taken for e in epochs})
    # An epoch at which just one of them stopped is none of the declared ones: the others went on without a record.
    return [e for e in union if e == last or all(e in epochs or epochs[-1] < e for epochs in taken)]


def _at(records: Mapping[int, Mapping[str, torch.Tensor]], epoch: int) -> Mapping[str, torch.Tensor]:
    epochs = sorted(records)
    return records[epochs[max(0, bisect.bisect_right(epochs, epoch) - 1)]]


def _combined(name: str, seeds: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, Any]:
    arrays = [{field: values.numpy() for field, values in one.items()} for one in seeds]
    return {field: _plain(np.asarray(values)) for field, values in recordings()[name].combine(arrays).items()}


def _plain(values: np.ndarray) -> Any:
    if values.ndim:
        return tuple(_plain(part) for part in values)
    number = float(values)
    return float(f"{number:.6g}") if math.isfinite(number) else None
