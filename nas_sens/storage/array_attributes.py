"""Records of trained networks as attributes of a trial: one for each record and epoch, so that none gets too long.

MySQL's column takes 65,535 bytes; 2,000 numbers of six digits are some 25,000.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .attribute_types import check_record

_PREFIX = "record"


def to_attributes(records: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> dict[str, Any]:
    """Return records, by name, epoch and field, as attributes such as ``record:points:60``."""
    return {f"{_PREFIX}:{name}:{epoch}": dict(f) for name, epochs in records.items() for epoch, f in epochs.items()}


def from_attributes(attributes: Mapping[str, Any]) -> dict[str, dict[int, dict[str, Any]]]:
    """Return the records among a trial's attributes; epochs in order, lists as tuples."""
    found: list[tuple[str, int, dict[str, Any]]] = []
    for key, fields in attributes.items():
        prefix, _, rest = key.partition(":")
        name, _, epoch = rest.rpartition(":")
        if prefix == _PREFIX and name:
            check_record(key, fields)
            found.append((name, int(epoch), {field: _tuples(values) for field, values in fields.items()}))
    records: dict[str, dict[int, dict[str, Any]]] = {}
    for name, number, arrays in sorted(found, key=lambda item: item[:2]):
        records.setdefault(name, {})[number] = arrays
    return records


def _tuples(values: Any) -> Any:
    return tuple(map(_tuples, values)) if isinstance(values, list) else values
