"""Closed form of the sensitivity kernel: its mean over random networks of wide layers, without drawing one.

Symbols (more in ``moments.py``):

    r(x)        response f(x + ε) − f(x); ε is one noise, the same for all inputs
    k_st        E z(x_i^s) z(x_j^t) for inputs i ≠ j, where x^0 = x and x^1 = x + ε
    θ_l         angle between the pre-activations of x_i and x_j at layer l

A kernel's entry is E r(x_i)·r(x_j) / K = k_11 − k_10 − k_01 + k_00, its diagonal d, and moments of pairs go through the
layers as those of S do. Noise that inputs share differs from noises of their own at the input alone: there k_11 = k_00
+ σ². For small noise the kernel is σ² E tr(J_i J_jᵀ) / K, which obeys a recursion of its own beside that of the angles:
a layer multiplies it by its gain, a ReLU by E φ'(u) φ'(v) = (π − θ_l) / 2π, the arc-cosine kernel of order 0. Hence
the correlations of a fully-connected ReLU network are Π_l (1 − θ_l / π): in the limit of wide layers, and without
biases, they depend on its depth and on the inputs, and on no width. Read-out weights are independent, so that the
correlations of outputs are also those of the features that the last layer takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ...architectures.base import ArchitectureSpec
from ...core.errors import InvalidInputError
from .draws import Draw, WeightDraw
from .expectation import walk
from .graph import needs_cross_at_input, no_rule, steps_of
from .moments import Array, Moments, pair_indices, stack_planes


@dataclass(frozen=True)
class ResponseKernel:
    """Expectation of the responses' products over random networks and noise.

    Args:
        correlations: E r(x_i)·r(x_j) over the roots of the powers, (n, n); nan where an input has no response.
        log10_powers: log10 E ‖r(x_i)‖² / K, (n,), which is log10 S but for what inputs share; -inf for no response.
    """

    correlations: Array
    log10_powers: Array


def closed_form_response_kernel(
    model: ArchitectureSpec | nn.Module,
    x: torch.Tensor | npt.NDArray[Any],
    *,
    noise_std: float = 0.1,
    init: WeightDraw = "he_normal",
    init_scale: float = 1.0,
    n_outputs: int | None = None,
) -> ResponseKernel:
    """Return the expected sensitivity kernel of random networks, in the limit of wide layers.

    Rules, and what they do not cover, are those of :func:`.expectation.closed_form`; average pools of images are not
    covered either, and batch norms have their initial statistics, not those of the batch. All pairs of inputs are
    carried: cost is that of n (n + 1) / 2 inputs there.

    Args:
        model: Architecture, built on the meta device, or module, which is neither run nor changed.
        x: Inputs (n, *input_shape), at least two.
        noise_std: Standard deviation σ of the noise; below some 1e-6 of the inputs' size differences lose their digits.
        init: Scheme that random networks are drawn from, or "current".
        init_scale: Factor on the weights.
        n_outputs: Number of outputs, required for an ArchitectureSpec.

    Raises:
        NoClosedFormError: A module has no rule, or none for the way it is used; the message names it.
        InvalidInputError: An argument cannot be used, or the network does not fit the input.
    """  # noqa: DOC501, DOC502 - `no_rule` makes the error
    start = _shared_noise(x, noise_std)
    draw = Draw(init, init_scale)
    if isinstance(model, ArchitectureSpec):
        if n_outputs is None or init == "current":
            raise InvalidInputError(
                f"an ArchitectureSpec needs n_outputs and an init scheme; given n_outputs = {n_outputs}, "
                f"init = {init!r}"
            )
        model = model.skeleton(tuple(x.shape[1:]), n_outputs).eval()
    steps = steps_of(model)
    if needs_cross_at_input(steps):
        raise no_rule("model", "average pool", "it needs the kernel of all pairs of positions")
    if x.ndim != 4 or all(isinstance(step.module, nn.Flatten) for step in steps if 0 in step.sources):
        start = _shared_noise(x.reshape(len(x), -1), noise_std)
    out = walk(steps, start, draw)
    n, (left, right) = out.n, pair_indices(out.n, out.m)
    power, k = out.difference.reshape(n), out.pair.reshape(2, 2, -1)
    kernel = np.diag(power)
    kernel[left, right] = kernel[right, left] = k[1, 1] - k[1, 0] - k[0, 1] + k[0, 0]
    roots = np.sqrt(power)
    with np.errstate(divide="ignore", invalid="ignore"):
        return ResponseKernel(
            kernel / np.outer(roots, roots), np.log10(power) + float(out.log_scale) / math.log(10)
        )


def _shared_noise(x: torch.Tensor | npt.NDArray[Any], noise_std: float) -> Moments:
    """Return the moments of inputs, and of inputs with one noise that all of them share.

    Raises:
        InvalidInputError: There are fewer than two inputs, one is not finite, or the noise is not positive.
    """
    if not (noise_std > 0 and math.isfinite(noise_std)):
        raise InvalidInputError(f"noise_std must be positive and finite; given {noise_std}")
    values = np.asarray(x.detach().cpu() if isinstance(x, torch.Tensor) else x, dtype=np.float64)
    n = len(values)
    if values.ndim < 2 or n < 2 or not np.isfinite(values).all():
        raise InvalidInputError(f"at least 2 finite inputs (n, *input_shape) are needed; given shape {values.shape}")
    m = n * (n - 1) // 2
    left, right = pair_indices(n, m)
    square, cross = np.mean(values**2, axis=1), np.mean(values[left] * values[right], axis=1)
    shared = np.full_like(cross, noise_std**2)
    pair = np.stack([np.stack([cross, cross]), np.stack([cross, cross + shared])])
    noise = np.full_like(square, noise_std**2)
    planes = stack_planes(np.stack([square, square + noise]), pair, noise)
    return Moments(planes, n, m, n_channels=values.shape[1], is_flat=values.ndim == 2, is_input=True)
