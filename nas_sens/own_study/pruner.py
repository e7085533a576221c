"""A pruner that decides before the first report, by what the study's trained networks say about untrained ones."""

from __future__ import annotations

from optuna.pruners import BasePruner, MedianPruner
from optuna.study import Study
from optuna.trial import FrozenTrial

from ..core.errors import InvalidInputError
from .attributes import GROUP, is_scored
from .decision import PRUNED, decide
from .learnt import Memory


class SensitivityPruner(BasePruner):
    """Prunes trials whose untrained network is not expected to be among the best, before they are trained.

    Sign and slope of sensitivity, size and the study's own parameters are learnt from its trained trials, whichever way
    its direction goes. Trials that :func:`nas_sens.optuna.score` has not seen are left to ``base``, as is every trial
    from its first report on. All state is in the study: any number of processes and machines may take part.

    Each trial gets the attribute ``nas_sens:group``: ``startup`` (there was too little to learn from), ``control``
    (trained whatever is expected), ``kept`` or ``pruned``; but for the first, ``nas_sens:predicted`` and
    ``nas_sens:predicted_sd`` say what value was expected.

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
        check_shares(keep, control, n_startup)
        self._base = base if base is not None else MedianPruner()
        self._keep, self._control, self._n_startup, self._seed = keep, control, n_startup, seed
        self._memory = Memory()

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether to prune the trial; asked again before the first report, the answer is the same."""
        if trial.last_step is not None or not is_scored(trial.user_attrs):
            return self._base.prune(study, trial)
        if GROUP in trial.user_attrs:
            return bool(trial.user_attrs[GROUP] == PRUNED)
        decision = decide(
            self._memory,
            study,
            trial,
            keep=self._keep,
            control=self._control,
            n_startup=self._n_startup,
            seed=self._seed,
        )
        for name, value in decision.attributes.items():
            study._storage.set_trial_user_attr(trial._trial_id, name, value)
        return decision.group == PRUNED


def check_shares(keep: float, control: float, n_startup: int) -> None:
    """Check what pruners and :func:`should_train` are given.

    Raises:
        InvalidInputError: A share is not between 0 and 1, or ``n_startup`` is less than 2.
    """
    for name, share in (("keep", keep), ("control", control)):
        if not 0 <= share <= 1:
            raise InvalidInputError(f"{name} must be a share between 0 and 1; given {share}")
    if n_startup < 2:
        raise InvalidInputError(f"n_startup must be at least 2, to have something to compare; given {n_startup}")
