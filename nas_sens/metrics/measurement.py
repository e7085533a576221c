"""Any measures on any network: as it is, or untrained with several seeds."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from ..architectures.initialization import initialize_
from ..core.declarations import find
from ..core.device import memory_guard, model_where_doubles_are, where_doubles_are
from ..core.errors import InfeasibleArchitectureError, InvalidInputError, OutOfMemoryError, first_line
from ..core.identity import make_generator
from ..core.init_schemes import InitScheme
from . import Metric
from . import metrics as all_metrics

__all__ = ["Measurement", "measure"]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What one measure says of one network.

    Attributes:
        name: The measure.
        value: Its mean over seeds; None where it could not be taken.
        stderr: Standard error of ``value`` over seeds; None with one seed.
        direction: Which values its source expects of the better network.
        seconds: Wall-clock time of all seeds together.
        problem: Why there is no value, or no finite one, in one line; empty if there is nothing to say.
    """

    name: str
    value: float | None
    stderr: float | None
    direction: str
    seconds: float
    problem: str = ""


def measure(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    metrics: Sequence[str] | Literal["all"] = "all",
    seeds: int = 1,
    init: InitScheme | None = None,
    reference: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
) -> list[Measurement]:
    """Return what the named measures say of a network, in the order of their names as given.

    A measure whose needs are not met says so in ``problem``, and the others still run. Each measure draws from a
    stream of its own, so that its value does not depend on which others run. The network is left as it was found.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape) on the model's device, as the network expects them. Most measures take them in one
            pass, as one minibatch: some dozens to hundreds are usual. Where that device has no float64, as Apple's, a
            copy of the network is measured on the CPU.
        y: Labels (n,), for measures that need them.
        metrics: Names from :func:`nas_sens.metrics.metrics`, or "all".
        seeds: Number of random networks; more than one needs ``init``.
        init: Scheme by which the network is initialised anew for every seed; None to measure it with its weights.
        reference: One input (*input_shape) for measures that divide by what the network says of it, so that several
            sets of inputs can be compared; None for the first of ``x``.
        generator: Where weights, noise and probes are drawn from; torch's global generator if None.

    Raises:
        InvalidInputError: A measure is unknown, ``seeds`` is less than 1 or without ``init``, or the scheme has no rule
            for a layer of the network.
    """
    table = all_metrics()
    chosen = list(table.values()) if isinstance(metrics, str) and metrics == "all" else _named(table, metrics)
    if seeds < 1 or (seeds > 1 and init is None):
        raise InvalidInputError(
            f"seeds must be at least 1, and more than 1 needs an init to draw networks by; given seeds = {seeds}, "
            f"init = {init!r}"
        )
    model, where = model_where_doubles_are(model, x.device), where_doubles_are(x.device)
    x = x.to(where)
    y, reference = (None if t is None else t.to(where) for t in (y, reference))
    device = None if generator is None else generator.device
    base = int(torch.randint(2**62, (), generator=generator, device=device or "cpu"))
    runs: dict[str, list[tuple[float | None, float, str]]] = {metric.name: [] for metric in chosen}
    with _restored(model) if init is not None else nullcontext():
        for i in range(seeds):
            if init is not None:
                _initialize_(model, init, make_generator("measure weights", base, i, device=_device(model, x)))
            for metric in chosen:
                stream = make_generator("measure", metric.name, base, i, device=x.device)
                runs[metric.name].append(_attempt(metric, model, x, y, reference, stream))
    return [_summary(metric, runs[metric.name]) for metric in chosen]


def _named(table: dict[str, Metric], names: Sequence[str]) -> list[Metric]:
    names = [names] if isinstance(names, str) else names
    if not names:
        raise InvalidInputError(f"at least one metric is needed; none given; there are {', '.join(table)}")
    return [find(table, name, "metric") for name in dict.fromkeys(names)]


def _device(model: nn.Module, x: torch.Tensor) -> torch.device:
    return next((p.device for p in model.parameters()), x.device)


@contextmanager
def _restored(model: nn.Module) -> Iterator[None]:
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, tensor in model.state_dict().items():
                tensor.copy_(state[name])


def _initialize_(model: nn.Module, init: InitScheme, generator: torch.Generator) -> None:
    try:
        initialize_(model, init, generator=generator)
    except InfeasibleArchitectureError as error:
        raise InvalidInputError(f"{error}; leave init out to measure the network as it is") from error


def _attempt(
    metric: Metric,
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None,
    reference: torch.Tensor | None,
    generator: torch.Generator,
) -> tuple[float | None, float, str]:
    start = time.perf_counter()
    more = {"reference": reference} if metric.takes_reference else {}
    try:
        with memory_guard():
            value, problem = float(metric.function(model, x, y, generator=generator, **more)), ""
    except (InvalidInputError, InfeasibleArchitectureError) as error:
        value, problem = None, str(error)
    except OutOfMemoryError:
        value, problem = None, "out of memory; give fewer inputs"
    except (RuntimeError, ValueError) as error:  # what PyTorch's layers and transforms raise on what they cannot do
        value, problem = None, first_line(error)
    return value, time.perf_counter() - start, problem


def _summary(metric: Metric, runs: Sequence[tuple[float | None, float, str]]) -> Measurement:
    seconds = math.fsum(run[1] for run in runs)
    values = [run[0] for run in runs if run[0] is not None]
    problem = next((run[2] for run in runs if run[2]), "")
    if problem:
        return Measurement(
            name=metric.name, value=None, stderr=None, direction=metric.direction, seconds=seconds, problem=problem
        )
    n = len(values)
    odd = [v for v in values if not math.isfinite(v)]
    if odd:
        problem = f"the value of {len(odd)} of {n} networks is {odd[0]}"
        mean, stderr = (odd[0] if len(set(map(str, odd))) == 1 else math.nan), None
    else:
        mean = math.fsum(values) / n
        stderr = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1) / n) if n > 1 else None
    return Measurement(
        name=metric.name, value=mean, stderr=stderr, direction=metric.direction, seconds=seconds, problem=problem
    )
