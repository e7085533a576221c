"""What families have in common whose networks timm puts together: its own initialisation, and what does not fit.

timm is imported by the functions that need it and not with this module: it takes seconds.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Annotated, Any

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn

from ..core.device import memory_guard
from ..core.errors import InfeasibleArchitectureError, first_line
from .base import SPEC_CONFIG, ArchitectureSpec, require_images
from .built_network import BuiltNetwork

# What timm's models raise on sizes or arguments that they cannot take; they check them in many ways, or not at all.
REFUSALS = (RuntimeError, ValueError, TypeError, AssertionError, ArithmeticError, LookupError, AttributeError)
DropPath = Annotated[float, Field(ge=0, lt=1)]


class TimmNetwork(BuiltNetwork):
    """A network of timm, which draws its own initial weights.

    Attributes:
        keep_in_evaluation: Modules that stay in evaluation mode while others are trained, as they are frozen.
    """

    keep_in_evaluation: tuple[nn.Module, ...] = ()

    def train(self, mode: bool = True) -> TimmNetwork:
        """Put all modules into training mode, but those that are frozen; or into evaluation mode.

        Returns:
            The network itself.
        """
        super().train(mode)
        for module in self.keep_in_evaluation:
            module.eval()
        return self

    @property
    def is_drawn_by_rule(self) -> bool:
        """Whether a scheme draws all parameters; of timm's networks, which draw theirs with care, never."""
        return False


@dataclass(frozen=True, kw_only=True, config=SPEC_CONFIG)
class TimmBuiltSpec(ArchitectureSpec):
    """A network that timm's builders put together from the parameters of a family.

    With ``init`` at "torch_default", training starts from timm's own initialisation of such a network, times
    ``init_scale`` for linear and convolution layers; see
    :func:`nas_sens.architectures.initialization.initialize_` for other schemes.
    """

    @abstractmethod
    def made(self, input_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
        """Return timm's network on the current default device.

        Args:
            input_shape: Channels, height and width of an image.
            n_outputs: Number of outputs.
        """

    @abstractmethod
    def check_fit(self, input_shape: tuple[int, int, int]) -> None:
        """Check that parameters go together, and with the size of images.

        Raises:
            InfeasibleArchitectureError: They do not.
        """

    def layers(self, input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
        """Return timm's network in a :class:`TimmNetwork`; torch's global random state is left alone.

        Raises:
            InfeasibleArchitectureError: The input is no image, or the network does not take its size.
        """
        shape = require_images(self.family, input_shape)
        self.check_fit(shape)
        if torch.zeros(0).is_meta:
            return copy.deepcopy(_skeleton(self, shape, n_outputs))
        return TimmNetwork(partial(self._guarded, shape, n_outputs))

    def _guarded(self, input_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
        try:
            with memory_guard():
                return self.made(input_shape, n_outputs)
        except REFUSALS as error:
            if isinstance(error, InfeasibleArchitectureError) or "meta" in str(error).lower():
                raise
            raise InfeasibleArchitectureError(
                f"timm cannot build this {self.family} for inputs of {input_shape}: {first_line(error)}"
            ) from error

    @classmethod
    def structure(cls, values: Mapping[str, Any]) -> dict[str, float]:
        """Return the number of blocks as depth."""
        depths = values.get("depths", values.get("depth", 0))
        return {"depth": float(sum(depths) if isinstance(depths, (list, tuple)) else depths)}


@lru_cache(maxsize=64)
def _skeleton(spec: TimmBuiltSpec, input_shape: tuple[int, int, int], n_outputs: int) -> TimmNetwork:
    # Kept, as a copy takes a tenth of the time of putting a network together and trying it on an input.
    network = TimmNetwork(partial(spec._guarded, input_shape, n_outputs))
    if problem := misfit(network, input_shape, n_outputs):
        raise InfeasibleArchitectureError(f"this {spec.family} does not take inputs of shape {input_shape}: {problem}")
    return network


def misfit(network: TimmNetwork, input_shape: tuple[int, int, int], n_outputs: int) -> str | None:
    """Return why a network on the meta device does not take an input; None if it does, or if meta cannot tell."""
    try:
        with torch.no_grad():
            y = network.eval()(torch.zeros(1, *input_shape))
    except REFUSALS as error:
        return None if "meta" in str(error).lower() or isinstance(error, NotImplementedError) else first_line(error)
    finally:
        network.train()
    if not isinstance(y, torch.Tensor) or y.shape != (1, n_outputs):
        given = tuple(y.shape) if isinstance(y, torch.Tensor) else type(y).__name__
        return f"its output must be of shape (1, {n_outputs}), but is {given}"
    return None
