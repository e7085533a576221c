"""The trained trials of somebody's own Optuna study as candidates with known outcomes, to replay rules on."""

from __future__ import annotations

from optuna.trial import TrialState

from ..core.errors import InvalidInputError
from ..selection.candidates import Candidate
from ..storage.foreign_study import read_foreign_study
from .as_records import check_scored, objective_by
from .experience import as_candidate, as_key


def optuna_outcomes(url: str, name: str, outcome: str | None) -> tuple[list[Candidate], dict[str, float], int]:
    """Return the scored trials that came to a value as selection sees them, and what they came to.

    Args:
        url: Storage of the study, which is only read.
        name: Its name.
        outcome: One of its objectives; the first if None.

    Returns:
        The candidates; identity to outcome, less being better; and how many scored trials have no value.

    Raises:
        InvalidInputError: There is no such study or objective, no trial was scored, or none of these is complete.
        StorageError: The storage cannot be read.
    """
    study = read_foreign_study(url, name)
    scored = check_scored(study)
    objective = objective_by(study, outcome)
    k = list(study.objectives).index(objective.name)
    complete = [t for t in scored if t.state == TrialState.COMPLETE and t.values is not None]
    if not complete:
        raise InvalidInputError(f"none of the {len(scored)} scored trials of the study is complete; train some first")
    outcomes = {as_key(t): objective.as_loss(t.values[k]) for t in complete}
    return [as_candidate(t) for t in complete], outcomes, len(scored) - len(complete)
