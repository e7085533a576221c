"""Measures that every candidate has whose score takes a network: cheap ones, of one network, and never in the way."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from ..architectures import ArchitectureSpec
from ..architectures.initialization import initialize_
from ..core.device import memory_guard
from ..core.errors import InvalidInputError, first_line
from ..core.identity import make_generator
from ..core.inputs import rows_of
from ..metrics import Metric
from ..metrics._network import probing_mode, require_inputs
from ..metrics._weights import require_floats
from ..metrics.jacob_cov import score_of
from ..metrics.measurement import take
from ..metrics.naswot import Agreements
from ..metrics.synflow import synflow
from ..study.score_spec import DEFAULT_METRICS
from .probe import Probe

_N_INPUTS = 32
_FITS = 30  # log10 of flows that float32 holds, with those inside the network


def default_measures(
    architecture: ArchitectureSpec, model: nn.Module, probe: Probe
) -> tuple[dict[str, float], dict[str, str]]:
    """Return the measures that are finite, and why the others have no value; whatever a network does, nothing fails.

    They are of one network of the candidate's own initialisation, with weights from the probe's common numbers, on at
    most 32 of its inputs.

    Args:
        architecture: The candidate.
        model: Its network on the probe's device; its parameters are drawn anew.
        probe: Inputs and common numbers.
    """
    one_pass = _OnePass()
    try:
        with memory_guard():
            initialize_(model, architecture.init_scheme, generator=probe.numbers.network(0))
            last, flow = take(
                model,
                rows_of(probe.x, slice(0, _N_INPUTS)),
                chosen=[_metric(one_pass.jacob_cov), _metric(_synflow)],
                generator=make_generator("default measures", probe.seed),
                output=probe.output,
                noise_at=probe.spec.noise_at,
            )
    except Exception as error:  # whatever a foreign module raises, or memory: a score is there, and stays
        return {}, dict.fromkeys(DEFAULT_METRICS, first_line(error))
    values = {"naswot": one_pass.naswot, "synflow": flow.value, "jacob_cov": last.value}
    problems = {"naswot": one_pass.problem or last.problem, "synflow": flow.problem, "jacob_cov": last.problem}
    measures = {name: v for name, v in values.items() if v is not None and math.isfinite(v)}
    return measures, {n: p or "it is not finite" for n, p in problems.items() if n not in measures}


class _OnePass:
    """NASWOT and Jacobian covariance of one forward pass and a backward one."""

    naswot: float | None = None
    problem = ""

    def jacob_cov(
        self, model: nn.Module, x: torch.Tensor, y: torch.Tensor | None = None, *, generator: torch.Generator
    ) -> float:
        require_inputs(x, 2)
        require_floats(model)
        inputs = x.detach().clone().requires_grad_()
        with torch.enable_grad(), Agreements(model, x) as agreements, probing_mode(model, batch_statistics=True):
            outputs = model(inputs)
            try:
                self.naswot = agreements.log_determinant()
            except InvalidInputError as error:
                self.problem = str(error)
            (gradients,) = torch.autograd.grad(outputs.sum(), inputs, materialize_grads=True)
        return score_of(gradients)


def _synflow(model: nn.Module, x: torch.Tensor, y: torch.Tensor | None = None, *, generator: torch.Generator) -> float:
    """Return SynFlow as computed in float32, or in float64 where that leaves its range."""
    single = synflow(model, x, dtype=torch.float32)
    return single if abs(single) < _FITS else synflow(model, x)


def _metric(function: Callable[..., float]) -> Metric:
    return Metric(function=function, direction="larger", source="", cost="")
