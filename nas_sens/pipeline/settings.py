"""How a process works on a study: what is no part of the protocol."""

from __future__ import annotations

from dataclasses import dataclass

from ..storage.leases import GRACE_SECONDS
from ..storage.study_database import REPORT_SECONDS
from .team import Team


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Sizes and times of the work.

    Attributes:
        worker: Name of this worker; None for its host's name and the process's number.
        is_asynchronous: Whether a rule that learns chooses as soon as a worker is idle, instead of in rounds; what it
            chooses then depends on who was first, and nothing else changes a result.
        max_trainings: Number of trainings after which this worker ends; None for as many as there are.
        grace_seconds: After which a worker that gives no sign of life is given up.
        report_seconds: Between two times at which the epochs of a running training are stored.
        patience_seconds: How long a database server is waited for that does not answer.
        poll_seconds: Between looks at what other processes have done.
        flush_seconds: After which scored candidates are stored.
        flush_count: Number of scored candidates after which they are stored.
        block_count: Number of candidates that a process claims at most; see docs/decisions/0006.
        chunk_count: Number of candidates that are assessed together.
        ahead_count: Number of proposals that wait for a score at most.
        team: The processes that train one network together; None for this one alone.
        infeasible_in_a_row: Number of infeasible candidates in a row after which a space is given up.
    """

    worker: str | None = None
    is_asynchronous: bool = False
    max_trainings: int | None = None
    grace_seconds: float = GRACE_SECONDS
    report_seconds: float = REPORT_SECONDS
    patience_seconds: float = 300.0
    poll_seconds: float = 0.5
    flush_seconds: float = 2.0
    flush_count: int = 1024
    block_count: int = 1024
    chunk_count: int = 256
    ahead_count: int = 4096
    infeasible_in_a_row: int = 2_000
    team: Team | None = None
