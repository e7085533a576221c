"""One pass of gradient steps over a training set that lies on the device, or comes to it: no waiting for the device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from ..core.device import in_double, mixed_type, where_doubles_are
from ..data import Task
from ..data.augmentation import augment
from ..data.image_transforms import make_transforms
from ..data.pictures import Pictures
from ..study.train_spec import TrainSpec
from .compiled import compiled
from .evaluation import error_of, loss_of, n_wrong, outputs_of
from .limits import LIMITS, Limits
from .mixing import make_mixing
from .ranks import ALONE, Ranks, Share, share_rows
from .weights import NO_WEIGHTS, LossWeights


@dataclass(frozen=True)
class _Batch:
    """A pass through the network.

    Attributes:
        x: Its inputs.
        y: Their labels.
        weights: How much each of them counts; None for all alike.
        part: Which samples of the batch these are.
        is_first: Whether a step begins with it.
        is_last: Whether a step ends with it.
        share: Of the samples of its step.
    """

    x: torch.Tensor
    y: torch.Tensor
    weights: torch.Tensor | None
    part: Share
    is_first: bool
    is_last: bool
    share: float


def _of_step(n_before: int, n: int, n_all: int, size: int) -> tuple[bool, bool, float]:
    """Return whether a step begins and ends with a batch, and what share of the step's samples it is.

    Args:
        n_before: Samples of the epoch before it.
        n: Its samples.
        n_all: Samples of the epoch.
        size: Samples of a step.
    """
    first = n_before % size
    return first == 0, first + n >= size or n_before + n >= n_all, n / min(size, n_all - n_before + first)


class GradientSteps:
    """Passes over a training set with one optimizer.

    Args:
        model: The network, on the device of the data.
        optimizer: Of its parameters.
        spec: How to train.
        task: What is learnt.
        order: Source of the order of samples, on the device.
        moves: Source of augmentation, on the device.
        n_outputs: Of the network.
        after_step: Called when parameters have changed.
        limits: How the work is cut up.
        ranks: The processes that train it together.
        wrapped: The network as `Ranks.wrapped` returns it; None for itself.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        spec: TrainSpec,
        *,
        task: Task,
        order: torch.Generator,
        moves: torch.Generator,
        n_outputs: int,
        after_step: Callable[[], None] | None = None,
        limits: Limits = LIMITS,
        ranks: Ranks = ALONE,
        wrapped: nn.Module | None = None,
    ) -> None:
        self.model, self.optimizer, self.spec, self.task = model, optimizer, spec, task
        self._order, self._moves, self._limits, self._ranks = order, moves, limits, ranks
        self._wrapped = model if wrapped is None else wrapped
        self._forward = compiled(self._wrapped) if spec.compile else self._wrapped
        self._mix, self._after_step = make_mixing(spec, n_outputs), after_step
        self._transform = make_transforms(spec.transforms) if spec.transforms else None
        self._parameters = list(model.parameters())
        self._loss = spec.loss_for(task)
        self._device_type = order.device.type
        self._dtype = mixed_type(order.device, spec.precision)
        # Gradients in float16 underflow unless the loss is scaled up.
        self.scaler = torch.amp.GradScaler("cuda", enabled=self._dtype == torch.float16)

    def epoch(self, x: torch.Tensor | Pictures, y: torch.Tensor, weights: LossWeights = NO_WEIGHTS) -> torch.Tensor:
        """Take one pass over inputs ``x`` and labels ``y``, of which some may count more.

        Returns:
            Float64 (2,) on the device, if it has that type: mean loss and error of the batches as they were trained on,
            by all processes together.
        """
        self.model.train()
        size = len(x) if self.spec.batch_size == "full" else self.spec.batch_size
        losses: list[torch.Tensor] = []
        wrong: list[torch.Tensor] = []
        counts: list[int] = []
        outputs: list[torch.Tensor] = []
        targets: list[torch.Tensor] = []
        # Batch normalisation cannot train on a single sample that is left over.
        n_used = len(y) - 1 if len(y) > size > 1 and len(y) % size == 1 else len(y)
        n_before = 0
        for xs, ys, ws, part in self._batches(x, y, weights.samples, size):
            if n_before == n_used:
                break
            batch = _Batch(xs, ys, ws, part, *_of_step(n_before, part.n, n_used, size * self.spec.accumulate))
            loss, output, ys = self._step(batch, weights.labels)
            n_before += part.n
            if part.is_idle:
                continue
            losses.append(loss)
            counts.append(len(ys))
            outputs.append(output)
            targets.append(ys)
            if len(outputs) == self._limits.folded_batches:
                wrong.append(n_wrong(torch.cat(outputs), torch.cat(targets), self.task))
                outputs, targets = [], []
        if outputs:
            wrong.append(n_wrong(torch.cat(outputs), torch.cat(targets), self.task))
        n_wrong_here = torch.stack(wrong).sum(dim=0) if wrong else self._no_wrong(y)
        n = torch.tensor(counts, dtype=torch.float64, device=where_doubles_are(x.device))
        total = (in_double(torch.stack(losses)) * n).sum() if losses else n.sum()
        mean = self._ranks.total(total) / n_before
        error = error_of(self._ranks.total(n_wrong_here), y, self.task) * (len(y) / n_before)
        return torch.stack([mean, error])

    def _no_wrong(self, y: torch.Tensor) -> torch.Tensor:
        """Return what `n_wrong` says of no samples."""
        shape = y.shape[1:] if self.task == "regression" else ()
        return torch.zeros(shape, dtype=torch.float64, device=where_doubles_are(y.device))

    def _batches(
        self, x: torch.Tensor | Pictures, y: torch.Tensor, weights: torch.Tensor | None, size: int
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, Share]]:
        """Return an iterator over this process's parts of batches in a random order that all processes draw alike."""
        permutation = torch.randperm(len(x), generator=self._order, device=x.device)
        parts = [
            self._ranks.share(min(size, len(x) - start), is_mixed=self._mix is not None)
            for start in range(0, len(x), size)
        ]
        if self._ranks.size > 1:
            permutation = share_rows(parts, permutation)
        sizes = [part.size for part in parts]
        ys = y.index_select(0, permutation).split(sizes)
        ws = [None] * len(ys) if weights is None else weights.index_select(0, permutation).split(sizes)
        if isinstance(x, Pictures):
            xs = x.batches(permutation, sizes)
        elif len(permutation) * math.prod(x.shape[1:]) <= self._limits.gathered_numbers:
            xs = iter(x.index_select(0, permutation).split(sizes))
        else:
            xs = (x.index_select(0, rows) for rows in permutation.split(sizes))
        return zip(xs, ys, ws, parts, strict=True)

    def _step(self, batch: _Batch, of_labels: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Add a batch's gradients, and change the parameters by them when all of a step are there.

        Args:
            batch: The batch.
            of_labels: See `loss_of`.

        Returns:
            Its loss and outputs before that, and the labels that it was trained on, of mixed ones the largest share.
        """
        x, y, shares = self._seen(batch)
        weights = None if batch.weights is None else batch.weights[batch.part.n_before :]
        found: list[torch.Tensor] = []

        def gradients() -> torch.Tensor:
            # Returns the loss as it was differentiated.
            if batch.is_first:
                for parameter in self._parameters:  # as zero_grad does, without its bookkeeping
                    parameter.grad = None
            with self._precision():
                outputs = outputs_of(self._forward, x)
                loss = self._loss_of(outputs, y if shares is None else shares, weights, of_labels)
            weight = batch.share * self._ranks.weight(batch.part)
            part = loss if weight == 1.0 else loss * weight
            self.scaler.scale(part).backward() if self.scaler.is_enabled() else part.backward()
            if not found:  # L-BFGS asks more than once
                found.extend((loss.detach(), outputs.detach()))
            return part

        if self.spec.optimizer == "lbfgs":

            def loss_of_all() -> float:  # its line search must find the same in all processes
                part = gradients()
                return part if self._ranks.size == 1 else self._ranks.total(part.detach().clone()) / self._ranks.size  # type: ignore[return-value]

            self.optimizer.step(loss_of_all)
            return found[0], found[1], y
        if batch.is_last or self._ranks.size == 1:
            gradients()
        else:
            with self._wrapped.no_sync():  # type: ignore[operator]  # of DistributedDataParallel
                gradients()
        if batch.is_last:
            self._change()
        return found[0], found[1], y

    def _seen(self, batch: _Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return inputs as the network sees them, their labels, and the shares of classes where samples are mixed."""
        x, y, kinds = batch.x, batch.y, self.spec.augmentation
        if kinds:
            within = (batch.part.n, batch.part.first)
            x = augment(x, kinds, max_translation=self.spec.max_translation, generator=self._moves, part=within)
        if self._transform is not None:
            x = self._transform(x)
        if self._mix is None or batch.part.n == 1:
            return x, y, None
        with self._ranks.same_draws():
            x, shares = self._mix(x, y)
        n_before = batch.part.n_before  # these were there to be mixed with
        x, shares = x[n_before:], shares[n_before:]
        return x, shares.argmax(dim=1), shares

    def _loss_of(
        self,
        outputs: torch.Tensor,
        y: torch.Tensor,
        weights: torch.Tensor | None,
        of_labels: torch.Tensor | None,
    ) -> torch.Tensor:
        how = "mean" if weights is None else "none"
        if self.task == "classification" and self._loss == "cross_entropy":  # of labels, or of shares of classes
            losses = nn.functional.cross_entropy(outputs, y, reduction=how, label_smoothing=self.spec.label_smoothing)
        else:
            losses = loss_of(outputs, y, self._loss, how, of_labels=of_labels)
        return losses if weights is None else (losses * weights).mean()

    def _change(self) -> None:
        """Change the parameters by their gradients."""
        if self.spec.max_gradient_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self._parameters, self.spec.max_gradient_norm, foreach=True)
        if self.scaler.is_enabled():
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.step()
        if self._after_step is not None:
            self._after_step()

    def _precision(self) -> AbstractContextManager[object]:
        return nullcontext() if self._dtype is None else torch.autocast(self._device_type, dtype=self._dtype)
