"""How many of its epochs a training will have, as some stop early: a smooth function of its size.

Large networks reach a small training loss after few epochs, small ones never: the mean share of all that ended would be
wrong for both. Each training that ended speaks for those of about its FLOPs; where there is none, all do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .timed_trainings import Job, Timed

_NEAR = math.log(3.0)  # of FLOPs: within about so much trainings are alike
_OTHER_FAMILY = 0.3  # how much less one speaks for those of another family
_ALL = 0.3  # trainings' worth of belief that this one is like the mean
_AT_FIRST = 0.5  # trainings' worth of belief that the mean is all epochs


def share_of_epochs(job: Job, over: Sequence[Timed], *, had: float = 0.0) -> float:
    """Return the share of its epochs that a training is expected to have in the end, above 0 and at most 1.

    Args:
        job: The training.
        over: Trainings that ended.
        had: The share that it has had already: those that ended by then do not speak for it.
    """
    later = [(_alike(job, t), share) for t in over if (share := min(1.0, t.done / t.epochs)) > had]
    mean = (_AT_FIRST + math.fsum(share for _, share in later)) / (_AT_FIRST + len(later))
    weight = math.fsum(w for w, _ in later)
    return (_ALL * mean + math.fsum(w * share for w, share in later)) / (_ALL + weight)


def _alike(job: Job, other: Job) -> float:
    """Return how much one training speaks for another one, from 0 to 1."""
    apart = math.log(job.flops / other.flops) / _NEAR if job.flops and other.flops else 0.0
    return (1.0 if job.family == other.family else _OTHER_FAMILY) * math.exp(-0.5 * apart**2)
