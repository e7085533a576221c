"""What the dashboard is shown of large studies."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, cast

from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from ..storage import bulk_read
from ..storage.schema import is_known_schema
from ..storage.study_storage import StudyStorage

AT_MOST = 10_000


def excerpt_of(storage: StudyStorage, *, at_most: int = AT_MOST) -> BaseStorage:
    """Return Optuna's storage as the dashboard is shown it: large studies in part, trained candidates always."""
    always = {}
    for name in storage.study_names():
        numbers = {t.source_trial for t in storage.trained(name)}
        with storage.guard():
            study_id = storage.study_id(name)
            always[study_id] = set(bulk_read.trial_ids(storage.rdb, study_id, numbers).values())
    return cast(BaseStorage, Excerpt(storage.optuna_storage, storage.rdb, always, at_most=at_most))


class Excerpt:
    """An Optuna storage that shows at most ``at_most`` trials of a study, and is another storage in all else.

    A browser cannot draw 100,000 trials. Of a larger study those are shown whose attribute ``digest`` comes first in
    the alphabet, which is a random sample, the same every time, and those that are asked for. Studies of others, whose
    trials have no such attribute, are shown whole.

    Args:
        storage: The storage that it is an excerpt of.
        rdb: The same without a cache, which would load all trials.
        always: Study identifier to identifiers of trials that are shown always.
        at_most: Number of trials that are shown of a larger study.
    """

    def __init__(
        self, storage: BaseStorage, rdb: RDBStorage, always: dict[int, set[int]], *, at_most: int = AT_MOST
    ) -> None:
        self._storage, self._rdb, self._always, self._at_most = storage, rdb, always, at_most
        self._shown: dict[int, tuple[int, list[FrozenTrial]]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the trials of a study, at most ``at_most`` and those that are shown always."""
        n = bulk_read.count_trials(self._rdb, study_id) if is_known_schema() else 0  # all are shown then
        if n > self._at_most and self._shown.get(study_id, (0,))[0] != n:
            ids = bulk_read.excerpt_ids(self._rdb, study_id, key="digest", n=self._at_most)
            ids |= self._always.get(study_id, set())
            trials = self._rdb._get_trials(study_id, None, ids, max(ids)) if ids else []
            self._shown[study_id] = (n, [t for t in trials if t._trial_id in ids])
        if n <= self._at_most or not self._shown[study_id][1]:  # studies of others have no digests
            return self._storage.get_all_trials(study_id, deepcopy=deepcopy, states=states)
        return [t for t in self._shown[study_id][1] if states is None or t.state in states]


BaseStorage.register(Excerpt)
