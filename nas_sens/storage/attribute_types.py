"""Whether a trial's attributes are what nas_sens writes: others can alter a database, and disks do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from operator import itemgetter
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
OWN_DRAWS = "layers_drawn_by_networks"  # of a study: kinds of layers that no scheme has a rule for
LATENCIES = "latencies"  # of a study: what was measured of networks, and what it is made of
LAST_RUN = "last_run"  # of a study: when and where it was trained, and what its best network is made of
PROSPECTS = "prospects"  # of a study: what further trainings are expected to gain, and after how many
_OF_STUDY: dict[str, tuple[type, ...]] = {
    "study": (str,),
    "objective": (str,),
    "data_fingerprint": (str,),
    "data_content": (str,),
    "space_digest": (str,),
    "task": (str,),
    "input_shape": (list, dict),
    "n_outputs": (int,),
    "n_threads": (int,),
    "artifacts": (str, type(None)),
    "table_fingerprint": (str,),
    "score_inputs": (str,),
    PROSPECTS: (dict,),
    LAST_RUN: (dict,),
    LATENCIES: (dict,),
    "score_weights": (str,),
}
_EXPECTED = ("n_trained", "next_one", "next_ten")
_SECTIONS = ("search_space", "data", "score", "search", "select", "train")
_NUMBER = (float, int, type(None))
_LARGEST = 10**300  # of whole numbers, which are computed with as floats
_NUMBERS = ("measures", "figures", "figure_sds")  # tables of numbers
_TEXTS = ("digest", "architecture", "status", "estimator", "reason", "chosen_by")
_LISTS = ("curves", "measure_curves")  # tables of lists of numbers
_MEASURED = ("log10_sensitivity", "params", "flops")  # of a candidate that may be trained


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
    known = _known.get(signature)
    if type(number) is not int:  # SQLite keeps whatever is written into a column
        raise StorageError(f"the number of a trial must be a whole number; found {shown(number)}; {ADVICE}")
    if known is None:
        _check(cls, number, attributes)
        known = _known[signature] = _Known.of(cls, attributes)
    if known.lacks and attributes.get("status", STATUS_OK) == STATUS_OK and attributes.get("feasible", True):
        raise StorageError(f"trial {number} has no {known.lacks}, which nas_sens writes; {ADVICE}")
    for name, low in known.whole:
        if not low <= attributes[name] <= _LARGEST:
            bounds = "a number of at most 300 digits" + ("" if low else ", 0 or more")
            raise StorageError(f"{name} of trial {number} must be {bounds}; found {shown(attributes[name])}; {ADVICE}")
    if not "".join(known.texts(attributes)).isascii():
        _check_texts(number, attributes)
    text = attributes["architecture"]
    if not (text.startswith("{") and text.endswith("}") and '"family":"' in text):
        raise StorageError(f"architecture of trial {number} must be JSON text; found {shown(text)}; {ADVICE}")
    for name in known.numbers:
        for value in attributes[name].values():
            if type(value) is not float and not _is_number(value):
                raise StorageError(f"{name} of trial {number} must be numbers; found {shown(value)}; {ADVICE}")
    for name in known.lists:
        for values in attributes[name].values():
            if type(values) is not list or any(type(v) is not float and not _is_number(v) for v in values):
                raise StorageError(
                    f"{name} of trial {number} must be lists of numbers; found {shown(values)}; {ADVICE}"
                )


def _check_texts(number: int, attributes: Mapping[str, Any]) -> None:
    for name in _TEXTS:
        value = attributes.get(name) or ""
        if value.encode("utf-8", "replace").decode() != value:  # half of a surrogate
            raise StorageError(f"{name} of trial {number} must be text; found {shown(value)}; {ADVICE}")


@dataclass(frozen=True, slots=True)
class _Known:
    """What is left to look at in attributes whose names and types are known.

    Attributes:
        lacks: A number that a candidate lacks, which only one that is infeasible or failed may.
        whole: Names of whole numbers, with the smallest value of each.
        texts: Returns the texts, two at least.
        numbers: Names of tables of numbers.
        lists: Names of tables of lists of numbers.
    """

    lacks: str | None
    whole: tuple[tuple[str, int], ...]
    texts: Callable[[Mapping[str, Any]], tuple[str, ...]]
    numbers: tuple[str, ...]
    lists: tuple[str, ...]

    @classmethod
    def of(cls, record: type, attributes: Mapping[str, Any]) -> _Known:
        """Return it for attributes of a class of records."""
        types, _ = _declared(record)
        counts = {name for name, kinds in types.items() if int in kinds and float not in kinds}
        needed = _MEASURED if record is ScoredCandidate else ()
        return cls(
            lacks=next((name for name in needed if attributes.get(name) is None), None),
            whole=tuple((k, 0 if k in counts else -_LARGEST) for k, v in attributes.items() if type(v) is int),
            texts=itemgetter(*(name for name in _TEXTS if attributes.get(name) is not None)),
            numbers=tuple(name for name in _NUMBERS if attributes.get(name) is not None),
            lists=tuple(name for name in _LISTS if attributes.get(name) is not None),
        )


# By class and by names and types of attributes.
_known: dict[tuple[Any, ...], _Known] = {}


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
    expected = attributes.get(PROSPECTS)
    if expected is not None and any(type(expected.get(key)) not in (int, float) for key in _EXPECTED):
        what = f"{PROSPECTS} of study {shown(name)} must have numbers {', '.join(_EXPECTED)}"
        raise StorageError(f"{what}; found {shown(expected)}; {ADVICE}")
    if not _is_last_run(attributes.get(LAST_RUN, {})):
        found = shown(attributes[LAST_RUN])
        raise StorageError(f"{LAST_RUN} of study {shown(name)} must be what nas_sens writes; found {found}; {ADVICE}")
    if "study" in attributes:
        declared_in(name, attributes)


def _is_last_run(kept: Mapping[str, Any]) -> bool:
    """Return whether it is of texts, numbers of inputs, and parts with a kind, a shape and a number of parameters."""
    parts = kept.get("outline", [])
    return (
        all(type(kept.get(key, "")) is str for key in ("finished", "machine", "device", "digest"))
        and all(type(n := kept.get(key, 0)) is int and n >= 0 for key in ("n_val", "n_test"))
        and type(parts) is list
        and all(
            type(part) is list
            and [type(x) for x in part] == [str, list, int]
            and all(type(side) is int for side in part[1])
            for part in parts
        )
    )


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
