"""Outputs of a network with the classes of its inputs, for measures that compare the two."""

from __future__ import annotations

import torch
from torch import nn

from ..core.errors import InvalidInputError
from ..core.module_mode import evaluation_mode
from ._network import require_inputs, require_labels


@torch.no_grad()
def class_outputs(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor | None, *, batch_size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the outputs (n, K) in evaluation mode, float64, and the classes (n,), int64; both on the CPU.

    Raises:
        InvalidInputError: There are no inputs, or no classes for them, or these are not those of the outputs.
    """
    require_inputs(x, 1)
    y = require_labels(x, y)
    if y.is_floating_point() or y.ndim != 1:
        raise InvalidInputError(f"classes (n,) of an integer type are needed; given {y.dtype} {tuple(y.shape)}")
    with evaluation_mode(model):
        outputs = torch.cat([model(inputs) for inputs in x.split(batch_size)])
    outputs, classes = outputs.cpu().double(), y.cpu().long()
    if outputs.ndim != 2 or int(classes.min()) < 0 or int(classes.max()) >= outputs.shape[1]:
        raise InvalidInputError(
            f"outputs (n, K) and classes from 0 to K - 1 are needed; given outputs {tuple(outputs.shape)} and classes "
            f"from {int(classes.min())} to {int(classes.max())}"
        )
    return outputs, classes
