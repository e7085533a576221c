"""Architecture families: one per file, found by looking into this package (and into ``extra`` of :func:`families`)."""

from __future__ import annotations

import importlib
import json
import pkgutil
from functools import lru_cache
from typing import Any

from ..declarations import find, validate
from ..errors import InvalidInputError
from .base import ArchitectureSpec, count_flops, count_params

__all__ = ["ArchitectureSpec", "count_flops", "count_params", "families", "load_spec"]


@lru_cache(maxsize=1)
def families() -> dict[str, type[ArchitectureSpec]]:
    """Return every architecture family by name: the concrete specs defined in this package's modules."""
    found: dict[str, type[ArchitectureSpec]] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, ArchitectureSpec) and value.__module__ == module.__name__:
                name = getattr(value, "family", None)
                if name is not None:
                    found[name] = value
    return dict(sorted(found.items()))


def load_spec(source: str | dict[str, Any]) -> ArchitectureSpec:
    """Return the spec written as JSON text or as a dict with the key ``family`` (the inverse of ``to_json``).

    Raises:
        InvalidInputError: The text is no JSON, the family is unknown, or a parameter is wrong.
    """
    try:
        values = dict(json.loads(source) if isinstance(source, str) else source)
    except (json.JSONDecodeError, TypeError, ValueError) as error:
        raise InvalidInputError(f"an architecture must be JSON text or a dict; given {source!r} ({error})") from error
    family = values.pop("family", None)
    return validate(find(families(), family, "architecture family"), values, source=f"architecture {family!r}")
