"""What untrained candidates are scored with: the protocol, and inputs with and without noise that all of them share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, Literal

import torch
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass as declared
from torch import nn

from .data import Splits
from .declarations import find
from .errors import InvalidInputError
from .identity import make_generator
from .init_schemes import InitScheme
from .metrics import metrics as all_metrics
from .metrics.closed_form import InputMoments, Memo
from .metrics.output_sensitivity import output_noise_statistics
from .subset import part_of

Positive = Annotated[int, Field(ge=1)]

# S varies by a few per cent from input to input, so that more inputs cost time and change log10 S in the third digit.
_CLOSED_FORM_INPUTS = 16
_KEPT_BYTES = 2**28  # of noisy inputs; those of further networks are drawn when they are needed


@declared(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
class ScoreSpec:
    """How untrained candidates are scored.

    Args:
        metric: The measure; ``output_sensitivity`` is eq. 2 of forouzesh2020. The relative sensitivity, which has no
            scale, is stored beside it always: it costs nothing more.
        estimator: ``monte_carlo`` averages over random networks. ``closed_form`` computes the mean over all networks in
            the limit of wide layers, from at most 16 of the inputs, and fails candidates with a module that has no such
            form. ``auto`` takes the closed form where there is one and no average pool, else Monte Carlo; every
            candidate records which.
        probe_init: Initialisation that networks are probed with: ``own`` for the candidate's own, or any scheme. The
            probe is not the initialisation that training starts from.
        noise_std: Standard deviation of the input noise, in the units that the network sees.
        n_inputs: Number of inputs (or fewer if there are not so many), drawn by the study's seed with all classes in
            proportion.
        inputs: Where inputs come from: the ``validation`` set, the ``train`` set, or ``gaussian`` noise of each input
            entry's own mean and standard deviation over the validation set.
        seeds: Number of random networks, and of noise draws, per candidate; with ``precision`` the smallest number.
        precision: Standard error of log10 S that networks are added for until it is reached, twice as many each time;
            None to draw ``seeds`` networks. Monte Carlo only.
        max_seeds: Largest number of networks with ``precision`` or ``racing``.
        racing: Whether to add networks, up to ``max_seeds``, only to candidates of which the selection rule cannot tell
            yet whether it chooses them. Candidates are then stored when the race is over.
        after_softmax: Whether to measure behind a softmax; a comparator (see `metrics.output_sensitivity`).
        reduced: Parameters of the architecture that are replaced for scoring, such as ``{ cells_per_stage = 1 }``: a
            smaller network is scored in place of the full one. Parameters and FLOPs are those of the full one.
        metrics: Further measures of every candidate (``nas-sens list metrics``), means over ``seeds`` networks of the
            candidate's own initialisation on the same inputs; the calibrated rule learns from them, too. Some look at
            labels, of the inputs' own set.
    """

    metric: Literal["output_sensitivity"] = "output_sensitivity"
    estimator: Literal["auto", "closed_form", "monte_carlo"] = "auto"
    probe_init: Literal["own", InitScheme] = "standard_normal"
    noise_std: Annotated[float, Field(gt=0)] = 0.1
    n_inputs: Annotated[int, Field(ge=2)] = 128
    inputs: Literal["validation", "train", "gaussian"] = "validation"
    seeds: Positive = 4
    precision: Annotated[float, Field(gt=0)] | None = None
    max_seeds: Positive = 64
    racing: bool = False
    after_softmax: bool = False
    reduced: Mapping[str, Any] = field(default_factory=dict)
    metrics: Annotated[tuple[str, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _check_metrics(self) -> ScoreSpec:
        for name in self.metrics:
            find(all_metrics(), name, "metric")
        if any(all_metrics()[name].needs_labels for name in self.metrics) and self.inputs == "gaussian":
            raise ValueError(
                "needs inputs from the validation or train set for metrics that look at labels; given gaussian"
            )
        return self

    @model_validator(mode="after")
    def _check_seeds(self) -> ScoreSpec:
        if (self.precision is not None or self.racing) and not 2 <= self.seeds <= self.max_seeds:
            raise ValueError(
                "needs seeds from 2 (for a standard error) to max_seeds where precision or racing is set; "
                f"given seeds = {self.seeds}, max_seeds = {self.max_seeds}"
            )
        return self


def probe_inputs(splits: Splits, spec: ScoreSpec, *, seed: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return what a study's candidates are scored with, on the device of the data.

    Returns:
        Inputs (n, *input_shape), all classes in proportion, and their labels (n,); None where there are none.
    """
    if spec.inputs == "gaussian":
        generator = make_generator("gaussian inputs", seed, device=splits.x_val.device)
        mean, std = splits.x_val.mean(dim=0), splits.x_val.std(dim=0, correction=0)
        shape = (spec.n_inputs, *splits.input_shape)
        return torch.randn(shape, generator=generator, device=mean.device, dtype=mean.dtype) * std + mean, None
    x, y = (splits.x_train, splits.y_train) if spec.inputs == "train" else (splits.x_val, splits.y_val)
    x, y = part_of(x, y, spec.n_inputs, generator=make_generator("scored inputs", seed))
    return x, y if splits.task == "classification" else None


class Probe:
    """Inputs with and without noise, the same for all candidates so that they can be compared.

    Args:
        x: Inputs (n, *input_shape) on the device where candidates are scored.
        spec: How to score.
        seed: Seed of the study.
        y: Labels of the inputs, for measures that look at them.

    Raises:
        InvalidInputError: There are fewer than two inputs.
    """

    def __init__(self, x: torch.Tensor, spec: ScoreSpec, *, seed: int, y: torch.Tensor | None = None) -> None:
        if len(x) < 2:
            raise InvalidInputError(f"scoring needs at least 2 inputs; given {len(x)}")
        self.spec = spec
        self.seed = seed
        self.y = y
        self._x = x[: spec.n_inputs]
        self.n_inputs = len(self._x)
        self.device = x.device
        self._pairs: dict[int, torch.Tensor] = {}
        self._n_kept = _KEPT_BYTES // (2 * self._x.numel() * self._x.element_size())
        n = min(self.n_inputs, _CLOSED_FORM_INPUTS)
        self.memo = Memo()
        self.moments = InputMoments.from_inputs(self._x, spec.noise_std, n_inputs=n, n_pairs=max(1, n // 2))

    @property
    def x(self) -> torch.Tensor:
        """The inputs without noise, (n, *input_shape)."""
        return self._x

    def pair(self, i: int) -> torch.Tensor:
        """Return inputs without and with the ``i``-th noise, (2 n, *input_shape), in the type of the inputs."""
        if (kept := self._pairs.get(i)) is not None:
            return kept
        generator = make_generator("input noise", self.seed, i, device=self.device)
        with torch.inference_mode(False), torch.no_grad():  # so that others may use it with gradients, too
            noise = torch.randn(self._x.shape, generator=generator, device=self.device, dtype=self._x.dtype)
            pair = torch.cat([self._x, noise.mul_(self.spec.noise_std).add_(self._x)])
        if len(self._pairs) < self._n_kept:
            self._pairs[i] = pair
        return pair

    def statistics(self, model: nn.Module, i: int) -> torch.Tensor:
        """Return S_θ, noise power and signal of one network under the ``i``-th noise, without waiting for the device.

        See `metrics.output_sensitivity.output_noise_statistics`.
        """
        dtype = next(model.parameters()).dtype
        y = model(self.pair(i).to(dtype))
        return output_noise_statistics(y[: self.n_inputs], y[self.n_inputs :], after_softmax=self.spec.after_softmax)

    def sensitivity(self, model: nn.Module, i: int) -> torch.Tensor:
        """Return S_θ of one network under the ``i``-th noise, a float64 scalar on the device; does not wait for it."""
        return self.statistics(model, i)[0]

    def mean_sensitivity(self, model: nn.Module) -> torch.Tensor:
        """Return S_θ of one network, the mean over ``seeds`` noise draws, without waiting for it."""
        return torch.stack([self.sensitivity(model, i) for i in range(self.spec.seeds)]).mean()
