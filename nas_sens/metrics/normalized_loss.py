"""Normalised loss: cross-entropy of the network divided by the product of its layers' norms (liao2019)."""

from __future__ import annotations

import torch
from torch import nn

from ._metric import Metric
from ._network import losses, require_inputs, require_labels
from ._normalized_outputs import scaled_outputs
from .norm_product import log_norm_product


def normalized_loss(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    p: float = 2.0,
    batch_size: int = 256,
    generator: torch.Generator | None = None,
) -> float:
    """Return the mean cross-entropy, in nats, of f̃ = f / ρ, with ρ = Π_k ‖W_k‖.

    Source: liao2019, eq. 1–2 and appendix A. Of trained networks of one architecture with no training error, the loss
    of f̃ on the *training* set predicts its loss on the test set, and smaller is better; that of f does not. The slope
    of that line is the ratio of :func:`nas_sens.metrics.normalized_margin.normalized_margin` on test over training
    inputs, which tends to 1 with more data: 0.836 and 1.008 in the paper.
    Classification by f̃ and by f is the same. Values lie near log K, the loss of outputs that are all equal. To divide
    the output is to divide every layer's weights by their norm, and its bias by the norms up to it. The network is
    evaluated in evaluation mode, batch norms being folded into the layers; see
    :func:`nas_sens.metrics.norm_product.norm_product` for the norms.

    Args:
        model: A chain of positively homogeneous layers that maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), those that the network was trained on.
        y: Their labels (n,), of an integer type.
        p: Which norm; 2 for Frobenius.
        batch_size: Inputs per forward pass.
        generator: Not used; nothing is drawn.

    Raises:
        InvalidInputError: There are no labels, ``p`` is less than 1, or the product of layer norms has no meaning for
            this network.
    """
    return scaled_loss(model, x, y, log_divisor=log_norm_product(model, p=p), batch_size=batch_size)


def scaled_loss(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor | None, *, log_divisor: torch.Tensor, batch_size: int = 256
) -> float:
    """Return the mean loss of the outputs divided by exp(``log_divisor``), in evaluation mode; nan for a divisor 0."""
    require_inputs(x, 1)
    y = require_labels(x, y)
    outputs = scaled_outputs(model, x, log_divisor=log_divisor, batch_size=batch_size)
    total = torch.zeros((), dtype=torch.float64)
    for part, labels in zip(outputs.split(batch_size), y.cpu().split(batch_size), strict=True):
        total += losses(part, labels).sum()
    return float(total / len(x))


METRIC = Metric(
    function=normalized_loss,
    direction="smaller",
    source="Liao et al. 2019, eq. 1-2",
    cost="forward",
    needs_labels=True,
    requirements="a chain of linear, convolution, batch-norm and positively homogeneous layers",
)
