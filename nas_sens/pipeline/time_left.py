"""How long trainings take that are still to come: epochs that they will have, times seconds an epoch for their size.

The mean over finished trainings is a bad guess: the rule that chooses likes other sizes than chance, which trains the
control group, and the sizes of a space are far apart. Pure functions of what was timed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import nnls

from .timed_trainings import Job, Timed
from .training_length import share_of_epochs

_USUAL_POWER = 0.7  # of the FLOPs, before anything is known: small networks wait for the machine, large ones compute
_BELIEVED_AT = (0.1, 1.0, 10.0)  # times the usual FLOPs
_BELIEF = 0.3  # how much that counts, in trainings
_CHANCE = 2.0  # trainings' worth of belief that a rule chooses like chance
_SCATTER = 1.0  # of the logarithms of what chosen trainings take, before much is known
_SLOPE = 0.08  # from one choice to the next, in the same unit: what is usual
_FADE = 0.9  # a training counts so much of the next one: machines become busy, and idle again


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
        chosen: What was chosen from it so far, in its order: the rule's taste.
        n_workers: How many train at the same time.
        seconds_between: What lies between two trainings of a worker, such as choosing the next one.
    """
    if not any(t.done > 0 and t.seconds > 0 for t in timed):
        return None
    pace, over, running = Pace(timed), [t for t in timed if t.is_over], [t for t in timed if not t.is_over]

    def whole(job: Job) -> float:
        return job.epochs * share_of_epochs(job, over) * pace.seconds(job)

    rest = sum(_rest_of(t, pace, over) for t in running)
    rest += sum(whole(j) + seconds_between for j in known)
    if n_unknown:
        costs = [whole(j) for j in pool or timed]
        each = _each_to_come([whole(j) for j in chosen], n_unknown, costs)
        rest += n_unknown * (each + seconds_between)
    n_jobs = len(running) + len(known) + n_unknown
    return rest / max(1, min(n_workers, n_jobs))


def _each_to_come(chosen: Sequence[float], n: int, pool: Sequence[float]) -> float:
    """Return what each of the next ``n`` trainings is expected to take.

    A rule that learns goes on as it went, to larger or smaller networks, as far as there are any: the mean of those
    that were chosen, along the line through their logarithms. The more these scatter, the less slope is believed.

    Args:
        chosen: What those take that were chosen so far, in their order.
        n: How many are to come.
        pool: What those take that may be chosen.
    """
    usual = float(np.mean(pool))
    if not chosen:
        return usual
    y, at = np.log(chosen), np.arange(len(chosen)) - (len(chosen) - 1) / 2
    steepest = np.dot(at, y) / max(1.0, np.dot(at, at))
    noise = (np.square(y - y.mean() - steepest * at).sum() + 2 * _SCATTER**2) / len(chosen)
    slope = np.dot(at, y) / (np.dot(at, at) + noise / _SLOPE**2)
    to_come = float(np.mean(chosen)) * np.exp(slope * (len(chosen) / 2 + 0.5 + np.arange(n)))
    taste = float(np.clip(to_come, min(pool), max(pool)).mean())
    return (_CHANCE * usual + len(chosen) * taste) / (_CHANCE + len(chosen))


def _rest_of(running: Timed, pace: Pace, over: Sequence[Timed]) -> float:
    """Return how long a training still runs: by its own epochs as soon as it has some."""
    usual, share = pace.seconds(running), share_of_epochs(running, over, had=running.done / running.epochs)
    if not running.done:
        return max(0.0, running.epochs * share * usual - running.seconds)
    each = (2 * usual + running.seconds) / (2 + running.done)
    return max(0.0, running.epochs * share - running.done) * each
