"""Failures of a trainer of the user's own: when a search stops for them, and when they are tried again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core.candidates import FAILED_IN, TrainedCandidate
from ..core.errors import UserCodeError
from ..core.user_code import code_digest
from ..study.study_spec import StudySpec
from ..training import Outcome

if TYPE_CHECKING:
    from .session import Session

HOPELESS = 3  # first candidates with the same error, after which the others would fail, too


def failed_in_trainer(t: TrainedCandidate) -> bool:
    """Return whether a training failed in the user's own code."""
    return t.status.startswith(FAILED_IN)


def tried_again(spec: StudySpec, trained: Sequence[TrainedCandidate]) -> frozenset[int | None]:
    """Return the numbers of the trials whose trainings failed in the user's code, and shall be done again now.

    Those are the ones that ran with other code than there is now, and all of them where none has ever succeeded: what
    was wrong then is perhaps mended, in that file or elsewhere.
    """
    trainer = spec.train.trainer
    failed = [t for t in trained if failed_in_trainer(t)]
    if trainer is None or not failed:
        return frozenset()
    code = code_digest(trainer)
    has_worked = len(failed) < len(trained)
    return frozenset(t.number for t in failed if t.code != code or not has_worked)


def stop_if_hopeless(session: Session, record: TrainedCandidate, outcome: Outcome) -> None:
    """End the search where each of the first candidates failed with the same error.

    Args:
        session: The study.
        record: What was trained last.
        outcome: What it came to.

    Raises:
        UserCodeError: They did.
    """
    if not failed_in_trainer(record):
        return
    first = [t for t in session.storage.trained(session.spec.name) if t.number not in session.tried_again]
    if len(first) < HOPELESS or any(_kind(t.status) != _kind(record.status) for t in first):
        return
    reason = outcome.status.removeprefix(FAILED_IN).strip()
    raise UserCodeError(
        f"each of the first {len(first)} candidates failed with the same error in {reason}; mend it and run this "
        "again: what is scored is kept, and these are trained anew",
        outcome.traceback,
    ) from outcome.error


def _kind(status: str) -> str:
    """Return the error without its numbers, which are those of an architecture."""
    return re.sub(r"\d+", "0", re.sub(r" \(\d+ of \d+ seeds\)$", "", status))
