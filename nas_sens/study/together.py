"""Keys that are chosen together: of ``[train]``, such as an optimizer with its batch size, or of one family.

A choice is one parameter of a trial, called ``together``; what it chose is expanded before anything is built.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from optuna.distributions import CategoricalDistribution

from ..core.declarations import nearest
from ..core.errors import InvalidInputError
from ..core.identity import canonical_json
from ..core.messages import shown
from .distributions import check_against, parse_parameter
from .train_spec import SEARCHABLE, TrainSpec

TOGETHER = "together"


def parse_together(
    declared: Any, key: str, *, spec: type = TrainSpec, valid: Collection[str] = SEARCHABLE
) -> CategoricalDistribution:
    """Return the distribution of a choice among tables; its choices are the tables as canonical JSON texts.

    Args:
        declared: A list of tables of the same keys and plain values, or what this function returned, also as it is
            stored.
        key: Where it stands, for error messages.
        spec: The class whose keys they are.
        valid: Those of its keys that may be searched.

    Raises:
        InvalidInputError: It is none of these, or a key or value is wrong.
    """
    if isinstance(declared, CategoricalDistribution):
        declared = declared.choices
    if isinstance(declared, Mapping) and declared.get("type") == "categorical":
        declared = declared.get("choices")
    tables = [_table(d) for d in declared] if isinstance(declared, (list, tuple)) else []
    if len(tables) < 2 or any(t is None or not t or t.keys() != (tables[0] or {}).keys() for t in tables):
        raise InvalidInputError(
            f"{key} must be a list of at least two tables with the same keys; given {shown(declared)}"
        )
    for table in tables:
        for name, value in (table or {}).items():
            if name not in valid:
                raise InvalidInputError(f"unknown key {f'{key}.{name}'!r}; {nearest(name, valid)}")
            if not isinstance(value, (bool, int, float, str)) and (spec is TrainSpec or not isinstance(value, list)):
                raise InvalidInputError(f"{key}.{name} must be a plain value; given {shown(value)}")
            check_against(spec, name, value, f"{key}.{name}")
    choices = parse_parameter([canonical_json(t) for t in tables], key)
    assert isinstance(choices, CategoricalDistribution)
    return choices


def _table(declared: Any) -> Mapping[str, Any] | None:
    if isinstance(declared, str):
        try:
            declared = json.loads(declared)
        except ValueError:
            return None
    return declared if isinstance(declared, Mapping) else None


def expanded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of keys with those that were chosen together put in the place of their choice."""
    return {k: v for k, v in values.items() if k != TOGETHER} | json.loads(values.get(TOGETHER, "{}"))


def tables_of(parsed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tables that a parsed declaration chooses among; none where nothing is chosen together."""
    return [json.loads(text) for text in parsed[TOGETHER].choices] if TOGETHER in parsed else []


def names_of(training: Mapping[str, Any]) -> list[str]:
    """Return the names of all keys of ``[train]`` that a parsed table searches, in order."""
    first = training[TOGETHER].choices[0] if TOGETHER in training else "{}"
    return sorted(expanded({**training, TOGETHER: first}))


def check_once(parsed: Mapping[str, Any], key: str) -> None:
    """Check that no key stands both in the tables and beside them.

    Raises:
        InvalidInputError: One does.
    """
    first = next(iter(tables_of(parsed)), {})
    if twice := sorted({*parsed} & {*first}):
        raise InvalidInputError(f"{key}.{twice[0]} must not stand beside {key}.together, which has it; remove one")
