"""L2 norm of the weights, layer by layer (Abdelfattah et al., 2021)."""

from __future__ import annotations

import torch
from torch import nn

from ._metric import Metric
from ._network import layer_norms
from ._weights import weight_tensors, with_plain_weights


@torch.no_grad()
def l2_norm(
    model: nn.Module,
    x: torch.Tensor | None = None,
    y: torch.Tensor | None = None,
    *,
    generator: torch.Generator | None = None,
) -> float:
    """Return Σ_l ‖W_l‖₂ over the weights W_l of all layers: linear, convolution, attention and recurrent ones.

    Source: the measure ``l2_norm`` in the code of Abdelfattah et al., Zero-cost proxies for lightweight NAS,
    arXiv:2101.08134; larger is expected to be better. At initialisation it is little but a function of widths.

    Args:
        model: Any network.
        x: Inputs, of which one is run where modules of one's own have parameters; None for layers alone.
        y: Not used.
        generator: Not used; nothing is drawn.

    Raises:
        InvalidInputError: There are no linear or convolution layers.
    """
    return float(layer_norms(weight_tensors(with_plain_weights(model), x)).sum())


METRIC = Metric(
    function=l2_norm,
    direction="larger",
    source="code of Abdelfattah et al. 2021, arXiv:2101.08134",
    cost="nothing",
    requirements="linear or convolution layers",
)
