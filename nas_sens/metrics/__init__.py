"""Measures of a network, one per file, each with its source equation."""

from __future__ import annotations

from ..core.registry import registry_of
from ._metric import Metric

__all__ = ["METRICS", "Metric", "metric_names", "metrics"]

_HELPERS = ("measurement", "trajectories")


METRICS = registry_of("metric", Metric, package=__name__, group="metrics", attribute="METRIC")


def metric_names() -> dict[str, str]:
    """Return every metric's name with the first line of its description, and its terms: what is better, costs, needs.

    Some are no number of one network and its inputs alone, such as the closed form, an expectation over networks, or
    bounds for every input: they have no direction here, and :func:`metrics` leaves them out.
    """
    docs = {m.__name__.rpartition(".")[2]: m.__doc__ for m in METRICS.modules()}
    names = {n: doc for n, doc in docs.items() if not n.startswith("_") and n not in _HELPERS}
    names |= {n: metric.function.__doc__ for n, metric in metrics().items() if n not in names}
    firsts = {n: (doc or "").strip().partition("\n")[0] for n, doc in sorted(names.items())}
    table = metrics()
    return {n: f"{text} [{table[n].terms}]" if n in table else text for n, text in firsts.items()}


def metrics() -> dict[str, Metric]:
    """Return the record of every measure of one network, by name: the ``METRIC`` of each module of this package.

    Those of the entry-point group ``nas_sens.metrics``, and those that are registered in this process, are among them.
    """
    return METRICS.table()
