"""What a Gaussian process on candidates takes for granted: the kernels of its members.

An outcome is taken to be

    z = trend + offset + offset of the family + slopes · x + slopes of the family · x + smooth function of x + residual

with normal priors, so that the prior covariance is a sum of kernels: 1, [same family], shares of a linear and of a
Matérn-5/2 kernel (Rasmussen & Williams 2006, section 4.2), and the identity. Slopes live within families and offsets
between them: across families the same feature may go with the outcome the other way. The trend is a hypothesis: a
slope along one feature, or along capacity, that is expected before anything is known (see ``hypotheses``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .places import Array, Places

FEATURES, CHOICES = "features", "choices"
Group = int | str  # number of one feature, all of them, or all that was chosen

OWN_SLOPES = 0.5  # share of the slopes' variance that belongs to the families
TREND_SD = 0.2  # of the slope along a trend, in units of its largest possible value

# What a kernel is a sum of: "slopes" or "smooth" of a group, the latter with its length; "trend" along a feature.
Part = tuple[str, Group | None, float]


@dataclass(frozen=True)
class Member:
    """What a Gaussian process assumes.

    Attributes:
        groups: What it looks at, in equal shares.
        residual: Share of the prior variance that nothing explains, in (0, 1].
        smooth: Share of the rest that is a smooth function rather than slopes, in [0, 1].
        length: Length scale of the smooth function.
        trend: Expected slope along ``along`` in units of its largest possible value, √(1 − residual): positive if
            larger is expected to be better, which is a smaller outcome.
        along: The feature of the trend; None for capacity.
    """

    groups: tuple[Group, ...] = ()
    residual: float = 1.0
    smooth: float = 0.0
    length: float = 1.0
    trend: float = 0.0
    along: int | None = None

    @cached_property
    def shares(self) -> Mapping[Part, float]:
        """The parts of its kernel with their variances."""
        explained = 1 - self.residual
        each = explained / max(1, len(self.groups))
        shares: dict[Part, float] = {}
        for group in self.groups:
            shares["slopes", group, 0.0] = each * (1 - self.smooth)
            shares["smooth", group, self.length] = each * self.smooth
        if self.trend:
            shares["trend", self.along, 0.0] = explained * TREND_SD**2
        return {part: share for part, share in shares.items() if share}


class Kernels:
    """Prior covariances between candidates a and b; the parts that members share are computed once.

    Args:
        a: Candidates.
        b: Candidates.
    """

    def __init__(self, a: Places, b: Places) -> None:
        self._a, self._b = a, b
        self._same = a.groups[:, None] == b.groups[None, :] if a.has_groups else None
        self._offsets = np.ones((len(a), len(b))) + (0 if self._same is None else self._same)
        self._parts: dict[Part, Array] = {}

    def of(self, member: Member) -> Array:
        """Return the covariances that a member expects, without residual, shape (n_a, n_b)."""
        covariances = self._offsets.copy()
        for part, share in member.shares.items():
            covariances += share * self._part(part)
        return covariances

    def _part(self, part: Part) -> Array:
        if part not in self._parts:
            self._parts[part] = self._computed(*part)
        return self._parts[part]

    def _computed(self, kind: str, group: Group | None, length: float) -> Array:
        if kind == "trend":
            return np.outer(trend_of(self._a, group), trend_of(self._b, group))
        (a, n), (b, _) = columns_of(self._a, group), columns_of(self._b, group)
        if kind == "slopes":
            products = a @ b.T / n
            return products if self._same is None else products * np.where(self._same, 1.0, 1 - OWN_SLOPES)
        from sklearn.gaussian_process.kernels import Matern  # takes a second to import, which few commands need

        return np.asarray(Matern(length_scale=length * np.sqrt(n), nu=2.5)(a, b))


def prior_variance(member: Member, places: Places) -> Array:
    """Return the diagonal of a member's kernel between candidates and themselves, shape (n,)."""
    variance = np.full(len(places), 2.0 if places.has_groups else 1.0)
    for (kind, group, _), share in member.shares.items():
        if kind == "trend":
            variance += share * trend_of(places, group) ** 2
        elif kind == "slopes":
            columns, n = columns_of(places, group)
            variance += share * (columns**2).sum(axis=1) / n
        else:
            variance += share
    return variance


def prior_mean(member: Member, places: Places) -> Array:
    """Return the outcomes that a member expects before anything is known, shape (n,)."""
    if not member.trend:
        return np.zeros(len(places))
    return -member.trend * np.sqrt(1 - member.residual) * trend_of(places, member.along)


def columns_of(places: Places, group: Group | None) -> tuple[Array, int]:
    """Return the columns of a group, shape (n, d), and how many things they describe."""
    if group == CHOICES:
        return places.choices, max(1, places.n_choices)
    if group == FEATURES:
        return places.x, max(1, places.x.shape[1])
    return trend_of(places, group)[:, None], 1


def trend_of(places: Places, along: Group | None) -> Array:
    """Return what a trend goes along, shape (n,)."""
    return places.capacity if along is None else places.x[:, int(along)]
