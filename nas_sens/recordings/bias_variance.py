"""Bias and variance of every test input over the trainings of an architecture (forouzesh2020, eq. 4-6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from ..core.module_mode import evaluation_mode
from ._recording import Arrays, Recorded, Recording


def bias_variance(model: nn.Module, recorded: Recorded) -> Arrays:
    """Return what a network says of the test inputs, and their targets, which several trainings make one record of.

    Source: forouzesh2020, eq. 4–6. F_θ is the softmax of the logits, or the output of a regression. The fields of one
    training are ``outputs`` (n, K), ``predictions`` (n, K) and ``targets`` (n, K), one-hot for classes; those that are
    stored (:func:`over_seeds`), all (n,), are in squared units of F, the last one of the outputs f:

    - ``bias``: ‖E_θ F_θ(x) − y‖², without the bias that few trainings have; it may come out slightly negative.
    - ``variance``: Σ_k Var_θ F_θ^k(x), divided by the number of trainings less 1.
    - ``mse``: E_θ ‖F_θ(x) − y‖², the sum of both; its mean over all test inputs is the test loss of a regression.
    - ``output_variance``: Σ_k Var_θ f_θ^k(x) of the outputs before the softmax. Eq. 7 says that the variance grows as
      S, without bound, which that of probabilities cannot (it is below 1) and this one can.

    Their means are those of :func:`nas_sens.metrics.bias_variance.bias_variance`.
    """
    x, y = recorded.test
    with torch.no_grad(), evaluation_mode(model):
        outputs = model(x).double()
    if recorded.splits.task == "regression":
        return {"outputs": outputs, "predictions": outputs, "targets": y.double().reshape(outputs.shape)}
    targets = nn.functional.one_hot(y.long(), outputs.shape[1])
    return {"outputs": outputs, "predictions": outputs.softmax(dim=1), "targets": targets}


def over_seeds(seeds: Sequence[Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
    """Return the four arrays (n,) of several trainings; not a number where a variance needs two."""
    predictions = np.stack([one["predictions"] for one in seeds])  # (trainings, n, K)
    distance = (predictions.mean(axis=0) - seeds[0]["targets"]) ** 2
    variance = _variance(predictions)
    mse = ((predictions - seeds[0]["targets"]) ** 2).sum(axis=2).mean(axis=0)
    return {
        "bias": distance.sum(axis=1) - variance / len(predictions),
        "variance": variance,
        "mse": mse,
        "output_variance": _variance(np.stack([one["outputs"] for one in seeds])),
    }


def _variance(values: np.ndarray) -> np.ndarray:
    """Return the variance over trainings, summed over outputs, of values (trainings, n, K)."""
    deviations = ((values - values.mean(axis=0)) ** 2).sum(axis=(0, 2))
    return deviations / (len(values) - 1) if len(values) > 1 else np.full(len(deviations), np.nan)


RECORDING = Recording(
    function=bias_variance,
    fields=("bias", "variance", "mse", "output_variance"),
    size=lambda n, splits: 4 * min(n, len(splits.x_test)),
    source="Forouzesh et al. 2020, eq. 4-6, figures 5 and 10",
    combine=over_seeds,
)
