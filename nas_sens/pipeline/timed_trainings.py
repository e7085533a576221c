"""Trainings as it is judged how long they take: those that are to come, and those that were timed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Job:
    """A training that is to come.

    Attributes:
        flops: Floating-point operations of one forward pass of one input; None if not counted.
        family: Family of its architecture.
        epochs: Its epochs at most, those of all seeds together.
    """

    flops: float | None
    family: str
    epochs: float


@dataclass(frozen=True, kw_only=True)
class Timed(Job):
    """A training that ended, or runs.

    Attributes:
        done: Epochs that it had; 0 where only the time is known for which it runs.
        seconds: How long these took.
        is_over: Whether it ended.
    """

    done: float
    seconds: float
    is_over: bool = True
