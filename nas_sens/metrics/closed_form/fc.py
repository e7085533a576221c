"""The closed form for many fully-connected ReLU candidates of one depth at once: what the rules do, without modules."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .draws import Draw, scheme_variances
from .kernels import rectify
from .moments import Moments

_BATCH_NORM_EPS = 1e-5  # torch.nn.BatchNorm1d's, which FCSpec uses


def fc_walk(
    inputs: Moments,
    depth: int,
    widths: npt.NDArray[np.float64],
    n_outputs: int,
    *,
    bias: bool,
    batch_norm: bool,
    draw: Draw,
) -> Moments:
    """Return the output moments of fully-connected ReLU networks, one column per candidate.

    Args:
        inputs: Moments of the flattened inputs, planes (3 n + 4 m,).
        depth: Number of hidden layers of all candidates.
        widths: Units of their hidden layers, (B, depth).
        n_outputs: Number of outputs.
        bias: Whether layers have biases.
        batch_norm: Whether hidden layers are followed by batch normalisation with initial statistics.
        draw: How weights are drawn, by a scheme.

    Returns:
        Moments with planes (3 n + 4 m, B) and log_scale (B,).
    """
    moments = inputs.replace(
        planes=np.repeat(inputs.planes[:, None], len(widths), axis=1), log_scale=np.zeros(len(widths)), is_input=False
    )
    fan_in: Any = np.full(len(widths), float(inputs.n_channels))
    for layer in range(depth + 1):
        fan_out = np.full(len(widths), float(n_outputs)) if layer == depth else widths[:, layer]
        weight, bias_variance = scheme_variances(draw.init, fan_in, fan_out, fan_out, draw.scale, has_bias=bias)
        _affine_(moments, fan_in * weight, bias_variance)
        if layer < depth:
            if batch_norm:
                moments.log_scale = moments.log_scale - math.log1p(_BATCH_NORM_EPS)
            moments = rectify(moments, 0.0)
        fan_in = fan_out
    moments.n_channels = n_outputs
    return moments


def _affine_(moments: Moments, gain: Any, bias_variance: Any) -> None:
    """Pass a linear layer in place; the unit follows the larger one of signal and bias."""
    with np.errstate(divide="ignore"):
        log_scale = moments.log_scale + np.log(gain)
        log_bias = np.log(bias_variance)
    unit = np.maximum(log_scale, log_bias - 200)
    unit = np.where(np.isfinite(unit), unit, 0.0)
    if (unit != log_scale).any():
        moments.planes *= np.exp(log_scale - unit)
    moments.log_scale = unit
    moments.planes[: moments.n_covariant] += np.exp(log_bias - unit)
