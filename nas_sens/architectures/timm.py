"""Any network of the timm library as a candidate (Wightman, PyTorch Image Models, doi:10.5281/zenodo.4414861).

timm is imported by the functions that need it and not with this module: it takes seconds.
"""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any, ClassVar, cast

import torch
from pydantic import AfterValidator, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError
from torch import nn

from ..core.errors import InfeasibleArchitectureError
from ..core.identity import canonical_json
from ..core.inputs import InputShape, shape_from
from .base import SPEC_CONFIG, ArchitectureSpec, require_images
from .frozen import Frozen, freeze_, frozen_names
from .pretrained import Pretrained, make_pretrained, read_weights
from .timm_built import TimmNetwork, misfit
from .timm_models import Created

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
        if name in timm.list_pretrained(stem):
            return name
        raise PydanticCustomError(
            "timm_model",
            "the name of a timm model, with a tag of its pre-trained weights or without; {stem} has {known}",
            {"stem": repr(stem), "known": ", ".join(timm.list_pretrained(stem)) or "none"},
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
    """A network of timm, untrained or from pre-trained weights.

    Channels and classes follow the data, and so does ``img_size`` where the model takes it. With ``init`` at
    "torch_default", training starts from the model's own initialisation, times ``init_scale`` for linear and
    convolution layers; see :func:`nas_sens.architectures.initialization.initialize_` for other schemes.

    Parameters and FLOPs of a candidate are those of the whole network, whatever is frozen.

    Args:
        model: Name in ``timm.list_models()``; with ``pretrained`` also with a tag of its weights, ``resnet18.a1_in1k``.
        kwargs: More arguments of ``timm.create_model``, as the JSON text of an object: ``{"drop_path_rate": 0.1}``.
        pretrained: Whether training starts from timm's pre-trained weights, of the tag or the model's usual one, which
            must be in a cache of this machine; or the path of a file of weights (``.safetensors``, ``.pth``). The
            read-out is drawn anew unless it has as many outputs. The network normalises pixels in [0, 1] itself by the
            mean and standard deviation that timm has for these weights; inputs of other numbers of channels than three
            have their means over channels, and the first convolution is adapted as timm does it.
        freeze: How many of timm's stages are not trained, the stem being the first; or ``backbone``: only the read-out
            is trained, a linear probe.
    """

    family: ClassVar[str] = "timm"
    later: ClassVar[Mapping[str, Any]] = {"pretrained": False, "freeze": 0}

    model: Annotated[str, AfterValidator(_known_model)]
    kwargs: Annotated[str, AfterValidator(_canonical_arguments)] = "{}"
    pretrained: Pretrained = False
    freeze: Frozen = 0

    @model_validator(mode="after")
    def _check_weights(self) -> TimmSpec:
        if not self.is_pretrained and "." in self.model:
            raise ValueError(
                f"needs pretrained = true for a model with the tag of pre-trained weights; given {self.model!r}; write "
                f"{self.model.partition('.')[0]!r} for an untrained one"
            )
        if self.is_pretrained and (self.init, self.init_scale) != ("torch_default", 1.0):
            raise ValueError(
                'needs init = "torch_default" and init_scale = 1 with pretrained weights, in whose place others would '
                f"be drawn; given {self.init!r} and {self.init_scale}"
            )
        return self

    @property
    def is_pretrained(self) -> bool:
        """Whether training starts from pre-trained weights."""
        return self.pretrained is not False

    @property
    def canonical(self) -> TimmSpec:
        """The spec of the network of which nothing is frozen: untrained, both are the same function."""
        return replace(self, freeze=0) if self.freeze else self

    def require_weights(self, input_shape: InputShape, n_outputs: int) -> None:
        """Check that pre-trained weights are on this machine and fit; see :meth:`build` for the arguments.

        Raises:
            InvalidInputError: They are not there.
            InfeasibleArchitectureError: They are of another network, or that does not fit the input.
        """
        super().require_weights(input_shape, n_outputs)
        if self.is_pretrained:
            shape = require_images("timm model", cast("tuple[int, ...]", shape_from(input_shape)))
            read_weights(Created(self.model, self.kwargs, shape, n_outputs), self.pretrained)

    def layers(self, input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
        """Return timm's network in a :class:`TimmNetwork`; torch's global random state is left alone.

        Raises:
            InfeasibleArchitectureError: The input is no image, or the model does not take its size or ``kwargs``, or
                has fewer stages than are to be frozen.
        """
        shape = require_images("timm model", input_shape)
        if torch.zeros(0).is_meta:
            plain = replace(self, freeze=0, init="torch_default", init_scale=1.0)
            network = copy.deepcopy(_skeleton(plain, shape, n_outputs))
            frozen_names(network, self.freeze)  # are there, or it raises
            return network
        return self._network(shape, n_outputs)

    def build(
        self,
        input_shape: InputShape,
        n_outputs: int,
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> nn.Module:
        """Return the network from which training starts, a part of it frozen; see :meth:`ArchitectureSpec.build`.

        Raises:
            InvalidInputError: The file of pre-trained weights is not on this machine.
            InfeasibleArchitectureError: The network does not fit the input, the weights are of another one, or it has
                fewer stages than are to be frozen.
        """
        model = super().build(input_shape, n_outputs, generator=generator, device=device, dtype=dtype)
        if self.freeze:
            freeze_(cast("TimmNetwork", model), self.freeze)
        return model

    def _network(self, shape: tuple[int, int, int], n_outputs: int) -> TimmNetwork:
        create = Created(self.model, self.kwargs, shape, n_outputs)
        return make_pretrained(create, self.pretrained) if self.is_pretrained else TimmNetwork(create)


@lru_cache(maxsize=64)
def _skeleton(spec: TimmSpec, input_shape: tuple[int, int, int], n_outputs: int) -> TimmNetwork:
    # Kept, as a copy takes a tenth of the time of putting a model together and trying it on an input.
    network = spec._network(input_shape, n_outputs)
    if problem := misfit(network, input_shape, n_outputs):
        raise InfeasibleArchitectureError(f"timm's {spec.model} does not take inputs of shape {input_shape}: {problem}")
    return network
