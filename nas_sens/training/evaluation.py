"""Loss and error of a network on a set."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from ..core.device import in_double, where_doubles_are
from ..core.module_mode import evaluation_mode
from ..data import Task
from ..metrics.temperature import temperature as temperature_of
from ..study.train_spec import Loss
from .limits import LIMITS


def loss_of(outputs: torch.Tensor, y: torch.Tensor, loss: Loss, reduction: str = "mean") -> torch.Tensor:
    """Return the loss of outputs (n, K), its mean or sum over samples; ``mse`` is a mean over the K outputs.

    Args:
        outputs: Logits, or predictions of a regression.
        y: Labels int64 (n,), one-hot encoded for ``mse``, or targets of the shape of ``outputs``.
        loss: Which loss.
        reduction: ``mean`` or ``sum``.
    """
    if loss == "cross_entropy":
        return functional.cross_entropy(outputs, y, reduction=reduction)
    if not y.is_floating_point():
        y = functional.one_hot(y, outputs.shape[1])
    squares = functional.mse_loss(outputs, y.to(outputs.dtype), reduction=reduction)
    return squares if reduction == "mean" else squares / outputs.shape[1]


def n_wrong(outputs: torch.Tensor, y: torch.Tensor, task: Task) -> torch.Tensor:
    """Return the number of wrong predictions, or the sum of squared residuals of a regression, in float64."""
    if task == "regression":
        return (in_double(outputs) - in_double(y)).square().sum()
    return in_double((outputs.argmax(dim=1) != y).sum())


def error_scale(y: torch.Tensor, task: Task) -> torch.Tensor | int:
    """Return what :func:`n_wrong` of a whole set is divided by to give its error."""
    if task == "regression":
        targets = in_double(y)
        return (targets - targets.mean()).square_().sum()
    return len(y)


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    task: Task,
    loss: Loss,
    temperature: float = 1.0,
    batch_size: int = LIMITS.evaluation_batch,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean loss and the error (see `Outcome`) in evaluation mode, as float64 scalars.

    They are on the device, without waiting for it, unless it has no float64.

    Args:
        model: The network.
        x: Inputs.
        y: Labels or targets.
        task: What it is trained for.
        loss: Which loss.
        temperature: What outputs are divided by before the loss.
        batch_size: Inputs of a pass.
    """
    where = where_doubles_are(x.device)
    total = torch.zeros((), device=where, dtype=torch.float64)
    wrong = torch.zeros((), device=where, dtype=torch.float64)
    with evaluation_mode(model):
        for xs, ys in zip(x.split(batch_size), y.split(batch_size), strict=True):
            outputs = model(xs)
            total += loss_of(in_double(outputs) / temperature, ys.to(where), loss, "sum")
            wrong += n_wrong(outputs, ys, task)
    return total / len(x), wrong / error_scale(y, task)


@torch.inference_mode()
def fitted_temperature(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor, *, batch_size: int = LIMITS.evaluation_batch
) -> float:
    """Return the temperature that minimises the cross-entropy on a set; 1 where none does (all right, or all wrong)."""
    with evaluation_mode(model):
        logits = torch.cat([model(xs) for xs in x.split(batch_size)])
    value = temperature_of(logits, y)
    return value if 0 < value < math.inf else 1.0
