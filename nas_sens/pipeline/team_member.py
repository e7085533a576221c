"""A member of a team: it trains along what the leader is asked to, and has nothing to do with the database."""

from __future__ import annotations

import signal

import torch
import torch.distributed as dist

from ..architectures import load_spec
from ..core.device import memory_guard
from ..core.errors import InvalidInputError
from ..core.identity import canonical_json
from ..data import Splits, load_data
from ..data.machine_copy import shared_on_this_machine
from ..study.load import from_dict
from ..training import train
from ..training.ranks import Ranks
from .team import Order, Team, team_of_torchrun


def work(*, worker: str, device: str, n_threads: int | None, rank: int, size: int, port: int) -> bool:
    """Return that nothing is left, having followed the leader on this machine until it ended.

    Args:
        worker: Name of this process.
        device: The leader's, as it was given; each order says which one it is.
        n_threads: Number of threads of the CPU to use; None for PyTorch's own choice.
        rank: Number of this process.
        size: Number of processes.
        port: Of the store.
    """
    if n_threads is not None:
        torch.set_num_threads(n_threads)
    store = dist.TCPStore("127.0.0.1", port, is_master=False)
    follow(Team(store=store, rank=rank, size=size, local_rank=rank))
    return True


def follow_torchrun() -> int:
    """Return the exit code, having followed the leader that ``torchrun`` started; Ctrl-C ends it, whatever it does."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    follow(team_of_torchrun())
    return 0


def follow(team: Team) -> None:
    """Train along until the leader has ended, or is gone."""
    data = _Data()
    try:
        for order, number in team.orders():
            team.join(order, number, data.train)
    except dist.DistError:  # the store went with the leader
        return


class _Data:
    """The data of the last order, which are mostly those of the next."""

    def __init__(self) -> None:
        self._declared = ""
        self._splits: Splits | None = None

    def train(self, order: Order, ranks: Ranks) -> None:
        """Train along."""
        spec = from_dict(order["study"]).train
        splits = self._of(order, ranks)
        with memory_guard():
            train(load_spec(order["architecture"]), splits, spec, seed=order["seed"], ranks=ranks)

    def _of(self, order: Order, ranks: Ranks) -> Splits:
        """Return the data on the device.

        Raises:
            InvalidInputError: They are others than the leader's.
        """
        key, fingerprint = canonical_json(order["study"]["data"]), order["fingerprint"]
        if self._splits is None or key != self._declared:
            data = from_dict(order["study"]).data
            splits = shared_on_this_machine(lambda: load_data(data), fingerprint=fingerprint)
            if splits.fingerprint != fingerprint:
                raise InvalidInputError(
                    f"the data {data.name!r} of process {ranks.rank} have fingerprint {splits.fingerprint}, those of "
                    f"process 0 have {fingerprint}; give all machines the same data"
                )
            self._declared, self._splits = key, splits.to(ranks.device)
        return self._splits
