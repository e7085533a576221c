"""Workers as jobs of a SLURM cluster, submitted by submitit.

A job that is preempted gives back the training that it has in hand and is queued again; the training goes on from its
checkpoint wherever it is taken next. SLURM sends SIGTERM first, whatever it means to do: the training is given back
then, and the job waits for submitit's signal, by which it queues itself again, or for its end.
"""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

from ..core.errors import InvalidInputError, first_line
from .base import Ended, EngineOptions, Executor, Task

_MINUTES = 24 * 60
_STOP_SECONDS = 20.0  # for giving back what a worker has in hand
_LAST_SECONDS = 600.0  # from SIGTERM to what comes after it


class SlurmTask:
    """What submitit calls on the cluster, and calls again after preemption.

    Args:
        task: What the worker does.
    """

    def __init__(self, task: Task) -> None:
        self.task = task

    def __call__(self) -> tuple[str, str]:
        """Return how the worker ended in this job, and a line about it.

        Raises:
            KeyboardInterrupt: It was interrupted, and has given back what it had in hand.
        """
        is_warned = False

        def give_back(number: int, frame: FrameType | None) -> None:
            nonlocal is_warned
            is_warned = True
            signal.raise_signal(signal.SIGINT)  # which waits for the write in hand

        signal.signal(signal.SIGTERM, give_back)  # submitit lets it pass
        try:
            return ("done" if self.task.run() else "more", "")
        except InvalidInputError as error:
            return ("refused", str(error))
        except KeyboardInterrupt:
            if is_warned:
                time.sleep(_LAST_SECONDS)
            raise

    def checkpoint(self) -> Any:
        """Return what takes this job's place: nothing is kept, as all is in the study."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class SlurmWorker:
    """A worker's job.

    Args:
        job: The job as submitit has it.
    """

    def __init__(self, job: Any) -> None:
        self._job = job

    def poll(self) -> Ended | None:
        """Return how the job ended; None while it waits or runs."""
        if not self._job.done():
            return None
        error = self._job.exception()
        if error is not None:
            return Ended(how="lost", text=_cause(str(error)))
        how, text = self._job.result()
        return Ended(how=how, text=text)

    def stop(self) -> None:
        """Interrupt the job, which gives back what it has in hand; cancel it if it does not end by that."""
        if self._job._cancel_command != "scancel":  # submitit's executor on this machine, which interrupts
            self._job.cancel()
            return
        cancel = ["scancel", self._job.job_id]
        subprocess.run([*cancel, "--state=PENDING"], capture_output=True)
        subprocess.run([*cancel, "--signal=INT"], capture_output=True)
        end = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < end and self._is_queued():
            time.sleep(0.5)
        subprocess.run(cancel, capture_output=True)

    def _is_queued(self) -> bool:
        found = subprocess.run(["squeue", "--noheader", "--jobs", self._job.job_id], capture_output=True)
        return bool(found.stdout.strip())


class Slurm:
    """An engine of jobs.

    Args:
        executor: Of submitit, its parameters set.
    """

    def __init__(self, executor: Any) -> None:
        self._executor = executor

    def start(self, task: Task) -> SlurmWorker:
        """Return a worker whose job was submitted."""
        return SlurmWorker(self._executor.submit(SlurmTask(task)))

    def close(self) -> None:
        """Do nothing: nothing is held."""


def _open(options: EngineOptions) -> Slurm:
    try:
        import submitit  # not everybody has it
    except ImportError as error:
        raise InvalidInputError("the engine 'slurm' needs submitit; pip install 'nas-sens[slurm]'") from error
    try:
        executor = submitit.AutoExecutor(folder=options.folder / "slurm", cluster="slurm")
    except (RuntimeError, ValueError) as error:
        raise InvalidInputError(f"the engine 'slurm' finds no cluster here: {first_line(error)}") from error
    executor.update_parameters(
        name="nas_sens",
        timeout_min=_MINUTES,
        gpus_per_node=int(options.gpus_per_worker),
        cpus_per_task=options.cpus_per_worker or 1,
        slurm_additional_parameters=sbatch_parameters(options.extra),
    )
    return Slurm(executor)


def sbatch_parameters(arguments: Sequence[str]) -> dict[str, Any]:
    """Return arguments of ``sbatch`` such as ``--partition=gpu`` or ``--exclusive`` by name.

    Raises:
        InvalidInputError: One is not of this form.
    """
    parameters: dict[str, Any] = {}
    for argument in arguments:
        name, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not name:
            raise InvalidInputError(f"arguments for sbatch must look like --partition=gpu; given {argument!r}")
        parameters[name.replace("-", "_")] = value if equals else True
    return parameters


def _cause(text: str) -> str:
    """Return the last line of the traceback in what submitit says of a job that failed, or its first line."""
    lines = [line for line in text.splitlines() if line.strip(" -")]
    errors = [line for line in lines if re.match(r"\w[\w.]*(Error|Exception|Interrupt|Exit)\b", line)]
    return (errors or lines[:1] or ["no reason is known"])[-1].strip()


EXECUTOR = Executor(name="slurm", open=_open, is_here=False, description="jobs of a SLURM cluster, by submitit")
