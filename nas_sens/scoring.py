"""Scores of untrained candidates: the mean output sensitivity over random networks, with its error."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace

import torch
from torch import nn

from .architectures import ArchitectureSpec, count_flops, count_params
from .data import Splits
from .declarations import changed
from .device import is_out_of_memory
from .errors import InfeasibleArchitectureError
from .identity import make_generator
from .init_schemes import InitScheme
from .initialization import initialize_
from .measurement import measure
from .metrics.closed_form import ClosedForm, NoClosedFormError, closed_form, closed_form_batch, is_batched
from .metrics.output_sensitivity import evaluation_mode
from .probe import Probe, ScoreSpec
from .records import STATUS_OK, ScoredCandidate
from .space import Proposal, SearchSpace

TOO_LARGE = "too large: the candidate does not fit in memory"

_SURELY_FITS = 2**26  # parameters, 256 MB

# Their closed form needs the covariances of all pairs of positions, and is less exact than that of other modules.
_AVERAGE_POOLS = (nn.AvgPool2d, nn.AdaptiveAvgPool2d)


@dataclass(frozen=True)
class Score:
    """A candidate's score.

    Attributes:
        log10_sensitivity: log10 of the mean of S_θ over networks; None unless ``status`` is "ok".
        stderr: Standard error of ``log10_sensitivity`` over networks, by the delta method; None with one network and
            for the closed form, which draws none.
        estimator: "closed_form" or "monte_carlo".
        status: "ok", or why there is no score: "dead: …", "non-finite: …" or "no closed form: …".
        log10_relative_sensitivity: log10 of E ‖f(x+ε) − f(x)‖² / E Σ_k Var_x f_k(x), expectations over networks; None
            where the outputs do not depend on the input enough to tell.
        n_seeds: Number of networks drawn; None for the closed form.
        draws: Statistics of each network drawn (see `metrics.output_sensitivity.output_noise_statistics`).
    """

    log10_sensitivity: float | None
    stderr: float | None
    estimator: str
    status: str = STATUS_OK
    log10_relative_sensitivity: float | None = None
    n_seeds: int | None = None
    draws: tuple[tuple[float, ...], ...] = field(default=(), repr=False, compare=False)


Cached = tuple[Score, dict[str, float]]  # a score, and the further measures that are finite


@torch.inference_mode()
def score(
    architecture: ArchitectureSpec, model: nn.Module, probe: Probe, *, earlier: Score | None = None, n_seeds: int = 0
) -> Score:
    """Return the score of an untrained candidate; the same for the same candidate, seed and inputs in any order.

    Args:
        architecture: The candidate.
        model: Its network on the probe's device; its parameters are drawn anew for every seed.
        probe: Inputs, noise and protocol.
        earlier: An earlier Monte-Carlo score of the candidate, whose networks are not drawn again.
        n_seeds: Number of networks; 0 for what the protocol says.
    """
    scheme, scale = probe_initialization(architecture, probe.spec)
    if earlier is None and _takes_closed_form(model, probe.spec):
        try:
            found = closed_form(model.eval(), probe.moments, init=scheme, init_scale=scale, memo=probe.memo)
            return from_closed_form(found)
        except NoClosedFormError as error:
            if probe.spec.estimator == "closed_form":
                return Score(None, None, "closed_form", f"no closed form: {error}")
    spec = probe.spec
    draws = list(earlier.draws) if earlier is not None else []
    n_wanted = n_seeds or spec.seeds
    with evaluation_mode(model):
        while True:
            draws += _draw(architecture, model, probe, len(draws), n_wanted)
            if not all(math.isfinite(draw[0]) for draw in draws) and _is_single(model):
                # Deep networks of standard-normal weights overflow float32 long before float64.
                draws = _draw(architecture, model.double(), probe, 0, len(draws))
            result = summarize(draws)
            if n_seeds or not _wants_more(result, spec):
                return result
            n_wanted = min(2 * len(draws), spec.max_seeds)


def _is_single(model: nn.Module) -> bool:
    return next(model.parameters()).dtype == torch.float32


def _draw(
    architecture: ArchitectureSpec, model: nn.Module, probe: Probe, start: int, stop: int
) -> list[tuple[float, ...]]:
    """Return the statistics of the networks ``start`` to ``stop`` - 1 of a candidate; waits for the device once."""
    scheme, scale = probe_initialization(architecture, probe.spec)
    found = []
    for i in range(start, stop):
        generator = make_generator("probe", architecture.digest, probe.seed, i, device=probe.device)
        initialize_(model, scheme, scale=scale, generator=generator)
        found.append(probe.statistics(model, i))
    return [tuple(row) for row in torch.stack(found).tolist()] if found else []


def probed(architecture: ArchitectureSpec, spec: ScoreSpec) -> ArchitectureSpec:
    """Return the architecture that is scored in place of a candidate: reduced, and one for all that are the same.

    Raises:
        InvalidInputError: A parameter in ``reduced`` has a wrong value.
    """
    there = {f.name for f in fields(architecture)}
    changes = {k: v for k, v in spec.reduced.items() if k in there}
    if changes:
        architecture = changed(architecture, where="score.reduced", **changes)
    return architecture.canonical


def probe_initialization(architecture: ArchitectureSpec, spec: ScoreSpec) -> tuple[InitScheme, float]:
    """Return the scheme and the factor on the weights that a candidate is probed with."""
    if spec.probe_init == "own":
        return architecture.init, architecture.init_scale
    return spec.probe_init, 1.0


def _wants_more(result: Score, spec: ScoreSpec) -> bool:
    if spec.precision is None or result.stderr is None or result.n_seeds is None:
        return False
    return result.stderr > spec.precision and result.n_seeds < spec.max_seeds


def _takes_closed_form(model: nn.Module, spec: ScoreSpec) -> bool:
    """Return whether to try the closed form; ``auto`` does not where average pools make it slower than sampling."""
    if spec.after_softmax or spec.estimator == "monte_carlo":
        return False
    return spec.estimator == "closed_form" or not any(isinstance(m, _AVERAGE_POOLS) for m in model.modules())


def from_closed_form(result: ClosedForm) -> Score:
    """Return the score that expectations over all networks amount to."""
    if result.log10_sensitivity == -math.inf:
        return Score(None, None, "closed_form", "dead: input noise moves no output of untrained networks (S = 0)")
    relative = result.log10_relative_sensitivity
    return Score(
        result.log10_sensitivity,
        None,
        "closed_form",
        log10_relative_sensitivity=relative if math.isfinite(relative) else None,
    )


def summarize(draws: Sequence[Sequence[float]]) -> Score:
    """Return the score that the statistics of one or more networks amount to."""
    n = len(draws)
    sensitivities = [draw[0] for draw in draws]
    kept = tuple(tuple(draw) for draw in draws)
    if not all(map(math.isfinite, sensitivities)):
        bad = sum(not math.isfinite(s) for s in sensitivities)
        status = f"non-finite: the outputs of {bad} of {n} untrained networks overflow"
        return Score(None, None, "monte_carlo", status, n_seeds=n, draws=kept)
    mean = math.fsum(sensitivities) / n
    if mean == 0:
        status = f"dead: input noise moves no output of {n} untrained networks (S = 0)"
        return Score(None, None, "monte_carlo", status, n_seeds=n, draws=kept)
    stderr = None
    if n > 1:
        relative = [s / mean - 1 for s in sensitivities]  # relative first: squares of huge S would overflow
        stderr = math.sqrt(math.fsum(r * r for r in relative) / (n - 1) / n) / math.log(10)
    power, signal = (math.fsum(draw[k] for draw in draws) for k in (1, 2))
    known = power > 0 and signal > 0 and math.isfinite(power / signal)
    log10_relative = math.log10(power) - math.log10(signal) if known else None
    return Score(math.log10(mean), stderr, "monte_carlo", STATUS_OK, log10_relative, n, kept)


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
