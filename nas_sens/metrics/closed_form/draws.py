"""How the weights of random networks are drawn, and the error for what has no closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import nn

from ...core.errors import InvalidInputError, NasSensError
from ...core.init_schemes import INIT_SCHEMES, InitScheme

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
        """Return the variances of a weight and of a bias of ``layer``.

        Raises:
            InvalidInputError: Its own weights (init="current") are on the meta device.
        """
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
    """Return the variances of a weight and of a bias that `architectures.initialization.initialize_` draws.

    Args:
        scheme: One of `core.init_schemes.INIT_SCHEMES`.
        fan_in: Input channels of a group times kernel area; a number or, as the next two, an array.
        fan_out: Output channels times kernel area.
        n_out: Output channels.
        scale: Factor on the weights (not on biases).
        has_bias: Whether the layer has biases.

    Raises:
        InvalidInputError: The scheme is unknown.
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
