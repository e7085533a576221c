"""How many trainings would tell: sizes with which a test finds, four times out of five, what has been seen so far.

Symbol, meaning:

    p        share of the pairs in which a network of one group is better than one of the other (½: alike)
    rho      partial rank correlation with k quantities held fixed
    R        reliability, the share of the variance of means that is of networks and not of seeds
    z_q      quantile of the normal distribution

    ranks         power = Φ(√(12 n m / (n + m + 1)) |p - ½| - z_0.975)                              (Noether 1987)
    correlation   n = 3 + k + 1.06 ((z_0.975 + z_power) / atanh rho)²       (Fisher; 1.06: Fieller's, for ranks)
    reliability   (1 - R̂) / (1 - R) is as the inverse of F with n - 1 and n (seeds - 1) degrees of freedom
"""

from __future__ import annotations

import math

from scipy.special import fdtr, fdtri, ndtr, ndtri

from .rank_shift import CONFIDENCE, critical

POWER = 0.8
MOST = 1_000  # observations: a number beyond is no advice
_RANKS = 1.06


def power_of_ranks(n: int, m: int, better: float) -> float:
    """Return how probably a rank test of two groups finds a difference.

    Args:
        n: Observations of one group.
        m: Of the other.
        better: Share of pairs in which one group is the better one, from 0 to 1.
    """
    if min(n, m) < 1 or critical(n, m) < 0:
        return 0.0
    return float(ndtr(math.sqrt(12 * n * m / (n + m + 1)) * abs(better - 0.5) - ndtri((1 + CONFIDENCE) / 2)))


def sizes_for_ranks(n: int, m: int, better: float) -> tuple[int, int] | None:
    """Return the sizes, neither smaller than it is, of the smallest sum with which a rank test finds a difference.

    Args:
        n: Observations of one group.
        m: Of the other.
        better: See `power_of_ranks`.

    Returns:
        Both sizes, as equal as may be; None if more than `MOST` are needed.
    """
    for total in range(n + m, MOST + 1):
        n_then = min(max(n, total // 2), total - m)
        if power_of_ranks(n_then, total - n_then, better) >= POWER:
            return n_then, total - n_then
    return None


def size_for_correlation(rho: float, n_fixed: int = 0) -> int | None:
    """Return how many observations find a rank correlation.

    Args:
        rho: The correlation.
        n_fixed: How many quantities are held fixed.

    Returns:
        Their number; None if it is more than `MOST`.
    """
    z = ndtri((1 + CONFIDENCE) / 2) + ndtri(POWER)
    if abs(rho) >= 1:
        return 4 + n_fixed
    needed = math.inf if rho == 0 else 3 + n_fixed + _RANKS * (z / math.atanh(rho)) ** 2
    return math.ceil(needed) if needed <= MOST else None


def power_of_reliability(n: int, n_seeds: int, reliability: float, mark: float) -> float:
    """Return how probably the interval of a reliability lies on one side of a mark.

    Args:
        n: Networks.
        n_seeds: Seeds of each, at least two.
        reliability: The true one, below 1.
        mark: What it is compared with, below 1.
    """
    if n < 2:
        return 0.0
    between, within = n - 1, n * (n_seeds - 1)
    tail = (1 - CONFIDENCE) / 2
    ratio = (1 - reliability) / (1 - mark)
    if reliability > mark:
        return float(1 - fdtr(between, within, ratio * fdtri(between, within, 1 - tail)))
    return float(fdtr(between, within, ratio * fdtri(between, within, tail)))


def networks_for_reliability(n: int, n_seeds: int, reliability: float, mark: float) -> int | None:
    """Return how many networks, not fewer than there are, tell on which side of a mark their reliability is.

    Args:
        n: Networks with several seeds each.
        n_seeds: See `power_of_reliability`.
        reliability: See `power_of_reliability`.
        mark: See `power_of_reliability`.

    Returns:
        Their number; None if it is more than `MOST`.
    """
    if n_seeds < 2:
        return None
    enough = (k for k in range(max(n, 2), MOST + 1) if power_of_reliability(k, n_seeds, reliability, mark) >= POWER)
    return next(enough, None)
