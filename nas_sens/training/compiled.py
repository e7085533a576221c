"""Networks compiled for training, and what is said where they cannot be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..core.errors import InvalidInputError, first_line


def compiled(model: nn.Module) -> Callable[..., Any]:
    """Return a network's compiled form (``torch.compile``), which is made when it is first called.

    It raises an InvalidInputError where PyTorch cannot make it, as without a compiler of C++ on the CPU.
    """
    fast = torch.compile(model)

    def run(*inputs: Any) -> Any:
        try:
            return fast(*inputs)
        except torch._dynamo.exc.TorchDynamoException as error:
            raise InvalidInputError(
                f"compile = true in [train] needs what PyTorch compiles with, and a network that it can: "
                f"{first_line(error)}; remove it"
            ) from error

    return run
