"""Sensitivity kernel: how much, and how differently, inputs answer to the same noise at every activation of a network.

Symbols:

    z_l(x)   what activation l takes in, all numbers of one input          (n, d_l)
    ε_m      noise N(0, σ²), draw m of M, the same for all inputs          (*input_shape), D numbers
    r_l,m    response z_l(x + ε_m) − z_l(x)                                (n, d_l)
    K_l      Σ_m r_l,m(x_i) · r_l,m(x_j) / M                               (n, n)
    v        variance of the inputs' numbers over inputs, their mean       scalar
    G_l      (K_l / d_l) · v / σ²                                          (n, n)

For small noise K_l estimates σ² tr(J_i J_jᵀ), with J_i the Jacobian of z_l at x_i, by forward passes only; the output
sensitivity is its diagonal at the outputs. G_l is that of one unit, for inputs of variance 1: it has no scale of noise
and inputs and, where batch norms make units of variance 1, none of the weights. The measure is what n receivers, who
hear the same noise by G_l, could tell of it,

    Σ_l log det(I + ρ G_l),

which grows with the responses, with how differently inputs answer, and with every further activation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..core.device import has_float64
from ..core.errors import InvalidInputError
from ._activations import ACTIVATIONS
from ._metric import Metric
from ._network import probing_mode, require_inputs
from ._noise_at import noise_like
from ._weights import copy_of, require_floats

RHO = 10.0  # chosen on tables of trained networks, see benchmarks/sensitivity_kernel.py


@torch.no_grad()
def sensitivity_kernel(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    noise_std: float = 0.1,
    n_noise: int = 1,
    n_inputs: int | None = 16,
    batch_statistics: bool = True,
    generator: torch.Generator | None = None,
) -> float:
    """Return Σ_l log det(I + ρ G_l) of one network, ρ = 10; larger is expected to be better.

    Source: the noise of forouzesh2020, eq. 2, the same for all inputs, and the products of their responses in place of
    the variance. Meant for ``he_normal`` weights. Inputs without and with noise go through in one pass; more inputs, or
    more draws, than the defaults order networks no better (benchmarks/results/sensitivity_kernel.json).

    Args:
        model: Maps (n, *input_shape) to (n, K), through activation modules.
        x: Inputs (n, *input_shape), one minibatch, at least two.
        y: Not used.
        noise_std: σ, in the units of ``x``.
        n_noise: M, draws of the noise.
        n_inputs: How many of the inputs are used, the first; None for all.
        batch_statistics: Whether batch norms use the statistics of the pass, or their running ones.
        generator: Source of the noise, on the device of ``x``; torch's global generator if None.

    Returns:
        The measure; 0.0 where no activation takes in anything that the noise moves, nan where values are not finite in
        float64 either.

    Raises:
        InvalidInputError: An argument cannot be used, there are fewer than two inputs, or the network calls no
            activation module.
    """
    batch = _with_noise(x[:n_inputs], noise_std, n_noise, generator)
    value = float(log_det(responses(model, batch, batch_statistics=batch_statistics).gains(noise_std).mean(dim=1)))
    if math.isfinite(value) or batch.dtype != torch.float32 or not has_float64(x.device):
        return value
    # Deep networks without norms overflow float32; a copy, as the network is the caller's, and the same noise.
    found = responses(copy_of(model).double(), batch.double(), batch_statistics=batch_statistics)
    return float(log_det(found.gains(noise_std).mean(dim=1)))


@dataclass(frozen=True, kw_only=True)
class KernelEstimate:
    """The measure of one network and set of inputs, with its error over draws of the noise.

    Attributes:
        value: Σ_l log det(I + ρ G_l), less the bias that few draws have, to first order.
        stderr: Standard error of ``value``.
    """

    value: float
    stderr: float


@torch.no_grad()
def estimate(
    model: nn.Module,
    x: torch.Tensor,
    *,
    noise_std: float = 0.1,
    n_noise: int = 8,
    batch_statistics: bool = True,
    generator: torch.Generator | None = None,
) -> KernelEstimate:
    """Return the measure of all inputs with its error, by the jackknife: one draw of the noise after another left out.

    Args:
        model: See :func:`sensitivity_kernel`, so with the others.
        x: Inputs (n, *input_shape), at least two.
        noise_std: σ, in the units of ``x``.
        n_noise: M, at least two.
        batch_statistics: Whether batch norms use the statistics of the pass, or their running ones.
        generator: Source of the noise.

    Raises:
        InvalidInputError: There is a single draw, or what :func:`sensitivity_kernel` refuses.
    """
    if n_noise < 2:
        raise InvalidInputError(f"an error needs at least 2 draws of the noise; given n_noise = {n_noise}")
    batch = _with_noise(x, noise_std, n_noise, generator)
    gains = responses(model, batch, batch_statistics=batch_statistics).gains(noise_std)
    rest = (gains.sum(dim=1, keepdim=True) - gains) / (n_noise - 1)
    whole, parts = log_det(gains.mean(dim=1)), log_det(rest.movedim(1, 0))
    value = n_noise * whole - (n_noise - 1) * parts.mean()
    return KernelEstimate(value=float(value), stderr=float((parts.var() * (n_noise - 1) ** 2 / n_noise).sqrt()))


@dataclass(frozen=True, kw_only=True)
class Responses:
    """What noise does in front of every call of an activation module.

    Attributes:
        products: r_l,m(x_i) · r_l,m(x_j) / d_l, float64 (L, M, n, n).
        signals: Variance over inputs without noise of z_l, the mean over its numbers, (L,); (0,) if not asked for.
        input_signal: v, a scalar tensor.
    """

    products: torch.Tensor
    signals: torch.Tensor
    input_signal: torch.Tensor

    def gains(self, noise_std: float) -> torch.Tensor:
        """Return G_l of every draw, (L, M, n, n)."""
        return self.products * (self.input_signal / noise_std**2)


@torch.no_grad()
def responses(
    model: nn.Module, batch: torch.Tensor, *, batch_statistics: bool, with_signals: bool = False
) -> Responses:
    """Return the responses of a network to noise, in one pass.

    Args:
        model: Maps (n, *input_shape) to (n, K), through activation modules.
        batch: Inputs without noise, and with every draw of it, (M + 1, n, *input_shape).
        batch_statistics: Whether batch norms use the statistics of the pass, or their running ones.
        with_signals: Whether signals are wanted, too; they take a fifth of the time.

    Raises:
        InvalidInputError: The network calls no activation module, or one with rows that are no inputs.
    """
    require_floats(model)
    n_sets, n = batch.shape[:2]
    products: list[torch.Tensor] = []
    signals: list[torch.Tensor] = []

    # A pre-hook, since an activation in place has overwritten its input when a forward hook sees it.
    def add(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        given = arguments[0]
        if given.shape[0] % (n_sets * n):
            raise InvalidInputError(
                f"activations must take rows of one input each; a {type(module).__name__} takes {tuple(given.shape)} "
                f"of {n_sets * n} inputs"
            )
        z = given.reshape(n_sets, n, -1)
        r = z[1:] - z[:1]
        products.append((r @ r.mT).double() / r.shape[-1])
        if with_signals:
            signals.append(_signal(z[0]))

    hooks = [m.register_forward_pre_hook(add) for m in model.modules() if isinstance(m, ACTIVATIONS)]
    try:
        with probing_mode(model, batch_statistics=batch_statistics):
            model(batch.flatten(0, 1))
    finally:
        for hook in hooks:
            hook.remove()
    if not products:
        raise InvalidInputError("activation modules are needed; the network calls none (functions are unseen)")
    input_signal = _signal(batch[0].flatten(1))
    return Responses(
        products=torch.stack(products),
        signals=torch.stack(signals) if signals else input_signal.new_empty(0),
        input_signal=input_signal,
    )


def log_det(gains: torch.Tensor, rho: float = RHO) -> torch.Tensor:
    """Return Σ_l log det(I + ρ G_l) of kernels (..., L, n, n), shape (...)."""
    eye = torch.eye(gains.shape[-1], dtype=gains.dtype, device=gains.device)
    return torch.linalg.slogdet(eye + rho * gains).logabsdet.sum(dim=-1)


def _with_noise(x: torch.Tensor, noise_std: float, n_noise: int, generator: torch.Generator | None) -> torch.Tensor:
    """Return inputs without noise and with every draw of it, (M + 1, n, *input_shape).

    Raises:
        InvalidInputError: An argument cannot be used.
    """
    if not noise_std > 0 or n_noise < 1:
        raise InvalidInputError(
            f"noise_std must be greater than 0 and n_noise at least 1; given {noise_std} and {n_noise}"
        )
    require_inputs(x, 2)
    noise = noise_like(x[:1].expand(n_noise, *x.shape[1:]), noise_std, generator)
    return torch.cat([x[None], x + noise[:, None]])


def _signal(rows: torch.Tensor) -> torch.Tensor:
    return rows.var(dim=0).double().mean()


METRIC = Metric(
    function=sensitivity_kernel,
    direction="larger",
    source="Forouzesh et al. 2020, arXiv:2007.15378, eq. 2, with noise that inputs share",
    cost="2 forward of 16 inputs",
    requirements="activation modules; at least 2 inputs",
)
