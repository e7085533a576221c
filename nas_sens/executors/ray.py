"""Workers as actors of a Ray cluster, which starts them again on another node when theirs is gone.

The training of a worker that was on a lost node gives no sign of life any more, and goes to another one after the grace
time.
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from contextlib import suppress
from types import ModuleType
from typing import Any

from ..core.errors import InvalidInputError, first_line
from .base import Ended, EngineOptions, Executor, Task

_RESTARTS = 5  # of an actor whose process or node was lost
_STOP_SECONDS = 20.0
_CONNECT_SECONDS = 10.0


class RayWorker:
    """A worker's actor.

    Args:
        ray: The module.
        actor: The actor.
        task: What it does.
    """

    def __init__(self, ray: ModuleType, actor: Any, task: Task) -> None:
        self._ray, self._actor = ray, actor
        self._started, self._result = actor.start.remote(), actor.run.remote(task)

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
            self._ray.kill(self._actor)  # it may be alive where nobody reaches it
            return Ended(how="lost", text=first_line(error))
        self._actor.__ray_terminate__.remote()  # so that it puts in order what it has on its machine
        return Ended(how="done" if is_done else "more")

    def stop(self) -> None:
        """Interrupt the work, which gives back what it has in hand, and end the actor."""
        if self._ray.wait([self._started], timeout=0)[0]:  # else it waits for a node
            self._actor.stop.remote()
            self._ray.wait([self._result], timeout=_STOP_SECONDS)
        self._ray.kill(self._actor)
        self._ray.wait([self._result], timeout=_STOP_SECONDS)


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
        return RayWorker(self._ray, self._actor.remote(os.getcwd()), task)

    def close(self) -> None:
        """Leave the cluster as it is: it was there before."""


class _Actor:
    """What lives on a node: the work in one thread, and another one by which it can be interrupted.

    Args:
        folder: Where the search was begun, by which relative paths go; nodes are started anywhere.
    """

    def __init__(self, folder: str) -> None:
        self._thread: int | None = None
        self._is_stopped = False
        with suppress(OSError):  # it is not there on this node
            os.chdir(folder)

    def start(self) -> None:
        """Do nothing; who has called this knows that the actor is there."""

    def run(self, task: Task) -> bool:
        """Return what a worker's task comes to on the node of this actor."""
        self._thread = threading.get_ident()
        try:
            return False if self._is_stopped else task.run()
        finally:
            self._thread = None

    def stop(self) -> None:
        """Raise a KeyboardInterrupt in the work, as Ray does not interrupt what an actor does."""
        self._is_stopped = True
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
            address = os.environ.get("RAY_ADDRESS", "auto")
            _check_answers(address)  # Ray would try for minutes
            ray.init(address=address, log_to_driver=False, configure_logging=False)
        except OSError as error:
            raise InvalidInputError(
                "the engine 'ray' needs a cluster, and none was found; start one (ray start --head), or name it by "
                "RAY_ADDRESS"
            ) from error
    return Ray(ray, options)


def _check_answers(address: str) -> None:
    """Check that somebody listens at an address such as ``10.0.0.1:6379``, if it is of this form.

    Raises:
        OSError: Nobody does.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()


EXECUTOR = Executor(name="ray", open=_open, is_here=False, description="actors of a Ray cluster that is there")
