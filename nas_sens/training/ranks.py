"""Several processes train one network, a device each: their parts of a batch, and what they say to each other."""

from __future__ import annotations

import copy
import gc
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from ..core.outputs import picked
from ..core.random_state import CPU, global_stream

PATIENCE = timedelta(minutes=30)  # for one that is alive and silent: it may decode pictures, or measure


@dataclass(frozen=True)
class Share:
    """The part of a batch of ``n`` samples that one process takes: ``size`` of them from ``first`` on.

    Attributes:
        n: Samples of the batch.
        first: Number of the first one in the batch; -1 for the last of the batch, from which it goes on at its start.
        size: How many.
        n_before: How many at the front are there only for those behind them to be mixed with.
        is_idle: Whether others have all of the batch: its samples then count for nothing.
    """

    n: int
    first: int
    size: int
    n_before: int = 0
    is_idle: bool = False

    @property
    def n_counted(self) -> int:
        """How many samples count."""
        return 0 if self.is_idle else self.size - self.n_before

    def of(self, rows: torch.Tensor) -> torch.Tensor:
        """Return its part of what a batch (n, …) has one of for every sample."""
        return rows.roll(-self.first, 0)[: self.size]


@dataclass(frozen=True)
class Ranks:
    """The processes of one training. Every method but :meth:`share` is called by all of them, in the same order.

    Attributes:
        rank: Number of this process; 0 alone decides, and writes.
        size: How many there are.
        device: Where this one trains.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    def share(self, n: int, *, is_mixed: bool = False) -> Share:
        """Return this process's part of a batch: parts differ by one sample at most, and none is of one alone.

        A batch of fewer than two samples for each process is shared among fewer, as batch normalisation cannot train on
        one sample. The others take the first samples with a weight of 0, since all must take part in a step.

        Args:
            n: Samples of the batch.
            is_mixed: Whether each is mixed with the one before it in the batch.
        """
        n_active = min(self.size, max(1, n // 2))
        if self.rank >= n_active:
            return Share(n, 0, min(2, n), is_idle=True)
        first, last = self.rank * n // n_active, (self.rank + 1) * n // n_active
        n_before = int(is_mixed and n_active > 1)
        return Share(n, first - n_before, last - first + n_before, n_before)

    def weight(self, share: Share) -> float:
        """Return what a mean over a share is multiplied by, so that the mean over processes is that of the batch."""
        return share.n_counted * self.size / share.n

    def part(self, n: int) -> slice:
        """Return which of ``n`` samples this process evaluates; none where there are fewer than processes."""
        return slice(self.rank * n // self.size, (self.rank + 1) * n // self.size)

    def wrapped(self, model: nn.Module, x: Callable[[], torch.Tensor]) -> nn.Module:
        """Return the network as it is trained: where there are several, its gradients become those of all.

        Args:
            model: The network.
            x: Gives a few inputs, by which it is found out whether a pass uses all parameters.
        """
        if self.size == 1:
            return model
        return nn.parallel.DistributedDataParallel(model, find_unused_parameters=_has_unused(model, x()))

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum of a tensor over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def agreed(self, is_so: bool) -> bool:
        """Return what rank 0 says."""
        if self.size == 1:
            return is_so
        said = torch.tensor([is_so])
        dist.broadcast(said, 0)
        return bool(said)

    def shared(self, value: Any) -> Any:
        """Return what rank 0 has: tensors on the CPU, numbers, texts, lists and dicts of these."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, 0, device=torch.device("cpu"))
        return values[0]

    def same_buffers(self, *models: nn.Module) -> None:
        """Give the networks of all processes the buffers of rank 0's, such as running means."""
        for model in models if self.size > 1 else ():
            for buffer in model.buffers():
                dist.broadcast(buffer, 0)

    @contextmanager
    def same_draws(self) -> Iterator[None]:
        """Draw from PyTorch's global random state of the CPU what rank 0 draws, inside the ``with`` block."""
        if self.size == 1:
            yield
            return
        own = torch.get_rng_state()
        dist.broadcast(drawn := own.clone(), 0)
        torch.set_rng_state(drawn)
        try:
            yield
        finally:
            if self.rank:
                torch.set_rng_state(own)


ALONE = Ranks()


def share_rows(shares: Sequence[Share], rows: torch.Tensor) -> torch.Tensor:
    """Return the rows of shares of batches that follow one another in ``rows``."""
    parts, start = [], 0
    for share in shares:
        parts.append(share.of(rows[start : start + share.n]))
        start += share.n
    return torch.cat(parts)


@contextmanager
def ranks_of(store: dist.Store, *, rank: int, size: int, device: torch.device) -> Iterator[Ranks]:
    """Join the other processes of a training, which all do so with the same store; leave them at the end.

    Args:
        store: Where they find each other, of this training alone.
        rank: Number of this process.
        size: Number of processes.
        device: Where this one trains.

    Yields:
        The processes, as this one knows them.
    """
    backend = "gloo" if device.type == "cpu" else f"cpu:gloo,{device.type}:{_backend_of(device)}"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
    try:
        yield Ranks(rank, size, device)
    except BaseException as error:
        # What a failed training left holds the connections, and others wait until they are closed.
        traceback.clear_frames(error.__traceback__)
        dist.destroy_process_group()
        gc.collect()
        raise
    dist.destroy_process_group()


def _has_unused(model: nn.Module, x: torch.Tensor) -> bool:
    """Return whether a pass leaves parameters without a gradient, which PyTorch has to look for in every step then."""
    tried = copy.deepcopy(model).eval()
    parameters = [p for p in tried.parameters() if p.requires_grad]
    with global_stream(None, x.device):
        found = torch.autograd.grad(picked(tried(x), len(x)).sum(), parameters, allow_unused=True)
    return any(gradient is None for gradient in found)


def _backend_of(device: torch.device) -> str:
    if hasattr(dist, "get_default_backend_for_device"):  # since PyTorch 2.6
        return str(dist.get_default_backend_for_device(device.type))
    return "nccl"
