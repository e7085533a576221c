"""How long trainings take that are still to come: epochs that they will have, times seconds an epoch for their size.

The mean over finished trainings is a bad guess: the rule that chooses likes other sizes than chance, which trains the
control group, and the sizes of a space are far apart. Pure functions of what was timed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

_USUAL_POWER = 0.7  # of the FLOPs, before anything is known: small networks wait for the machine, large ones compute
_BELIEVED_AT = (0.1, 1.0, 10.0)  # times the usual FLOPs
_BELIEF = 0.3  # how much that counts, in trainings
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
        done: Epochs that it had; 0 where only the time is known for which it runs.
        seconds: How long these took.
        is_over: Whether it ended.
    """

    done: float
    seconds: float
    is_over: bool = True


class Pace:
    """Seconds an epoch by FLOPs and family: the same for all, plus so many a FLOP for the family.

    With few trainings that cannot be told, and what is usual stands in for it: a power of the FLOPs through what was
    timed, alike for all families. All is scaled so that the timed trainings together come out right.

    Args:
        timed: At least one training that had an epoch, in the order in which they ran.
    """

    def __init__(self, timed: Sequence[Timed]) -> None:
        seen = [t for t in timed if t.done > 0 and t.seconds > 0]
        weights = np.array([_FADE ** (len(seen) - 1 - i) * _share_run(t) for i, t in enumerate(seen)])
        each = np.array([t.seconds / t.done for t in seen])
        known = [t.flops for t in seen if t.flops]
        self._usual_flops = math.exp(float(np.mean(np.log(known)))) if known else 1.0
        usual_each = math.exp(float(np.average(np.log(each), weights=weights)))
        self._families = sorted({t.family for t in seen})
        believed = [
            (Job(flops=times * self._usual_flops, family=family, epochs=1), usual_each * times**_USUAL_POWER)
            for times in _BELIEVED_AT
            for family in (*self._families, "")
        ]
        jobs = [*seen, *(job for job, _ in believed)]
        seconds = np.array([*each, *(s for _, s in believed)])
        trust = np.sqrt([*weights, *[_BELIEF / len(believed)] * len(believed)])
        design = np.array([self._features(job) for job in jobs])
        # Of relative errors, as a network of a tenth of the time is to be judged as well as a large one.
        self._coefficients, _ = nnls(design * (trust / seconds)[:, None], trust)
        self._scale = 1.0
        guessed = sum(w * t.done * self.seconds(t) for w, t in zip(weights, seen, strict=True))
        self._scale = float(sum(w * t.seconds for w, t in zip(weights, seen, strict=True)) / guessed)

    def _features(self, job: Job) -> list[float]:
        size = (job.flops or self._usual_flops) / self._usual_flops
        # A part of what a FLOP costs is common to all families, so that one that is new has it.
        return [1.0, size, *(size * (job.family == family) for family in self._families)]

    def seconds(self, job: Job) -> float:
        """Return what an epoch of a training takes."""
        return self._scale * float(np.dot(self._coefficients, self._features(job)))


def _share_run(timed: Timed) -> float:
    return 1.0 if timed.is_over else min(1.0, timed.done / timed.epochs)


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
    rest = sum(_rest_of(t, pace, share) for t in running)
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


def _rest_of(running: Timed, pace: Pace, share: float) -> float:
    """Return how long a training still runs: by its own epochs as soon as it has some."""
    usual = pace.seconds(running)
    if not running.done:
        return max(0.0, running.epochs * share * usual - running.seconds)
    each = (2 * usual + running.seconds) / (2 + running.done)
    return max(0.0, running.epochs * share - running.done) * each
