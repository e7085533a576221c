"""How large a study may be that shall take so long: numbers of candidates, trainings and epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..core.errors import InvalidInputError

_START_SECONDS = 10.0  # importing libraries, reading data and writing the report
_SCORING = 0.2  # share of the time that scoring may have
_ROUND_SECONDS = 0.5  # in which the rule chooses
_EPOCHS_A_TRAINING = 1.5  # so many times as many epochs as trainings at least, where there is time
_MOST_TRAININGS, _MOST_EPOCHS, _MOST_CANDIDATES, _MOST_GROWN = 100, 100, 500, 64
_LEAST_TRAININGS, _LEAST_EPOCHS, _LEAST_CANDIDATES = 6, 3, 24
_LEAST_SAMPLES = 200  # for which training on fewer is worth it


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of a study, and how long it is expected to take.

    Attributes:
        n_candidates: ``[search] n_candidates``.
        grow: ``[search] grow``.
        top_k: ``[select] top_k``.
        control: ``[select] control``.
        epochs: ``[train] epochs``.
        seeds: ``[train] seeds``.
        train_samples: ``[data] train_samples``; None for all.
        score_seconds: Expected time of scoring.
        train_seconds: Expected time of training.
    """

    n_candidates: int
    grow: int
    top_k: int
    control: int
    epochs: int
    seeds: int
    train_samples: int | None
    score_seconds: float
    train_seconds: float

    @property
    def seconds(self) -> float:
        """Expected time of all."""
        return _START_SECONDS + self.score_seconds + self.train_seconds


def sizes_for(
    seconds: float, *, score_seconds: float, epoch_seconds: float, fixed_seconds: float, n_train: int
) -> Sizes:
    """Return the sizes of a study that takes about so long, or less where more would be of no use.

    Args:
        seconds: How long it may take.
        score_seconds: Of a candidate.
        epoch_seconds: Of an epoch on all training data, mean over what is likely to be trained.
        fixed_seconds: Of a training, besides its epochs.
        n_train: Number of training samples.

    Raises:
        InvalidInputError: It is too short for anything.
    """
    usable = seconds - _START_SECONDS
    timed = {"score_seconds": score_seconds, "fixed_seconds": fixed_seconds}
    for seeds, share in ((2, 1.0), *((1, 0.5**i) for i in range(12))):
        if share < 1.0 and share * n_train < _LEAST_SAMPLES:
            break
        samples = None if share == 1.0 else int(share * n_train)
        for n in range(_MOST_TRAININGS, _LEAST_TRAININGS - 1, -1):
            sizes = _sizes(n, usable, seeds=seeds, epoch_seconds=share * epoch_seconds, samples=samples, **timed)
            wanted = min(_MOST_EPOCHS, _EPOCHS_A_TRAINING * n) if n > _LEAST_TRAININGS else _LEAST_EPOCHS
            if sizes.epochs >= wanted:
                return sizes
    smallest = min(1.0, 2 * _LEAST_SAMPLES / n_train) * epoch_seconds
    training = _LEAST_TRAININGS * (fixed_seconds + _LEAST_EPOCHS * smallest)
    least = _START_SECONDS + max(training / (1 - _SCORING), training + _LEAST_CANDIDATES * score_seconds) + 5.0
    raise InvalidInputError(
        f"the time must be enough for {_LEAST_TRAININGS} trainings of {_LEAST_EPOCHS} epochs, on this machine about "
        f"{least / 60:.3g} minutes; given {seconds / 60:.3g}; give more, a smaller --search-space or a faster --device"
    )


def _sizes(
    n: int,
    usable: float,
    *,
    seeds: int,
    epoch_seconds: float,
    samples: int | None,
    score_seconds: float,
    fixed_seconds: float,
) -> Sizes:
    """Return the sizes of a study of ``n`` trainings in so many seconds; 0 epochs or fewer if there is no time."""
    control = min(10, max(3, round(n / 4)))
    rounds = math.ceil((n - control) / 2)
    scores = _SCORING * usable / score_seconds
    n_candidates = int(min(_MOST_CANDIDATES, max(_LEAST_CANDIDATES, 0.6 * scores)))
    grow = int(min(_MOST_GROWN, max(0.0, scores - n_candidates) / max(1, rounds - 1)) // 8) * 8
    scoring = score_seconds * (n_candidates + grow * (rounds - 1)) + _ROUND_SECONDS * rounds
    for_epochs = usable - scoring - n * seeds * fixed_seconds
    epochs = min(_MOST_EPOCHS, math.floor(for_epochs / (n * seeds * epoch_seconds)))
    return Sizes(
        n_candidates=n_candidates,
        grow=grow,
        top_k=n - control,
        control=control,
        epochs=epochs,
        seeds=seeds,
        train_samples=samples,
        score_seconds=scoring,
        train_seconds=n * seeds * (fixed_seconds + epochs * epoch_seconds),
    )
