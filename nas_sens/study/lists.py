"""Parameters that are lists of fixed length, such as the blocks of every stage; each place is declared by itself.

In Optuna's words a plain list is a choice among its values, and stays so. A list as a value is a table:

    depths = { type = "list", length = 3, of = { type = "int", low = 1, high = 3 } }   # three parameters of one kind
    width = { type = "list", items = [500, 300, 100] }                                 # exactly these
    widths = { type = "list", items = [16, [32, 48], { type = "int", low = 32, high = 64 }] }

In a trial the places are parameters of their own, ``depths_0``, ``depths_1`` and so on, as far as they are searched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution

from ..core.declarations import nearest
from ..core.errors import InvalidInputError
from ..core.messages import shown
from .distributions import KINDS, check_against, extremes, parse_parameter, to_declared

LIST = "list"
_KEYS = ("type", "items", "length", "of")
_LONGEST = 1_000  # places


@dataclass(frozen=True)
class ListOf:
    """A list as the value of a parameter, its places declared one by one: ``ListOf([Int(1, 3), Choice([4, 8]), 64])``.

    Args:
        items: Of every place its distribution, or a fixed value.
    """

    items: Sequence[Any]


def parse_declared(declared: Any, key: str) -> Any:
    """Return the distribution, fixed value or :class:`ListOf` that a parameter of an architecture is declared by.

    Args:
        declared: What :func:`~nas_sens.study.distributions.parse_parameter` takes, or a list as above.
        key: Where it stands, for error messages.

    Raises:
        InvalidInputError: It is none of these.
    """
    if isinstance(declared, ListOf):
        declared = {"type": LIST, "items": declared.items}
    if isinstance(declared, (list, tuple)):
        _check_choices(declared, key)
    kind = declared.get("type") if isinstance(declared, Mapping) else None
    if kind != LIST:
        if isinstance(declared, Mapping) and kind not in KINDS:
            given = "no type" if kind is None else f"type {shown(kind)}"
            raise InvalidInputError(f"{key}.type must be {', '.join(map(repr, KINDS))} or '{LIST}'; given {given}")
        return parse_parameter(declared, key)
    for name in declared:
        if name not in _KEYS:
            raise InvalidInputError(f"unknown key {f'{key}.{name}'!r}; {nearest(name, _KEYS)}")
    if ("items" in declared) == ("of" in declared or "length" in declared):
        raise InvalidInputError(f"{key} must have items, or length and of; given {shown(dict(declared))}")
    items = declared["items"] if "items" in declared else _repeated(declared, key)
    if not isinstance(items, (list, tuple)) or not 1 <= len(items) <= _LONGEST:
        raise InvalidInputError(f"{key}.items must be a list of 1 to {_LONGEST:,} values; given {shown(items)}")
    return ListOf(tuple(parse_parameter(item, f"{key}.items.{i}") for i, item in enumerate(items)))


def _check_choices(declared: Sequence[Any], key: str) -> None:
    """Check that a plain list is not one that was meant as the value.

    Raises:
        InvalidInputError: It has a list in it, or a value twice.
    """
    is_nested = any(isinstance(d, (list, tuple)) for d in declared)
    if is_nested or len({repr(d) for d in declared}) < len(declared):
        must = "be booleans, numbers or strings" if is_nested else "differ from each other"
        raise InvalidInputError(
            f'{key}.choices must {must}; a list as the value is declared as {{ type = "list", items = […] }}; given '
            f"{shown(declared)}"
        )


def _repeated(declared: Mapping[str, Any], key: str) -> list[Any]:
    """Return the items of a list that is declared by its length.

    Raises:
        InvalidInputError: The length or what it is of is missing or wrong.
    """
    for name in ("length", "of"):
        if name not in declared:
            raise InvalidInputError(f"the key '{key}.{name}' is required but missing")
    n = declared["length"]
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= _LONGEST:
        raise InvalidInputError(f"{key}.length must be a whole number from 1 to {_LONGEST:,}; given {shown(n)}")
    parse_parameter(declared["of"], f"{key}.of")  # so that messages name what stands there
    return [declared["of"]] * n


def declared_form(parameter: Any) -> Any:
    """Return the shortest declaration of a parameter (the inverse of :func:`parse_declared`)."""
    if isinstance(parameter, ListOf):
        return {"type": LIST, "items": [to_declared(item) for item in parameter.items]}
    return to_declared(parameter)


def named_distributions(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, BaseDistribution]:
    """Return the distributions among parameters by their names in a trial; a list has one a place."""
    named = ((f"{prefix}{name}", part) for key, value in parameters.items() for name, part in named_parts(key, value))
    return {name: part for name, part in named if isinstance(part, BaseDistribution)}


def value_in(params: Mapping[str, Any], key: str, parameter: Any, prefix: str = "") -> Any:
    """Return the value that a trial's parameters give a parameter; fixed values are filled in."""
    found = [
        params[f"{prefix}{name}"] if isinstance(part, BaseDistribution) else part
        for name, part in named_parts(key, parameter)
    ]
    return found if isinstance(parameter, ListOf) else found[0]


def part_names(key: str, parameter: Any) -> list[str]:
    """Return the names of a parameter: its own, and those of the places of a list."""
    return [key, *(name for name, _ in named_parts(key, parameter))] if isinstance(parameter, ListOf) else [key]


def check_declared(spec: type, parameter: str, declared: Any, key: str) -> None:
    """Check that a spec's field accepts what is declared, of a list at every place.

    Raises:
        InvalidInputError: It does not.
    """
    if not isinstance(declared, ListOf):
        check_against(spec, parameter, declared, key)
        return
    for example in corners(declared):
        check_against(spec, parameter, example, key)


def corners(parameter: Any) -> list[Any]:
    """Return examples of a parameter's values in which every bound and choice comes up."""
    if not isinstance(parameter, ListOf):
        return extremes(parameter)
    sides = [extremes(item) for item in parameter.items]
    first = [side[0] for side in sides]
    return [first] + [[*first[:i], v, *first[i + 1 :]] for i, side in enumerate(sides) for v in side[1:]]


def named_parts(key: str, parameter: Any) -> Iterator[tuple[str, Any]]:
    """Yield a parameter, or the places of a list, by their names in a trial."""
    if isinstance(parameter, ListOf):
        yield from ((f"{key}_{i}", item) for i, item in enumerate(parameter.items))
    else:
        yield key, parameter
