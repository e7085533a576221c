"""Condition number of the neural tangent kernel of a minibatch (Chen et al., TE-NAS, 2021)."""

from __future__ import annotations

import torch
from torch import nn

from ._gradient_gram import gradient_gram
from ._metric import Metric
from ._network import require_inputs


def ntk_condition(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor | None = None, *, generator: torch.Generator | None = None
) -> float:
    """Return λ_max / λ_min of the kernel Θ_ij = ∇f(x_i) · ∇f(x_j), with f the sum of the outputs, ∇ by all parameters.

    Source: Chen et al., Neural architecture search on ImageNet in four GPU hours, arXiv:2102.11535, section 3.1.1;
    smaller is expected to be better. The sum of outputs is that of the authors' code. There, biases and what else is
    not named ``weight`` are left out of ∇, and batch norms are in training mode, and a change of one input moves the
    gradients of all others; here they are in evaluation mode, so that Θ is the kernel of single inputs. No label is
    used.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), at least two; some dozens are usual.
        y: Not used.
        generator: Not used; nothing is drawn.

    Returns:
        The condition number; inf where gradients are linearly dependent but for rounding.

    Raises:
        InvalidInputError: There are fewer than two inputs, or they are integers.
    """
    require_inputs(x, 2)
    kernel = gradient_gram(model, x, x.new_ones(len(x), 1))
    if not bool(torch.isfinite(kernel).all()):
        return float("nan")
    eigenvalues = torch.linalg.eigvalsh(kernel)
    smallest, largest = float(eigenvalues[0]), float(eigenvalues[-1])
    floor = largest * len(x) * torch.finfo(x.dtype).eps  # what rounding of gradients of this type leaves of a zero
    return largest / smallest if smallest > floor else float("inf")


METRIC = Metric(
    function=ntk_condition,
    direction="smaller",
    source="Chen et al. 2021, arXiv:2102.11535, section 3.1.1",
    cost="forward + backward of every input by itself, and n² products of gradients",
    requirements="at least 2 inputs; operations that torch.func.vmap takes",
)
