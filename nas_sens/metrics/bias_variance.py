"""Bias and variance of the mean squared error over trainings with different seeds (forouzesh2020, eq. 4-6)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ..core.errors import InvalidInputError


@dataclass(frozen=True)
class BiasVariance:
    """The two terms of the mean squared error; labels are taken to be free of noise.

    Attributes:
        bias: ε_bias = E_x ‖E_θ F_θ(x) − y‖², eq. 5.
        variance: ε_variance = Σ_k E_x Var_θ F_θ^k(x), eq. 6.
        mse: L_MSE = E_θ E_x ‖F_θ(x) − y‖², eq. 4; the sum of both, but for rounding.
    """

    bias: float
    variance: float
    mse: float


def bias_variance(predictions: torch.Tensor, y: torch.Tensor, *, unbiased: bool = True) -> BiasVariance:
    """Return bias, variance and mean squared error of networks that differ in their seeds alone.

    Source: forouzesh2020, eq. 4–6. Computed in float64.

    Args:
        predictions: F_θ(x) (networks, n, K): behind the softmax for classes, the outputs for a regression.
        y: Classes (n,) of an integer type, taken as one-hot, or targets (n, K); (n,) for K = 1.
        unbiased: Whether expectations over all seeds are estimated without bias from the few at hand: the variance is
            divided by their number minus 1, and what is left of it in the mean is taken from the bias, which may thus
            come out slightly negative. False for the terms of just these networks.

    Raises:
        InvalidInputError: There are fewer than two networks, or shapes do not fit.
    """
    if predictions.ndim != 3 or len(predictions) < 2:
        raise InvalidInputError(
            f"predictions (networks, n, K) of at least 2 networks are needed; given shape {tuple(predictions.shape)}"
        )
    n_networks, n, k = predictions.shape
    if y.shape[:1] != (n,) or (y.is_floating_point() and y.numel() != n * k):
        raise InvalidInputError(f"a target for each of {n} inputs and {k} outputs is needed; given {tuple(y.shape)}")
    target = y.double().reshape(n, k) if y.is_floating_point() else nn.functional.one_hot(y.long(), k).double()
    f = predictions.double()
    variance = f.var(dim=0, correction=1 if unbiased else 0).sum(dim=1).mean()
    bias = (f.mean(dim=0) - target).square().sum(dim=1).mean()
    if unbiased:
        bias = bias - variance / n_networks
    mse = (f - target).square().sum(dim=2).mean()
    return BiasVariance(float(bias), float(variance), float(mse))
