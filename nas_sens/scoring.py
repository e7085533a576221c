"""Scores of untrained candidates: the mean output sensitivity over several random networks, with its error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as declared
from torch import nn

from .architectures import ArchitectureSpec, count_flops, count_params
from .data import Splits
from .device import is_out_of_memory as is_out_of_memory
from .errors import InfeasibleArchitectureError, InvalidInputError
from .identity import make_generator
from .initialization import InitScheme, initialize_
from .metrics.closed_form import ClosedForm, InputMoments, NoClosedFormError, closed_form
from .metrics.output_sensitivity import evaluation_mode, output_noise_variance
from .records import STATUS_OK, ScoredCandidate
from .space import Proposal, SearchSpace

Positive = Annotated[int, Field(ge=1)]

# S varies by a few per cent from input to input, so that more inputs cost time and change log10 S in the third digit.
_CLOSED_FORM_INPUTS = 16

# Their closed form needs the covariances of all pairs of positions, and is less exact than that of other modules.
_AVERAGE_POOLS = (nn.AvgPool2d, nn.AdaptiveAvgPool2d)


@declared(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
class ScoreSpec:
    """How untrained candidates are scored.

    Args:
        metric: The measure; ``output_sensitivity`` is eq. 2 of forouzesh2020.
        estimator: ``monte_carlo`` averages over random networks. ``closed_form`` computes the mean over all networks in
            the limit of wide layers, from at most 16 of the inputs, and fails candidates with a module that has no such
            form. ``auto`` takes the closed form where there is one and no average pool, else Monte Carlo; every
            candidate records which.
        probe_init: Initialisation that networks are probed with: ``own`` for the candidate's own, or any scheme. The
            probe is not the initialisation that training starts from.
        noise_std: Standard deviation of the input noise, in the units that the network sees.
        n_inputs: Number of validation inputs (or fewer if there are not so many).
        seeds: Number of random networks, and of noise draws, per candidate.
        after_softmax: Whether to measure behind a softmax; a comparator (see `metrics.output_sensitivity`).
    """

    metric: Literal["output_sensitivity"] = "output_sensitivity"
    estimator: Literal["auto", "closed_form", "monte_carlo"] = "auto"
    probe_init: Literal["own", InitScheme] = "standard_normal"
    noise_std: Annotated[float, Field(gt=0)] = 0.1
    n_inputs: Annotated[int, Field(ge=2)] = 128
    seeds: Positive = 4
    after_softmax: bool = False


@dataclass(frozen=True)
class Score:
    """A candidate's score.

    Attributes:
        log10_sensitivity: log10 of the mean of S_θ over networks; None unless ``status`` is "ok".
        stderr: Standard error of ``log10_sensitivity`` over networks, by the delta method; None with one network and
            for the closed form, which draws none.
        estimator: "closed_form" or "monte_carlo".
        status: "ok", or why there is no score: "dead: …", "non-finite: …" or "no closed form: …".
    """

    log10_sensitivity: float | None
    stderr: float | None
    estimator: str
    status: str = STATUS_OK


class Probe:
    """Inputs with and without noise, drawn once and shared by all candidates so that they can be compared.

    Args:
        x: Held-out inputs (n, *input_shape) on the device where candidates are scored.
        spec: How to score.
        seed: Seed of the study.

    Raises:
        InvalidInputError: There are fewer than two inputs.
    """

    def __init__(self, x: torch.Tensor, spec: ScoreSpec, *, seed: int) -> None:
        if len(x) < 2:
            raise InvalidInputError(f"scoring needs at least 2 inputs; given {len(x)}")
        self.spec = spec
        self.seed = seed
        x = x[: spec.n_inputs]
        self.n_inputs = len(x)
        self.device = x.device
        pairs = []
        for i in range(spec.seeds):
            generator = make_generator("input noise", seed, i, device=x.device)
            noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
            pairs.append(torch.cat([x, x + noise * spec.noise_std]))
        self.pairs = tuple(pairs)
        n = min(self.n_inputs, _CLOSED_FORM_INPUTS)
        self.moments = InputMoments.from_inputs(x, spec.noise_std, n_inputs=n, n_pairs=max(1, n // 2))

    def sensitivity(self, model: nn.Module, i: int) -> torch.Tensor:
        """Return S_θ of one network under the ``i``-th noise, a float64 scalar on the device; does not wait for it."""
        y = model(self.pairs[i])
        clean, noisy = y[: self.n_inputs], y[self.n_inputs :]
        return output_noise_variance(clean, noisy, after_softmax=self.spec.after_softmax)

    def mean_sensitivity(self, model: nn.Module) -> torch.Tensor:
        """Return S_θ of one network, the mean over all noise draws, without waiting for it."""
        return torch.stack([self.sensitivity(model, i) for i in range(len(self.pairs))]).mean()


@torch.inference_mode()
def score(architecture: ArchitectureSpec, model: nn.Module, probe: Probe) -> Score:
    """Return the score of an untrained candidate; the same for the same candidate, seed and inputs in any order.

    Args:
        architecture: The candidate.
        model: Its network on the probe's device; its parameters are drawn anew for every seed.
        probe: Inputs, noise and protocol.
    """
    own = probe.spec.probe_init == "own"
    scheme: InitScheme = architecture.init if own else probe.spec.probe_init  # type: ignore[assignment]
    scale = architecture.init_scale if own else 1.0
    if _takes_closed_form(model, probe.spec):
        try:
            return _from_closed_form(closed_form(model.eval(), probe.moments, init=scheme, init_scale=scale))
        except NoClosedFormError as error:
            if probe.spec.estimator == "closed_form":
                return Score(None, None, "closed_form", f"no closed form: {error}")
    values = []
    with evaluation_mode(model):
        for i in range(probe.spec.seeds):
            generator = make_generator("probe", architecture.digest, probe.seed, i, device=probe.device)
            initialize_(model, scheme, scale=scale, generator=generator)
            values.append(probe.sensitivity(model, i))
    return summarize(torch.stack(values).tolist())


def _takes_closed_form(model: nn.Module, spec: ScoreSpec) -> bool:
    """Return whether to try the closed form; ``auto`` does not where average pools make it slower than sampling."""
    if spec.after_softmax or spec.estimator == "monte_carlo":
        return False
    return spec.estimator == "closed_form" or not any(isinstance(m, _AVERAGE_POOLS) for m in model.modules())


def _from_closed_form(result: ClosedForm) -> Score:
    if result.log10_sensitivity == -math.inf:
        return Score(None, None, "closed_form", "dead: input noise moves no output of untrained networks (S = 0)")
    return Score(result.log10_sensitivity, None, "closed_form")


def summarize(sensitivities: Sequence[float]) -> Score:
    """Return the score that one S_θ per network amounts to."""
    n = len(sensitivities)
    if not all(map(math.isfinite, sensitivities)):
        bad = sum(not math.isfinite(s) for s in sensitivities)
        return Score(None, None, "monte_carlo", f"non-finite: the outputs of {bad} of {n} untrained networks overflow")
    mean = math.fsum(sensitivities) / n
    if mean == 0:
        return Score(None, None, "monte_carlo", f"dead: input noise moves no output of {n} untrained networks (S = 0)")
    if n == 1:
        return Score(math.log10(mean), None, "monte_carlo")
    relative = [s / mean - 1 for s in sensitivities]  # relative first: squares of huge S would overflow
    sd = math.sqrt(math.fsum(r * r for r in relative) / (n - 1))
    return Score(math.log10(mean), sd / math.sqrt(n) / math.log(10), "monte_carlo")


def assess(space: SearchSpace, proposal: Proposal, splits: Splits, probe: Probe) -> ScoredCandidate:
    """Return a proposed architecture as a candidate: checked against the space's constraints, counted and scored."""
    architecture = proposal.architecture
    record = ScoredCandidate(
        digest=architecture.digest, architecture=architecture.to_json(), params_sampled=dict(proposal.params)
    )
    values = architecture.to_dict()
    try:
        skeleton = architecture.skeleton(splits.input_shape, splits.n_outputs)
        record = replace(record, params=count_params(skeleton))
        if problem := space.violation({**values, "params": record.params}):
            return replace(record, feasible=False, status=f"infeasible: {problem}")
        model = skeleton.to_empty(device=probe.device)
        record = replace(record, flops=count_flops(model, splits.input_shape))
        if problem := space.violation({**values, "flops": record.flops}):
            return replace(record, feasible=False, status=f"infeasible: {problem}")
        result = score(architecture, model, probe)
    except InfeasibleArchitectureError as error:
        return replace(record, feasible=False, status=f"infeasible: {error}")
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return replace(record, status="too large: the candidate does not fit in memory")
    return replace(
        record,
        log10_sensitivity=result.log10_sensitivity,
        stderr=result.stderr,
        estimator=result.estimator,
        status=result.status,
    )
