"""The answer of a study: its best network, and the three lights; on the page, and as lines of a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.candidates import ScoredCandidate, TrainedCandidate
from ..core.figures import Objective
from ..core.text import printable
from ..study.select_spec import ranking_figure
from .equal_size import AtEqualSize, beyond_size
from .hero import Hero, hero
from .lights import Light, Trainings, agree_light, better_light, beyond_light
from .outcomes import Trained, columns, group_difference, in_order
from .refinement import optimism_text, refinement_lines
from .reliability import reliability_of
from .shown_figures import Shown, ShownFigure, shown_figures
from .worst_ranks import needs_ranks, rank_difference, rank_text


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a study came to.

    Attributes:
        hero: Its best network; None where none is trained.
        lights: The answers to the three questions; none where nothing is trained.
        refinement: What came of finalists of another study, and what remains to chance; none of any other study.
    """

    hero: Hero | None
    lights: tuple[Light, ...]
    refinement: tuple[str, ...] = ()

    def lines(self, *, more: str = "") -> list[str]:
        """Return it as lines of a terminal.

        Args:
            more: Options that every command needs, such as `` --storage URL``.
        """
        lines = [] if self.hero is None else [f"{self.hero.reached} — {self.hero.name}", f"  {self.hero.on}"]
        lines += self.refinement
        for light in self.lights:
            lines.append(f"{light.question} {light.verdict} {light.answer}")
            if light.command:
                lines.append(f"  nas-sens {light.command}{more}")
        return [printable(line) for line in lines]


def answer(
    name: str,
    protocol: Mapping[str, Any],
    candidates: Sequence[ScoredCandidate],
    trained: Sequence[TrainedCandidate],
) -> Answer:
    """Return the answer of a study; the arguments are those of :func:`nas_sens.report.write_report`."""
    shown, by = shown_figures(protocol, in_order(trained)), ranking_figure(protocol)
    data = columns(candidates, trained, shown.figures, drops_empty=shown.is_own)
    best = hero(name, protocol, trained, by, shown)
    found = lights(Trainings(name=name, protocol=protocol, trained=trained, by=by), data, shown)
    return Answer(hero=best, lights=found, refinement=tuple(refinement_lines(protocol, trained)))


def lights(of: Trainings, data: Trained, shown: Shown, *, found: AtEqualSize | None = None) -> tuple[Light, ...]:
    """Return the answers to the three questions; none where nothing was trained.

    Args:
        of: The study.
        data: Its measures and outcomes.
        shown: The figures of its report.
        found: What S adds to size, if it is known already.
    """
    if not of.trained:
        return ()
    primary, trained = shown.primary, of.trained
    by_ranks = None
    if needs_ranks(trained):
        d = rank_difference(trained, primary)
        by_ranks = rank_text(trained, primary, d)
    else:
        d = group_difference(data, primary)
    chance = refinement_lines(of.protocol, trained)
    if not chance and (optimism := optimism_text(of.protocol, trained)):
        chance = [optimism]
    return (
        better_light(of, primary, d, by_ranks=by_ranks),
        beyond_light(of, found or beyond_size(data, trained, of.by)),
        agree_light(of, reliability_of(trained, ranked_figure(shown, of.by)), chance),
    )


def ranked_figure(shown: Shown, by: Objective) -> ShownFigure:
    """Return the shown figure that networks are ranked by; what decides where it is none of them."""
    return next((figure for figure in shown.figures if figure.key == by.name), shown.primary)
