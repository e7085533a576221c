"""Output of the normalised network for the likeliest class (liao2019, figure 20)."""

from __future__ import annotations

import torch
from torch import nn

from ._metric import Metric
from ._normalized_outputs import normalized_outputs


def normalized_top_output(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor | None = None, *, generator: torch.Generator | None = None
) -> float:
    """Return the mean over inputs of max_k f̃_k, with f̃ = f / ρ and ρ = Π_k ‖W_k‖.

    Source: liao2019, figure 20 and appendix K, where it is 0.0267 for MNIST: so small that all normalised losses lie
    near log K. The further it is from 0, the further normalised losses can be from those of outputs that are all equal.

    Args:
        model: A chain of positively homogeneous layers that maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape); the paper has the training set.
        y: Not used.
        generator: Not used; nothing is drawn.

    Raises:
        InvalidInputError: There are no inputs, or the product of layer norms has no meaning for this network.
    """
    return float(normalized_outputs(model, x).amax(1).mean())


METRIC = Metric(
    function=normalized_top_output,
    direction="larger",
    source="Liao et al. 2019, figure 20 and appendix K",
    cost="forward",
    requirements="a chain of linear, convolution, batch-norm and positively homogeneous layers",
)
