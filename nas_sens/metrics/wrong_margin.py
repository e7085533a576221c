"""How far wrong inputs are on the wrong side: the part of a loss that no error rate is in."""

from __future__ import annotations

import torch
from torch import nn

from ._metric import Metric
from ._network import outputs_of, require_classes, require_labels


def wrong_margin(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    batch_size: int = 256,
    generator: torch.Generator | None = None,
) -> float:
    """Return the mean of max_k f_k(x) − f_y(x) over the inputs that f classifies wrongly; 0.0 where it does none.

    Where outputs are large, the cross-entropy of a wrong input is this gap and that of a right one is 0, so that
    L ≈ error · gap. The loss predicted from the output sensitivity (forouzesh2020, eq. 9) grows as outputs do and knows
    no error: it can be right at one error rate only, and says more of the gap than of the loss.

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
    gaps = outputs.max(dim=1).values - outputs.gather(1, classes[:, None])[:, 0]
    return float(gaps.sum() / (gaps > 0).sum().clamp(min=1))  # those of right ones are 0


METRIC = Metric(
    function=wrong_margin,
    direction="smaller",
    source="cross-entropy of large outputs; beside Forouzesh et al. 2020, arXiv:2007.15378, eq. 9",
    cost="forward",
    needs_labels=True,
)
