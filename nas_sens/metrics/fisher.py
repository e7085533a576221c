"""Fisher information of channels: how much the loss depends on the presence of each (Turner et al., 2020)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from ..core.errors import InvalidInputError
from ._metric import Metric
from ._network import leaf_parameters, losses, probing_mode, require_inputs, require_labels
from ._weights import LAYERS_WITH_OUTPUT, require_layers, require_layers_of_their_own


def fisher(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    batch_statistics: bool = True,
    generator: torch.Generator | None = None,
) -> float:
    """Return Σ_c w_c Δ_c, Δ_c = 1/(2n) Σ_i (Σ_positions a_ic ∂L_i/∂a_ic)², over the channels c of all layers.

    Source: Turner et al., BlockSwap, arXiv:1906.04113, after Theis et al., Faster gaze prediction with dense networks
    and Fisher pruning, arXiv:1801.05787; as a score of a network, larger expected to be better, Abdelfattah et al.,
    arXiv:2101.08134. The activations a are the outputs of linear and convolution layers, units being channels of a
    linear layer. w_c is how many weights make channel c, as in the code of Abdelfattah et al., which gives every weight
    its channel's Δ_c and adds them up; without it the ranking is another one. L_i is the loss of input i, as in Theis
    et al.; code that takes the loss of the minibatch, a mean, gets 1/n² of this, the same ranking for equal n.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), one minibatch.
        y: Labels (n,) of an integer type, or targets of the shape of the outputs.
        batch_statistics: Whether batch norms use the statistics of ``x``, as the paper does, or their running ones.
        generator: Not used; nothing is drawn.

    Raises:
        InvalidInputError: There are no labels, no inputs, or no linear or convolution layers.
    """
    require_inputs(x, 1)
    y = require_labels(x, y)
    require_layers(model)
    outputs: list[torch.Tensor] = []
    n_weights: list[float] = []  # of a channel
    called: set[nn.Module] = set()
    is_last: list[bool] = []  # whether channels are the last dimension and not the second

    # The next module gets a copy: an in-place activation would overwrite what is kept here.
    def keep(module: nn.Module, arguments: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        outputs.append(output)
        called.add(module)
        is_last.append(isinstance(module, nn.Linear))
        n_weights.append(_weights_of_a_channel(module))
        return output.clone()

    hooks = [m.register_forward_hook(keep) for m in model.modules() if isinstance(m, LAYERS_WITH_OUTPUT)]
    try:
        with torch.enable_grad(), probing_mode(model, batch_statistics=batch_statistics):
            loss = losses(functional_call(model, leaf_parameters(model), (x,)), y).sum()
    finally:
        for hook in hooks:
            hook.remove()
    require_layers_of_their_own(model, called, x)
    if not outputs:
        raise InvalidInputError("a linear or convolution layer is needed; the network calls none")
    gradients = torch.autograd.grad(loss, outputs, materialize_grads=True)
    terms = []
    for a, g, last, n in zip(outputs, gradients, is_last, n_weights, strict=True):
        product = a.detach() * g
        by_channel = (
            (product.movedim(-1, 1) if last else product).flatten(2) if product.ndim > 2 else product[..., None]
        )
        terms.append(n * by_channel.sum(dim=2).square().mean(dim=0).sum(dtype=torch.float64) / 2)
    return float(torch.stack(terms).sum())


def _weights_of_a_channel(layer: Any) -> float:
    n_channels = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
    return float(layer.weight.numel() / n_channels)


METRIC = Metric(
    function=fisher,
    direction="larger",
    source="Turner et al. 2020, arXiv:1906.04113; as a score Abdelfattah et al. 2021, arXiv:2101.08134",
    cost="forward + backward",
    needs_labels=True,
    requirements="linear or convolution layers",
)
