"""Learning-rate schedules by timm."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..study.train_spec import TrainSpec


def make_schedule(optimizer: torch.optim.Optimizer, spec: TrainSpec, *, n_epochs: int) -> Callable[[int], None]:
    """Return a function that sets the learning rate for an epoch of ``n_epochs``, counted from 0; it has no memory."""
    if spec.schedule == "constant" and not spec.warmup_epochs:
        return lambda epoch: None
    from timm.scheduler import create_scheduler_v2  # brings all of timm along, which other trainings do not need

    every = spec.decay_epochs
    scheduler, _ = create_scheduler_v2(
        optimizer,
        sched="step" if spec.schedule == "constant" else spec.schedule,
        num_epochs=n_epochs,
        decay_epochs=every if isinstance(every, int) else 1,
        decay_milestones=[] if isinstance(every, int) else list(every),
        decay_rate=1.0 if spec.schedule == "constant" else spec.decay_rate,
        min_lr=spec.min_learning_rate,
        warmup_epochs=spec.warmup_epochs,
        warmup_lr=spec.learning_rate / (spec.warmup_epochs + 1),
    )
    return scheduler.step
