"""One rule per module type: how it changes the second moments (symbols: ``_closed_form_moments.py``).

To add a rule, write a function ``(module, moments, draw) -> Moments`` and enter it in :data:`RULES`; raise
:class:`NoClosedFormError` where it does not hold. ``draw`` tells the variances of weights and biases.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from ...core.errors import InvalidInputError
from .draws import Draw, NoClosedFormError
from .kernels import activate, erf_covariance, gelu_covariance, rectify
from .layers import conv2d, linear
from .moments import Array, Moments, in_unit, renormalised, scaled


def identity(module: Any, moments: Moments, draw: Draw) -> Moments:
    """Return the moments as they are (dropout counts as in evaluation mode)."""
    return moments


def flatten(module: nn.Flatten, moments: Moments, draw: Draw) -> Moments:
    """Return the moments with positions as features; they stay apart until a linear layer takes the mean.

    Raises:
        NoClosedFormError: It flattens other dimensions than all but the first.
    """
    if module.start_dim != 1 or module.end_dim != -1:
        raise NoClosedFormError("only start_dim=1, end_dim=-1 has a rule")
    return moments.replace(is_flat=True)


def batch_norm(module: nn.BatchNorm1d | nn.BatchNorm2d, moments: Moments, draw: Draw) -> Moments:
    """Return the moments times γ²/(running variance + eps), of initial statistics or the module's own (init="current").

    Raises:
        NoClosedFormError: It is in training mode, has no running statistics, acts on the input itself, or, with its own
            statistics, shifts its argument or scales its channels by different factors.
    """
    if module.training:
        raise NoClosedFormError("it is in training mode; call model.eval() first")
    if module.running_var is None or module.running_mean is None:
        raise NoClosedFormError("it has no running statistics")
    factor = 1 / (1 + module.eps)
    if draw.init == "current":
        gamma = module.weight if module.affine else torch.ones_like(module.running_var)
        shift = [module.running_mean] + ([module.bias] if module.affine else [])
        if any(bool(t.any()) for t in shift):
            raise NoClosedFormError("its running mean or its bias is not zero, so that its outputs are not centred")
        factors = (gamma.detach().double().square() / (module.running_var.double() + module.eps)).flatten()
        if factors.numel() and not torch.allclose(factors, factors[:1], rtol=1e-6, atol=0.0):
            raise NoClosedFormError("its channels are scaled by different factors")
        factor = factors[0].item()
    if moments.is_input:
        raise NoClosedFormError("it acts on the input itself, whose channels differ")
    if factor == 0:
        return moments.replace(planes=moments.planes * 0, cross=scaled(moments.cross, 0.0))
    return moments.replace(log_scale=moments.log_scale + math.log(factor))


def activation_slope(slope: float, moments: Moments) -> Moments:
    """Return the moments behind a rectifier of the given negative slope.

    Raises:
        NoClosedFormError: The slope is not 1, and the pre-activations are not normal.
    """
    if slope == 1:
        return moments
    return rectify(_gaussian(moments), slope)


def _gaussian(moments: Moments) -> Moments:
    if moments.is_gaussian:
        return moments
    if moments.is_input:
        raise NoClosedFormError("it acts on the input itself, not on a layer with random weights")
    raise NoClosedFormError(
        "its argument is not normal in the wide-layer limit (an activation, or a sum with an activation's output, "
        "as in residual blocks with an activation after the addition)"
    )


def relu(module: Any, moments: Moments, draw: Draw) -> Moments:
    """Return the moments by the arc-cosine kernel of order 1."""
    return activation_slope(0.0, moments)


def leaky_relu(module: nn.LeakyReLU, moments: Moments, draw: Draw) -> Moments:
    """Return the moments by a mixture of the identity and the arc-cosine kernel."""
    return activation_slope(float(module.negative_slope), moments)


def prelu(module: nn.PReLU, moments: Moments, draw: Draw) -> Moments:
    """Return the moments behind a leaky ReLU of the module's own slope; on the meta device 0.25, PyTorch's initial one.

    Raises:
        NoClosedFormError: Its channels have different slopes, or the pre-activations are not normal.
    """
    slopes = module.weight.detach()
    if slopes.is_meta:
        return activation_slope(0.25, moments)
    if not bool((slopes == slopes[0]).all()):
        raise NoClosedFormError("its channels have different slopes")
    return activation_slope(float(slopes[0]), moments)


def gelu(module: nn.GELU, moments: Moments, draw: Draw) -> Moments:
    """Return the moments by the closed form of x·Φ(x); the tanh approximation is another function.

    Raises:
        NoClosedFormError: It is that approximation, or the pre-activations are not normal.
    """
    if module.approximate != "none":
        raise NoClosedFormError(f"approximate={module.approximate!r} has no rule, only 'none'")
    return renormalised(activate(_gaussian(moments), gelu_covariance, is_bounded=False))


class Erf(nn.Module):
    """The error function as a module: ``torch.erf`` in a traced network."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return erf(x)."""
        return torch.erf(x)


def erf(module: Erf, moments: Moments, draw: Draw) -> Moments:
    """Return the moments by the arcsine kernel."""
    return activate(_gaussian(moments), erf_covariance, is_bounded=True)


def average_pool(module: nn.AvgPool2d | nn.AdaptiveAvgPool2d, moments: Moments, draw: Draw) -> Moments:
    """Return the moments with the pooling matrix applied to both positions of the position-by-position moments.

    Raises:
        NoClosedFormError: It acts on the input itself.
        InvalidInputError: There is no feature map of shape (n, channels, height, width).
    """
    if moments.is_flat or len(moments.map_shape) != 2:
        raise InvalidInputError("an average pool needs a feature map of shape (n, channels, height, width)")
    if moments.is_input:
        raise NoClosedFormError("it acts on the input itself")
    assert moments.cross is not None, "the walk carries cross moments wherever a pool lies downstream"
    height, width = moments.map_shape
    n_positions = height * width
    basis = torch.eye(n_positions, dtype=torch.float64).reshape(n_positions, 1, height, width)
    pooled = module(basis)
    sides = tuple(pooled.shape[2:])
    matrix = pooled.reshape(n_positions, -1).numpy()

    def pool(k: Array) -> Array:
        lead = k.shape[:3]
        k = matrix.T @ k.reshape(*lead, n_positions, n_positions) @ matrix
        return k.reshape(*lead, *sides, *sides)

    same, other = (pool(k) for k in moments.cross)
    diagonal = np.einsum("stnhwhw->stnhw", same)
    difference = np.maximum(diagonal[0, 0] + diagonal[1, 1] - diagonal[0, 1] - diagonal[1, 0], 0.0)
    tail = sides
    planes = np.concatenate(
        [
            diagonal[0, 0],
            diagonal[1, 1],
            np.einsum("stnhwhw->stnhw", other).reshape(4 * moments.m, *tail),
            difference,
        ]
    )
    return moments.replace(planes=planes, cross=(same, other))


def add(first: Moments, second: Moments) -> Moments:
    """Sum of two branches whose product has expectation zero: all second moments add.

    E z_1 z_2 = 0 if the sign of one branch can be flipped by flipping weights that the other does not depend on: the
    signs of drawn weights are symmetric. A branch that ends in a linear or convolution layer of its own always can.

    Returns:
        The moments of the sum.

    Raises:
        NoClosedFormError: A branch is the input itself, shapes differ, or neither branch can, for example
            x + relu(conv(x)), where both have a positive mean.
    """
    if first.is_input or second.is_input:
        raise NoClosedFormError("it adds the input itself")
    if first.map_shape != second.map_shape or first.n_channels != second.n_channels or first.is_flat != second.is_flat:
        raise NoClosedFormError("its two summands have different shapes")
    is_free = [
        one.flips is not None and not (one.flips & other.layers) for one, other in ((first, second), (second, first))
    ]
    if not any(is_free):
        raise NoClosedFormError("its two summands are correlated: neither ends in a linear layer of its own")
    alive = [branch.log_scale for branch in (first, second) if branch.variance.any()]
    log_scale = max(alive, default=0.0)
    first, second = in_unit(first, log_scale), in_unit(second, log_scale)
    cross = None
    if first.cross is not None and second.cross is not None:
        cross = (first.cross[0] + second.cross[0], first.cross[1] + second.cross[1])
    flips = first.flips | second.flips if all(is_free) and first.flips and second.flips else None
    return renormalised(
        first.replace(
            planes=first.planes + second.planes,
            cross=cross,
            log_scale=log_scale,
            is_gaussian=first.is_gaussian and second.is_gaussian,
            layers=first.layers | second.layers,
            flips=flips,
        )
    )


Rule = Callable[[Any, Moments, Draw], Moments]

RULES: dict[type[nn.Module], Rule] = {
    nn.Linear: linear,
    nn.Conv2d: conv2d,
    nn.BatchNorm1d: batch_norm,
    nn.BatchNorm2d: batch_norm,
    nn.ReLU: relu,
    nn.LeakyReLU: leaky_relu,
    nn.PReLU: prelu,
    nn.GELU: gelu,
    Erf: erf,
    nn.AvgPool2d: average_pool,
    nn.AdaptiveAvgPool2d: average_pool,
    nn.Flatten: flatten,
    nn.Identity: identity,
    nn.Dropout: identity,
    nn.Dropout1d: identity,
    nn.Dropout2d: identity,
}
