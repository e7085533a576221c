"""A network of timm by its name, for images of a size."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..core.device import memory_guard
from ..core.errors import InfeasibleArchitectureError, first_line
from .timm_built import REFUSALS


@dataclass(frozen=True)
class Created:
    """What makes a network of timm; equal ones make equal networks.

    Attributes:
        model: Its name, with or without a tag of pre-trained weights.
        kwargs: More arguments of ``timm.create_model``, as JSON text.
        input_shape: Channels, height and width of images.
        n_outputs: Number of outputs.
    """

    model: str
    kwargs: str
    input_shape: tuple[int, int, int]
    n_outputs: int

    def __call__(self, **more: Any) -> nn.Module:
        """Return the network, untrained unless ``more`` arguments of ``timm.create_model`` say otherwise.

        Raises:
            InfeasibleArchitectureError: timm cannot build it so.
        """
        return _create(self.model, self.kwargs, self.input_shape, self.n_outputs, more)


def _create(
    model: str, kwargs: str, input_shape: tuple[int, int, int], n_outputs: int, more: Mapping[str, Any]
) -> nn.Module:
    import timm

    n_channels, height, width = input_shape
    arguments: dict[str, Any] = {"num_classes": n_outputs, "in_chans": n_channels, **json.loads(kwargs)}
    attempts = [arguments]
    if "img_size" not in arguments:
        attempts.insert(0, {**arguments, "img_size": height if height == width else (height, width)})
    for attempt in attempts:
        try:
            with memory_guard():
                return timm.create_model(model, **{"pretrained": False, **attempt, **more})
        except TypeError as error:
            if attempt is not arguments and "img_size" in str(error):
                continue  # the model takes images of any size
            raise InfeasibleArchitectureError(
                f"timm's {model} with kwargs {kwargs} cannot be built: {error}"
            ) from error
        except REFUSALS as error:
            if isinstance(error, RuntimeError) and "meta" in str(error):
                raise
            raise InfeasibleArchitectureError(
                f"timm's {model} with kwargs {kwargs} cannot be built for inputs of {input_shape}: {first_line(error)}"
            ) from error
    raise AssertionError("the last attempt returns or raises")
