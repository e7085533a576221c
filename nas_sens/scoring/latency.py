"""The time of one forward pass: warmed up, repeated, median, with its spread."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..core.errors import InvalidInputError, first_line
from ..core.inputs import called_with, parts_of
from ..core.module_mode import evaluation_mode
from ..study.constraints import LatencySpec

_BLOCKS = 3  # stretches of a measurement
_LEAST_SECONDS = 0.02  # of a stretch
_TRIES, _CALM = 3, 0.1  # it is repeated while its standard deviation is a larger share: other work disturbs the machine
_IQR_OF_NORMAL = 1.349  # standard deviations between the quartiles


@dataclass(frozen=True)
class Latency:
    """A latency.

    Attributes:
        ms: Milliseconds of a forward pass, median.
        sd: Standard deviation over repetitions, from their quartiles.
    """

    ms: float
    sd: float


def measure_latency(model: nn.Module, x: Any, spec: LatencySpec) -> Latency:
    """Return the time of a forward pass in evaluation mode.

    Args:
        model: The network, on the device of ``spec``; for ONNX Runtime on the CPU.
        x: A minibatch of ``spec.batch`` inputs, on the same device.
        spec: How it is measured.

    Raises:
        InvalidInputError: ONNX Runtime is not installed.
        RuntimeError: The network cannot be run, or not written as ONNX.
    """
    # It takes a while to import, and warns where CUDA's compiler is and no device, which are of no use here.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    from torch.utils.benchmark import Timer

    with evaluation_mode(model), torch.inference_mode():
        run = _onnx(model, x, spec.threads) if spec.runtime == "onnx" else lambda: called_with(model, x)
        timer = Timer("run()", globals={"run": run}, num_threads=spec.threads)
        timer.timeit(2)  # caches and code that are made at the first call
        found: list[Latency] = []
        while len(found) < _TRIES and not any(f.sd <= _CALM * f.ms for f in found):
            stretches = [timer.blocked_autorange(min_run_time=_LEAST_SECONDS) for _ in range(_BLOCKS)]
            found.append(_of([t for stretch in stretches for t in stretch.times]))
        return min(found, key=lambda f: f.ms)  # what disturbs makes it longer


def _of(seconds: Sequence[float]) -> Latency:
    times = torch.tensor(seconds, dtype=torch.float64) * 1000
    quartiles = torch.quantile(times, torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)).tolist()
    return Latency(ms=quartiles[1], sd=(quartiles[2] - quartiles[0]) / _IQR_OF_NORMAL)


def _onnx(model: nn.Module, x: Any, threads: int) -> Any:
    """Return what runs a network by ONNX Runtime on the CPU.

    Raises:
        InvalidInputError: It is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise InvalidInputError(
            f'constraints.latency_ms: runtime "onnx" needs ONNX Runtime ({first_line(error)}); '
            "pip install 'nas-sens[onnx]'"
        ) from error
    parts = parts_of(x)
    named = dict(x) if isinstance(x, dict) else None
    program = torch.onnx.export(model, () if named else tuple(parts), kwargs=named, dynamo=True, verbose=False)
    assert program is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    given = {i.name: part.numpy() for i, part in zip(session.get_inputs(), parts, strict=True)}
    return lambda: session.run(None, given)
