"""What measures add to size: how they order trained networks of equal size, and with both kinds of size held fixed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.candidates import TrainedCandidate
from ..core.figures import Objective
from ..statistics.alike_pairs import AmongAlike, among_alike
from ..statistics.bootstrap import Array
from ..statistics.correlations import as_floats
from ..statistics.given_several import GivenSeveral, given_several
from ..statistics.interval import Interval
from .numbers_as_text import count, interval_text
from .outcomes import FLOPS, PARAMETERS, SENSITIVITY, Trained, in_order
from .text import ranking_label

LARGER = 1.1  # times the smaller one is the larger of two networks of equal size at most


@dataclass(frozen=True, kw_only=True)
class AtEqualSize:
    """What a measure says of the figure that networks are ranked by, beyond their size.

    Attributes:
        by_flops: Over pairs of networks within 10 % of FLOPs.
        by_params: Over pairs within 10 % of parameters.
        given_size: With log10 parameters and log10 FLOPs held fixed, of which a study may lack one; for each of them
            the other one.
    """

    by_flops: AmongAlike
    by_params: AmongAlike
    given_size: GivenSeveral

    @property
    def intervals(self) -> list[Interval]:
        """All that is known of it."""
        found = (self.by_flops.kendall, self.by_params.kendall, self.given_size.spearman)
        return [interval for interval in found if interval is not None]


def at_equal_size(data: Trained, trained: Sequence[TrainedCandidate], ranked_by: Objective) -> dict[str, AtEqualSize]:
    """Return what every measure that any network has says of the ranking, beyond size; in the figure's own sign.

    Args:
        data: The measures of the trained networks.
        trained: The trained networks, in any order.
        ranked_by: The figure that they are ranked by.
    """
    y = as_floats([t.figure(ranked_by.name) for t in in_order(trained)])
    return {
        measure: _at_equal_size(measure, x, y, data)
        for measure, x in data.measures.items()
        if np.isfinite(x).any() or measure == SENSITIVITY
    }


def beyond_size(data: Trained, trained: Sequence[TrainedCandidate], ranked_by: Objective) -> AtEqualSize:
    """Return what S before training says of the ranking beyond size; see :func:`at_equal_size`."""
    y = as_floats([t.figure(ranked_by.name) for t in in_order(trained)])
    return _at_equal_size(SENSITIVITY, data.measures[SENSITIVITY], y, data)


def _at_equal_size(measure: str, x: Array, y: Array, data: Trained) -> AtEqualSize:
    measures = data.measures
    sizes = {name: z for name in (FLOPS, PARAMETERS) if name in measures and np.isfinite(z := measures[name]).any()}
    unknown = np.full(x.shape, np.nan)
    by_flops, by_params = (
        among_alike(x, y, sizes.get(name, unknown), within=math.log10(LARGER), n_resamples=data.n_resamples)
        for name in (FLOPS, PARAMETERS)
    )
    others = [z for name, z in sizes.items() if name != measure]
    return AtEqualSize(
        by_flops=by_flops,
        by_params=by_params,
        given_size=given_several(x, y, others, n_resamples=data.n_resamples),
    )


def intervals_of(table: Mapping[str, AtEqualSize]) -> Iterator[Interval]:
    """Yield every interval of the table."""
    for row in table.values():
        yield from row.intervals


def equal_size_rows(table: Mapping[str, AtEqualSize]) -> list[dict[str, Any]]:
    """Return one row per measure: text, whether it excludes zero, and of how many pairs or networks, or why not.

    No rows if there is no number in any of them.
    """
    if not any(intervals_of(table)):
        return []
    return [{"measure": measure, "cells": _cells(row)} for measure, row in table.items()]


def _cells(row: AtEqualSize) -> list[dict[str, Any]]:
    of_pairs = [(a.kendall, f"{count(a.n_pairs)} pairs", a.reason) for a in (row.by_flops, row.by_params)]
    of_networks = (row.given_size.spearman, f"n = {row.given_size.n}", row.given_size.reason)
    return [
        {
            "text": "" if interval is None else interval_text(interval),
            "excludes_zero": interval is not None and interval.excludes_zero,
            "note": n if interval is not None else reason,
        }
        for interval, n, reason in (*of_pairs, of_networks)
    ]


def equal_size_text(found: AtEqualSize, ranked_by: Objective) -> str:
    """Return in a sentence what S before training adds to size."""
    by_size = {"FLOPs": found.by_flops, "parameters": found.by_params}
    known = next(((size, pairs.kendall, pairs) for size, pairs in by_size.items() if pairs.kendall is not None), None)
    if known is None:
        said = f"What S adds at equal FLOPs or parameters cannot be said ({found.by_flops.reason})"
    else:
        size, tau, pairs = known
        said = (
            f"At equal {size} ({count(pairs.n_pairs)} pairs of {count(pairs.n)} networks), "
            f"{_with_s(tau, ranked_by)}: Kendall’s τ {interval_text(tau)}"
        )
    given = found.given_size
    if given.spearman is None:
        return f"{said}; with size held fixed it cannot be said{' either' if known is None else ''} ({given.reason})."
    return (
        f"{said}. With size held fixed, {_with_s(given.spearman, ranked_by)}: "
        f"Spearman’s partial correlation {interval_text(given.spearman)}."
    )


def _with_s(found: Interval, ranked_by: Objective) -> str:
    name = ranking_label(ranked_by)
    if not found.excludes_zero:
        return f"S is not shown to go with the {name}"
    is_larger = found.estimate > 0
    judged = "better" if is_larger == ranked_by.is_maximized else "worse"
    return f"a larger S goes with a {'larger' if is_larger else 'smaller'} {name}, which is {judged}"
