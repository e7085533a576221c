"""Distance of class probabilities to the label, the first step to the predicted loss (forouzesh2020, eq. 3)."""

from __future__ import annotations

import math

import torch
from torch import nn

from ._metric import Metric
from ._network import outputs_of, require_classes, require_labels


def label_distance(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    batch_size: int = 256,
    generator: torch.Generator | None = None,
) -> float:
    """Return E_x ‖F(x) − y‖₂ / √2, F being the softmax of the outputs and y the one-hot label; between 0 and 1.

    Source: forouzesh2020, eq. 3, which takes it for the cross-entropy L of a trained network, more so of over-confident
    predictors. For these F is itself one-hot, so that the distance is 1 for every wrong input: it is the *error*, and
    no loss, which grows with the outputs without bound. Near a loss of 0 it follows the loss: one input of probability
    1 − p of the true class has −log(1 − p) ≈ p and a distance between p/√2 · √(K/(K−1)) and p.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape).
        y: Classes (n,) of an integer type.
        batch_size: Inputs per forward pass.
        generator: Not used; nothing is drawn.

    Raises:
        InvalidInputError: There are no inputs, or no classes for them.
    """
    y = require_labels(x, y)
    outputs = outputs_of(model, x, batch_size=batch_size)
    classes = require_classes(outputs, y)
    distances = outputs.softmax(dim=1) - nn.functional.one_hot(classes, outputs.shape[1])
    return float(distances.norm(dim=1).mean() / math.sqrt(2))


METRIC = Metric(
    function=label_distance,
    direction="smaller",
    source="Forouzesh et al. 2020, arXiv:2007.15378, eq. 3",
    cost="forward",
    needs_labels=True,
)
