"""Workers of a search on this machine or a cluster: placed by an engine, watched through the study."""

from __future__ import annotations

import os
import tempfile
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from ..executors.base import EXECUTORS, Ended, EngineOptions, Executor, Task
from ..executors.supervisor import supervise
from .session import Session, describe_study
from .worker_log import keep_text
from .workers_display import WorkersDisplay

_TARGET = "nas_sens.pipeline.worker:work"
_POLL_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Who does the work.

    Attributes:
        n: Number of workers.
        engine: What places them.
        gpus_per_worker: Number of GPUs that each one gets from a cluster.
        max_trainings: Number of trainings after which another process takes a worker's place, with fresh memory.
        extra: Further arguments of the engine.
        devices_per_training: Number of devices that each worker trains one network on together.
    """

    n: int = 1
    engine: str = "local"
    gpus_per_worker: float = 0.0
    max_trainings: int | None = None
    extra: tuple[str, ...] = ()
    devices_per_training: int = 1


def run_workers(session: Session, workers: Workers, *, device: str, artifacts: str | None) -> None:
    """Let workers score and train what a session's study declares, and return when nothing is left.

    Args:
        session: The study, created or resumed.
        workers: Who does it.
        device: ``auto`` for a device each, or the name of one for all.
        artifacts: Where the study's files lie, as it was given.

    Raises:
        InvalidInputError: The engine is not there, or what the workers are told is wrong.
        WorkerError: They were lost again and again.
    """
    executor: Executor = EXECUTORS.get(workers.engine)
    with tempfile.TemporaryDirectory(prefix="nas_sens_workers_", dir=_shared_folder(executor)) as name:
        folder = Path(name)
        options = EngineOptions(gpus_per_worker=workers.gpus_per_worker, extra=workers.extra, folder=folder)
        engine = executor.open(options)
        tasks = _tasks(session, workers, executor, folder, device=device, artifacts=artifacts)

        def on_ended(task: Task, ended: Ended) -> None:
            n = session.storage.fail_worker(session.spec.name, task.worker)  # 0 if it could give back what it had
            if ended.how == "lost" or n:
                what = f"; {n} trainings go to others" if n else ""
                why = ended.text or "it did not end itself"
                session.progress.message(f"worker {task.worker} was lost{what}: {why}")
                if task.log.exists():  # it could not keep its log itself
                    keep_text(session, task.worker, task.log.read_text(encoding="utf-8", errors="replace"))

        with ExitStack() as stack:
            show = WorkersDisplay(session, stack)
            supervise(engine, tasks, on_ended=on_ended, on_poll=show, poll_seconds=_POLL_SECONDS)
    describe_study(session)


def _tasks(
    session: Session, workers: Workers, executor: Executor, folder: Path, *, device: str, artifacts: str | None
) -> list[Task]:
    run = uuid.uuid4().hex[:6]  # a name is one worker's, whatever ran before
    here = executor.is_here
    n_threads = max(1, _n_cores() // workers.n) if here and device in ("auto", "cpu") else None
    return [
        Task(
            target=_TARGET,
            worker=f"{session.storage.worker}/{workers.engine}-{run}-{i}",
            device=_device(i * workers.devices_per_training, device)
            if here
            else "auto"
            if device == "auto"
            else device,
            n_threads=n_threads,
            arguments={
                "name": session.spec.name,
                "storage": session.storage.url,
                "artifacts": artifacts,
                "data": session.spec.data.name,
                "max_trainings": workers.max_trainings,
                "devices_per_training": workers.devices_per_training,
                "grace_seconds": session.settings.grace_seconds,
            },
            log=folder / f"worker-{i}.log",
        )
        for i in range(workers.n)
    ]


def _device(number: int, device: str) -> str:
    """Return the device of a worker on this machine: one after the other where there are several."""
    if device != "auto":
        return device
    n = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return f"cuda:{number % n}" if n else "auto"


def _n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _shared_folder(executor: Executor) -> Path | None:
    """Return where workers find what is written for them; None for this machine's folder of temporary files."""
    return None if executor.is_here else Path.cwd()
