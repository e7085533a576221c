"""SynFlow: log10 of the flow through the absolute weights, without data (Tanaka et al., 2020)."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.func import functional_call

from ..core.module_mode import evaluation_mode
from ._metric import Metric
from ._weights import layer_weights, with_plain_weights


def synflow(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float64,
) -> float:
    """Return log10 Σ_θ θ · ∂R/∂θ, where R is the sum of the outputs for an input of ones and θ are absolute values.

    Source: Tanaka et al., Pruning neural networks without any data, arXiv:2006.05467, the loss R_SF = 1ᵀ (Π_l |W_l|)
    1 and its saliency; as a score of a network, larger expected to be better, Abdelfattah et al., arXiv:2101.08134.
    As in the authors' code, every parameter *and buffer* is replaced by its absolute value, batch norms are in
    evaluation mode, and the sum is over the weights of all layers. Computed in float64, in which R of a network of 20
    layers of 1,000 units is still finite; the logarithm, since it spans as many orders of magnitude as there are
    layers. In a bias-free network of L layers with homogeneous activations the sum is L · R.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), of which only shape and device are used.
        y: Not used.
        generator: Not used; nothing is drawn.
        dtype: What it is computed in. float32 is faster, and gives six digits where nothing leaves its range.

    Returns:
        The logarithm; -inf where nothing flows, nan where the flow is negative, as behind a layer norm, which the
        measure is not meant for.

    Raises:
        InvalidInputError: There are no linear or convolution layers.
    """
    model = with_plain_weights(model)
    names = layer_weights(model, x)
    state = {n: t.detach().to(dtype).abs() for n, t in _floating(model)}
    weights = [state[n].requires_grad_() for n in names]
    ones = torch.ones((1, *x.shape[1:]), dtype=dtype, device=x.device)
    with torch.enable_grad(), evaluation_mode(model):
        flow = functional_call(model, state, (ones,)).sum()
        gradients = torch.autograd.grad(flow, weights, materialize_grads=True)
    total = float(sum((w.detach() * g).sum() for w, g in zip(weights, gradients, strict=True)))
    return math.log10(total) if total > 0 else (math.nan if total != 0 else -math.inf)


def _floating(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return [(n, t) for n, t in tensors if t.is_floating_point()]


METRIC = Metric(
    function=synflow,
    direction="larger",
    source="Tanaka et al. 2020, arXiv:2006.05467; as a score Abdelfattah et al. 2021, arXiv:2101.08134",
    cost="forward + backward of one input, in float64",
    requirements="linear or convolution layers",
)
