"""One worker of a study that is there: it scores and trains whatever is left, beside others."""

from __future__ import annotations

import sys
from dataclasses import replace

import torch

from ..core.declarations import changed
from ..core.errors import first_line
from ..core.progress import Progress, TextProgress
from ..data import DataSpec, Splits, load_data
from ..data.machine_copy import shared_on_this_machine
from ..storage.attribute_types import declared_in, of_study
from ..storage.study_storage import StudyStorage
from ..study.load import from_dict
from ..study.study_spec import StudySpec
from .prepare import prepare
from .score_stage import score_candidates
from .session import Session, enter
from .settings import Settings
from .team import leading
from .train_stage import require_trainer, train_selected
from .worker_log import Logged, keep_log


def work(
    *,
    worker: str | None,
    device: str,
    n_threads: int | None,
    name: str,
    storage: str,
    artifacts: str | None = None,
    data: str | None = None,
    max_trainings: int | None = None,
    devices_per_training: int = 1,
    grace_seconds: float,
    is_asynchronous: bool = True,
    progress: Progress | None = None,
) -> bool:
    """Return whether nothing is left of what a study declares, having scored and trained beside other workers.

    Args:
        worker: Name of this worker; None for its host's name and the process's number.
        device: ``auto`` or the name of a device.
        n_threads: Number of threads of the CPU to use; None for PyTorch's own choice.
        name: Name of the study.
        storage: SQLAlchemy URL of its database.
        artifacts: Where its files lie, if not where it says.
        data: Where its data lie on this machine, as ``[data] name``, if not where it says.
        max_trainings: Number of trainings after which this worker ends.
        devices_per_training: Number of devices, of processes on the CPU, that train one network together.
        grace_seconds: After which a worker that gives no sign of life is given up.
        is_asynchronous: See `Settings`.
        progress: Where to report progress to; None for lines on stderr.

    Raises:
        InvalidInputError: There is no such study, or data and device do not go with it.
        StorageError: The database cannot be used.
    """
    if n_threads is not None:
        torch.set_num_threads(n_threads)
    told = Logged(progress or TextProgress(sys.stderr))
    with leading(devices_per_training, device) as team:
        settings = Settings(
            worker=worker,
            is_asynchronous=is_asynchronous,
            max_trainings=max_trainings,
            grace_seconds=grace_seconds,
            team=team,
        )
        session = join(
            name, storage=storage, artifacts=artifacts, data=data, device=device, progress=told, settings=settings
        )
        return _work(session, told)


def _work(session: Session, told: Logged) -> bool:
    told.message(f"worker {session.storage.worker} on {session.probe.device}, {torch.get_num_threads()} threads")
    require_trainer(session)
    try:
        score_candidates(session)
        return train_selected(session)
    except Exception as error:
        told.detail(f"it ended with {type(error).__name__}: {first_line(error)}")
        raise
    finally:
        keep_log(session, told)


def join(
    name: str,
    *,
    storage: str,
    artifacts: str | None,
    data: str | None,
    device: str,
    progress: Progress,
    settings: Settings,
) -> Session:
    """Return a study that is there, opened as it was declared.

    Raises:
        InvalidInputError: There is no such study, or data and device do not go with it.
        StorageError: The database cannot be used.
    """
    database = StudyStorage(storage, must_exist=True)
    spec, fingerprint = stored_spec(database, name), of_study(name, database.attributes(name), "data_fingerprint")
    if data is not None:
        spec = replace(spec, data=changed(spec.data, where="data", name=data))

    def load(declared: DataSpec) -> Splits:
        return shared_on_this_machine(lambda: load_data(declared), fingerprint=fingerprint, on_problem=progress.message)

    prepared = prepare(spec, device=device, load=load)
    return enter(prepared, storage=storage, artifacts=artifacts, progress=progress, settings=settings)


def stored_spec(storage: StudyStorage, name: str) -> StudySpec:
    """Return what a study was declared by; its name is the one that it has now.

    Raises:
        InvalidInputError: There is no such study, or nas_sens did not make it.
    """
    return replace(from_dict(declared_in(name, storage.attributes(name))), name=name)
