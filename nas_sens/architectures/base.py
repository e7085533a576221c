"""What every architecture family shares: a frozen, hashable spec that builds its network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from typing import Annotated, Any, ClassVar

import torch
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass
from torch import nn
from torch.overrides import TorchFunctionMode

from ..core.device import memory_guard
from ..core.errors import InfeasibleArchitectureError, first_line
from ..core.identity import canonical_json, digest
from ..core.init_schemes import ByActivation, InitScheme
from ..core.inputs import InputShape, example_of, is_plain, shape_from, shape_text
from .activations import Activation, make_activation
from .flop_counter import count_by_running
from .flops import chain_flops
from .initialization import initialize_
from .lists import Bias

SPEC_CONFIG = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
Count = Annotated[int, Field(ge=1)]
Count0 = Annotated[int, Field(ge=0)]
Layers = Annotated[int, Field(ge=1, le=10_000)]  # more take minutes to put together, or the memory
Layers0 = Annotated[int, Field(ge=0, le=10_000)]


@dataclass(frozen=True, kw_only=True, config=SPEC_CONFIG)
class ArchitectureSpec(ABC):
    """Root of all architecture specs; a family is a subclass with a ``family`` name and a ``layers`` method.

    Args:
        init: Scheme from which training starts (see :mod:`nas_sens.architectures.initialization`). ``by_activation``:
            ``lecun_normal`` for ``tanh`` and ``hard_tanh``, ``he_normal`` for other activations (novak2018, A.5).
        init_scale: Factor on the initial weights.
    """

    family: ClassVar[str]
    takes_any_input: ClassVar[bool] = False  # also whole numbers, such as tokens, and several tensors
    # Parameters that came when candidates were stored already, to their defaults: at these they are left out of the
    # identity, which must not change.
    later: ClassVar[Mapping[str, Any]] = {}

    init: InitScheme | ByActivation = "torch_default"
    init_scale: Annotated[float, Field(ge=0)] = 1.0

    @abstractmethod
    def layers(self, input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
        """Return the network on the current default device, its parameters not yet drawn.

        Args:
            input_shape: Shape of one input without batch: ``(channels, height, width)`` or ``(features,)``; a
                :class:`~nas_sens.core.inputs.Shape`, which knows the type of the numbers. Where there are several
                tensors, a tuple of shapes by position or a dict by keyword.
            n_outputs: Number of outputs (logits).

        Raises:
            InfeasibleArchitectureError: The layers do not fit the input.
        """

    def skeleton(self, input_shape: InputShape, n_outputs: int) -> nn.Module:
        """Return the network on the meta device: shapes without memory. See :meth:`layers` for the arguments.

        Raises:
            InfeasibleArchitectureError: A layer has more weights than PyTorch can count, or the family does not take
                such inputs.
            RuntimeError: The layers cannot be made; as are the other two.
            TypeError: See above.
            OverflowError: See above.
        """
        self.require_inputs(input_shape)
        try:
            with torch.device("meta"), _NoInitialValues():
                return type(self).layers(self, shape_from(input_shape), n_outputs)
        except (RuntimeError, TypeError, OverflowError) as error:
            if "overflow" not in str(error).lower():
                raise
            raise InfeasibleArchitectureError("a layer would have more than 2^63 bytes of weights") from error

    def require_inputs(self, input_shape: InputShape) -> None:
        """Check that the family takes inputs of this kind: one floating-point tensor, unless it takes any.

        Raises:
            InfeasibleArchitectureError: It does not.
        """
        if not self.takes_any_input and not is_plain(input_shape):
            raise InfeasibleArchitectureError(
                f"the family {self.family} needs one tensor of floating-point numbers as input, but inputs are "
                f"{shape_text(input_shape)}; take a function of your own as family (docs/guides/own_code.md), or "
                "convert whole numbers that are no tokens to floating-point ones"
            )

    def blank(self, input_shape: InputShape, n_outputs: int, *, device: torch.device | str) -> nn.Module:
        """Return the network on a device with memory for its parameters, but without values: these are to be drawn."""
        return self.skeleton(input_shape, n_outputs).to_empty(device=device)

    @property
    def canonical(self) -> ArchitectureSpec:
        """The one architecture that stands for all whose untrained networks are the same functions; itself, mostly."""
        return self

    @model_validator(mode="after")
    def _check_init(self) -> ArchitectureSpec:
        if self.init == "by_activation" and not hasattr(self, "activation"):
            raise ValueError('needs a family with an activation for init = "by_activation"; name a scheme')
        return self

    @property
    def init_scheme(self) -> InitScheme:
        """The scheme by which weights are drawn: ``init``, or what it means for the activation."""
        if self.init != "by_activation":
            return self.init
        return "lecun_normal" if getattr(self, "activation", "") in ("tanh", "hard_tanh") else "he_normal"

    @property
    def is_pretrained(self) -> bool:
        """Whether "torch_default" means weights that were trained before."""
        return False

    def require_weights(self, input_shape: InputShape, n_outputs: int) -> None:
        """Check that pre-trained weights, where a family has such, are on this machine and fit.

        See :meth:`build` for the arguments.

        Raises:
            InvalidInputError: They are not there.
            InfeasibleArchitectureError: They are of another network, or the family does not take such inputs.
        """
        self.require_inputs(input_shape)

    @property
    def known_as(self) -> tuple[str, ...]:
        """Names that others have for this architecture, as in tables of outcomes; none, mostly."""
        return ()

    @classmethod
    def structure(cls, values: Mapping[str, Any]) -> dict[str, float]:
        """Return numbers that say how networks of this family are built, for rules that learn from outcomes.

        Args:
            values: What :meth:`to_dict` returns; no spec need be made for it.
        """
        return {k: float(v) for k in ("depth", "stages", "blocks") if isinstance(v := values.get(k), (int, float))}

    def size(self, input_shape: tuple[int, ...], n_outputs: int) -> tuple[int, int] | None:
        """Return parameters and floating-point operations (see `count_flops`) where they can be told without a module.

        A family need not say: where this is None, both are counted.

        Raises:
            InfeasibleArchitectureError: The layers do not fit the input.
        """
        return None

    def build(
        self,
        input_shape: InputShape,
        n_outputs: int,
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> nn.Module:
        """Return the untrained network, initialised by the spec's own scheme; equal generators give equal weights.

        Args:
            input_shape: Shape of one input without the batch dimension.
            n_outputs: Number of outputs (logits).
            generator: Source of randomness on ``device``; torch's global generator if None.
            device: Where the network is built.
            dtype: Type of its parameters.

        Returns:
            The module, in training mode as every new module.

        Raises:
            InfeasibleArchitectureError: The layers do not fit the input.
        """
        module = self.skeleton(input_shape, n_outputs).to(dtype).to_empty(device=device)
        initialize_(module, self.init_scheme, scale=self.init_scale, generator=generator)
        return module

    def to_dict(self) -> dict[str, Any]:
        """Return the family and all parameters but those of ``later`` at their default as plain JSON-like values."""
        given = {k: v for k, v in asdict(self).items() if k not in self.later or v != self.later[k]}
        return {"family": self.family, **{k: _plain(v) for k, v in given.items()}}

    def to_json(self) -> str:
        """Return the canonical JSON text; equal specs give equal texts."""
        return canonical_json(self.to_dict())

    @cached_property
    def digest(self) -> str:
        """The spec's identity: 16 hexadecimal digits of the SHA-256 of its canonical JSON."""
        return digest(self.to_dict())


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value + 0.0 if isinstance(value, float) else value  # 0.0 for -0.0


class _NoInitialValues(TorchFunctionMode):
    """Context that leaves out PyTorch's own drawing of initial weights, which takes most of a skeleton's time."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return (kwargs or {}).get("tensor", args[0] if args else None)
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True, kw_only=True, config=SPEC_CONFIG)
class LayeredSpec(ArchitectureSpec):
    """Base of the families that put their layers together themselves: the options that all of these share.

    Args:
        activation: Non-linearity after every hidden layer.
        bias: Whether linear and convolution layers have biases; ``first``: only the first one has.
        batch_norm: Whether hidden layers are followed by batch normalisation, before the activation.
        dropout: Probability with which a hidden unit is dropped while training, after the activation.
    """

    activation: Activation = "relu"
    bias: Bias = True
    batch_norm: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def chain(self, modules: list[nn.Module]) -> nn.Sequential:
        """Return layers as a network; only the first one keeps its bias where ``bias`` says so."""
        network = nn.Sequential(*modules)
        if self.bias == "first":
            layers = [m for m in network.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
            for layer in layers[1:]:
                layer.register_parameter("bias", None)
        return network

    def hidden_linear(self, n_in: int, n_out: int) -> list[nn.Module]:
        """Return linear, batch norm, activation, dropout, as far as the spec has them."""
        modules: list[nn.Module] = [nn.Linear(n_in, n_out, bias=bool(self.bias))]
        if self.batch_norm:
            modules.append(nn.BatchNorm1d(n_out))
        modules.append(make_activation(self.activation))
        if self.dropout:
            modules.append(nn.Dropout(self.dropout))
        return modules

    def two_layer_head(self, n_in: int, n_hidden: int, n_outputs: int) -> list[nn.Module]:
        """Return flatten, two hidden linear layers (none if ``n_hidden`` is 0) and the linear read-out."""
        modules: list[nn.Module] = [nn.Flatten()]
        if n_hidden:
            modules += [*self.hidden_linear(n_in, n_hidden), *self.hidden_linear(n_hidden, n_hidden)]
        return [*modules, nn.Linear(n_hidden or n_in, n_outputs, bias=bool(self.bias))]

    def hidden_conv(self, n_in: int, n_out: int, kernel: int, *, stride: int = 1, padding: int = 0) -> list[nn.Module]:
        """Return convolution, batch norm and activation, as far as the spec has them."""
        modules: list[nn.Module] = [
            nn.Conv2d(n_in, n_out, kernel, stride=stride, padding=padding, bias=bool(self.bias))
        ]
        if self.batch_norm:
            modules.append(nn.BatchNorm2d(n_out))
        modules.append(make_activation(self.activation))
        return modules


def require_images(family: str, input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return channels, height and width of an input.

    Raises:
        InfeasibleArchitectureError: The input is no image.
    """
    if len(input_shape) != 3:
        article = "an" if family[0] in "aeiou" else "a"
        raise InfeasibleArchitectureError(
            f"{article} {family} needs inputs of shape (channels, height, width), but they are {input_shape}"
        )
    n_channels, height, width = input_shape
    return n_channels, height, width


def halved(sides: tuple[int, int], what: str) -> tuple[int, int]:
    """Return the sides of a feature map behind a 2×2 max-pool or its like.

    Args:
        sides: Height and width before it.
        what: What halves it, for the error message.

    Raises:
        InfeasibleArchitectureError: A side is 1.
    """
    if min(sides) < 2:
        raise InfeasibleArchitectureError(f"{what}: a feature map of side {min(sides)} cannot be halved")
    return sides[0] // 2, sides[1] // 2


def count_params(module: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def trainable_layers(module: nn.Module) -> list[nn.Module]:
    """Return the modules that have a trainable weight of their own which multiplies: two dimensions or more."""
    return [m for m in module.modules() if any(p.requires_grad and p.ndim > 1 for p in m.parameters(recurse=False))]


def count_flops(module: nn.Module, input_shape: InputShape) -> int:
    """Return the floating-point operations of one forward pass of one input, as PyTorch's own counter counts them.

    A multiplication and an addition count as two; element-wise operations, sums and pooling are not counted. Products
    inside attention and recurrent layers are, also where PyTorch has them in one fused operation, which its counter
    does not see. Plain chains of layers are counted from their shapes; others by a real forward pass of one input on
    the module's device, which is cheaper than one on the meta device, whose shape functions are Python.

    Raises:
        InfeasibleArchitectureError: The network does not accept the input.
        UncountedError: It multiplies in a way that there is no formula for.
        RuntimeError: There is not enough memory.
    """
    shape = shape_from(input_shape)
    if is_plain(shape) and (from_shapes := chain_flops(module, shape)) is not None:
        return from_shapes
    parameter = next((p for p in module.parameters() if p.is_floating_point()), next(module.parameters()))
    # The counter's module tracker asks inputs that require a gradient for its function, which views of parameters do
    # not have under no_grad.
    trainable = [p for p in module.parameters() if p.requires_grad]
    try:
        for p in trainable:
            p.requires_grad_(False)
        with memory_guard():
            return count_by_running(module, example_of(shape, 1, device=parameter.device, dtype=parameter.dtype))
    except RuntimeError as error:
        raise InfeasibleArchitectureError(
            f"the layers do not fit inputs of shape {shape_text(shape)}: {first_line(error)}"
        ) from error
    finally:
        for p in trainable:
            p.requires_grad_(True)
