"""A small model of latency, by which thousands of candidates are screened: times of what a forward pass is made of.

Symbol, meaning, shape:
    n         number of measured networks, a few dozen
    k         number of terms: 1, operations, bytes, layers of each kind
    a         (n, k)  terms of every network
    w         (k,)    milliseconds of a unit of each term, none of them negative
    a @ w     (n,)    latency
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from .footprint import KINDS, Footprint

_SURE = 0.9  # of further networks; see `LatencyModel.error`
_RIDGE = 1e-3  # relative to the measured ones: of terms that tell the same, all take part
Array = NDArray[np.float64]


@dataclass(frozen=True)
class LatencyModel:
    """A fitted model.

    Attributes:
        weights: Milliseconds of a unit of each term, shape (k,).
        error: Share of its latency within which nine in ten of other networks are predicted, from the errors of models
            that each did not see one of the measured networks.
    """

    weights: Array
    error: float

    def predict(self, terms: Array) -> float:
        """Return the latency of a network in milliseconds."""
        return float(terms @ self.weights)


def terms_of(flops: int, found: Footprint) -> Array:
    """Return what latency is made of: a constant, GFLOPs, MB of weights and of outputs, layers of each kind."""
    layers = [float(found.layers[kind]) for kind in KINDS]
    return np.array([1.0, flops / 1e9, found.weight_bytes / 1e6, found.output_bytes / 1e6, *layers])


def fit_latency(terms: Sequence[Array], milliseconds: Sequence[float]) -> LatencyModel:
    """Return the model with the smallest squares of relative errors.

    Args:
        terms: Of every measured network; see :func:`terms_of`.
        milliseconds: Its latency.
    """
    a, y = np.stack(terms), np.asarray(milliseconds, dtype=np.float64)
    others = ~np.eye(len(y), dtype=bool)
    left_out = np.array([a[i] @ _weights(a[rest], y[rest]) for i, rest in enumerate(others)]) if len(y) > 1 else y
    errors = np.sort(np.abs(left_out / y - 1))
    # Of n errors the next one is below the k-th smallest with probability k / (n + 1).
    return LatencyModel(_weights(a, y), float(errors[min(len(y), math.ceil(_SURE * (len(y) + 1))) - 1]))


def _weights(a: Array, y: Array) -> Array:
    relative = a / y[:, None]
    scale = np.abs(relative).mean(axis=0)
    scale[scale == 0] = 1.0
    k = a.shape[1]
    # Rows of the ridge: a term that no network has stays at 0.
    stacked = np.vstack([relative / scale, np.sqrt(_RIDGE * len(y)) * np.eye(k)])
    return np.asarray(nnls(stacked, np.concatenate([np.ones(len(y)), np.zeros(k)]))[0] / scale)
