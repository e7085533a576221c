"""JSON schemas of study and search-space files, from the classes that read them: editors complete and check by these.

What several keys must be together is not in them: reading a study checks that.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter

from ..architectures import families
from ..core.text import without_roles
from ..data import DataSpec
from ..data.csv_spec import CsvSpec
from .constraints import COUNTED, LATENCY, MEMORY, LatencySpec
from .figure_spec import FigureSpec
from .full_size import KEYS as FULL_KEYS
from .score_spec import ScoreSpec
from .search_space import SearchSpace
from .select_spec import SelectSpec
from .study_spec import SearchSpec, StudySpec
from .together import TOGETHER
from .train_spec import SEARCHABLE, TrainSpec

SECTIONS = {"data": DataSpec, "score": ScoreSpec, "search": SearchSpec, "select": SelectSpec, "train": TrainSpec}
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_OWN = r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"  # a function of the user, as a family
_SCALAR = {"type": ["boolean", "number", "string"]}
_TABLES = {  # of ``together``
    "description": "Keys that only go together: a list of tables with the same keys, one of which is chosen.",
    "type": "array",
    "items": {"type": "object"},
    "minItems": 2,
}
_PARAMETER = {
    "description": "A fixed value, a list of choices, a distribution in Optuna's short form, or a list by its places.",
    "anyOf": [
        _SCALAR,
        {"type": "array", "minItems": 1, "items": _SCALAR},
        {
            "type": "object",
            "properties": {
                "type": {"enum": ["int", "float"]},
                "low": {"type": "number"},
                "high": {"type": "number"},
                "log": {"type": "boolean"},
                "step": {"type": "number", "exclusiveMinimum": 0},
            },
            "required": ["type", "low", "high"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {
                "type": {"const": "categorical"},
                "choices": {"type": "array", "minItems": 1, "items": _SCALAR},
            },
            "required": ["type", "choices"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {
                "type": {"const": "list"},
                "items": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/parameter"}},
                "length": {"type": "integer", "minimum": 1},
                "of": {"$ref": "#/$defs/parameter"},
            },
            "required": ["type"],
            "additionalProperties": False,
        },
    ],
}


def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON schemas by the kind of file: ``study`` and ``search_space``."""
    return {"study": study_schema(), "search_space": search_space_schema()}


def study_schema() -> dict[str, Any]:
    """Return the JSON schema of a study's file."""
    described, nested = _described(StudySpec), _definitions()
    sections = {name: {"$ref": f"#/$defs/{name}"} for name in SECTIONS}
    space = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/search_space"}], "description": described["search_space"]}
    text = {"type": "string"}
    keys = {
        "name": {**text, "minLength": 1, "maxLength": 200, "description": described["name"]},
        "description": {**text, "description": described["description"]},
        "search_space": space,
        **sections,
    }
    partly = {name: {**_without_required(nested[name])} for name in SECTIONS}
    return {
        "$schema": _DRAFT,
        "title": "nas_sens study",
        "type": "object",
        "properties": {
            **keys,
            "figures": {"type": "array", "items": _of_class(FigureSpec, nested), "description": described["figures"]},
            "full": {
                "description": "The study at full size, for --full: what stands here replaces what stands outside.",
                "type": "object",
                "properties": {key: partly.get(key, keys[key]) for key in FULL_KEYS},
                "additionalProperties": False,
            },
        },
        "required": ["search_space", "data"],
        "additionalProperties": False,
        "$defs": nested,
    }


def search_space_schema() -> dict[str, Any]:
    """Return the JSON schema of a search space's file."""
    space = _search_space()
    return {"$schema": _DRAFT, "title": "nas_sens search space", **space, "$defs": {"parameter": _PARAMETER}}


def _definitions() -> dict[str, Any]:
    nested: dict[str, Any] = {"parameter": _PARAMETER, "search_space": _search_space()}
    for name, cls in SECTIONS.items():
        nested[name] = _of_class(cls, nested)
    nested["CsvSpec"] = _of_class(CsvSpec, nested)
    one_kind = nested["train"]["properties"]["augmentation"]
    word = f"({'|'.join(one_kind['items']['enum'])})"
    joined = {"type": "string", "pattern": rf"^{word}(\+{word})+$"}
    nested["train"]["properties"]["augmentation"] = {"anyOf": [one_kind["items"], joined, one_kind]} | {
        "description": one_kind.pop("description")
    }
    return nested


def _search_space() -> dict[str, Any]:
    described = _described(SearchSpace)
    tables = {
        name: {
            "type": "object",
            "description": _first_paragraph(family),
            "properties": _parameters(family),
            "additionalProperties": False,
        }
        for name, family in families().items()
        if family.__module__.startswith("nas_sens.")  # a schema does not depend on what else is installed
    }
    searched = {key: {"$ref": "#/$defs/parameter"} for key in SEARCHABLE}
    of_function = {"type": "object", "properties": {TOGETHER: _TABLES}}
    return {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": described["name"]},
            "description": {"type": "string", "description": described["description"]},
            "constraints": _constraints(described["constraints"]),
            "training": {
                "type": "object",
                "description": described["training"],
                "properties": {**searched, TOGETHER: _TABLES},
                "additionalProperties": False,
            },
            **tables,
        },
        "patternProperties": {_OWN: {**of_function, "additionalProperties": {"$ref": "#/$defs/parameter"}}},
        "additionalProperties": False,
    }


def _parameters(family: type) -> dict[str, Any]:
    described = _described(family)
    keys = [f.name for f in fields(family) if f.init]
    return {**{k: {"$ref": "#/$defs/parameter", "description": described.get(k, k)} for k in keys}, TOGETHER: _TABLES}


def _constraints(description: str) -> dict[str, Any]:
    bounds = {"min": {"type": "number"}, "max": {"type": "number"}}
    latency = {**bounds, **_of_class(LatencySpec, {})["properties"]}
    memory = {**bounds, "batch": {"type": "integer", "minimum": 1}}

    def table(properties: Mapping[str, Any]) -> dict[str, Any]:
        return {"type": "object", "properties": properties, "minProperties": 1, "additionalProperties": False}

    known = {**{name: table(bounds) for name in COUNTED}, LATENCY: table(latency), MEMORY: table(memory)}
    return {"type": "object", "description": description, "properties": known, "additionalProperties": table(bounds)}


def _of_class(cls: Any, nested: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a pydantic dataclass, each key with its line of the docstring.

    Args:
        cls: The class.
        nested: Takes the schemas of classes in it, by their names.
    """
    schema = TypeAdapter(cls).json_schema(ref_template="#/$defs/{model}")
    nested.update({name: _trimmed(inner) for name, inner in schema.pop("$defs", {}).items()})
    schema = _trimmed(schema)
    schema["description"] = _first_paragraph(cls)
    for key, line in _described(cls).items():
        if key in schema["properties"]:
            schema["properties"][key]["description"] = line
    return schema


def _trimmed(schema: Any) -> Any:
    """Return a schema without what TOML has not (null) and without titles that only repeat a key."""
    if isinstance(schema, list):
        return [_trimmed(item) for item in schema if item != {"type": "null"}]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: {name: _trimmed(value) for name, value in inner.items()} if key == "properties" else _trimmed(inner)
        for key, inner in schema.items()
        if not (key == "title" and isinstance(inner, str)) and not (key == "default" and inner is None)
    }
    alternatives = kept.get("anyOf", ())
    return {**{k: v for k, v in kept.items() if k != "anyOf"}, **alternatives[0]} if len(alternatives) == 1 else kept


def _without_required(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in schema.items() if k != "required"}


def _first_paragraph(cls: type) -> str:
    return without_roles(" ".join((inspect.getdoc(cls) or "").partition("\n\n")[0].split()))


def _described(cls: type) -> dict[str, str]:
    """Return what a class says of its keys, in the ``Args:`` of its docstring."""
    text = (inspect.getdoc(cls) or "").partition("Args:\n")[2]
    text = re.split(r"\n\n?(?=\S)", text, maxsplit=1)[0]
    found = re.findall(r"^    (\w+): (.+(?:\n        .+)*)", text, re.M)
    return {key: without_roles(" ".join(line.split())) for key, line in found}
