"""Outputs that load anywhere: an exported program names the classes of what it returns, and needs their packages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

from torch import nn


def plain(output: Any) -> Any:
    """Return dicts in place of mappings, data classes and named tuples; None in them is left out."""
    if isinstance(output, Mapping):
        return {name: plain(value) for name, value in output.items() if value is not None}
    if isinstance(output, tuple) and hasattr(output, "_asdict"):
        return plain(output._asdict())
    if is_dataclass(output):
        return plain({f.name: getattr(output, f.name) for f in fields(output)})
    if isinstance(output, (list, tuple)):
        return type(output)(map(plain, output))
    return output


@contextmanager
def plain_outputs(model: nn.Module) -> Iterator[nn.Module]:
    """Have a network return plain outputs in a ``with`` block.

    Args:
        model: The network.

    Yields:
        The same one.
    """
    handle = model.register_forward_hook(lambda _, __, output: plain(output))
    try:
        yield model
    finally:
        handle.remove()
