"""Jacobian norm: how much the class probabilities move with the input, on average over inputs (novak2018, section 3).

Symbols:

    f(x)    class probabilities, or logits                  (n, K)
    J(x)    ∂f(x)/∂x                                        (n, K, D)
    ‖J‖_F   its Frobenius norm                              (n,)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn

from ..core.errors import InvalidInputError
from ..core.module_mode import evaluation_mode
from ._metric import Metric
from ._network import require_inputs
from ._weights import require_floats


def jacobian_norm(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    after_softmax: bool = True,
    batch_size: int = 64,
    generator: torch.Generator | None = None,
) -> float:
    """Return the mean of ‖J(x)‖_F over inputs, in units of probability (or of logits) per unit of ``x``.

    Source: novak2018 (arXiv:1802.08760), section 3, measure 1; the smaller norm goes with the smaller generalisation
    gap. No labels are used. The network is evaluated in evaluation mode.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape).
        y: Not used.
        after_softmax: Whether f is the softmax of the logits, as in the paper, or the logits (its footnote 1: less
            predictive), for example of a regression.
        batch_size: Inputs per pass; memory grows with ``batch_size`` · K.
        generator: Not used; nothing is drawn.

    Raises:
        InvalidInputError: There are no inputs, they are integers, or the outputs are no matrix (n, K).
    """
    return float(jacobian_norms(model, x, after_softmax=after_softmax, batch_size=batch_size).double().mean())


def jacobian_norms(
    model: nn.Module, x: torch.Tensor, *, after_softmax: bool = True, batch_size: int = 64
) -> torch.Tensor:
    """Return ‖J(x)‖_F (n,) of every input, exact but for rounding; see :func:`jacobian_norm` for the arguments.

    Cost: a forward and K backward passes, on a GPU all in one batch; behind a softmax K - 1, since the rows of J sum to
    0 there.
    """

    def squares(inputs: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        k = outputs.shape[1]
        if after_softmax and k == 1:
            return torch.zeros_like(outputs[:, 0])  # the probability of the only class is always 1
        basis = torch.eye(k, dtype=outputs.dtype, device=outputs.device)[: k - 1 if after_softmax else k]
        vectors = basis[:, None, :].expand(len(basis), *outputs.shape)
        total, last = torch.zeros_like(outputs[:, 0]), torch.zeros_like(inputs).flatten(1)
        for row in _products(inputs, outputs, vectors):
            total += torch.linalg.vector_norm(row, dim=1).square()
            if after_softmax:
                last += row
        return total + torch.linalg.vector_norm(last, dim=1).square()

    return _by_batches(model, x, squares, after_softmax, batch_size).sqrt()


def mean_squared_jacobian_norm(
    model: nn.Module,
    x: torch.Tensor,
    *,
    n_draws: int = 4,
    after_softmax: bool = True,
    batch_size: int = 128,
    generator: torch.Generator | None = None,
) -> tuple[float, float]:
    """Return an unbiased estimate of the mean of ‖J(x)‖_F² over inputs, and its standard error over draws.

    Hutchinson's estimator (Communications in Statistics 19, 1990): E ‖Jᵀv‖² = ‖J‖_F² for v of independent random
    signs. It costs ``n_draws`` backward passes where the exact value costs K, and so pays off where K is large.
    The standard error says nothing of the choice of inputs: it is 0 where Jᵀv has the same norm for all signs.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape).
        n_draws: Random vectors for each input, at least two.
        after_softmax: See :func:`jacobian_norm`.
        batch_size: Inputs per pass; memory grows with ``batch_size`` · ``n_draws``.
        generator: Source of the signs, on the device of ``x``; torch's global generator if None.

    Raises:
        InvalidInputError: There is no input or just one draw.
    """
    if n_draws < 2:
        raise InvalidInputError(f"a standard error needs at least 2 draws; given n_draws = {n_draws}")

    def squares(inputs: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        shape = (n_draws, *outputs.shape)
        signs = torch.randint(2, shape, generator=generator, device=outputs.device).to(outputs.dtype) * 2 - 1
        return torch.stack([row.square().sum(dim=1) for row in _products(inputs, outputs, signs)], dim=1)

    draws = _by_batches(model, x, squares, after_softmax, batch_size).double()  # (n, n_draws)
    variance = draws.var(dim=1) / n_draws
    return float(draws.mean()), float(variance.sum().sqrt() / len(draws))


def logit_jacobians(model: nn.Module, x: torch.Tensor, batch_size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield logits (b, K) and their gradients by the inputs (K, b, D), batch by batch, in evaluation mode.

    Raises:
        InvalidInputError: The outputs are no matrix (n, K).
    """
    for inputs, outputs in _passes(model, x, batch_size):
        basis = torch.eye(outputs.shape[1], dtype=outputs.dtype, device=outputs.device)
        rows = _products(inputs, outputs, basis[:, None, :].expand(-1, *outputs.shape))
        yield outputs.detach(), torch.stack(list(rows))


def _by_batches(
    model: nn.Module,
    x: torch.Tensor,
    squares: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    after_softmax: bool,
    batch_size: int,
) -> torch.Tensor:
    require_inputs(x, 1)
    with torch.enable_grad():
        found = [
            squares(inputs, outputs.softmax(dim=1) if after_softmax else outputs).detach()
            for inputs, outputs in _passes(model, x, batch_size)
        ]
    return torch.cat(found)


def _passes(model: nn.Module, x: torch.Tensor, batch_size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield inputs that require gradients, and the network's outputs (b, K).

    Raises:
        InvalidInputError: The outputs are no matrix (n, K).
    """
    require_floats(model)
    for part in x.split(batch_size):
        inputs = part.detach().clone().requires_grad_()
        with torch.enable_grad(), evaluation_mode(model):
            outputs = model(inputs)
        if outputs.ndim != 2:
            raise InvalidInputError(f"outputs (n, K) are needed; given the shape {tuple(outputs.shape)}")
        yield inputs, outputs


def _products(inputs: torch.Tensor, outputs: torch.Tensor, vectors: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield Jᵀv (n, D) for each of the vectors (m, n, K); inputs do not influence each other's outputs."""
    if not outputs.requires_grad:
        yield from torch.zeros_like(inputs).flatten(1).expand(len(vectors), -1, -1).detach()
    elif outputs.device.type == "cpu":  # nothing is gained by one large batch there, and a convolution loses by it
        for v in vectors:
            (row,) = torch.autograd.grad(outputs, inputs, v, retain_graph=True, materialize_grads=True)
            yield row.flatten(1)
    else:
        (rows,) = torch.autograd.grad(outputs, inputs, vectors, is_grads_batched=True, materialize_grads=True)
        yield from rows.flatten(2)


METRIC = Metric(
    function=jacobian_norm,
    direction="smaller",
    source="Novak et al. 2018, arXiv:1802.08760, section 3",
    cost="forward + (K - 1) backward",
)
