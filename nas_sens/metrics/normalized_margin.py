"""Centred margin of the normalised network, whose ratio is the slope of normalised losses (liao2019)."""

from __future__ import annotations

import torch
from torch import nn

from ._metric import Metric
from ._network import require_classes, require_labels
from ._normalized_outputs import normalized_outputs


def normalized_margin(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor | None = None, *, generator: torch.Generator | None = None
) -> float:
    """Return the mean over inputs of f̃_y − mean_k f̃_k, with f̃ = f / ρ and ρ = Π_k ‖W_k‖.

    Source: liao2019, eq. 1, 7 and 10, appendix K. The outputs of f̃ are small, and the loss of small outputs is
    log K − (f̃_y − mean_k f̃_k) up to their squares: a normalised loss lies as far below log K as this says. A line
    through normalised losses on test against training inputs that meets (log K, log K) therefore has the ratio of
    these margins, test over training, as its slope.

    Args:
        model: A chain of positively homogeneous layers that maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape).
        y: Their labels (n,), of an integer type.
        generator: Not used; nothing is drawn.

    Raises:
        InvalidInputError: There are no labels, or the product of layer norms has no meaning for this network.
    """
    y = require_labels(x, y)
    outputs = normalized_outputs(model, x)
    own = outputs.gather(1, require_classes(outputs, y)[:, None]).squeeze(1)
    return float((own - outputs.mean(1)).mean())


METRIC = Metric(
    function=normalized_margin,
    direction="larger",
    source="Liao et al. 2019, eq. 1, 7 and 10",
    cost="forward",
    needs_labels=True,
    requirements="a chain of linear, convolution, batch-norm and positively homogeneous layers",
)
