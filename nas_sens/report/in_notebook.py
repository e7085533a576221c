"""How a study's result shows itself in a notebook: its answer, its best networks and a figure."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ..core.candidates import TrainedCandidate
from ..core.compact import compact
from ..core.errors import InvalidInputError
from ..core.figures import BY_NAME, ERRORS
from ..core.short_names import short_names
from ..study.select_spec import ranking_figure
from .answer import answer
from .figure_style import GROUP_STYLES, INK, STYLE, add_legend, set_log_axis
from .outcomes import in_order
from .shown_figures import shown_figures
from .tables import winner_rows

if TYPE_CHECKING:
    from ..results.search_result import SearchResult

_ROWS = 8  # of the table
_SIZE = (6.4, 4.0)  # inches
_GROUPS = {"selected": "selected by the rule", "control": "random", "other": "others"}
_SIZES = {"params": "parameters", "flops": "FLOPs"}  # on a logarithmic axis


def plot(result: SearchResult, x: str = "params", y: str | None = None) -> Figure:
    """Return a figure of trained networks, the best one marked; see `SearchResult.plot`.

    Raises:
        InvalidInputError: No trained network has both figures.
    """
    y = y or ("val_error" if any(t.val_error is not None for t in result.trials) else result.ranked_by)
    found = [(t, _value(t, x), _value(t, y)) for t in result.trials if t.is_ok]
    points = [(t, a, b) for t, a, b in found if a is not None and b is not None]
    if not points:
        there = sorted({name for t in result.trials for name in t.figures} | {*BY_NAME, *_SIZES})
        raise InvalidInputError(
            f"no trained network of study {result.name!r} has both {x} and {y}; take two of {', '.join(there)}"
        )
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.add_subplot()
        for group, (colour, marker, _) in GROUP_STYLES.items():
            members = np.array([(a, b) for t, a, b in points if t.group == group], dtype=np.float64)
            if len(members):
                axes.scatter(members[:, 0], members[:, 1], color=colour, marker=marker, s=36, label=_GROUPS[group])
        _, a, b = points[0]
        axes.scatter([a], [b], s=190, facecolors="none", edgecolors=INK, linewidths=1.6, label="rank 1")
        name, is_right = short_names([t for t, *_ in points])[0], a > float(np.median([v for _, v, _ in points]))
        axes.annotate(
            name, (a, b), (-10 if is_right else 10, 8), textcoords="offset points", color=INK,
            ha="right" if is_right else "left",
        )  # fmt: skip
        if x in _SIZES and min(value for _, value, _ in points) > 0:
            set_log_axis(axes, "x", [value for _, value, _ in points], to_text=compact)
        axes.set_xlabel(_label(x))
        axes.set_ylabel(_label(y))
        add_legend(figure, axes)
    return figure


def _value(t: TrainedCandidate, name: str) -> float | None:
    value = t.figure(name)
    return None if value is None or not np.isfinite(value) else value * (100.0 if name in ERRORS else 1.0)


def _label(name: str) -> str:
    label = BY_NAME[name].label if name in BY_NAME else _SIZES.get(name, name)
    return f"{label} (%)" if name in ERRORS else label


def html(result: SearchResult) -> str:
    """Return what a notebook shows of a result; of a study without trained networks only how far it is."""
    found = answer(result.name, result.protocol, result.candidates, result.trials)
    n_ok = sum(t.is_ok for t in result.trials)
    counts = f"{len(result.candidates):,} candidates, {n_ok} trained networks"
    if found.hero is None:
        return f"<p><b>{escape(result.name)}</b>: {counts}</p>"
    head = f"{found.hero.reached} — {found.hero.name}"
    lights = "".join(
        f"<li>{escape(light.question)} <b>{escape(light.verdict)}</b> {escape(light.answer)}</li>"
        for light in found.lights
    )
    refinement = "".join(f"<p>{escape(text)}</p>" for text in found.refinement)
    return (
        f"<div><p><b>{escape(result.name)}</b>: {counts}</p>"
        f"<p style='font-size:1.25em'><b>{escape(head)}</b></p><p>{escape(found.hero.on)}</p>"
        f"{refinement}<ul>{lights}</ul>"
        f"{_table(result)}{_picture(result)}</div>"
    )


def _table(result: SearchResult) -> str:
    shown = shown_figures(result.protocol, in_order(result.trials))
    rows = winner_rows(result.candidates, result.trials, ranking_figure(result.protocol), shown.columns)[:_ROWS]
    heads = ["#", "network", "params", "chosen by", *(figure.label for figure in shown.columns)]
    cells = [[r["rank"], r["name"], r["params"], r["chosen_by"], *r["figures"]] for r in rows]
    body = "".join(f"<tr>{_row('td', row)}</tr>" for row in cells)
    return f"<table><thead><tr>{_row('th', heads)}</tr></thead><tbody>{body}</tbody></table>"


def _row(tag: str, texts: list[Any]) -> str:
    return "".join(f"<{tag}>{escape(str(text))}</{tag}>" for text in texts)


def _picture(result: SearchResult) -> str:
    try:
        figure = plot(result)
    except InvalidInputError:  # a trainer of the user's own may give no figure to each network
        return ""
    figure.savefig(buffer := io.BytesIO(), format="png", dpi=96)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"<img alt='Trained networks, the best one marked' src='data:image/png;base64,{data}'>"
