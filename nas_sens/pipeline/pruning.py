"""Pruning of trainings by Optuna's pruners, on the validation loss after each epoch or another figure.

Trainings are stored when they are finished, so that pruners are given a study in memory: the finished trainings, in
the order in which they were finished, and the one that runs. What a pruner says depends on these alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, SuccessiveHalvingPruner
from optuna.samplers import RandomSampler
from optuna.trial import TrialState, create_trial

from ..core.candidates import TrainedCandidate
from ..core.figures import Direction
from ..storage.optuna_log import quiet_optuna
from ..study.train_spec import Pruner

_STARTUP = 4  # finished trainings before the median says anything


def make_pruner(name: Pruner, *, n_epochs: int) -> BasePruner:
    """Return Optuna's pruner of that name, its resources in proportion to the epochs of a full training.

    ``asha`` looks after 1/16 and 1/4 of the epochs and keeps the best fourth, ``hyperband`` has brackets that first
    look after 1/9 and 1/3 of them and keep the best third, and one that keeps all; ``median`` looks after every epoch
    from the first fourth on, once four trainings are finished.
    """
    if name == "asha":
        return SuccessiveHalvingPruner(min_resource=math.ceil(n_epochs / 16), reduction_factor=4)
    if name == "hyperband":
        least = math.ceil(n_epochs / 9)
        return HyperbandPruner(min_resource=least, max_resource=max(n_epochs, least), reduction_factor=3)
    return MedianPruner(n_startup_trials=_STARTUP, n_warmup_steps=math.ceil(n_epochs / 4))


def make_judge(
    name: Pruner, trained: Iterable[TrainedCandidate], *, study: str, n_epochs: int, direction: Direction = "minimize"
) -> Callable[[Sequence[float]], bool]:
    """Return a function that says whether to prune a training, given the curve of its figure so far.

    It must be asked after every epoch, with curves of one training.

    Args:
        name: Which pruner.
        trained: Trainings that are finished, in order; failed ones are left out.
        study: Name of the study; Hyperband deals out its brackets by it.
        n_epochs: Epochs of a full training.
        direction: Whether smaller values of the curve are better ("minimize") or larger ones.
    """
    pruner = make_pruner(name, n_epochs=n_epochs)
    with quiet_optuna():
        world = optuna.create_study(study_name=study, direction=direction, sampler=RandomSampler(seed=0), pruner=pruner)
    for earlier in trained:
        if (earlier.is_ok or earlier.is_pruned) and earlier.curve:
            _replay(world, earlier, by_rungs=name != "median")
    present = world.ask()

    def judge(curve: Sequence[float]) -> bool:
        verdict = False
        for epoch in range(len(world.trials[present.number].intermediate_values) + 1, len(curve) + 1):
            present.report(curve[epoch - 1], epoch)
            verdict = present.should_prune()
        return verdict

    return judge


def _replay(world: optuna.Study, earlier: TrainedCandidate, *, by_rungs: bool) -> None:
    """Add a finished training; successive halving notes how it stood at each rung when it is asked there."""
    state = TrialState.COMPLETE if earlier.is_ok else TrialState.PRUNED
    if not by_rungs:
        values = dict(enumerate(earlier.curve, 1))
        world.add_trial(create_trial(state=state, value=earlier.curve[-1], intermediate_values=values))
        return
    trial = world.ask()
    for epoch, value in enumerate(earlier.curve, 1):
        trial.report(value, epoch)
        trial.should_prune()
    world.tell(trial, earlier.curve[-1] if earlier.is_ok else None, state)
