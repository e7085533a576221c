"""Workers as actors of a Ray cluster, which starts them again on another node when theirs is gone.

The training of a worker that was on a lost node gives no sign of life any more, and goes to another one after the grace
time.
"""

from __future__ import annotations

import ctypes
import os
import threading
from types import ModuleType
from typing import Any

from ..core.errors import InvalidInputError, first_line
from .base import Ended, EngineOptions, Executor, Task

_RESTARTS = 5  # of an actor whose process or node was lost
_STOP_SECONDS = 20.0


class RayWorker:
    """A worker's actor.

    Args:
        ray: The module.
        actor: The actor.
        task: What it does.
    """

    def __init__(self, ray: ModuleType, actor: Any, task: Task) -> None:
        self._ray, self._actor = ray, actor
        self._result = actor.run.remote(task)

    def poll(self) -> Ended | None:
        """Return how the actor's work ended; None while it runs, or is waiting for a node."""
        finished, _ = self._ray.wait([self._result], timeout=0)
        if not finished:
            return None
        try:
            is_done = self._ray.get(self._result)
        except self._ray.exceptions.RayTaskError as error:
            how = "refused" if isinstance(error.cause, InvalidInputError) else "lost"
            return Ended(how=how, text=first_line(error.cause))  # type: ignore[arg-type]
        except self._ray.exceptions.RayError as error:
            return Ended(how="lost", text=first_line(error))
        self._ray.kill(self._actor)
        return Ended(how="done" if is_done else "more")

    def stop(self) -> None:
        """Interrupt the work, which gives back what it has in hand, and end the actor."""
        self._actor.stop.remote()
        self._ray.wait([self._result], timeout=_STOP_SECONDS)
        self._ray.kill(self._actor)


class Ray:
    """An engine of actors.

    Args:
        ray: The module, connected to a cluster.
        options: What each worker gets of a node.
    """

    def __init__(self, ray: ModuleType, options: EngineOptions) -> None:
        self._ray = ray
        resources: dict[str, Any] = {"num_gpus": options.gpus_per_worker, "num_cpus": options.cpus_per_worker or 1}
        lasting = {"max_restarts": _RESTARTS, "max_task_retries": _RESTARTS, "max_concurrency": 2}
        self._actor = ray.remote(**lasting, **resources)(_Actor)

    def start(self, task: Task) -> RayWorker:
        """Return a worker whose actor starts as soon as a node has room for it."""
        return RayWorker(self._ray, self._actor.remote(), task)

    def close(self) -> None:
        """Leave the cluster as it is: it was there before."""


class _Actor:
    """What lives on a node: the work in one thread, and another one by which it can be interrupted."""

    def __init__(self) -> None:
        self._thread: int | None = None

    def run(self, task: Task) -> bool:
        """Return what a worker's task comes to on the node of this actor."""
        self._thread = threading.get_ident()
        return task.run()

    def stop(self) -> None:
        """Raise a KeyboardInterrupt in the work, as Ray does not interrupt what an actor does."""
        if self._thread is not None:
            thread, error = ctypes.c_ulong(self._thread), ctypes.py_object(KeyboardInterrupt)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, error)


def _open(options: EngineOptions) -> Ray:
    try:
        import ray  # seconds to import, and not everybody has it
    except ImportError as error:
        raise InvalidInputError("the engine 'ray' needs the package ray; pip install 'nas-sens[ray]'") from error
    if options.extra:
        raise InvalidInputError(f"the engine 'ray' takes no further arguments; given {' '.join(options.extra)}")
    if not ray.is_initialized():
        try:
            ray.init(address=os.environ.get("RAY_ADDRESS", "auto"), log_to_driver=False, configure_logging=False)
        except ConnectionError as error:
            raise InvalidInputError(
                "the engine 'ray' needs a cluster, and none was found; start one (ray start --head), or name it by "
                "RAY_ADDRESS"
            ) from error
    return Ray(ray, options)


EXECUTOR = Executor(name="ray", open=_open, is_here=False, description="actors of a Ray cluster that is there")
