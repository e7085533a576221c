"""What a rule that learns needs of a model, and the model: hypotheses averaged by how well they foretold outcomes.

The members (see ``hypotheses``) are Gaussian processes (see ``gaussian_process``), weighted by their prior probability
and by the marginal likelihood of what was trained, both in closed form. Nothing is optimised: with ten points a maximum
of the likelihood is an accident, while an average over a grid is not. So useless features are noticed, few points make
lines, more points bend them, and before there are any it is the prior that speaks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from .gaussian_process import Fit, fit_member, fit_members, precisions, whitened
from .hypotheses import RESIDUALS, hypotheses
from .kernel import OWN_SLOPES, Array, Kernels, Member, prior_mean, prior_variance
from .places import Places

MOST_MEMBERS, MOST_WEIGHT = 30, 0.98  # those that predictions are averaged over, once anything is trained


class Surrogate(Protocol):
    """A model of trained candidates: a weighted average of m members."""

    @property
    def weights(self) -> Array:
        """Weights of the members, which sum to 1, shape (m,)."""

    @property
    def residuals(self) -> Array:
        """Variances of an outcome that nothing explains, of every member, shape (m,)."""

    def predict(self, places: Places) -> tuple[Array, Array]:
        """Return mean and variance of what can be explained of N candidates' warped outcomes, shapes (m, N)."""

    def covariances(self, places: Places) -> Callable[[int], Array]:
        """Return a function from the number of one candidate to the covariances (m, N) of all of them with it."""


@dataclass(frozen=True)
class Average:
    """The average of hypotheses.

    Attributes:
        places: Where the trained candidates stand, n of them.
        fits: The m members that count.
        weights: Their weights, which sum to 1, shape (m,).
    """

    places: Places
    fits: tuple[Fit, ...]
    weights: Array

    @cached_property
    def residuals(self) -> Array:
        """Variances of an outcome that nothing explains, of every member, shape (m,)."""
        return np.array([one.member.residual * one.variance for one in self.fits])

    def predict(self, places: Places) -> tuple[Array, Array]:
        """Return mean and variance of what can be explained of N candidates' warped outcomes, shapes (m, N)."""
        means, variances = np.empty((2, len(self.fits), len(places)))
        for rows in _chunks(len(places)):
            part = places.part(rows)
            kernels = Kernels(part, self.places)
            for i, one in enumerate(self.fits):
                cross = kernels.of(one.member)
                means[i, rows] = prior_mean(one.member, part) + cross @ one.alpha
                rest = prior_variance(one.member, part) - (whitened(one.factor, cross) ** 2).sum(axis=0)
                variances[i, rows] = np.maximum(rest, 0.0) * one.variance
        return means, variances

    def covariances(self, places: Places) -> Callable[[int], Array]:
        """Return a function from the number of one candidate to the covariances (m, N) of all of them with it.

        Keeps m·N·n numbers in memory.
        """
        kernels = Kernels(places, self.places)
        white = [whitened(one.factor, kernels.of(one.member)) for one in self.fits]

        def with_one(j: int) -> Array:
            kernels = Kernels(places, places.part([j]))
            rows = [
                one.variance * (kernels.of(one.member)[:, 0] - w[:, j] @ w)
                for one, w in zip(self.fits, white, strict=True)
            ]
            return np.array(rows)

        return with_one

    def left_out_means(self, z: Array) -> Array:
        """Return what is expected of each trained candidate's outcome by the others alone, shape (n,).

        Args:
            z: The warped outcomes that it was fitted to, shape (n,); the weights know all of them.
        """
        return np.asarray(self.weights @ np.array([z - one.alpha / precisions(one.factor) for one in self.fits]))


def fit(names: tuple[str, ...], places: Places, z: Array, v: Array) -> Average:
    """Return the average fitted to trained candidates.

    Time grows as p·n³ and memory as n², for n trained candidates with p features.

    Args:
        names: Names of the features.
        places: Where the trained candidates stand, n of them; without any it is the prior.
        z: Warped outcomes, shape (n,).
        v: Their variances by measurement, shape (n,).
    """
    grid, log_prior = hypotheses(names, places.n_choices, has_groups=places.has_groups)
    # Factors are not kept: there may be hundreds of members.
    weights = _normalized(log_prior + [one.log_evidence for one in fit_members(grid, places, z, v)])
    kept = np.argsort(-weights, kind="stable")
    if len(z):
        kept = kept[: min(MOST_MEMBERS, 1 + int(np.searchsorted(np.cumsum(weights[kept]), MOST_WEIGHT)))]
    fits = tuple(fit_members([grid[i] for i in kept], places, z, v))
    return Average(places, fits, weights[kept] / weights[kept].sum())


def mixture(weights: Array, means: Array, variances: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation (N,) of an average of distributions (m, N)."""
    mean = weights @ means
    spread = (means - mean) ** 2
    return mean, np.sqrt(weights @ (variances + spread))


def slope(j: int, places: Places, z: Array, v: Array) -> tuple[float, float]:
    """Return posterior mean and standard deviation of the slope of z on one feature alone, within families.

    Of several families it is the mean over the trained candidates of the slopes of their families. The members are
    those with slopes of this feature and nothing else, without an expectation which way they go; see :func:`fit` for
    the arguments.
    """
    members = [Member((j,), residual) for residual in RESIDUALS]
    # The slope of family g is a common one plus its own, with variances 1 - own and own in units of the slopes' share.
    own = OWN_SLOPES if places.has_groups else 0.0
    shares = (places.groups[:, None] == places.groups[None, :]).mean(axis=1)  # of the trained, in the family of each
    prior = 1 - own + own * shares.mean()
    covariance = places.x[:, j] * (1 - own + own * shares)
    fits = [fit_member(member, places, z, v) for member in members]
    means, variances = np.empty((2, len(fits), 1))
    for i, one in enumerate(fits):
        share = 1 - one.member.residual
        means[i] = share * covariance @ one.alpha
        explained = share**2 * (whitened(one.factor, covariance[None]) ** 2).sum()
        variances[i] = max(0.0, share * prior - explained) * one.variance
    weights = _normalized(np.array([one.log_evidence for one in fits]))
    mean, sd = mixture(weights, means, variances)
    return float(mean[0]), float(sd[0])


def _normalized(log_weights: Array) -> Array:
    weights = np.exp(log_weights - log_weights.max())
    return np.asarray(weights / weights.sum())


def _chunks(n: int, size: int = 4096) -> list[slice]:
    return [slice(i, i + size) for i in range(0, n, size)]
