"""What the dashboard is shown of large studies."""

from __future__ import annotations

import threading
from collections.abc import Container, Sequence
from typing import Any, cast

from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from ..storage import bulk_read
from ..storage.schema import is_known_schema
from ..storage.study_storage import StudyStorage

AT_MOST = 10_000


def excerpt_of(storage: StudyStorage, *, at_most: int = AT_MOST) -> BaseStorage:
    """Return Optuna's storage as the dashboard is shown it: large studies in part, trained candidates always."""
    return cast(BaseStorage, Excerpt(storage.optuna_storage, storage.rdb, at_most=at_most))


class Excerpt:
    """An Optuna storage that shows about ``at_most`` trials of a study, and is another storage in all else.

    A browser cannot draw 100,000 trials. Of a larger study all trainings are shown, and of the scored candidates those
    whose attribute ``digest`` comes first in the alphabet, which is a random sample, the same every time. Studies of
    others, whose trials have no such attribute, are shown whole.

    Args:
        storage: The storage that it is an excerpt of.
        rdb: The same without a cache, which would load all trials.
        at_most: Number of trials that are shown of a larger study, unless there are more trainings.
    """

    def __init__(self, storage: BaseStorage, rdb: RDBStorage, *, at_most: int = AT_MOST) -> None:
        self._storage, self._rdb, self._at_most = storage, rdb, at_most
        self._samples: dict[int, tuple[int, set[int]]] = {}  # number of trials when it was drawn, and identifiers
        self._finished: dict[int, FrozenTrial] = {}  # which never change
        self._request = threading.local()  # each has a thread of its own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """Return the identifier of a new study, and show whole ones to this request from now on.

        The dashboard renames a study by copying what it is shown of it into a new one, and deleting it.
        """
        self._request.is_copying = True
        return self._storage.create_new_study(directions, study_name)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the trials of a study: all trainings, and a sample of the scored candidates if there are many."""
        is_part = is_known_schema() and not getattr(self._request, "is_copying", False)
        n = bulk_read.count_trials(self._rdb, study_id) if is_part else 0  # all are shown then
        sample = self._sample(study_id, n) if n > self._at_most else set()
        if not sample:  # studies of others have no digests
            return self._storage.get_all_trials(study_id, deepcopy=deepcopy, states=states)
        ids = sample | bulk_read.ids_with(self._rdb, study_id, key="candidate")
        if new := ids - self._finished.keys():
            found = self._rdb._get_trials(study_id, None, new, max(new))
            present = {t._trial_id: t for t in found if t._trial_id in new}
            self._finished |= {i: t for i, t in present.items() if t.state.is_finished()}
        else:
            present = {}
        shown = [present[i] if i in present else self._finished[i] for i in sorted(ids)]
        return [t for t in shown if states is None or t.state in states]

    def delete_study(self, study_id: int) -> None:
        """Delete a study, and forget it: SQLite gives identifiers again."""
        self._storage.delete_study(study_id)
        self._samples.clear()
        self._finished.clear()

    def _sample(self, study_id: int, n: int) -> set[int]:
        """Return the identifiers of a sample, drawn again when the study has grown by a tenth."""
        n_then, ids = self._samples.get(study_id, (0, set()))
        if n > 1.1 * n_then:
            ids = bulk_read.excerpt_ids(self._rdb, study_id, key="digest", n=self._at_most)
            self._samples[study_id] = (n, ids)
        return ids


BaseStorage.register(Excerpt)
