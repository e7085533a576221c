"""A picture of one trained network, its drawing and its curve, that is kept with its weights for the dashboard.

Written as SVG by hand: one is made for each training, and a library that draws would take longer than small trainings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from ..core.candidates import TrainedCandidate
from ..core.figures import BY_NAME, OF_TRAINING
from .drawing import Block, blocks
from .figure_style import CONTROL_COLOUR, INK, SELECTED_COLOUR
from .numbers_as_text import number

_WIDTH, _ROW, _CURVE, _EDGE = 460, 30, 190, 14  # pixels


def network_picture(record: TrainedCandidate, parts: Sequence[Sequence[object]]) -> str:
    """Return a picture as an SVG document.

    Args:
        record: The network.
        parts: What it is made of, as ``architectures.outline`` gives it; none if that is not known.
    """
    drawn = blocks(parts)
    top = 2 * _EDGE + 10
    curve_top = top + _ROW * len(drawn) + _EDGE
    height = curve_top + _CURVE + 2 * _EDGE
    body = [
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(_EDGE, _EDGE + 8, record.description, weight="bold"),
        *(line for i, block in enumerate(drawn) for line in _block(block, top + i * _ROW)),
        *_curve(record, curve_top),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="12" fill="{INK}">{"".join(body)}</svg>\n'
    )


def _block(block: Block, y: float) -> list[str]:
    times = f" ×{block.times}" if block.times > 1 else ""
    params = f"{block.params_text} parameters" if block.params_text else ""
    return [
        f'<rect x="{_EDGE}" y="{y}" width="{_WIDTH - 2 * _EDGE}" height="{_ROW - 6}" rx="4" fill="#eef4fa" '
        f'stroke="{SELECTED_COLOUR}"/>',
        _text(_EDGE + 8, y + 16, f"{block.kind}{times}"),
        _text(_WIDTH * 0.55, y + 16, block.shape),
        _text(_WIDTH - _EDGE - 8, y + 16, params, anchor="end"),
    ]


def _curve(record: TrainedCandidate, y: float) -> list[str]:
    """Return the curve with that of the training beside it, on one scale."""
    own = [(float(i), v) for i, v in enumerate(record.curve, 1) if math.isfinite(v)]
    name = OF_TRAINING.get(record.curve_of, "")
    beside = [
        (float(e), v)
        for e, v in zip(record.curve_epochs, record.curves.get(name, ()), strict=False)
        if v is not None and math.isfinite(v)
    ]
    if not own:
        return [_text(_EDGE, y + 20, "no curve was reported")]
    last = max(x for x, _ in [*own, *beside])
    values = [v for _, v in [*own, *beside]]
    low, high = min(values), max(values)
    left, bottom, plot = _EDGE + 52, y + _CURVE - 18, _CURVE - 44

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x = left + (_WIDTH - _EDGE - left) * ((point[0] - 1) / max(1, last - 1))
        return x, bottom - plot * ((point[1] - low) / ((high - low) or 1.0))

    label = BY_NAME[record.curve_of].label if record.curve_of in BY_NAME else record.curve_of
    lines = [
        _text(_EDGE, y + 10, f"{label} {number(own[-1][1])} after epoch {own[-1][0]:g}"),
        f'<path d="M{left} {bottom - plot}V{bottom}H{_WIDTH - _EDGE}" fill="none" stroke="#999999"/>',
        _text(left - 6, bottom, number(low), anchor="end"),
        _text(left - 6, bottom - plot + 8, number(high), anchor="end"),
        _text(left, bottom + 16, "1"),
        _text(_WIDTH - _EDGE, bottom + 16, f"{last:g} epochs", anchor="end"),
        _line(own, place, SELECTED_COLOUR, ""),
    ]
    if beside:
        shown = BY_NAME[name].label
        lines += [
            _line(beside, place, CONTROL_COLOUR, ' stroke-dasharray="5 3"'),
            _text(_WIDTH - _EDGE, y + 10, f"{shown} dashed", anchor="end", colour=CONTROL_COLOUR),
        ]
    return lines


def _line(
    points: Sequence[tuple[float, float]],
    place: Callable[[tuple[float, float]], tuple[float, float]],
    colour: str,
    more: str,
) -> str:
    places = [place(p) for p in points]
    if len(places) == 1:
        return f'<circle cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="3" fill="{colour}"/>'
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"{more}/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal", colour: str = INK) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-weight="{weight}" fill="{colour}">{escape(text)}</text>'
        if text
        else ""
    )
