"""Inputs of a network: one tensor, a tuple of them (by position), or a dict (by keyword); rows are samples in all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from .errors import InvalidInputError

Inputs = torch.Tensor | tuple[torch.Tensor, ...] | Mapping[str, torch.Tensor]


class Shape(tuple[int, ...]):
    """Shape of one input tensor without the axis of samples, and the type of its numbers.

    It is equal to the plain tuple of its sides.
    """

    dtype: torch.dtype

    def __new__(cls, sides: Sequence[int], dtype: torch.dtype | None = None) -> Shape:
        """Return the shape; of float32 unless a type is given, or ``sides`` has one."""
        made = super().__new__(cls, sides)
        made.dtype = dtype if dtype is not None else sides.dtype if isinstance(sides, Shape) else torch.float32
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        """Return what a copy is made from."""
        return (tuple(self), self.dtype)


InputShape = tuple[int, ...] | tuple[tuple[int, ...], ...] | Mapping[str, tuple[int, ...]]


def parts_of(x: Any) -> list[Any]:
    """Return the tensors of inputs, in their order."""
    if isinstance(x, Mapping):
        return list(x.values())
    return list(x) if isinstance(x, (tuple, list)) else [x]


def mapped(function: Callable[[Any], Any], x: Any) -> Any:
    """Return what a function makes of each tensor, in the structure of the inputs."""
    if isinstance(x, Mapping):
        return {name: function(part) for name, part in x.items()}
    return tuple(function(part) for part in x) if isinstance(x, (tuple, list)) else function(x)


def called_with(model: Callable[..., Any], x: Any) -> Any:
    """Return what a network gives for inputs."""
    if isinstance(x, Mapping):
        return model(**x)
    return model(*x) if isinstance(x, tuple) else model(x)


def n_rows(x: Any) -> int:
    """Return the number of samples."""
    return len(parts_of(x)[0])


def rows_of(x: Any, rows: Any) -> Any:
    """Return some samples: by a slice, or by the numbers of their rows on any device."""
    return mapped(lambda t: t[rows.to(t.device) if isinstance(rows, torch.Tensor) else rows], x)


def batches_of(x: Any, size: int) -> list[Any]:
    """Return inputs in batches of at most ``size`` samples."""
    return [rows_of(x, slice(start, start + size)) for start in range(0, n_rows(x), size)]


def device_of(x: Any) -> torch.device:
    """Return where inputs lie."""
    found: torch.device = parts_of(x)[0].device
    return found


def is_one_float(x: Any) -> bool:
    """Return whether inputs are one tensor of a floating-point type, or used as one."""
    return not isinstance(x, (Mapping, tuple, list)) and bool(x.is_floating_point())


def has_floats(x: Any) -> bool:
    """Return whether some tensor is of a floating-point type."""
    return any(part.is_floating_point() for part in parts_of(x))


def floats_as(x: Any, dtype: torch.dtype) -> Any:
    """Return inputs whose floating-point numbers are of a type; whole numbers and truth values stay."""
    return mapped(lambda t: t.to(dtype) if t.is_floating_point() else t, x)


def checked_inputs(x: Any, what: str) -> Any:
    """Return inputs as tensors in a plain structure.

    Args:
        x: A tensor, a tuple or list of tensors, or a mapping of texts to tensors.
        what: What they are called in messages.

    Raises:
        InvalidInputError: They are something else, or have different numbers of rows.
    """
    if isinstance(x, list):
        x = tuple(x)
    parts = parts_of(x)
    is_named = not isinstance(x, Mapping) or all(isinstance(name, str) and name.isidentifier() for name in x)
    if not parts or not is_named or not all(isinstance(part, torch.Tensor) and part.ndim for part in parts):
        kinds = ", ".join(type(part).__name__ for part in parts) or "nothing"
        raise InvalidInputError(
            f"{what} must be a tensor (n, …), a tuple of them by position, or a dict of them by keyword; given {kinds}"
        )
    if len({len(part) for part in parts}) > 1:
        counts = ", ".join(str(tuple(part.shape)) for part in parts)
        raise InvalidInputError(f"{what} must have the same number of rows in all tensors; given shapes {counts}")
    if len({part.device for part in parts}) > 1:
        raise InvalidInputError(f"{what} must be on one device; given {', '.join(str(p.device) for p in parts)}")
    return dict(x) if isinstance(x, Mapping) else x


def shape_of(x: Any) -> Any:
    """Return the shape of one input, in the structure of the inputs."""
    return mapped(lambda t: Shape(t.shape[1:], t.dtype), x)


def shape_from(shape: Any) -> Any:
    """Return a shape of which types are known, from one that may be plain."""
    if isinstance(shape, Mapping):
        return {name: Shape(sides) for name, sides in shape.items()}
    if isinstance(shape, (tuple, list)) and shape and isinstance(shape[0], (tuple, list)):
        return tuple(Shape(sides) for sides in shape)
    return Shape(shape)


def parts_of_shape(shape: Any) -> list[Shape]:
    """Return the shapes of single tensors in a shape of inputs."""
    found = shape_from(shape)
    return [found] if isinstance(found, Shape) else parts_of(found)


def is_plain(shape: Any) -> bool:
    """Return whether a shape is of one tensor of floating-point numbers."""
    found = shape_from(shape)
    return isinstance(found, Shape) and found.dtype.is_floating_point


def example_of(shape: Any, n: int, *, device: Any = "cpu", dtype: torch.dtype | None = None) -> Any:
    """Return inputs of zeros, and of ones where they are truth values, as masks are.

    Args:
        shape: Shape of one input.
        n: Number of samples.
        device: Where.
        dtype: Of floating-point numbers; None for that of the shape.
    """

    def made(sides: Shape) -> torch.Tensor:
        kind = dtype if dtype is not None and sides.dtype.is_floating_point else sides.dtype
        make = torch.ones if kind == torch.bool else torch.zeros
        return make((n, *sides), device=device, dtype=kind)

    found = shape_from(shape)
    return made(found) if isinstance(found, Shape) else mapped(made, found)


def shape_text(shape: Any) -> str:
    """Return a shape as text: ``(3, 32, 32)``, ``(16,) of int64``, ``a (3,) and b (4,)``."""
    found = shape_from(shape)
    if isinstance(found, Shape):
        kind = "" if found.dtype == torch.float32 else f" of {str(found.dtype).removeprefix('torch.')}"
        return f"{tuple(found)}{kind}"
    if isinstance(found, dict):
        return " and ".join(f"{name} {shape_text(sides)}" for name, sides in found.items())
    return " and ".join(map(shape_text, found))


def shape_to_json(shape: Any) -> Any:
    """Return a shape as JSON-like values: the list of its sides, unless it is more than that of one float32 tensor."""
    found = shape_from(shape)
    if isinstance(found, Shape):
        kind = str(found.dtype).removeprefix("torch.")
        return list(found) if kind == "float32" else {"dtype": kind, "shape": list(found)}
    if isinstance(found, dict):
        return {"keywords": {name: shape_to_json(sides) for name, sides in found.items()}}
    return {"positions": [shape_to_json(sides) for sides in found]}


def shape_from_json(value: Any) -> Any:
    """Return the shape that :func:`shape_to_json` wrote.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, Mapping) and value.keys() == {"keywords"} and isinstance(value["keywords"], Mapping):
        found: Any = {str(name): _one_shape(one, least=0) for name, one in value["keywords"].items()}
    elif isinstance(value, Mapping) and value.keys() == {"positions"} and isinstance(value["positions"], list):
        found = tuple(_one_shape(one, least=0) for one in value["positions"])
    else:
        return _one_shape(value, least=1)
    if not found:
        raise ValueError("input_shape must be of one input at least")
    return found


def _one_shape(value: Any, *, least: int) -> Shape:
    sides, kind = (value.get("shape"), value.get("dtype")) if isinstance(value, Mapping) else (value, "float32")
    dtype = getattr(torch, str(kind), None)
    is_sides = isinstance(sides, (list, tuple)) and all(type(n) is int and n > 0 for n in sides)
    if not isinstance(dtype, torch.dtype) or not is_sides or not least <= len(sides) <= 8:  # type: ignore[arg-type]
        raise ValueError("input_shape must be a list of 1 to 8 positive whole numbers, or say more of inputs")
    return Shape(sides, dtype)  # type: ignore[arg-type]
