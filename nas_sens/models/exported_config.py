"""What is read of an export's ``config.json``, and what its weights must be: anybody may have edited them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import ConfigDict, Field, FiniteFloat, PositiveInt
from pydantic.dataclasses import dataclass
from torch import nn

from ..core.declarations import validate
from ..core.errors import InvalidInputError
from ..core.inputs import is_plain, parts_of_shape, shape_from_json, shape_text
from ..data.per_input import PER_INPUT
from .preprocessing import FromPixels, picture_size

_MOST = 2**31  # numbers of one input
_TOLD = ("input_size", "mean", "std", "crop_mode", "crop_pct", "interpolation", "label_names")


@dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True, extra="forbid"))
class ModelArguments:
    """What a network is built from.

    Args:
        architecture: The family and its parameters.
        input_shape: Shape of one input, as :func:`nas_sens.core.inputs.shape_to_json` writes it.
        num_classes: Number of outputs.
        unit_norm: Whether each input is divided by its Euclidean norm.
        unit_variance: Whether each input is brought to zero mean and unit variance by itself.

    Raises:
        ValueError: The shape is none, or an input is too large to be one, or has no norm.
    """

    architecture: dict[str, Any]
    input_shape: Any
    num_classes: Annotated[PositiveInt, Field(lt=_MOST)]
    unit_norm: bool = False
    unit_variance: bool = False

    def __post_init__(self) -> None:
        """Check what is no check of one field.

        Raises:
            ValueError: The shape is none, or an input is too large to be one, or has no norm.
        """
        if any(math.prod(sides) >= _MOST for sides in parts_of_shape(self.shape)):
            raise ValueError(f"input_shape must be of fewer than {_MOST:,} numbers")
        if self.per_input and not is_plain(self.shape):
            raise ValueError(f"{self.per_input} needs inputs of one tensor of floating-point numbers")

    @property
    def per_input(self) -> str:
        """What the network does to each input first, a key of `PER_INPUT`; empty for nothing."""
        return next((key for key in PER_INPUT if getattr(self, key)), "")

    @property
    def shape(self) -> Any:
        """Shape of one input, with the types of its numbers (see :mod:`nas_sens.core.inputs`).

        Raises:
            ValueError: It is none.
        """
        return shape_from_json(self.input_shape)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True, extra="ignore"))
class Preparation:
    """What inputs are prepared by, and what outputs are called.

    Args:
        mean: Subtracted per channel or feature.
        std: Divided by then.
        label_names: Names of the classes, in the order of the outputs; empty if they have none.
    """

    mean: list[FiniteFloat]
    std: list[FiniteFloat]
    label_names: list[str] = field(default_factory=list)


def read_config(path: Path) -> dict[str, Any]:
    """Return a ``config.json`` whose parts that are used are what they must be.

    Raises:
        InvalidInputError: They are not, or it is no JSON.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path.name} is no JSON: {str(error) or type(error).__name__}") from error
    if not isinstance(config, dict):
        raise InvalidInputError(f"{path.name} must be an object; given {type(config).__name__}")
    arguments(config)
    preparation(config)
    if not isinstance(config.get("nas_sens", {}), dict):
        raise InvalidInputError(f"{path.name}: nas_sens must be an object; given {config['nas_sens']!r:.100}")
    return config


def arguments(config: Mapping[str, Any]) -> ModelArguments:
    """Return what a network is built from.

    Raises:
        InvalidInputError: It is missing or wrong.
    """
    return validate(ModelArguments, config.get("model_args", {}), source="config.json", where="model_args")


def preparation(config: Mapping[str, Any]) -> Preparation:
    """Return how inputs are prepared.

    Raises:
        InvalidInputError: It is missing or wrong.
    """
    return validate(Preparation, config.get("pretrained_cfg", {}), source="config.json", where="pretrained_cfg")


def from_pixels(model: nn.Module, config: Mapping[str, Any]) -> FromPixels:
    """Return a network with its preprocessing of pictures before it.

    Raises:
        InvalidInputError: Its inputs are no pictures as files hold them.
    """
    shape, prepared = arguments(config).shape, preparation(config)
    if (found := picture_size(shape)) is None:
        raise InvalidInputError(
            f"preprocessing in the program needs inputs that are grey or RGB pictures, (1 or 3, height, width); these "
            f"are {shape_text(shape)}; leave --with-preprocessing out"
        )
    _, height, width = found
    return FromPixels(model, (height, width), prepared.mean, prepared.std).eval()


def metadata_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a program says of itself: how inputs are prepared, and what outputs are called."""
    about = {key: config["pretrained_cfg"].get(key) for key in _TOLD}
    found = config.get("nas_sens", {})
    more = {**dict.fromkeys(filter(None, [arguments(config).per_input]), True), "task": found.get("task")}
    more["feature_names"] = found.get("feature_names") or None
    return {key: value for key, value in {**about, **more}.items() if value is not None}


def check_weights(
    found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], *, is_part: bool = False
) -> None:
    """Check that weights are those of a network.

    Args:
        found: Name to weight.
        expected: Name to a weight of the network, on any device.
        is_part: Whether some may be missing, be there beside those, or have another shape, as their user wants it so.

    Raises:
        InvalidInputError: They have other names, shapes or types, or hold a number that is not finite.
    """
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if not is_part and (missing or extra):
        said = [f"it has no {n!r}" for n in missing[:1]] + [f"{n!r} is none of this network" for n in extra[:1]]
        raise InvalidInputError(f"the weights are of another network: {' and '.join(said)}")
    for name in expected.keys() & found.keys():
        weight, wanted = found[name], expected[name]
        if not is_part and weight.shape != wanted.shape:
            shapes = f"{tuple(wanted.shape)}; given {tuple(weight.shape)}"
            raise InvalidInputError(f"the weights are of another network: {name!r} must have the shape {shapes}")
        if weight.dtype != wanted.dtype:
            raise InvalidInputError(f"the weight {name!r} must be {wanted.dtype}; given {weight.dtype}")
        if weight.is_floating_point() and not bool(weight.isfinite().all()):
            raise InvalidInputError(f"the weight {name!r} must be of finite numbers; some are NaN or infinite")
