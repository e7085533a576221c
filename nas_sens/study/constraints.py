"""``[constraints]``: bounds on what candidates may be, and how latency and memory are to be had."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as declared

from ..core.declarations import nearest, validate
from ..core.errors import InvalidInputError
from ..core.messages import shown
from .distributions import is_finite

COUNTED = ("params", "flops")
LATENCY, MEMORY = "latency_ms", "memory_mb"
_BOUNDS = ("min", "max")


@declared(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True))
class LatencySpec:
    """How the latency of candidates is had.

    Args:
        device: What they are measured on, as ``--device`` names it.
        batch: Number of inputs of one forward pass, whose time it is.
        threads: Of the CPU.
        runtime: ``torch``, as PyTorch runs the module; ``onnx``, ONNX Runtime on the CPU.
        table: CSV file of another device's measurements, with the columns ``architecture`` and ``latency_ms``: nothing
            is measured here then, and what the file lacks is predicted from what it has.
    """

    device: str = "cpu"
    batch: int = Field(default=1, ge=1)
    threads: int = Field(default=1, ge=1)
    runtime: Literal["torch", "onnx"] = "torch"
    table: str | None = None


@dataclass(frozen=True)
class Bounds:
    """Least and largest value that is allowed."""

    low: float = -math.inf
    high: float = math.inf


def bounds_of(constraint: Mapping[str, Any]) -> Bounds:
    """Return the bounds of one constraint."""
    return Bounds(constraint.get("min", -math.inf), constraint.get("max", math.inf))


def latency_of(constraints: Mapping[str, Mapping[str, Any]]) -> LatencySpec | None:
    """Return how latency is had; None if there is no constraint on it.

    Raises:
        InvalidInputError: A key or value is wrong.
    """
    if LATENCY not in constraints:
        return None
    options = {k: v for k, v in constraints[LATENCY].items() if k not in _BOUNDS}
    spec = validate(LatencySpec, options, source="the space", where=f"constraints.{LATENCY}")
    if spec.runtime == "onnx" and spec.device != "cpu":
        raise InvalidInputError(
            f'constraints.{LATENCY}: runtime "onnx" is measured on the CPU; given device = {spec.device!r}; remove it'
        )
    return spec


def memory_batch_of(constraints: Mapping[str, Mapping[str, Any]]) -> int | None:
    """Return the batch size that memory is counted for; None if there is no constraint on it."""
    return int(constraints[MEMORY].get("batch", 1)) if MEMORY in constraints else None


def unbounded(constraints: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return how latency and memory are had, without bounds on them, and nothing of other constraints."""
    had = {name: dict(constraints[name]) for name in (LATENCY, MEMORY) if name in constraints}
    return {name: {"batch": 1} | {k: v for k, v in how.items() if k not in _BOUNDS} for name, how in had.items()}


def check_constraints(constraints: Any, numeric: Set[str]) -> None:
    """Check what is declared.

    Args:
        constraints: The table.
        numeric: Names of the declared parameters that are numbers.

    Raises:
        InvalidInputError: A name, key or value is wrong.
    """
    if not isinstance(constraints, Mapping):
        raise InvalidInputError(f"constraints must be a table; given {shown(constraints)}")
    known = (*COUNTED, LATENCY, MEMORY)
    valid = [*known, *sorted(numeric - set(known))]
    for key, bounds in constraints.items():
        if key not in valid:
            raise InvalidInputError(f"unknown key {f'constraints.{key}'!r}; {nearest(key, valid)}")
        if not isinstance(bounds, Mapping) or not bounds:
            raise InvalidInputError(f"constraints.{key} must be a table with min, max or both; given {shown(bounds)}")
        more = {LATENCY: tuple(LatencySpec.__dataclass_fields__), MEMORY: ("batch",)}.get(key, ())
        for bound, value in bounds.items():
            if bound not in (*_BOUNDS, *more):
                names = ", ".join((*_BOUNDS, *more))
                raise InvalidInputError(f"unknown key {f'constraints.{key}.{bound}'!r}; valid: {names}")
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if bound in _BOUNDS and not (is_number and is_finite(value)):
                raise InvalidInputError(f"constraints.{key}.{bound} must be a finite number; given {shown(value)}")
        if bounds.get("min", -math.inf) > bounds.get("max", math.inf):
            raise InvalidInputError(f"constraints.{key}: min must not be greater than max; given {shown(dict(bounds))}")
    latency_of(constraints)
    batch = constraints.get(MEMORY, {}).get("batch", 1)
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise InvalidInputError(f"constraints.{MEMORY}.batch must be a whole number from 1; given {shown(batch)}")
