"""Means at the outputs of networks, and the closed form that they amount to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .moments import Array, Moments

_NEGLIGIBLE = 1e-8  # below this d / a, D is smaller than its own rounding errors, and than 1e-8 of d


@dataclass(frozen=True)
class ClosedForm:
    """Expectations over random networks, as base-10 logarithms; -inf for a dead network.

    Args:
        log10_sensitivity: Of E_θ[S].
        log10_output_power: Of E ‖f(x)‖².
        log10_relative_sensitivity: Of E ‖f(x+ε) − f(x)‖² / E Σ_k Var_x f_k(x), a ratio of expectations and without
            scale; nan if there is only one input.
    """

    log10_sensitivity: float
    log10_output_power: float
    log10_relative_sensitivity: float


@dataclass(frozen=True)
class Readout:
    """Means over inputs of the output's moments, in units exp(log_scale); arrays hold one entry per candidate."""

    n: int
    m: int
    n_outputs: int
    log_scale: Any
    power: Array  # E f_k²
    noise: Array  # d
    shift: Array  # D
    signal: Array  # Var_x f_k

    @classmethod
    def of(cls, out: Moments) -> Readout:
        """Return the means for output moments, (...) being a batch of candidates or nothing."""
        left, right = out.partners(out.variance)
        k = out.pair
        size = (-1,) if isinstance(out.log_scale, np.ndarray) else ()
        means = (
            out.variance[0].mean(axis=0),
            out.difference.mean(axis=0),
            (k[1, 1] - k[1, 0] - k[0, 1] + k[0, 0]).mean(axis=0),
            ((left[0] + right[0]) / 2 - k[0, 0]).mean(axis=0),
        )
        return cls(out.n, out.m, out.n_channels, out.log_scale, *(t.reshape(size) for t in means))


def result_of(parts: list[Readout]) -> ClosedForm:
    """Return the closed form from parts of the inputs."""
    log_scale = max(part.log_scale for part in parts)
    n, m = sum(part.n for part in parts), sum(part.m for part in parts)
    weights = [math.exp(part.log_scale - log_scale) for part in parts]

    def mean(name: str, count: str, total: int) -> Array:
        values = [
            w * getattr(part, count) / total * getattr(part, name) for part, w in zip(parts, weights, strict=True)
        ]
        return np.asarray(sum(values))

    whole = Readout(
        n,
        m,
        parts[0].n_outputs,
        np.array([log_scale]),
        mean("power", "n", n),
        mean("noise", "n", n),
        mean("shift", "m", m),
        mean("signal", "m", m),
    )
    return results_of(whole)[0]


def results_of(whole: Readout) -> list[ClosedForm]:
    """Return the closed form of every candidate of a batch."""
    power, noise, shift, signal = (np.atleast_1d(t) for t in (whole.power, whole.noise, whole.shift, whole.signal))
    variance = np.where(noise > _NEGLIGIBLE * power, np.maximum(noise - shift, 0.0), noise)
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = np.asarray(whole.log_scale) / math.log(10)
        columns = (
            np.log10(variance) + unit - math.log10(whole.n_outputs),
            np.log10(power) + unit + math.log10(whole.n_outputs),
            np.log10(noise) - np.log10(np.maximum(signal, 0.0)) if whole.n > 1 else np.full_like(noise, math.nan),
        )
    return [ClosedForm(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
