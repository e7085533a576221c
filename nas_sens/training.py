"""Training of one architecture on tensors that lie on the device: no data loader, one synchronisation an epoch."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as declared
from torch import nn
from torch.nn import functional

from .architectures import ArchitectureSpec
from .data import Splits, Task
from .identity import derive_seed, make_generator
from .metrics.output_sensitivity import evaluation_mode
from .records import STATUS_OK

Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0)]

_EVALUATION_BATCH = 2048


@declared(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
class TrainSpec:
    """How candidates are trained: by cross-entropy, or by the mean squared error for regression.

    Args:
        epochs: At most so many passes over the training set.
        optimizer: ``adam``, ``adamw`` or ``sgd``.
        learning_rate: Constant learning rate.
        weight_decay: As the optimizer of that name in PyTorch understands it.
        momentum: Of ``sgd``.
        batch_size: Samples a step.
        seeds: Trainings per candidate: initial weights, order of samples and dropout differ.
        stop_loss: Stop once the training loss has been under this for ``stop_epochs`` epochs; None for never
            (forouzesh2020 uses 1e-5 for 10 epochs).
        stop_epochs: See ``stop_loss``.
        table: CSV file in which outcomes are looked up instead of training anything (see :mod:`nas_sens.tabular`); in
            a study's file, a relative path may start from there. None for training.
    """

    epochs: Positive = 60
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: NotNegative = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    batch_size: Positive = 128
    seeds: Positive = 2
    stop_loss: Annotated[float, Field(gt=0)] | None = None
    stop_epochs: Positive = 10
    table: str | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one training came to.

    Losses are mean cross-entropies in nats and errors fractions of wrong predictions. For regression, losses are mean
    squared errors in the target's own units squared, and errors fractions of unexplained variance, 1 - R²: 0 is
    perfect, 1 no better than the mean target of that set, and it can be more. All in evaluation mode after the last
    epoch.

    Attributes:
        status: "ok", or why there are no figures.
        curve: Validation loss after each epoch.
        seconds: Wall-clock time.
        state: The trained weights, on the CPU.
    """

    train_loss: float = math.nan
    train_error: float = math.nan
    val_loss: float = math.nan
    val_error: float = math.nan
    test_loss: float = math.nan
    test_error: float = math.nan
    sensitivity: float = math.nan
    status: str = STATUS_OK
    curve: tuple[float, ...] = ()
    seconds: float = 0.0
    state: dict[str, torch.Tensor] = field(default_factory=dict, repr=False)


def train(
    architecture: ArchitectureSpec,
    splits: Splits,
    spec: TrainSpec,
    *,
    seed: int,
    sensitivity: Callable[[nn.Module], torch.Tensor] | None = None,
    on_epoch: Callable[[], None] | None = None,
) -> Outcome:
    """Return the outcome of training one architecture from its own initialisation.

    On the CPU the same arguments give the same outcome, bit for bit, with the same number of threads; the global random
    state is left as it was.

    Args:
        architecture: What to train.
        splits: Data on the device to train on; test figures are computed but decide nothing.
        spec: How to train.
        seed: Seed of this training.
        sensitivity: Measure of the trained network, in evaluation mode; None to leave it out.
        on_epoch: Called after every epoch.
    """
    start = time.perf_counter()
    device = splits.x_train.device
    model = architecture.build(
        splits.input_shape,
        splits.n_outputs,
        generator=make_generator("initial weights", architecture.digest, seed, device=device),
        device=device,
    )
    largest_batch = min(spec.batch_size, len(splits.x_train))
    if largest_batch < 2 and any(isinstance(m, nn.BatchNorm1d) for m in model.modules()):
        return Outcome(status="untrainable: batch normalisation needs batches of at least 2 samples; raise batch_size")
    optimizer = _make_optimizer(model, spec)
    order = make_generator("order of samples", architecture.digest, seed, device=device)
    curve: list[float] = []
    under = 0
    with _dropout_stream(device, derive_seed("dropout", architecture.digest, seed)):
        for epoch in range(1, spec.epochs + 1):
            train_loss = _train_epoch(model, optimizer, splits, spec.batch_size, order)
            val_loss = _evaluate(model, splits.x_val, splits.y_val, splits.task)[0]
            step_loss, val = torch.stack([train_loss, val_loss]).tolist()
            if not (math.isfinite(step_loss) and math.isfinite(val)):
                return Outcome(
                    status=f"diverged: the loss is not finite in epoch {epoch}; lower the learning rate",
                    curve=tuple(curve),
                    seconds=time.perf_counter() - start,
                )
            curve.append(val)
            if on_epoch is not None:
                on_epoch()
            under = under + 1 if spec.stop_loss is not None and step_loss < spec.stop_loss else 0
            if spec.stop_loss is not None and under >= spec.stop_epochs:
                break
    figures = _figures(model, splits)
    if sensitivity is not None:
        with torch.inference_mode(), evaluation_mode(model):
            figures["sensitivity"] = float(sensitivity(model))
    return Outcome(
        **figures,
        curve=tuple(curve),
        seconds=time.perf_counter() - start,
        state={k: v.detach().to("cpu").contiguous() for k, v in model.state_dict().items()},
    )


def _train_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, splits: Splits, batch_size: int, order: torch.Generator
) -> torch.Tensor:
    """Take one pass of gradient steps; return the mean loss over it, on the device."""
    model.train()
    x, y = splits.x_train, splits.y_train
    permutation = torch.randperm(len(x), generator=order, device=x.device)
    total = torch.zeros((), device=x.device)
    n = 0
    for rows in permutation.split(batch_size):
        if len(rows) == 1 and n > 0 and batch_size > 1:
            continue  # batch normalisation cannot train on a single sample that is left over
        loss = _loss(model(x[rows]), y[rows], splits.task)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(rows)
        n += len(rows)
    return total / n


def _loss(outputs: torch.Tensor, y: torch.Tensor, task: Task, reduction: str = "mean") -> torch.Tensor:
    if task == "regression":
        return functional.mse_loss(outputs, y.to(outputs.dtype), reduction=reduction)
    return functional.cross_entropy(outputs, y, reduction=reduction)


@torch.inference_mode()
def _evaluate(model: nn.Module, x: torch.Tensor, y: torch.Tensor, task: Task) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean loss and the error (see `Outcome`) in evaluation mode, on the device."""
    loss = torch.zeros((), device=x.device, dtype=torch.float64)
    wrong = torch.zeros((), device=x.device, dtype=torch.int64)
    with evaluation_mode(model):
        for xs, ys in zip(x.split(_EVALUATION_BATCH), y.split(_EVALUATION_BATCH), strict=True):
            logits = model(xs)
            loss += _loss(logits.double(), ys, task, "sum")
            if task == "classification":
                wrong += (logits.argmax(dim=1) != ys).sum()
    if task == "regression":
        targets = y.double()
        return (loss / len(x)).float(), loss / (targets - targets.mean()).square_().sum()
    return (loss / len(x)).float(), wrong.double() / len(x)


def _figures(model: nn.Module, splits: Splits) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for part in ("train", "val", "test"):
        loss, error = _evaluate(model, getattr(splits, f"x_{part}"), getattr(splits, f"y_{part}"), splits.task)
        figures[f"{part}_loss"], figures[f"{part}_error"] = float(loss), float(error)
    return figures


def _make_optimizer(model: nn.Module, spec: TrainSpec) -> torch.optim.Optimizer:
    parameters = list(model.parameters())
    common: dict[str, Any] = {"lr": spec.learning_rate, "weight_decay": spec.weight_decay, "fused": True}
    if spec.optimizer == "adam":
        return torch.optim.Adam(parameters, **common)
    if spec.optimizer == "adamw":
        return torch.optim.AdamW(parameters, **common)
    return torch.optim.SGD(parameters, momentum=spec.momentum, **common)


@contextmanager
def _dropout_stream(device: torch.device, seed: int) -> Iterator[None]:
    # Dropout takes no generator: give it a stream of its own and put the global one back afterwards.
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def mean_and_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and the sample standard deviation, None for a single value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
