"""Gradient norm: sum over layers of the norm of the loss gradient (Abdelfattah et al., 2021)."""

from __future__ import annotations

import torch
from torch import nn

from ._metric import Metric
from ._network import layer_norms, loss_gradients


def grad_norm(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    batch_statistics: bool = True,
    generator: torch.Generator | None = None,
) -> float:
    """Return Σ_l ‖∂L/∂W_l‖₂ over the weights W_l of all layers: linear, convolution, attention and recurrent ones.

    Source: Abdelfattah et al., Zero-cost proxies for lightweight NAS, arXiv:2101.08134: the norms of the
    layers are added, and the larger sum is expected to be better. L is the mean loss of the minibatch.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), one minibatch.
        y: Labels (n,) of an integer type, or targets of the shape of the outputs.
        batch_statistics: Whether batch norms use the statistics of ``x``, as the paper does, or their running ones.
        generator: Not used; nothing is drawn.

    Raises:
        InvalidInputError: There are no labels, no inputs, or no linear or convolution layers.
    """
    found = loss_gradients(model, x, y, batch_statistics=batch_statistics)
    return float(layer_norms([g for _, g in found.values()]).sum())


METRIC = Metric(
    function=grad_norm,
    direction="larger",
    source="Abdelfattah et al. 2021, arXiv:2101.08134",
    cost="forward + backward",
    needs_labels=True,
    requirements="linear or convolution layers",
)
