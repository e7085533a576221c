"""Loss normalised by the norm of one output, for networks with shortcuts (liao2019, appendix)."""

from __future__ import annotations

import torch
from torch import nn

from ..core.module_mode import evaluation_mode
from ._metric import Metric
from ._network import require_inputs
from .normalized_loss import scaled_loss


def output_normalized_loss(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    reference: torch.Tensor | None = None,
    batch_size: int = 256,
    generator: torch.Generator | None = None,
) -> float:
    """Return the mean cross-entropy, in nats, of f / ‖f(x_ref)‖₂, with x_ref one input that all networks share.

    Source: liao2019, figure 2 and its appendix on ResNets, where the product of layer norms has no clear form. Smaller
    is better, but only among networks of one architecture trained on the same labels: the norm of one output does not
    tell a network trained on random labels from another. It is not comparable with
    :func:`nas_sens.metrics.normalized_loss.normalized_loss`.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), those that the network was trained on.
        y: Their labels (n,), of an integer type.
        reference: x_ref (*input_shape); the first input if None. Losses on a training and on a test set can be compared
            only if it is the same for both.
        batch_size: Inputs per forward pass.
        generator: Not used; nothing is drawn.

    Returns:
        The loss; nan where the output for x_ref is 0.

    Raises:
        InvalidInputError: There are no labels or no inputs.
    """
    require_inputs(x, 1)
    with torch.no_grad(), evaluation_mode(model):
        output = model((x[0] if reference is None else reference)[None])
    log_norm = torch.linalg.vector_norm(output, dtype=torch.float64).log()
    return scaled_loss(model, x, y, log_divisor=log_norm, batch_size=batch_size)


METRIC = Metric(
    function=output_normalized_loss,
    direction="smaller",
    source="Liao et al. 2019, figure 2 (ResNet)",
    cost="forward",
    takes_reference=True,
    needs_labels=True,
)
