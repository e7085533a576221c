"""Floating-point operations of one forward pass, the other baseline beside the number of parameters."""

from __future__ import annotations

import torch
from torch import nn

from ..architectures import count_flops
from ..architectures.flop_counter import count_by_running
from ..core.errors import InfeasibleArchitectureError, InvalidInputError
from ..core.inputs import Shape, rows_of
from ..core.module_mode import evaluation_mode
from ._metric import Metric
from ._one_input import OneInput
from ._weights import require_floats, with_plain_weights


def flops(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor | None = None, *, generator: torch.Generator | None = None
) -> float:
    """Return the operations of one forward pass of one input, a multiplication and an addition counted as two.

    Larger is expected to be better: a baseline of Ning et al., Evaluating efficient performance estimators of neural
    architectures, arXiv:2008.03064. Linear and convolution layers and products of matrices count, also those inside
    attention and recurrent layers, see :func:`nas_sens.architectures.count_flops`. Weights that a layer computes from
    others are taken as given: they are computed once, not for every input.

    Args:
        model: Any network with parameters.
        x: Inputs (n, *input_shape), of which only the shape is used.
        y: Not used.
        generator: Not used; nothing is drawn.

    Raises:
        InvalidInputError: The network has no parameters, or quantised layers.
        InfeasibleArchitectureError: The network does not take inputs of this shape, or multiplies in a way that there
            is no formula for.
    """
    require_floats(model)
    model = with_plain_weights(model)
    flags = [(p, p.requires_grad) for p in model.parameters()]
    if not flags:
        raise InvalidInputError("a network with parameters is needed; this one has none")
    try:
        with evaluation_mode(model):
            if isinstance(model, OneInput):  # whose own inputs are of other types
                return float(count_by_running(model.network, rows_of(model.given, slice(0, 1))))
            try:
                return float(count_flops(model, Shape(x.shape[1:])))
            except InfeasibleArchitectureError:
                if x.is_floating_point():
                    raise
                return float(count_flops(model, Shape(x.shape[1:], x.dtype)))  # a network that wants whole numbers
    finally:
        for parameter, required in flags:  # the counter switches gradients off and on again
            parameter.requires_grad_(required)


METRIC = Metric(
    function=flops,
    direction="larger",
    source="baseline of Ning et al. 2021, arXiv:2008.03064",
    cost="forward of one input",
    requirements="parameters",
)
