"""A team: processes that train one network after the other together, led by the one that works on the study.

Members know no database. They find their orders, texts in JSON, in a store of PyTorch's that all reach, load the data
themselves, and train along. Each training has a group of its own, so that one that fails leaves nothing behind.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as dist

from ..core.device import n_devices
from ..core.errors import InvalidInputError, NasSensError, OutOfMemoryError, WorkerError, first_line
from ..core.interrupts import end_process, last_act
from ..core.torchrun import is_torchrun
from ..executors.base import Ended, Task
from ..executors.local import LocalWorker
from ..training.ranks import Ranks, ranks_of

MEMBER = "nas_sens.pipeline.team_member:work"
_POLL_SECONDS = 0.02
_LATE_SECONDS = 5.0  # for the process of a connection that broke to end
_WATCH_SECONDS = 1.0
_END_SECONDS = 2.0  # for members to end, which have nothing to give back
_STORE_PATIENCE = timedelta(minutes=5)
_END = "end"
_TOO_LARGE, _REFUSED = "too large", "refused"
Order = dict[str, Any]


@dataclass(kw_only=True, eq=False)
class Team:
    """The processes of a team, as one of them knows it.

    Attributes:
        store: Where orders are found.
        rank: Number of this process; 0 leads.
        size: How many there are.
        local_rank: Number of this process on its machine.
        members: Those that this process started.
        n_orders: How many trainings there were.
    """

    store: dist.Store
    rank: int
    size: int
    local_rank: int
    members: list[LocalWorker] = field(default_factory=list)
    n_orders: int = 0

    @contextmanager
    def training(self, order: Order, device: torch.device) -> Iterator[Ranks]:
        """Have all train what the ``with`` block trains.

        Args:
            order: What a member must know of it.
            device: Of this process.

        Yields:
            The processes.

        Raises:
            OutOfMemoryError: It does not fit in a member's memory.
            InvalidInputError: A member cannot do it.
            WorkerError: A member is gone.
            RuntimeError: What the ``with`` block raises of this kind is let through.
        """
        number, self.n_orders = self.n_orders, self.n_orders + 1
        self.store.set(f"order {number}", json.dumps(order | {"device": str(device)}))
        self._await([f"ready {number} {rank}" for rank in range(1, self.size)])
        try:
            with self._group(number, device) as ranks:
                yield ranks
        except BaseException as error:
            self.store.set(f"over {number}", "")
            if not _is_broken(error):
                raise
            raise self._reason(number) from error

    def orders(self) -> Iterator[tuple[Order, int]]:
        """Return an iterator over orders, until the leader has ended.

        Yields:
            An order and its number.
        """
        while True:
            name = f"order {self.n_orders}"
            while not self.store.check([name]):
                if self.store.check([_END]):
                    return
                time.sleep(_POLL_SECONDS)
            yield json.loads(self.store.get(name)), self.n_orders
            self.n_orders += 1

    def join(self, order: Order, number: int, train: Callable[[Order, Ranks], object]) -> None:
        """Train along; where that fails, the leader reads why."""
        try:
            device = self._own_device(torch.device(order["device"]))
            self.store.set(f"ready {number} {self.rank}", "")
            with self._watched(number), self._group(number, device) as ranks:
                try:
                    train(order, ranks)
                except Exception as error:  # written before the group ends, by which others learn of it
                    if not _is_broken(error):
                        self._say_failed(number, error)
                    raise
        except Exception as error:
            if not _is_broken(error):  # else another one failed, or the leader gave up
                self._say_failed(number, error)
                self.store.set(f"ready {number} {self.rank}", "")

    def end(self) -> None:
        """Let members end, and wait for those that this process started."""
        with suppress(RuntimeError):  # the store may be gone
            self.store.set(_END, "")
        for member in self.members:
            member.stop(_END_SECONDS)

    def _own_device(self, leaders: torch.device) -> torch.device:
        """Return this process's device, of the leader's type: the one after the leader's for each process between them.

        Raises:
            InvalidInputError: There is no such device.
        """
        if leaders.type == "cpu":
            return leaders
        index, n = (leaders.index or 0) + self.local_rank, n_devices(leaders.type)
        if index >= n:
            raise InvalidInputError(
                f"{self.size} processes for one training need a device each; process {self.rank} needs "
                f"{leaders.type}:{index}, but PyTorch finds {n} here; start fewer, or give --device cpu"
            )
        return torch.device(leaders.type, index)

    @contextmanager
    def _group(self, number: int, device: torch.device) -> Iterator[Ranks]:
        within = dist.PrefixStore(f"group {number}", self.store)
        with ranks_of(within, rank=self.rank, size=self.size, device=device) as ranks:
            yield ranks

    @contextmanager
    def _watched(self, number: int) -> Iterator[None]:
        """End this process if a training fails inside the ``with`` block and it still waits for others."""
        is_left = threading.Event()

        def watch() -> None:
            with suppress(RuntimeError):  # the store is gone
                while not is_left.wait(_WATCH_SECONDS):
                    if self.store.check([f"over {number}"]):
                        break
            if not is_left.wait(_LATE_SECONDS):
                end_process(f"process {self.rank} ended, as its training had failed and it still waited for others")

        threading.Thread(target=watch, name="nas_sens team", daemon=True).start()
        try:
            yield
        finally:
            is_left.set()

    def _await(self, keys: list[str]) -> None:
        while not self.store.check(keys):
            if (ended := self._ended()) is not None:
                raise _lost(ended)
            time.sleep(_POLL_SECONDS)

    def _ended(self) -> Ended | None:
        return next((ended for member in self.members if (ended := member.poll()) is not None), None)

    def _say_failed(self, number: int, error: Exception) -> None:
        kind = _TOO_LARGE if isinstance(error, OutOfMemoryError) else _REFUSED
        text = str(error) if isinstance(error, NasSensError) else f"{type(error).__name__}: {first_line(error)}"
        key = f"failed {number}"
        if not self.store.check([key]):
            self.store.set(key, json.dumps([kind, f"process {self.rank}: {text}"]))

    def _reason(self, number: int) -> NasSensError:
        """Return why a member is not there any more."""
        end = time.monotonic() + _LATE_SECONDS
        while time.monotonic() < end:
            if self.store.check([key := f"failed {number}"]):
                kind, text = json.loads(self.store.get(key))
                return OutOfMemoryError(text) if kind == _TOO_LARGE else InvalidInputError(text)
            if (ended := self._ended()) is not None:
                return _lost(ended)
            time.sleep(_POLL_SECONDS)
        return _lost(Ended(how="lost", text="its connection broke"))


def _lost(ended: Ended) -> NasSensError:
    if ended.how == "refused":
        return InvalidInputError(ended.text)
    text = ended.text or "it ended"
    return WorkerError(
        f"a process of a training by several was lost: {text}; the same command goes on from the last checkpoint"
    )


def _is_broken(error: BaseException) -> bool:
    """Return whether an error is that of a connection to another process."""
    return isinstance(error, RuntimeError) and (isinstance(error, dist.DistError) or "gloo" in str(error).lower())


@contextmanager
def local_team(size: int, device: str) -> Iterator[Team | None]:
    """Start the other processes of a team on this machine, and end them when the ``with`` block does.

    Args:
        size: How many there are, with this one; one is no team.
        device: ``auto`` or the name of a device, of this process. Cores are shared out among the processes.

    Yields:
        The team; None for no team.
    """
    if size == 1:
        yield None
        return
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=_STORE_PATIENCE)
    n_before = torch.get_num_threads()
    n_threads = max(1, n_before // size)
    team = Team(store=store, rank=0, size=size, local_rank=0)
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="nas_sens_team_"))
        stack.callback(torch.set_num_threads, n_before)
        torch.set_num_threads(n_threads)
        stack.callback(team.end)
        for rank in range(1, size):
            task = Task(
                target=MEMBER,
                worker=f"process {rank}",
                device=device,
                n_threads=n_threads,
                arguments={"rank": rank, "size": size, "port": store.port},
                log=Path(folder) / f"{rank}.log",
            )
            team.members.append(LocalWorker(task))
        yield team


@contextmanager
def leading(size: int, device: str) -> Iterator[Team | None]:
    """Lead the team that ``torchrun`` started, if it did, or else one that is started here; see :func:`local_team`.

    Args:
        size: See there.
        device: See there.

    Yields:
        The team; None for no team.

    Raises:
        InvalidInputError: Both are asked for.
    """
    if not is_torchrun():
        with local_team(size, device) as team:
            yield team
        return
    if size > 1:
        raise InvalidInputError(
            f"torchrun started {os.environ['WORLD_SIZE']} processes for one training already; remove "
            "--devices-per-training"
        )
    team = team_of_torchrun()
    with last_act(team.end):
        try:
            yield team
        finally:
            team.end()


def team_of_torchrun() -> Team:
    """Return the team that ``torchrun`` started."""
    store, rank, size = next(iter(dist.rendezvous("env://", timeout=_STORE_PATIENCE)))
    return Team(
        store=dist.PrefixStore("nas_sens", store), rank=rank, size=size, local_rank=int(os.environ["LOCAL_RANK"])
    )
