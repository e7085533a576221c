"""Any measures on any network: as it is, or untrained with several seeds."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from ..architectures.initialization import initialize_
from ..core.declarations import find
from ..core.device import memory_guard, model_where_doubles_are, n_devices, where_doubles_are
from ..core.errors import InfeasibleArchitectureError, InvalidInputError, OutOfMemoryError
from ..core.identity import make_generator
from ..core.init_schemes import InitScheme
from ..core.inputs import Inputs, checked_inputs, device_of, floats_as, is_one_float, mapped
from ..core.outputs import Output
from ..core.random_state import CPU, global_stream
from ..core.user_code import error_text
from . import Metric
from . import metrics as all_metrics
from ._as_measured import as_measured, float_type
from ._left_as_found import left_as_found, surroundings_as_found
from ._one_input import OneInput
from ._trial import failure, has_lazy_layers, is_of_the_network, network_problem, one_output
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
    x: Inputs,
    y: torch.Tensor | None = None,
    *,
    metrics: Sequence[str] | Literal["all"] = "all",
    seeds: int = 1,
    init: InitScheme | None = None,
    reference: Inputs | None = None,
    generator: torch.Generator | None = None,
    output: Output | None = None,
    noise_at: str | None = None,
) -> list[Measurement]:
    """Return what the named measures say of a network, in the order of their names as given.

    A measure whose needs are not met says so in ``problem``, and the others still run; so does one that uses outputs
    of which it is not plain which are meant, or that runs a network which fails. Each measure draws from a stream of
    its own, so that its value does not depend on which others run. The network is left as it was found: weights,
    buffers, gradients, modes, flags, hooks and attributes. Of a network with lazy layers, a copy is measured whose
    weights are drawn from ``generator``, of one in half precision a copy in float32. Compiled networks are run as they
    are written, parallel ones on the device of ``x``.

    Measures know a network as a function of one floating-point tensor. Several such tensors are laid side by side;
    where noise enters behind a module, what that module gives is the input, and Jacobians, regions and paths are those
    of the rest of the network. Outputs of any shape (n, …) are taken as (n, K), K being all their numbers; labels of
    classes need outputs (n, K).

    Args:
        model: Maps (n, *input_shape) to (n, K), or to outputs of any shape (n, …).
        x: Inputs (n, *input_shape) on the model's device, as the network expects them: a tensor, a tuple of tensors by
            position, or a dict by keyword. Most measures take them in one pass, as one minibatch: some dozens to
            hundreds are usual. Where that device has no float64, as Apple's, a copy of the network is measured on the
            CPU. They take the floating-point type of the network.
        y: Labels (n,), for measures that need them.
        metrics: Names from :func:`nas_sens.metrics.metrics`, or "all".
        seeds: Number of random networks; more than one needs ``init``.
        init: Scheme by which the network is initialised anew for every seed; None to measure it with its weights.
        reference: One input (*input_shape) for measures that divide by what the network says of it, so that several
            sets of inputs can be compared; None for the first of ``x``.
        generator: Where weights, noise and probes are drawn from; torch's global generator if None.
        output: Which of several outputs, as for :func:`nas_sens.output_sensitivity`.
        noise_at: Where noise enters, as for :func:`nas_sens.output_sensitivity`.

    Raises:
        InvalidInputError: A measure is unknown, ``seeds`` is less than 1 or without ``init``, the scheme has no rule
            for a layer of the network, there is no module ``noise_at``, or the network is on another device.
    """
    table = all_metrics()
    chosen = list(table.values()) if isinstance(metrics, str) and metrics == "all" else _named(table, metrics)
    options: dict[str, Any] = {"seeds": seeds, "init": init, "reference": reference, "generator": generator}
    return take(model, x, y, chosen=chosen, output=output, noise_at=noise_at, **options)


def take(
    model: nn.Module,
    x: Inputs,
    y: torch.Tensor | None = None,
    *,
    chosen: Sequence[Metric],
    seeds: int = 1,
    init: InitScheme | None = None,
    reference: Inputs | None = None,
    generator: torch.Generator | None = None,
    output: Output | None = None,
    noise_at: str | None = None,
) -> list[Measurement]:
    """Return what measures say of a network, in their order; see :func:`measure`, which takes their names.

    Raises:
        InvalidInputError: See there.
    """
    if seeds < 1 or (seeds > 1 and init is None):
        raise InvalidInputError(
            f"seeds must be at least 1, and more than 1 needs an init to draw networks by; given seeds = {seeds}, "
            f"init = {init!r}"
        )
    x = checked_inputs(x, "inputs")
    model, where = model_where_doubles_are(model, device_of(x)), where_doubles_are(device_of(x))
    x = mapped(lambda t: t.to(where), x)
    model, x = as_measured(_unwrapped(model), x)
    if not any(True for _ in model.children()):  # outputs of the network are made one row each, those of layers stay
        model = nn.Sequential(model)
    dtype = float_type(model, x)
    y = None if y is None else y.to(where)
    reference = None if reference is None else floats_as(mapped(lambda t: t.to(where), reference), dtype)
    device = None if generator is None else generator.device
    base = int(torch.randint(2**62, (), generator=generator, device=device or "cpu"))
    runs: dict[str, list[tuple[float | None, float, str]]] = {metric.name: [] for metric in chosen}
    with _ready(model, x, base, weights=init is not None) as network:
        for i in range(seeds):
            if init is not None:
                _initialize_(network, init, make_generator("measure weights", base, i, device=_device(network, x)))
            single, inputs, first = _of_one_input(network, x, reference, noise_at=noise_at, output=output)
            now: list[Metric] = []

            def are_classes() -> bool:
                return now[-1].needs_labels and y is not None and not y.is_floating_point()  # noqa: B023

            with one_output(single, output, are_classes=are_classes):
                for metric in chosen:
                    now.append(metric)
                    stream = make_generator("measure", metric.name, base, i, device=where)
                    with global_stream(stream.initial_seed(), _own_stream(where)):  # of a network that draws by itself
                        runs[metric.name].append(_attempt(metric, single, inputs, y, first, stream))
    return [_summary(metric, runs[metric.name]) for metric in chosen]


def _named(table: dict[str, Metric], names: Sequence[str]) -> list[Metric]:
    names = [names] if isinstance(names, str) else names
    if not names:
        raise InvalidInputError(f"at least one metric is needed; none given; there are {', '.join(table)}")
    return [find(table, name, "metric") for name in dict.fromkeys(names)]


def _device(model: nn.Module, x: Any) -> torch.device:
    return next((p.device for p in model.parameters()), device_of(x))


def _of_one_input(
    network: nn.Module, x: Any, reference: Any, *, noise_at: str | None, output: Output | None
) -> tuple[nn.Module, torch.Tensor, torch.Tensor | None]:
    """Return a network as a function of one floating-point tensor, with its input and the reference as such.

    Raises:
        InvalidInputError: There is no such function.
    """
    if is_one_float(x) and noise_at is None:
        return network, x, reference
    try:
        single = OneInput(network, x, noise_at=noise_at, output=output)
        if reference is not None:
            one = mapped(lambda t: t.unsqueeze(0), reference)
            reference = OneInput(network, one, noise_at=noise_at, output=output).start[0]
    except Exception as error:  # whatever a foreign module raises
        if isinstance(x, torch.Tensor) and noise_at is None:
            return network, x, reference  # measures say what they need; some need no inputs
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(failure(error, x)) from error
    return single, single.start, reference


@contextmanager
def _ready(model: nn.Module, x: Any, base: int, *, weights: bool) -> Iterator[nn.Module]:
    """Yield a network that can be measured: itself, to be left as it was found, or of a lazy one a copy with weights.

    Raises:
        InvalidInputError: A lazy network cannot be copied, or its weights are to be drawn and it does not run.
    """
    with _called_as_modules(model):
        if not has_lazy_layers(model):
            with left_as_found(model):
                yield model
            return
        network = copy_of(model)
        with global_stream(make_generator("lazy weights", base).initial_seed(), _own_stream(device_of(x))):
            problem = network_problem(network, x)
        if weights and has_lazy_layers(network):
            raise InvalidInputError(
                problem or "a lazy layer is not called; its weights have no shape and cannot be drawn"
            )
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
    except IndexError as error:  # of cross-entropy
        if "Target" not in str(error):
            raise
        value, problem = None, "labels must be from 0 to the number of outputs minus 1; some are not"
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
