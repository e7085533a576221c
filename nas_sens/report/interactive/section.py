"""The section of the page with the interactive figures, ready to be put into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from ...core.candidates import ScoredCandidate, TrainedCandidate
from ...study.select_spec import ranking_figure
from ..numbers_as_text import count
from ..part_of_page import part_of_page
from ..shown_figures import Shown
from ..text import Wording
from .drawn import Drawn, drawn
from .packed import library, packed_plots
from .plots import all_plots
from .savings import savings_lines
from .stills import STILLS

_FIRST, _THEN = ("costs", "best"), ("searched", "importances")


def explore_parts(
    candidates: Sequence[ScoredCandidate],
    trained: Sequence[TrainedCandidate],
    protocol: Mapping[str, Any],
    shown: Shown,
    wording: Wording,
) -> tuple[str, str]:
    """Return as HTML what belongs beside the answer, and what was searched; "" for what there is nothing of.

    Args:
        candidates: All candidates.
        trained: Those that were trained, in an order that does not depend on the caller's.
        protocol: The study as stored.
        shown: Which figures the report shows.
        wording: Has the units of losses and errors.
    """
    units = {"loss": wording.loss_unit, "error": wording.error_unit}
    d = drawn(candidates, trained, protocol, shown, units)
    if d is None:
        return "", ""
    plots = all_plots(d)
    values = {
        "headings": _headings(d),
        "notes": _notes(d, trained),
        "stills": {name: STILLS[name](d) for name in plots},
        "costs": d.costs,
        "savings": savings_lines(candidates, trained, ranking_figure(protocol)),
        "library": library(),
        "figures": packed_plots(plots),
        "script": (files("nas_sens.report") / "templates" / "interactive.js").read_text(encoding="utf-8"),
    }
    first, then = ([name for name in names if name in plots] for names in (_FIRST, _THEN))
    return (
        part_of_page("interactive.html.j2", part="first", names=first, **values),
        part_of_page("interactive.html.j2", part="then", names=then, **values) if then else "",
    )


def _headings(d: Drawn) -> dict[str, str]:
    quality = d.quality.label.capitalize() if d.quality.is_usual else d.quality.label
    progress = d.progress.label
    return {
        "costs": f"{quality} against what a network costs",
        "searched": "What was searched",
        "importances": f"Which parameters tell the best by {d.quality.label} from the rest",
        "best": f"Best {progress} so far, against as many random networks",
    }


def _notes(d: Drawn, trained: Sequence[TrainedCandidate]) -> dict[str, str]:
    n_control = sum(t.group == "control" for t in trained)
    left_out = f" {count(d.n_left_out)} networks of the middle and the end are left out." if d.n_left_out else ""
    more = f" {d.n_axes_left_out} parameters that matter less have no axis." if d.n_axes_left_out else ""
    band = (
        f"Random: the best of so many draws from the {count(n_control)} networks of the control group, by their "
        "outcomes; the band holds 80 % of such draws and ends where no more were trained."
        if d.band is not None
        else "No band of random networks: at least three of a control group must have been trained."
    )
    return {
        "costs": f"Star: first by the study’s ranking. Line: no network is both cheaper and better.{left_out}",
        "searched": f"One line a trained network, blue for the best ranks, vermilion for the last. With a mouse, drag "
        f"along axes to take the networks that go through there: their rows are marked; “Reset” takes all again.{more}",
        "importances": (
            f"PED-ANOVA (watanabe2023, Optuna’s) of {count(d.n_important)} trained networks: how far the best tenth "
            "lies apart from all others in each parameter. Whiskers: 80 % of resamples of the networks. Networks were "
            "not drawn at random, so this describes them and not the whole space."
        ),
        "best": band,
    }
