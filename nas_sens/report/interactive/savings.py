"""What the search saved against training every candidate, and against training at random."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.stats import binomtest

from ...core.candidates import ScoredCandidate, TrainedCandidate
from ...core.figures import Objective
from ..numbers_as_text import count, number
from .points import n_scored
from .random_band import LEAST, loss_of_training


def savings_lines(
    candidates: Sequence[ScoredCandidate], trained: Sequence[TrainedCandidate], by: Objective
) -> list[str]:
    """Return in words what was saved against training all candidates and against drawing them at random.

    What one training takes is the mean of the control group, which is a random sample of the candidates; without one
    it is the mean of all, and says so.
    """
    return [*_against_all(candidates, trained), *_against_random(trained, by)]


def _against_all(candidates: Sequence[ScoredCandidate], trained: Sequence[TrainedCandidate]) -> list[str]:
    n_all, n = n_scored(candidates), len(trained)
    if not n or n_all <= n:
        return []
    text = f"{count(n)} of {count(n_all)} candidates were trained: {count(n_all - n)} trainings were saved"
    control = [t.seconds for t in trained if t.group == "control" and t.seconds]
    known = control or [t.seconds for t in trained if t.seconds]
    if not known:
        return [text + "."]
    spent, one = sum(t.seconds or 0.0 for t in trained), sum(known) / len(known)
    whose = "as the control group took" if control else "as those trained took"
    return [
        f"{text}, some {duration((n_all - n) * one)} at {duration(one)} each, {whose} on average; all trainings here "
        f"took {duration(spent)}."
    ]


def _against_random(trained: Sequence[TrainedCandidate], by: Objective) -> list[str]:
    """Return how many random trainings would be needed for as good a network, and whether that is more.

    The share of random networks that are as good has Clopper and Pearson's 95 % interval, and so has its inverse, the
    mean number of draws until there is one. Something was saved, or lost, only if that interval says so.
    """
    selected = [loss_of_training(t, by) for t in trained if t.group == "selected"]
    control = [loss_of_training(t, by) for t in trained if t.group == "control"]
    if len(control) < LEAST or not selected or math.isinf(best := min(selected)):
        return []
    k, m, n = sum(v <= best for v in control), len(control), len(selected)
    interval = binomtest(k, m).proportion_ci(0.95)
    least, most = 1 / interval.high, 1 / interval.low if k else math.inf
    begin = f"As good as the best of {count(n)} selected networks: {count(k)} of {count(m)} random ones. At random it"
    needed = f"takes {count(round(m / k))} trainings on average" if k else "takes"
    bounds = f"{count(round(least))} to {count(round(most))}" if k else f"{count(round(least))} or more"
    if least > n:
        verdict = f"so at least {count(round(least - n))} trainings were saved"
    elif most < n:
        verdict = "so selection saved none here"
    else:
        verdict = "which is not enough to tell whether selection saved any"
    text = f"{begin} {needed} (95 % interval {bounds})" if k else f"{begin} {needed} {bounds} trainings (95 % sure)"
    return [f"{text}, {verdict}."]


def duration(seconds: float) -> str:
    """Return a time with the unit that suits it, such as ``3.2 h``."""
    for size, unit in ((86_400.0, "days"), (3_600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{number(seconds / size, 2 if seconds < 99.5 * size else 3)} {unit}"
    return f"{number(seconds, 2)} s"
