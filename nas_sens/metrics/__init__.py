"""Measures of a network, one per file, each with its source equation."""

from __future__ import annotations

import importlib
import pkgutil


def metric_names() -> dict[str, str]:
    """Return every metric's name with the first line of its description."""
    names = sorted(i.name for i in pkgutil.iter_modules(__path__) if not i.name.startswith("_"))
    return {n: (importlib.import_module(f"{__name__}.{n}").__doc__ or "").splitlines()[0] for n in names}
