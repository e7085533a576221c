"""The hypotheses that compete: which features matter, how much, and which way. All are stated before anything is known.

Members of the average (see ``surrogate``) look at nothing, at one feature, at all features, at what was chosen in the
search space, or at both. Each is there three times: without an expectation which way it goes, with that larger is
better, and with that smaller is better; for one feature along this feature, for the others along capacity, which is
the mean rank of what grows with it. So "train the largest", "train the smallest", and the same of every measure, are
hypotheses like the others, and what is trained decides between them.

Before anything is known "more capacity is better" is 2.5 times as likely as its opposite: on most tables that we know
it is true, on some it is false. A few trainings overrule that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .kernel import CHOICES, FEATURES, Array, Group, Member
from .places import CAPACITY

# Shares of a unit of prior variance; what the residual leaves is split between slopes and the smooth function.
RESIDUALS = (0.7, 0.4, 0.15, 0.04)
SMOOTHS = (0.0, 0.5)
LENGTH = 1.5  # in root mean squared distance per feature, whose standard deviation is about 1
TREND = 0.9  # slope of a hypothesis in units of its largest possible value
NO_WAY, USUAL_WAY, OTHER_WAY = 0.3, 0.5, 0.2  # prior probabilities of a trend
LARGER_IS_BETTER = (*CAPACITY, "jacob_cov")  # beside capacity, what its source says so of


def hypotheses(names: Sequence[str], n_choices: int, *, has_groups: bool) -> tuple[list[Member], Array]:
    """Return the members and the logarithms of their prior weights; the first one looks at nothing.

    No feature, any one, all, the choices, and both together are equally likely.

    Args:
        names: Names of the features.
        n_choices: Number of choices that vary.
        has_groups: Whether the pool has more than one family.
    """
    looks: list[tuple[Group, ...]] = [(), *((j,) for j in range(len(names)))]
    if len(names) > 1:
        looks.append((FEATURES,))
    if n_choices:
        looks += [(CHOICES,), (FEATURES, CHOICES)] if names else [(CHOICES,)]
    grid: list[Member] = []
    log_prior: list[float] = []
    for groups in looks:
        along = groups[0] if len(groups) == 1 and isinstance(groups[0], int) else None
        usual, other = USUAL_WAY, OTHER_WAY
        if along is not None and names[along] not in LARGER_IS_BETTER:
            usual = other = (USUAL_WAY + OTHER_WAY) / 2
        for trend, probability in ((0.0, NO_WAY), (TREND, usual), (-TREND, other)):
            members = _shapes(groups, trend, along, has_groups=has_groups)
            grid += members
            log_prior += [float(np.log(probability / len(members)))] * len(members)
    return grid, np.array(log_prior)


def _shapes(groups: tuple[Group, ...], trend: float, along: int | None, *, has_groups: bool) -> list[Member]:
    """Return the members that look at some groups with a trend."""
    along = along if trend else None
    if not groups and not trend and not has_groups:
        return [Member()]
    smooths = SMOOTHS if groups else (0.0,)
    return [
        Member(groups, residual, smooth, LENGTH if smooth else 1.0, trend, along)
        for smooth in smooths
        for residual in RESIDUALS
    ]
