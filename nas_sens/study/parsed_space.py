"""What a search space is declared by, checked and parsed: families with their parameters, and training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from optuna.distributions import CategoricalDistribution

from ..architectures import FAMILIES, ArchitectureSpec, families, family_of
from ..core.declarations import nearest, validate
from ..core.errors import InvalidInputError
from ..core.messages import shown
from .distributions import check_against, parse_parameter
from .lists import check_declared, corners, named_parts, parse_declared, part_names
from .together import TOGETHER, check_once, expanded, parse_together, tables_of
from .train_spec import SEARCHABLE, TrainSpec


def parse_families(declared: Any) -> dict[str, dict[str, Any]]:
    """Return families by name, each with its parameters as distributions, fixed values and lists.

    Raises:
        InvalidInputError: A family, key or value is wrong.
    """
    if not isinstance(declared, Mapping) or not declared:
        raise InvalidInputError(f"at least one family table is required; valid: {', '.join(families())}")
    parsed: dict[str, dict[str, Any]] = {}
    declared = {_family_name(key): parameters for key, parameters in declared.items()}
    for name in sorted(declared, key=str):  # so that what samplers see does not depend on the order of the declaration
        family, parameters = FAMILIES.get(name), declared[name]
        if not isinstance(parameters, Mapping):
            raise InvalidInputError(f"{name} must be a table of parameters; given {shown(parameters)}")
        valid = [f.name for f in fields(family) if f.init]
        parsed[name] = {}
        for key, value in sorted(parameters.items()):
            if key == TOGETHER:
                parsed[name][key] = parse_together(value, f"{name}.{key}", spec=family, valid=valid)
                continue
            if key not in valid:
                raise InvalidInputError(f"unknown key {f'{name}.{key}'!r}; {nearest(key, (*valid, TOGETHER))}")
            parsed[name][key] = parse_declared(value, f"{name}.{key}")
            check_declared(family, key, parsed[name][key], f"{name}.{key}")
        check_once(parsed[name], name)
        _check_combinations(family, parsed[name])
    return parsed


def _check_combinations(family: type[ArchitectureSpec], parameters: Mapping[str, Any]) -> None:
    """Check that values of different parameters go together: every bound and choice beside the first of the others.

    Raises:
        InvalidInputError: They do not, or the names of two parameters in a trial are the same.
    """
    sides = {k: corners(v) for k, v in parameters.items()}
    first = {k: side[0] for k, side in sides.items()}
    for example in [first, *({**first, k: v} for k, side in sides.items() for v in side[1:])]:
        validate(family, expanded(example), source="the space", where=family.family)
    names = [n for k, v in parameters.items() for n in part_names(k, v)]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise InvalidInputError(
            f"{family.family}.{twice[0]} is also the name of a place of a list; declare one of them"
        )


def _family_name(key: Any) -> Any:
    """Return the name of a family that is given by its name, as a function or as a class; functions are registered."""
    if isinstance(key, type) and issubclass(key, ArchitectureSpec):
        return key.family
    if not callable(key):
        return key
    family = family_of(key)
    FAMILIES.register(family)
    return family.family


def parse_training(declared: Any) -> dict[str, Any]:
    """Return keys of ``[train]`` that are searched as distributions and fixed values.

    Raises:
        InvalidInputError: A key or value is wrong.
    """
    if not isinstance(declared, Mapping):
        raise InvalidInputError(f"training must be a table of keys of [train]; given {shown(declared)}")
    parsed: dict[str, Any] = {}
    for key, value in sorted(declared.items()):
        if key == TOGETHER:
            parsed[key] = parse_together(value, f"training.{key}")
            continue
        if key not in SEARCHABLE:
            raise InvalidInputError(f"unknown key {f'training.{key}'!r}; {nearest(key, (*SEARCHABLE, TOGETHER))}")
        parsed[key] = parse_parameter(value, f"training.{key}")
        check_against(TrainSpec, key, parsed[key], f"training.{key}")
    check_once(parsed, "training")
    return parsed


def _some_value(parameter: Any) -> list[Any]:
    if isinstance(parameter, CategoricalDistribution):
        return list(parameter.choices)
    return [getattr(parameter, "low", parameter)]


def numeric_names(parsed: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Return the names of parameters, and of places of lists, that are numbers."""
    declared = {n for p in parsed.values() for k, v in p.items() for n, part in named_parts(k, v) if _is_numeric(part)}
    tables = [tables_of(p) for p in parsed.values() if TOGETHER in p]
    return declared | {k for choices in tables for k in choices[0] if all(_is_numeric(t[k]) for t in choices)}


def _is_numeric(parameter: Any) -> bool:
    return all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in _some_value(parameter))
