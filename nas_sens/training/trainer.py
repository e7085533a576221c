"""Training of one architecture on tensors that lie on the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ..architectures import ArchitectureSpec
from ..core.candidates import PRUNED
from ..core.identity import derive_seed, make_generator
from ..core.module_mode import evaluation_mode
from ..core.random_state import global_stream
from ..data import Splits
from ..data.pictures import Pictures
from ..data.subset import chosen_rows
from ..study.train_spec import TrainSpec
from .checkpoint import Checkpoint, identity_of
from .evaluation import evaluate, fitted_temperature
from .limits import LIMITS, Limits
from .networks import digest_of, weights_of
from .outcome import Outcome, mean_and_sd
from .ranks import ALONE, Ranks
from .trainable import check_own_trainer, check_trainable
from .training_run import TrainingRun

__all__ = ["Outcome", "TrainSpec", "mean_and_sd", "train"]


def train(
    architecture: ArchitectureSpec,
    splits: Splits,
    spec: TrainSpec,
    *,
    seed: int,
    sensitivity: Callable[[nn.Module], torch.Tensor] | None = None,
    on_epoch: Callable[[Sequence[float]], None] | None = None,
    checkpoint: Checkpoint | None = None,
    prune: Callable[[Sequence[float]], bool] | None = None,
    start: Mapping[str, torch.Tensor] | None = None,
    limits: Limits = LIMITS,
    ranks: Ranks = ALONE,
) -> Outcome:
    """Return the outcome of training one architecture from its own initialisation, or from weights that are given.

    On the CPU the same arguments give the same outcome, bit for bit, with the same number of threads, whether a
    training went on from a checkpoint or not; ``max_seconds`` is the exception. The global random state is left as it
    was.

    Args:
        architecture: What to train.
        splits: Data on the device to train on; test figures are computed but decide nothing.
        spec: How to train.
        seed: Seed of this training.
        sensitivity: Measure of the trained network, in evaluation mode; None to leave it out.
        on_epoch: Called after every epoch with the validation loss after each one so far.
        checkpoint: Where to go on from, if it is of this training, and where to write states to; None for nowhere.
        prune: Given the validation loss after each epoch so far, says whether to end the training; asked before every
            epoch but the first. The outcome's status then begins with "pruned".
        start: Weights to begin from, by their names in the network; None for its own initialisation.
        limits: How the work is cut up.
        ranks: The processes that train it together, all of which call this with the same architecture, data, ``spec``
            and seed. All else is rank 0's affair, and its outcome is the one that counts. ``batch_size`` is that of all
            together: the outcome is the one of a single process but for rounding, with two exceptions. Batch
            normalisation sees each process's part, dropout and ``transforms`` have other draws in each.

    Raises:
        InvalidInputError: The data cannot be trained on as declared.
    """
    check_own_trainer(splits)
    check_trainable(spec, splits)
    splits = _trained_on(splits, spec, seed=seed)
    device = splits.x_train.device
    start = ranks.shared(start)
    state = None
    if checkpoint is not None:
        begun = "" if start is None else digest_of(start)
        identity = identity_of(architecture, splits, spec, seed=seed, device=device, code=begun)
        state = checkpoint.read(identity=identity)
    state = ranks.shared(state)
    with global_stream(derive_seed("dropout", architecture.digest, seed), device):
        run = TrainingRun(architecture, splits, spec, seed=seed, limits=limits, start=start, ranks=ranks)
        if state is not None:
            run.restore(state)
        while not run.is_over:
            if prune is not None and run.n_done and prune(run.curves["val_loss"]):
                run.problem = f"{PRUNED}: after epoch {run.n_done} of {spec.n_epochs} others had done better"
            if not ranks.agreed(not run.problem):
                break
            run.train_epoch()
            run.is_over = ranks.agreed(run.is_over)  # clocks differ
            if checkpoint is not None and not run.problem and checkpoint.is_due(is_over=run.is_over):
                checkpoint.write(run.state(), identity=identity)
            if on_epoch is not None and not run.problem:
                on_epoch(run.curves["val_loss"])
        is_fine = ranks.agreed(not run.problem)
    curves = {name: tuple(values) for name, values in run.curves.items()}
    common: dict[str, Any] = {"curve": curves.pop("val_loss"), "curves": curves}
    if not is_fine:
        return Outcome(status=run.problem, seconds=run.seconds, **common)
    figures = _figures(run, splits, spec, limits, ranks)
    figures["measures"] = {n: c[-1] for n, c in run.measure_curves.items() if c and c[-1] is not None}
    figures["measured_epochs"], figures["measure_problems"] = tuple(run.measured_epochs), run.measure_problems
    figures["measure_curves"] = {name: tuple(curve) for name, curve in run.measure_curves.items()}
    figures["records"] = run.records
    if sensitivity is not None:
        with torch.inference_mode(), evaluation_mode(run.kept):
            figures["sensitivity"] = float(sensitivity(run.kept)) / figures["temperature"] ** 2
    return Outcome(
        **figures,
        **common,
        seconds=run.seconds,
        state=weights_of(run.kept),
    )


def _trained_on(splits: Splits, spec: TrainSpec, *, seed: int) -> Splits:
    """Return the splits with the samples of the training set that ``[train] samples`` leaves."""
    if spec.samples is None:
        return splits
    x, y, w = splits.x_train, splits.y_train, splits.w_train
    if spec.samples >= len(y):
        return splits
    rows = chosen_rows(y, spec.samples, generator=make_generator("samples", seed))  # the same for all architectures
    at = rows.to(y.device)
    chosen = x.select(rows) if isinstance(x, Pictures) else x[at]  # none of the former is read before its batch
    return replace(splits, x_train=chosen, y_train=y[at], w_train=None if w is None else w[at] / w[at].mean())


def _figures(run: TrainingRun, splits: Splits, spec: TrainSpec, limits: Limits, ranks: Ranks) -> dict[str, Any]:
    temperature = 1.0
    if spec.temperature_scaling:
        temperature = fitted_temperature(run.kept, splits.x_val, splits.y_val, limits=limits)
    figures: dict[str, Any] = {"temperature": temperature}
    loss_kind = spec.loss_for(splits.task)
    parts = {
        "train": (splits.x_train, run.y_train),
        "val": (splits.x_val, splits.y_val),
        "test": (splits.x_test, splits.y_test),
    }
    for part, (x, y) in parts.items():
        loss, error = evaluate(
            run.kept, x, y, task=splits.task, loss=loss_kind, temperature=temperature, limits=limits, ranks=ranks
        )
        figures[f"{part}_loss"], figures[f"{part}_error"] = float(loss), float(error)
    return figures
