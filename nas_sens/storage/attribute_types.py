"""Whether a trial's attributes are what nas_sens writes: others can alter a database, and disks do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from typing import Any

from ..core.boundary import reading
from ..core.candidates import STATUS_OK, ScoredCandidate
from ..core.errors import StorageError
from ..core.messages import shown

ADVICE = "somebody altered it; restore the database, or begin a study in another one"
# By the words that annotations are made of, as JSON reads them.
_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
    "Mapping": (dict,),
    "tuple": (list,),
    "None": (type(None),),
}
_OF_STUDY: dict[str, tuple[type, ...]] = {
    "study": (str,),
    "objective": (str,),
    "data_fingerprint": (str,),
    "space_digest": (str,),
    "task": (str,),
    "input_shape": (list,),
    "n_outputs": (int,),
    "n_threads": (int,),
    "artifacts": (str, type(None)),
    "table_fingerprint": (str,),
    "score_inputs": (str,),
}
_SECTIONS = ("search_space", "data", "score", "search", "select", "train")
_NUMBER = (float, int, type(None))
_LARGEST = 10**300  # of whole numbers, which are computed with as floats
_NUMBERS = ("measures",)  # tables of numbers
_TEXTS = ("digest", "architecture", "status", "estimator", "reason", "chosen_by")
_LISTS = ("curves", "measure_curves")  # tables of lists of numbers
# Classes with names and types of attributes that were looked at, to the names of whole numbers.
_sound: dict[tuple[Any, ...], tuple[str, ...]] = {}


def check_attributes(cls: type, number: int, attributes: Mapping[str, Any]) -> None:
    """Check that attributes are those of a record.

    Args:
        cls: The class of the record.
        number: Number of the trial.
        attributes: Its user attributes.

    Raises:
        StorageError: One is missing, or is not of its type.
    """
    # Nearly all trials of a study have the same names and types: a million are looked at in a second.
    signature = (cls, tuple(attributes), tuple(map(type, attributes.values())))
    if signature not in _sound:
        _check(cls, number, attributes)
        _sound[signature] = tuple(k for k, v in attributes.items() if type(v) is int)
    for name in _sound[signature]:
        if not -_LARGEST < attributes[name] < _LARGEST:
            raise StorageError(f"{name} of trial {number} is too large: {shown(attributes[name])}; {ADVICE}")
    if cls is ScoredCandidate and attributes.get("status", STATUS_OK) == STATUS_OK and attributes.get("feasible", True):
        for name in ("log10_sensitivity", "params", "flops"):
            if attributes.get(name) is None:
                raise StorageError(f"trial {number} has no {name}, which nas_sens writes; {ADVICE}")
    for name in _TEXTS:
        value = attributes.get(name) or ""
        if not value.isascii() and value.encode("utf-8", "replace").decode() != value:  # half of a surrogate
            raise StorageError(f"{name} of trial {number} must be text; found {shown(value)}; {ADVICE}")
    text = attributes["architecture"]
    if not (text.startswith("{") and text.endswith("}") and '"family":"' in text):
        raise StorageError(f"architecture of trial {number} must be JSON text; found {shown(text)}; {ADVICE}")
    for name in _NUMBERS:
        for value in (attributes.get(name) or {}).values():
            if type(value) is not float and not _is_number(value):
                raise StorageError(f"{name} of trial {number} must be numbers; found {shown(value)}; {ADVICE}")
    for name in _LISTS:
        for values in (attributes.get(name) or {}).values():
            if type(values) is not list or any(type(v) is not float and not _is_number(v) for v in values):
                raise StorageError(
                    f"{name} of trial {number} must be lists of numbers; found {shown(values)}; {ADVICE}"
                )


def check_study(name: str, attributes: Mapping[str, Any]) -> None:
    """Check that the attributes of a study itself are of the types that nas_sens writes.

    Raises:
        StorageError: One is not.
    """
    for key, kinds in _OF_STUDY.items():
        if key in attributes and type(attributes[key]) not in kinds:
            wanted = " or ".join(t.__name__ for t in kinds)
            found = shown(attributes[key])
            raise StorageError(f"{key} of study {shown(name)} must be a {wanted}; found {found}; {ADVICE}")
    if "study" in attributes:
        declared_in(name, attributes)


def of_study(name: str, attributes: Mapping[str, Any], key: str) -> Any:
    """Return an attribute of a study.

    Raises:
        StorageError: It has none of that name.
    """
    if key not in attributes:
        raise StorageError(f"the study {shown(name)} has no {key}, which nas_sens writes; {ADVICE}")
    return attributes[key]


def declared_in(name: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a study was declared by, JSON-like.

    Raises:
        StorageError: It is lost, or is no declaration.
    """
    with reading(f"the declaration of study {shown(name)} cannot be read", advice=ADVICE, kind=StorageError):
        declared = json.loads(of_study(name, attributes, "study"))
    if not isinstance(declared, dict) or not all(isinstance(declared.get(key, {}), dict) for key in _SECTIONS):
        raise StorageError(f"the declaration of study {shown(name)} must be tables; found {shown(declared)}; {ADVICE}")
    return declared


def check_record(key: str, values: Any) -> None:
    """Check that an attribute holds the arrays of a recording, by field.

    Raises:
        StorageError: It holds something else.
    """
    if not isinstance(values, dict) or not key.rpartition(":")[2].isdecimal():
        raise StorageError(f"the attribute {shown(key)} must be a table of arrays; found {shown(values)}; {ADVICE}")


def _is_number(value: Any) -> bool:
    return type(value) in _NUMBER and (type(value) is not int or -_LARGEST < value < _LARGEST)


def _check(cls: type, number: int, attributes: Mapping[str, Any]) -> None:
    types, required = _declared(cls)
    for name in required:
        if name not in attributes:
            raise StorageError(f"trial {number} has no {name}, which nas_sens writes; {ADVICE}")
    for name, value in attributes.items():
        if name in types and type(value) not in types[name]:
            wanted = " or ".join(t.__name__ for t in types[name])
            raise StorageError(f"{name} of trial {number} must be a {wanted}; found {shown(value)}; {ADVICE}")


@cache
def _declared(cls: type) -> tuple[dict[str, tuple[type, ...]], tuple[str, ...]]:
    """Return the types that each field of a record may have, and the fields that it must have."""
    types = {}
    for f in fields(cls):
        words = [part.strip().partition("[")[0] for part in str(f.type).split(" | ")] if "[" not in str(f.type) else []
        words = words or [str(f.type).partition("[")[0]]
        types[f.name] = tuple(t for word in words for t in _TYPES[word])
    needed = (f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING)
    return types, tuple(needed)
