"""Loss and error of a network on a set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..core.device import in_double, where_doubles_are
from ..core.errors import InvalidInputError
from ..core.module_mode import evaluation_mode
from ..core.outputs import picked
from ..data import Task
from ..data.pictures import Pictures
from ..metrics.temperature import temperature as temperature_of
from ..study.train_spec import Loss
from .limits import LIMITS, Limits
from .ranks import ALONE, Ranks


def outputs_of(model: Callable[..., Any], x: torch.Tensor) -> torch.Tensor:
    """Return the outputs (n, K) of a network: of a dict or an object that it returns, its ``logits``.

    Raises:
        InvalidInputError: It returns something else.
    """
    found = picked(model(x), len(x))
    if found.ndim != 2:
        raise InvalidInputError(
            f"the trainer of nas_sens needs outputs (n, K), but a network gives {tuple(found.shape)} for {len(x)} "
            "inputs; name a trainer of your own by [train] trainer"
        )
    return found


def loss_of(
    outputs: torch.Tensor,
    y: torch.Tensor,
    loss: Loss,
    reduction: str = "mean",
    *,
    of_labels: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the loss of outputs (n, K), its mean or sum over samples, or of each of them (n,).

    ``mse`` is a mean over the K outputs, ``brier`` a sum over the K probabilities; the former is a mean as
    ``cross_entropy`` is with several labels at once, where it is binary.

    Args:
        outputs: Logits, or predictions of a regression.
        y: Labels int64 (n,), one-hot encoded for ``mse``, or targets of the shape of ``outputs``.
        loss: Which loss.
        reduction: ``mean``, ``sum`` or ``none``.
        of_labels: With several labels at once, what the loss of a true label is multiplied by (K,); None for nothing.

    Raises:
        InvalidInputError: Targets are of another shape than outputs.
    """
    if y.is_floating_point() and y.shape != outputs.shape:
        raise InvalidInputError(
            f"a network must give the {y.shape[1]} targets of each input; it gives {outputs.shape[1]} outputs"
        )
    if loss == "cross_entropy":
        if not y.is_floating_point():
            return functional.cross_entropy(outputs, y, reduction=reduction)
        several = functional.binary_cross_entropy_with_logits(
            outputs, y.to(outputs.dtype), reduction=reduction, pos_weight=of_labels
        )
        return (
            several.mean(1) if reduction == "none" else several if reduction == "mean" else several / outputs.shape[1]
        )
    if not y.is_floating_point():
        y = functional.one_hot(y, outputs.shape[1])
    if loss == "brier":
        distances = (outputs.softmax(dim=1) - y.to(outputs.dtype)).square().sum(dim=1)
        return distances if reduction == "none" else distances.mean() if reduction == "mean" else distances.sum()
    squares = functional.mse_loss(outputs, y.to(outputs.dtype), reduction=reduction)
    return squares.mean(1) if reduction == "none" else squares if reduction == "mean" else squares / outputs.shape[1]


def n_wrong(outputs: torch.Tensor, y: torch.Tensor, task: Task) -> torch.Tensor:
    """Return the number of wrong predictions, or the sums (K,) of squared residuals of a regression, in float64.

    With K labels at once, every wrong one is the K-th part of a wrong prediction.
    """
    if task == "regression":
        return (in_double(outputs) - in_double(y)).square().sum(dim=0)
    if task == "multilabel":
        return in_double(((outputs > 0) != (y > 0.5)).sum()) / y.shape[1]
    return in_double((outputs.argmax(dim=1) != y).sum())


def error_of(wrong: torch.Tensor, y: torch.Tensor, task: Task) -> torch.Tensor:
    """Return the error of a whole set from :func:`n_wrong`: a share, or 1 - R², the mean over K numbers to predict."""
    if task == "regression":
        targets = in_double(y)
        return (wrong / (targets - targets.mean(dim=0)).square_().sum(dim=0)).mean()
    return wrong / len(y)


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    x: torch.Tensor | Pictures,
    y: torch.Tensor,
    *,
    task: Task,
    loss: Loss,
    temperature: float = 1.0,
    limits: Limits = LIMITS,
    ranks: Ranks = ALONE,
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
        limits: How many inputs a pass takes.
        ranks: The processes that evaluate it together, each a part; all get the figures of the whole.
    """
    where = where_doubles_are(x.device)
    total = torch.zeros((), device=where, dtype=torch.float64)
    wrong = torch.zeros(y.shape[1:] if task == "regression" else (), device=where, dtype=torch.float64)
    size = limits.evaluated_at_once(x)
    with evaluation_mode(model):
        for xs, ys in _parts(x, y, size, ranks):
            outputs = outputs_of(model, xs)
            total += loss_of(in_double(outputs) / temperature, ys.to(where), loss, "sum")
            wrong += n_wrong(outputs, ys, task)
    return ranks.total(total) / len(x), error_of(ranks.total(wrong), y, task)


def _parts(
    x: torch.Tensor | Pictures, y: torch.Tensor, size: int, ranks: Ranks
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Return an iterator over this process's inputs and labels, so many a pass."""
    if ranks.size > 1:
        part = ranks.part(len(y))
        if part.start == part.stop:
            return iter(())
        x, y = x.select(part) if isinstance(x, Pictures) else x[part], y[part]
    return zip(x.split(size), y.split(size), strict=True)


@torch.inference_mode()
def fitted_temperature(
    model: nn.Module, x: torch.Tensor | Pictures, y: torch.Tensor, *, limits: Limits = LIMITS
) -> float:
    """Return the temperature that minimises the cross-entropy on a set; 1 where none does (all right, or all wrong)."""
    with evaluation_mode(model):
        logits = torch.cat([outputs_of(model, xs) for xs in x.split(limits.evaluated_at_once(x))])
    value = temperature_of(logits, y)
    return value if 0 < value < math.inf else 1.0
