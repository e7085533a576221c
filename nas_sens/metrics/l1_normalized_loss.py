"""Normalised loss by L1 norms of the layers instead of Frobenius norms (liao2019, figure 9)."""

from __future__ import annotations

import torch
from torch import nn

from ._metric import Metric
from .normalized_loss import normalized_loss


def l1_normalized_loss(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor | None = None, *, generator: torch.Generator | None = None
) -> float:
    """Return the mean cross-entropy, in nats, of f / ρ, ρ = Π_k Σ|w_k| / 100.

    It is :func:`nas_sens.metrics.normalized_loss.normalized_loss` with ``p=1``. Source: liao2019, figure 9 and appendix
    D: by which norm layers are divided does not matter for the line of test against training losses. L1 norms are so
    large that outputs would vanish; hence the 100, which makes losses by L1 and by Frobenius norms incomparable.

    Args:
        model: A chain of positively homogeneous layers that maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), those that the network was trained on.
        y: Their labels (n,), of an integer type.
        generator: Not used; nothing is drawn.

    Raises:
        InvalidInputError: There are no labels, or the product of layer norms has no meaning for this network.
    """
    return normalized_loss(model, x, y, p=1.0)


METRIC = Metric(
    function=l1_normalized_loss,
    direction="smaller",
    source="Liao et al. 2019, figure 9",
    cost="forward",
    needs_labels=True,
    requirements="a chain of linear, convolution, batch-norm and positively homogeneous layers",
)
