"""Architecture families: one per file of this package, and those of the entry-point group ``nas_sens.families``."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from ..declarations import find, validate
from ..errors import InvalidInputError
from .base import ArchitectureSpec, count_flops, count_params

__all__ = ["ArchitectureSpec", "count_flops", "count_params", "families", "load_spec"]


ENTRY_POINTS = "nas_sens.families"


@lru_cache(maxsize=1)
def families() -> dict[str, type[ArchitectureSpec]]:
    """Return every architecture family by name: those of this package's modules and those that others install.

    An installed distribution adds families by entry points of the group ``nas_sens.families``, each naming a spec.

    Raises:
        InvalidInputError: An entry point cannot be loaded, is no family, or has the name of another one.
    """
    found: dict[str, type[ArchitectureSpec]] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for value in vars(module).values():
            if _is_family(value) and value.__module__ == module.__name__:
                found[value.family] = value
    for where, value in _installed():
        if not _is_family(value):
            raise InvalidInputError(f"{where} must name an ArchitectureSpec with a family; given {value!r}")
        if value.family in found:
            raise InvalidInputError(f"{where} adds the family {value.family!r}, which exists already; rename it")
        found[value.family] = value
    return dict(sorted(found.items()))


def _is_family(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, ArchitectureSpec) and hasattr(value, "family")


def _installed() -> Iterator[tuple[str, Any]]:
    for point in entry_points(group=ENTRY_POINTS):
        where = f"the entry point {point.name!r} = {point.value!r} of {ENTRY_POINTS}"
        try:
            value = point.load()
        except Exception as error:  # whatever the foreign module raises when it is imported
            raise InvalidInputError(f"{where} cannot be loaded ({error}); repair or uninstall its package") from error
        yield where, value


def _exported(folder: Path) -> dict[str, Any]:
    try:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_args"]["architecture"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(
            f"an architecture must be JSON text or a dict, or a folder that nas_sens exported; given {str(folder)!r}"
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
    except (json.JSONDecodeError, TypeError, ValueError) as error:
        raise InvalidInputError(f"an architecture must be JSON text or a dict; given {source!r} ({error})") from error
    family = values.pop("family", None)
    return validate(find(families(), family, "architecture family"), values, source=f"architecture {family!r}")
