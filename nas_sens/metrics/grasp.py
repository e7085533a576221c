"""GraSP: how the removal of each weight changes the gradient flow (Wang et al., 2020)."""

from __future__ import annotations

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from ._metric import Metric
from ._network import leaf_parameters, losses, probing_mode, require_inputs, require_labels
from ._weights import layer_weights, with_plain_weights


def grasp(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    batch_statistics: bool = True,
    generator: torch.Generator | None = None,
) -> float:
    """Return Σ_j −w_j (H g)_j, with g and H gradient and Hessian of the mean loss by the weights w.

    Source: Wang et al., Picking winning tickets before training by preserving gradient flow, arXiv:2002.07376; its
    sum, with its sign, over the weights of all layers as a score of a network, larger expected to be better, is that
    of Abdelfattah et al., arXiv:2101.08134. The loss is taken at temperature 1, as there.

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
    model = with_plain_weights(model)
    parameters = leaf_parameters(model)
    weights = [parameters[name] for name in layer_weights(model, x)]
    # Of the implementations of attention, this one alone can be differentiated twice.
    attention = sdpa_kernel(SDPBackend.MATH)
    with torch.enable_grad(), attention, probing_mode(model, batch_statistics=batch_statistics):
        loss = losses(functional_call(model, parameters, (x,)), y).mean()
        gradients = torch.autograd.grad(loss, weights, create_graph=True, materialize_grads=True)
        # The gradient of g · (g held fixed) is H g.
        flow = torch.stack([(g * g.detach()).sum() for g in gradients]).sum()
        products = torch.autograd.grad(flow, weights, materialize_grads=True)
    terms = [-(w.detach() * p).sum(dtype=torch.float64) for w, p in zip(weights, products, strict=True)]
    return float(torch.stack(terms).sum())


METRIC = Metric(
    function=grasp,
    direction="larger",
    source="Wang et al. 2020, arXiv:2002.07376; as a score Abdelfattah et al. 2021, arXiv:2101.08134",
    cost="forward + backward + backward through both",
    needs_labels=True,
    requirements="linear or convolution layers; twice differentiable operations",
)
