"""Stiffness by classes and by distance of inputs (fort2019, figures 3 to 5).

Symbols:

    n, m    training and validation inputs
    K       classes
    B       bins of distance
    ξ       distance at which the line of least squares through stiffness within a class is 0
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from ..metrics.critical_length import fit_critical_length, input_distances
from ..metrics.stiffness import KINDS, as_kind, class_stiffness, gradient_cosines
from ._recording import Arrays, Recorded, Recording, needs_classes

MODES = ("train_train", "train_val", "val_val")
N_BINS, WIDTH = 20, 0.1  # of distances, which go from 0 to 2


def stiffness(model: nn.Module, recorded: Recorded) -> Arrays:
    """Return how the gradients of pairs of inputs agree, by their classes and by their distance.

    Source: fort2019 (arXiv:1901.09491), eq. 4–8, figures 3–5. The gradients of all inputs, and the products of all
    pairs, are computed once for all of it. Training labels are those that are trained on. For each of the pairs
    ``train_train``, ``train_val`` and ``val_val``, and each kind, ``sign`` and ``cosine``, the fields are, with both
    names before them (``train_val_sign``):

    - without more (K, K): the class stiffness matrix, rows being classes of the first set.
    - ``_within`` (), ``_between`` (): mean of its diagonal, and of what lies off it.
    - ``_by_distance`` (B,), ``_stderr`` (B,): mean over pairs of one class by their distance 1 − cos, and its standard
      error over pairs as if they were independent, which pairs that share an input are not.
    - ``_line`` (2,): intercept and slope of the line of least squares through these pairs.
    - ``_xi`` (): ξ of that line, none where it does not fall; of several trainings, of their mean line.

    ``distance`` (B,) has the middles of the bins.

    Raises:
        InvalidInputError: There are fewer than three pairs of one class.
    """
    (x_train, y_train), (x_val, y_val) = recorded.train, recorded.validation
    x, y = torch.cat([x_train, x_val]), torch.cat([y_train, y_val])
    cosines, distances = gradient_cosines(model, x, y), input_distances(x, x)
    n, n_classes = len(x_train), recorded.splits.n_outputs
    first, second = torch.arange(len(x), device=x.device).tensor_split([n])
    found: Arrays = {"distance": WIDTH * (torch.arange(N_BINS, dtype=torch.float64) + 0.5)}
    for mode, (a, b) in zip(MODES, ((first, first), (first, second), (second, second)), strict=True):
        pairs, apart = y[a][:, None] == y[b][None, :], distances[a][:, b]
        if a is b:
            pairs = pairs.triu(1)  # each pair once, and no input with itself
        for kind in KINDS:
            values, name = as_kind(cosines[a][:, b], kind), f"{mode}_{kind}"
            classes = class_stiffness(values, y[a], None if a is b else y[b])
            line = fit_critical_length(values, apart, pairs)
            mean, stderr = _binned(values[pairs], apart[pairs])
            found |= {
                name: _padded(classes.matrix, n_classes),
                f"{name}_within": torch.tensor(classes.within),
                f"{name}_between": torch.tensor(classes.between),
                f"{name}_by_distance": mean,
                f"{name}_stderr": stderr,
                f"{name}_line": torch.tensor([line.intercept, line.slope]),
            }
    return found


def _padded(matrix: torch.Tensor, n_classes: int) -> torch.Tensor:
    """Return a matrix of the first classes as one of all, not a number for the others."""
    whole = matrix.new_full((n_classes, n_classes), math.nan)
    whole[: len(matrix), : len(matrix)] = matrix
    return whole


def _binned(values: torch.Tensor, distances: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard error (B,) of values (n,) by distance (n,); not a number where there are too few."""
    place = (distances / WIDTH).long().clamp(max=N_BINS - 1)
    counts = torch.bincount(place, minlength=N_BINS)
    mean = torch.bincount(place, weights=values, minlength=N_BINS) / counts  # 0 / 0 = nan
    squares = torch.bincount(place, weights=(values - mean[place]).square(), minlength=N_BINS)
    return mean, torch.where(counts > 1, (squares / (counts - 1) / counts).sqrt(), torch.nan)


def over_seeds(seeds: Sequence[Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
    """Return means over the trainings that have a number, standard errors of these means, and ξ of the mean lines."""
    combined: dict[str, np.ndarray] = {}
    for name in seeds[0]:
        values = np.stack([one[name] for one in seeds])
        is_number, is_error = np.isfinite(values), name.endswith("_stderr")
        total = np.where(is_number, values**2 if is_error else values, 0.0).sum(axis=0)
        counts = is_number.sum(axis=0)
        combined[name] = np.where(counts > 0, (np.sqrt(total) if is_error else total) / np.maximum(counts, 1), np.nan)
    for name in [name for name in combined if name.endswith("_line")]:
        intercept, slope = combined[name]
        xi = max(0.0, -intercept / slope) if slope < 0 else math.nan
        combined[name.removesuffix("_line") + "_xi"] = np.array(xi)
    return {field: combined[field] for field in RECORDING.fields}


_PARTS = ("", "_within", "_between", "_by_distance", "_stderr", "_line", "_xi")
RECORDING = Recording(
    function=stiffness,
    fields=("distance", *(f"{mode}_{kind}{part}" for mode in MODES for kind in KINDS for part in _PARTS)),
    size=lambda n, splits: N_BINS + len(MODES) * len(KINDS) * (splits.n_outputs**2 + 2 * N_BINS + 5),
    source="Fort et al. 2019, arXiv:1901.09491, figures 3-5",
    combine=over_seeds,
    requirement=needs_classes,
)
