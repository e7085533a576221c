"""A training in progress: everything that the next epoch depends on, so that it can be written down and taken up."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from ..architectures import ArchitectureSpec
from ..core.candidates import EPOCH_CURVES
from ..core.device import mixed_type
from ..core.identity import derive_seed, make_generator
from ..core.inputs import is_plain
from ..core.random_state import seed_stream, set_stream_state, stream_state
from ..data import Splits
from ..data.timm_pictures import transformed
from ..study.train_spec import TrainSpec
from .evaluation import evaluate
from .gradient_steps import GradientSteps
from .label_noise import noisy_labels
from .limits import LIMITS, Limits
from .metrics_in_training import measure_in_training
from .networks import untrained
from .optimizers import make_optimizer
from .ranks import ALONE, Ranks
from .recordings_in_training import record_in_training
from .schedule import make_schedule
from .weights import loss_weights


class TrainingRun:
    """A training of one architecture from its own initialisation or given weights; dropout has the global stream.

    Args:
        architecture: What to train.
        splits: Data on the device to train on.
        spec: How to train.
        seed: Seed of this training.
        limits: How the work is cut up.
        start: Weights to begin from; None for its own initialisation.
        ranks: The processes that train it together, all of which make such a run.

    Attributes:
        model: The network that is trained.
        kept: The network that is evaluated and kept: the same, or the average of its weights so far.
        curves: Figures after each epoch, by the names in ``EPOCH_CURVES``.
        measured_epochs: Epochs after which ``[train] metrics`` was taken; so ``measure_curves`` and
            ``measure_problems`` (see `Outcome`).
        records: What ``[train] recordings`` keeps (see `Outcome`).
        is_over: Whether no epoch is left.
        problem: Why the training failed; "" if it did not.
    """

    def __init__(
        self,
        architecture: ArchitectureSpec,
        splits: Splits,
        spec: TrainSpec,
        *,
        seed: int,
        limits: Limits = LIMITS,
        start: Mapping[str, torch.Tensor] | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self._ranks, self._digest = ranks, architecture.digest
        self._start = time.perf_counter()
        self._splits, self._spec, self._seed, self._limits = splits, spec, seed, limits
        self._device = splits.x_train.device

        def stream(purpose: str) -> torch.Generator:
            return make_generator(purpose, architecture.digest, seed, device=self._device)

        self.model = untrained(architecture, splits, seed=seed, device=self._device)
        if start is not None:
            self.model.load_state_dict(start)
        is_mixed = mixed_type(self._device, spec.precision) is not None
        self._format = memory_format(self.model, splits.input_shape, self._device, limits, is_mixed=is_mixed)
        self.model.to(memory_format=self._format)
        self._wrapped = ranks.wrapped(self.model, lambda: splits.x_train[:2])
        self._average = None if spec.ema_decay is None else _average_of(self.model, spec.ema_decay)
        self.kept: nn.Module = self.model if self._average is None else self._average.module
        self._order, self._moves = stream("order of samples"), stream("augmentation")
        self._x_train = splits.x_train
        if spec.timm_transform is not None:
            self._x_train = transformed(splits, spec.timm_transform)
        self._noisy_y = splits.y_train
        if spec.label_noise > 0:  # the same for all architectures
            generator = make_generator("label noise", seed, device=self._device)
            self._noisy_y = noisy_labels(
                splits.y_train, share=spec.label_noise, n_classes=splits.n_outputs, generator=generator
            )
        self.curves: dict[str, list[float]] = {name: [] for name in EPOCH_CURVES}
        self.measured_epochs: list[int] = []
        self.measure_curves: dict[str, list[float | None]] = {name: [] for name in spec.measured}
        self.measure_problems: dict[str, str] = {}
        self.records: dict[str, dict[int, dict[str, torch.Tensor]]] = {}
        self.is_over, self.problem = False, ""
        self._n_under = 0  # epochs in a row with a training loss under stop_loss
        self._seconds = 0.0  # of earlier processes
        self._begin_phase()
        self._check_batches()

    @property
    def n_done(self) -> int:
        """Number of epochs that are done."""
        return len(self.curves["val_loss"])

    @property
    def y_train(self) -> torch.Tensor:
        """The training labels of the next epoch."""
        return self._splits.y_train if self._is_clean else self._noisy_y

    @property
    def seconds(self) -> float:
        """Wall-clock time so far, of earlier processes too."""
        return self._seconds + time.perf_counter() - self._start

    @property
    def _is_clean(self) -> bool:
        return self._spec.noisy_epochs is not None and self.n_done >= self._spec.noisy_epochs

    def _begin_phase(self) -> None:
        spec = self._spec
        self._first = 0 if spec.noisy_epochs is None or not self._is_clean else spec.noisy_epochs
        n_epochs = spec.epochs if self._is_clean or spec.noisy_epochs is None else spec.noisy_epochs
        self._optimizer = make_optimizer(self.model, spec)
        self._schedule = make_schedule(self._optimizer, spec, n_epochs=n_epochs)
        self._steps = GradientSteps(
            self.model,
            self._optimizer,
            spec,
            task=self._splits.task,
            order=self._order,
            moves=self._moves,
            n_outputs=self._splits.n_outputs,
            after_step=None if self._average is None else partial(self._average.update, self.model),
            limits=self._limits,
            ranks=self._ranks,
            wrapped=self._wrapped,
        )

    def _check_batches(self) -> None:
        size = self._spec.batch_size
        largest = len(self.y_train) if size == "full" else min(size, len(self.y_train))
        if largest < 2 and any(isinstance(m, nn.BatchNorm1d) for m in self.model.modules()):
            self.is_over = True
            self.problem = "untrainable: batch normalisation needs batches of at least 2 samples; raise batch_size"

    def train_epoch(self) -> None:
        """Take one pass over the training set, note its figures, and decide whether it was the last one."""
        spec, splits, loss = self._spec, self._splits, self._spec.loss_for(self._splits.task)
        if self.n_done == 0 and spec.metrics_every is not None:
            self._measure()
        if self.n_done == 0 and 0 in spec.recording_epochs:
            self._record()
        if spec.noisy_epochs is not None and self.n_done == spec.noisy_epochs:
            self._begin_phase()
        y_train, is_last_phase = self.y_train, spec.noisy_epochs is None or self._is_clean
        self._schedule(self.n_done - self._first)
        if spec.timm_transform is not None:
            seed = torch.randint(2**31, (), generator=self._moves, device=self._device)
            self._x_train.source.seed = int(seed)  # waits for the device, once an epoch
        if self._ranks.rank:  # dropout of its own, which no state has to keep
            seed_stream(derive_seed("dropout", self._digest, self._seed, self._ranks.rank, self.n_done), self._device)
        passed = self._steps.epoch(self._x_train, y_train, loss_weights(splits, y_train, spec))
        self._ranks.same_buffers(self.model, *([] if self._average is None else [self.kept]))
        evaluated = partial(evaluate, self.kept, task=splits.task, loss=loss, limits=self._limits, ranks=self._ranks)
        held_out = evaluated(splits.x_val, splits.y_val)
        figures = [held_out[0], passed[0], passed[1], held_out[1]]
        if spec.stop_train_error is not None:
            figures.append(evaluated(splits.x_train, y_train)[1])
        values = torch.stack(figures).tolist()  # waits for the device, once an epoch
        if not (math.isfinite(values[0]) and math.isfinite(values[1])):
            self.is_over = True
            self.problem = f"diverged: the loss is not finite in epoch {self.n_done + 1}; lower the learning rate"
            return
        for name, value in zip(EPOCH_CURVES, values, strict=False):
            self.curves[name].append(value)
        self.is_over = self.n_done >= spec.n_epochs or (is_last_phase and self._may_stop(values))
        if spec.max_seconds is not None and self.seconds >= spec.max_seconds:
            self.is_over = True
        if spec.metrics and (self.is_over or (spec.metrics_every and self.n_done % spec.metrics_every == 0)):
            self._measure()
        if spec.recordings and (self.is_over or self.n_done in spec.recording_epochs):
            self._record()

    def _measure(self) -> None:
        if self._ranks.rank:
            return
        self.kept.to(memory_format=torch.contiguous_format)  # as measures find any other network
        values, problems = measure_in_training(
            self.kept, self._splits, self._spec, y_train=self.y_train, seed=self._seed
        )
        self.kept.to(memory_format=self._format)
        self.measured_epochs.append(self.n_done)
        self.measure_problems |= problems
        for name, curve in self.measure_curves.items():
            curve.append(values[name])

    def _record(self) -> None:
        if self._ranks.rank:
            return
        self.kept.to(memory_format=torch.contiguous_format)
        found, problems = record_in_training(self.kept, self._splits, self._spec, y_train=self.y_train, seed=self._seed)
        self.kept.to(memory_format=self._format)
        self.measure_problems |= problems
        for name, arrays in found.items():
            self.records.setdefault(name, {})[self.n_done] = arrays

    def _may_stop(self, values: list[float]) -> bool:
        spec = self._spec
        if spec.stop_loss is not None:
            self._n_under = self._n_under + 1 if values[1] < spec.stop_loss else 0
            if self._n_under >= spec.stop_epochs:
                return True
        return spec.stop_train_error is not None and values[-1] <= spec.stop_train_error

    def state(self) -> dict[str, Any]:
        """Return everything that the next epoch depends on: tensors, numbers, texts, lists and dicts of these."""
        return {
            "model": self.model.state_dict(),
            **({} if self._average is None else {"average": self.kept.state_dict()}),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._steps.scaler.state_dict(),
            "generators": [g.get_state() for g in (self._order, self._moves)],
            "stream": stream_state(self._device),
            "curves": self.curves,
            "measured_epochs": self.measured_epochs,
            "measure_curves": self.measure_curves,
            "measure_problems": self.measure_problems,
            "records": self.records,
            "is_over": self.is_over,
            "n_under": self._n_under,
            "seconds": self.seconds,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where :meth:`state` was taken."""
        self.curves = {name: list(values) for name, values in state["curves"].items()}
        self.measured_epochs = list(state["measured_epochs"])
        self.measure_curves = {name: list(values) for name, values in state["measure_curves"].items()}
        self.measure_problems = dict(state["measure_problems"])
        self.records = {name: dict(epochs) for name, epochs in state["records"].items()}
        if self._spec.noisy_epochs is not None and self.n_done > self._spec.noisy_epochs:
            self._begin_phase()
        self.model.load_state_dict(state["model"])
        if self._average is not None:
            self.kept.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._steps.scaler.load_state_dict(state["scaler"])
        for generator, saved in zip((self._order, self._moves), state["generators"], strict=True):
            generator.set_state(saved)
        set_stream_state(self._device, state["stream"])
        self.is_over, self._n_under, self._seconds = state["is_over"], state["n_under"], state["seconds"]


def _average_of(model: nn.Module, decay: float) -> Any:
    """Return timm's moving average of a network's weights."""
    from timm.utils import ModelEmaV3

    return ModelEmaV3(model, decay=decay)


def memory_format(
    model: nn.Module, input_shape: Any, device: torch.device, limits: Limits = LIMITS, *, is_mixed: bool
) -> torch.memory_format:
    """Return in what order a network's weights are trained fastest without loss of digits.

    Batch normalisation with the channels last loses three digits on the CPU: PyTorch adds up in float32 one by one.
    With mixed precision these are lost anyhow, and convolutions in it want channels last on GPUs, too.

    Args:
        model: The network.
        input_shape: Shape of an input.
        device: Where it is trained.
        limits: From which size on it is worth it on the CPU with full precision.
        is_mixed: Whether it is trained with mixed precision.
    """
    if is_mixed and any(isinstance(m, nn.Conv2d) for m in model.modules()):
        return torch.channels_last
    is_normless = not any("norm" in type(m).__name__.lower() for m in model.modules())
    if is_mixed or device.type != "cpu" or not is_normless or not is_plain(input_shape):
        return torch.contiguous_format
    is_large = math.prod(input_shape[1:]) >= limits.channels_last_numbers
    return torch.channels_last if is_large else torch.contiguous_format
