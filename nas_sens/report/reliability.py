"""How far a ranking would repeat itself with other seeds: differences between networks against the spread over seeds.

Symbol, meaning, shape:

    m_i, s_i, k_i   mean over seeds of network i, standard deviation over its seeds, number of seeds        (n,)
    R               reliability, the correlation to expect between these means and those of as many new seeds

    R = 1 - mean(s_i² / k_i) / var(m)          (the intraclass correlation of means)

Numerator and denominator of the fraction are unbiased. If means and seeds are normal, two trainings of all networks put
a share arccos(R)/π of the pairs in different order (Kendall's tau of a bivariate normal is 1 - 2 arccos(R)/π).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.candidates import ScoredCandidate, TrainedCandidate
from ..statistics.bootstrap import Array, percentile_intervals
from ..statistics.correlations import Observations, as_floats
from ..statistics.interval import Interval
from .outcomes import SENSITIVITY, in_order
from .shown_figures import ShownFigure

MIN_NETWORKS = 5
_N_RESAMPLES = 2000
_WORK = 2_000_000  # resamples times networks: an interval over 100,000 candidates needs few resamples to be narrow


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """How reliable the order of ``n`` networks is; None, with the ``reason`` in words, where that cannot be said.

    Attributes:
        n: Number of networks with several seeds.
        value: R with its bootstrap interval over networks.
        swapped: Share of the pairs of networks that are expected to change places with new seeds, from 0 to ½.
        ceiling: √R, the correlation with the means that a perfect measure of the truth would be expected to have.
        reason: Why there are no numbers.
    """

    n: int
    value: Interval | None = None
    swapped: float | None = None
    ceiling: float | None = None
    reason: str | None = None


def reliability(
    means: Observations, sds: Observations, n_seeds: Observations, *, seed: int = 0, confidence: float = 0.95
) -> Reliability:
    """Return how reliable the order of networks by their means over seeds is.

    Args:
        means: Mean over seeds of each network, shape (n,).
        sds: Sample standard deviation over seeds, shape (n,); networks without one, or without a mean, are left out.
        n_seeds: Number of seeds, shape (n,).
        seed: Seed of the bootstrap.
        confidence: Confidence level of the interval.
    """
    m, s, k = (as_floats(values) for values in (means, sds, n_seeds))
    is_usable = np.isfinite(m) & np.isfinite(s) & (k >= 2)
    m, noise = m[is_usable], s[is_usable] ** 2 / k[is_usable]
    n = m.size
    if n < MIN_NETWORKS:
        return Reliability(n=n, reason=f"too few networks with two seeds or more: {n}, at least {MIN_NETWORKS} needed")
    if m.min() == m.max():
        return Reliability(n=n, reason=f"all {n} means are equal")
    unit = np.ptp(m)
    m, noise = (m - m.mean()) / unit, noise / unit**2
    (value,) = percentile_intervals(
        lambda counts: _reliability(counts, m, noise),
        n,
        n_resamples=max(100, min(_N_RESAMPLES, _WORK // n)),
        seed=seed,
        confidence=confidence,
    )
    share = min(1.0, max(0.0, value.estimate))
    return Reliability(n=n, value=value, swapped=math.acos(share) / math.pi, ceiling=math.sqrt(share))


def reliabilities(
    candidates: Sequence[ScoredCandidate], trained: Sequence[TrainedCandidate], figures: Sequence[ShownFigure]
) -> Mapping[str, Reliability]:
    """Return the reliability of every outcome over the trained networks, and of the score over all candidates.

    Losses are compared as log10 elsewhere, so their spread is carried over: sd(log10 L) ≈ sd(L) / (L ln 10).
    """
    found = {figure.scaled_label: reliability_of(trained, figure) for figure in figures}
    scored = sorted((c for c in candidates if c.is_ok and c.stderr is not None), key=lambda c: c.digest)
    # A standard error is an sd over √k already, and says that there were several networks.
    scores, stderrs = as_floats([c.log10_sensitivity for c in scored]), as_floats([c.stderr for c in scored])
    found[SENSITIVITY] = reliability(scores, stderrs * math.sqrt(2), np.full(len(scored), 2))
    return found


def reliability_of(trained: Sequence[TrainedCandidate], figure: ShownFigure) -> Reliability:
    """Return the reliability of one outcome over the trained networks; see :func:`reliabilities`."""
    ok = in_order(trained)
    means, sds = as_floats([t.figure(figure.key) for t in ok]), as_floats([t.figure_sd(figure.key) for t in ok])
    if figure.kind == "loss":
        means, sds = _log10_with_sd(means, sds)
    return reliability(means, sds, [t.n_seeds for t in ok])


def _log10_with_sd(means: Array, sds: Array) -> tuple[Array, Array]:
    positive = np.where(np.isfinite(means) & (means > 0), means, np.nan)
    return np.log10(positive), sds / (positive * math.log(10))


def _reliability(counts: Array, means: Array, noise: Array) -> Array:
    """Return R of every resample, shape (B,), for means around zero; NaN where all means of a resample are equal."""
    n = means.size
    variance = (counts @ means**2 - (counts @ means) ** 2 / n) / (n - 1)
    return np.asarray(1 - counts @ noise / n / np.where(variance > 1e-12 * means.var(), variance, np.nan))
