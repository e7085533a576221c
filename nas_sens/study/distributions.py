"""Declared parameters of a search space as Optuna distributions, with errors that name the key."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, get_type_hints

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import ConfigDict, TypeAdapter, ValidationError

from ..core.declarations import nearest
from ..core.errors import InvalidInputError
from ..core.messages import shown

FAMILY = "family"  # the trial parameter that chooses a family in a union of several
TRAINING = "training."  # how the trial parameters begin that are no part of the architecture

_NUMERIC_KEYS = ("type", "low", "high", "log", "step")
_KEYS = {"int": _NUMERIC_KEYS, "float": _NUMERIC_KEYS, "categorical": ("type", "choices")}
_STEPS = 1e15  # that floats can tell from each other
KINDS = tuple(_KEYS)
_SCALARS = (bool, int, float, str)


def parse_parameter(declared: Any, key: str) -> BaseDistribution | bool | int | float | str:
    """Return the distribution, or the fixed value, that a parameter is declared by.

    Args:
        declared: A plain value (fixed), a list (categorical choices), a table in Optuna's short form, such as
            ``{type = "int", low = 1, high = 6}``, or an Optuna distribution.
        key: Where it stands, for error messages.

    Raises:
        InvalidInputError: It is none of these, or its range is empty or contradictory.
    """
    if isinstance(declared, (BaseDistribution, *_SCALARS)):
        return declared
    if isinstance(declared, (list, tuple)):
        declared = {"type": "categorical", "choices": list(declared)}
    if not isinstance(declared, Mapping):
        raise InvalidInputError(f"{key} must be a value, a list of choices or a distribution; given {shown(declared)}")
    kind = declared.get("type")
    if not isinstance(kind, str) or kind not in _KEYS:
        given = "no type" if kind is None else f"type {shown(kind)}"
        raise InvalidInputError(f"{key}.type must be 'int', 'float' or 'categorical'; given {given}")
    for name in declared:
        if name not in _KEYS[kind]:
            raise InvalidInputError(f"unknown key {f'{key}.{name}'!r}; {nearest(name, _KEYS[kind])}")
    if kind == "categorical":
        return _categorical(declared.get("choices"), key)
    return _numeric(kind, declared, key)


def _categorical(choices: Any, key: str) -> CategoricalDistribution:
    if not isinstance(choices, (list, tuple)) or not choices:
        raise InvalidInputError(f"{key}.choices must be a list of at least one value; given {shown(choices)}")
    if any(not isinstance(c, _SCALARS) for c in choices):
        raise InvalidInputError(f"{key}.choices must be booleans, numbers or strings; given {shown(list(choices))}")
    kinds = {"number" if isinstance(c, (int, float)) and not isinstance(c, bool) else type(c).__name__ for c in choices}
    if len(kinds) > 1:
        raise InvalidInputError(f"{key}.choices must all be of one type; given {shown(list(choices))}")
    if len(set(choices)) < len(choices):
        raise InvalidInputError(f"{key}.choices must differ from each other; given {shown(list(choices))}")
    return CategoricalDistribution(list(choices))


def _numeric(kind: str, declared: Mapping[str, Any], key: str) -> IntDistribution | FloatDistribution:
    types = (int,) if kind == "int" else (int, float)
    for name in ("low", "high", "step"):
        value = declared.get(name)
        if value is None and name != "step":
            raise InvalidInputError(f"the key '{key}.{name}' is required but missing")
        if value is not None and (isinstance(value, bool) or not isinstance(value, types) or not is_finite(value)):
            raise InvalidInputError(f"{key}.{name} must be a finite {kind}; given {shown(value)}")
    low, high, log, step = declared["low"], declared["high"], declared.get("log", False), declared.get("step")
    if not isinstance(log, bool):
        raise InvalidInputError(f"{key}.log must be true or false; given {shown(log)}")
    if low > high:
        raise InvalidInputError(
            f"{key}: low must not be greater than high; given low = {shown(low)}, high = {shown(high)}"
        )
    if log and low <= 0:
        raise InvalidInputError(f"{key}: log needs a low above 0; given low = {shown(low)}")
    if step is not None and step <= 0:
        raise InvalidInputError(f"{key}.step must be greater than 0; given {shown(step)}")
    if not is_finite(high - low) or (step is not None and not is_finite(float(high - low) / step)):
        raise InvalidInputError(
            f"{key}: too wide a range for a float; given low = {shown(low)}, high = {shown(high)}, step = {shown(step)}"
        )
    if step is not None and (high - low) / step > _STEPS:
        raise InvalidInputError(f"{key}.step must be larger, for at most {_STEPS:.0e} steps; given {shown(step)}")
    if log and step is not None and not (kind == "int" and step == 1):
        raise InvalidInputError(f"{key}: log and step cannot be combined; drop one of them")
    if step is not None and not math.isclose(round((high - low) / step) * step, high - low):
        raise InvalidInputError(
            f"{key}: high - low must be a multiple of step; given {shown(low)}, {shown(high)}, {shown(step)}"
        )
    if kind == "int":
        return IntDistribution(low, high, log=log, step=step or 1)
    return FloatDistribution(*_on_grid(low, high, step), log=log, step=step)


def is_finite(value: float) -> bool:
    """Return whether a float holds a number; Python's integers may be larger."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _on_grid(low: float, high: float, step: float | None) -> tuple[float, float]:
    """Return bounds between which Optuna, which counts steps in decimals, finds all of them.

    Bounds that were computed in floats may lie beside the decimal number that is meant, such as 0.1 * 3: Optuna would
    leave the last value out.
    """
    decimals = [Decimal(str(value)) for value in (low, high, step or 1)]
    if step is None or (decimals[1] - decimals[0]) % decimals[2] == 0:
        return low, high
    first = Decimal(f"{low:.12g}")
    return float(first), float(first + round((high - low) / step) * decimals[2])


def check_against(spec: type, parameter: str, declared: Any, key: str) -> None:
    """Check that a spec's field accepts the fixed value, both bounds or every choice.

    Raises:
        InvalidInputError: It does not.
    """
    for value in extremes(declared):
        try:
            _adapter(spec, parameter).validate_python(value)
        except ValidationError as error:
            message = error.errors(include_url=False)[0]["msg"].removeprefix("Input should be ")
            raise InvalidInputError(f"{key} must be {message}; given {shown(value)}") from error


@functools.lru_cache(maxsize=1024)
def _adapter(spec: type, parameter: str) -> TypeAdapter[Any]:
    hint = get_type_hints(spec, include_extras=True)[parameter]
    return TypeAdapter(hint, config=ConfigDict(strict=True, allow_inf_nan=False))


def extremes(declared: Any) -> list[Any]:
    """Return a fixed value, both bounds or every choice."""
    if isinstance(declared, CategoricalDistribution):
        return list(declared.choices)
    if isinstance(declared, (IntDistribution, FloatDistribution)):
        return [declared.low, declared.high]
    return [declared]


def to_declared(parameter: Any) -> Any:
    """Return the shortest declaration of a parameter: JSON-like, without defaults (the inverse of parse_parameter)."""
    if isinstance(parameter, CategoricalDistribution):
        return {"type": "categorical", "choices": list(parameter.choices)}
    if isinstance(parameter, (IntDistribution, FloatDistribution)):
        kind = "int" if isinstance(parameter, IntDistribution) else "float"
        table: dict[str, Any] = {"type": kind, "low": parameter.low, "high": parameter.high}
        if parameter.log:
            table["log"] = True
        elif parameter.step is not None and not (kind == "int" and parameter.step == 1):
            table["step"] = parameter.step
        return table
    return parameter


def n_values(distribution: BaseDistribution) -> int | None:
    """Return how many values a distribution can take; None if infinitely many."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    if distribution.single():
        return 1
    if distribution.step is None or (isinstance(distribution, FloatDistribution) and distribution.log):
        return None
    return round((distribution.high - distribution.low) / distribution.step) + 1


def iterate_values(distribution: BaseDistribution) -> Iterator[Any]:
    """Yield every value of a finite distribution, in order."""
    if isinstance(distribution, CategoricalDistribution):
        yield from distribution.choices
        return
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    step = 1 if distribution.step is None else distribution.step
    n = n_values(distribution) or 0
    for i in range(n):  # the last one as it is declared: 0.1 + 2 * 0.1 is above 0.3, and -0.3 + 29 * 0.3 below 8.4
        value = distribution.low + i * step
        yield distribution.high if i == n - 1 and math.isclose(value, distribution.high) else value
