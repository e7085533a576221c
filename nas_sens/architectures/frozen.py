"""Networks of timm of which a part is not trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import PlainValidator
from pydantic_core import PydanticCustomError
from torch import nn

from ..core.errors import InfeasibleArchitectureError
from .pretrained import PretrainedNetwork, classifier_names
from .timm_built import TimmNetwork


def _part(value: Any) -> Any:
    if value == "backbone" or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise PydanticCustomError("freeze", "Input should be a number of stages or 'backbone'")


Frozen = Annotated[int | Literal["backbone"], PlainValidator(_part)]


def freeze_(network: TimmNetwork, part: int | str) -> None:
    """Freeze the first stages of one of timm's networks, or all but its read-out, in place.

    Frozen parameters need no gradient, and batch normalisation whose parameters are frozen keeps its statistics.

    Args:
        network: The network.
        part: How many of timm's stages, the stem being the first; or ``backbone``.

    Raises:
        InfeasibleArchitectureError: There are not so many stages.
    """
    model = _of_timm(network)
    names = frozen_names(network, part)
    for name, parameter in model.named_parameters():
        if name in names:
            parameter.requires_grad_(False)
    network.keep_in_evaluation = tuple(_frozen_norms(model))
    network.train(network.training)


def _frozen_norms(model: nn.Module) -> Iterator[nn.Module]:
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and own and not any(p.requires_grad for p in own):
            yield module


def _of_timm(network: TimmNetwork) -> nn.Module:
    return network.net[1] if isinstance(network, PretrainedNetwork) else network.net  # type: ignore[index]


def frozen_names(network: TimmNetwork, part: int | str) -> set[str]:
    """Return the names of parameters of timm's network that are frozen; arguments as for :func:`freeze_`.

    Raises:
        InfeasibleArchitectureError: There are not so many stages.
    """
    if not part:
        return set()
    model = _of_timm(network)
    heads = classifier_names(model)
    body = {name for name, _ in model.named_parameters() if name.rpartition(".")[0] not in heads}
    if part == "backbone":
        return body
    from timm.models import group_parameters

    groups = group_parameters(model, model.group_matcher(coarse=True))  # type: ignore[operator]
    stages = [body & set(groups[i]) for i in sorted(groups)]
    stages = [stage for stage in stages if stage]
    if int(part) > len(stages):
        raise InfeasibleArchitectureError(
            f"freeze = {part}, but the network has {len(stages)} stages before its read-out; lower it, or take "
            "'backbone'"
        )
    return set().union(*stages[: int(part)])
