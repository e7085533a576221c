"""Rules of layers with weights: how they change the second moments (symbols: ``_closed_form_moments.py``).

A weight is i.i.d. with mean zero and variance σ_w², a bias with σ_b², all independent of the layer's argument:
t ← fan_in · σ_w² · mean(t) + σ_b² for every second moment t, and d ← fan_in · σ_w² · mean(d).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from torch import nn

from ...core.errors import InvalidInputError
from .draws import Draw, NoClosedFormError
from .moments import MAX_POSITIONS, Array, Moments, renormalised, scaled


def linear(module: nn.Linear, moments: Moments, draw: Draw) -> Moments:
    """Return the moments of the sum over all features: t ← n_in σ_w² mean(t) + σ_b², but d ← n_in σ_w² mean(d).

    Raises:
        NoClosedFormError: It acts on a feature map, or its weights are used twice.
        InvalidInputError: The number of features differs, or the weights of init="current" are on the meta device.
    """
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
    """Return moments summed over the kernel's window, zeros beyond the border, times a group's channels and σ_w².

    Raises:
        NoClosedFormError: It pads with other than zeros, is depthwise, is grouped and acts on the input itself, has too
            many positions for an average pool downstream, or its weights are used twice.
        InvalidInputError: The input is no feature map of these channels, or is smaller than the kernel, or the weights
            of init="current" are on the meta device.
    """
    if module.padding_mode != "zeros":
        raise NoClosedFormError(f"padding_mode={module.padding_mode!r} has no rule, only zeros")
    if moments.is_flat or len(moments.map_shape) != 2:
        raise InvalidInputError("a convolution needs inputs of shape (n, channels, height, width)")
    if module.in_channels != moments.n_channels:
        raise InvalidInputError(f"a convolution expects {module.in_channels} channels but gets {moments.n_channels}")
    if moments.is_input and module.groups > 1:
        raise NoClosedFormError("a grouped convolution acts on the input itself, whose channels differ")
    if module.groups > 1 and module.in_channels == module.groups:
        raise NoClosedFormError("a depthwise convolution sums over one channel, which is far from the wide limit")
    geometry = [_taps(module, axis) for axis in (0, 1)]
    windows = [_window(side, *taps) for side, taps in zip(moments.map_shape, geometry, strict=True)]
    (_, _, rows), (_, _, columns) = windows
    planes = moments.remembered(("windows", *geometry), lambda: rows @ (moments.planes @ columns.T))
    cross = moments.cross
    if cross is not None or moments.pixels is not None:
        n_positions = math.prod(planes.shape[1:])
        if n_positions > MAX_POSITIONS:
            raise NoClosedFormError(
                f"an average pool downstream needs all pairs of its {n_positions} positions, at most {MAX_POSITIONS}"
            )
    if moments.pixels is not None:
        cross = _cross_of_patches(moments, windows)
    elif cross is not None:
        for axis, (n_out, taps, _) in enumerate(windows):
            axes = (axis + 3, axis + 5)
            cross = (_window_sum(cross[0], axes, n_out, taps), _window_sum(cross[1], axes, n_out, taps))
    fan_in = module.in_channels // module.groups
    return _affine(module, moments, planes, cross, fan_in, module.out_channels, draw)


def _shifted(planes: Array, n_covariant: int, shift: float) -> Array:
    planes = planes.copy()
    planes[:n_covariant] += shift
    return planes


Taps = tuple[tuple[slice, slice], ...]  # for each tap of the kernel along an axis, the outputs and inputs it joins
Window = tuple[int, Taps, Array]  # the output's side, the taps, and the same as a matrix (output, input) of 0 and 1


def _cross_of_patches(moments: Moments, windows: list[Window]) -> tuple[Array, Array]:
    """Return the position-by-position moments behind a convolution of the inputs themselves, as products of patches."""
    assert moments.pixels is not None
    z = moments.pixels
    (height, row_taps, _), (width, column_taps, _) = windows
    patches = np.zeros((*z.shape[:2], height, width, z.shape[2], len(row_taps), len(column_taps)))
    for i, (outputs, inputs) in enumerate(row_taps):
        for j, (outputs2, inputs2) in enumerate(column_taps):
            patches[:, :, outputs, outputs2, :, i, j] = z[:, :, :, inputs, inputs2].transpose(0, 1, 3, 4, 2)
    flat = patches.reshape(*z.shape[:2], height * width, -1)

    def products(left: Array, right: Array) -> Array:
        k = left[:, None] @ right[None].swapaxes(-1, -2) / z.shape[2]
        return k.reshape(*k.shape[:3], height, width, height, width)

    return products(flat, flat), products(*moments.partners(flat))


def _taps(module: nn.Conv2d, axis: int) -> tuple[int, int, int, int, int]:
    """Return kernel, stride, dilation and the padding before and after along one axis."""
    kernel, dilation, stride = module.kernel_size[axis], module.dilation[axis], module.stride[axis]
    if module.padding == "same":
        total = dilation * (kernel - 1)
        return kernel, stride, dilation, total // 2, total - total // 2
    padding = 0 if isinstance(module.padding, str) else int(module.padding[axis])
    return kernel, stride, dilation, padding, padding


@lru_cache(maxsize=1024)
def _window(side: int, kernel: int, stride: int, dilation: int, before: int, after: int) -> Window:
    """Return how a kernel moves along an axis of length ``side``; the result is shared and not to be altered.

    Raises:
        InvalidInputError: The kernel is larger than the padded axis.
    """
    span = dilation * (kernel - 1) + 1
    n_out = (side + before + after - span) // stride + 1
    if n_out < 1:
        raise InvalidInputError(f"a kernel spanning {span} is larger than its padded feature map of {side}")
    taps, matrix = [], np.zeros((n_out, side))
    for tap in range(kernel):
        offset = tap * dilation - before  # input = output * stride + offset
        first = max(0, -(offset // stride))
        last = min(n_out - 1, (side - 1 - offset) // stride)
        if first <= last:
            taps.append((slice(first, last + 1), slice(first * stride + offset, last * stride + offset + 1, stride)))
            outputs = np.arange(first, last + 1)
            matrix[outputs, outputs * stride + offset] = 1.0
    matrix.flags.writeable = False
    return n_out, tuple(taps), matrix


def _window_sum(t: Array, axes: tuple[int, ...], n_out: int, taps: Taps) -> Array:
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
    """Return moments behind a layer of fresh weights; the second moment of its argument is ``fan_in * planes``.

    Raises:
        NoClosedFormError: The weights are used twice on one path.
        InvalidInputError: The weights of init="current" are on the meta device.
    """
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
        planes, cross, log_scale = planes * factor, scaled(cross, factor), log_bias
    out = moments.replace(
        planes=planes,
        cross=cross,
        log_scale=log_scale,
        n_channels=n_out,
        is_gaussian=True,
        is_input=False,
        pixels=None,
        layers=moments.layers | {key},
        flips=frozenset({key}),
    )
    if bias_variance:
        shift = math.exp(log_bias - log_scale)
        out.planes = out.remembered(("shift", shift), lambda: _shifted(planes, out.n_covariant, shift))
        if cross is not None:
            out.cross = (cross[0] + shift, cross[1] + shift)
    return out if not out.map_shape else renormalised(out)
