"""What untrained candidates are scored with: inputs with and without noise that all of them share."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any

import torch
from torch import nn

from ..architectures.common_numbers import CommonNumbers
from ..core.errors import InvalidInputError
from ..core.identity import make_generator
from ..core.inputs import (
    batches_of,
    called_with,
    device_of,
    floats_as,
    is_one_float,
    mapped,
    n_rows,
    parts_of,
    rows_of,
    shape_of,
    shape_text,
)
from ..core.outputs import Output, output_of, picked
from ..data import Splits
from ..data.pictures import mean_and_std
from ..data.subset import part_of
from ..metrics._as_measured import float_type
from ..metrics._noise_at import altered_behind, enters_inside, noise_like
from ..metrics.closed_form.expectation import InputMoments, Memo
from ..metrics.output_sensitivity import output_noise_statistics
from ..study.score_spec import ScoreSpec

# S varies by a few per cent from input to input, so that more inputs cost time and change log10 S in the third digit.
_CLOSED_FORM_INPUTS = 16
_CPU_ROWS = 128  # in one pass of convolutions on a CPU: maps of more leave its caches, and take up to 1.7 times as long
_KEPT_BYTES = 2**28  # of noisy inputs; those of further networks are drawn when they are needed


def probe_inputs(splits: Splits, spec: ScoreSpec, *, seed: int) -> tuple[Any, torch.Tensor | None]:
    """Return what a study's candidates are scored with, on the device of the data.

    Returns:
        Inputs (n, *input_shape), all classes in proportion, and their labels (n,); None where there are none.

    Raises:
        InvalidInputError: There are no such inputs.
    """
    if splits.has_only_probe and spec.inputs == "train":
        raise InvalidInputError(
            f'inputs = "train" in [score] needs data to train on, but {splits.name!r} has only inputs to score with'
        )
    given = splits.x_val if splits.x_probe is None else splits.x_probe
    if spec.inputs == "gaussian":
        if not is_one_float(given):
            raise InvalidInputError(
                f'inputs = "gaussian" in [score] needs inputs of one floating-point tensor, but those of '
                f"{splits.name!r} are {shape_text(splits.input_shape)}; take another value"
            )
        generator = make_generator("gaussian inputs", seed, device=given.device)
        mean, std = mean_and_std(given)
        shape = (spec.n_inputs, *splits.input_shape)
        return torch.randn(shape, generator=generator, device=mean.device, dtype=mean.dtype) * std + mean, None
    if splits.x_probe is not None and spec.inputs == "validation":
        rows = torch.zeros(n_rows(given), dtype=torch.long)  # of no class
        return part_of(given, rows, spec.n_inputs, generator=make_generator("scored inputs", seed))[0], None
    x, y = (splits.x_train, splits.y_train) if spec.inputs == "train" else (splits.x_val, splits.y_val)
    x, y = part_of(x, y, spec.n_inputs, generator=make_generator("scored inputs", seed))
    return x, y if splits.task == "classification" else None


class Probe:
    """Inputs with and without noise, the same for all candidates so that they can be compared.

    Args:
        x: Inputs (n, *input_shape) on the device where candidates are scored, of any structure.
        spec: How to score.
        seed: Seed of the study.
        y: Labels of the inputs, for measures that look at them.
        kept_bytes: Most memory for noisy inputs, and for numbers that weights are taken from; those of further networks
            are drawn when they are needed.

    Attributes:
        numbers: What the weights of all candidates' networks are taken from.
        kinds_without_rule: Kinds of layers in the candidates that were probed so far which ``probe_init`` has no rule
            for, and which were drawn as the networks themselves draw them.

    Raises:
        InvalidInputError: There are fewer than two inputs, there is no function ``output``, or the closed form is asked
            for where noise enters otherwise than into one tensor.
    """

    def __init__(
        self,
        x: Any,
        spec: ScoreSpec,
        *,
        seed: int,
        y: torch.Tensor | None = None,
        kept_bytes: int = _KEPT_BYTES,
    ) -> None:
        if n_rows(x) < 2:
            raise InvalidInputError(f"scoring needs at least 2 inputs; given {n_rows(x)}")
        self.spec = spec
        self.seed = seed
        self.y = y
        self._x = rows_of(x, slice(0, spec.n_inputs))
        self.n_inputs = n_rows(self._x)
        self.device = device_of(x)
        self._pairs: dict[int, Any] = {}
        self._n_kept = kept_bytes // max(1, sum(2 * t.numel() * t.element_size() for t in parts_of(self._x)))
        self.numbers = CommonNumbers("probe", seed, device=self.device, kept_bytes=kept_bytes)
        self.memo = Memo()
        self.kinds_without_rule: set[str] = set()
        self.output: Output | None = output_of(spec.output)
        self._is_inside = enters_inside(self._x, spec.noise_at)
        self.has_closed_form = is_one_float(self._x) and spec.noise_at is None and spec.output is None
        if spec.estimator == "closed_form" and not self.has_closed_form:
            raise InvalidInputError(
                f'estimator = "closed_form" in [score] needs noise that enters one floating-point tensor; inputs are '
                f'{shape_text(shape_of(self._x))}; take "auto" or "monte_carlo"'
            )

    @cached_property
    def moments(self) -> InputMoments:
        """Moments of some of the inputs, for the closed form; they are computed on the CPU, once for all candidates."""
        n = min(self.n_inputs, _CLOSED_FORM_INPUTS)
        return InputMoments.from_inputs(self._x, self.spec.noise_std, n_inputs=n, n_pairs=max(1, n // 2))

    @property
    def x(self) -> Any:
        """The inputs without noise, (n, *input_shape)."""
        return self._x

    def pair(self, i: int) -> Any:
        """Return inputs without and with the ``i``-th noise, (2 n, *input_shape), in the type of the inputs.

        Both are without where noise enters behind a module, or the numbers are whole.
        """
        if (kept := self._pairs.get(i)) is not None:
            return kept
        generator = make_generator("input noise", self.seed, i, device=self.device)
        with torch.inference_mode(False), torch.no_grad():  # so that others may use it with gradients, too
            pair = mapped(lambda t: self._doubled(t, generator, is_noisy=not self._is_inside), self._x)
        if len(self._pairs) < self._n_kept:
            self._pairs[i] = pair
        return pair

    def _doubled(self, x: torch.Tensor, generator: torch.Generator, *, is_noisy: bool) -> torch.Tensor:
        is_noisy = is_noisy and x.is_floating_point()
        return torch.cat([x, noise_like(x, self.spec.noise_std, generator).add_(x) if is_noisy else x])

    def _noise_inside(self, model: nn.Module, i: int) -> AbstractContextManager[None]:
        """Return a context in which the second half of what a module gives has the ``i``-th noise."""
        generator = make_generator("input noise", self.seed, i, device=self.device)

        def alter(rows: torch.Tensor) -> torch.Tensor:
            clean, second = rows[: self.n_inputs], rows[self.n_inputs :]
            return torch.cat([clean, noise_like(second, self.spec.noise_std, generator).add_(second)])

        return altered_behind(model, self.spec.noise_at, 2 * self.n_inputs, alter)

    def statistics(self, model: nn.Module, i: int) -> torch.Tensor:
        """Return S_θ, noise power and signal of one network under the ``i``-th noise, without waiting for the device.

        See `metrics.output_sensitivity.output_noise_statistics`.
        """
        n, given = 2 * self.n_inputs, floats_as(self.pair(i), float_type(model, self._x))
        has_maps = self.device.type == "cpu" and any(p.ndim > 2 for p in model.parameters())
        size = _CPU_ROWS if has_maps and not self._is_inside else n
        with self._noise_inside(model, i) if self._is_inside else nullcontext():
            parts = [picked(called_with(model, part), n_rows(part), self.output) for part in batches_of(given, size)]
        y = parts[0] if len(parts) == 1 else torch.cat(parts)
        return output_noise_statistics(y[: self.n_inputs], y[self.n_inputs :], after_softmax=self.spec.after_softmax)

    def sensitivity(self, model: nn.Module, i: int) -> torch.Tensor:
        """Return S_θ of one network under the ``i``-th noise, a float64 scalar on the device; does not wait for it."""
        return self.statistics(model, i)[0]

    def mean_sensitivity(self, model: nn.Module) -> torch.Tensor:
        """Return S_θ of one network, the mean over ``seeds`` noise draws, without waiting for it."""
        return torch.stack([self.sensitivity(model, i) for i in range(self.spec.seeds)]).mean()
