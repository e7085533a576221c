"""torchvision's transforms of training images, as declared in ``[train] transforms``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ..core.declarations import find
from ..core.errors import InvalidInputError, first_line
from ..core.random_state import global_stream

PARTS = 8  # of a batch, each with draws of its own: torchvision draws once for all images that it is given together


def make_transforms(declared: Sequence[Mapping[str, Any]]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a function of a batch of images (n, channels, height, width) that applies transforms in their order.

    Its draws are those of torch's global random state.

    Args:
        declared: For each transform its ``name`` in ``torchvision.transforms.v2`` and its arguments.

    Raises:
        InvalidInputError: There is no such transform, or it does not take these arguments.
    """
    from torchvision.transforms import v2  # takes a second to import

    known: dict[str, Any] = {n: c for n, c in vars(v2).items() if inspect.isclass(c) and issubclass(c, v2.Transform)}
    steps = []
    for values in declared:
        if "name" not in values:
            raise InvalidInputError(f"every one of transforms in [train] needs a name; given {dict(values)}")
        cls = find(known, values["name"], "transform of torchvision")
        try:
            steps.append(cls(**{k: v for k, v in values.items() if k != "name"}))
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"transform {values['name']} in [train]: {first_line(error)}") from error

    def apply(x: torch.Tensor) -> torch.Tensor:
        parts = x.chunk(PARTS)
        for step in steps:
            parts = tuple(step(part) for part in parts)
        return torch.cat(parts)

    return apply


def check_transforms(declared: Sequence[Mapping[str, Any]], x: torch.Tensor) -> None:
    """Check that images (n, channels, height, width) stay images of this kind.

    Raises:
        InvalidInputError: There is no such transform, it cannot be applied, or it changes their shape or type.
    """
    for values in declared:
        apply = make_transforms([values])
        try:
            with global_stream(None):
                found = apply(x)
        except Exception as error:  # whatever a transform of another library thinks of it
            raise InvalidInputError(
                f"transform {values['name']} in [train] cannot be used: {first_line(error)}"
            ) from error
        if not isinstance(found, torch.Tensor) or found.shape != x.shape or found.dtype != x.dtype:
            given = f"{tuple(found.shape[1:])} of {found.dtype}" if isinstance(found, torch.Tensor) else type(found)
            raise InvalidInputError(
                f"transform {values['name']} in [train] must leave images of shape {tuple(x.shape[1:])} and {x.dtype}; "
                f"it makes {given}; remove it or change its arguments"
            )
