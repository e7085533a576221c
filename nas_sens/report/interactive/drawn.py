"""What the interactive figures show, as plain numbers: both the ones for scripts and the still ones are made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.candidates import ScoredCandidate, TrainedCandidate
from ...core.compact import compact
from ...core.figures import Objective
from ...core.short_names import short_names
from ...study.select_spec import ranking_figure
from ..figure_style import thinned
from ..numbers_as_text import MISSING, count, number, plain
from ..shown_figures import Shown, ShownFigure
from .importances import MOST, Importance, importances
from .points import Cost, costs_of, drawable, front, most_telling, quality_of
from .random_band import Band, best_so_far, random_band
from .searched import MOST_AXES, Axis, axis, differing, flat

MOST_LINES = 300


@dataclass(frozen=True, kw_only=True)
class Network:
    """One network as a point: what stands in the box beside the pointer.

    Attributes:
        rank: Its rank in the study.
        name: The architecture, in short.
        group: Whether it was selected or is of the control group.
        quality: Its figure in the axis' unit.
        costs: By key; as numbers.
        told: The rest of the box, as pairs of texts.
    """

    rank: int
    name: str
    group: str
    quality: float
    costs: Mapping[str, float]
    told: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """All that is drawn.

    Attributes:
        networks: The points, the best first; the first one is the chosen one.
        costs: What there is for the horizontal axis.
        fronts: Key of a cost to places of `networks` on its Pareto front.
        quality: The figure on the vertical axis.
        quality_label: The same with its unit.
        n_left_out: How many ranked networks are not drawn.
        axes: Parallel coordinates of `lines`, the quality last.
        lines: Places of `networks`.
        n_axes_left_out: How many parameters have no axis.
        importances: Of the parameters for the quality.
        n_important: Of how many networks.
        progress: The figure whose best so far is drawn, which is what ranks.
        progress_label: The same with its unit.
        best: Best so far of the selected networks, NaN before there is one.
        band: The best of as many random ones.
    """

    networks: tuple[Network, ...]
    costs: tuple[Cost, ...]
    fronts: Mapping[str, tuple[int, ...]]
    quality: ShownFigure
    quality_label: str
    n_left_out: int
    axes: tuple[Axis, ...]
    lines: tuple[int, ...]
    n_axes_left_out: int
    importances: tuple[Importance, ...]
    n_important: int
    progress: ShownFigure
    progress_label: str
    best: np.ndarray
    band: Band | None


def drawn(
    candidates: Sequence[ScoredCandidate],
    trained: Sequence[TrainedCandidate],
    protocol: Mapping[str, Any],
    shown: Shown,
    units: Mapping[str, str],
) -> Drawn | None:
    """Return what is drawn; None if no training succeeded.

    Args:
        candidates: All candidates.
        trained: Those that were trained.
        protocol: The study as stored.
        shown: Which figures the report shows.
        units: Unit of losses and of errors, by kind.
    """
    by, quality = ranking_figure(protocol), quality_of(shown)
    ranking = drawable(trained, by, quality)
    if not ranking:
        return None
    scale = _scale(quality)
    losses = [quality.objective.as_loss(t.figure(quality.key) or 0.0) for t in ranking]
    costs = costs_of(ranking)
    fronts = {c.key: front([c.get(t) or 0.0 for t in ranking], losses) for c in costs}
    kept = most_telling(ranking, list(fronts.values()))
    place = {old: new for new, old in enumerate(kept)}
    rows = [flat(t.architecture, t.training) for t in ranking]
    values = [quality.objective.as_loss(v) for v in losses]
    important = importances(rows, values, is_maximized=bool(quality.is_maximized)) or []
    lines = thinned(range(len(kept)), MOST_LINES)
    columns = _by_importance(differing([rows[kept[i]] for i in lines]), important)
    last = axis(_labelled(quality, units), [scale * values[kept[i]] for i in lines])
    progress = _progress(by, shown, quality)
    selected = [t for t in trained if t.group == "selected"]
    control = [t for t in trained if t.group == "control"]
    return Drawn(
        networks=tuple(
            _network(i + 1, ranking[i], name, quality, costs)
            for i, name in zip(kept, short_names([ranking[i] for i in kept]), strict=True)
        ),
        costs=tuple(costs),
        fronts={key: tuple(place[i] for i in places) for key, places in fronts.items()},
        quality=quality,
        quality_label=_labelled(quality, units),
        n_left_out=len(ranking) - len(kept),
        axes=(*(axis(name, column) for name, column in list(columns.items())[:MOST_AXES]), last),
        lines=tuple(lines),
        n_axes_left_out=max(0, len(columns) - MOST_AXES),
        importances=tuple(important),
        n_important=min(MOST, len(ranking)) if important else 0,
        progress=progress,
        progress_label=_labelled(progress, units),
        best=_scale(progress) * best_so_far(selected, progress.objective),
        band=_scaled(random_band(control, progress.objective), _scale(progress)),
    )


def _network(rank: int, t: TrainedCandidate, name: str, quality: ShownFigure, costs: Sequence[Cost]) -> Network:
    told = [(quality.label, quality.text_of(t)), ("parameters", count(t.params)), ("FLOPs", compact(t.flops))]
    told += [("latency", f"{number(c.get(t), 3)} ms") for c in costs if c.key == "latency"]
    if (s := plain(t.log10_sensitivity_before)) != MISSING:
        told.append(("log₁₀ S before", s))
    return Network(
        rank=rank,
        name=name,
        group=t.group,
        quality=_scale(quality) * (t.figure(quality.key) or 0.0),
        costs={c.key: float(c.get(t) or 0.0) for c in costs},
        told=tuple(told),
    )


def _by_importance(columns: Mapping[str, list[Any]], important: Sequence[Importance]) -> dict[str, list[Any]]:
    """Return the columns, the important ones first if it is known which they are."""
    order = {r.name: i for i, r in enumerate(important)}
    names = sorted(columns, key=lambda n: order.get(n, len(order)))  # stable: else as they are declared
    return {n: columns[n] for n in names}


def _progress(by: Objective, shown: Shown, quality: ShownFigure) -> ShownFigure:
    return next((f for f in shown.figures if f.key == by.name), quality)


def _labelled(figure: ShownFigure, units: Mapping[str, str]) -> str:
    unit = units.get(figure.kind, "")
    return f"{figure.label} ({unit})" if unit else figure.label


def _scale(figure: ShownFigure) -> float:
    return 100.0 if figure.kind == "error" else 1.0


def _scaled(band: Band | None, scale: float) -> Band | None:
    return None if band is None else Band(low=scale * band.low, median=scale * band.median, high=scale * band.high)
