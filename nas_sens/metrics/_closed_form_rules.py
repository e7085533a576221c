"""One rule per module type: how it changes the second moments (symbols: ``_closed_form_moments.py``).

To add a rule, write a function ``(module, moments, draw) -> Moments`` and enter it in :data:`RULES`; raise
:class:`NoClosedFormError` where it does not hold. ``draw`` tells the variances of weights and biases.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from ..errors import InvalidInputError, NasSensError
from ..initialization import INIT_SCHEMES, InitScheme
from ._closed_form_kernels import activate, erf_covariance, gelu_covariance, rectify
from ._closed_form_moments import Array, Moments

MAX_POSITIONS = 1024  # of a feature map with position-by-position moments: 8 · 1024² numbers = 64 MiB for every input

WeightDraw = InitScheme | Literal["current"]


class NoClosedFormError(NasSensError):
    """The closed form does not cover a module or the way it is used; Monte Carlo does."""


@dataclass(frozen=True)
class Draw:
    """How weights are drawn: an initialisation scheme, or "current" for the variances of the module's own weights."""

    init: WeightDraw
    scale: float

    def __post_init__(self) -> None:
        if self.init not in (*INIT_SCHEMES, "current"):
            raise InvalidInputError(f"init must be one of {', '.join(INIT_SCHEMES)} or current; given {self.init!r}")
        if not 0 <= self.scale < math.inf:
            raise InvalidInputError(f"init_scale must be finite and at least 0; given {self.scale}")

    def variances(self, layer: nn.Linear | nn.Conv2d) -> tuple[float, float]:
        """Return the variances of a weight and of a bias of ``layer``."""
        weight, bias = layer.weight, layer.bias
        if self.init != "current":
            n_out, n_in, *kernel = weight.shape
            area = math.prod(kernel)
            variances = scheme_variances(
                self.init, n_in * area, n_out * area, n_out, self.scale, has_bias=bias is not None
            )
            return float(variances[0]), float(variances[1])
        if weight.is_meta:
            raise InvalidInputError('init="current" needs a module with weights, but these are on the meta device')
        weight_variance = weight.detach().double().square().mean().item() * self.scale**2
        return weight_variance, 0.0 if bias is None else bias.detach().double().square().mean().item()


def scheme_variances(
    scheme: str, fan_in: Any, fan_out: Any, n_out: Any, scale: float, *, has_bias: bool
) -> tuple[Any, Any]:
    """Return the variances of a weight and of a bias that :func:`nas_sens.initialization.initialize_` draws.

    Args:
        scheme: One of :data:`nas_sens.initialization.INIT_SCHEMES`.
        fan_in: Input channels of a group times kernel area; a number or, as the next two, an array.
        fan_out: Output channels times kernel area.
        n_out: Output channels.
        scale: Factor on the weights (not on biases).
        has_bias: Whether the layer has biases.
    """
    weight: Any
    bias: Any = 0.0
    if scheme == "standard_normal":
        weight, bias = 1.0, 1.0
    elif scheme in ("xavier_uniform", "xavier_normal"):
        weight = 2 / (fan_in + fan_out)
    elif scheme in ("he_uniform", "he_normal"):
        weight = 2 / fan_in
    elif scheme == "lecun_normal":
        weight = 1 / fan_in
    elif scheme == "orthogonal":  # orthonormal rows or columns, whichever are fewer, of the (n_out, fan_in) matrix
        weight = 1 / np.maximum(fan_in, n_out)
    elif scheme == "torch_default":  # U(±1/√fan_in)
        weight = bias = 1 / (3 * fan_in)
    else:
        raise InvalidInputError(f"no variances known for initialisation scheme {scheme!r}")
    return weight * scale**2, bias if has_bias else 0.0


# ------------------------------------------------------------------------------------------------ layers with weights


def linear(module: nn.Linear, moments: Moments, draw: Draw) -> Moments:
    """Σ over all features: t ← n_in σ_w² mean(t) + σ_b², but d ← n_in σ_w² mean(d)."""
    planes = moments.planes
    if planes.ndim > 1:
        if not moments.is_flat:
            raise NoClosedFormError("it acts on a feature map; flatten it first")
        planes = planes.mean(axis=tuple(range(1, planes.ndim)))
    n_features = moments.n_channels * math.prod(moments.map_shape)
    if module.in_features != n_features:
        raise InvalidInputError(f"a linear layer expects {module.in_features} features but gets {n_features}")
    return _affine(module, moments, planes, None, module.in_features, module.out_features, draw)


def conv2d(module: nn.Conv2d, moments: Moments, draw: Draw) -> Moments:
    """Sum over the kernel's window, zeros beyond the border, times channels of a group and weight variance."""
    if module.padding_mode != "zeros":
        raise NoClosedFormError(f"padding_mode={module.padding_mode!r} has no rule, only zeros")
    if moments.is_flat or len(moments.map_shape) != 2:
        raise InvalidInputError("a convolution needs inputs of shape (n, channels, height, width)")
    if module.in_channels != moments.n_channels:
        raise InvalidInputError(f"a convolution expects {module.in_channels} channels but gets {moments.n_channels}")
    if moments.is_input and module.groups > 1:
        raise NoClosedFormError("a grouped convolution acts on the input itself, whose channels differ")
    windows = [_window(module, axis, side) for axis, side in enumerate(moments.map_shape)]
    rows, columns = (_window_matrix(side, *w) for side, w in zip(moments.map_shape, windows, strict=True))
    planes = rows @ (moments.planes @ columns.T)
    cross = moments.cross
    for axis, window in enumerate(windows):
        if cross is not None:
            axes = (axis + 3, axis + 5)
            cross = (_window_sum(cross[0], axes, *window), _window_sum(cross[1], axes, *window))
    fan_in = module.in_channels // module.groups
    return _affine(module, moments, planes, cross, fan_in, module.out_channels, draw)


def _window(module: nn.Conv2d, axis: int, side: int) -> tuple[int, list[tuple[slice, slice]]]:
    """Return the output's side along one axis and, for each tap of the kernel, the outputs and inputs that it joins."""
    kernel, dilation, stride = module.kernel_size[axis], module.dilation[axis], module.stride[axis]
    span = dilation * (kernel - 1) + 1
    if module.padding == "same":
        before, after = (span - 1) // 2, span - 1 - (span - 1) // 2
    else:
        before = after = 0 if isinstance(module.padding, str) else int(module.padding[axis])
    n_out = (side + before + after - span) // stride + 1
    if n_out < 1:
        raise InvalidInputError(f"a kernel spanning {span} is larger than its padded feature map of {side}")
    taps = []
    for tap in range(kernel):
        offset = tap * dilation - before  # input = output * stride + offset
        first = max(0, -(offset // stride))
        last = min(n_out - 1, (side - 1 - offset) // stride)
        if first <= last:
            inputs = slice(first * stride + offset, last * stride + offset + 1, stride)
            taps.append((slice(first, last + 1), inputs))
    return n_out, taps


def _window_matrix(side: int, n_out: int, taps: list[tuple[slice, slice]]) -> Array:
    """Return the matrix (n_out, side) of zeros and ones that sums over the taps along one axis."""
    matrix = np.zeros((n_out, side))
    positions = np.arange(max(side, n_out))
    for outputs, inputs in taps:
        matrix[positions[outputs], positions[inputs]] = 1.0
    return matrix


def _window_sum(t: Array, axes: tuple[int, ...], n_out: int, taps: list[tuple[slice, slice]]) -> Array:
    """Return the sum over the kernel's taps, moved along all ``axes`` together, zeros beyond the border."""
    shape = list(t.shape)
    for axis in axes:
        shape[axis] = n_out
    total = np.zeros(shape)
    source, target = [slice(None)] * t.ndim, [slice(None)] * t.ndim
    for outputs, inputs in taps:
        for axis in axes:
            source[axis], target[axis] = inputs, outputs
        total[tuple(target)] += t[tuple(source)]
    return total


def _affine(
    module: nn.Linear | nn.Conv2d,
    moments: Moments,
    planes: Array,
    cross: tuple[Array, Array] | None,
    fan_in: int,
    n_out: int,
    draw: Draw,
) -> Moments:
    """Return moments behind a layer of fresh weights; the second moment of its argument is ``fan_in * planes``."""
    key = id(module.weight)
    if key in moments.layers:
        raise NoClosedFormError("its weights are used twice on one path")
    weight_variance, bias_variance = draw.variances(module)
    gain = fan_in * weight_variance
    log_scale = moments.log_scale + math.log(gain) if gain > 0 else -math.inf
    log_bias = math.log(bias_variance) if bias_variance > 0 else -math.inf
    if max(log_scale, log_bias) == -math.inf:
        planes, cross, log_scale = planes * 0, None if cross is None else (cross[0] * 0, cross[1] * 0), 0.0
    elif log_bias > log_scale + 200:  # change the unit so that nothing overflows
        factor = math.exp(log_scale - log_bias)
        planes, cross, log_scale = planes * factor, _scaled(cross, factor), log_bias
    out = moments.replace(
        planes=planes,
        cross=cross,
        log_scale=log_scale,
        n_channels=n_out,
        is_gaussian=True,
        is_input=False,
        layers=moments.layers | {key},
        flips=frozenset({key}),
    )
    if bias_variance:
        shift = math.exp(log_bias - log_scale)
        if planes is moments.planes:
            out.planes = planes.copy()
        out.planes[: out.n_covariant] += shift
        if cross is not None:
            out.cross = (cross[0] + shift, cross[1] + shift)
    return out if not out.map_shape else renormalised(out)


def renormalised(moments: Moments) -> Moments:
    """Return the same moments in another unit if they come near the limits of float64."""
    peak = float(moments.variance.max())
    if peak == 0 or 1e-100 < peak < 1e100:
        return moments
    return _in_unit(moments, moments.log_scale + math.log(peak))


def _in_unit(moments: Moments, log_scale: float) -> Moments:
    factor = math.exp(moments.log_scale - log_scale)
    return moments.replace(planes=moments.planes * factor, cross=_scaled(moments.cross, factor), log_scale=log_scale)


def _scaled(cross: tuple[Array, Array] | None, factor: float) -> tuple[Array, Array] | None:
    return None if cross is None else (cross[0] * factor, cross[1] * factor)


# --------------------------------------------------------------------------------------------- layers without weights


def identity(module: Any, moments: Moments, draw: Draw) -> Moments:
    """Nothing changes (dropout counts as in evaluation mode)."""
    return moments


def flatten(module: nn.Flatten, moments: Moments, draw: Draw) -> Moments:
    """Positions become features; their moments stay apart until a linear layer takes the mean."""
    if module.start_dim != 1 or module.end_dim != -1:
        raise NoClosedFormError("only start_dim=1, end_dim=-1 has a rule")
    return moments.replace(is_flat=True)


def batch_norm(module: nn.BatchNorm1d | nn.BatchNorm2d, moments: Moments, draw: Draw) -> Moments:
    """Factor γ²/(running variance + eps): initial statistics for a scheme, the module's own for init="current"."""
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
        return moments.replace(planes=moments.planes * 0, cross=_scaled(moments.cross, 0.0))
    return moments.replace(log_scale=moments.log_scale + math.log(factor))


def activation_slope(slope: float, moments: Moments) -> Moments:
    """Rectifier of the given negative slope, after a check that the pre-activations are normal."""
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
    """Arc-cosine kernel of order 1."""
    return activation_slope(0.0, moments)


def leaky_relu(module: nn.LeakyReLU, moments: Moments, draw: Draw) -> Moments:
    """Mixture of the identity and the arc-cosine kernel."""
    return activation_slope(float(module.negative_slope), moments)


def prelu(module: nn.PReLU, moments: Moments, draw: Draw) -> Moments:
    """Leaky ReLU with the module's own slopes if they are equal; 0.25, PyTorch's initial value, on the meta device."""
    slopes = module.weight.detach()
    if slopes.is_meta:
        return activation_slope(0.25, moments)
    if not bool((slopes == slopes[0]).all()):
        raise NoClosedFormError("its channels have different slopes")
    return activation_slope(float(slopes[0]), moments)


def gelu(module: nn.GELU, moments: Moments, draw: Draw) -> Moments:
    """Closed form of x·Φ(x); the tanh approximation is another function."""
    if module.approximate != "none":
        raise NoClosedFormError(f"approximate={module.approximate!r} has no rule, only 'none'")
    return renormalised(activate(_gaussian(moments), gelu_covariance, is_bounded=False))


class Erf(nn.Module):
    """The error function as a module: ``torch.erf`` in a traced network."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return erf(x)."""
        return torch.erf(x)


def erf(module: Erf, moments: Moments, draw: Draw) -> Moments:
    """Arcsine kernel."""
    return activate(_gaussian(moments), erf_covariance, is_bounded=True)


def average_pool(module: nn.AvgPool2d | nn.AdaptiveAvgPool2d, moments: Moments, draw: Draw) -> Moments:
    """Apply the pooling matrix to both positions of the position-by-position moments."""
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

    Raises:
        NoClosedFormError: Neither branch can, for example x + relu(conv(x)), where both have a positive mean.
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
    log_scale = max(first.log_scale, second.log_scale)
    first, second = _in_unit(first, log_scale), _in_unit(second, log_scale)
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
