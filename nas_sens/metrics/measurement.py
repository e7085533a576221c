"""Any measures on any network: as it is, or untrained with several seeds."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from ..architectures.initialization import initialize_
from ..core.declarations import find
from ..core.device import memory_guard, model_where_doubles_are, n_devices, where_doubles_are
from ..core.errors import InfeasibleArchitectureError, InvalidInputError, OutOfMemoryError
from ..core.identity import make_generator
from ..core.init_schemes import InitScheme
from ..core.random_state import CPU, global_stream
from ..core.user_code import error_text
from . import Metric
from . import metrics as all_metrics
from ._left_as_found import left_as_found, surroundings_as_found
from ._trial import checked_outputs, failure, has_lazy_layers, is_of_the_network, network_problem
from ._weights import copy_of

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

    A measure whose needs are not met says so in ``problem``, and the others still run; so does one that uses outputs
    which are not one tensor (n, K), or that runs a network which fails. Each measure draws from a stream of its own,
    so that its value does not depend on which others run. The network is left as it was found: weights, buffers,
    gradients, modes, flags, hooks and attributes. Of a network with lazy layers, a copy is measured whose weights are
    drawn from ``generator``. Compiled networks are run as they are written, parallel ones on the device of ``x``.

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
    with _ready(model, x, base, weights=init is not None) as network:
        for i in range(seeds):
            if init is not None:
                _initialize_(network, init, make_generator("measure weights", base, i, device=_device(network, x)))
            for metric in chosen:
                stream = make_generator("measure", metric.name, base, i, device=x.device)
                with global_stream(stream.initial_seed(), _own_stream(x.device)):  # of a network that draws by itself
                    runs[metric.name].append(_attempt(metric, network, x, y, reference, stream))
    return [_summary(metric, runs[metric.name]) for metric in chosen]


def _named(table: dict[str, Metric], names: Sequence[str]) -> list[Metric]:
    names = [names] if isinstance(names, str) else names
    if not names:
        raise InvalidInputError(f"at least one metric is needed; none given; there are {', '.join(table)}")
    return [find(table, name, "metric") for name in dict.fromkeys(names)]


def _device(model: nn.Module, x: torch.Tensor) -> torch.device:
    return next((p.device for p in model.parameters()), x.device)


@contextmanager
def _ready(model: nn.Module, x: torch.Tensor, base: int, *, weights: bool) -> Iterator[nn.Module]:
    """Yield a network that can be measured: itself, to be left as it was found, or of a lazy one a copy with weights.

    Raises:
        InvalidInputError: A lazy network cannot be copied, or its weights are to be drawn and it does not run.
    """
    model = _unwrapped(model)
    with _called_as_modules(model):
        if not has_lazy_layers(model):
            with left_as_found(model), checked_outputs(model):
                yield model
            return
        network = copy_of(model)
        with global_stream(make_generator("lazy weights", base).initial_seed(), _own_stream(x.device)):
            problem = network_problem(network, x)
        if weights and has_lazy_layers(network):
            raise InvalidInputError(
                problem or "a lazy layer is not called; its weights have no shape and cannot be drawn"
            )
        with checked_outputs(network):
            yield network


def _unwrapped(model: nn.Module) -> nn.Module:
    """Return what is inside wrappers that compute the same but hide the layers."""
    while True:
        inner = model.module if isinstance(model, nn.DataParallel) else getattr(model, "_orig_mod", None)
        if not isinstance(inner, nn.Module):
            # Modules of TorchScript take no hooks.
            return nn.Sequential(model) if isinstance(model, torch.jit.ScriptModule) else model
        model = inner


def _called_as_modules(model: nn.Module) -> AbstractContextManager[None]:
    """Return a context in which compiled parts of a network run as they are written, so that measures see them."""
    if any(hasattr(m, "_orig_mod") or m._compiled_call_impl is not None for m in model.modules()):
        return torch.compiler.set_stance("force_eager")
    return nullcontext()


def _own_stream(device: torch.device) -> torch.device:
    return device if n_devices(device.type) else CPU


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
        with memory_guard(), surroundings_as_found():
            value, problem = float(metric.function(model, x, y, generator=generator, **more)), ""
    except (InvalidInputError, InfeasibleArchitectureError) as error:
        value, problem = None, str(error)
    except OutOfMemoryError:
        value, problem = None, "out of memory; give fewer inputs"
    except Exception as error:
        # Besides what the network raises: what PyTorch's layers and transforms raise on what they cannot do.
        is_of_torch = isinstance(error, (RuntimeError, ValueError))
        if not is_of_torch and not is_of_the_network(error):
            raise
        value, problem = None, network_problem(model, x) or (error_text(error) if is_of_torch else failure(error, x))
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
