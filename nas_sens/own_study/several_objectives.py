"""Whether to train a network in a study of several objectives, where Optuna has no pruners."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from optuna.study import Study
from optuna.trial import Trial

from .attributes import is_scored
from .decision import Rule, is_pruned
from .learnt import Memory

_MEMORIES: WeakKeyDictionary[Study, Memory] = WeakKeyDictionary()  # what is in them can be learnt again at any time


def should_train(trial: Trial, *, keep: float = 0.4, control: float = 0.1, n_startup: int = 8, seed: int = 0) -> bool:
    """Return whether a scored network is worth its training, in a study of any number of objectives.

    Each objective is predicted as `SensitivityPruner` does. A network is trained if fewer networks are expected to be
    better than it in every objective (to dominate it) than is usual among the best share ``keep`` of recent proposals.
    With one objective that is the pruner's rule. Groups and predictions are written into the trial as by the pruner,
    predictions as ``nas_sens:predicted_0``, ``nas_sens:predicted_1``, …. A trial that was not scored is trained.

    Args:
        trial: The trial, after :func:`nas_sens.optuna.score`. Raise ``optuna.TrialPruned`` where the answer is False.
        keep: Share of proposals that are trained, the control group aside.
        control: Share of proposals that are trained at random, so that the worth of all this can be judged.
        n_startup: Trained trials before the first is left out.
        seed: Seed of the control group, which depends on it and the number of the trial alone.

    Raises:
        InvalidInputError: A share is not between 0 and 1, or ``n_startup`` is less than 2.
    """
    rule = Rule(keep=keep, control=control, n_startup=n_startup, seed=seed)
    study = trial.study
    frozen = study._storage.get_trial(trial._trial_id)
    memory = _MEMORIES.setdefault(study, Memory())
    return not is_scored(frozen.user_attrs) or not is_pruned(rule, memory, study, frozen)
