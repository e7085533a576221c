"""The score of an untrained network in somebody's own Optuna study."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from optuna.trial import BaseTrial, Trial
from torch import nn

from ..architectures import trainable_layers
from ..core.errors import InvalidInputError
from ..core.identity import make_generator
from ..core.init_schemes import InitScheme
from ..core.inputs import Inputs, parts_of
from ..core.outputs import Output
from ..metrics.measurement import Measurement, measure
from ..storage.user_attributes import set_user_attributes
from . import attributes as names

SEEDS = 4
_PROBE: InitScheme = "standard_normal"
_OWN = "own weights"
_LOG_OF_E = math.log10(math.e)


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What is known of an untrained network.

    Attributes:
        log10_sensitivity: log10 of the mean output sensitivity over networks; None if there is a problem.
        stderr: Its standard error over networks; None with one network.
        log10_relative_sensitivity: log10 of the power of output noise over that of the signal; None where unknown.
        params: Number of trainable parameters; None if they cannot be counted.
        flops: Floating-point operations of one forward pass of one input; None if they cannot be counted.
        layers: Number of modules with a trainable weight of at least two dimensions.
        family: What networks it is compared with first.
        probe: What the measured networks' weights were drawn by: ``standard_normal`` or ``own weights``.
        measures: Further measures that were asked for, as far as they are finite.
        problem: Why something is missing, in one line; empty if nothing is.
    """

    log10_sensitivity: float | None
    stderr: float | None
    log10_relative_sensitivity: float | None
    params: int | None
    flops: int | None
    layers: int
    family: str
    probe: str
    measures: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""

    @property
    def attributes(self) -> dict[str, Any]:
        """User attributes of a trial, by name, as far as there are values."""
        values = {
            names.SENSITIVITY: self.log10_sensitivity,
            names.STDERR: self.stderr,
            names.RELATIVE: self.log10_relative_sensitivity,
            names.PARAMS: self.params,
            names.FLOPS: self.flops,
            names.LAYERS: self.layers,
            names.FAMILY: self.family,
            names.PROBE: self.probe,
            names.PROBLEM: self.problem or None,
        }
        values |= {f"{names.MEASURE}{name}": value for name, value in self.measures.items()}
        return {name: value for name, value in values.items() if value is not None}


def score(
    trial: BaseTrial,
    model: nn.Module,
    x: Inputs,
    y: torch.Tensor | None = None,
    *,
    metrics: Sequence[str] = (),
    family: str | None = None,
    seeds: int = SEEDS,
    output: Output | None = None,
    noise_at: str | None = None,
) -> Scored:
    """Measure an untrained network and write what was found into its trial, as user attributes ``nas_sens:…``.

    The same network gives the same score in any trial, process and study. It is left as it was found: weights, modes,
    gradients and random states. What cannot be measured is said in the attribute ``nas_sens:problem`` and in a warning;
    the study goes on.

    Args:
        trial: Of any kind, FixedTrial among them.
        model: Maps (n, *input_shape) to (n, …).
        x: Inputs (n, *input_shape), at least two, on the model's device; some dozens are usual. Give all trials the
            same. A tuple of tensors is given by position, a dict by keyword; whole numbers are tokens.
        y: Labels (n,), for further measures that need them.
        metrics: Names of further measures (`nas_sens.metrics.metrics`).
        family: Networks of one family are compared with each other first; by default those whose trainable layers are
            of the same kinds.
        seeds: Number of networks that are drawn.
        output: Which of several outputs is meant, and ``noise_at``: behind which module noise enters, as in
            :func:`nas_sens.measure`.
        noise_at: See ``output``.

    Returns:
        What was found.

    Raises:
        InvalidInputError: ``model`` is no module, ``x`` no tensors of at least two inputs, ``seeds`` less than 1, or a
            measure unknown.
    """
    found = scored(model, x, y, metrics=metrics, family=family, seeds=seeds, output=output, noise_at=noise_at)
    if found.problem:
        warnings.warn(f"trial {trial.number}: {found.problem}", stacklevel=2)
    if isinstance(trial, Trial):
        set_user_attributes(trial.storage, trial._trial_id, found.attributes)
        trial._cached_frozen_trial.user_attrs.update(found.attributes)
    else:
        for name, value in found.attributes.items():
            trial.set_user_attr(name, value)
    return found


def scored(
    model: nn.Module,
    x: Inputs,
    y: torch.Tensor | None = None,
    *,
    metrics: Sequence[str] = (),
    family: str | None = None,
    seeds: int = SEEDS,
    output: Output | None = None,
    noise_at: str | None = None,
) -> Scored:
    """Return the score of an untrained network; see :func:`score`.

    Raises:
        InvalidInputError: See there.
    """
    if not isinstance(model, nn.Module):
        raise InvalidInputError(f"model must be a torch.nn.Module; given {type(model).__name__}")
    parts = parts_of(x) if isinstance(x, (torch.Tensor, tuple, Mapping)) else []
    if not parts or any(not isinstance(p, torch.Tensor) or p.ndim == 0 or len(p) < 2 for p in parts):
        given = f"shape {tuple(x.shape)}" if isinstance(x, torch.Tensor) else type(x).__name__
        raise InvalidInputError(f"x must be tensors of at least 2 inputs; given {given}")
    if seeds < 1:
        raise InvalidInputError(f"seeds must be at least 1; given {seeds}")
    asked = ["output_sensitivity", "relative_sensitivity", *metrics]
    probe: str = _PROBE
    take = partial(measure, model, x, output=output, noise_at=noise_at)
    try:
        found = _by_name(take(y, metrics=asked, seeds=seeds, init=_PROBE, generator=_stream()))
    except InvalidInputError:
        # A layer that the scheme has no rule for; were something else wrong, it is so a second time.
        probe = _OWN
        found = _by_name(take(y, metrics=asked, generator=_stream()))
    counts = _by_name(take(metrics=["params", "flops"], generator=_stream()))
    s, r = found["output_sensitivity"], found["relative_sensitivity"]
    value = s.value if s.value is not None and math.isfinite(s.value) else None
    problem = s.problem or (f"{names.DEAD}: input noise moves no output (S = 0)" if value == 0 else "")
    layers = trainable_layers(model)
    return Scored(
        log10_sensitivity=math.log10(value) if value else None,
        stderr=s.stderr / value * _LOG_OF_E if value and s.stderr is not None else None,
        log10_relative_sensitivity=math.log10(r.value) if r.value and 0 < r.value < math.inf else None,
        params=_count(counts["params"]),
        flops=_count(counts["flops"]),
        layers=len(layers),
        family=family if family is not None else _family(layers, probe),
        probe=probe,
        measures={m: v for m in metrics if (v := found[m].value) is not None and math.isfinite(v)},
        problem=problem or next((p for m in metrics if (p := found[m].problem)), ""),
    )


def _stream() -> torch.Generator:
    """Return the source of weights and noise: the same for all networks, so that they can be compared."""
    return make_generator("score of an Optuna trial")


def _by_name(measurements: Sequence[Measurement]) -> dict[str, Measurement]:
    return {m.name: m for m in measurements}


def _count(measurement: Measurement) -> int | None:
    return None if measurement.value is None else int(measurement.value)


def _family(layers: Sequence[nn.Module], probe: str) -> str:
    """Return the kinds of layers; scores of another probe are not to be compared with."""
    kinds = "+".join(sorted({type(layer).__name__ for layer in layers}))
    return kinds if probe == _PROBE else f"{kinds} ({probe})"
