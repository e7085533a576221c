"""The full size of a study: what its table ``[full]`` puts in the place of what stands outside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.declarations import nearest
from ..core.errors import InvalidInputError
from ..core.messages import shown

SECTIONS = ("data", "score", "search", "select", "train")
KEYS = ("name", "description", "search_space", *SECTIONS)


def full_table(table: Mapping[str, Any], full: Any, *, source: str) -> dict[str, Any]:
    """Return the study's table at its full size, named ``NAME-full`` unless it says otherwise.

    Args:
        table: The study as declared, with its name and without ``[full]``.
        full: The contents of ``[full]``: tables replace single keys, all else replaces a value.
        source: What is being read, for error messages.

    Raises:
        InvalidInputError: ``full`` is no table, or has a key that does not belong there.
    """
    if not isinstance(full, Mapping):
        raise InvalidInputError(f"{source}: full must be a table of keys and values; given {shown(full)}")
    result: dict[str, Any] = {**table, "name": f"{table['name']}-full"}
    for key, value in full.items():
        if key not in KEYS:
            raise InvalidInputError(f"{source}: unknown key {f'full.{key}'!r}; {nearest(key, KEYS)}")
        before = table.get(key, {})
        if key in SECTIONS and not isinstance(value, Mapping):
            raise InvalidInputError(f"{source}: full.{key} must be a table of keys and values; given {shown(value)}")
        result[key] = {**before, **value} if key in SECTIONS else value
    return result
