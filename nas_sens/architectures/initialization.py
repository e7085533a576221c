"""Weight-initialisation schemes under their usual names.

Variances of a weight, with n_in and n_out the layer's fan-in and fan-out:

    standard_normal   N(0, 1) for weights and biases (forouzesh2020, "SN")
    xavier_*          2 / (n_in + n_out)
    he_*              2 / n_in
    lecun_normal      1 / n_in
    orthogonal        (semi-)orthogonal matrix
    torch_default     what ``reset_parameters`` of PyTorch's layers draws: U(±1/sqrt(n_in)) for weights and biases

Biases are zero except for standard_normal and torch_default. Normalisation layers always start at weight 1, bias 0,
mean 0 and variance 1.

Weights of a layer behind a parametrisation of ``torch.nn.utils.parametrize`` are drawn and assigned through it, which
finds the parameters that give them, or what it makes of them, such as the nearest orthogonal matrix.

A module of class :class:`SelfInitialized` (every network of timm) has an initialisation of its own, and "torch_default"
means that one. Every other scheme draws its linear and convolution layers by the rule above and starts normalisation
layers as above; parameters of other kinds (class tokens, position tables, layer scales, gains) are drawn as the module
itself draws them. Fan-in and fan-out are those of ``torch.nn.init``: the fan-in of a grouped convolution counts the
channels of one group, its fan-out all of them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from ..core.errors import InfeasibleArchitectureError, InvalidInputError, first_line
from ..core.identity import derive_seed
from ..core.init_schemes import INIT_SCHEMES, InitScheme
from ..core.random_state import global_stream
from .common_numbers import Numbers

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_N_POWER_ITERATIONS = 15  # as many as PyTorch's spectral norm begins with
_NORMS = (*_BATCH_NORMS, nn.GroupNorm, nn.LayerNorm)
_UNIFORM = ("xavier_uniform", "he_uniform", "torch_default")
# Of a weight, by fan-in and fan-out.
_VARIANCES: dict[str, Callable[[int, int], float]] = {
    "standard_normal": lambda n_in, n_out: 1.0,
    "xavier_uniform": lambda n_in, n_out: 2 / (n_in + n_out),
    "xavier_normal": lambda n_in, n_out: 2 / (n_in + n_out),
    "he_uniform": lambda n_in, n_out: 2 / n_in,
    "he_normal": lambda n_in, n_out: 2 / n_in,
    "lecun_normal": lambda n_in, n_out: 1 / n_in,
    "torch_default": lambda n_in, n_out: 1 / (3 * n_in),
}


class NoInitRuleError(InfeasibleArchitectureError, NotImplementedError):
    """A layer has parameters that no initialisation scheme has a rule for."""


class SelfInitialized(nn.Module, ABC):
    """A module that can draw all its parameters by itself, and so may hold layers of any kind."""

    @abstractmethod
    def reset_(self, generator: torch.Generator | None) -> None:
        """Draw all parameters anew and put buffers back, in place; torch's global generator if None."""

    def draw_(self, generator: torch.Generator | None) -> None:
        """Draw all parameters as if none were pre-trained; what schemes other than its own have no rule for stays."""
        self.reset_(generator)


@torch.no_grad()
def initialize_(
    module: nn.Module, scheme: InitScheme, *, scale: float = 1.0, generator: torch.Generator | Numbers | None = None
) -> None:
    """Draw all parameters of ``module`` anew, in place.

    Args:
        module: Any module whose parameters belong to linear, convolution and normalisation layers, or to a
            :class:`SelfInitialized` module.
        scheme: One of :data:`INIT_SCHEMES`.
        scale: Factor on the drawn weights of linear and convolution layers; biases are not scaled.
        generator: Source of randomness, on the parameters' device; torch's global generator if None. Scores take
            numbers that are there already (see :mod:`nas_sens.architectures.common_numbers`).

    Raises:
        NoInitRuleError: A layer with parameters of its own is none of the known ones.
        InvalidInputError: The scheme is unknown.
    """
    if scheme not in INIT_SCHEMES:
        raise InvalidInputError(f"initialisation scheme must be one of {', '.join(INIT_SCHEMES)}; given {scheme!r}")
    numbers = generator if isinstance(generator, Numbers) else Numbers(generator)
    inside: set[nn.Module] = set()  # modules that a SelfInitialized one answers for
    for owner in module.modules():
        if isinstance(owner, SelfInitialized):
            inside.update(owner.modules())
            if scheme == "torch_default":
                owner.reset_(numbers.generator)
            elif not has_rules(owner):
                owner.draw_(numbers.generator)
    # What lies inside a parametrisation is set through it.
    inner = {m for p in module.modules() if isinstance(p, parametrize.ParametrizationList) for m in p.modules()}
    place = 0  # among linear and convolution layers
    for name, layer in module.named_modules():
        if layer in inner:
            continue
        if scheme == "torch_default" and layer in inside:
            if scale != 1.0 and isinstance(layer, _LAYERS):
                layer.weight.mul_(scale)
        elif isinstance(layer, _LAYERS):
            weight = _drawn_weight(layer, name)
            _draw_weight_(weight, scheme, numbers, place)
            if scale != 1.0:
                weight.mul_(scale)
            if weight is not layer.weight:
                _set_weight(layer, name, weight, numbers.generator)
            if layer.bias is not None:
                _draw_bias_(layer.bias, weight, scheme, numbers, place)
            place += 1
        elif isinstance(layer, _NORMS):
            _reset_norm_(layer)
        elif layer not in inside and not _has_rule(layer):
            raise NoInitRuleError(f"no initialisation rule for {type(layer).__name__} (layer {name!r})")


def _drawn_weight(layer: Any, name: str) -> torch.Tensor:
    """Return what is to be drawn: the weight of a layer, or where it is parametrised a tensor like it.

    Raises:
        NoInitRuleError: It is computed in another way, or the bias is computed.
    """
    own: dict[str, torch.Tensor | None] = layer._parameters
    has_bias = "bias" in own or not isinstance(layer.bias, torch.Tensor)
    if (weight := own.get("weight")) is not None and has_bias:
        return weight
    if parametrize.is_parametrized(layer, "weight") and has_bias:
        return torch.empty_like(layer.weight)
    raise NoInitRuleError(
        f"no initialisation rule for {type(layer).__name__} (layer {name!r}), which computes its weight or bias by a "
        f"hook or a parametrisation; of weights, those of torch.nn.utils.parametrizations have one"
    )


def _set_weight(layer: Any, name: str, weight: torch.Tensor, generator: torch.Generator | None) -> None:
    """Assign a weight through its parametrisation, which finds the parameters that give it or the nearest to it.

    Raises:
        NoInitRuleError: It does not take such a weight.
    """
    computing = layer.parametrizations["weight"]
    mode = computing.training
    try:
        if generator is None:
            layer.weight = weight
        else:  # what it draws by itself, to complete an orthogonal matrix for example, depends on the generator, too
            seed = derive_seed("parametrisation", name, generator.initial_seed())
            with global_stream(seed, generator.device):
                layer.weight = weight
        computing.train()
        for _ in range(_N_POWER_ITERATIONS):
            layer.weight  # noqa: B018 - a spectral norm estimates the weight's largest singular value anew
        computing.train(mode)
    except Exception as error:  # whatever a foreign parametrisation raises
        raise NoInitRuleError(
            f"no initialisation rule for {type(layer).__name__} (layer {name!r}): its parametrisation does not take a "
            f"drawn weight: {first_line(error)}"
        ) from error


def has_rules(module: nn.Module) -> bool:
    """Return whether every scheme draws all parameters of a module, so that none is left to the module itself."""
    return all(map(_has_rule, module.modules()))


def kinds_without_rule(module: nn.Module, scheme: InitScheme) -> set[str]:
    """Return the kinds of layers whose parameters the module itself draws, as a scheme has no rule for them."""
    if scheme == "torch_default":  # which means what the module itself draws
        return set()
    return {type(layer).__name__ for layer in module.modules() if not _has_rule(layer)}


def _has_rule(layer: nn.Module) -> bool:
    if parametrize.is_parametrized(layer):
        return False
    names = {name for name, _ in layer.named_parameters(recurse=False)}
    return names <= ({"weight", "bias"} if isinstance(layer, (*_LAYERS, *_NORMS)) else set())


def _reset_norm_(layer: nn.Module) -> None:
    if isinstance(layer, _BATCH_NORMS):
        layer.reset_running_stats()
    weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
    if weight is not None:
        weight.fill_(1.0)
    if bias is not None:
        bias.zero_()


def _draw_weight_(weight: torch.Tensor, scheme: InitScheme, numbers: Numbers, place: int) -> None:
    if scheme == "orthogonal":
        nn.init.orthogonal_(weight, generator=numbers.generator)
    elif weight.numel():
        n_in, n_out = weight[0].numel(), weight.shape[0] * weight[0, 0].numel()
        variance = _VARIANCES[scheme](n_in, n_out)
        if scheme in _UNIFORM:
            numbers.uniform_(weight, math.sqrt(3 * variance), place)
        else:
            numbers.normal_(weight, math.sqrt(variance), place)


def _draw_bias_(bias: torch.Tensor, weight: torch.Tensor, scheme: InitScheme, numbers: Numbers, place: int) -> None:
    if scheme == "standard_normal":
        numbers.normal_(bias, 1.0, place)
    elif scheme == "torch_default":
        numbers.uniform_(bias, 1 / math.sqrt(weight[0].numel()), place)
    else:
        bias.zero_()
