"""Candidates with their scores: proposals checked against the space, counted, scored and measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import nn

from ..architectures import ArchitectureSpec, count_flops, count_params, trainable_layers
from ..core.candidates import STATUS_OK, ScoredCandidate
from ..core.device import memory_guard
from ..core.errors import InfeasibleArchitectureError, OutOfMemoryError
from ..core.identity import make_generator
from ..core.init_schemes import InitScheme
from ..data import Splits
from ..metrics.closed_form.expectation import ClosedForm, closed_form_batch, is_batched
from ..metrics.measurement import measure
from ..study.proposal import Proposal
from ..study.search_space import SearchSpace
from .default_measures import default_measures
from .pretrained import other_sensitivity
from .probe import Probe
from .score import Score, from_closed_form, probe_initialization, probed, score
from .screen import Screen

TOO_LARGE = "too large: the candidate does not fit in memory"

_SURELY_FITS = 2**26  # parameters, 256 MB


@dataclass(frozen=True)
class Assessed:
    """What was found of an untrained network.

    Attributes:
        score: Its score.
        measures: Further measures that are finite, by name.
        problems: Why the others have no value, by name.
    """

    score: Score
    measures: Mapping[str, float] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)


def assess_many(
    space: SearchSpace,
    proposals: Sequence[Proposal],
    splits: Splits,
    probe: Probe,
    *,
    cache: dict[str, Assessed] | None = None,
    screen: Screen | None = None,
) -> Iterator[tuple[ScoredCandidate, Score | None]]:
    """Yield proposed architectures as candidates, in their order: checked, counted and scored; None where they are not.

    Fully-connected candidates with a closed form are computed together, and no module is built for them.

    Args:
        space: Where the candidates are from.
        proposals: The candidates.
        splits: Data, for the shapes of input and output.
        probe: Inputs, noise and protocol.
        cache: Digest to score and measures of what was scored in place of a candidate (see :func:`probed`); is added
            to. Candidates whose untrained networks are the same are scored once.
        screen: What is known of latency and memory, where there are bounds on them.
    """
    cache = {} if cache is None else cache
    sized = [_screened(p, _sized(space, p, splits, probe.device), screen) for p in proposals]
    scores: dict[int, Score] = {}
    spec = probe.spec
    if spec.estimator != "monte_carlo" and probe.has_closed_form and not spec.after_softmax and not spec.reduced:
        groups: dict[tuple[InitScheme, float], list[int]] = {}
        for i, (proposal, record) in enumerate(zip(proposals, sized, strict=True)):
            if record.status == STATUS_OK and record.flops is not None and is_batched(proposal.architecture):
                groups.setdefault(probe_initialization(proposal.architecture, spec), []).append(i)
        for (scheme, scale), members in groups.items():
            models = [proposals[i].architecture for i in members]
            found = closed_form_batch(models, probe.moments, init=scheme, init_scale=scale, n_outputs=splits.n_outputs)
            scores |= {i: from_closed_form(r) for i, r in zip(members, found, strict=True) if isinstance(r, ClosedForm)}
    for i, (proposal, record) in enumerate(zip(proposals, sized, strict=True)):
        if i in scores:
            yield _with_batched(record, scores[i], proposal.architecture, splits, probe), scores[i]
        elif record.status != STATUS_OK:
            yield record, None
        else:
            yield _guarded(record, partial(_from_module, space, proposal, record, splits, probe, cache, screen))


def sized(space: SearchSpace, proposal: Proposal, splits: Splits, device: torch.device) -> ScoredCandidate:
    """Return a proposed architecture as a candidate without a score: counted, and checked against the space."""
    record = _sized(space, proposal, splits, device)
    if record.status != STATUS_OK or record.flops is not None:
        return record
    counted = partial(_counted, space, proposal.architecture, record, splits, device)
    return _guarded(record, lambda: (counted()[0], None))[0]


def with_score(record: ScoredCandidate, result: Score) -> ScoredCandidate:
    """Return a candidate with its score."""
    return replace(
        record,
        log10_sensitivity=result.log10_sensitivity,
        stderr=result.stderr,
        estimator=result.estimator,
        status=result.status,
        log10_relative_sensitivity=result.log10_relative_sensitivity,
        n_seeds=result.n_seeds,
    )


def _with_batched(
    record: ScoredCandidate, result: Score, architecture: ArchitectureSpec, splits: Splits, probe: Probe
) -> ScoredCandidate:
    """Return a candidate that was scored without a module; one is built only if measures are asked for by name."""
    if result.status != STATUS_OK or not probe.spec.named_metrics:
        return with_score(record, result)
    try:
        with memory_guard():
            model = architecture.blank(splits.input_shape, splits.n_outputs, device=probe.device)
            return _with(record, _measured(result, architecture, model, probe))[0]
    except OutOfMemoryError as error:
        return replace(with_score(record, result), measure_problems=dict.fromkeys(probe.spec.named_metrics, str(error)))


def _sized(space: SearchSpace, proposal: Proposal, splits: Splits, device: torch.device) -> ScoredCandidate:
    """Return a candidate without a score, counted and checked where that needs no module."""
    architecture = proposal.architecture
    record = ScoredCandidate(
        digest=proposal.digest,
        architecture=architecture.to_json(),
        training=dict(proposal.training),
        params_sampled=dict(proposal.params),
    )
    try:
        architecture.require_inputs(splits.input_shape)
        size = type(architecture).size(architecture, splits.input_shape, splits.n_outputs)
    except InfeasibleArchitectureError as error:
        return replace(record, feasible=False, status=f"infeasible: {error}")
    if size is None:
        return record
    values = architecture.to_dict()
    record = replace(record, params=size[0])
    if problem := space.violation({**values, "params": size[0]}):
        return replace(record, feasible=False, status=f"infeasible: {problem}")
    record = replace(record, flops=size[1])
    if problem := space.violation({**values, "flops": size[1]}):
        return replace(record, feasible=False, status=f"infeasible: {problem}")
    return record if _fits(size[0], device) else replace(record, status=TOO_LARGE)


def _screened(proposal: Proposal, record: ScoredCandidate, screen: Screen | None) -> ScoredCandidate:
    """Return a counted candidate with latency and memory, where there are bounds on them; others as they are."""
    if screen is None or record.status != STATUS_OK or record.flops is None:
        return record
    return _guarded(record, lambda: (screen(proposal.architecture, record), None))[0]


def _fits(params: int, device: torch.device) -> bool:
    """Return whether there is memory for so many parameters; asks for it only where that is in doubt."""
    if params < _SURELY_FITS:
        return True
    try:
        with memory_guard():
            torch.empty(params, device=device)
    except OutOfMemoryError:
        return False
    return True


def _guarded(
    record: ScoredCandidate, assess: Callable[[], tuple[ScoredCandidate, Score | None]]
) -> tuple[ScoredCandidate, Score | None]:
    """Return what ``assess`` does of a candidate, or the candidate with the reason why it cannot be scored."""
    try:
        with memory_guard():
            return assess()
    except InfeasibleArchitectureError as error:
        return replace(record, feasible=False, status=f"infeasible: {error}"), None
    except OutOfMemoryError:
        return replace(record, status=TOO_LARGE), None


def _from_module(
    space: SearchSpace,
    proposal: Proposal,
    record: ScoredCandidate,
    splits: Splits,
    probe: Probe,
    cache: dict[str, Assessed],
    screen: Screen | None,
) -> tuple[ScoredCandidate, Score | None]:
    """Return a candidate with its score, from its module; without one where it breaks a constraint."""
    architecture = proposal.architecture
    stand_in = probed(architecture, probe.spec)
    is_other = stand_in.digest != architecture.digest
    model: nn.Module | None = None
    if record.flops is None:
        record, model = _counted(space, architecture, record, splits, probe.device)
        record = _screened(proposal, record, screen)
        if not record.feasible:
            return record, None
    if stand_in.digest in cache:
        return _with(record, cache[stand_in.digest])
    if model is None or is_other:
        model = stand_in.blank(splits.input_shape, splits.n_outputs, device=probe.device)
    found = Assessed(score(stand_in, model, probe))
    if found.score.status == STATUS_OK:
        found = _measured(found.score, stand_in, model, probe)
    if is_other or type(architecture).canonical is not ArchitectureSpec.canonical:
        cache[stand_in.digest] = found
    return _with(record, found)


def _counted(
    space: SearchSpace, architecture: ArchitectureSpec, record: ScoredCandidate, splits: Splits, device: torch.device
) -> tuple[ScoredCandidate, nn.Module | None]:
    """Return a candidate with its parameters and FLOPs, or why it is infeasible; and its module without values."""
    values = architecture.to_dict()
    skeleton = architecture.skeleton(splits.input_shape, splits.n_outputs)
    record = replace(record, params=count_params(skeleton), trainable_layers=len(trainable_layers(skeleton)))
    if problem := space.violation({**values, "params": record.params}):
        return replace(record, feasible=False, status=f"infeasible: {problem}"), None
    model = skeleton.to_empty(device=device)
    record = replace(record, flops=count_flops(model, splits.input_shape))
    if problem := space.violation({**values, "flops": record.flops}):
        return replace(record, feasible=False, status=f"infeasible: {problem}"), None
    return record, model


def _with(record: ScoredCandidate, found: Assessed) -> tuple[ScoredCandidate, Score]:
    record = with_score(record, found.score)
    measures = {**record.measures, **found.measures}
    return replace(record, measures=measures, measure_problems=dict(found.problems)), found.score


def _measured(result: Score, architecture: ArchitectureSpec, model: nn.Module, probe: Probe) -> Assessed:
    """Return a score with the further measures that are finite, and why the others have no value."""
    more, problems = other_sensitivity(architecture, model, probe)
    found = _further(result, architecture, model, probe)
    return replace(found, measures={**more, **found.measures}, problems={**problems, **found.problems})


def _further(result: Score, architecture: ArchitectureSpec, model: nn.Module, probe: Probe) -> Assessed:
    """Return a score with the measures that are asked for."""
    if probe.spec.metrics == "auto":
        return Assessed(result, *default_measures(architecture, model, probe))
    if not probe.spec.named_metrics:
        return Assessed(result)
    found = measure(
        model,
        probe.x,
        probe.y,
        metrics=probe.spec.named_metrics,
        seeds=probe.spec.seeds,
        init=architecture.init_scheme,
        generator=make_generator("measures", architecture.digest, probe.seed),
        output=probe.output,
        noise_at=probe.spec.noise_at,
    )
    measures = {m.name: m.value for m in found if m.value is not None and math.isfinite(m.value)}
    return Assessed(result, measures, {m.name: m.problem for m in found if m.problem})
