"""Training by a function of the user's own, behind the interface of the tool's: what it comes to is an `Outcome`."""

from __future__ import annotations

import contextlib
import math
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..architectures import ArchitectureSpec
from ..architectures.built_network import own_network
from ..core.candidates import FAILED_IN, PRUNED
from ..core.device import memory_guard
from ..core.errors import InvalidInputError, OutOfMemoryError, StorageError
from ..core.figures import Objective
from ..core.identity import derive_seed
from ..core.module_mode import evaluation_mode
from ..core.random_state import foreign_streams, global_stream
from ..core.user_code import code_digest, error_text, user_object
from ..data import Splits
from ..study.train_spec import TrainSpec
from .checkpoint import Checkpoint, identity_of
from .job import Job, OnCurve, OnEpoch, Prune, TrainingStopped
from .metrics_in_training import measure_in_training
from .networks import untrained, weights_of
from .outcome import Outcome
from .own_figures import checked_figures, fields_of


@dataclass(frozen=True, kw_only=True)
class Following:
    """Who follows a training.

    Attributes:
        on_epoch: Called after every epoch with the number of those that are done, and of all.
        on_curve: Called with the values so far of the figure that is shown.
        prune: Given these values, the number of epochs and the name of the figure, says whether to end the training.
        say: Notes a line in the training's log.
    """

    on_epoch: OnEpoch | None = None
    on_curve: OnCurve | None = None
    prune: Prune | None = None
    say: Callable[[str], None] | None = None


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a study wants of a training.

    Attributes:
        objective: The figure by which its rule learns.
        final: The figure by which it ranks.
    """

    objective: Objective = field(default_factory=lambda: Objective("val_error"))
    final: str = "val_error"

    @property
    def required(self) -> tuple[str, ...]:
        """Figures that a trainer must return."""
        names = (self.objective.name, *(() if self.final == "sensitivity_after" else (self.final,)))
        return tuple(dict.fromkeys(names))


def train_by(
    architecture: ArchitectureSpec,
    splits: Splits,
    spec: TrainSpec,
    *,
    goal: Goal,
    seed: int,
    folder: Path,
    device: torch.device,
    sensitivity: Callable[[nn.Module], torch.Tensor] | None = None,
    checkpoint: Checkpoint | None = None,
    following: Following | None = None,
) -> Outcome:
    """Return the outcome of training one architecture by ``[train] trainer``, from its own initialisation.

    What the trainer prints goes to stderr. The global random states are as they were afterwards.

    Args:
        architecture: What to train.
        splits: Data on the device.
        spec: ``[train]``, whose ``trainer`` is called.
        goal: What the study wants of a training.
        seed: Seed of this training.
        folder: Where the trainer may write files, in a folder of this training alone; made if it is not there.
        device: Where to train.
        sensitivity: Measure of the trained network, in evaluation mode; None to leave it out.
        checkpoint: Where to go on from, if it is of this training, and where to write states to; None for nowhere.
        following: Who follows it.

    Raises:
        InvalidInputError: There is no such function.
        StorageError: The checkpoint's store does not answer.
        OutOfMemoryError: The training does not fit in memory.
        TrainingStopped: ``following`` has ended it.
    """
    assert spec.trainer is not None
    fit = user_object(spec.trainer, "a trainer")
    start, follow = time.perf_counter(), following or Following()
    with global_stream(derive_seed("trainer", seed), device), foreign_streams(derive_seed("trainer", seed)):
        model = untrained(architecture, splits, seed=seed, device=device)
        identity = identity_of(architecture, splits, spec, seed=seed, device=device, code=code_digest(spec.trainer))
        # Files that another protocol or another version of the trainer left are none that this training may go on from.
        (own_folder := folder / identity).mkdir(parents=True, exist_ok=True)
        job = Job(
            model,
            spec=architecture,
            train=spec,
            data=splits,
            device=device,
            seed=seed % 2**32,
            folder=own_folder,
            objective=goal.objective.name,
            checkpoint=checkpoint,
            identity=identity,
            **vars(follow),
        )
        try:
            figures = _figures(fit, model, job, goal, spec.trainer)
        except _FailedError as failed:
            status = f"{FAILED_IN} {spec.trainer}: {failed.reason}"
            return _outcome(job, start, status=status, traceback=failed.text, error=failed.__cause__)
    if figures is None:
        return _outcome(job, start, status=f"{PRUNED}: after epoch {len(job.curve)} others had done better")
    if lost := [name for name in goal.required if not math.isfinite(figures[name])]:
        return _outcome(job, start, status=f"diverged: {lost[0]} is not finite")
    model.to(device)  # frameworks such as Lightning leave it on the CPU
    measures, problems = _measures(model, splits, spec, sensitivity, seed)
    return _outcome(
        job,
        start,
        **fields_of(figures),
        sensitivity=measures.pop("", math.nan),
        measures=measures,
        measured_epochs=(len(job.curve),) if measures else (),
        measure_curves={name: (value,) for name, value in measures.items()},
        measure_problems=problems,
        state=weights_of(model),
    )


class _FailedError(Exception):
    """The user's code failed: why, and where."""

    def __init__(self, reason: str, text: str = "") -> None:
        super().__init__(reason)
        self.reason, self.text = reason, text


def _figures(fit: Any, model: nn.Module, job: Job, goal: Goal, source: str) -> dict[str, float] | None:
    """Return what a training came to; None if it was pruned.

    Raises:
        OutOfMemoryError: It does not fit in memory.
        StorageError: The checkpoint's store does not answer.
        TrainingStopped: Who follows it has ended it.
        _FailedError: The user's code failed.
    """
    before = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    result = job.restore()
    if result is not None:
        return {name: float(value) for name, value in result.items()}
    try:
        with memory_guard(), contextlib.redirect_stdout(sys.stderr):
            returned = fit(own_network(model), job)
    except TrainingStopped:
        if job.is_pruned:
            return None
        raise
    except (OutOfMemoryError, StorageError):
        raise
    except (Exception, SystemExit) as error:  # whatever foreign code raises
        inside = error.__traceback__.tb_next if error.__traceback__ is not None else None
        text = "".join(traceback.format_exception(type(error), error, inside))
        raise _FailedError(error_text(error), text) from error
    if job.is_pruned:  # the trainer went on nevertheless
        return None
    try:
        figures = checked_figures(_or_last(returned, job), required=goal.required, source=source)
    except InvalidInputError as error:
        raise _FailedError(str(error).removeprefix(f"{source} ")) from error
    after = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if after != before:
        changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        raise _FailedError(f"must leave the network's layers as they are; it changed {', '.join(changed[:3])}")
    job.keep_end(figures)
    return figures


def _or_last(returned: Any, job: Job) -> Any:
    """Return what a trainer returned, or what it reported last if it returned nothing."""
    return job.rows[-1] if returned is None and job.rows else returned


def _measures(
    model: nn.Module,
    splits: Splits,
    spec: TrainSpec,
    sensitivity: Callable[[nn.Module], torch.Tensor] | None,
    seed: int,
) -> tuple[dict[str, float], dict[str, str]]:
    """Return what is measured on the trained network by name, S under "", and why there is no more."""
    values: dict[str, float] = {}
    problems: dict[str, str] = {}
    if spec.metrics:
        found, problems = measure_in_training(model, splits, spec, y_train=splits.y_train, seed=seed)
        values |= {name: value for name, value in found.items() if value is not None}
    if sensitivity is not None:
        try:
            with torch.inference_mode(), evaluation_mode(model):
                values[""] = float(sensitivity(model))
        except Exception as error:  # whatever a network does after foreign code trained it
            problems["output_sensitivity"] = error_text(error)
    return values, problems


def _outcome(job: Job, start: float, **more: Any) -> Outcome:
    curves: Mapping[str, Sequence[float | None]] = job.curves()
    return Outcome(curve=job.curve, curve_of=job.curve_of, curves=curves, seconds=time.perf_counter() - start, **more)
