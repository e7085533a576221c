"""Whether a trial's attributes are what nas_sens writes: others can alter a database, and disks do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from typing import Any

from ..core.boundary import reading
from ..core.errors import StorageError
from ..core.messages import shown

_ADVICE = "somebody altered it; restore the database, or begin a study in another one"
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
_LATER = ("task", "input_shape", "n_outputs", "n_threads", "artifacts", "table_fingerprint", "score_inputs")
_SECTIONS = ("search_space", "data", "score", "search", "select", "train")
_NUMBER = (float, int, type(None))
_NUMBERS = ("measures",)  # tables of numbers
_LISTS = ("curves", "measure_curves")  # tables of lists of numbers
_sound: set[tuple[Any, ...]] = set()  # classes with names and types of attributes that were looked at


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
        _sound.add(signature)
    text = attributes["architecture"]
    if not (text.startswith("{") and text.endswith("}") and '"family":"' in text):
        raise StorageError(f"architecture of trial {number} must be JSON text; found {shown(text)}; {_ADVICE}")
    for name in _NUMBERS:
        for value in (attributes.get(name) or {}).values():
            if type(value) not in _NUMBER:
                raise StorageError(f"{name} of trial {number} must be numbers; found {shown(value)}; {_ADVICE}")
    for name in _LISTS:
        for values in (attributes.get(name) or {}).values():
            if type(values) is not list or any(type(v) not in _NUMBER for v in values):
                raise StorageError(
                    f"{name} of trial {number} must be lists of numbers; found {shown(values)}; {_ADVICE}"
                )


def check_study(name: str, attributes: Mapping[str, Any]) -> None:
    """Check that the attributes of a study itself are those that nas_sens writes.

    Raises:
        StorageError: One is missing, or is not of its type.
    """
    for key, kinds in _OF_STUDY.items():
        if key in attributes and type(attributes[key]) in kinds:
            continue
        if key in attributes or key not in _LATER:  # which older studies lack
            found = shown(attributes[key]) if key in attributes else "none"
            wanted = " or ".join(t.__name__ for t in kinds)
            raise StorageError(f"{key} of study {shown(name)} must be a {wanted}; found {found}; {_ADVICE}")
    with reading(f"the declaration of study {shown(name)} cannot be read", advice=_ADVICE, kind=StorageError):
        declared = json.loads(attributes["study"])
    sections = [declared.get(key) for key in _SECTIONS] if isinstance(declared, dict) else [None]
    if not all(isinstance(section, dict) for section in sections):
        raise StorageError(f"the declaration of study {shown(name)} lacks one of {', '.join(_SECTIONS)}; {_ADVICE}")


def check_record(key: str, values: Any) -> None:
    """Check that an attribute holds the arrays of a recording, by field.

    Raises:
        StorageError: It holds something else.
    """
    if not isinstance(values, dict) or not key.rpartition(":")[2].isdecimal():
        raise StorageError(f"the attribute {shown(key)} must be a table of arrays; found {shown(values)}; {_ADVICE}")


def _check(cls: type, number: int, attributes: Mapping[str, Any]) -> None:
    types, required = _declared(cls)
    for name in required:
        if name not in attributes:
            raise StorageError(f"trial {number} has no {name}, which nas_sens writes; {_ADVICE}")
    for name, value in attributes.items():
        if name in types and type(value) not in types[name]:
            wanted = " or ".join(t.__name__ for t in types[name])
            raise StorageError(f"{name} of trial {number} must be a {wanted}; found {shown(value)}; {_ADVICE}")


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
