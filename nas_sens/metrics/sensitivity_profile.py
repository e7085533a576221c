"""Output sensitivity in parts: over noise levels, per sample, per class (forouzesh2020, eq. 2, before any mean).

Symbols as in `output_sensitivity`: f logits (n, K), ε input noise, ε_y = f(x + ε) − f(x).

There is no ``METRIC`` record: a profile is many numbers, and no paper ranks networks by one drawn from it. What remains
of it as one number is S itself, which `output_sensitivity` and its record are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ..core.device import in_double
from ..core.errors import InvalidInputError
from ..core.module_mode import evaluation_mode
from .output_sensitivity import output_noise_variance


@torch.no_grad()
def sensitivity_sweep(
    model: nn.Module,
    x: torch.Tensor,
    *,
    noise_stds: Sequence[float],
    generator: torch.Generator | None = None,
    after_softmax: bool = False,
) -> torch.Tensor:
    """Return S_θ at several noise levels, from the same noise at every level, so that only its size differs.

    For small noise S grows with the square of the noise; where it stops to, the network is not linear any more.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), at least two.
        noise_stds: Standard deviations of the noise, in the units of ``x``, m of them.
        generator: Source of the noise, on the device of ``x``; torch's global generator if None.
        after_softmax: Whether to put a softmax on the logits.

    Returns:
        (m,), float64, on the device of ``x``. Cost: m + 1 forward passes.

    Raises:
        InvalidInputError: There is no noise level, one is not positive, or there are fewer than two inputs.
    """
    if not noise_stds or not all(s > 0 for s in noise_stds):
        raise InvalidInputError(f"noise_stds must be one or more numbers greater than 0; given {list(noise_stds)}")
    if len(x) < 2:
        raise InvalidInputError(f"a variance needs at least 2 inputs; given {len(x)}")
    noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    with evaluation_mode(model):
        clean = model(x)
        return torch.stack(
            [output_noise_variance(clean, model(x + s * noise), after_softmax=after_softmax) for s in noise_stds]
        )


@torch.no_grad()
def sensitivity_by_sample(
    model: nn.Module,
    x: torch.Tensor,
    *,
    noise_std: float = 0.1,
    n_noise: int = 16,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Return the variance over the noise alone, for every input: Var_ε of (1/K) Σ_k ε_y^k.

    Their mean over inputs is S_θ less the variance over inputs of the mean output noise, which is of second order in
    the noise. The relative standard error of each is about sqrt(2 / (n_noise - 1)).

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape).
        noise_std: Standard deviation of the noise, in the units of ``x``.
        n_noise: Noise draws for every input, at least two.
        generator: Source of the noise, on the device of ``x``; torch's global generator if None.

    Returns:
        (n,), float64, on the device of ``x``. Cost: n_noise forward passes; f(x) is the same in all and drops out.

    Raises:
        InvalidInputError: ``noise_std`` is not positive, or ``n_noise`` is less than 2.
    """
    return _means(model, x, noise_std, n_noise, generator).var(dim=0)


@torch.no_grad()
def sensitivity_by_class(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    noise_std: float = 0.1,
    n_noise: int = 16,
    generator: torch.Generator | None = None,
) -> dict[int, float]:
    """Return S_θ over the inputs of each class: eq. 2 with x from one class only. The only use of labels.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape).
        y: Labels (n,).
        noise_std: Standard deviation of the noise, in the units of ``x``.
        n_noise: Noise draws for every input, at least two.
        generator: Source of the noise, on the device of ``x``; torch's global generator if None.

    Returns:
        Label to S_θ, for the labels that occur. Cost: n_noise + 1 forward passes.

    Raises:
        InvalidInputError: As for :func:`sensitivity_by_sample`, or there is not one label for each input.
    """
    if y.shape != x.shape[:1]:
        raise InvalidInputError(f"there must be one label for each of {len(x)} inputs; given shape {tuple(y.shape)}")
    noise = _means(model, x, noise_std, n_noise, generator)
    with evaluation_mode(model):
        noise -= in_double(model(x)).mean(dim=1)
    y = y.to(noise.device)
    labels = y.unique()
    values = torch.stack([noise[:, y == label].flatten().var() for label in labels])
    return dict(zip(labels.tolist(), values.tolist(), strict=True))


def _means(
    model: nn.Module, x: torch.Tensor, noise_std: float, n_noise: int, generator: torch.Generator | None
) -> torch.Tensor:
    """Return the mean outputs under noise (n_noise, n), float64.

    Raises:
        InvalidInputError: ``noise_std`` is not positive, or ``n_noise`` is less than 2.
    """
    if not noise_std > 0 or n_noise < 2:
        raise InvalidInputError(
            f"noise_std must be greater than 0 and n_noise at least 2; given {noise_std} and {n_noise}"
        )
    outputs = []
    with evaluation_mode(model):
        for _ in range(n_noise):
            noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
            outputs.append(in_double(model(noise.mul_(noise_std).add_(x))).mean(dim=1))
    return torch.stack(outputs)
