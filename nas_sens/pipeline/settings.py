"""How a process works on a study: what is no part of the protocol and changes no result."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Sizes and times of the work.

    Attributes:
        poll_seconds: Between looks at what other processes have done.
        flush_seconds: After which scored candidates are stored.
        flush_count: Number of scored candidates after which they are stored.
        block_count: Number of candidates that a process claims at most; see docs/decisions/0006.
        chunk_count: Number of candidates that are assessed together.
        ahead_count: Number of proposals that wait for a score at most.
        infeasible_in_a_row: Number of infeasible candidates in a row after which a space is given up.
        beat_epochs: Epochs between two signs of life of a training.
    """

    poll_seconds: float = 0.5
    flush_seconds: float = 2.0
    flush_count: int = 1024
    block_count: int = 1024
    chunk_count: int = 256
    ahead_count: int = 4096
    infeasible_in_a_row: int = 2_000
    beat_epochs: int = 10
