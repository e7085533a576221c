"""Keys with type, default and meaning, from pydantic's schema and the docstring of a class."""

from __future__ import annotations

from typing import Any

from docstring_text import arguments
from pydantic import TypeAdapter

_WORDS = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "object": "table",
    "null": "none",
}
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def key_sections(cls: type) -> str:
    """Return a section a key of a declared class: each may be linked to, and fits on a phone.

    Raises:
        ValueError: The docstring leaves out a key: the reference would be silent about it.
    """
    schema, meanings = TypeAdapter(cls).json_schema(), every_argument(cls)
    properties = schema.get("properties", {})
    if missing := [name for name in properties if name not in meanings]:
        raise ValueError(f"the docstring of {cls.__name__} must say what {', '.join(missing)} are")
    required = schema.get("required", [])
    parts = []
    for name, declared in properties.items():
        default = "required" if name in required else f"default {default_of(declared)}"
        parts.append(f"### `{name}` {{ #{name} }}\n\n{kind(declared)} · {default}\n{{ .key-type }}\n\n{meanings[name]}")
    return "\n\n".join(parts)


def every_argument(cls: type) -> dict[str, str]:
    """Return what the docstrings of a class, and of those that it is made from, say of their arguments."""
    found: dict[str, str] = {}
    for base in cls.__mro__:
        found = arguments(vars(base).get("__doc__")) | found
    return found


def kind(declared: dict[str, Any]) -> str:
    """Return in words which values a property of a JSON schema takes."""
    if options := declared.get("anyOf"):
        return " or ".join(dict.fromkeys(kind(o) for o in options))
    if "enum" in declared:
        return ", ".join(f"`{v}`" for v in declared["enum"])
    if "const" in declared:
        return f"`{declared['const']}`"
    if "$ref" in declared:
        return "table"
    if declared.get("type") == "array":
        inner = kind(declared["items"]) if declared.get("items") else ""
        return f"list of {inner}" if inner else "list"
    words = _WORDS.get(declared.get("type", ""), "any value")
    return " ".join([words, *(f"{sign} {declared[k]}" for k, sign in _BOUNDS.items() if k in declared)])


def default_of(declared: dict[str, Any]) -> str:
    """Return a default as TOML has it."""
    if "default" not in declared:
        return "none"
    value = declared["default"]
    if value is None or value in ({}, [], ()):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if isinstance(value, (int, float)) else f'`"{value}"`' if isinstance(value, str) else "table"


def cell(text: str) -> str:
    """Return a text as it may stand in a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")
