"""SNIP: how much the loss depends on the presence of each weight (Lee et al., 2019)."""

from __future__ import annotations

import torch
from torch import nn

from ._metric import Metric
from ._network import loss_gradients


def snip(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    batch_statistics: bool = True,
    generator: torch.Generator | None = None,
) -> float:
    """Return Σ_j |∂L/∂c_j| = Σ_j |w_j ∂L/∂w_j|, where c_j = 1 is a factor on weight w_j.

    Source: Lee et al., SNIP, arXiv:1810.02340, section 4.1, the saliency of a connection; its sum over the weights of
    all layers as a score of a network, larger expected to be better, is that of Abdelfattah et al.,
    arXiv:2101.08134. L is the mean loss of the minibatch. Lee et al. divide saliencies by their sum, which
    would make the score 1.

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
    return float(torch.stack([(w * g).abs_().sum().double() for w, g in found.values()]).sum())


METRIC = Metric(
    function=snip,
    direction="larger",
    source="Lee et al. 2019, arXiv:1810.02340; as a score Abdelfattah et al. 2021, arXiv:2101.08134",
    cost="forward + backward",
    needs_labels=True,
    requirements="linear or convolution layers",
)
