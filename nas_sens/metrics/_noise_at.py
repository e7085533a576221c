"""Noise behind a module inside a network, for inputs that take none: the tokens of an embedding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ..core.errors import InvalidInputError
from ..core.inputs import has_floats

EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
Alter = Callable[[torch.Tensor], torch.Tensor]


def enters_inside(x: Any, noise_at: str | None) -> bool:
    """Return whether noise enters behind a module: it was named, or no input is of a floating-point type."""
    return noise_at is not None or not has_floats(x)


@contextmanager
def altered_behind(model: nn.Module, noise_at: str | None, n: int, alter: Alter) -> Iterator[None]:
    """Let what a module gives be altered whenever it runs inside the ``with`` block.

    Args:
        model: The network.
        noise_at: Name of the module, whole or from a dot on to its end; None for the first embedding that runs.
        n: Number of inputs, which is the size of the first axis of what the module gives, or of the second.
        alter: From its output with inputs first, (n, …), to another of that shape.

    Raises:
        InvalidInputError: There is no such module, it does not run, or it gives no tensor of n rows.
    """  # noqa: DOC501 - `_does_not_run` makes the error
    modules = places_of(model, noise_at)
    chosen = [] if noise_at is None else [*modules]
    ran: list[bool] = []

    def hook(module: nn.Module, arguments: Any, output: Any) -> Any:
        if not chosen:
            chosen.append(module)
        if module is not chosen[0]:
            return None
        ran.append(True)
        is_second = isinstance(output, torch.Tensor) and output.ndim > 2 and len(output) != n and output.shape[1] == n
        rows = output.transpose(0, 1) if is_second else output
        if not isinstance(rows, torch.Tensor) or not rows.is_floating_point() or not rows.ndim or len(rows) != n:
            shape = tuple(output.shape) if isinstance(output, torch.Tensor) else f"a {type(output).__name__}"
            name = noise_at or next(name for name, m in model.named_modules() if m is module)
            raise InvalidInputError(
                f"noise_at must name a module that gives one tensor of floating-point numbers with a row for each "
                f"input; {name!r} gives {shape} for {n} inputs"
            )
        made = alter(rows)
        return made.transpose(0, 1) if is_second else made

    handles = [m.register_forward_hook(hook) for m in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    if not ran:
        raise _does_not_run(model, noise_at)


def places_of(model: nn.Module, noise_at: str | None) -> list[nn.Module]:
    """Return the modules behind one of which noise enters: the named one, or every embedding.

    Raises:
        InvalidInputError: There is none.
    """  # noqa: DOC501 - `_does_not_run` makes the error
    if noise_at is not None:
        return [module_of(model, noise_at)]
    found: list[nn.Module] = [m for m in model.modules() if isinstance(m, EMBEDDINGS)]
    if not found:
        raise _does_not_run(model, noise_at)
    return found


def module_of(model: nn.Module, name: str) -> nn.Module:
    """Return the module of a name, or the only one whose name ends with a dot and this.

    Raises:
        InvalidInputError: There is none, or more than one.
    """
    there = dict(model.named_modules())
    if name and name in there:
        return there[name]
    found = [module for full, module in there.items() if full.endswith(f".{name}")] if name else []
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} modules end with that name" if found else f"there are {_some(there)}"
    raise InvalidInputError(f"noise_at must name a module of the network; given {name!r}, but {what}")


def _does_not_run(model: nn.Module, noise_at: str | None) -> InvalidInputError:
    if noise_at is not None:
        return InvalidInputError(f"noise_at = {noise_at!r} names a module that the network does not run")
    return InvalidInputError(
        "noise needs floating-point inputs, or a module behind which it enters where they are whole numbers: no "
        f"nn.Embedding of the network runs; name one by noise_at (there are {_some(dict(model.named_modules()))}), or "
        "convert the inputs to floating-point numbers"
    )


def _some(modules: dict[str, nn.Module]) -> str:
    names = [repr(name.removeprefix("net.")) for name in modules if name not in ("", "net")]
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "") if names else "none"


def noise_like(rows: torch.Tensor, std: float, generator: torch.Generator | None) -> torch.Tensor:
    """Return noise N(0, std²) of the shape of ``rows``."""
    return torch.randn(rows.shape, generator=generator, device=rows.device, dtype=rows.dtype).mul_(std)
