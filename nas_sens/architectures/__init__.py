"""Architecture families: a file each in this package, those that others install, and those that are registered."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any, get_origin

from ..core.declarations import validate
from ..core.errors import InvalidInputError
from ..core.messages import shown
from ..core.registry import Registry
from .base import ArchitectureSpec, count_flops, count_params, trainable_layers
from .user_builder import BuiltSpec, family_of, imported_family

__all__ = [
    "FAMILIES",
    "ArchitectureSpec",
    "BuiltSpec",
    "count_flops",
    "count_params",
    "families",
    "family_of",
    "load_spec",
    "trainable_layers",
]


def _is_family(value: Any) -> bool:
    is_class = isinstance(value, type) and get_origin(value) is None  # tuple[int, ...] counts as a type in Python 3.10
    return is_class and issubclass(value, ArchitectureSpec) and hasattr(value, "family")


def _families_in(module: ModuleType) -> list[type[ArchitectureSpec]]:
    return [v for v in vars(module).values() if _is_family(v) and v.__module__ == module.__name__]


FAMILIES: Registry[type[ArchitectureSpec]] = Registry(
    "architecture family",
    package=__name__,
    group="families",
    expected="an ArchitectureSpec with a family",
    things_in=_families_in,
    accepts=_is_family,
    name_of=lambda family: family.family,
    by_code=imported_family,
)


def families() -> dict[str, type[ArchitectureSpec]]:
    """Return every architecture family by name: of this package's modules, of installed ones, and registered ones.

    Raises:
        InvalidInputError: An entry point cannot be loaded, is no family, or has the name of another one.
    """
    return FAMILIES.table()


def _exported(folder: Path) -> dict[str, Any]:
    try:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_args"]["architecture"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        given = shown(str(folder))
        raise InvalidInputError(
            f"an architecture must be JSON text or a dict, or a folder that nas_sens exported; given {given}"
        ) from error
    return dict(values)


def load_spec(source: str | Path | dict[str, Any]) -> ArchitectureSpec:
    """Return the spec of an exported folder, or written as JSON text or as a dict (the inverse of ``to_json``).

    Args:
        source: A folder with a ``config.json`` that nas_sens wrote, JSON text, or a dict with the key ``family``.

    Raises:
        InvalidInputError: There is no such folder, the text is no JSON, the family is unknown, or a parameter is wrong.
    """
    if isinstance(source, Path) or (isinstance(source, str) and not source.lstrip().startswith("{")):
        source = _exported(Path(source))
    try:
        values = dict(json.loads(source) if isinstance(source, str) else source)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"an architecture must be JSON text or a dict; given {shown(source)} ({error})"
        ) from error
    family = values.pop("family", None)
    return validate(FAMILIES.get(family), values, source=f"architecture {shown(family)}")
