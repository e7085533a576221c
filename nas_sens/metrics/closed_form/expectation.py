"""Closed form of the output sensitivity: its mean over random networks without drawing one (forouzesh2020, eq. 2, 10).

Symbols (more in ``_closed_form_moments.py``):

    K               outputs
    x', x'_i        noisy input x + ε, ε ~ N(0, σ² I)
    δ_k(x)          f_k(x') − f_k(x), the output noise
    a, b, c         E f_k(x)²,  E f_k(x')²,  E f_k(x) f_k(x');  d = a + b − 2c = E δ_k²
    D_ij            E δ_k(x_i) δ_k(x_j) for inputs i ≠ j with noises of their own
    E               expectation over weights and noise, in the limit of wide layers

Eq. 2 is a variance over x and ε of the mean output noise of one network. Read-out weights are independent with mean
zero, so E over networks of the mean square is E_x[d] / K, and of the squared mean E_{i≠j}[D_ij] / K:

    E_θ[S] = ( E_x[d] − E_{i≠j}[D_ij] ) / K

The last term is of second order in the noise: 0.1 % of the first at σ = 0.01 on MNIST in [0, 1], but 1–3 % at σ = 0.1,
6–21 % at 0.3 and 20–60 % at 1.0 (1–5 hidden layers). It is therefore computed, by the same recursion on pairs.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ...architectures.base import ArchitectureSpec
from ...architectures.fc import FCSpec
from ...architectures.initialization import SelfInitialized
from ...core.errors import InvalidInputError
from .draws import Draw, NoClosedFormError, WeightDraw
from .fc import fc_walk
from .graph import Step, needs_cross_at_input, no_rule, steps_of
from .memo import Memo
from .moments import InputMoments, Moments
from .readout import ClosedForm, Readout, result_of, results_of
from .rules import RULES, add

__all__ = [
    "ClosedForm",
    "InputMoments",
    "Memo",
    "NoClosedFormError",
    "closed_form",
    "closed_form_batch",
    "closed_form_sensitivity",
    "is_batched",
]

Inputs = torch.Tensor | npt.NDArray[Any] | InputMoments

_BATCH_NUMBERS = 2**16  # moments of a batch of fully-connected candidates that still fit the cache


def closed_form_sensitivity(
    model: ArchitectureSpec | nn.Module,
    x: Inputs,
    *,
    noise_std: float = 0.1,
    init: WeightDraw = "standard_normal",
    init_scale: float = 1.0,
    n_outputs: int | None = None,
    relative: bool = False,
) -> float:
    """Return E_θ[S], the output sensitivity averaged over random networks, without drawing any.

    See :func:`closed_form` for the method, its limits and the arguments; use that one for networks whose sensitivity
    leaves the range of float64, which is inf here.

    Args:
        model: Architecture or module.
        x: Inputs (n, *input_shape), or their moments.
        noise_std: Standard deviation of the input noise.
        init: Initialisation scheme, or "current".
        init_scale: Factor on the weights.
        n_outputs: Number of outputs of an ArchitectureSpec.
        relative: Whether to return the relative sensitivity.

    Example:
        >>> import torch
        >>> from nas_sens.architectures.fc import FCSpec
        >>> x = torch.rand(8, 100, generator=torch.Generator().manual_seed(0))
        >>> spec = FCSpec(depth=2, width=50, bias=False)
        >>> s = closed_form_sensitivity(spec, x, noise_std=1e-4, n_outputs=10)
        >>> abs(s / (100 / 10 * (50 / 2) ** 2 * 1e-8) - 1) < 1e-3  # eq. 10: D / K · (H / 2)^M · σ²
        True
    """
    result = closed_form(model, x, noise_std=noise_std, init=init, init_scale=init_scale, n_outputs=n_outputs)
    log10 = result.log10_relative_sensitivity if relative else result.log10_sensitivity
    return math.inf if log10 > 308 else 10.0**log10


def closed_form(
    model: ArchitectureSpec | nn.Module,
    x: Inputs,
    *,
    noise_std: float = 0.1,
    init: WeightDraw = "standard_normal",
    init_scale: float = 1.0,
    n_outputs: int | None = None,
    memo: Memo | None = None,
) -> ClosedForm:
    """Return the expected sensitivity, output power and relative sensitivity over random networks.

    Second moments over weights and noise are carried through the network's graph by one rule per module type: for
    Linear, Conv2d, batch normalisation in evaluation mode, ReLU, LeakyReLU, PReLU, erf, GELU, average pools, sums of
    independent branches, Flatten, Identity and Dropout.

    Limits:
        Width: exact as all layers get wide. Finite networks have a larger mean: for 3 hidden layers of 8, 16, 64
        units the closed form is 0.97, 0.97, 0.99 of it at σ = 0.1, and 0.88, 0.92, 0.98 at σ = 1; at width 2, 0.90
        and 0.65. Over 120 fully-connected networks of 16–400 units it is 0.99 at σ ≤ 0.1 and 0.98 at 0.3. Behind
        a global average pool it is 0.91, 0.96, 0.98, 1.00 for 3 convolutions of 16, 32, 64, 128 channels (σ = 0.3),
        and 1.00 for one convolution, where no limit is taken.
        Groups: "wide" then means many channels in each group; depthwise convolutions are outside.
        Input noise enters by its expectation (|x+ε|² ← |x|² + Dσ²), exact for small noise at any D, and within 5 % of
        Monte Carlo for D = 1, 4, 16, 64 at σ = 0.1 and 1 (the benchmark's ``few_input_entries``).
        Residual blocks with an activation after the addition of an identity shortcut do not have normal pre-activations
        and are refused; pre-activation blocks and projected shortcuts are exact.
        Average pools need moments of all pairs of positions: at most 1024 positions behind the first convolution, and
        cost and memory of their square. The input noise is then drawn (InputMoments.n_noise, fixed seed), and S is
        what two large averages differ by: its relative standard error was 2–4 % with 480 noisy inputs (about three
        times that is to be expected of the default 64). The draws are the same for all candidates, and so nearly is
        their error, so that it hardly changes their order.
        Digits: relative rounding errors of d are below 1e-9 down to σ = 1e-6 for rectifiers, but about 1e-16·a/d for
        erf, GELU and average pools. A sensitivity below 1e-300 of the output power (biases) is taken for 0.
        init="current" takes weights and biases as random with the mean square of the module's own.

    Cost: 30–70 ns for every input, layer and position, plus about 1 ms for an architecture's module (none in
    :func:`closed_form_batch` for fully-connected ones); see benchmarks/results/closed_form_accuracy.json.

    Args:
        model: Architecture, built on the meta device, or module. A module's weights are read for init="current" only;
            it is neither run nor changed. Batch normalisation must be in evaluation mode.
        x: Inputs (n, *input_shape), or their moments, which are better computed once for many candidates.
        noise_std: Standard deviation σ of the input noise; ignored where ``x`` is an InputMoments, which has its own.
        init: Scheme that random networks are drawn from (with initial batch-norm statistics), or "current".
        init_scale: Factor on the weights.
        n_outputs: Number of outputs K, required for an ArchitectureSpec, otherwise taken from the module.
        memo: What earlier candidates with the same InputMoments had to compute; is added to, and used again.

    Raises:
        NoClosedFormError: A module has no rule, or none for the way it is used; the message names it.
        InvalidInputError: An argument cannot be used, or the network does not fit the input.
        InfeasibleArchitectureError: The architecture does not fit the input.
    """  # noqa: DOC501 - `no_rule` makes the error
    moments = x if isinstance(x, InputMoments) else InputMoments.from_inputs(x, noise_std)
    draw = Draw(init, init_scale)
    if isinstance(model, ArchitectureSpec):
        if n_outputs is None:
            raise InvalidInputError("n_outputs is required for an ArchitectureSpec")
        if init == "current":
            raise InvalidInputError('init="current" needs a module with weights; an ArchitectureSpec has none')
        model = model.skeleton(moments.input_shape, n_outputs).eval()
    if init == "torch_default" and isinstance(model, SelfInitialized):
        raise no_rule("model", type(model).__name__, "it draws its weights by itself, in a way that is not known")
    steps = steps_of(model)
    if needs_cross_at_input(steps) and len(moments.input_shape) == 3:
        starts = moments.with_pixels()
    else:
        starts_flat = all(isinstance(step.module, nn.Flatten) for step in steps if 0 in step.sources)
        starts = [(moments.flat if starts_flat else moments.maps).replace(memo=memo)]
    return result_of([_read_out(steps, start, draw) for start in starts])


def walk(
    steps: list[Step], start: Moments, draw: Draw, look: Callable[[nn.Module | None, Moments], None] | None = None
) -> Moments:
    """Return the moments behind the last step from those of the input.

    Args:
        steps: The network, or the beginning of it.
        start: Moments of the inputs.
        draw: How weights are drawn.
        look: Is shown every step's module, None for an addition, with the moments of its first argument.

    Raises:
        NoClosedFormError: A step has no rule; the message names it.
        InvalidInputError: The network does not fit the input, or the weights of init="current" are on the meta device.
    """  # noqa: DOC501 - `no_rule` makes the error
    values: list[Moments | None] = [start] + [None] * len(steps)
    last_use = {source: i for i, step in enumerate(steps) for source in step.sources}
    for i, step in enumerate(steps):
        args = [_value(values[source]) for source in step.sources]
        kind = "addition" if step.module is None else type(step.module).__name__
        module = step.module
        if look is not None:
            look(module, args[0])
        try:
            out = add(args[0], args[1]) if module is None else RULES[type(module)](module, args[0], draw)
        except NoClosedFormError as error:
            raise no_rule(step.name, kind, str(error)) from None
        except InvalidInputError as error:
            raise InvalidInputError(f"{step.name!r} ({kind}): {error}") from None
        if out.cross is not None and not step.needs_cross:
            out = out.replace(cross=None)
        values[i + 1] = out
        for source in step.sources:
            if last_use[source] == i:
                values[source] = None
    return _value(values[-1])


def _read_out(steps: list[Step], start: Moments, draw: Draw) -> Readout:
    """Return the means at the network's outputs.

    Raises:
        NoClosedFormError: A step has no rule, or the last one is no linear read-out; the message names it.
    """  # noqa: DOC501 - `no_rule` makes the error
    out = walk(steps, start, draw)
    if not out.is_gaussian or (out.map_shape and math.prod(out.map_shape) > 1):
        raise no_rule(steps[-1].name if steps else "model", "output", "the network must end in a linear read-out")
    return Readout.of(out)


def _value(moments: Moments | None) -> Moments:
    assert moments is not None, "a value is dropped only after its last use"
    return moments


def is_batched(model: ArchitectureSpec | nn.Module) -> bool:
    """Return whether :func:`closed_form_batch` computes such a candidate together with others, without a module."""
    if not isinstance(model, FCSpec):
        return False
    return model.taper == 1.0 and model.activation == "relu" and isinstance(model.bias, bool)


def closed_form_batch(
    models: Sequence[ArchitectureSpec | nn.Module],
    x: Inputs,
    *,
    noise_std: float = 0.1,
    init: WeightDraw = "standard_normal",
    init_scale: float = 1.0,
    n_outputs: int | None = None,
) -> list[ClosedForm | NoClosedFormError]:
    """Return what :func:`closed_form` returns for every model, faster for many candidates of a kind.

    Fully-connected ReLU candidates of one depth go through the recursion together, and no module is built for them. Of
    the others, what several have in common up to some layer is computed once.

    Args:
        models: Architectures or modules.
        x: Inputs (n, *input_shape), or their moments.
        noise_std: Standard deviation of the input noise.
        init: Scheme that random networks are drawn from, or "current".
        init_scale: Factor on the weights.
        n_outputs: Number of outputs of the architectures among ``models``.

    Returns:
        One result per model, in their order; the error where there is no closed form.
    """
    moments = x if isinstance(x, InputMoments) else InputMoments.from_inputs(x, noise_std)
    draw = Draw(init, init_scale)
    results: dict[int, ClosedForm | NoClosedFormError] = {}
    memo = Memo()
    groups: defaultdict[tuple[int, bool, bool], list[int]] = defaultdict(list)
    for i, model in enumerate(models):
        if is_batched(model) and isinstance(model, FCSpec) and n_outputs is not None and init != "current":
            groups[model.depth, bool(model.bias), model.batch_norm].append(i)
        else:
            try:
                results[i] = closed_form(
                    model, moments, init=init, init_scale=init_scale, n_outputs=n_outputs, memo=memo
                )
            except NoClosedFormError as error:
                results[i] = error
    for (depth, bias, batch_norm), members in groups.items():
        size = max(1, _BATCH_NUMBERS // len(moments.flat.planes))
        for start in range(0, len(members), size):
            part = members[start : start + size]
            widths = np.array([getattr(models[i], "widths")() for i in part], dtype=np.float64)  # noqa: B009
            out = fc_walk(moments.flat, depth, widths, n_outputs or 0, bias=bias, batch_norm=batch_norm, draw=draw)
            results.update(zip(part, results_of(Readout.of(out)), strict=True))
    return [results[i] for i in range(len(models))]
