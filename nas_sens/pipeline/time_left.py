"""How long trainings take that are still to come: epochs that they will have, times seconds an epoch for their size.

The mean over finished trainings is a bad guess: the rule that chooses likes other sizes than chance, which trains the
control group, and the sizes of a space are far apart. Pure functions of what was timed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_USUAL_POWER = 0.7  # of the FLOPs, before anything is known: small networks wait for the machine, large ones compute
_POWER_WEIGHT = 0.3  # of that belief, in trainings whose FLOPs lie a factor of e from the mean
_FAMILY_WEIGHT = 1.0  # of the belief that families cost alike for their FLOPs, in trainings
_FADE = 0.9  # a training counts so much of the next one: machines become busy, and idle again


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
        done: Epochs that it had.
        seconds: How long these took.
        is_over: Whether it ended.
    """

    done: float
    seconds: float
    is_over: bool = True


class Pace:
    """Seconds an epoch by FLOPs and family: a power of the FLOPs, times a factor for the family, fitted to logarithms.

    With few trainings the fit stays near what is usual. It is scaled so that all timed ones together come out right.

    Args:
        timed: At least one training that had an epoch, in the order in which they ran.
    """

    def __init__(self, timed: Sequence[Timed]) -> None:
        seen = [t for t in timed if t.done > 0 and t.seconds > 0]
        fading = np.array([_FADE ** (len(seen) - 1 - i) * (1.0 if t.is_over else t.done / t.epochs)
                           for i, t in enumerate(seen)])  # fmt: skip
        known = [math.log(t.flops) for t in seen if t.flops]
        self._centre = float(np.mean(known)) if known else 0.0
        self._families = sorted({t.family for t in seen})
        design = np.array([self._features(t) for t in seen])
        y = np.array([math.log(t.seconds / t.done) for t in seen])
        belief = np.array([0.0, _POWER_WEIGHT, *[_FAMILY_WEIGHT] * len(self._families)])
        usual = np.array([0.0, _USUAL_POWER, *[0.0] * len(self._families)])
        left = design.T @ (fading[:, None] * design) + np.diag(belief)
        self._coefficients = np.linalg.solve(left, design.T @ (fading * y) + belief * usual)
        self._scale = 1.0
        guessed = sum(w * t.done * self.seconds(t) for w, t in zip(fading, seen, strict=True))
        self._scale = float(sum(w * t.seconds for w, t in zip(fading, seen, strict=True)) / guessed)

    def _features(self, job: Job) -> list[float]:
        size = math.log(job.flops) - self._centre if job.flops else 0.0
        return [1.0, size, *(float(job.family == f) for f in self._families)]

    def seconds(self, job: Job) -> float:
        """Return what an epoch of a training takes."""
        return self._scale * math.exp(float(np.dot(self._coefficients, self._features(job))))


def seconds_left(
    timed: Sequence[Timed],
    known: Sequence[Job],
    *,
    n_unknown: int = 0,
    pool: Sequence[Job] = (),
    chosen: Sequence[Job] = (),
    n_workers: int = 1,
    seconds_between: float = 0.0,
) -> float | None:
    """Return how long the trainings take that are left; None before any epoch was timed.

    Args:
        timed: Those that ended, and those that run, of which the rest is left.
        known: Those that wait.
        n_unknown: Number of those that are not chosen yet.
        pool: What these are chosen from.
        chosen: What was chosen from it so far: the rule's taste.
        n_workers: How many train at the same time.
        seconds_between: What lies between two trainings of a worker, such as choosing the next one.
    """
    if not any(t.done > 0 and t.seconds > 0 for t in timed):
        return None
    pace, share = Pace(timed), _share_of_epochs(timed)
    running = [t for t in timed if not t.is_over]
    rest = sum(max(0.0, t.epochs * share - t.done) * _own_pace(pace, t) for t in running)
    rest += sum(j.epochs * share * pace.seconds(j) + seconds_between for j in known)
    if n_unknown:
        costs = [j.epochs * pace.seconds(j) for j in pool] or [t.epochs * pace.seconds(t) for t in timed]
        taste = [j.epochs * pace.seconds(j) for j in chosen]
        # Two trainings' worth of belief that it chooses like chance.
        each = (2 * float(np.mean(costs)) + sum(taste)) / (2 + len(taste))
        rest += n_unknown * (share * each + seconds_between)
    n_jobs = len(running) + len(known) + n_unknown
    return rest / max(1, min(n_workers, n_jobs))


def _share_of_epochs(timed: Sequence[Timed]) -> float:
    """Return the share of their epochs that trainings have, as some stop early; all of them is believed at first."""
    over = [t for t in timed if t.is_over]
    usual = 1.0
    return (usual + sum(t.done / t.epochs for t in over)) / (1 + len(over))


def _own_pace(pace: Pace, running: Timed) -> float:
    """Return seconds an epoch of a training that runs: by its own epochs as soon as it has some."""
    own = running.seconds / running.done if running.done else 0.0
    return (2 * pace.seconds(running) + running.done * own) / (2 + running.done)
