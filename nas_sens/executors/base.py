"""What starts workers: one small interface, and the registry by which an engine is found by name.

An engine only places workers and says how they ended. Which training is whose, and what becomes of the training of a
worker that is gone, is decided in the study's database.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from ..core.registry import registry_of
from ..core.secrets import hidden_passwords


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What one worker does.

    Attributes:
        target: ``module:function``; called in the worker with ``worker``, ``device``, ``n_threads`` and the arguments,
            it returns whether nothing is left to do.
        worker: Name of the worker.
        device: Name of its device.
        n_threads: Number of threads of the CPU that it uses; None for PyTorch's own choice.
        arguments: JSON-like values.
        log: File for what it writes.
    """

    target: str
    worker: str
    device: str
    n_threads: int | None
    arguments: Mapping[str, Any]
    log: Path

    def run(self) -> bool:
        """Return whether nothing is left to do, having done it in this process."""
        module, _, name = self.target.partition(":")
        function = getattr(importlib.import_module(module), name)
        with hidden_passwords(v for v in self.arguments.values() if isinstance(v, str)):
            return bool(function(worker=self.worker, device=self.device, n_threads=self.n_threads, **self.arguments))


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a worker ended.

    Attributes:
        how: ``done`` if nothing is left to do; ``more`` if it ended as it was told to, though something is; ``refused``
            if what it was told is wrong, so that another one would fail as well; ``stopped`` if it was told to end;
            ``lost`` for all else.
        text: One line about it; "" if there is nothing to say.
    """

    how: Literal["done", "more", "refused", "stopped", "lost"]
    text: str = ""


class Running(Protocol):
    """A worker that was started."""

    def poll(self) -> Ended | None:
        """Return how it ended; None while it runs."""

    def stop(self) -> None:
        """Let it give back what it has in hand and end; return when it has."""


class Engine(Protocol):
    """What places workers."""

    def start(self, task: Task) -> Running:
        """Return a worker that was started."""

    def close(self) -> None:
        """Give back what the engine holds, all workers having ended."""


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """What a user says of the place where workers run.

    Attributes:
        gpus_per_worker: Number of GPUs that each worker gets.
        cpus_per_worker: Number of cores that each worker gets; None for the engine's own choice.
        extra: Further arguments, in the engine's own words.
        folder: Where it may write what it needs; workers see it, too.
    """

    gpus_per_worker: float = 0.0
    cpus_per_worker: int | None = None
    extra: tuple[str, ...] = ()
    folder: Path = field(default_factory=Path)


@dataclass(frozen=True, kw_only=True)
class Executor:
    """One way to start workers; a module of `nas_sens.executors` has it as ``EXECUTOR``.

    Attributes:
        name: Its name for ``--engine``.
        open: Makes the engine; raises an InvalidInputError that says what is missing.
        is_here: Whether all workers run on this machine, so that its devices and cores are shared out among them.
        description: One line.
    """

    name: str
    open: Callable[[EngineOptions], Engine]
    is_here: bool
    description: str


EXECUTORS = registry_of("engine", Executor, package=__package__, group="executors", attribute="EXECUTOR")
