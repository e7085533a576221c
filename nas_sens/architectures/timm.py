"""Any network of the timm library as a candidate (Wightman, PyTorch Image Models, doi:10.5281/zenodo.4414861).

timm is imported by the functions that need it and not with this module: it takes seconds.
"""

from __future__ import annotations

import copy
import difflib
import json
from functools import lru_cache, partial
from typing import Annotated, Any, ClassVar

import torch
from pydantic import AfterValidator
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError
from torch import nn

from ..core.device import memory_guard
from ..core.errors import InfeasibleArchitectureError, first_line
from ..core.identity import canonical_json
from .base import SPEC_CONFIG, ArchitectureSpec, require_images
from .timm_built import REFUSALS, TimmNetwork, misfit

# Arguments of timm.create_model that are not the architecture's: given by the data, or about stored weights.
_NOT_ARCHITECTURE = (
    *("num_classes", "in_chans", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path"),
    *("cache_dir", "scriptable", "exportable", "no_jit", "features_only", "device", "dtype"),
)
_OWN_ENTRY = "nas_sens"  # by which timm loads our exports: no architecture


@lru_cache(maxsize=1024)
def _known_model(name: str) -> str:
    import timm

    stem, _, tag = name.partition(".")
    if tag and timm.is_model(stem):
        raise PydanticCustomError(
            "timm_model",
            "a timm model without the tag of pre-trained weights, which candidates do not have; write {stem}",
            {"stem": repr(stem)},
        )
    if tag or name == _OWN_ENTRY or not timm.is_model(name):
        names = [n for n in timm.list_models() if n != _OWN_ENTRY]
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "timm.list_models() names them"
        raise PydanticCustomError("timm_model", "the name of a timm model; {hint}", {"hint": hint})
    return name


def _canonical_arguments(text: str) -> str:
    try:
        arguments = json.loads(text)
        canonical = canonical_json(arguments)
    except ValueError:
        arguments = canonical = None
    if not isinstance(arguments, dict) or canonical is None:
        raise PydanticCustomError("timm_kwargs", "the JSON text of an object, such as '{\"drop_rate\": 0.1}'")
    for key in arguments:
        if key in _NOT_ARCHITECTURE:
            raise PydanticCustomError(
                "timm_kwargs", "free of {key}, which is no part of the architecture", {"key": repr(key)}
            )
    return canonical


@dataclass(frozen=True, kw_only=True, config=SPEC_CONFIG)
class TimmSpec(ArchitectureSpec):
    """A network of timm, untrained.

    Channels and classes follow the data, and so does ``img_size`` where the model takes it. With ``init`` at
    "torch_default", training starts from the model's own initialisation, times ``init_scale`` for linear and
    convolution layers; see :func:`nas_sens.architectures.initialization.initialize_` for other schemes.

    Args:
        model: Name in ``timm.list_models()``, without a tag of pre-trained weights.
        kwargs: More arguments of ``timm.create_model``, as the JSON text of an object: ``{"drop_path_rate": 0.1}``.
    """

    family: ClassVar[str] = "timm"

    model: Annotated[str, AfterValidator(_known_model)]
    kwargs: Annotated[str, AfterValidator(_canonical_arguments)] = "{}"

    def layers(self, input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
        """Return timm's network in a :class:`TimmNetwork`; torch's global random state is left alone.

        Raises:
            InfeasibleArchitectureError: The input is no image, or the model does not take its size or ``kwargs``.
        """
        shape = require_images("timm model", input_shape)
        if torch.zeros(0).is_meta:
            return copy.deepcopy(_skeleton(self.model, self.kwargs, shape, n_outputs))
        return TimmNetwork(partial(_create, self.model, self.kwargs, shape, n_outputs))


@lru_cache(maxsize=64)
def _skeleton(model: str, kwargs: str, input_shape: tuple[int, int, int], n_outputs: int) -> TimmNetwork:
    # Kept, as a copy takes a tenth of the time of putting a model together and trying it on an input.
    network = TimmNetwork(partial(_create, model, kwargs, input_shape, n_outputs))
    if problem := misfit(network, input_shape, n_outputs):
        raise InfeasibleArchitectureError(f"timm's {model} does not take inputs of shape {input_shape}: {problem}")
    return network


def _create(model: str, kwargs: str, input_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
    import timm

    n_channels, height, width = input_shape
    arguments: dict[str, Any] = {"num_classes": n_outputs, "in_chans": n_channels, **json.loads(kwargs)}
    attempts = [arguments]
    if "img_size" not in arguments:
        attempts.insert(0, {**arguments, "img_size": height if height == width else (height, width)})
    for attempt in attempts:
        try:
            with memory_guard():
                return timm.create_model(model, pretrained=False, **attempt)
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
