"""Spread of the normalised network's output for the likeliest class over inputs (liao2019, figure 20)."""

from __future__ import annotations

import torch
from torch import nn

from ._metric import Metric
from ._network import require_inputs
from ._normalized_outputs import normalized_outputs


def normalized_top_spread(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor | None = None, *, generator: torch.Generator | None = None
) -> float:
    """Return the standard deviation over inputs of max_k f̃_k, with f̃ = f / ρ and ρ = Π_k ‖W_k‖.

    Source: liao2019, figure 20 and appendix K, where it is 0.0071 beside a mean of 0.0267, see
    :func:`nas_sens.metrics.normalized_top_output.normalized_top_output`. The paper expects nothing of it; outputs that
    differ more from input to input are called the better ones here, as they are the larger ones.

    Args:
        model: A chain of positively homogeneous layers that maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), at least 2; the paper has the training set.
        y: Not used.
        generator: Not used; nothing is drawn.

    Raises:
        InvalidInputError: There are too few inputs, or the product of layer norms has no meaning for this network.
    """
    require_inputs(x, 2)
    return float(normalized_outputs(model, x).amax(1).std())


METRIC = Metric(
    function=normalized_top_spread,
    direction="larger",
    source="Liao et al. 2019, figure 20 and appendix K",
    cost="forward",
    requirements="a chain of linear, convolution, batch-norm and positively homogeneous layers",
)
