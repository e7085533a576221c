"""A first look at data: how long scoring and training take on this machine, measured on a few small networks."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..core.candidates import family_of
from ..core.progress import SilentProgress
from ..data import DataSpec, Splits, load_data
from ..study.score_spec import ScoreSpec
from ..study.search_space import SearchSpace
from ..study.select_spec import SelectSpec
from ..study.study_spec import SearchSpec, StudySpec
from ..study.train_spec import TrainSpec
from .prepare import prepare
from .score_stage import score_candidates
from .session import enter
from .settings import Settings
from .time_left import Pace
from .timed_trainings import Job, Timed
from .train_stage import train_selected

_CANDIDATES, _TRAININGS, _EPOCHS = 48, 4, 3
_SAMPLES = 2_000  # that are trained on; of more data an epoch takes longer in proportion


@dataclass(frozen=True, kw_only=True)
class FirstLook:
    """What was measured.

    Attributes:
        splits: The data.
        score_seconds: Of a candidate.
        epoch_seconds: Of an epoch on all training data, for each of the scored candidates.
        fixed_seconds: Of a training, besides its epochs.
    """

    splits: Splits
    score_seconds: float
    epoch_seconds: tuple[float, ...]
    fixed_seconds: float


def look_at(data: DataSpec, space: SearchSpace, score: ScoreSpec, train: TrainSpec, *, device: str) -> FirstLook:
    """Return how long scoring and training of random candidates take.

    Args:
        data: Which data.
        space: What candidates are from.
        score: How they are scored.
        train: How they are trained.
        device: On what.

    Raises:
        InvalidInputError: The data cannot be read, or do not go with the space.
    """
    splits = load_data(data)
    n_train, n_val = len(splits.y_train), len(splits.y_val)
    share = min(1.0, _SAMPLES / n_train)
    part = data if share == 1.0 else replace(data, train_samples=_SAMPLES, val_samples=max(1, round(share * n_val)),
                                             test_samples=max(1, round(share * len(splits.y_test))))  # fmt: skip
    spec = StudySpec(
        name="first look",
        search_space=space,
        data=part,
        score=score,
        search=SearchSpec(n_candidates=_CANDIDATES, sampler="random"),
        select=SelectSpec(rule="random", top_k=_TRAININGS, control=0),
        train=replace(train, epochs=_EPOCHS, seeds=1),
    )
    prepared = prepare(spec, device=device, load=load_data if part != data else lambda _: splits)
    clock = _Clock()
    with tempfile.TemporaryDirectory() as folder:
        session = enter(prepared, storage=f"sqlite:///{Path(folder) / 'first_look.db'}", artifacts=folder,
                        progress=clock, settings=Settings())  # fmt: skip
        score_candidates(session)
        train_selected(session)
        scored = [c for c in session.storage.scored(spec.name) if c.is_ok]
        trained = [t for t in session.storage.trained(spec.name) if t.is_ok]
    scoring, training = clock.stages
    timed, fixed = [], []
    for i, t in enumerate(trained):
        ends = training[1 + i * _EPOCHS : 1 + (i + 1) * _EPOCHS]
        epoch = (ends[-1] - ends[0]) / (_EPOCHS - 1) / share
        timed.append(Timed(flops=t.flops, family=family_of(t.architecture), epochs=1, done=1, seconds=epoch))
        fixed.append(max(0.0, (t.seconds or 0.0) - epoch * _EPOCHS))
    pace = Pace(timed)
    jobs = [Job(flops=c.flops, family=family_of(c.architecture), epochs=1) for c in scored]
    return FirstLook(
        splits=splits,
        score_seconds=(scoring[-1] - scoring[0]) / len(scored),
        epoch_seconds=tuple(pace.seconds(j) for j in jobs),
        fixed_seconds=float(np.mean(fixed)),
    )


class _Clock(SilentProgress):
    """Progress that keeps when each stage began and made its steps."""

    def __init__(self) -> None:
        self.stages: list[list[float]] = []

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[_Clock]:
        """Open a stage.

        Yields:
            This object.
        """
        self.stages.append([time.perf_counter()])
        yield self
        self.stages[-1].append(time.perf_counter())

    def advance(self, n: int = 1, note: str = "") -> None:
        """Keep the time of ``n`` steps."""
        self.stages[-1].extend([time.perf_counter()] * n)
