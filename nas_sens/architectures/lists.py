"""Types of parameters that are one value for all layers or stages, or a list with a value for each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PlainValidator, TypeAdapter, ValidationError
from pydantic_core import ArgsKwargs, PydanticCustomError

_STRICT = ConfigDict(strict=True, allow_inf_nan=False)
_COUNT = Annotated[int, Field(ge=1)]
_LAYERS = Annotated[int, Field(ge=1, le=10_000)]
# A plain list in a space is a choice among its values, each of which comes here.
_LIST = 'a list with a value for every stage, which a space declares as { type = "list", items = […] }'
_FACTOR = Annotated[float, Field(gt=0, le=1_000)]


@lru_cache(maxsize=64)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind, config=_STRICT)


def _one(kind: Any, value: Any) -> Any:
    try:
        return _adapter(kind).validate_python(value)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]["msg"].removeprefix("Input should be ")
        raise PydanticCustomError("one", "Input should be {problem}", {"problem": problem}) from error


def _all(kind: Any, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)) or not value:
        raise PydanticCustomError("list", "Input should be {what}", {"what": _LIST})
    return tuple(_one(kind, v) for v in value)


def _one_or_all(kind: Any, value: Any) -> Any:
    return _all(kind, value) if isinstance(value, (list, tuple)) else _one(kind, value)


OneOrMoreCounts = Annotated[int | tuple[int, ...], PlainValidator(partial(_one_or_all, _COUNT))]
OneOrMoreLayers = Annotated[int | tuple[int, ...], PlainValidator(partial(_one_or_all, _LAYERS))]
OneOrMoreFactors = Annotated[float | tuple[float, ...], PlainValidator(partial(_one_or_all, _FACTOR))]
Counts = Annotated[tuple[int, ...], PlainValidator(partial(_all, _COUNT))]
StageDepths = Annotated[tuple[int, ...], PlainValidator(partial(_all, _LAYERS))]


def _bias(value: Any) -> Any:
    if value == "first" or isinstance(value, bool):
        return value
    raise PydanticCustomError("bias", "Input should be true, false or 'first'")


Bias = Annotated[bool | Literal["first"], PlainValidator(_bias)]


def with_length(given: Any, count: str, listed: str) -> Any:
    """Return the arguments of a spec with a number that is not given taken from the length of a list.

    Args:
        given: What pydantic is about to validate.
        count: Name of the number, such as ``depth``.
        listed: Name of the parameter that may be a list, such as ``width``.
    """
    if not isinstance(given, ArgsKwargs):
        return given
    keywords = given.kwargs or {}
    if count in keywords or not isinstance(found := keywords.get(listed), (list, tuple)):
        return given
    return ArgsKwargs(given.args, {**keywords, count: len(found)})


def check_length(values: Any, n: int, name: str, of: str) -> None:
    """Check that a parameter is one value, or a list with as many as it must have.

    Raises:
        ValueError: It has another number of values.
    """
    if isinstance(values, tuple) and len(values) != n:
        raise ValueError(f"needs as many values of {name} as {of}, {n}; given {len(values)}: {list(values)}")


def for_each(values: int | float | Sequence[Any], n: int) -> list[Any]:
    """Return a value for each of ``n``: the list itself, or the one value as often."""
    return list(values) if isinstance(values, (list, tuple)) else [values] * n
