"""Output sensitivity S: variance of the mean output noise that input noise causes (forouzesh2020, eq. 2).

Symbols:

    f(x)    logits of the network, or their softmax         (n, K)
    ε       input noise, i.i.d. N(0, noise_std²)            (n, *input_shape)
    ε_y     f(x + ε) − f(x)                                 (n, K)
    S_θ     Var over x and ε of (1/K) Σ_k ε_y^k             scalar, one network

Outputs of another shape, (n, K, H, W) of a segmentation or (n, L, K) of a sequence, are taken as one vector: K is then
the number of all numbers that one input gives. Where several tensors are put in, noise enters all that are of a
floating-point type; where none is, or a module is named, ε enters behind that module, and S is in its units.

Behind a softmax the K outputs sum to 1, so that their mean never moves and eq. 2 is 0 for every network. There S_θ is
(1/K²) Σ_k Var(ε_y^k) instead, what eq. 2 gives for outputs whose noises are uncorrelated. Classes are on the axis
behind that of inputs, (n, K, …), as PyTorch's cross-entropy has them; with further axes, S_θ is the mean over all
positions.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from ..core.device import has_float64, in_double
from ..core.errors import InvalidInputError
from ..core.inputs import Inputs, batches_of, called_with, checked_inputs, device_of, floats_as, mapped, n_rows, rows_of
from ..core.module_mode import evaluation_mode
from ..core.outputs import Output, picked
from ._as_measured import as_measured, float_type
from ._left_as_found import left_as_found
from ._noise_at import altered_behind, enters_inside, noise_like, places_of
from ._weights import copy_of


@torch.no_grad()
def output_sensitivity(
    model: nn.Module,
    x: Inputs,
    *,
    noise_std: float = 0.1,
    generator: torch.Generator | None = None,
    n_noise: int = 1,
    after_softmax: bool = False,
    batch_size: int | None = None,
    output: Output | None = None,
    noise_at: str | None = None,
) -> float:
    """Return S_θ of one network, trained or not: how much input noise moves its outputs.

    Source: forouzesh2020, eq. 2; no labels are used. The network is evaluated in evaluation mode and left as it was
    found. The variance over the ``n_noise * n`` pairs is the unbiased one (divided by their number minus 1),
    accumulated in float64. S is not scale-free: it grows with the square of the output scale and, for small noise,
    with noise_std². Its relative standard error over inputs and noise is about sqrt(2 / (n_noise * n)) where the mean
    output noise is close to normal. Cost: n_noise + 1 forward passes of ``x``.

    Args:
        model: Maps (n, *input_shape) to (n, K), or to outputs of any shape (n, …), which are then all of K. One in half
            precision is measured as a copy in float32; one with lazy layers as a copy, too.
        x: Inputs (n, *input_shape), at least two, on the model's device; a tuple of tensors by position or a dict by
            keyword where there are several. They take the floating-point type of the network.
        noise_std: Standard deviation of the input noise, in the units of ``x``; behind ``noise_at``, in those of what
            that module gives.
        generator: Source of the noise, on the device of ``x``; torch's global generator if None.
        n_noise: Noise draws for each input.
        after_softmax: Whether to put a softmax on the logits; a comparator (the paper's Table I: it predicts worse).
            The variance is then the mean over outputs, divided by K (see the top of this file).
        batch_size: Inputs per forward pass; None for all at once.
        output: Which of several outputs: a key or attribute of what the network returns, an index, or a function of it
            that returns a tensor (n, …). None for the tensor that it returns, or for ``logits`` of a dict or object.
        noise_at: Name of the module behind which noise enters, instead of into the inputs. None for the inputs or,
            where none is of a floating-point type (tokens), for the first embedding that runs.

    Returns:
        S_θ, a float; 0.0 for a dead network, inf or nan where the outputs are not finite in float64 either, which is
        tried where they are not in float32.

    Raises:
        InvalidInputError: ``noise_std`` is not positive, there are fewer than two inputs, noise can enter nowhere, it
            is not plain which output is meant, or the network is on another device.

    Example:
        >>> import torch
        >>> g = torch.Generator().manual_seed(0)
        >>> x = torch.rand(1000, 4, generator=g)
        >>> linear = torch.nn.Linear(4, 1, bias=False)
        >>> _ = torch.nn.init.ones_(linear.weight)
        >>> s = output_sensitivity(linear, x, noise_std=0.1, generator=g)  # D * noise_std ** 2 = 0.04
        >>> abs(s - 0.04) < 0.008
        True
    """
    x = _checked(x, noise_std, n_noise)
    size = batch_size or n_rows(x)
    if any(map(nn.parameter.is_lazy, (*model.parameters(), *model.buffers()))):
        model = copy_of(model).eval()
        called_with(model, floats_as(rows_of(x, slice(0, 2)), float_type(model, x)))  # which gives them their shapes
    network, x = as_measured(model, x)
    source = generator or _global_stream(device_of(x))
    before = None if source is None else source.get_state()
    if is_inside := enters_inside(x, noise_at):
        places_of(network, noise_at)

    def outputs(of: nn.Module, inputs: Any, *, with_noise: bool) -> torch.Tensor:
        found = []
        for part in batches_of(inputs, size):
            n = n_rows(part)
            altered = altered_behind(of, noise_at, n, lambda rows: noise_like(rows, noise_std, generator).add_(rows))
            with altered if with_noise else nullcontext():
                found.append(picked(called_with(of, part), n, output))
        return torch.cat(found)

    def in_type(of: nn.Module, dtype: torch.dtype) -> torch.Tensor:
        def noisy(part: torch.Tensor) -> torch.Tensor:
            if not part.is_floating_point():
                return part
            return noise_like(part, noise_std, generator).add_(part).to(dtype)

        with evaluation_mode(of):
            clean = outputs(of, floats_as(x, dtype), with_noise=False)
            found = []
            for _ in range(n_noise):
                given = floats_as(x, dtype) if is_inside else mapped(noisy, x)
                found.append(outputs(of, given, with_noise=is_inside))
        every = clean.repeat(n_noise, *[1] * (clean.ndim - 1))
        return output_noise_variance(every, torch.cat(found), after_softmax=after_softmax)

    with left_as_found(network):
        found = in_type(network, float_type(network, x))
    value = float(found)  # which waits for the device
    is_single = float_type(network) == torch.float32 and any(p.is_floating_point() for p in network.parameters())
    if math.isfinite(value) or source is None or before is None or not (is_single and has_float64(device_of(x))):
        return value
    # Deep networks of standard-normal weights overflow float32 long before float64; a copy, as the network is the
    # caller's, and the same noise again.
    source.set_state(before)
    return float(in_type(copy_of(network).double(), torch.float64))


def _checked(x: Any, noise_std: float, n_noise: int) -> Any:
    """Return the inputs.

    Raises:
        InvalidInputError: They, or the noise, can have no variance.
    """
    if not noise_std > 0:
        raise InvalidInputError(f"noise_std must be greater than 0; given {noise_std}")
    x = checked_inputs(x, "inputs")
    if n_rows(x) < 2 or n_noise < 1:
        raise InvalidInputError(
            f"a variance needs at least 2 inputs and 1 noise draw each; given {n_rows(x)} inputs and n_noise = "
            f"{n_noise}"
        )
    return x


def output_noise_variance(clean: torch.Tensor, noisy: torch.Tensor, *, after_softmax: bool) -> torch.Tensor:
    """Return S_θ, a float64 scalar, from logits (n, K, …) without and with input noise."""
    noise, _ = _noise(clean, noisy, after_softmax)
    return _variance(noise, clean.shape[1], after_softmax)


def output_noise_statistics(clean: torch.Tensor, noisy: torch.Tensor, *, after_softmax: bool) -> torch.Tensor:
    """Return what input noise does to the outputs of one network, from logits (n, K, …) without and with it.

    Returns:
        Float64 (3,), on the device unless it has no such type: S_θ; the noise power mean_x ‖ε_y‖²; the signal
        Σ_k Var_x f_k(x). The second over the third is the relative sensitivity, which has no scale.
    """
    n_classes = clean.shape[1]
    noise, clean = _noise(clean, noisy, after_softmax)
    return torch.stack(
        [_variance(noise, n_classes, after_softmax), noise.square().sum(dim=1).mean(), clean.var(dim=0).sum()]
    )


def _noise(clean: torch.Tensor, noisy: torch.Tensor, after_softmax: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ε_y and f(x), float64 with one row for each input."""
    clean, noisy = in_double(clean), in_double(noisy)
    if after_softmax:
        clean, noisy = clean.softmax(dim=1), noisy.softmax(dim=1)
    return (noisy - clean).flatten(1), clean.flatten(1)


def _variance(noise: torch.Tensor, n_classes: int, after_softmax: bool) -> torch.Tensor:
    return noise.var(dim=0).mean() / n_classes if after_softmax else noise.mean(dim=1).var()


def _global_stream(device: torch.device) -> torch.Generator | None:
    """Return the global generator that noise on a device is drawn from; None where it cannot be put back."""
    return torch.default_generator if device.type == "cpu" else None
