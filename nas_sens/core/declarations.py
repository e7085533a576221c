"""Declared files and values: finding bundled files, and one-line errors that name the key at fault."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import ValidationError

from .boundary import reading
from .errors import InvalidInputError
from .messages import shown

T = TypeVar("T")

_NAME = 200  # characters of a name that is compared with others
_PACKAGE = Path(__file__).parents[1]


def nearest(name: object, valid: Iterable[str]) -> str:
    """Return a hint that names the nearest valid name, or all of them if none is near."""
    valid = list(valid)
    close = difflib.get_close_matches(str(name)[:_NAME], valid, n=1)  # which takes minutes for a long one
    return f"did you mean {close[0]!r}?" if close else f"valid: {', '.join(valid)}"


def find(table: Mapping[str, T], name: Any, what: str) -> T:
    """Return ``table[name]``.

    Raises:
        InvalidInputError: There is none; the message names the nearest valid name, or all of them if none is near.
    """
    if not isinstance(name, str) or name not in table:
        raise InvalidInputError(f"unknown {what} {shown(name)}; {nearest(name, table)}")
    return table[name]


def bundled_folder(kind: str) -> Path:
    """Return the folder of bundled declarations, ``kind`` being ``search_spaces`` or ``studies``.

    They lie inside the package in an installed wheel and beside it in a source tree.
    """
    inside = _PACKAGE / kind
    return inside if inside.is_dir() else _PACKAGE.parent / kind


def bundled(kind: str) -> dict[str, Path]:
    """Return the bundled declarations of one kind: name (with folder, if any) to path."""
    folder = bundled_folder(kind)
    return {p.relative_to(folder).with_suffix("").as_posix(): p for p in sorted(folder.rglob("*.toml"))}


def locate(source: str | Path, kind: str, *, beside: Path | None = None) -> Path:
    """Return the path of a declaration given as a bundled name or as a path of one's own.

    Args:
        source: A name without ``.toml``, or a path.
        kind: ``search_spaces`` or ``studies``.
        beside: Folder that a relative path may also start from (that of the file which names it).

    Raises:
        InvalidInputError: There is no such file or name.
    """
    names = bundled(kind)
    if str(source) in names:
        return names[str(source)]
    for folder in (beside, Path()):
        if folder is not None and os.path.isfile(folder / source):  # unlike is_file, never raises
            return folder / source
    what = {"search_spaces": "search space", "studies": "study"}[kind]
    looked = f" in {beside} or the working directory" if beside is not None and not Path(source).is_absolute() else ""
    raise InvalidInputError(
        f"no {what} file {shown(str(source))}{looked}, and no bundled {what} of that name; {nearest(source, names)}"
    )


def validate(cls: type[T], values: Mapping[str, Any], *, source: str, where: str = "") -> T:
    """Return ``cls(**values)``, turning pydantic's report into one line.

    Args:
        cls: A pydantic dataclass.
        values: Its fields.
        source: What is being read, usually a path; opens the error message.
        where: Dotted prefix of the keys in ``values``.

    Raises:
        InvalidInputError: A key is unknown or missing, or a value is wrong.
    """
    if not isinstance(values, Mapping):
        raise InvalidInputError(f"{source}: {where or 'it'} must be a table of keys and values; given {shown(values)}")
    with reading(f"{source}: {where or 'a value'} cannot be used"):
        try:
            return cls(**values)
        except ValidationError as error:
            problems = error.errors(include_url=False)
            unknown = [p for p in problems if p["type"] == "unexpected_keyword_argument"]
            raise InvalidInputError(f"{source}: {_one_line(cls, (unknown or problems)[0], where)}") from error


def changed(value: T, *, where: str, **changes: Any) -> T:
    """Return a pydantic dataclass with some fields changed.

    Raises:
        InvalidInputError: A new value is wrong.
    """
    fields_now = {f.name: getattr(value, f.name) for f in fields(value) if f.init}  # type: ignore[arg-type]
    return validate(type(value), {**fields_now, **changes}, source="given", where=where)


def _one_line(cls: type, problem: Any, where: str) -> str:
    location = tuple(problem["loc"])
    key = ".".join(part for part in (where, *map(str, location)) if part)
    if problem["type"] == "unexpected_keyword_argument":
        return f"unknown key {shown(key)}; {nearest(location[-1], _valid_keys(cls, location[:-1]))}"
    if problem["type"] in ("missing", "missing_argument"):
        return f"the key {key!r} is required but missing"
    message = str(problem["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    message = re.sub(r"^(Value|String|Data|List|Tuple|Dictionary) should ", "must ", message)
    if problem["type"] == "value_error" and not location:  # of the whole table: it says itself what was given
        return f"{where}: {message}" if where else message
    message = message if message.startswith(("must", "needs", "cannot")) else f"must be {message}"
    return f"{key} {message}; given {shown(problem['input'])}" if key else f"{message}; given {shown(problem['input'])}"


def _valid_keys(cls: Any, location: tuple[Any, ...]) -> list[str]:
    for part in location:
        kinds = {f.name: f.type for f in fields(cls)} if is_dataclass(cls) else {}
        kind = kinds.get(str(part))
        if isinstance(kind, str):
            kind = get_type_hints(cls).get(str(part))
        cls = next((k for k in (kind, *get_args(kind)) if is_dataclass(k)), cls)  # "or None", perhaps
    return [f.name for f in fields(cls) if f.init] if is_dataclass(cls) else []
