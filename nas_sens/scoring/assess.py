"""Candidates with their scores: proposals checked against the space, counted, scored and measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import nn

from ..architectures import ArchitectureSpec, count_flops, count_params
from ..architectures.init_schemes import InitScheme
from ..core.candidates import STATUS_OK, ScoredCandidate
from ..core.device import is_out_of_memory
from ..core.errors import InfeasibleArchitectureError
from ..core.identity import make_generator
from ..data import Splits
from ..metrics.closed_form.expectation import ClosedForm, closed_form_batch, is_batched
from ..metrics.measurement import measure
from ..study.proposal import Proposal
from ..study.search_space import SearchSpace
from .probe import Probe
from .score import Score, from_closed_form, probe_initialization, probed, score

TOO_LARGE = "too large: the candidate does not fit in memory"

_SURELY_FITS = 2**26  # parameters, 256 MB


Cached = tuple[Score, dict[str, float]]  # a score, and the further measures that are finite


def assess_many(
    space: SearchSpace,
    proposals: Sequence[Proposal],
    splits: Splits,
    probe: Probe,
    *,
    cache: dict[str, Cached] | None = None,
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
    """
    cache = {} if cache is None else cache
    sized = [_sized(space, p, splits, probe.device) for p in proposals]
    scores: dict[int, Score] = {}
    spec = probe.spec
    if spec.estimator != "monte_carlo" and not spec.after_softmax and not spec.reduced:
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
            scored = with_score(record, scores[i])
            measures = _measures_of_spec(proposal.architecture, splits, probe) if scored.is_ok else {}
            yield replace(scored, measures=measures), scores[i]
        elif record.status != STATUS_OK:
            yield record, None
        else:
            yield _scored(space, proposal, record, splits, probe, cache)


def assess(space: SearchSpace, proposal: Proposal, splits: Splits, probe: Probe) -> ScoredCandidate:
    """Return a proposed architecture as a candidate: checked against the space's constraints, counted and scored."""
    return next(assess_many(space, [proposal], splits, probe))[0]


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
        size = architecture.size(splits.input_shape, splits.n_outputs)
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


def _fits(params: int, device: torch.device) -> bool:
    """Return whether there is memory for so many parameters; asks for it only where that is in doubt."""
    if params < _SURELY_FITS:
        return True
    try:
        torch.empty(params, device=device)
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and not is_out_of_memory(error):
            raise
        return False
    return True


def _scored(
    space: SearchSpace,
    proposal: Proposal,
    record: ScoredCandidate,
    splits: Splits,
    probe: Probe,
    cache: dict[str, Cached],
) -> tuple[ScoredCandidate, Score | None]:
    """Return a candidate with its score, from its module."""
    architecture = proposal.architecture
    values = architecture.to_dict()
    try:
        stand_in = probed(architecture, probe.spec)
        if record.flops is not None and stand_in.digest in cache:
            return _with_cached(record, cache[stand_in.digest])
        is_other = stand_in.digest != architecture.digest
        model: nn.Module | None = None
        if record.flops is None:
            skeleton = architecture.skeleton(splits.input_shape, splits.n_outputs)
            record = replace(record, params=count_params(skeleton))
            if problem := space.violation({**values, "params": record.params}):
                return replace(record, feasible=False, status=f"infeasible: {problem}"), None
            model = skeleton.to_empty(device=probe.device)
            record = replace(record, flops=count_flops(model, splits.input_shape))
            if problem := space.violation({**values, "flops": record.flops}):
                return replace(record, feasible=False, status=f"infeasible: {problem}"), None
            if stand_in.digest in cache:
                return _with_cached(record, cache[stand_in.digest])
        if model is None or is_other:
            model = stand_in.skeleton(splits.input_shape, splits.n_outputs).to_empty(device=probe.device)
        result = score(stand_in, model, probe)
        measures = _measures(stand_in, model, probe) if result.status == STATUS_OK else {}
        if is_other or type(architecture).canonical is not ArchitectureSpec.canonical:
            cache[stand_in.digest] = (result, measures)
        return replace(with_score(record, result), measures=measures), result
    except InfeasibleArchitectureError as error:
        return replace(record, feasible=False, status=f"infeasible: {error}"), None
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return replace(record, status=TOO_LARGE), None
    except MemoryError:  # as Python and NumPy say it
        return replace(record, status=TOO_LARGE), None


def _with_cached(record: ScoredCandidate, known: Cached) -> tuple[ScoredCandidate, Score]:
    result, measures = known
    return replace(with_score(record, result), measures=measures), result


def _measures_of_spec(architecture: ArchitectureSpec, splits: Splits, probe: Probe) -> dict[str, float]:
    if not probe.spec.metrics:
        return {}
    model = architecture.skeleton(splits.input_shape, splits.n_outputs).to_empty(device=probe.device)
    return _measures(architecture, model, probe)


def _measures(architecture: ArchitectureSpec, model: nn.Module, probe: Probe) -> dict[str, float]:
    """Return the further measures that are finite, by name."""
    if not probe.spec.metrics:
        return {}
    found = measure(
        model,
        probe.x,
        probe.y,
        metrics=probe.spec.metrics,
        seeds=probe.spec.seeds,
        init=architecture.init,
        generator=make_generator("measures", architecture.digest, probe.seed),
    )
    return {m.name: m.value for m in found if m.value is not None and math.isfinite(m.value)}
