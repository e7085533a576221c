"""A network as measures can take it: in single or double precision, on the device of its inputs, with weights."""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from torch import nn

from ..core.errors import InvalidInputError
from ..core.inputs import device_of, floats_as, parts_of
from ._weights import copy_of

_HALVES = (torch.float16, torch.bfloat16)


def as_measured(model: nn.Module, x: Any) -> tuple[nn.Module, Any]:
    """Return the network and its inputs in one floating-point type.

    Inputs take the type of the network. Of a network in half precision, whose rounding is larger than most noise, a
    copy in float32 is returned.

    Args:
        model: Any network.
        x: Its inputs.

    Raises:
        InvalidInputError: The network is on another device than its inputs, or has no values.
    """
    tensors = [t for t in (*model.parameters(), *model.buffers()) if not nn.parameter.is_lazy(t)]
    devices = {t.device for t in tensors}
    where = device_of(x)
    if any(device.type == "meta" for device in devices):
        raise InvalidInputError("the network must have values; it is on the meta device; move it by to_empty and draw")
    if devices and where not in devices:
        raise InvalidInputError(
            f"the network and its inputs must be on one device; the network is on "
            f"{', '.join(sorted(map(str, devices)))}, the inputs are on {where}; move one of them"
        )
    if any(t.dtype in _HALVES for t in tensors):
        model = copy_of(model).float()
    return model, floats_as(x, float_type(model, x))


def float_type(model: nn.Module, x: Any = ()) -> torch.dtype:
    """Return the type of a network's first parameter in floating point; of its inputs where it has none, or float32."""
    tensors = chain(model.parameters(), parts_of(x))
    return next((t.dtype for t in tensors if t.is_floating_point() and t.dtype not in _HALVES), torch.float32)
