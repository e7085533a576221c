"""Scores of untrained candidates: the mean output sensitivity over random networks, with its error."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields

import torch
from torch import nn

from ..architectures import ArchitectureSpec
from ..architectures.initialization import initialize_, kinds_without_rule
from ..core.candidates import STATUS_OK
from ..core.declarations import changed
from ..core.device import has_float64
from ..core.init_schemes import InitScheme
from ..core.module_mode import evaluation_mode
from ..metrics.closed_form.expectation import ClosedForm, NoClosedFormError, closed_form
from ..study.score_spec import ScoreSpec
from .probe import Probe

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
    if earlier is None and probe.has_closed_form and _takes_closed_form(model, probe.spec):
        try:
            found = closed_form(model.eval(), probe.moments, init=scheme, init_scale=scale, memo=probe.memo)
            return from_closed_form(found)
        except NoClosedFormError as error:
            if probe.spec.estimator == "closed_form":
                return Score(None, None, "closed_form", f"no closed form: {error}")
    spec = probe.spec
    probe.kinds_without_rule |= kinds_without_rule(model, scheme)
    draws = list(earlier.draws) if earlier is not None else []
    n_wanted = n_seeds or spec.seeds
    with evaluation_mode(model), _type_kept(model):
        while True:
            draws += _draw(architecture, model, probe, len(draws), n_wanted)
            if not all(math.isfinite(draw[0]) for draw in draws) and _is_single(model) and has_float64(probe.device):
                # Deep networks of standard-normal weights overflow float32 long before float64.
                draws = _draw(architecture, _as_type_(model, torch.float64), probe, 0, len(draws))
            result = summarize(draws)
            if n_seeds or not _wants_more(result, spec):
                return result
            n_wanted = min(2 * len(draws), spec.max_seeds)


@contextmanager
def _type_kept(model: nn.Module) -> Iterator[None]:
    """Give a model its floating-point type back afterwards, whatever it was made in the meantime."""
    dtype = next(model.parameters()).dtype
    try:
        yield
    finally:
        if next(model.parameters()).dtype != dtype:
            _as_type_(model, dtype)


def _as_type_(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return a model, its floating-point type changed in place; its parameters stay fit for gradients."""
    with torch.inference_mode(False), torch.no_grad():
        return model.to(dtype)


def _is_single(model: nn.Module) -> bool:
    return next(model.parameters()).dtype == torch.float32


def _draw(
    architecture: ArchitectureSpec, model: nn.Module, probe: Probe, start: int, stop: int
) -> list[tuple[float, ...]]:
    """Return the statistics of the networks ``start`` to ``stop`` - 1 of a candidate; waits for the device once."""
    scheme, scale = probe_initialization(architecture, probe.spec)
    found = []
    for i in range(start, stop):
        initialize_(model, scheme, scale=scale, generator=probe.numbers.network(i))
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
        return architecture.init_scheme, architecture.init_scale
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
