"""What a Gaussian process on the features of candidates takes for granted: the kernels of its members.

An outcome is taken to be

    z = offset + offset of the family + slopes · x + slopes of the family · x + smooth function of x + residual

with normal priors, so that the prior covariance is a sum of kernels: 1, [same family], shares of a linear and of a
Matérn-5/2 kernel (Rasmussen & Williams 2006, section 4.2), and the identity. Slopes live within families and offsets
between them: across families the same feature may go with the outcome the other way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Groups = NDArray[np.int64]

OWN_SLOPES = 0.5  # share of the slopes' variance that belongs to the families


@dataclass(frozen=True)
class Member:
    """What a Gaussian process assumes.

    Attributes:
        columns: The features it looks at.
        residual: Share of the prior variance that no feature explains, in (0, 1].
        smooth: Share of the rest that is a smooth function rather than slopes, in [0, 1].
        length: Length scale of the smooth function.
    """

    columns: tuple[int, ...] = ()
    residual: float = 1.0
    smooth: float = 0.0
    length: float = 1.0

    @property
    def slopes_share(self) -> float:
        """Share of the prior variance that slopes have."""
        return (1 - self.residual) * (1 - self.smooth)

    @property
    def smooth_share(self) -> float:
        """Share of the prior variance that the smooth function has."""
        return (1 - self.residual) * self.smooth


def kernel(member: Member, a: Array, b: Array, same: NDArray[np.bool_] | None, features: Array | None = None) -> Array:
    """Return the prior covariance, without residual, between candidates a (n_a, p) and b (n_b, p).

    Args:
        member: Whose.
        a: Features.
        b: Features.
        same: Which pairs are of one family, shape (n_a, n_b); None if there is only one.
        features: :func:`feature_kernel` of the same, if it is there already.
    """
    offsets = np.ones((len(a), len(b)))
    if same is not None:
        offsets += same
    features = feature_kernel(member, a, b, same) if features is None else features
    return offsets + (1 - member.residual) * features


def feature_kernel(member: Member, a: Array, b: Array, same: NDArray[np.bool_] | None) -> Array:
    """Return the part of :func:`kernel` that is due to features, per unit of what the residual leaves."""
    columns = list(member.columns)
    if not columns:
        return np.zeros((len(a), len(b)))
    a, b = a[:, columns], b[:, columns]
    part = a @ b.T * ((1 - member.smooth) / len(columns))
    if same is not None:
        part *= np.where(same, 1.0, 1 - OWN_SLOPES)
    if member.smooth:
        from sklearn.gaussian_process.kernels import Matern  # takes a second to import, which few commands need

        part += member.smooth * Matern(length_scale=member.length * np.sqrt(len(columns)), nu=2.5)(a, b)
    return part


def prior_variance(member: Member, x: Array, *, has_groups: bool) -> Array:
    """Return the diagonal of :func:`kernel` between candidates x (n, p) and themselves, shape (n,)."""
    offsets = 2.0 if has_groups else 1.0
    if not member.columns:
        return np.full(len(x), offsets)
    squares = (x[:, list(member.columns)] ** 2).mean(axis=1)
    return offsets + member.slopes_share * squares + member.smooth_share


def same_group(a: Groups, b: Groups) -> NDArray[np.bool_]:
    """Return which pairs of a (n_a,) and b (n_b,) are of one family, shape (n_a, n_b)."""
    return a[:, None] == b[None, :]
