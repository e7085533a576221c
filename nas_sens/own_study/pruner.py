"""A pruner that decides before the first report, by what the study's trained networks say about untrained ones."""

from __future__ import annotations

from optuna.pruners import BasePruner, MedianPruner
from optuna.study import Study
from optuna.trial import FrozenTrial

from .attributes import is_scored
from .decision import Rule, is_pruned
from .learnt import Memory


class SensitivityPruner(BasePruner):
    """Prunes trials whose untrained network is not expected to be among the best, before they are trained.

    Sign and slope of sensitivity, size and the study's own parameters are learnt from its trained trials, whichever way
    its direction goes. Trials that :func:`nas_sens.optuna.score` has not seen are left to ``base``, as is every trial
    from its first report on. All state is in the study: any number of processes and machines may take part.

    Each trial gets the attribute ``nas_sens:group``: ``enqueued`` (by somebody, and so never pruned by us), ``startup``
    (there was too little to learn from), ``control`` (trained whatever is expected), ``kept`` or ``pruned``; in the
    last three ``nas_sens:predicted`` and ``nas_sens:predicted_sd`` say what value was expected.

    Args:
        base: Decides from the first report on; Optuna's MedianPruner if None.
        keep: Share of proposals that are trained, the control group aside.
        control: Share of proposals that are trained at random, so that the pruner's worth can be judged.
        n_startup: Trained trials before the first is pruned.
        seed: Seed of the control group, which depends on it and the number of the trial alone.

    Raises:
        InvalidInputError: A share is not between 0 and 1, or ``n_startup`` is less than 2.
    """

    def __init__(
        self,
        base: BasePruner | None = None,
        *,
        keep: float = 0.4,
        control: float = 0.1,
        n_startup: int = 8,
        seed: int = 0,
    ) -> None:
        self._base = base if base is not None else MedianPruner()
        self._rule = Rule(keep=keep, control=control, n_startup=n_startup, seed=seed)
        self._memory = Memory()

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether to prune the trial; asked again before the first report, the answer is the same."""
        if trial.last_step is not None or not is_scored(trial.user_attrs):
            return self._base.prune(study, trial)
        return is_pruned(self._rule, self._memory, study, trial)
