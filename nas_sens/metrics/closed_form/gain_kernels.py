"""Closed form of the sensitivity kernel: its mean over random networks of wide layers, without drawing one.

Symbols (more in ``moments.py`` and in ``sensitivity_kernel.py``):

    r(x)        response z(x + ε) − z(x) of what an activation takes in; ε is one noise, the same for all inputs
    k_st        E z(x_i^s) z(x_j^t) for inputs i ≠ j, where x^0 = x and x^1 = x + ε
    θ_l         angle between what layer l gives for x_i and for x_j

The kernel's entries are E r(x_i) r(x_j) = k_11 − k_10 − k_01 + k_00, those of its diagonal d, and moments of pairs pass
the layers as those of S do. Noise that inputs share differs from noises of their own at the input alone: there k_11 =
k_00 + σ². For small noise the kernel is σ² E tr(J_i J_jᵀ), and obeys a recursion of its own beside that of the angles:
a linear layer multiplies it by its gain, a ReLU by E φ'(u) φ'(v) = (π − θ_l) / 2π, the arc-cosine kernel of order 0.
Hence in front of the ReLU of layer l + 1 of a fully-connected network of He's variances, without biases,

    G_ij = 2 v · Π_{k≤l} (1 − θ_k / π),

which depends on depth and inputs, and on no width: the measure tells wide networks of one depth apart only by what is
left of chance in them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ...architectures.base import ArchitectureSpec
from ...core.errors import InvalidInputError
from .._activations import ACTIVATIONS
from ..sensitivity_kernel import log_det
from .draws import Draw, WeightDraw
from .expectation import walk
from .graph import POOLS, no_rule, steps_of
from .moments import Array, Moments, pair_indices, stack_planes


def closed_form_sensitivity_kernel(
    model: ArchitectureSpec | nn.Module, x: torch.Tensor | npt.NDArray[Any], **options: Any
) -> float:
    """Return Σ_l log det(I + ρ G_l) of the expected kernels, what the measure tends to as layers get wide.

    Args:
        model: See :func:`closed_form_gain_kernels`, so with the others.
        x: Inputs (n, *input_shape).
        **options: Its keywords.
    """
    return float(log_det(torch.from_numpy(closed_form_gain_kernels(model, x, **options))))


def closed_form_gain_kernels(
    model: ArchitectureSpec | nn.Module,
    x: torch.Tensor | npt.NDArray[Any],
    *,
    noise_std: float = 0.1,
    init: WeightDraw = "he_normal",
    init_scale: float = 1.0,
    n_outputs: int | None = None,
) -> Array:
    """Return E G_l of every activation (L, n, n), over random networks and noise, in the limit of wide layers.

    Rules, and what they do not cover, are those of :func:`.expectation.closed_form`; an average pool in front of an
    activation is not covered either, and batch norms have their initial statistics, not those of the batch. All pairs
    of inputs are carried: the cost is that of n (n + 1) / 2 inputs there.

    Args:
        model: Architecture, built on the meta device, or module, which is neither run nor changed.
        x: Inputs (n, *input_shape), at least two.
        noise_std: Standard deviation σ of the noise; below 1e-6 of the inputs' size, differences lose their digits.
        init: Scheme that random networks are drawn from, or "current".
        init_scale: Factor on the weights.
        n_outputs: Number of outputs, required for an ArchitectureSpec.

    Raises:
        NoClosedFormError: A module has no rule, or none for the way it is used; the message names it.
        InvalidInputError: An argument cannot be used, or the network does not fit the input.
    """  # noqa: DOC501 - `no_rule` makes the error
    values = np.asarray(x.detach().cpu() if isinstance(x, torch.Tensor) else x, dtype=np.float64)
    if isinstance(model, ArchitectureSpec):
        if n_outputs is None or init == "current":
            raise InvalidInputError(
                f"an ArchitectureSpec needs n_outputs and an init scheme; given n_outputs = {n_outputs}, "
                f"init = {init!r}"
            )
        model = model.skeleton(values.shape[1:], n_outputs).eval()
    steps = steps_of(model)
    last = max((i for i, step in enumerate(steps) if isinstance(step.module, ACTIVATIONS)), default=None)
    if last is None:
        raise no_rule("model", type(model).__name__, "it has no activation")
    steps = steps[: last + 1]
    for step in steps:
        if isinstance(step.module, POOLS):
            raise no_rule(step.name, type(step.module).__name__, "an activation behind it needs all pairs of positions")
    flat = values.ndim != 4 or all(isinstance(step.module, nn.Flatten) for step in steps if 0 in step.sources)
    start = _shared_noise(values.reshape(len(values), -1) if flat else values, noise_std)
    unit = float(values.var(axis=0, ddof=1).mean()) / noise_std**2
    found: list[Array] = []

    def keep(module: nn.Module | None, given: Moments) -> None:
        if isinstance(module, ACTIVATIONS):
            found.append(_kernel(given) * (unit * math.exp(given.log_scale)))

    walk(steps, start, Draw(init, init_scale), keep)
    return np.stack(found)


def _kernel(moments: Moments) -> Array:
    """Return E r(x_i) r(x_j), the mean over channels and positions, (n, n) in the moments' unit."""

    def mean(t: Array) -> Array:
        return t.mean(axis=tuple(range(1, t.ndim))) if t.ndim > 1 else t

    kernel = np.diag(mean(moments.difference))
    left, right = pair_indices(moments.n, moments.m)
    k = moments.pair
    kernel[left, right] = kernel[right, left] = mean(k[1, 1] - k[1, 0] - k[0, 1] + k[0, 0])
    return kernel


def _shared_noise(x: Array, noise_std: float) -> Moments:
    """Return the moments of inputs, and of inputs with one noise that all of them share.

    Raises:
        InvalidInputError: There are fewer than two inputs, one is not finite, or the noise is not positive.
    """
    if not (noise_std > 0 and math.isfinite(noise_std)):
        raise InvalidInputError(f"noise_std must be positive and finite; given {noise_std}")
    n = len(x)
    if x.ndim < 2 or n < 2 or not np.isfinite(x).all():
        raise InvalidInputError(f"at least 2 finite inputs (n, *input_shape) are needed; given shape {x.shape}")
    left, right = pair_indices(n, n * (n - 1) // 2)
    square, cross = np.mean(x**2, axis=1), np.mean(x[left] * x[right], axis=1)
    noise = np.full_like(square, noise_std**2)
    pair = np.stack([np.stack([cross, cross]), np.stack([cross, cross + noise_std**2])])
    planes = stack_planes(np.stack([square, square + noise]), pair, noise)
    return Moments(planes, n, len(cross), n_channels=x.shape[1], is_flat=x.ndim == 2, is_input=True)
