"""Coefficients of many observations and their intervals in O(n log n), without resamples: an infinitesimal jackknife.

Symbol, meaning, shape:

    c        how often each observation occurs in a resample (see `bootstrap`)                       (n,)
    r(c)     a coefficient as a function of them
    u        influences: ∂r / ∂c at c = 1; they sum to 0                                             (n,)

The linear part of r(c) has the variance Σ u² over resamples (Efron 1982, "The jackknife, the bootstrap and other
resampling plans", chapter 6), and the rest of it is of order 1/n. So of hundreds of observations an interval from u is
what the bootstrap comes to, but for skewness, which Fisher's z = artanh r takes away, and for its Monte-Carlo error.
Resamples of ranks need each an order of its own, and those of Kendall's tau all pairs. With a the sum over j of
sign(x_i - x_j), so b of y, and t how many are equal to each:

    Pearson      mean(v w)             for v, w of mean 0 and variance 1
    Spearman     Σ a b / √(Σ a² Σ b²)                         Σ a² = (n³ - Σ t²) / 3
    Kendall      Σ_ij sign(x_i - x_j) sign(y_i - y_j) / √(U_x U_y)      U = n² - Σ t
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from .bootstrap import Array
from .concordance import concordances, larger_less_smaller_sums, numbers_equal, smaller_less_larger
from .interval import Interval

_CERTAIN = 1e-12  # 1 - r² below which all resamples agree


@dataclass(frozen=True)
class Influenced:
    """A coefficient and its influences.

    Attributes:
        value: The coefficient.
        influences: By observation, shape (n,).
    """

    value: float
    influences: Array

    @property
    def standard_error(self) -> float:
        """The standard deviation over resamples."""
        return float(np.sqrt(self.influences @ self.influences))

    def interval(self, confidence: float) -> Interval:
        """Return the coefficient with its interval."""
        half = float(ndtri((1 + confidence) / 2)) * self.standard_error
        return Interval(self.value, self.value - half, self.value + half)

    def correlation_interval(self, confidence: float) -> Interval:
        """Return a correlation with its interval, which is symmetric on Fisher's scale and stays within -1 and 1."""
        value = min(1.0, max(-1.0, self.value))
        rest = 1 - value * value
        if rest < _CERTAIN:
            return Interval(value, value, value)
        z, half = np.arctanh(value), float(ndtri((1 + confidence) / 2)) * self.standard_error / rest
        return Interval(value, float(np.tanh(z - half)), float(np.tanh(z + half)))


def pearson(x: Array, y: Array) -> Influenced:
    """Return Pearson's r of x and y (n,), neither constant nor so large that squares overflow."""
    v, w = ((values - values.mean()) / values.std() for values in (x, y))
    r = float(np.mean(v * w))
    return Influenced(r, (v * w - r * (v * v + w * w) / 2) / x.size)


def spearman(x: Array, y: Array) -> Influenced:
    """Return Spearman's rho of x and y (n,), neither constant."""
    n, a, b = float(x.size), smaller_less_larger(x), smaller_less_larger(y)
    unit = np.sqrt((a @ a) * (b @ b))
    rho = float(a @ b / unit)
    numerator = a * b + larger_less_smaller_sums(x, b) + larger_less_smaller_sums(y, a)
    squares = (n * n - numbers_equal(x) ** 2) / (a @ a) + (n * n - numbers_equal(y) ** 2) / (b @ b)
    return Influenced(rho, numerator / unit - rho / 2 * squares)


def kendall(x: Array, y: Array) -> Influenced:
    """Return Kendall's tau-b of x and y (n,), neither constant."""
    untied_x, untied_y = (x.size - numbers_equal(values) for values in (x, y))
    agreements = concordances(x, y)
    unit = np.sqrt(untied_x.sum() * untied_y.sum())
    tau = float(agreements.sum() / unit)
    squares = untied_x / untied_x.sum() + untied_y / untied_y.sum()
    return Influenced(tau, 2 * agreements / unit - tau * squares)


def partial(xy: Influenced, xz: Influenced, yz: Influenced) -> tuple[Influenced, Influenced]:
    """Return the partial correlation of x and y given z, and the slope of x beside z, from correlations (`beside`)."""
    left_x, left_y = 1 - xz.value**2, 1 - yz.value**2
    unit = np.sqrt(left_x * left_y)
    shared = xy.value - xz.value * yz.value
    of_shared = xy.influences - xz.value * yz.influences - yz.value * xz.influences
    of_x, of_y = 2 * xz.value * xz.influences / left_x, 2 * yz.value * yz.influences / left_y
    r, slope = float(shared / unit), float(shared / left_x)
    return (
        Influenced(r, of_shared / unit + r * (of_x + of_y) / 2),
        Influenced(slope, of_shared / left_x + slope * of_x),
    )


def slope(u: Array, v: Array) -> Influenced:
    """Return the least-squares slope of v on u, both of mean 0 and shape (n,)."""
    squares = u @ u
    found = float(u @ v / squares)
    return Influenced(found, u * (v - found * u) / squares)


def mean_difference(a: Array, b: Array) -> Influenced:
    """Return the mean of a (n_a,) minus the mean of b (n_b,), which are resampled independently of each other."""
    influences = np.concatenate([(a - a.mean()) / a.size, (b.mean() - b) / b.size])
    return Influenced(float(a.mean() - b.mean()), influences)
