"""Number of trainable parameters, the baseline that most training-free scores fail to beat."""

from __future__ import annotations

import torch
from torch import nn

from ..architectures import count_params
from ._metric import Metric
from ._weights import require_floats


def params(
    model: nn.Module,
    x: torch.Tensor | None = None,
    y: torch.Tensor | None = None,
    *,
    generator: torch.Generator | None = None,
) -> float:
    """Return the number of trainable parameters, shared ones counted once.

    Larger is expected to be better by Abdelfattah et al., arXiv:2101.08134, and Ning et al., Evaluating
    efficient performance estimators of neural architectures, arXiv:2008.03064, who have it as a baseline.

    Args:
        model: Any network.
        x: Not used.
        y: Not used.
        generator: Not used; nothing is drawn.
    """
    require_floats(model)
    return float(count_params(model))


METRIC = Metric(
    function=params, direction="larger", source="baseline of Ning et al. 2021, arXiv:2008.03064", cost="nothing"
)
