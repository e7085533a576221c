"""Measures of a network, one per file, each with its source equation."""

from __future__ import annotations

import importlib
import pkgutil
from functools import lru_cache

from ._metric import Metric

__all__ = ["Metric", "metric_names", "metrics"]

_HELPERS = ("trajectories",)


def metric_names() -> dict[str, str]:
    """Return every metric's name with the first line of its description, and which values are expected to be better.

    Some are no number of one network and its inputs alone, such as the closed form, an expectation over networks, or
    bounds for every input: they have no direction here, and :func:`metrics` leaves them out.
    """
    found = [i.name for i in pkgutil.iter_modules(__path__)]
    names = sorted(n for n in found if not n.startswith("_") and n not in _HELPERS)
    docs = {n: (importlib.import_module(f"{__name__}.{n}").__doc__ or "").splitlines()[0] for n in names}
    directions = {name: metric.direction for name, metric in metrics().items()}
    return {
        n: f"{text} [{directions[n]} is expected to be better]" if n in directions else text for n, text in docs.items()
    }


@lru_cache(maxsize=1)
def metrics() -> dict[str, Metric]:
    """Return the record of every measure of one network, by name: the ``METRIC`` of each module of this package."""
    modules = [importlib.import_module(f"{__name__}.{i.name}") for i in pkgutil.iter_modules(__path__)]
    found = [m.METRIC for m in modules if isinstance(getattr(m, "METRIC", None), Metric)]
    return {metric.name: metric for metric in sorted(found, key=lambda m: m.name)}
