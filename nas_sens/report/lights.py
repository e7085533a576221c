"""Three questions about a study, each answered in plain words with a light.

One rule decides, fixed beforehand: a light is green or red if and only if the 95 % interval that is shown with it lies
on one side of its mark, which is 0 for a difference and a correlation, and ½ for a reliability. If it does not, a light
is amber where so many networks would have shown a large effect four times out of five, and grey where they would not;
then it is said how many more would.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any, Literal

from ..core.candidates import REFINED, TrainedCandidate
from ..core.figures import Objective
from ..statistics.groups import Difference
from ..statistics.power import (
    POWER,
    networks_for_reliability,
    power_of_ranks,
    power_of_reliability,
    size_for_correlation,
    sizes_for_ranks,
)
from .equal_size import AtEqualSize, equal_size_text
from .numbers_as_text import count, interval_text
from .reliability import Reliability
from .shown_figures import ShownFigure
from .text import ranking_label
from .verdict import amount_text, group_text

Colour = Literal["green", "amber", "red", "grey"]
WORDS: dict[Colour, str] = {"green": "very likely", "amber": "no sign of it", "red": "no", "grey": "not enough to tell"}
# Effects that are called large: of two groups 0.8 standard deviations (Cohen), as a share of pairs; a correlation; a
# reliability on either side of its mark.
LARGE_SHARE, LARGE_CORRELATION, LARGE_RELIABILITY, SMALL_RELIABILITY = 0.714, 0.5, 0.8, 0.2
MARK = 0.5  # of a reliability: seeds explain as much as networks do
_MANY = 40  # networks, which nobody calls few
_FEWEST = 4  # of either group, with which something can be shown


@dataclass(frozen=True, kw_only=True)
class Light:
    """An answer to one question.

    Attributes:
        question: The question.
        colour: Of the light.
        answer: The answer in plain words, a sentence or two.
        evidence: The statistics that it rests on, a sentence each; the first one has the interval that decides.
        command: Arguments of nas-sens by which more would be known; None if there is no such command.
        is_asked: Whether the study can answer it at all.
    """

    question: str
    colour: Colour
    answer: str
    evidence: tuple[str, ...] = ()
    command: str | None = None
    is_asked: bool = True

    @property
    def verdict(self) -> str:
        """The answer in a word or a few, as a sentence."""
        return f"{WORDS[self.colour] if self.is_asked else 'not asked here'}.".capitalize()


BETTER, BEYOND, AGREE = "Better than choosing at random?", "Does S help beyond size?", "Would another seed agree?"


@dataclass(frozen=True, kw_only=True)
class Trainings:
    """What is asked about.

    Attributes:
        name: Name of the study.
        protocol: The study as stored.
        trained: Its trained candidates.
        by: What they are ranked by.
    """

    name: str
    protocol: Mapping[str, Any]
    trained: Sequence[TrainedCandidate]
    by: Objective

    @property
    def is_ours(self) -> bool:
        """Whether nas-sens can train more of it."""
        return "optuna" not in self.protocol

    @property
    def has_table(self) -> bool:
        """Whether outcomes are looked up, so that nothing is trained anew."""
        train = self.protocol.get("train")
        return isinstance(train, Mapping) and train.get("table") is not None

    @property
    def is_refinement(self) -> bool:
        """Whether it holds finalists of another study, and nothing that could be trained beside them."""
        return {t.chosen_by for t in self.trained if t.group == "selected"} == {REFINED}

    def number(self, group: str) -> int:
        """Return how many are trained of a group, whatever came of it."""
        return sum(t.group == group for t in self.trained)

    def command(self, **more: int) -> str | None:
        """Return the command that trains so many more of groups."""
        options = {"selected": "--top-k", "control": "--control"}
        parts = [f"{options[group]} {self.number(group) + n}" for group, n in more.items() if n > 0]
        return (
            f"train {quote(self.name)} {' '.join(parts)}" if self.is_ours and parts and not self.is_refinement else None
        )


def better_light(of: Trainings, figure: ShownFigure, d: Difference, *, by_ranks: str | None = None) -> Light:
    """Return whether what was selected is better than what was drawn at random.

    Args:
        of: The study.
        figure: The outcome that decides.
        d: Selected against control on that outcome, smaller being better; log10 for a loss.
        by_ranks: What the comparison shows in words, where it is by ranks of which pruned trainings are the last.
    """
    evidence = (f"{by_ranks[0].upper()}{by_ranks[1:]}." if by_ranks else group_text(figure, d),)
    if why := _not_asked(of):
        return Light(question=BETTER, colour="grey", answer=why, is_asked=False)
    if d.shift is None:
        selected, control = (max(0, _FEWEST - n) for n in (d.n_a, d.n_b))
        answer = (
            f"{_groups(d)}. To see anything, {_FEWEST} of each are needed at least: train {selected + control} more."
        )
        command = of.command(selected=selected, control=control)
        return Light(question=BETTER, colour="grey", answer=answer, evidence=evidence, command=command)
    seen = f"{_pairs(d)}, typically with {amount_text(figure, d.shift)}" if not by_ranks else _pairs(d)
    if d.verdict:
        worse = "" if d.verdict < 0 else "It is worse: "
        answer = f"{worse}A selected network is better than a random one in {seen}."
        return Light(question=BETTER, colour="green" if d.verdict < 0 else "red", answer=answer, evidence=evidence)
    if d.verdict == 0 and power_of_ranks(d.n_a, d.n_b, LARGE_SHARE) >= POWER:
        answer = f"{_groups(d)}, by which a large difference would have shown: the selected one is better in {seen}."
        return Light(question=BETTER, colour="amber", answer=answer, evidence=evidence)
    wanted = sizes_for_ranks(d.n_a, d.n_b, 0.5 + max(abs((d.smaller or 0.5) - 0.5), LARGE_SHARE - 0.5))
    selected, control = (0, 1) if wanted in (None, (d.n_a, d.n_b)) else (wanted[0] - d.n_a, wanted[1] - d.n_b)
    answer = (
        f"So far a selected network is better than a random one in {seen}, but {_groups(d, small=True)}. "
        f"{count(selected + control)} more would tell."
    )
    command = of.command(selected=selected, control=control)
    return Light(question=BETTER, colour="grey", answer=answer, evidence=evidence, command=command)


def beyond_light(of: Trainings, found: AtEqualSize) -> Light:
    """Return whether S says anything of the ranking that the size of networks does not say.

    Args:
        of: The study.
        found: What S adds to size.
    """
    if of.is_refinement:
        return Light(question=BEYOND, colour="grey", answer=_FINALISTS, is_asked=False)
    given, name = found.given_size, ranking_label(of.by)
    evidence = (equal_size_text(found, of.by),)
    rho = given.spearman
    if rho is not None and rho.excludes_zero:
        is_larger = rho.estimate > 0
        judged = "better" if is_larger == of.by.is_maximized else "worse"
        answer = (
            f"Among networks of equal size, a larger S goes with a {'larger' if is_larger else 'smaller'} {name}, "
            f"which is {judged}. S says it before anything is trained."
        )
        return Light(question=BEYOND, colour="green", answer=answer, evidence=evidence)
    large = size_for_correlation(LARGE_CORRELATION, 2) or 0
    if rho is not None and given.n >= large:
        answer = f"None among {given.n} networks, by which a large effect would have shown."
        return Light(question=BEYOND, colour="amber", answer=answer, evidence=evidence)
    seen = 0.0 if rho is None else abs(rho.estimate)
    wanted = size_for_correlation(max(seen, LARGE_CORRELATION), 2) or large
    more = max(1, wanted - given.n)
    few = "1 network is" if given.n == 1 else f"{given.n} networks are"
    answer = f"{few} few to hold size fixed: {count(more)} more would tell."
    if rho is None and given.n >= large:  # there are enough, but something is the same in all
        return Light(question=BEYOND, colour="grey", answer=f"It cannot be told: {given.reason}.", evidence=evidence)
    return Light(question=BEYOND, colour="grey", answer=answer, evidence=evidence, command=of.command(control=more))


def agree_light(of: Trainings, found: Reliability, more_evidence: Sequence[str] = ()) -> Light:
    """Return whether trainings with other seeds would put the networks in the same order.

    Args:
        of: The study.
        found: How reliable the figure is that they are ranked by.
        more_evidence: What else is known of it; of a refinement, what came of its finalists, what remains last.
    """
    ok = [t for t in of.trained if t.is_ok]
    n_seeds = min((t.n_seeds for t in ok), default=1)
    can_refine = of.is_ours and not of.has_table and bool(ok)
    refine = f"refine {quote(of.name)} --finalists {min(3, len(ok))}" if can_refine else None
    if of.is_refinement and found.value is None and more_evidence:
        answer, evidence = more_evidence[-1], tuple(more_evidence)
        return Light(question=AGREE, colour="grey", answer=answer, evidence=evidence, is_asked=False)
    if n_seeds < 2:
        answer = "Each network was trained with one seed. Training the best three again would tell."
        return Light(question=AGREE, colour="grey", answer=answer, evidence=tuple(more_evidence), command=refine)
    if found.value is None or found.swapped is None:
        answer = f"{found.reason[:1].upper()}{found.reason[1:]}." if found.reason else ""
        more = max(0, 5 - found.n)
        command = of.command(control=more) if more else None
        return Light(question=AGREE, colour="grey", answer=answer, evidence=tuple(more_evidence), command=command)
    value, swapped = found.value, f"{100 * found.swapped:.0f} of 100 pairs of networks"
    evidence = (
        f"Reliability of the {ranking_label(of.by)} over {found.n} networks of {n_seeds} seeds or more: "
        f"{interval_text(value)}; its mark is ½, where seeds make as much of a difference as networks do.",
        *more_evidence,
    )
    if value.low > MARK:
        answer = f"Trained again with other seeds, {swapped} would change places."
        return Light(question=AGREE, colour="green", answer=answer, evidence=evidence)
    if value.high < MARK:
        answer = f"Seeds make more of a difference than networks do; {swapped} would change places."
        return Light(question=AGREE, colour="red", answer=answer, evidence=evidence, command=refine)
    assumed = LARGE_RELIABILITY if value.estimate >= MARK else SMALL_RELIABILITY
    seen = max(value.estimate, assumed) if value.estimate >= MARK else min(value.estimate, assumed)
    if power_of_reliability(found.n, n_seeds, assumed, MARK) >= POWER:
        answer = f"Seeds make about as much of a difference as networks do: {swapped} would change places."
        return Light(question=AGREE, colour="amber", answer=answer, evidence=evidence, command=refine)
    wanted = networks_for_reliability(found.n, n_seeds, min(seen, 0.999), MARK) or found.n
    more = max(1, wanted - found.n)
    answer = (
        f"It looks as if {swapped} would change places. {count(more)} more networks would tell, or "
        "the best ones trained again."
    )
    return Light(question=AGREE, colour="grey", answer=answer, evidence=evidence, command=of.command(control=more))


_FINALISTS = "These are finalists of another study, whose report says it."


def _not_asked(of: Trainings) -> str:
    """Return why the question whether selection helps has no answer here; "" if it may have one."""
    trained = of.trained
    rules = {t.chosen_by for t in trained if t.group == "selected"}
    if not trained:
        return "Nothing has been trained yet."
    if of.is_refinement:
        return _FINALISTS
    if rules == {"random"}:
        return "The rule chose at random itself."
    if all(t.group == "other" for t in trained):
        return "It cannot be told: no trained network was selected by S, and none was drawn at random to compare with."
    return ""


def _groups(d: Difference, *, small: bool = False) -> str:
    text = f"{d.n_a} selected and {d.n_b} random network{'' if d.n_b == 1 else 's'}"
    few = " are few" if d.n_a + d.n_b < _MANY else ""
    return f"{text}{few}" if small or few else f"There are {text}"


def _pairs(d: Difference) -> str:
    n_pairs = d.n_a * d.n_b
    better = (d.smaller or 0.0) * n_pairs
    shown = count(round(better)) if math.isclose(better, round(better)) else f"{better:.1f}"
    return f"{shown} of {count(n_pairs)} pairs" if n_pairs <= 1000 else f"{100 * (d.smaller or 0.0):.0f} % of pairs"
