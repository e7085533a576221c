"""The entry in timm's model registry by which ``timm.create_model("local-dir:…")`` loads an export."""

from __future__ import annotations

from typing import Any, cast

from timm.models import build_model_with_cfg, register_model
from torch import nn

from ..architectures import load_spec
from ..architectures.initialization import SelfInitialized
from .exported_config import check_weights
from .preprocessing import prepare_each_input

__all__ = ["nas_sens"]


def _make(
    architecture: dict[str, Any],
    input_shape: list[int],
    num_classes: int,
    in_chans: int | None = None,
    unit_norm: bool = False,
    unit_variance: bool = False,
) -> nn.Module:
    shape = tuple(input_shape) if in_chans is None else (in_chans, *input_shape[1:])
    spec = load_spec(architecture)
    if spec.is_pretrained:  # its weights are in the export: the file that it started from need not be here
        model = spec.blank(shape, num_classes, device="cpu")
        cast("SelfInitialized", model).draw_(None)
    else:
        model = spec.build(shape, num_classes)
    model.num_classes = num_classes  # type: ignore[assignment]  # timm reads it
    return prepare_each_input(model, "unit_norm" if unit_norm else "unit_variance" if unit_variance else "")


@register_model
def nas_sens(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Return a network found by nas_sens, from the arguments that its export's ``config.json`` holds."""
    return build_model_with_cfg(_make, "nas_sens", pretrained, pretrained_filter_fn=_checked, **kwargs)


def _checked(state: dict[str, Any], model: nn.Module) -> dict[str, Any]:
    """Return weights that are numbers; timm itself adapts or refuses those of other shapes."""
    check_weights(state, model.state_dict(), is_part=True)
    return state
