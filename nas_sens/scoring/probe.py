"""What untrained candidates are scored with: inputs with and without noise that all of them share."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import nn

from ..core.errors import InvalidInputError
from ..core.identity import make_generator
from ..data import Splits
from ..data.subset import part_of
from ..metrics.closed_form.expectation import InputMoments, Memo
from ..metrics.output_sensitivity import output_noise_statistics
from ..study.score_spec import ScoreSpec

# S varies by a few per cent from input to input, so that more inputs cost time and change log10 S in the third digit.
_CLOSED_FORM_INPUTS = 16
_KEPT_BYTES = 2**28  # of noisy inputs; those of further networks are drawn when they are needed


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
        kept_bytes: Most memory for noisy inputs; those of further networks are drawn when they are needed.

    Raises:
        InvalidInputError: There are fewer than two inputs.
    """

    def __init__(
        self,
        x: torch.Tensor,
        spec: ScoreSpec,
        *,
        seed: int,
        y: torch.Tensor | None = None,
        kept_bytes: int = _KEPT_BYTES,
    ) -> None:
        if len(x) < 2:
            raise InvalidInputError(f"scoring needs at least 2 inputs; given {len(x)}")
        self.spec = spec
        self.seed = seed
        self.y = y
        self._x = x[: spec.n_inputs]
        self.n_inputs = len(self._x)
        self.device = x.device
        self._pairs: dict[int, torch.Tensor] = {}
        self._n_kept = kept_bytes // (2 * self._x.numel() * self._x.element_size())
        self.memo = Memo()

    @cached_property
    def moments(self) -> InputMoments:
        """Moments of some of the inputs, for the closed form; they are computed on the CPU, once for all candidates."""
        n = min(self.n_inputs, _CLOSED_FORM_INPUTS)
        return InputMoments.from_inputs(self._x, self.spec.noise_std, n_inputs=n, n_pairs=max(1, n // 2))

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
